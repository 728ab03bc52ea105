"""The trainability map: what depth and initialisation leave of accuracy, beside the depth that theory allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.frames.summaries import is_share
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas, canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.cells import HATCHES, SMALL, one_network_a_cell, third
from gradlab.plots.ground.decades import FixedTicks, spaced_by_powers
from gradlab.plots.ground.findings import extremes
from gradlab.plots.ground.headers import share_labels
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.styles import LINES, NEUTRAL, SEQUENTIAL, line_width
from gradlab.plots.ground.tables import checked, levels, matching, require, summaries
from gradlab.plots.ground.zones import is_dark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Values with up to this many ticks are the ticks.
_TICKS = 9
#: Points of the smallest number that a cell holds unasked.
_SMALLEST = 4.5


def trainability(
    frame: pd.DataFrame,
    *,
    value: str | None = None,
    x: str = "sigma_w2",
    y: str = "depth",
    col: str | None = None,
    theory: pd.DataFrame | None = None,
    step: int | Sequence[int] | None = None,
    annotate: bool | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw the accuracy after training, a cell for each depth and initialisation, beside the depths that theory allows.

    Parameters
    ----------
    frame : DataFrame
        Of training runs of networks that differ in `x` and `y`.
    value : str, optional
        ``test_accuracy``, ``train_accuracy`` or another column that is one of the network. None: the first of them
        that the frame has.
    x, y : str
        Two coordinates of the networks, numbers or names.
    col : str, optional
        A third coordinate, with a panel for each value. None: the one that differs besides, if there is one.
    theory : DataFrame, optional
        From `gradlab.trainable_depths`: columns of the names of `x` and `y`, and `scales` where there are several
        lines. Drawn where `y` is a number.
    step : int or sequence of int, optional
        The training step; several have a panel each. None: the last of each network and seed.
    annotate : bool, optional
        Whether the numbers stand in the cells. None: where a panel has up to 64.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    legend, title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels
        Cross-hatched cells hold seeds that have no finite value at that step; the count stands in the cell. Grey cells
        are not in the frame.

    Examples
    --------
    >>> import gradlab as gl
    >>> nets = {"depth": (2, 4), "width": 8, "activation": "tanh", "init": "gaussian", "sigma_b2": 0.05}
    >>> sweep = gl.TrainingSweep(**nets, sigma_w2=(1.0, 4.0), steps=4, records=2, seeds=1)
    >>> frame = gl.run(sweep, progress=False)
    >>> axes = gl.plots.trainability(frame, theory=gl.trainable_depths(frame))
    >>> axes.get_ylabel()
    'depth [hidden layers]'
    """
    checked(frame, "network", "seed", "step", "layer", x, y)
    require(frame, col)
    if x == y:
        raise GradlabError("two different coordinates", f"x={x!r} and y={y!r}", 'x="sigma_w2", y="depth"')
    value = value or next((n for n in ("test_accuracy", "train_accuracy") if _there(frame, n)), "test_accuracy")
    require(frame, value)
    steps = [step] if step is None or np.ndim(step) == 0 else list(step)
    several = len(steps) > 1
    if several and col not in (None, "step"):
        raise GradlabError("a panel for each step, or for each value of col", f"several steps and {col!r}", "step=30")
    table = pd.concat([_ends(frame, value, one) for one in steps])
    # at the end, a seed that diverged stands at an earlier step
    at_end = table if several else table.drop(columns="step")
    facet = "step" if several else third(at_end, x, y) if col is None else col
    by = [name for name in (facet, y, x) if name is not None]
    one_network_a_cell(at_end, by)
    # what is missing at the end is a failure here, whatever the status says
    means, _ = summaries(table.drop(columns="status", errors="ignore"), by, value, "range")
    panels = levels(table, facet) if facet is not None else [None]
    across, along = Scale(levels(frame, x)), Scale(levels(frame, y))
    cells = len(across.values) * len(along.values)
    unasked = annotate is None
    annotate = cells <= SMALL if annotate is None else annotate
    colours = _colours(means, value)
    height = max(2.2, 0.26 * min(len(along.values), 14) + 1.3)
    with canvas(
        ax, preset, 1, len(panels), title=title, wide=len(panels) > 1 or len(across.values) > 8, height=height
    ) as sheet:  # fmt: skip
        image = None
        for axes, facet_value in zip(sheet.axes.flat, panels, strict=True):
            part = means if facet is None else matching(means, {facet: facet_value})
            shown = annotate and not (unasked and sheet.ours and _number_size(axes, across) < _SMALLEST)
            image = _panel(axes, part, x, y, across, along, colours, shown)
            if theory is not None:
                allowed = theory if facet is None or facet not in theory else matching(theory, {facet: facet_value})
                _draw_allowed(sheet, axes, allowed, x, y, across, along)
            name_panel(sheet, axes, "" if facet is None else words.entry(facet, facet_value))
            axes.set_xlabel(words.axis(x))
            if sheet.ours and axes is not sheet.axes.flat[0]:
                axes.tick_params(labelleft=False)
        if sheet.ours and len(panels) > 1:
            share_labels(sheet, words.axis(x))
        sheet.axes.flat[0].set_ylabel(words.axis(y))
        bar = sheet.figure.colorbar(image, ax=list(sheet.axes.flat), aspect=16, pad=0.02)
        bar.set_label(words.axis(value, frame))
        bar.outline.set_visible(False)
        place_legend(sheet, sheet.notes, legend)
        sheet.describe(_caption(frame, table, means, value, steps, facet, theory, (y, x)))
    return sheet.result()


class Scale:
    """Where the cells of a coordinate stand: at their numbers, or side by side.

    Parameters
    ----------
    values : sequence
        In order.
    """

    def __init__(self, values: Sequence[Any]):
        self.values = list(values)
        self.numeric = all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in self.values)
        self.log = self.numeric and min(self.values) > 0 and spaced_by_powers(self.values)
        at = [float(v) for v in self.values] if self.numeric else list(range(len(self.values)))
        self.at = np.asarray(at, float)

    @property
    def edges(self) -> np.ndarray:
        """Return edges half way between neighbours, as the axis is scaled."""
        at = np.log(self.at) if self.log else self.at
        half = np.diff(at) / 2
        if not len(half):
            half = np.array([0.5 if not self.log else 0.3])
        edges = np.concatenate([[at[0] - half[0]], at[:-1] + half[: len(at) - 1], [at[-1] + half[-1]]])
        return np.exp(edges) if self.log else edges

    @property
    def middles(self) -> np.ndarray:
        """Return places half way between a cell's edges, as the axis is scaled."""
        edges = np.log(self.edges) if self.log else self.edges
        middles = (edges[1:] + edges[:-1]) / 2
        return np.exp(middles) if self.log else middles

    @property
    def narrowest(self) -> float:
        """Return the narrowest cell's share of the axis."""
        widths = np.diff(np.log(self.edges) if self.log else self.edges)
        return float(widths.min() / widths.sum())

    def dress(self, ax: Any, axis: str) -> None:
        """Set limits, scale and ticks of an axis."""
        ruled = getattr(ax, f"{axis}axis")
        if self.log:
            getattr(ax, f"set_{axis}scale")("log")
            ruled.set_minor_locator(FixedTicks([]))
        if len(self.at) <= _TICKS or not self.numeric or self.log:
            few = slice(None, None, 1 if not self.numeric else -(-len(self.at) // _TICKS))
            ruled.set_major_locator(FixedTicks(self.at[few]))
            names = dict(zip(self.at, (words.named(v) for v in self.values), strict=True))
            ruled.set_major_formatter(lambda v, _: names.get(v, f"{v:g}"))
        getattr(ax, f"set_{axis}lim")(self.edges[0], self.edges[-1])


def _there(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(frame[name].notna().any())


def _ends(frame: pd.DataFrame, value: str, step: int | None) -> pd.DataFrame:
    """Return a row for each network and seed at the step, or at its last one; without a value where it failed there."""
    at = frame if step is None else frame[frame["step"] == step]
    if at.empty:
        known = sorted(frame["step"].unique())
        raise GradlabError(f"a step from {known[0]} to {known[-1]} that was measured", repr(step), "step=None")
    names = [n for n in ("run", "network", "seed") if n in frame]
    at = at[at["step"] == at.groupby(names, observed=True)["step"].transform("max")]
    if "status" in at:
        ok = (at["status"] == "ok").groupby([at[n] for n in names], observed=True).transform("all")
        at = at.assign(**{value: at[value].where(ok)})
    return at.sort_values("layer").drop_duplicates(names)


def _colours(means: pd.DataFrame, value: str) -> dict[str, Any]:
    from matplotlib.colors import Normalize

    finite = means["mean"].dropna()
    if is_share(value) or finite.empty:
        return {"cmap": matplotlib.colormaps[SEQUENTIAL], "norm": Normalize(0, 1)}
    low, high = float(finite.min()), float(finite.max())
    return {"cmap": matplotlib.colormaps[SEQUENTIAL], "norm": Normalize(low, max(high, low + 1e-9))}


def _panel(
    ax: Any, part: pd.DataFrame, x: str, y: str, across: Scale, along: Scale, colours: dict[str, Any], annotate: bool
) -> Any:
    import seaborn
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import Normal, Stroke

    values = np.full((len(along.values), len(across.values)), np.nan)
    right, top = across.edges, along.edges
    ax.set_facecolor("0.92")
    image = ax.pcolormesh(right, top, np.ma.masked_invalid(values), **colours)
    across.dress(ax, "x")
    along.dress(ax, "y")
    size = _number_size(ax, across)
    for _, cell in part.iterrows():
        row, column = along.values.index(cell[y]), across.values.index(cell[x])
        values[row, column] = cell["mean"]
        n, lost = int(cell["n"]), {"zero": int(cell["n_zero"]), "failed": int(cell["n_not_finite"])}
        lost = {name: count for name, count in lost.items() if count}
        total = n + sum(lost.values())
        dark = n > 0 and is_dark(colours["cmap"](colours["norm"](cell["mean"])))
        corner = {"xy": (right[column], top[row]), "width": np.diff(right)[column], "height": np.diff(top)[row]}
        look = {"facecolor": "none" if n else "white", "edgecolor": "white" if dark else NEUTRAL, "linewidth": 0}
        for name in lost:
            ax.add_patch(Rectangle(**corner, **look, hatch=HATCHES[name], gid=name))
        if annotate:
            text = [f"{cell['mean']:.2f}"] if n else []
            text += [f"{count}/{total} {name}" for name, count in lost.items()]
            boxed = {"facecolor": "white", "pad": 0.8, "linewidth": 0} if lost else None
            under = colours["cmap"](colours["norm"](cell["mean"])) if n and not lost else "white"
            halo = [Stroke(linewidth=line_width(1.7), foreground=under), Normal()]  # where a line of theory passes
            ax.text(
                across.middles[column], along.middles[row], "\n".join(text), ha="center", va="center", gid="cell",
                color="white" if dark and not lost else "black", fontsize=size, bbox=boxed, path_effects=halo,
                zorder=4,
            )  # fmt: skip
    image.set_array(np.ma.masked_invalid(values))
    ax.tick_params(length=0)
    seaborn.despine(ax=ax, left=True, bottom=True)
    return image


def _number_size(ax: Any, across: Scale) -> float:
    """Return the points at which a number of four characters stays within the narrowest cell."""
    cell = 72 * ax.figure.get_figwidth() * ax.get_position().width * across.narrowest
    return min(0.85 * matplotlib.rcParams["font.size"], cell / (4 * 0.5))  # a digit is half as wide as it is high


def _draw_allowed(sheet: Canvas, ax: Any, table: pd.DataFrame, x: str, y: str, across: Scale, along: Scale) -> None:
    """Draw a line for each number of depth scales; over names a bar in each column."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import Normal, Stroke

    for name in (x, y):
        require(table, name)
    if not along.numeric:
        raise GradlabError(f"{y} to be a number, to draw a line of depths", "names", "theory=None")
    halo = {"path_effects": [Stroke(linewidth=line_width(2.4), foreground="black"), Normal()], "color": "white"}
    beyond = 1e3 * along.edges[-1]
    for i, (scales, rows) in enumerate(table.groupby("scales") if "scales" in table else [("", table)]):
        kind = LINES[i % len(LINES)]
        depth = rows[y].to_numpy(float).clip(max=beyond)  # infinite at the critical point
        if across.numeric:
            order = np.argsort(rows[x].to_numpy(float))
            ax.plot(rows[x].to_numpy(float)[order], depth[order], linestyle=kind, zorder=3, gid="allowed", **halo)
        else:
            at = np.array([across.values.index(v) if v in across.values else np.nan for v in rows[x]])
            ax.hlines(depth, at - 0.45, at + 0.45, linestyle=kind, zorder=3, gid="allowed", **halo)
        shown = rf"theory: {scales:g} $\xi_c$" if scales != "" else "theory"
        sheet.notes[shown] = Line2D([], [], linestyle=kind, **halo)
    ax.set(xlim=(across.edges[0], across.edges[-1]), ylim=(along.edges[0], along.edges[-1]))


def _caption(
    frame: pd.DataFrame, table: pd.DataFrame, means: pd.DataFrame, value: str, steps: Sequence[Any], facet: str | None,
    allowed: pd.DataFrame | None, axes: tuple[str, str],
) -> Caption:  # fmt: skip
    what = words.described(value)
    n = words.span([int(v) for v in means.loc[means["n"] > 0, "n"]] or [0], "seed")
    last = sorted(table["step"].unique())
    plural = "s" if len(steps) > 1 else ""
    when = f"the last step, {words.listed(sorted({last[0], last[-1]}))}"
    when = when if steps[0] is None else f"step{plural} {words.listed(steps)}"
    average = "geometric mean" if value.startswith("log10_") else "mean"
    names = [n for n in (facet, *axes) if n is not None]
    parts = [
        extremes(means, "mean", f"The {what.split(',')[0]}", names, log10=value.startswith("log10_")),
        f"{what[:1].upper()}{what[1:]} at {when}: colours are the {average} over n = {n}; no band.",
        f"A panel for each {facet}." if facet else "",
    ]
    zeros, failed = int(means["n_zero"].sum()), int(means["n_not_finite"].sum())
    if zeros:
        parts.append(f"Hatched: {zeros} networks and seeds with a value that is exactly 0, in no mean.")
    if failed:
        why = [w for w in frame["status"].unique() if w != "ok"] if "status" in frame else []
        reasons = f": {'; '.join(map(str, why))}" if why else ""
        parts.append(f"Cross-hatched: {failed} networks and seeds without a finite value{reasons}.")
    if allowed is not None:
        parts.append("Lines: depths to which theory lets two inputs stay apart, multiples of the depth scale ξ_c.")
    parts.append(f"Setting: {words.setting(frame[frame['layer'] >= 1])}.")
    return sentences(parts)
