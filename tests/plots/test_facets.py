"""Which coordinate has which role: no panel has too many lines, and what is left out is chosen fairly and named."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab.plots.ground import canvas, words
from gradlab.plots.ground.facets import MOST_LINES, arrange, factors, panels
from gradlab.plots.ground.headers import broken, write_headers

from .reading import faults


def networks(**levels):
    """A row for each network of a grid, whose score is the sum of its coordinates' effects."""
    rows = []
    for place, values in enumerate(itertools.product(*levels.values())):
        rows.append({**dict(zip(levels, values, strict=True)), "network": f"n{place}", "seed": 0, "layer": 1})
    return pd.DataFrame(rows)


def test_colour_then_line_then_rows_and_columns():
    frame = networks(activation=["tanh", "relu"], init=["a", "b"], depth=[2, 4], gain=[1.0, 2.0])
    found = arrange(frame)
    assert (found.hue, found.style) == ("activation", "init")
    assert sorted(found.row + found.col) == ["depth", "gain"]
    assert len(found.frame) == 16 and found.note == ""
    shaded = arrange(frame.assign(end="x").pipe(lambda f: pd.concat([f, f.assign(end="y")])), shade="end")
    assert (shaded.hue, shaded.style, shaded.shade) == ("activation", None, "end")  # 2 × 2 × 2 lines would be too many


@pytest.mark.parametrize("most", [(6, 6, 4), (6, 6, 1), (3, 2, 1)])
def test_no_panel_has_more_lines_than_asked_for(most):
    levels = {"activation": ["tanh", "relu", "elu"], "init": ["a", "b"], "depth": [2, 4], "width": [8, 16]}
    frame = networks(**levels, gain=list(np.arange(1.0, 10)))
    frame["decades"] = np.arange(len(frame), dtype=float)
    found = arrange(frame, score="decades", most=most)
    drawn = found.frame.groupby([*found.row, *found.col]).size() if found.row + found.col else [len(found.frame)]
    assert max(drawn) <= most[0] <= MOST_LINES
    assert len(panels(found.frame, found.row)) <= most[1] and len(panels(found.frame, found.col)) <= most[2]
    assert f"Drawn are {len(found.frame)} of {len(frame)} networks" in found.note


def test_what_changes_the_score_least_is_held_where_the_networks_differ_most():
    frame = networks(activation=["tanh", "relu"], init=["a", "b"], gain=[1.0, 2.0])
    # the gain changes little; at gain 2 the others change more
    effect = {"tanh": 0.0, "relu": 5.0, "a": 0.0, "b": 3.0}
    frame["decades"] = (frame["activation"].map(effect) + frame["init"].map(effect)) * (1 + 0.1 * (frame["gain"] - 1))
    found = arrange(frame, score="decades", what="the decades", most=(4, 1, 1))
    assert set(found.frame["gain"]) == {2.0} and {found.hue, found.style} == {"activation", "init"}
    assert found.note == (
        "Drawn are 4 of 8 networks: gain 2 (not 1). Held at one value is what changes the decades least."
    )


def test_of_many_values_some_are_drawn_from_first_to_last():
    frame = networks(gain=list(range(1, 21)))
    found = arrange(frame)
    assert len(found.frame) == 6 and set(found.frame["gain"]) >= {1, 20}
    assert "6 of 20 values of gain, from first to last" in found.note


def test_what_follows_from_another_has_no_role_and_is_named():
    frame = networks(optimizer=["sgd", "adam"], activation=["tanh", "relu"])
    frame["learning_rate"] = frame["optimizer"].map({"sgd": 0.1, "adam": 0.001})
    names, followers = factors(frame)
    assert names == ["activation", "optimizer"] and followers == [("optimizer", "learning_rate")]
    assert arrange(frame).note == "Learning rate: 0.1 with SGD and 0.001 with Adam."


def test_names_are_those_of_the_house():
    told = {
        ("optimizer", "adam"): "Adam", ("init", "he_normal"): "He normal", ("width", 16): "width 16",
        ("bias", False): "no bias", ("norm", "layer"): "norm layer", ("norm", None): "no norm",
        ("sigma_w2", 1.5): "σ_w² = 1.5", ("readout", float("nan")): "readout as the rest",
    }  # fmt: skip
    assert {key: words.entry(*key) for key in told} == told


def test_headers_are_broken_and_never_cut():
    long = ["sigmoid, Xavier normal, width 16, σ_b² = 0.05, clipped adaptively at 0.1", "one name " * 30]
    with canvas.canvas(None, None, 2, 4, wide=True, height=2.6) as sheet:
        write_headers(sheet, long, [*long, "ReLU", "tanh, He normal"])
    assert faults(sheet.figure) == []
    assert broken("tanh, Xavier normal", 15) == "tanh,\nXavier normal"  # at the comma, not within a name
    plt.close(sheet.figure)


def test_a_word_that_is_longer_than_its_line_keeps_its_beginning():
    assert broken("x" * 50, 20, 1) == "x" * 18 + " …"
    assert broken("x" * 50, 20).replace("\n", "") == "x" * 50
