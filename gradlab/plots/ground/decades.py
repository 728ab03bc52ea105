"""Axes of log10 values: linear, with 10^k on their ticks, so that 1e-630 has a place and a zero has one too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import Formatter, MaxNLocator

from gradlab._errors import unknown

#: So many values or fewer are ticks themselves, where each is this share of the axis away from the next.
_FEW, _APART = 4, 0.12
#: Share of the axis that a row of marked zeros takes at the floor.
STRIP = 0.06


def log10_axis(ax: Any, axis: str = "y") -> None:
    """Write powers of ten on an axis whose values are log10: the tick at -630 says 10⁻⁶³⁰.

    Use it for quantities that leave the range of a double. A logarithmic axis of matplotlib cannot show them:
    10.0**-630 is 0, which it drops.

    Parameters
    ----------
    ax : Axes
        Its lines are log10 values. They may be drawn before or after this call.
    axis : {"y", "x"}
        Which axis of `ax`.
    """
    prepare(ax, axis)


def prepare(ax: Any, axis: str = "y", *, at_least: float = 0.0, floor: int = 0) -> None:
    """Label an axis as `log10_axis` does, with a least span in decades, and with rows of zeros at the floor.

    Where this was called before, the larger of both demands holds.
    """
    if axis not in ("x", "y"):
        raise unknown("axis", axis, ("x", "y"))
    ruled = ax.yaxis if axis == "y" else ax.xaxis
    before = ruled.get_major_locator()
    if isinstance(before, Decades):
        at_least, floor = max(at_least, before.at_least), max(floor, before.floor)
    ruled.set_major_locator(Decades(at_least, floor))
    ruled.set_major_formatter(Powers())
    ax.autoscale_view(scalex=axis == "x", scaley=axis == "y")


class Decades(MaxNLocator):
    """Whole decades; the numbers between them where the axis spans less than about two.

    Parameters
    ----------
    at_least : float
        Least span that autoscaling gives, in decades, so that noise does not fill an axis.
    floor : int
        Rows of marked zeros at the floor, which has a tick of its own, labelled 0.
    """

    axis: Any  # matplotlib sets it before it asks for ticks

    def __init__(self, at_least: float = 0.0, floor: int = 0):
        super().__init__(nbins="auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=2)
        self.at_least, self.floor = at_least, floor

    def nonsingular(self, v0: float, v1: float) -> tuple[float, float]:
        """Return limits that are finite and apart; matplotlib asks whenever limits are set, by a user too."""
        if not (math.isfinite(v0) and math.isfinite(v1)):
            return -1.0, 0.0
        least = 1e-6 * max(1.0, abs(v0), abs(v1))
        return (v0, v1) if abs(v1 - v0) >= least else (v0 - least / 2, v1 + least / 2)

    def view_limits(self, vmin: float, vmax: float) -> tuple[float, float]:
        """Return limits that autoscaling gives: of the least span, with room for the floor."""
        lacking = self.at_least - (vmax - vmin)
        if lacking > 0:
            vmin, vmax = vmin - lacking / 2, vmax + lacking / 2
        return vmin - STRIP * (0.6 + self.floor) * (vmax - vmin) * bool(self.floor), vmax

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return the ticks between two limits."""
        low, high = min(vmin, vmax), max(vmin, vmax)
        if high - low > 1.8:
            ticks = np.asarray(super().tick_values(low, high))
        elif high - low > 0.9:
            ticks = _between(low, high, (1, 2, 5))
        elif np.count_nonzero((low <= (some := _between(low, high, (1, 2, 3, 5, 7)))) & (some <= high)) > 2:
            ticks = some
        else:
            base = math.floor(high)
            linear = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(10 ** (low - base), 10 ** (high - base))
            ticks = np.log10(linear[linear > 0]) + base
        if self.floor:
            room = low + STRIP * (0.6 + self.floor) * (high - low)
            ticks = np.concatenate([[low], ticks[ticks > room]])
        return ticks

    def __call__(self) -> Any:
        """Return the ticks of the axis as it is."""
        return self.tick_values(*self.axis.get_view_interval())


def _between(low: float, high: float, digits: Sequence[int]) -> np.ndarray:
    """Return log10 of these multiples of the powers of ten around an interval."""
    whole = np.arange(math.floor(low) - 1, math.ceil(high) + 1)
    return np.sort(np.concatenate([whole + math.log10(m) for m in digits]))


class Powers(Formatter):
    """10^k at whole k; 2×10^k between them, or the number itself near 1; 0 at the floor."""

    axis: Any  # matplotlib sets it before it asks for labels
    plain = False
    digits = 3

    def set_locs(self, locs: Any) -> None:
        """Note the ticks: they decide together on one notation."""
        low, high = sorted(self.axis.get_view_interval())
        seen = [v for v in locs if low <= v <= high and not self._is_floor(v)]
        self.plain = any(not _whole(v) for v in seen) and all(-3 < v < 4 for v in seen)
        steps = np.diff(np.power(10.0, np.asarray(seen) - math.floor(high)))
        self.digits = 3 if not len(steps) else max(3, 1 - math.floor(math.log10(max(min(steps), 1e-12))))

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of the tick at `x`."""
        if self._is_floor(x):
            return "0"
        if self.plain:
            return f"{10**x:.{self.digits}g}"
        if _whole(x):
            return f"$10^{{{round(x)}}}$"
        power = math.floor(x)
        return f"${10 ** (x - power):.{self.digits}g}\\times10^{{{power}}}$"

    def _is_floor(self, x: float) -> bool:
        locator = self.axis.get_major_locator()
        return bool(getattr(locator, "floor", 0)) and x == min(self.axis.get_view_interval())


def _whole(x: float) -> bool:
    return abs(x - round(x)) < 1e-9


class Counting(MaxNLocator):
    """Ticks of a count that begins with 1: 1, 10, 20, …"""

    def __init__(self):
        super().__init__(nbins="auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=2)

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return 1, and the multiples of a round number that leave room for it."""
        ticks = np.asarray(super().tick_values(vmin, vmax))
        ticks = ticks[ticks >= 1]
        if vmin <= 1 and len(ticks) > 1 and ticks[0] > 1:
            near = ticks[0] - 1 < 0.5 * (ticks[1] - ticks[0])
            ticks = np.concatenate([[1], ticks[1:] if near else ticks])
        return ticks


def counting_axis(ax: Any, values: Sequence[float]) -> None:
    """Set the ticks of an x-axis of layers; of depths, those measured where they are few and far apart."""
    values = sorted({float(v) for v in values})
    if len(values) > 2 and values[0] > 0 and values[-1] >= 6 * values[0] and len(values) <= 9:
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_locator(FixedTicks(values))
        ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
        ax.xaxis.set_minor_locator(FixedTicks([]))
    elif 1 < len(values) <= _FEW and min(np.diff(values)) >= _APART * (values[-1] - values[0]):
        ax.xaxis.set_major_locator(FixedTicks(values))
        ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    else:
        whole = all(v == int(v) for v in values)
        ax.xaxis.set_major_locator(Counting() if whole else MaxNLocator(nbins="auto", steps=[1, 2, 5, 10]))


def step_axis(ax: Any, values: Sequence[float], most: int = 5) -> None:
    """Set the x-axis of training steps: logarithmic where they are spaced so, with 0 in its own place.

    Below the first step after 0 such an axis is linear, so that initialisation stands at its left and is not dropped.
    It has up to `most` ticks beside that at 0.
    """
    steps = sorted({float(v) for v in values})
    if not spaced_by_powers(steps):
        ax.xaxis.set_major_locator(
            MaxNLocator(nbins=most, integer=all(v == int(v) for v in steps), steps=[1, 2, 5, 10])
        )
        return
    positive = [v for v in steps if v > 0]
    # narrower than a decade: between 0 and the first step nothing was measured
    ax.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
    decades = np.arange(math.ceil(math.log10(positive[0]) - 1e-9), math.floor(math.log10(positive[-1]) + 1e-9) + 1)
    decades = decades[:: max(1, math.ceil(len(decades) / most))]
    ticks = [10.0**k for k in decades] if len(decades) > 1 else [positive[0], positive[-1]]
    first = [0.0] if steps[0] == 0 else []
    ax.xaxis.set_major_locator(FixedTicks([*first, *ticks]))
    ax.xaxis.set_major_formatter(lambda v, _: f"{v:g}" if v < 1e4 else f"$10^{{{math.log10(v):.3g}}}$")
    ax.xaxis.set_minor_locator(FixedTicks([]))
    ax.set_xlim(*_margins(ax, steps[0], steps[-1]))


def spaced_by_powers(values: Sequence[float]) -> bool:
    """Return whether values, 0 aside, have more equal ratios than differences."""
    steps = np.unique(np.asarray([float(v) for v in values]))
    positive = steps[steps > 0]
    if steps[0] < 0 or len(positive) < 3:
        return False
    gaps, ratios = np.diff(positive), np.diff(np.log(positive))
    return bool(ratios.std() / ratios.mean() < gaps.std() / gaps.mean() - 1e-9)


def _margins(ax: Any, low: float, high: float) -> tuple[float, float]:
    """Return limits a little beyond both ends, as the axis is scaled."""
    there = ax.xaxis.get_transform()
    a, b = there.transform(np.array([low, high]))
    edge = 0.03 * (b - a)
    return tuple(there.inverted().transform(np.array([a - edge, b + edge])))


def FixedTicks(values: Sequence[float]) -> Any:
    """Return ticks at these values."""
    from matplotlib.ticker import FixedLocator

    return FixedLocator(list(values))
