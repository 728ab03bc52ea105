"""The maps of mean field: how the variance goes to q*, the correlation to c*, and what that does to the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, name_panel
from gradlab.plots.ground.captions import Caption, sentences
from gradlab.plots.ground.styles import COLOURS, FAINT, NEUTRAL, line_width

if TYPE_CHECKING:
    from gradlab.theory.maps import MeanFieldMaps


def maps(
    record: MeanFieldMaps,
    *,
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> np.ndarray:
    r"""Draw the variance map and its cobweb, the correlation map, slope :math:`\chi_1` at c = 1, and :math:`\chi(q)`.

    Parameters
    ----------
    record : MeanFieldMaps
        From `gradlab.theory.mean_field_maps`.
    ax : array of 3 Axes, optional
        None: a figure of its own.
    title : str, optional
        None: the network and its phase, where the figure is made here.
    preset : optional
        As in `gradient_flow`.

    Returns
    -------
    array of Axes, shape (3,)

    Examples
    --------
    >>> import gradlab as gl
    >>> axes = gl.plots.maps(gl.theory.mean_field_maps("tanh", sigma_w2=2.0))
    >>> len(axes)
    3
    """
    if not hasattr(record, "theory"):
        raise GradlabError("maps from gl.theory.mean_field_maps", type(record).__name__, "mean_field_maps('tanh', ...)")
    theory = record.theory
    if title is None and ax is None:
        title = (
            rf"{words.named(theory.activation)}, $\sigma_w^2 = {theory.sigma_w2:.4g}$, "
            rf"$\sigma_b^2 = {theory.sigma_b2:.3g}$: {theory.phase}"
        )
    with canvas(ax, preset, 1, 3, title=title, wide=True, height=2.6) as sheet:
        one, two, three = axes = sheet.axes[0]
        _variance(one, record)
        _correlation(two, record)
        _slope(three, record)
        limit = np.isfinite(theory.c_star)
        name_panel(sheet, one, f"$q^* = {_number(theory.q_star)}$")
        name_panel(sheet, two, f"$c^* = {_number(theory.c_star)}$" if limit else _at(record))
        name_panel(sheet, three, rf"$\chi_1 = {theory.chi1:.4g}$")
        sheet.describe(_caption(record))
    return axes


def _variance(ax: Any, record: MeanFieldMaps) -> None:
    ax.plot(record.q, record.q, color=FAINT, gid="diagonal")
    steps = np.repeat(record.path, 2)
    ax.plot(steps[:-1], np.append(0.0, steps[2:]), color=NEUTRAL, linewidth=line_width(0.6), gid="cobweb")
    ax.plot(record.q, record.variance, color=COLOURS[0], gid="map")
    _mark(ax, record.theory.q_star, record.theory.q_star)
    ax.set(xlabel="variance $q$ of a layer", ylabel="variance of the next layer", xlim=(0, record.q[-1]))
    ax.set_ylim(0, max(record.q[-1], np.nanmin([record.variance[-1], 2 * record.q[-1]])))


def _correlation(ax: Any, record: MeanFieldMaps) -> None:
    ax.set(xlabel="correlation $c$ of a layer", ylabel="correlation of the next layer", xlim=(0, 1.02), ylim=(0, 1.02))
    ax.plot([0, 1], [0, 1], color=FAINT, gid="diagonal")
    theory = record.theory
    ax.plot(record.c, record.correlation, color=COLOURS[0], gid="map")
    if np.isfinite(theory.c_star):  # else q goes on changing, and the slope is not chi1
        near = np.array([0.75, 1.0])
        ax.plot(near, 1 - theory.chi1 * (1 - near), color=COLOURS[1], linestyle="--", gid="slope")
    _mark(ax, theory.c_star, theory.c_star)


def _slope(ax: Any, record: MeanFieldMaps) -> None:
    ax.axhline(1, color=FAINT, gid="critical")
    ax.plot(record.q, record.chi, color=COLOURS[0], gid="map")
    _mark(ax, record.theory.q_star, record.theory.chi1)
    ax.set(xlabel="variance $q$", ylabel=r"$\chi(q)$, factor of $|\delta|^2$ per layer", xlim=(0, record.q[-1]))
    low, high = min(0.9, record.chi.min()), max(1.1, record.chi.max())
    ax.set_ylim(max(0.0, low - 0.1 * (high - low)), high + 0.1 * (high - low))


def _mark(ax: Any, x: float, y: float) -> None:
    """Mark the fixed point on the map; its value stands above the panel, where no line is."""
    if np.isfinite(x) and np.isfinite(y):
        ax.plot([x], [y], linestyle="", marker="o", color=COLOURS[1], clip_on=False, zorder=4, gid="fixed point")


def _at(record: MeanFieldMaps) -> str:
    """Say for which variance the correlation map is, where none stays."""
    return r"as $q \to 0$" if record.theory.q_star == 0 else f"at $q = {_number(record.q_of_map)}$"


def _number(value: float) -> str:
    return r"\infty" if np.isinf(value) else f"{value:.3g}"


def _caption(record: MeanFieldMaps) -> Caption:
    theory = record.theory
    # layers in which the gradient changes tenfold; its square has the factor chi1
    layers = np.log(10) / abs(0.5 * np.log(theory.chi1)) if theory.chi1 not in (0.0, 1.0) else np.inf
    does = {"ordered": "falls", "chaotic": "grows"}.get(theory.phase)
    what = f"{does} tenfold in {layers:.3g} layers toward the input" if does else "neither falls nor grows"
    limit = np.isfinite(theory.c_star)
    where = f"at q*, with c* = {theory.c_star:.3g}" if limit else _at(record).replace("$", "").replace(r"\to", "→")
    return sentences([
        f"The gradient of {words.named(theory.activation)} networks with σ_w² = {theory.sigma_w2:.4g} and σ_b² = "
        f"{theory.sigma_b2:.3g} {what} (χ1 = {theory.chi1:.4g}, {theory.phase}).",
        f"Left: the variance of a layer from that of the one before, and the path from an input of q = "
        f"{record.path[0]:.3g} to q* = {theory.q_star:.3g}.",
        f"Middle: the correlation of two inputs {where}{'; dashed: its slope χ1 at c = 1' if limit else ''}.",
        "Right: the factor χ(q) of the mean squared delta per layer. Dots: fixed points. Theory of infinite width: no "
        "seeds, no band.",
    ])  # fmt: skip
