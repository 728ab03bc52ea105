"""A model on one screen: bars that end where the numbers are, floors of the formats, findings beside their layers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import plots
from gradlab._errors import GradlabError

from .reading import faults
from .synthetic import healthy, trace


@dataclasses.dataclass
class Found:
    """What the figure reads of a diagnosis."""

    frame: pd.DataFrame
    marks: pd.DataFrame


def found(depth=6, marks=(), seeds=1, **options):
    from gradlab import frames

    frame = frames.frame(trace(depth=depth, seeds=seeds, **options))
    return Found(frame, pd.DataFrame(list(marks), columns=["layer", "rule", "kind", "severity"]))


def drawn(ax, gid):
    return [a for a in (*ax.lines, *ax.collections, *ax.patches, *ax.texts) if a.get_gid() == gid]


def test_bars_end_at_the_numbers_of_single_entries():
    d = found(6, [(1, "GL001", "vanishing", "error"), (2, "GL001", "vanishing", "error")])
    axes = plots.diagnosis(d)
    rows = d.frame.sort_values("layer")
    entries = rows["fan_in"] * rows["width"]
    wanted = [
        rows["log10_activation_rms"], rows["log10_delta_rms"], rows["log10_weight_grad_norm"] - np.log10(entries) / 2,
    ]  # fmt: skip
    for ax, values in zip(axes, wanted, strict=True):
        bars = sorted((bar.get_y(), bar.get_x() + bar.get_width()) for bar in drawn(ax, "bar"))
        np.testing.assert_allclose([end for _, end in bars], values)
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the input at the top
        assert ax.get_xlim()[1] - ax.get_xlim()[0] > 2
    assert [t.get_text() for t in axes[0].get_yticklabels()] == list(rows["layer_name"])
    assert "GL001 vanishing in 2 layers" in plots.caption(axes[0])


def test_findings_are_squares_beside_their_layers_in_the_column_of_their_rule():
    marks = [(1, "GL001", "vanishing", "error"), (3, "GL006", "dead", "warning"), (1, "GL006", "dead", "info")]
    axes = plots.diagnosis(found(6, marks))
    last = axes[-1]
    assert [t.get_text() for t in drawn(last, "rule")] == ["GL001 vanishing", "GL006 dead"]
    assert [list(line.get_ydata()) for line in drawn(last, "GL006")] == [[2], [0]]
    shades = {line.get_markerfacecolor() for gid in ("GL001", "GL006") for line in drawn(last, gid)}
    assert shades == {"black", "0.6", "white"}
    for ax in axes:
        assert sorted(band.get_y() + 0.5 for band in drawn(ax, "row")) == [0, 2]
    noted = plots.diagnosis(found(6, [(1, "GL012", "frozen", "info")]))
    assert not drawn(noted[0], "row") and drawn(noted[-1], "GL012")


def test_what_the_working_precision_loses_is_an_open_bar():
    d = found(6, per_layer=-9.0)
    status = np.where(d.frame["layer"] < 3, "underflow: delta and gradient 0 in the working precision", "ok")
    axes = plots.diagnosis(Found(d.frame.assign(status=status), d.marks))
    open_bars = lambda ax: [bar.get_facecolor()[:3] == (1, 1, 1) for bar in drawn(ax, "bar")]
    assert open_bars(axes[1]) == open_bars(axes[2]) == [True, True] + [False] * 5
    assert not any(open_bars(axes[0]))


def test_floors_of_formats_and_of_adam_stand_where_the_numbers_are():
    axes = plots.diagnosis(found(40, per_layer=-1.1))
    names = lambda ax: {line.get_gid() for line in ax.lines}
    assert {"bfloat16, float32", "float16: 0"} <= names(axes[1]) and "Adam's ε" not in names(axes[1])
    assert "Adam's ε" in names(axes[2])
    (line,) = drawn(axes[2], "Adam's ε")
    assert line.get_xdata()[0] == -8
    assert not names(axes[0]) & {"float16", "bfloat16, float32"}
    assert "Adam's epsilon is 1e-08" in plots.caption(axes[0])
    d = found(6)
    small = d.frame.assign(log10_weight_grad_norm=-30.0 + 0.1 * d.frame["layer"])  # all below: that is when it matters
    last = plots.diagnosis(Found(small, d.marks))[-1]
    assert drawn(last, "Adam's ε") and last.get_xlim()[1] > -8


def test_what_is_zero_frozen_or_not_finite_is_marked():
    d = found(6, seeds=2, zeros=[(0, 2)])
    frame = d.frame.copy()
    frame["status"] = frame["status"].astype(object)
    at = lambda layer: frame["layer"] == layer
    frame.loc[at(4), ["log10_weight_grad_norm", "status"]] = [np.nan, "no gradient: frozen by stop_gradient"]
    frame.loc[at(5), ["log10_weight_grad_norm", "status"]] = [np.nan, "not finite: value, gradient"]
    axes = plots.diagnosis(Found(frame, d.marks))
    assert list(drawn(axes[1], "exactly zero")[0].get_ydata()) == [0, 1]
    assert list(drawn(axes[2], "no gradient: frozen, or not used")[0].get_ydata()) == [3]
    assert list(drawn(axes[2], "not finite")[0].get_ydata()) == [4]
    assert len(drawn(axes[2], "bar")) == 5 and drawn(axes[0], "range")


@pytest.mark.parametrize(("depth", "tallest"), [(6, 3.2), (200, 8.6)])
def test_it_is_read_with_few_and_with_many_layers_on_seven_inches(depth, tallest):
    marks = [(i, rule, "vanishing", "error") for i in range(1, depth // 2) for rule in ("GL001", "GL010", "GL003")]
    axes = plots.diagnosis(found(depth, marks))
    figure = axes[0].figure
    width, height = figure.get_size_inches()
    assert width == 7 and height <= tallest
    assert faults(figure) == []
    names = axes[0].get_yticklabels()
    assert names[0].get_text() == "hidden_1" and names[-1].get_text() == "readout"
    assert len(names) >= min(depth, 40)


def test_long_and_odd_names_keep_both_ends():
    d = found(3)
    frame = d.frame.assign(layer_name=["encoder/" + "x" * 60 + "/query", "a$b", "c", "漢字"])
    axes = plots.diagnosis(Found(frame, d.marks), title="mine")
    texts = [t.get_text() for t in axes[0].get_yticklabels()]
    assert texts[0].startswith("encoder/") and texts[0].endswith("/query") and len(texts[0]) == 30
    assert texts[1:] == [r"a\$b", "c", "[U+6F22 U+5B57]"]
    axes[0].figure.draw_without_rendering()


def test_a_frame_alone_and_axes_that_are_given():
    _, given = plt.subplots(1, 3, layout="constrained")
    axes = plots.diagnosis(found(6).frame, ax=given)
    assert list(axes) == list(given)
    text = plots.caption(axes[0])
    assert text.startswith("Over 7 layers from the input to the loss, the signal from") and "found" not in text
    with pytest.raises(GradlabError, match="one network"):
        plots.diagnosis(healthy(depths=(4, 8)))
    bare = found(6).frame.drop(columns=["log10_weight_grad_norm", "log10_activation_rms"])
    axes = plots.diagnosis(bare)
    assert [len(drawn(ax, "none")) for ax in axes] == [1, 0, 1] and len(drawn(axes[1], "bar")) == 7
    assert "no signal, which was not measured" in plots.caption(axes[0])
    norms = plots.diagnosis(found(6).frame.assign(fan_in=np.nan))  # how many entries there are is not known
    assert norms[2].get_xlabel() == "norm  [loss]" and len(drawn(norms[2], "bar")) == 7
    assert "the weight gradient's norm from" in plots.caption(norms[2])
    with pytest.raises(GradlabError, match="log10_delta_rms"):
        plots.diagnosis(bare.drop(columns="log10_delta_rms"))
