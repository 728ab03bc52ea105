"""The maps of mean field: how the variance goes to q*, the correlation to c*, and what that does to the gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gradlab._errors import GradlabError
from gradlab.plots.canvas import canvas
from gradlab.plots.styles import COLOURS, FAINT, NEUTRAL, line_width

if TYPE_CHECKING:
    from gradlab.theory.maps import MeanFieldMaps


def maps(
    found: MeanFieldMaps,
    *,
    ax: Any = None,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Any:
    r"""Variance map with its cobweb, correlation map with the slope :math:`\chi_1` at c = 1, and :math:`\chi(q)`.

    Parameters
    ----------
    found : MeanFieldMaps
        From `gradlab.theory.mean_field_maps`.
    ax : array of 3 Axes, optional
        None: a figure of its own.
    title : str, optional
        None: the network, its phase and its slope, over a figure of ours.
    preset
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
    if not hasattr(found, "theory"):
        raise GradlabError("maps from gl.theory.mean_field_maps", type(found).__name__, "mean_field_maps('tanh', ...)")
    theory = found.theory
    if title is None and ax is None:
        title = (
            rf"{theory.activation}, $\sigma_w^2 = {theory.sigma_w2:.4g}$, $\sigma_b^2 = {theory.sigma_b2:.3g}$: "
            rf"{theory.phase}, $\chi_1 = {theory.chi1:.4g}$"
        )
    with canvas(ax, preset, 1, 3, title=title, wide=True, height=2.5) as board:
        one, two, three = axes = board.axes[0]
        _variance(one, found)
        _correlation(two, found)
        _slope(three, found)
    return axes


def _variance(ax: Any, found: MeanFieldMaps) -> None:
    ax.plot(found.q, found.q, color=FAINT, gid="diagonal")
    steps = np.repeat(found.path, 2)
    ax.plot(steps[:-1], np.append(0.0, steps[2:]), color=NEUTRAL, linewidth=line_width(0.6), gid="cobweb")
    ax.plot(found.q, found.variance, color=COLOURS[0], gid="map")
    q_star = found.theory.q_star
    _mark(ax, q_star, q_star, f"$q^* = {_number(q_star)}$", found.q[-1], above=q_star < 0.1 * found.q[-1])
    ax.set(xlabel="variance $q$ of a layer", ylabel="of the next layer", xlim=(0, found.q[-1]))
    ax.set_ylim(0, max(found.q[-1], np.nanmin([found.variance[-1], 2 * found.q[-1]])))


def _correlation(ax: Any, found: MeanFieldMaps) -> None:
    ax.set(xlabel="correlation $c$ of a layer", ylabel="of the next layer", xlim=(0, 1.02), ylim=(0, 1.02))
    ax.plot([0, 1], [0, 1], color=FAINT, gid="diagonal")
    theory = found.theory
    if not len(found.c):
        ax.text(0.5, 0.08, f"no map: $q^* = {_number(theory.q_star)}$", ha="center", transform=ax.transAxes)
        return
    ax.plot(found.c, found.correlation, color=COLOURS[0], gid="map")
    near = np.array([0.75, 1.0])
    ax.plot(near, 1 - theory.chi1 * (1 - near), color=COLOURS[1], linestyle="--", gid="slope")
    ax.text(0.97, 0.06, rf"slope at 1: $\chi_1 = {theory.chi1:.3g}$", ha="right", transform=ax.transAxes)
    _mark(ax, theory.c_star, theory.c_star, f"$c^* = {_number(theory.c_star)}$", 1.0)


def _slope(ax: Any, found: MeanFieldMaps) -> None:
    ax.axhline(1, color=FAINT, gid="critical")
    ax.plot(found.q, found.chi, color=COLOURS[0], gid="map")
    theory = found.theory
    _mark(ax, theory.q_star, theory.chi1, rf"$\chi_1 = {theory.chi1:.4g}$", found.q[-1], above=True)
    ax.set(xlabel="variance $q$", ylabel=r"$\chi(q)$, factor of $|\delta|^2$ per layer", xlim=(0, found.q[-1]))
    low, high = min(0.9, found.chi.min()), max(1.1, found.chi.max())
    ax.set_ylim(max(0.0, low - 0.1 * (high - low)), high + 0.1 * (high - low))


def _mark(ax: Any, x: float, y: float, text: str, right: float, above: bool = False) -> None:
    """A point on the map, with its name on the side where there is room."""
    if not (np.isfinite(x) and np.isfinite(y)):
        return
    ax.plot([x], [y], linestyle="", marker="o", color=COLOURS[1], clip_on=False, zorder=4, gid="fixed point")
    left = x > 0.5 * right
    ax.annotate(
        text, (x, y), xytext=(-6 if left else 8, 8 if left or above else -10), textcoords="offset points",
        ha="right" if left else "left", va="bottom" if left or above else "center",
    )  # fmt: skip


def _number(value: float) -> str:
    return r"\infty" if np.isinf(value) else f"{value:.3g}"
