"""The gradient of every layer of any model, by the name that its owner gave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import FAILED, ZERO, canvas
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.decades import prepare
from gradlab.plots.ground.formats import Floor, draw_floors, floors_text, name_floors
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import COLOURS, NEUTRAL, line_width, marker_size
from gradlab.plots.ground.tables import checked, levels, summaries

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What a dot is, and the end of the bar that begins there; the norm where entries were not looked at.
MEAN, LARGEST, NORM = "log10_weight_grad_mean_abs", "log10_weight_grad_max_abs", "log10_weight_grad_norm"
BIAS = "log10_bias_grad_norm"
#: Layers of one figure; inches of each, and of the rest of the figure.
MOST, _ROW, _REST = 80, 0.17, 0.75
#: What may be lost: the column that counts it, the edge and the mark, the word beside the layer, and in a sentence.
_LOST: tuple[tuple[str, float, str, str, str], ...] = (
    ("n_zero", 0.0, ZERO, "no gradient", "exactly zero"), ("n_not_finite", 1.0, FAILED, "not finite", "not finite"),
)  # fmt: skip
#: Share of zeros in a gradient that is said beside it.
_MANY = 0.5


def layer_gradients(
    frame: pd.DataFrame,
    *,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes:
    """Draw sizes of the weight and bias gradients of each layer by its name, and where formats of numbers end.

    Parameters
    ----------
    frame : DataFrame
        Of one network at one step, such as ``gradlab.frame(gradlab.observe(grads))``. Dots are mean absolute entries
        of weight gradients, with a bar to the largest, where the frame has `log10_weight_grad_mean_abs` and
        `log10_weight_grad_max_abs`; else norms. Biases are norms. Over several seeds they are geometric means.
    ax : Axes, optional
        Where to draw; a figure of its own where it is left out.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes
        Layers stand in the frame's order, the first at the top. What is exactly zero is marked at the left edge and
        named at the right, as is what is not finite, or zero in half of its entries or more.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import gradlab as gl
    >>> grads = {"embed": {"kernel": 1e-9 * jnp.ones((4, 4))}, "head": {"kernel": jnp.ones((4, 2))}}
    >>> axes = gl.plots.layer_gradients(gl.frame(gl.observe(grads)))
    >>> [text.get_text() for text in axes.get_yticklabels()]
    ['embed', 'head']
    """
    checked(frame, "layer", "layer_name", "seed")
    rows = frame[frame["layer"] >= 1]
    for name in ("network", "step"):
        if name in rows and rows[name].nunique() > 1:
            value = rows[name].iloc[-1]
            raise GradlabError(f"one {name}", str(rows[name].nunique()), f"frame[frame[{name!r}] == {value!r}]")
    if NORM not in rows and MEAN not in rows:
        raise GradlabError(f"a frame with {NORM}", "none", "gl.frame(gl.observe(grads))")
    names = rows.sort_values("layer").drop_duplicates("layer").set_index("layer")["layer_name"].astype(str)
    if len(names) > MOST:
        raise GradlabError(f"up to {MOST} layers", str(len(names)), "frame[frame['layer_name'].str.contains(...)]")
    known = lambda column: column in rows and bool(rows[column].notna().any())
    entries = known(MEAN) and known(LARGEST)
    height = _REST + _ROW * max(len(names), 5)
    with canvas(ax, preset, title=title, height=height) as sheet:
        axes = sheet.axes.flat[0]
        place = {layer: i for i, layer in enumerate(names.index)}
        weights = _means(rows, MEAN if entries else NORM)
        biases = _means(rows, BIAS) if known(BIAS) else weights[:0]
        largest = _means(rows, LARGEST) if entries else weights[:0]
        finite = pd.concat([t["mean"] for t in (weights, biases, largest)])
        finite = finite[np.isfinite(finite)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (-1.0, 0.0)
        _limits(axes, low, high)
        floors = draw_floors(axes, low, high)
        ends = [floor.at for floor in floors]
        _limits(axes, min([low, *ends]), max([high, *ends]))
        shown = _dots(axes, weights, largest, biases, place, entries)
        told_of = _flags(axes, rows, weights, biases, place, shown)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), [words.drawable(name) for name in names])
        axes.tick_params(axis="y", length=0)
        prepare(axes, "x")
        unit = words.axis(NORM, frame).rsplit("[", 1)[1]
        axes.set_xlabel(f"gradient of the mean loss  [{unit}")
        place_legend(sheet, shown, legend)
        sheet.figure.draw_without_rendering()
        name_floors(axes, floors)
        sheet.describe(_caption(rows, weights, names, entries, floors, told_of))
    return axes


def _means(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return geometric mean over seeds of each layer that has the column, with counts of what is zero or not finite."""
    known = rows[rows[column].notna() | (rows["status"] != "ok" if "status" in rows else False)]
    if column == BIAS:  # a layer without a bias has none to fail
        known = rows[rows[column].notna()]
    return summaries(known, ["layer"], column, "range")[0] if len(known) else pd.DataFrame({"layer": [], "mean": []})


def _limits(ax: Any, low: float, high: float) -> None:
    room = 0.06 * max(high - low, 1.0)
    ax.set_xlim(low - room, high + room)


def _dots(
    ax: Any, weights: pd.DataFrame, largest: pd.DataFrame, biases: pd.DataFrame, place: dict[int, int], entries: bool
) -> dict[str, Any]:
    """Draw weights as dots, with bars to their largest entry; biases hollow."""
    shown: dict[str, Any] = {}
    for i in place.values():
        ax.axhline(i, color="0.88", linewidth=line_width(0.5), zorder=0.3, gid="row")
    at = lambda table: np.array([place[layer] for layer in table["layer"]], float)
    name = "weight: mean absolute entry" if entries else "weight: norm"
    (dots,) = ax.plot(
        weights["mean"], at(weights), linestyle="", marker="o", color=COLOURS[0], zorder=3, gid="weight"
    )  # fmt: skip
    shown[name] = dots
    if entries:
        both = weights.merge(largest, on="layer", suffixes=("", "_largest"))
        ax.hlines(at(both), both["mean"], both["mean_largest"], color=COLOURS[0], linewidth=line_width(), gid="bar")
        (caps,) = ax.plot(
            largest["mean"], at(largest), linestyle="", marker="|", color=COLOURS[0], zorder=3, gid="largest",
            markersize=marker_size(1.4), markeredgewidth=line_width(),
        )  # fmt: skip
        shown["weight: largest"] = caps
    if len(biases):
        (hollow,) = ax.plot(
            biases["mean"], at(biases), linestyle="", marker="s", color=COLOURS[1], zorder=2.5, gid="bias",
            markerfacecolor="white",
        )  # fmt: skip
        shown["bias: norm"] = hollow
    return shown


def _flags(
    ax: Any, rows: pd.DataFrame, weights: pd.DataFrame, biases: pd.DataFrame, place: dict[int, int],
    shown: dict[str, Any],
) -> list[str]:  # fmt: skip
    """Mark what is dead or not finite at the edge, with a word at the right; return sentences for the caption."""
    said: dict[int, list[str]] = {}
    sentences = []
    for what, table, colour in (("weight", weights, COLOURS[0]), ("bias", biases, COLOURS[1])):
        if not len(table):
            continue
        for column, edge, marker, word, long in _LOST:
            lost = table[table[column] > 0]
            if not len(lost):
                continue
            mark = {"marker": marker, "color": colour, "linestyle": "", "markersize": marker_size(0.9)}
            y = [place[layer] for layer in lost["layer"]]
            ax.plot([edge] * len(y), y, transform=ax.get_yaxis_transform(), clip_on=False, zorder=4, gid=word, **mark)
            shown[long] = Line2D([], [], **{**mark, "color": NEUTRAL})
            for layer in lost["layer"]:
                said.setdefault(int(layer), []).append(word if what == "weight" else f"{what}: {word}")
            sentences.append(f"{what} gradients are {long} in {words.span([len(lost)], 'layer')}")
    if "gradient_zero_fraction" in rows:
        share = rows.groupby("layer")["gradient_zero_fraction"].mean()
        for layer, value in share[(share >= _MANY) & (share < 1)].items():
            said.setdefault(int(layer), []).append(f"{100 * value:.2g} % zeros")
    for layer, parts in said.items():
        ax.annotate(
            ", ".join(parts), (1, place[layer]), (4, 0), xycoords=ax.get_yaxis_transform(), va="center", ha="left",
            textcoords="offset points", fontsize=matplotlib.rcParams["xtick.labelsize"], gid="flag",
        )  # fmt: skip
    return sentences


def _caption(
    rows: pd.DataFrame, weights: pd.DataFrame, names: pd.Series, entries: bool, floors: list[Floor], lost: list[str]
) -> Caption:
    known = weights[np.isfinite(weights["mean"])]
    what = "mean absolute entry" if entries else "norm"
    if len(known):
        least, most = (known.loc[known["mean"].agg(which)] for which in ("idxmin", "idxmax"))
        ends = [f"{10 ** end['mean']:.2g} ({names[end['layer']]})" for end in (least, most)]
        decades = most["mean"] - least["mean"]
        span = f"from {' to '.join(ends)}" if least["mean"] > -300 else f"through {decades:.3g} decades"
        first = f"The weight gradient's {what} goes {span} over {words.span([len(names)], 'layer')}"
    else:
        first = f"None of {words.span([len(names)], 'layer')} has a finite weight gradient that is not zero"
    first += f"; {words.listed(lost)}." if lost else "; none is exactly zero."
    n = rows["seed"].nunique()
    dots = (
        "Dots: mean absolute entries of weight gradients, bars to the largest"
        if entries
        else "Dots: norms of weight gradients"
    )
    hollow = "; squares: norms of bias gradients" if BIAS in rows and rows[BIAS].notna().any() else ""
    mean = "one gradient, n = 1, no band" if n == 1 else f"geometric means over n = {words.span([n], 'seed')}, no band"
    steps = f" Step {levels(rows, 'step')[0]}." if "step" in rows else ""
    setting = words.setting(rows)
    parts = [
        first,
        f"{dots}{hollow}; {mean}.{steps}",
        f"{floors_text(floors)[:-1]}, of single entries." if floors else "",
        f"Setting: {setting}." if setting else "",
    ]
    return sentences(parts)
