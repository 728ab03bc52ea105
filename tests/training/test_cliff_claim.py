"""The claim on the clipping cliff, on tables made by hand: a page cannot say "held" whatever was measured."""

import numpy as np
import pandas as pd
import pytest

from experiments import clipping_cliff
from gradlab.reporting import Finding


def ends(thrown=0.7, unclipped=0.3, clipped=0.97, n=500):
    """Descents of which these shares are thrown, and arrive."""
    rows = []
    for rate in (0.1, 0.3, 1.0):
        for method, far, good in (("unclipped", thrown, unclipped), ("clipped", 0.0, clipped)):
            place = np.arange(n) / n
            longest, loss = np.where(place < far, 5.0, 0.3), np.where(place < good, -6.0, -1.0)
            loss[0] = -np.inf  # exact zeros arrive too
            about = {"learning_rate": rate, "method": method, "start": np.arange(n)}
            rows.append(pd.DataFrame({**about, "longest": longest, "log10_loss": loss}))
    return pd.concat(rows, ignore_index=True)


def outcome(table):
    judged = clipping_cliff.judge(table)
    judged = judged[judged["judged"]]
    return Finding.of(dict(enumerate(judged["claim"]))).outcome, len(judged)


def test_it_holds_where_its_numbers_do():
    assert outcome(ends()) == ("held", 4)


@pytest.mark.parametrize("numbers", [{"thrown": 0.3}, {"unclipped": 0.7}, {"clipped": 0.8}])
def test_it_does_not_where_one_of_them_does_not(numbers):
    assert outcome(ends(**numbers))[0] == "not held"


@pytest.mark.parametrize("numbers", [{"thrown": 0.5}, {"unclipped": 0.5}, {"clipped": 0.9}, {"n": 10}])
def test_it_is_open_where_an_interval_straddles_a_line(numbers):
    assert outcome(ends(**numbers))[0] == "undecided"


def test_descents_are_summed_up_by_their_longest_step_and_their_end():
    steps = pd.DataFrame(
        {"method": "clipped", "start": [0, 0, 0, 1, 1, 1], "step": [0, 1, 2] * 2, "w": [0, 3, 3, 9, 9, 9.0],
         "b": [0, 4, 4, 1, 1, 1.5], "log10_loss": [-1, -2, -3, -1, -1, -np.inf]}
    )  # fmt: skip

    class Found:
        paths, learning_rate = steps, 0.3

    table = clipping_cliff.descents(Found)
    assert table["longest"].tolist() == [5.0, 0.5] and table["log10_loss"].tolist() == [-3, -np.inf]
