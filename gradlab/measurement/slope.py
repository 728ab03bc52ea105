"""Rate, decades and shape of a profile of deltas over the hidden layers.

All numbers are decades, log10 of the rms delta, so that 1e-630 is as good a number as 1.
Free of JAX and pandas.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from gradlab._errors import GradlabError
from gradlab._summary import Shown, Summary

Shape = Literal["exponential", "algebraic", "none"]

#: Fewest layers for AICc, which needs more increments than parameters (two and the variance) plus one.
MIN_LAYERS = 5
#: The line between steady and not: decades over the whole depth.
LINE = 1.0
#: By how much the AICc of the power law must be lower. Chosen by its errors on single networks, which are the noisiest
#: (benchmarks/verdicts.py): of exponentials of 5 ... 100 layers at most 0.8 % of the draws are beyond a decade and
#: called algebraic, with the usual 2 (Burnham & Anderson 2002, section 2.6) up to 4.9 %; of power laws beyond a decade
#: 99.8 % and more are found with a noise of 0.028 decades per layer (ReLU, 300 units; tanh, 128), and 58 to 99 % with
#: 0.06 (ReLU, 64 units).
AICC_MARGIN = 8.0
#: An exponential has one slope: the slopes of the two halves of the layers may differ by this share of it.
SLOPE_TOLERANCE = 0.1
#: They may also differ by what noise explains at this level.
SLOPE_LEVEL = 0.99


@dataclass(frozen=True)
class Decades:
    """Hold log10(rms delta_1 / rms delta_L): the geometric mean over seeds, with its interval.

    Negative where the gradient vanishes toward the input. `low` and `high` are NaN without an interval.
    """

    value: float
    low: float
    high: float

    @property
    def magnitude(self) -> str:
        """Return the size for use in a sentence: ``31``, ``2.8``, ``0.07``."""
        size = abs(self.value)
        for digits, limit in ((2, 0.995), (1, 9.95)):
            if size < limit:
                return f"{size:.{digits}f}"
        return f"{size:.0f}"

    def __str__(self) -> str:
        return interval_text(self.value, self.low, self.high)


@dataclass(frozen=True)
class Rate(Shown):
    """Hold the factor of the rms delta per layer toward the input.

    Parameters
    ----------
    value, low, high : float
        Geometric mean over seeds, and the ends of its interval; NaN where `note` says that there is none.
    level : float
        Level of the interval.
    layers : (int, int)
        First and last layer of the profile.
    seeds : int
        Number of seeds in the mean: those whose deltas are finite and not zero in every layer.
    decades : Decades
        log10(rms delta_1 / rms delta_L).
    shape : {"exponential", "algebraic", "none"}
        The curve that fits the profile best; "none" where the profile is too flat or too short to decide.
    exponent : float
        p of the power law rms delta_l ~ l**p, fitted whatever the shape; NaN below two layers.
    aicc : float
        AICc of the exponential minus AICc of the power law: positive where the power law is better.
    misfit : str
        Why the exponential must not be extrapolated; empty where it fits.
    note : str
        Why there is no interval, or no rate; empty where there is one.
    n_dead, n_failed : int
        Numbers of seeds that are left out: with a delta that is exactly 0, and with one that is not finite.
    n_beyond : int
        Number of seeds in the mean that change by more than one decade by themselves.
    drawn : bool
        Whether the weights were drawn; False where they were given.
    """

    value: float
    low: float
    high: float
    level: float
    layers: tuple[int, int]
    seeds: int
    decades: Decades
    shape: Shape
    exponent: float
    aicc: float
    misfit: str
    note: str
    n_dead: int = 0
    n_failed: int = 0
    n_beyond: int = 0
    drawn: bool = True

    def summary(self) -> Summary:
        """Return the rate with what it rests on, as a notebook shows it."""
        left_out = f"{self.n_dead} dead, {self.n_failed} failed" if self.n_dead or self.n_failed else ""
        facts = [
            ("decades from the last to the first layer", "" if math.isnan(self.value) else str(self.decades)),
            ("seeds", str(self.seeds)), ("seeds left out", left_out), ("curve that fits best", self.shape),
            ("why it must not be carried to other depths", self.misfit), ("note", self.note),
        ]  # fmt: skip
        return Summary(f"rate toward the input: {self}", facts)

    @property
    def has_interval(self) -> bool:
        """Say whether there is an interval over seeds."""
        return not math.isnan(self.decades.low)

    @property
    def resolved(self) -> bool:
        """Say whether the interval excludes the rate 1; without an interval, whether there is a rate."""
        if self.has_interval:
            return self.decades.low * self.decades.high > 0
        return not math.isnan(self.value) and self.decades.value != 0

    def extrapolate(self, depth: int) -> Decades:
        """Compute the decades at another depth, D (depth - 1) / (L - 1), where an exponential fits.

        Parameters
        ----------
        depth : int
            Number of hidden layers.

        Returns
        -------
        Decades
            The decades there, with the interval of the mean over seeds.

        Raises
        ------
        GradlabError
            Unless an exponential describes the profile better than a constant and a power law do, and its slope is the
            same in both halves of the layers, to 10 % or to what noise explains at the 99 % level. A slope that is off
            by this much moves the decades at any depth by at most as much.
        """
        if isinstance(depth, bool) or int(depth) != depth or depth < 1:
            raise GradlabError("depth to be an integer of at least 1", repr(depth), "depth=100")
        if self.misfit:
            raise GradlabError("a profile that an exponential fits", self.misfit, "measuring at that depth")
        scale = (depth - 1) / (self.layers[1] - self.layers[0])
        d = self.decades
        return Decades(d.value * scale, d.low * scale, d.high * scale)

    def __str__(self) -> str:
        left_out = [f"{n} {word}" for n, word in ((self.n_dead, "dead"), (self.n_failed, "failed")) if n]
        seeds = ", ".join([f"{self.seeds} seed{'' if self.seeds == 1 else 's'}", *left_out])
        layers = f"layers {self.layers[0]}–{self.layers[1]}"
        if math.isnan(self.value):
            return f"no rate ({seeds}: {self.note})"
        if not self.has_interval:
            return f"{interval_text(self.value)} per layer ({seeds}, no interval: {self.note}, {layers})"
        text = interval_text(self.value, self.low, self.high)
        return f"{text} per layer ({100 * self.level:g} %, {seeds}, {layers})"


def rate(log10_delta: np.ndarray, drawn: bool = True, level: float = 0.95) -> Rate:
    """Compute rate, decades and shape from the deltas of the hidden layers.

    Per seed, rate = (rms delta_1 / rms delta_L)**(1 / (L - 1)). The seeds' geometric mean has a
    t-interval in the logarithm. A seed with a delta that is exactly 0 (-inf) or not finite is counted
    and left out.

    The shape is judged on the *increments* of the geometric-mean profile y from layer to layer, by
    AICc: a constant b (exponential) against p log10((l + 1) / l) (power law) against nothing. Each layer
    multiplies the delta by a factor of its own, so the levels are a random walk and only the increments
    are independent. This matters: of tanh nets with Xavier weights at depth 1000 and width 128, whose
    slow drift at finite width adds 1.2 decades to a power law's 1.5, least squares on the levels says
    "exponential", with an AICc lower by 974; on the increments the power law wins by 359, and its
    exponent is 0.44 (10 seeds; theory: 1/2).

    The power law is one of depth, not of the distance from the loss, because the profile of a feed-forward network is
    bent by the forward signal, which depends only on the distance from the input.

    Parameters
    ----------
    log10_delta : ndarray, shape (seeds, L)
        log10 of the rms delta of hidden layers 1 ... L.
    drawn : bool
        False where the weights were given: then there is no interval over seeds.
    level : float
        Level of the interval.

    Returns
    -------
    Rate
        The rate with its interval, the shape of the profile, and the seeds that were left out.

    Raises
    ------
    GradlabError
        If the array has another shape, or the level is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> profile = np.linspace(-9.0, 0.0, 10)
    >>> print(rate(np.stack([profile, 1.01 * profile, 0.99 * profile])))
    0.100 [0.094, 0.106] per layer (95 %, 3 seeds, layers 1–10)
    """
    deltas = _checked(log10_delta, level)
    failed = (np.isnan(deltas) | (deltas == np.inf)).any(axis=1)
    dead = ~failed & (deltas == -np.inf).any(axis=1)
    usable = deltas[~failed & ~dead]
    decades, note = _decades(usable, drawn, level)
    depth = deltas.shape[1]
    if usable.size:
        shape, exponent, aicc, misfit = _shape(usable.mean(axis=0))
    else:
        shape, exponent, aicc, misfit = "none", math.nan, math.nan, note
    values = (_per_layer(d, depth) for d in (decades.value, decades.low, decades.high))
    return Rate(
        *values, level=level, layers=(1, depth), seeds=len(usable), decades=decades, shape=shape,
        exponent=exponent, aicc=aicc, misfit=misfit, note=note, n_dead=int(dead.sum()), n_failed=int(failed.sum()),
        n_beyond=int((np.abs(usable[:, 0] - usable[:, -1]) > LINE).sum()), drawn=drawn,
    )  # fmt: skip


def _checked(log10_delta: np.ndarray, level: float) -> np.ndarray:
    deltas = np.asarray(log10_delta, dtype=np.float64)
    if deltas.ndim != 2 or 0 in deltas.shape:
        expected = "log10 deltas of shape (seeds, layers)"
        raise GradlabError(expected, f"shape {deltas.shape}", "deltas[None, :] for one seed")
    if not 0 < level < 1:
        raise GradlabError("level between 0 and 1", repr(level), "level=0.95")
    return deltas


def _decades(usable: np.ndarray, drawn: bool, level: float) -> tuple[Decades, str]:
    """Compute D with its t-interval over seeds, and say why there is none."""
    if not len(usable):
        return Decades(math.nan, math.nan, math.nan), "no seed whose deltas are all finite and not zero"
    per_seed = usable[:, 0] - usable[:, -1]
    value = float(per_seed.mean())
    note = ""
    if usable.shape[1] == 1:
        note = "a single layer"
    elif not drawn:
        note = "the weights were given"
    elif len(per_seed) < 2:
        note = "fewer than 2 usable seeds"
    if note:
        return Decades(value, math.nan, math.nan), note
    quantile = stdtrit(len(per_seed) - 1, 0.5 + level / 2)
    half = float(quantile * per_seed.std(ddof=1) / math.sqrt(len(per_seed)))
    return Decades(value, value - half, value + half), note


def _per_layer(decades: float, depth: int) -> float:
    """Return 10**(D / (L - 1)), the rate that makes D decades over the layers; NaN for a single layer."""
    if depth == 1 or math.isnan(decades):
        return math.nan
    with np.errstate(over="ignore"):  # a rate beyond 1e308 is inf, as its neighbours in the table are numbers
        return float(np.power(10.0, decades / (depth - 1)))


def _shape(profile: np.ndarray) -> tuple[Shape, float, float, str]:
    """Return shape, exponent, AICc(exponential) - AICc(power law), and why an exponential does not fit."""
    depth = len(profile)
    if depth == 1:
        return "none", math.nan, math.nan, "a single layer"
    increments = np.diff(profile)
    powers = np.diff(np.log10(np.arange(1, depth + 1)))
    exponent = float(powers @ increments / (powers @ powers))
    if depth < MIN_LAYERS:
        return "none", exponent, math.nan, f"{depth} layers, too few to tell a shape"
    # Below the rounding of the profile itself, residuals say nothing and all fits are perfect.
    floor = (8 * np.finfo(float).eps * max(1.0, float(np.abs(profile).max()))) ** 2
    flat = _aicc(increments, 1, floor)
    exponential = _aicc(increments - increments.mean(), 2, floor)
    power = _aicc(increments - exponent * powers, 2, floor)
    better = exponential - power
    if flat <= min(exponential, power):
        return "none", exponent, better, "a flat profile, in which no slope stands out from the noise"
    # A power law that runs against the decades describes a transient at the input, not the profile.
    if better > AICC_MARGIN and exponent * (profile[-1] - profile[0]) > 0:
        return "algebraic", exponent, better, f"a power law of depth, with exponent {exponent:.2f}"
    return "exponential", exponent, better, _drift(increments)


def _aicc(residuals: np.ndarray, parameters: int, floor: float) -> float:
    """Compute Akaike's criterion as corrected by Hurvich & Tsai 1989, for Gaussian residuals."""
    n = len(residuals)
    variance = max(float(residuals @ residuals) / n, floor)
    return n * math.log(variance) + 2 * parameters * n / (n - parameters - 1)


def _drift(increments: np.ndarray) -> str:
    """Say why the slope is not the same in both halves of the layers; empty where it is."""
    first, last = np.array_split(increments, 2)
    difference = abs(float(first.mean() - last.mean()))
    if difference <= SLOPE_TOLERANCE * abs(float(increments.mean())):
        return ""
    freedom = len(increments) - 2
    squares = sum(float(((half - half.mean()) ** 2).sum()) for half in (first, last))
    error = math.sqrt(squares / freedom * (1 / len(first) + 1 / len(last)))
    if difference <= stdtrit(freedom, 0.5 + SLOPE_LEVEL / 2) * error:
        return ""
    return (
        f"a slope that changes from {first.mean():.2g} decades per layer "
        f"in the first half of the layers to {last.mean():.2g} in the last"
    )


def interval_text(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Write ``0.236 [0.234, 0.238]`` with as many digits as the interval supports, three without an interval.

    The half-width is shown to its first digit, or to its second where that first digit is 1.
    """
    if math.isnan(low):
        return f"{value:#.3g}".removesuffix(".")
    half = (high - low) / 2
    size = max(abs(low), abs(high))
    if not math.isfinite(size):
        return f"{value:.3g} [{low:.3g}, {high:.3g}]"
    # At most seven significant digits, where all seeds agree.
    resolution = max(half / 2, size * 1e-6)
    if resolution == 0:
        return f"{value:g} [{low:g}, {high:g}]"
    # The nudge keeps a half-width of 0.002 that arrives as 0.0019999 at one digit.
    place = math.floor(math.log10(resolution) + 1e-6)
    if 1e-4 <= size < 1e6 or size == 0:
        number = lambda x: f"{round(x, -place):.{max(-place, 0)}f}"
    else:
        digits = max(math.floor(math.log10(size)) - place, 0)
        number = lambda x: f"{x:.{digits}e}"
    return f"{number(value)} [{number(low)}, {number(high)}]"
