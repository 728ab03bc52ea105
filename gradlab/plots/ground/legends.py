"""Where legends stand: in the axes where there is room, beside them, or one for all panels of a figure."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground.canvas import Canvas, lay_out, preset_name
from gradlab.plots.ground.captions import figure_of
from gradlab.plots.ground.styles import preset_of, style

if TYPE_CHECKING:
    from matplotlib.legend import Legend

#: What the functions of `gradlab.plots` take as `legend`.
Place = bool | Literal["inside", "right", "above", "below"]
OUTSIDE: tuple[str, ...] = ("above", "below", "right")
PLACES: tuple[str, ...] = ("inside", *OUTSIDE)
#: Of a figure's height, what its legend may take before it grows; of axes', what a legend inside may.
_SHARE, _ROOM = 0.19, 0.42
#: Of the width of axes; a layout may yet take a little of it.
_WIDTH = 0.94
#: Where a figure's legend stands: outside of what a layout engine arranges, or within the figure.
_SIDES = {
    "above": ("upper center", "upper center"), "below": ("lower center", "lower center"),
    "right": ("right upper", "upper right"),
}  # fmt: skip
#: About a legend inside, left free: a share of its text's height. A layout that is made anew moves axes a little.
_MARGIN = 0.25
#: Sizes of text that are tried inside axes.
_SIZES = (1.0, 0.85, 0.7)
#: Under this name axes keep what their legend shows; a legend of ours is known by its mark.
_HANDLES, _OURS = "_gradlab_handles", "gradlab legend"
#: Under this name axes are marked as a panel of a board, which has one legend for all of them.
_ON_BOARD = "_gradlab_on_board"
#: Places inside, the first that is free is taken.
_INSIDE = (
    "upper right", "upper left", "lower left", "lower right", "upper center", "lower center", "center left",
    "center right", "center",
)  # fmt: skip


def place_legend(sheet: Canvas, shown: dict[str, Any], where: Place = True) -> Any:
    """Leave the handles with the axes, and draw a legend of them where it was asked for."""
    first = sheet.axes.flat[0]
    if not sheet.ours:  # an earlier call may have drawn on them
        shown = {**getattr(first, _HANDLES, {}), **shown}
    for ax in sheet.axes.flat:
        setattr(ax, _HANDLES, shown)
    if where is False or not shown or (where is True and getattr(first, _ON_BOARD, False)):
        return None
    where = ("above" if sheet.ours else "inside") if where is True else where
    if where not in PLACES:
        raise unknown("place of a legend", where, [*PLACES, "False"])
    if where == "inside":
        return _inside(list(sheet.axes.flat), shown)
    if sheet.ours:
        return _of_figure(sheet.figure, shown, where)
    if where == "right":
        return _marked(sheet.axes.flat[-1].legend(
            shown.values(), shown.keys(), loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0, frameon=False
        ))  # fmt: skip
    return legend(sheet.figure, where=where)


def on_board(ax: Any) -> None:
    """Mark axes as a panel of a board, on which no call draws a legend unasked."""
    setattr(ax, _ON_BOARD, True)


def leave_handles(ax: Any, shown: dict[str, Any]) -> None:
    """Add what a panel's own lines show to what the legend of its figure will have."""
    setattr(ax, _HANDLES, {**getattr(ax, _HANDLES, {}), **shown})


def legend(figure: Any, *, where: Literal["above", "below", "right"] = "above") -> Legend:
    """Draw one legend for all panels that gradlab has drawn in a figure, in place of those of single panels.

    Parameters
    ----------
    figure : Figure, Axes or array of Axes
        On which functions of `gradlab.plots` have drawn, with ``legend=False`` or not.
    where : {"above", "below", "right"}
        Above all panels and below the figure's title, below them, or to their right. A layout engine makes room for
        it; where there is none, all panels are moved alike, so that they stay lined up.

    Returns
    -------
    Legend

    Raises
    ------
    GradlabError
        Where nothing was drawn, or one name stands for two looks, as "layer 2" of networks of 4 and of 40 layers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import gradlab as gl
    >>> frame = gl.run(gl.Sweep(depth=4, width=8, activation=("tanh", "relu"), seeds=2), progress=False)
    >>> figure, panels = plt.subplots(1, 2, layout="constrained")
    >>> for panel, column in zip(panels, ("log10_activation_rms", "log10_delta_rms")):
    ...     axes = gl.plots.gradient_flow(frame, value=column, ax=panel, legend=False)
    >>> [text.get_text() for text in gl.plots.legend(figure).get_texts()][:2]
    ['tanh', 'ReLU']
    """
    if where not in OUTSIDE:
        raise unknown("place of a legend for a figure", where, OUTSIDE)
    figure = figure_of(figure)
    shown: dict[str, Any] = {}
    for ax in figure.axes:
        for name, handle in getattr(ax, _HANDLES, {}).items():
            if name in shown and _look(shown[name]) != _look(handle):
                raise GradlabError(f"one look for {name!r}", "another in another panel", "a legend in each panel")
            shown.setdefault(name, handle)
    if not shown:
        raise GradlabError("a figure that gradlab has drawn lines on", "none", "gl.plots.gradient_flow(frame, ax=...)")
    for old in [*figure.legends, *(ax.get_legend() for ax in figure.axes)]:
        if old is not None and old.get_gid() == _OURS:
            old.remove()
    with style(preset_name(figure)):
        return _of_figure(figure, shown, where)


def has_legend(figure: Any) -> bool:
    """Return whether a legend of ours stands outside the panels of a figure."""
    return any(old.get_gid() == _OURS for old in figure.legends)


def _of_figure(figure: Any, shown: dict[str, Any], where: str) -> Any:
    """Draw a legend above all axes and below the title, in as many columns as have room; or to the right of them."""
    _lay_out(figure)
    title = getattr(figure, "_suptitle", None)
    top = figure.bbox.height if title is None or not title.get_text() else title.get_window_extent().y0
    if top == figure.bbox.height and isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        options: dict[str, Any] = {"loc": f"outside {_SIDES[where][0]}"}
    else:  # what stands outside would stand on the title
        loc = _SIDES[where][1]
        options = {"loc": loc, "bbox_to_anchor": (0, 0, 1, top / figure.bbox.height)}
    options["frameon"] = False
    make = lambda columns: figure.legend(shown.values(), shown.keys(), ncols=columns, **options)
    made = make(1) if where == "right" else _wide(make, len(shown), 0.99 * figure.bbox.width)
    _grow(figure, made)
    if not options["loc"].startswith("outside"):
        _make_room(figure, made, where)
    return _marked(made)


def _lay_out(figure: Any) -> None:
    """Put axes and titles where the layout will have them; it warns, if of anything, when its owner draws it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        lay_out(figure)


def _wide(make: Any, count: int, room: float) -> Any:
    """Make a legend in as many columns as the room allows, its last line nearly as long as the first."""
    columns = count
    made = make(columns)
    while columns > 1 and made.get_window_extent().width > room:
        made.remove()
        lines = -(-count // (columns - 1))
        columns = min(columns - 1, -(-count // lines))
        made = make(columns)
    return made


def _grow(figure: Any, made: Any) -> None:
    """Let a figure of ours on paper grow where a legend would leave its axes little; a slide cannot."""
    name = preset_name(figure)
    height, taken = figure.get_figheight(), made.get_window_extent().height / figure.dpi
    if name is not None and preset_of(name).column != preset_of(name).page and taken > _SHARE * height:
        figure.set_figheight(taken / _SHARE)


def _make_room(figure: Any, made: Any, where: str) -> None:
    """Move all panels alike, so that they leave the room that the legend takes."""
    box, engine = made.get_window_extent(), figure.get_layout_engine()
    if engine is not None:
        wide, high = 1.04 * box.width / figure.bbox.width, 1.1 * box.height / figure.bbox.height
        rect = {"above": (0, 0, 1, 1 - high), "below": (0, high, 1, 1 - high), "right": (0, 0, 1 - wide, 1)}[where]
        tight = type(engine).__name__ == "TightLayoutEngine"  # whose rect has corners, where others have sizes
        engine.set(rect=(0, high, 1, 1) if tight and where == "below" else rect)
        return
    seen = [ax.get_tightbbox() for ax in figure.axes if ax.get_visible()]
    if where == "below":
        beyond = box.y1 - min(b.y0 for b in seen)
        if beyond > 0:
            figure.subplots_adjust(bottom=figure.subplotpars.bottom + 1.05 * beyond / figure.bbox.height)
    elif where == "above":
        beyond = max(b.y1 for b in seen) - box.y0
        if beyond > 0:
            figure.subplots_adjust(top=figure.subplotpars.top - 1.05 * beyond / figure.bbox.height)
    else:
        beyond = max(b.x1 for b in seen) - box.x0
        if beyond > 0:
            figure.subplots_adjust(right=figure.subplotpars.right - 1.05 * beyond / figure.bbox.width)


def _inside(axes: list[Any], shown: dict[str, Any]) -> Any:
    """Draw the legend in the first of the axes that has a free place; else in room made above the lines of the first.

    Text is made smaller before that would take much of the axes; where even this does, the figure has the legend.
    """
    first = axes[0]
    _lay_out(first.figure)
    for size in _SIZES:
        for ax in axes:
            if (made := _free(ax, shown, size)) is not None:
                return _marked(made)
        if not any(_filled(ax) for ax in axes):
            made = _wide(
                lambda n, s=size: _within(first, shown, "upper left", n, s), len(shown), _WIDTH * first.bbox.width
            )
            box = made.get_window_extent()
            taken = (first.bbox.y1 - box.y0 + 0.4 * _points() * first.figure.dpi / 72) / first.bbox.height
            if taken <= _ROOM and box.width <= _WIDTH * first.bbox.width:
                limits, automatic = first.get_ylim(), first.get_autoscaley_on()
                known = first.dataLim.get_points().copy()
                _raise_top(first, taken)
                if not any(covers(box) for covers in inks_of(first)):
                    return _marked(made)
                first.dataLim.set_points(known)  # an upright line, or an inset, is there at any height
                first.set_ylim(limits, auto=automatic)
            made.remove()
    return legend(first.figure)


def _free(ax: Any, shown: dict[str, Any], size: float) -> Any:
    """Draw the legend in a place where nothing is drawn; return None where there is none."""
    for columns in _columns(len(shown)):
        made = _within(ax, shown, "upper right", columns, size)
        if made.get_window_extent().width > _WIDTH * ax.bbox.width:
            made.remove()
            return None
        inks = list(inks_of(ax))
        for loc in _INSIDE:
            made.set_loc(loc)
            box = made.get_window_extent().padded(_MARGIN * _points() * ax.figure.dpi / 72)
            if made.get_window_extent().y0 >= ax.bbox.y0 and not any(covers(box) for covers in inks):
                return made
        made.remove()
    return None


def _within(ax: Any, shown: dict[str, Any], loc: str, columns: int, size: float) -> Any:
    style = {"fontsize": size * _points(), "handlelength": 2.0, "columnspacing": 1.2, "borderaxespad": 0.3}
    return ax.legend(shown.values(), shown.keys(), loc=loc, ncols=columns, frameon=False, **style)


def _columns(count: int) -> Iterator[int]:
    """Give the numbers of columns to try: one first, which fits into corners, then flatter ones."""
    yield from dict.fromkeys(-(-count // lines) for lines in range(count, 0, -1))


def _points() -> float:
    """Return the size of the legend's text."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=matplotlib.rcParams["legend.fontsize"]).get_size_in_points()


def _filled(ax: Any) -> bool:
    """Return whether cells of colour fill the axes, which no limits leave free."""
    return any(hasattr(c, "get_coordinates") for c in ax.collections) or bool(ax.images)


def _raise_top(ax: Any, share: float) -> None:
    """Let the axis end so much higher that `share` of it is free at the top."""
    there = ax.yaxis.get_transform()
    low, high = there.transform(np.array(ax.get_ylim(), float))
    top = float(there.inverted().transform(np.array([low + (high - low) / (1 - share)]))[0])
    if ax.get_autoscaley_on():  # so that it still takes in what is drawn later
        left = ax.dataLim.x0 if np.isfinite(ax.dataLim.x0) else 0.0
        ax.update_datalim([(left, top)], updatex=False)
        ax.autoscale_view(scalex=False)
    if (ax.get_ylim()[1] > top) if ax.yaxis_inverted() else (ax.get_ylim()[1] < top):
        ax.set_ylim(top=top)


def inks_of(ax: Any) -> Iterator[Any]:
    """Give, for each thing drawn in the axes, whether it covers some of a box on the page."""
    for line in ax.lines:
        path = line.get_transform().transform_path(line.get_path())
        if line.get_linestyle() not in ("None", ""):
            yield lambda box, p=path: p.intersects_bbox(box, filled=False)
        if line.get_marker() not in ("None", "", None):
            points = path.vertices[np.isfinite(path.vertices).all(axis=1)]
            edge = 0.5 * line.get_markersize() * ax.figure.dpi / 72
            yield lambda box, p=points, e=edge: bool(_near(p, box, e).any())
    for patch in ax.patches:
        path = patch.get_transform().transform_path(patch.get_path())
        yield lambda box, p=path: p.intersects_bbox(box, filled=True)
    for collection in ax.collections:
        if hasattr(collection, "get_coordinates"):
            yield lambda box: True
            continue
        there, offsets = collection.get_transform(), collection.get_offsets()
        if len(offsets) and np.any(offsets):
            points = collection.get_offset_transform().transform(np.ma.filled(offsets, np.nan))
            yield lambda box, p=points: bool(_near(p, box, 4.0).any())
            continue
        filled = len(collection.get_facecolor()) > 0
        for path in collection.get_paths():
            path = there.transform_path(path)
            yield lambda box, p=path, f=filled: len(p.vertices) > 0 and p.intersects_bbox(box, filled=f)
    yield from (lambda box: True for _ in ax.images)
    for thing in itertools.chain(ax.texts, ax.child_axes):
        extent = thing.get_tightbbox() if thing in ax.child_axes else thing.get_window_extent()
        yield lambda box, e=extent: box.overlaps(e)


def _near(points: Any, box: Any, edge: float) -> Any:
    x, y = np.asarray(points, float).T
    with np.errstate(invalid="ignore"):
        return (x > box.x0 - edge) & (x < box.x1 + edge) & (y > box.y0 - edge) & (y < box.y1 + edge)


def _look(handle: Any) -> tuple[Any, ...]:
    """Return what a reader sees of a handle."""
    names: Iterable[str] = ("color", "marker", "linestyle", "markerfacecolor", "facecolor")
    values = (getattr(handle, f"get_{name}", lambda: None)() for name in names)
    return tuple(str(v) for v in values)


def _marked(made: Any) -> Any:
    made.set_gid(_OURS)
    return made
