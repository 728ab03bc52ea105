"""Intervals of shares stay between 0 and 1, and still hold the mean as often as they say."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from gradlab.frames.summaries import summarise


def table(values, column="test_accuracy"):
    """A row a seed and group; values are (groups, seeds)."""
    groups, seeds = np.indices(np.shape(values))
    return pd.DataFrame({"group": groups.ravel(), "seed": seeds.ravel(), column: np.ravel(values)})


@pytest.mark.parametrize("column", ["train_accuracy", "saturated_fraction", "gradient_zero_fraction"])
@pytest.mark.parametrize("band", ["ci95", "sd"])
def test_no_band_of_a_share_leaves_the_unit_interval(column, band):
    # three seeds of 60 accuracies near both ends; the t-interval of the first is [-0.03, 0.13]
    values = np.array([[0.02, 0.04, 0.09], [1.0, 0.99, 0.9], [0.0, 0.0, 0.3], [0.5, 0.52, 0.48]])
    found = summarise(table(values, column), "group", column, band)
    assert (found["low"] >= 0).all() and (found["high"] <= 1).all()
    assert (found["low"] < found["mean"]).all() and (found["mean"] < found["high"]).all()


def test_in_the_middle_it_is_the_t_interval_and_at_the_ends_a_point():
    values = np.array([[0.498, 0.5, 0.502], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    found = summarise(table(values), "group", "test_accuracy")
    half = t.ppf(0.975, 2) * values[0].std(ddof=1) / np.sqrt(3)
    # the logit is straight there up to its third derivative: a relative error of (2 half)^2 / 3
    assert found["high"][0] - found["mean"][0] == pytest.approx(half, rel=(2 * half) ** 2)
    assert found[["low", "high"]].to_numpy()[1:].tolist() == [[0, 0], [1, 1]]
    assert np.isnan(summarise(table([[0.5]]), "group", "test_accuracy")["low"][0])
    other = summarise(table(values + 2, "sharpness"), "group", "sharpness")  # no share: as it was
    np.testing.assert_allclose(other["high"][0] - other["mean"][0], half, rtol=1e-9)


@pytest.mark.parametrize("mean", [0.5, 0.9, 0.98])
def test_it_holds_the_mean_as_often_as_it_says(mean):
    # seeds of a beta law, 5 each, 4000 times: the share that holds the mean has a standard error of 0.0035
    rng = np.random.default_rng(0)
    draws = rng.beta(50 * mean, 50 * (1 - mean), (4000, 5))
    found = summarise(table(draws), "group", "test_accuracy")
    held = ((found["low"] <= mean) & (mean <= found["high"])).mean()
    assert 0.92 <= held <= 0.98
