"""The layer map: rows are layers, columns are training steps, colours say where and when a gradient is lost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, roles, sentences
from gradlab.plots.ground.decades import step_axis
from gradlab.plots.ground.findings import quantity
from gradlab.plots.ground.headers import share_labels, write_headers
from gradlab.plots.ground.steps import grid_of, initial, of_layers, trained
from gradlab.plots.ground.styles import NEUTRAL, SEQUENTIAL, Looks
from gradlab.plots.ground.tables import summaries
from gradlab.plots.ground.zones import DECADE, EXPLODING, bar, colours, outline, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Practice asks for updates of about a thousandth of the weight (Karpathy 2015, lecture notes of CS231n).
_RATIO = -3.0
#: Layers that have a tick of their own, and letters of their names.
_TICKS, _LETTERS = 12, 24
#: Cells in one panel, up to which single ones are outlined.
_OUTLINED = 2000
#: Hatches of cells whose value is not finite in all seeds, exactly 0 in all seeds.
_FAILED, _ZERO = "xxxx", "////"


def layer_map(
    frame: pd.DataFrame,
    *,
    value: str = "log10_weight_grad_norm",
    x: str = "step",
    row: str | Sequence[str] | None = None,
    col: str | Sequence[str] | None = None,
    reference: Literal["last"] | float | None = None,
    absolute: bool = False,
    readout: bool = False,
    limit: float | None = None,
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw a measured quantity of every layer at every step, as colours: where along the network it fades, and when.

    Parameters
    ----------
    frame : DataFrame
        Of a training run, with several steps; from `gradlab.monitor_records` too.
    value : str
        A measured column of log10 values: ``log10_weight_grad_norm``, ``log10_delta_rms``, ``log10_update_ratio``.
    x : str
        The column that counts training.
    row, col : str or sequence of str, optional
        Coordinates that have a row, or a column, of panels for each of their values. None for both: all that differ.
    reference : {"last"} or float, optional
        What the light middle of the colours stands for: the last layer that is drawn, at the same step, so that the
        first row shows the decades of the verdict; or a number, as log10. None: "last", and -3, a thousandth of the
        weight, for ``log10_update_ratio``.
    absolute : bool
        Whether colours are the values themselves, from dark to light, beside no reference.
    readout : bool
        Whether the readout has a row.
    limit : float, optional
        Decades at the ends of the colours. None: the largest drawn. One decade has the same tone in every figure.
    ax : Axes or sequence of Axes, optional
        One for each panel.
    title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes, or array of Axes where there are several panels
        Geometric means over seeds. Cross-hatched cells are finite in no seed, hatched ones exactly 0 in all; what was
        not measured is grey. Black lines part what lies beyond a decade of the reference.

    Examples
    --------
    >>> import jax.numpy as jnp, optax
    >>> import gradlab as gl
    >>> params = {"first": {"kernel": jnp.ones((4, 4))}, "last": {"kernel": jnp.ones((4, 2))}}
    >>> tx = gl.monitored(optax.sgd(0.1))
    >>> state = tx.init(params)
    >>> for _ in range(3):
    ...     updates, state = tx.update(params, state, params)
    >>> axes = gl.plots.layer_map(gl.frame(gl.monitor_records(state)))
    >>> axes.get_xlabel()
    'training step'
    """
    trained(frame, x, value)
    if not (value.startswith("log10_") or value == "delta_log10_mean"):
        raise GradlabError("a column of log10 values", repr(value), 'value="log10_weight_grad_norm"')
    if limit is not None and not 0 < limit < np.inf:
        raise GradlabError("limit to be a positive number of decades", repr(limit), "limit=10")
    if reference is None:
        reference = _RATIO if value == "log10_update_ratio" else "last"
    grid = grid_of(frame, row, col, x, ax is not None)
    maps = [_Map.of(of_layers(part, value, readout), x, value) for _, part in grid.panels]
    if not absolute:
        maps = [one.relative(reference) for one in maps]
    finite = np.concatenate([one.values[np.isfinite(one.values)] for one in maps] or [np.zeros(0)])
    if not len(finite):
        raise GradlabError(f"{words.described(value)} to be measured", "no finite value", "another column")
    largest = float(np.abs(finite).max())
    look = _colours(finite, absolute, limit or largest)
    many = len(maps) > 1
    height = 2.4 if grid.shape[0] == 1 else 0.8 + 1.25 * grid.shape[0]
    shared = {"sharex": True} if ax is None else {}
    with canvas(ax, preset, *grid.shape, title=title, wide=many, height=height, **shared) as sheet:
        used = sheet.axes.ravel()[: len(maps)]
        image = None
        for axes, one, (name, _) in zip(used, maps, grid.panels, strict=True):
            image = _draw(axes, one, look, absolute) or image
            name_panel(sheet, axes, name if many and not (grid.row and sheet.ours) else "")
            axes.set_xlabel(words.axis(x))
            axes.set_ylabel(words.axis("layer") if one.numbered else "layer")
        for axes in sheet.axes.ravel()[len(maps) :]:
            axes.set_visible(False)
        if absolute:
            made = sheet.figure.colorbar(image, ax=list(used), aspect=18, pad=0.02)
            made.set_label(rf"$\log_{{10}}$ of {words.axis(value, frame)}")
            made.outline.set_visible(False)
        else:
            beyond = limit is not None and largest > limit
            bar(sheet.figure, image, list(used), _label(reference), beyond=beyond, steady="")
        if sheet.ours and many:
            share_labels(sheet, words.axis(x), words.axis("layer") if maps[0].numbered else "layer")
            write_headers(sheet, grid.row, grid.col)
        sheet.describe(_caption(frame, maps, value, x, reference, absolute, grid.names))
    return used if many else used[0]


class _Map:
    """One panel: means over seeds by layer (from the input) and step, and where they are 0 or not finite."""

    def __init__(
        self, steps: np.ndarray, layers: list[int], names: list[str], values: Any, zero: Any, failed: Any, n: Any
    ):
        self.steps, self.layers, self.names = steps, layers, names
        self.values, self.zero, self.failed, self.n = values, zero, failed, n

    @classmethod
    def of(cls, rows: pd.DataFrame, x: str, value: str) -> _Map:
        """Return the map of the rows of one network."""
        if rows.empty:
            return cls(np.zeros(0), [], [], *np.zeros((4, 0, 0)))
        table, _ = summaries(rows, ["layer", x], value, "range")
        layers, steps = sorted(rows["layer"].unique()), np.sort(rows[x].unique()).astype(float)
        cells = lambda name: table.pivot(index="layer", columns=x, values=name).reindex(index=layers, columns=steps)
        wide = lambda name, fill: cells(name).to_numpy(float, na_value=fill)
        n = wide("n", 0)
        names = rows.drop_duplicates("layer").set_index("layer")["layer_name"] if "layer_name" in rows else {}
        named = [str(names[layer]) if layer in names else "" for layer in layers]
        return cls(steps, [int(v) for v in layers], named, wide("mean", np.nan), (wide("n_zero", 0) > 0) & (n == 0),
                   (wide("n_not_finite", 0) > 0) & (n == 0), n)  # fmt: skip

    @property
    def numbered(self) -> bool:
        """Return whether layers are known by their numbers, and have no names that a user gave them."""
        return all(re.fullmatch(r"(hidden|layer|block)?_?\d*|readout|cell", name) for name in self.names)

    def relative(self, reference: Any) -> _Map:
        """Return the same beside a number, or beside the last layer that is finite at each step."""
        if reference == "last":
            columns = np.arange(self.values.shape[1])
            last = [max(np.flatnonzero(np.isfinite(self.values[:, c])), default=0) for c in columns]
            reference = self.values[last, columns] if self.values.size else 0.0
        values = self.values - reference
        return _Map(self.steps, self.layers, self.names, values, self.zero, self.failed, self.n)


def _colours(finite: np.ndarray, absolute: bool, top: float) -> dict[str, Any]:
    if not absolute:
        return {"cmap": colours(), "norm": scale(top)}
    low, high = float(finite.min()), float(finite.max())
    return {
        "cmap": matplotlib.colormaps[SEQUENTIAL],
        "norm": matplotlib.colors.Normalize(low, max(high, low + 1e-9)),
    }


def _draw(ax: Any, one: _Map, look: dict[str, Any], absolute: bool) -> Any:
    """Draw cells with edges half way between steps, as the axis is scaled."""
    import seaborn

    if not one.values.size:
        ax.text(0.5, 0.5, "no such network", transform=ax.transAxes, ha="center", color=NEUTRAL, gid="none")
        return None
    step_axis(ax, one.steps)
    right, top = _edges(ax, one.steps), np.arange(len(one.layers) + 1) - 0.5
    ax.set_facecolor("0.92")
    image = ax.pcolormesh(right, top, np.ma.masked_invalid(one.values), rasterized=one.values.size > 4000, **look)
    for mask, hatch, name in ((one.failed, _FAILED, "failed"), (one.zero, _ZERO, "zero")):
        _hatch(ax, mask, right, top, hatch, name, "white")
    if not absolute:
        _hatch(ax, np.nan_to_num(one.values) > DECADE, right, top, EXPLODING, "exploding", "none")
        if one.values.size <= _OUTLINED:
            outline(ax, one.values, right, top)
    ax.set(xlim=(right[0], right[-1]), ylim=(top[0], top[-1]))
    places = np.unique(np.linspace(0, len(one.layers) - 1, min(_TICKS, len(one.layers))).round().astype(int))
    labels = [str(one.layers[i]) if one.numbered else _end_of(words.named(one.names[i])) for i in places]
    ax.set_yticks(places, labels)
    ax.tick_params(axis="y", length=0)
    seaborn.despine(ax=ax, left=True, bottom=True)
    return image


def _end_of(name: str) -> str:
    """Return the end of a long name, from a slash on where one is near: paths of layers begin alike."""
    if len(name) <= _LETTERS:
        return name
    end = name[1 - _LETTERS :]
    return f"…{end[end.find('/') :] if '/' in end[:-1] else end}"


def _edges(ax: Any, steps: np.ndarray) -> np.ndarray:
    to = ax.xaxis.get_transform()
    at = to.transform(steps)
    half = np.diff(at) / 2 if len(at) > 1 else np.array([0.5])
    edges = np.concatenate([[at[0] - half[0]], at[:-1] + half[: len(at) - 1], [at[-1] + half[-1]]])
    return to.inverted().transform(edges)


def _hatch(ax: Any, mask: np.ndarray, right: np.ndarray, top: np.ndarray, hatch: str, name: str, face: str) -> None:
    """Hatch cells, those beside one another as one."""
    from matplotlib.patches import Rectangle

    for row, cells in enumerate(np.asarray(mask, bool)):
        steps = np.flatnonzero(np.diff(np.concatenate([[0], cells.astype(int), [0]])))
        for first, end in zip(steps[::2], steps[1::2], strict=True):
            ax.add_patch(Rectangle(
                (right[first], top[row]), right[end] - right[first], 1, facecolor=face, edgecolor=NEUTRAL, hatch=hatch,
                linewidth=0, gid=name,
            ))  # fmt: skip


def _label(reference: Any) -> str:
    if reference == "last":
        return r"$\log_{10}$(layer / last layer)"
    return rf"$\log_{{10}}$(layer / $10^{{{reference:g}}}$)"


def _finding(maps: list[_Map], value: str, reference: Any, absolute: bool) -> str:
    """Say at what the first layer stands at the last step, in the panels where it is smallest and largest."""
    ends = [float(m.values[0, -1]) for m in maps if m.values.size and np.isfinite(m.values[0, -1])]
    if not ends:
        return ""
    beside = "" if absolute else " times the last layer's" if reference == "last" else f" times {10.0**reference:g}"
    low, high = (f"{10.0**v:.2g}" for v in (min(ends), max(ends)))
    does = f"is {low}" if low == high else f"lies between {low} and {high}"
    return f"At the last step the {quantity(value)} of the first layer {does}{beside}."


def _caption(
    frame: pd.DataFrame, maps: list[_Map], value: str, x: str, reference: Any, absolute: bool,
    facets: tuple[list[str], list[str]],
) -> Caption:  # fmt: skip
    what = words.described(value)
    counts = np.concatenate([one.n.ravel() for one in maps])
    n = words.span([int(v) for v in counts[counts > 0]] or [0], "seed")
    failed, zero = (sum(int(getattr(one, name).sum()) for one in maps) for name in ("failed", "zero"))
    beside = "the last layer's at the same step" if reference == "last" else f"{10.0 ** float(reference):g}"
    parts = [
        _finding(maps, value, reference, absolute),
        f"{what[:1].upper()}{what[1:]}, of each layer (rows, the first next to the input at the bottom) against the "
        f"{words.axis(x)}{initial(frame[x])}.",
        "Colours: its log10." if absolute else f"Colours: decades beside {beside}; blue is smaller, red larger (dotted "
        "beyond one decade); black lines: one decade.",
        f"Geometric means over n = {n}.",
        roles(Looks(None, None), *facets),
        f"Cross-hatched: {failed} cells that are finite in no seed." if failed else "",
        f"Hatched: {zero} cells that are exactly 0 in all seeds." if zero else "",
        f"Setting: {setting}." if (setting := words.setting(frame[frame["layer"] >= 1])) else "",
    ]  # fmt: skip
    return sentences(parts)
