"""Every finite value is seen: between exact zeros, where a line has no length and a marker may be left out."""

import numpy as np
import pytest

from gradlab import frames, plots

from .synthetic import learnt, printed, trace
from .test_lines import values

MADE = ("mean", "alone", "seed", "alone seed", "method")


def seen(ax, gids=MADE):
    """The points that ink is at: ends of a piece of line, and markers."""
    found = set()
    for line in ax.lines:
        if line.get_gid() not in gids:
            continue
        points = values(line)
        finite = np.isfinite(points).all(axis=1)
        drawn = np.zeros(len(points), bool)
        if line.get_linestyle() != "None":
            pairs = finite[:-1] & finite[1:]
            drawn[:-1] |= pairs
            drawn[1:] |= pairs
        if line.get_marker() not in ("", "None", None):
            every = line.get_markevery()
            marked = np.zeros(len(points), bool)
            marked[slice(every[0], None, every[1]) if isinstance(every, tuple) else slice(None)] = True
            drawn |= marked & finite
        found |= set(map(tuple, points[drawn & finite]))
    return found


def finite(table, x, column):
    rows = table[np.isfinite(table[column])]
    return set(zip(rows[x].astype(float), rows[column], strict=True))


@pytest.mark.parametrize("depth", [12, 40])
@pytest.mark.parametrize("band", ["seeds", "ci95", "range"])
def test_layers_between_zeros(depth, band):
    frame = frames.frame(trace(depth, seeds=3))
    frame.loc[frame["layer"] % 2 == 0, "log10_delta_rms"] = -np.inf
    ax = plots.gradient_flow(frame, value="log10_delta_rms", band=band)
    rows = frame[frame["layer_name"] != "readout"]
    means = frames.summarise(rows, "layer", "log10_delta_rms")
    assert finite(means, "layer", "mean") <= seen(ax, ("mean", "alone"))
    if band == "seeds":
        assert finite(rows, "layer", "log10_delta_rms") <= seen(ax, ("seed", "alone seed"))
    else:
        table = frames.summarise(rows, "layer", "log10_delta_rms", band).dropna(subset="low")
        bars = [c for c in ax.collections if c.get_gid() == "alone band"]
        assert sum(len(c.get_segments()) for c in bars) == len(table) == depth // 2


@pytest.mark.parametrize("depth", [4, 9])
def test_updates_between_steps_that_accumulate(depth):
    """As around `optax.MultiSteps`: three of four updates are exactly zero."""
    frame = learnt(steps=tuple(range(32)), seeds=1, depth=depth)
    frame.loc[frame["step"] % 4 != 3, "log10_update_ratio"] = -np.inf
    ax = plots.update_ratio(frame)
    rows = frame[frame["layer_name"] != "readout"]
    means = frames.summarise(rows, ["layer", "step"], "log10_update_ratio")
    wanted = finite(means, "step", "mean")
    assert len(wanted) == 8 * depth and wanted <= seen(ax, ("mean", "alone"))


def test_what_autodiff_prints_between_zeros():
    table = printed(60)
    table.loc[table["layer"] % 2 == 0, "log10_weight_grad_norm"] = -np.inf
    assert finite(table, "layer", "log10_weight_grad_norm") <= seen(plots.autodiff(table), ("method", "alone"))
