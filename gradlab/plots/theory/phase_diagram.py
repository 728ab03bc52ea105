"""The phase diagram: where random networks of infinite width lose or amplify gradients, and what was measured there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, colour_bar
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.styles import DIVERGING, SEQUENTIAL, line_width, marker_size
from gradlab.plots.ground.tables import checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gradlab.theory.phase import PhaseDiagram

#: Label of the colours, and what is drawn of chi1, as log10.
FIELDS: dict[str, str] = {
    "chi1": r"$\chi_1$, factor of $|\delta|^2$ per layer",
    "xi_grad": r"$|\xi_\nabla|$  [layers]",
}
#: Layers at which the colours of a depth scale end: it is infinite on the line.
_LONGEST = 1000.0


def phase_diagram(
    frame: pd.DataFrame | None = None,
    *,
    theory: PhaseDiagram,
    field: Literal["chi1", "xi_grad"] = "chi1",
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes:
    r"""Draw the plane of bias and weight variance in colours of :math:`\chi_1`, the critical line and measured rates.

    Parameters
    ----------
    frame : DataFrame, optional
        From `gradlab.rates`: each network is a point in the colours of the plane, its rate squared where
        :math:`\chi_1` is drawn. Networks of other activations and without a rate are left out.
    theory : PhaseDiagram
        From `gradlab.theory.phase_diagram`.
    field : {"chi1", "xi_grad"}
        :math:`\chi_1`, in diverging colours about 1, or the depth scale of the gradient, :math:`|1/\ln\chi_1|`.
    ax : Axes, optional
        Where to draw; a figure of its own where it is left out.
    title, preset : optional
        As in `gradient_flow`.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import gradlab as gl
    >>> diagram = gl.theory.phase_diagram("tanh", sigma_w2=[1.0, 2.0, 3.0], sigma_b2=[0.0, 0.1, 0.2])
    >>> gl.plots.phase_diagram(theory=diagram).get_xlabel()
    '$\\sigma_b^2$ (bias variance)'
    """
    if not hasattr(theory, "critical"):
        raise GradlabError(
            "a diagram from gl.theory.phase_diagram", type(theory).__name__, "phase_diagram('tanh', ...)"
        )
    if field not in FIELDS:
        raise unknown("field", field, FIELDS)
    points = _points(theory, frame)
    values = _log10(theory.chi1, field).T
    with canvas(ax, preset, title=title, height=2.8) as sheet:
        axes = sheet.axes.flat[0]
        look = _colours(field, values, _log10(points["chi1"].to_numpy(float), field))
        smooth = {"shading": "gouraud" if np.isfinite(values).all() and min(values.shape) > 1 else "nearest"}
        image = axes.pcolormesh(
            theory.sigma_b2, theory.sigma_w2, np.ma.masked_invalid(values), rasterized=True, **smooth, **look
        )  # fmt: skip
        limits = axes.get_xlim(), axes.get_ylim()
        _line(axes, theory)
        _names(axes, theory)
        if len(points):
            _dots(axes, points, _log10(points["chi1"].to_numpy(float), field), look)
        axes.set(xlim=limits[0], ylim=limits[1], xlabel=words.axis("sigma_b2"), ylabel=words.axis("sigma_w2"))
        bar = colour_bar(sheet, [axes], image, FIELDS[field])
        _ticks(bar, image)
        sheet.describe(_caption(theory, points, field))
    return axes


def _dots(ax: Any, points: pd.DataFrame, colours: np.ndarray, look: dict[str, Any]) -> None:
    """Draw measured networks in the plane's colours, in a white and a black ring: they are seen on every colour."""
    at = points["sigma_b2"], points["sigma_w2"]
    black = {"color": "black", "linewidths": 0, "zorder": 3.9, "clip_on": False, "gid": "ring"}
    ax.scatter(*at, s=marker_size(2.5) ** 2, **black)
    white = {"edgecolors": "white", "linewidths": line_width(0.9), "zorder": 4, "clip_on": False, "gid": "measured"}
    ax.scatter(*at, s=marker_size(1.6) ** 2, c=colours, **white, **look)


def _points(record: PhaseDiagram, rates: pd.DataFrame | None) -> pd.DataFrame:
    """Return measured networks, with the factor of the squared delta that their rates are."""
    if rates is None:
        return pd.DataFrame({"sigma_w2": [], "sigma_b2": [], "chi1": []})
    checked(rates, "rate", "sigma_w2", "sigma_b2")
    kept = rates[rates["rate"].notna()]
    if "activation" in kept:
        kept = kept[kept["activation"].astype(str) == record.activation]
    if kept.empty:
        raise GradlabError(f"rates of networks of {record.activation}", "none", "no frame, or their own diagram")
    return kept.assign(chi1=kept["rate"] ** 2)


def _log10(chi1: np.ndarray, field: str) -> np.ndarray:
    with np.errstate(divide="ignore"):
        if field == "chi1":
            return np.log10(chi1)
        return np.log10(np.minimum(np.abs(1 / np.log(chi1)), _LONGEST))


def _colours(field: str, plane: np.ndarray, points: np.ndarray) -> dict[str, Any]:
    from matplotlib.colors import Normalize

    finite = np.concatenate([v[np.isfinite(v)] for v in (plane.ravel(), points)])
    if field == "chi1":
        top = max(float(np.abs(finite).max()), 1e-3) if len(finite) else 1.0
        return {"cmap": DIVERGING, "norm": Normalize(-top, top)}
    return {"cmap": SEQUENTIAL, "norm": Normalize(float(finite.min()), float(finite.max()))}


def _halo() -> list[Any]:
    from matplotlib.patheffects import Normal, Stroke

    return [Stroke(linewidth=line_width(2.2), foreground="white"), Normal()]


def _line(ax: Any, record: PhaseDiagram) -> None:
    """Draw chi1 = 1: drawn through where it can be used, dotted where the variance runs away."""
    line = record.critical
    order = np.argsort(line.q_star)
    usable = line.usable[order]
    for keep, kind in ((usable, "-"), (~usable, ":")):
        if keep.any():
            x, y = (np.where(keep, v[order], np.nan) for v in (line.sigma_b2, line.sigma_w2))
            gid = "critical" if kind == "-" else "unusable"
            ax.plot(x, y, color="black", linestyle=kind, zorder=3, path_effects=_halo(), gid=gid)


def _names(ax: Any, record: PhaseDiagram) -> None:
    """Name the two phases in the middle of each: the colours do not say it in grey."""
    for name, part in (("ordered: vanish", record.chi1 < 1), ("chaotic: explode", record.chi1 > 1)):
        if part.sum() > 1:
            b, w = (record.sigma_b2[np.nonzero(part)[0]], record.sigma_w2[np.nonzero(part)[1]])
            where = {"ha": "center", "va": "center", "color": "black", "zorder": 3, "path_effects": _halo()}
            ax.text(np.mean(b), np.mean(w), name, **where)


def _ticks(bar: Any, image: Any) -> None:
    """Label the bar of colours in the quantity itself."""
    low, high = image.norm.vmin, image.norm.vmax
    span = np.array([m * 10.0**k for k in range(-4, 5) for m in (1, 2, 5)])
    if high - low < 0.8:  # less than a factor of six: numbers that are near each other
        span = np.round(np.append(np.arange(0.2, 1, 0.1), np.arange(1, 4, 0.25)), 2)
    ticks = np.log10(span)
    keep = (ticks >= low - 1e-9) & (ticks <= high + 1e-9)
    bar.set_ticks(ticks[keep], labels=[f"{v:g}" for v in span[keep]])


def _caption(record: PhaseDiagram, points: pd.DataFrame, field: str) -> Caption:
    line = record.critical
    seen = (line.sigma_b2 >= record.sigma_b2.min()) & (line.sigma_b2 <= record.sigma_b2.max())
    seen &= (line.sigma_w2 >= record.sigma_w2.min()) & (line.sigma_w2 <= record.sigma_w2.max())
    subject = f"Gradients of {words.named(record.activation)} networks of infinite width"
    if seen.any():
        order = np.flatnonzero(seen)[np.argsort(line.sigma_b2[seen])]
        ends = dict.fromkeys(int(i) for i in order[[0, -1]])
        crossings = words.listed(f"σ_w² = {line.sigma_w2[i]:.3g} at σ_b² = {line.sigma_b2[i]:.2g}" for i in ends)
        first = f"{subject} vanish below the black line and explode above it: it passes {crossings}."
    else:
        where = "explode" if np.nanmean(np.log(record.chi1)) > 0 else "vanish"
        first = f"{subject} {where} in all of this plane: no line χ1 = 1 crosses it."
    what = {
        "chi1": "χ1, the factor of the mean squared delta per layer",
        "xi_grad": "the gradient's depth scale |1/ln χ1|, in layers",
    }[field]
    parts = [
        first, f"Colours are {what}; the line is χ1 = 1.",
        "" if record.critical.usable.all() else "Dotted: χ1 = 1 where the variance runs away.",
    ]  # fmt: skip
    if len(points):
        n = f", n = {words.span([int(v) for v in points['n_seeds']], 'seed')}" if "n_seeds" in points else ""
        drawn = {"chi1": "the square of their rate", "xi_grad": "the depth scale of their rate, |1/(2 ln rate)|"}[field]
        parts.append(f"Ringed points: {len(points)} measured networks{n}, {drawn} in the same colours.")
    return sentences(parts)
