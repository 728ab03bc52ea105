"""The verdict: shape and effect of a profile in one word, from one table of lines.

Only ratios of deltas enter, so multiplying the loss by a constant changes no verdict. A verdict is about what the
network does over its own depth: "the interval of the rate leaves out 1" would call a healthy net sick,
given enough seeds (He ReLU, width 128: 0.9963 [0.9948, 0.9978], yet 0.07 decades over 50 layers).

The geometric mean of the drawn networks is judged. Single networks scatter around it, so a verdict of one seed is about
that network only. The verdict also says how many of several networks are beyond a decade by themselves, and counts
networks through which no gradient passes. For example, He ReLU with 64 units and 100 layers has -0.67 decades in the
mean: 27 % of single networks are vanishing; of groups of sixteen seeds 62 % are steady, the others undetermined
(benchmarks/verdicts.py, which also prints how often a power law is seen where there is none).

The verdict "dead" is about a network: somewhere a delta is exactly 0 for the whole batch, and all earlier layers learn
nothing. The column `dead_fraction` is about units: a network may have many dead units and yet pass its gradient.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from gradlab._summary import Shown, Summary
from gradlab.measurement.slope import LINE, Rate


@dataclass(frozen=True)
class Verdict(Shown):
    """Say what a network does to its gradients over its depth.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    evidence : str
        The decades, and where they lie beside the lines.
    sentence : str
        The verdict in words, with its evidence.
    from_depth : int or None
        Depth from which on the change exceeds one decade at this rate; None where the rate does not hold elsewhere.
    judged : str
        What the verdict is about: the mean of several networks, with the number of those beyond a decade by themselves,
        or one network.
    """

    name: str
    evidence: str
    sentence: str
    from_depth: int | None = None
    judged: str = ""

    def __str__(self) -> str:
        return self.name

    def summary(self) -> Summary:
        """Return the verdict with its evidence, as a notebook shows it."""
        depth = "" if self.from_depth is None else f"depth {self.from_depth}, at this rate"
        return Summary(self.name, [("evidence", self.evidence), ("beyond one decade from", depth)])


def _bounds(rate: Rate) -> tuple[float, float]:
    """Return the interval of D; the point twice where there is none."""
    d = rate.decades
    return (d.low, d.high) if rate.has_interval else (d.value, d.value)


def _beyond(rate: Rate) -> bool:
    low, high = _bounds(rate)
    return low > LINE or high < -LINE


def _within(rate: Rate) -> bool:
    low, high = _bounds(rate)
    return low >= -LINE and high <= LINE


#: The lines of the table, from top to bottom: the first that holds gives the name.
LINES: tuple[tuple[str, Callable[[Rate], bool], str], ...] = (
    ("dead", lambda r: not r.seeds and r.n_dead > 0, "no gradient passes, a delta is exactly 0 in every seed"),
    ("undetermined", lambda r: not r.seeds, "no seed has deltas that are finite"),
    ("partly dead", lambda r: r.n_dead > 0, "in some seeds no gradient passes, a delta is exactly 0"),
    ("undetermined", lambda r: r.n_failed >= r.seeds, "half of the seeds or more have deltas that are not finite"),
    ("single layer", lambda r: r.layers[1] == 1, "one hidden layer has no rate"),
    ("algebraic", lambda r: _beyond(r) and r.shape == "algebraic", "beyond one decade, as a power law of depth"),
    ("vanishing", lambda r: _beyond(r) and r.decades.value < 0, "beyond one decade, smaller toward the input"),
    ("exploding", _beyond, "beyond one decade, larger toward the input"),
    ("steady", _within, "within one decade"),
    ("undetermined", lambda _: True, "the interval straddles one decade"),
)  # fmt: skip

#: The names a verdict can have.
NAMES: tuple[str, ...] = tuple(dict.fromkeys(name for name, _, _ in LINES))


def judge(rate: Rate) -> Verdict:
    """Judge a rate by the table of lines.

    Parameters
    ----------
    rate : Rate
        From `gradlab.measurement.slope.rate`.

    Returns
    -------
    Verdict
        The name, and the evidence for it.

    Examples
    --------
    >>> import numpy as np
    >>> from gradlab.measurement.slope import rate
    >>> profile = np.linspace(-9.0, 0.0, 10)
    >>> judge(rate(np.stack([profile, 1.01 * profile, 0.99 * profile]))).name
    'vanishing'
    """
    name, why = next((name, why) for name, holds, why in LINES if holds(rate))
    depth = _from_depth(rate) if rate.seeds else None
    judged = _judged(rate)
    if rate.n_dead and rate.seeds:
        why += f" ({rate.n_dead} of {rate.n_dead + rate.seeds + rate.n_failed}); the others: {_of_the_others(rate)}"
    evidence = "; ".join(_evidence(rate, why, judged))
    sentence = f"{numbers(rate)}: {name}, {why}{_remarks(rate, name, depth)}{f'; {judged}' if judged else ''}"
    return Verdict(name, evidence, sentence, depth, judged)


def describe(rate: Rate, verdict: Verdict) -> str:
    """Say rate, decades and verdict in one phrase, and how many networks disagree with it.

    ``0.236 [0.234, 0.238] per layer (95 %, 16 seeds, layers 1–50), 31 decades over 50: vanishing``
    """
    more = ""
    if rate.n_dead and rate.seeds:
        more = (
            f" ({rate.n_dead} of {rate.n_dead + rate.seeds + rate.n_failed} seeds, the others {_of_the_others(rate)})"
        )
    elif rate.seeds == 1 and rate.drawn and rate.layers[1] > 1:
        more = " (this one network)"
    elif rate.seeds > 1 and 0 < rate.n_beyond < rate.seeds:
        more = f" ({rate.n_beyond} of {rate.seeds} networks beyond one decade)"
    return f"{numbers(rate)}: {verdict.name}{more}"


def _of_the_others(rate: Rate) -> str:
    """Return the verdict on the networks that are not dead."""
    return judge(dataclasses.replace(rate, n_dead=0)).name


def _judged(rate: Rate) -> str:
    """Say what the verdict is about; empty where there is no rate to judge."""
    if not rate.seeds or rate.layers[1] == 1:
        return ""
    if not rate.drawn:
        return "judged are these weights"
    if rate.seeds == 1:
        return "judged is this one network, others drawn alike may differ"
    return f"judged is the geometric mean of {rate.seeds} networks, {rate.n_beyond} of them beyond one decade"


def numbers(rate: Rate) -> str:
    """Say rate and decades in words; only the rate where it is NaN."""
    if math.isnan(rate.value):
        return str(rate)
    return f"{rate}, {rate.decades.magnitude} decades over {rate.layers[1]}"


def _evidence(rate: Rate, why: str, judged: str) -> list[str]:
    parts = [why, *([judged] if judged else [])]
    if not math.isnan(rate.value):
        parts.insert(0, f"D = {rate.decades} decades over layers {rate.layers[0]}–{rate.layers[1]}")
        if not rate.has_interval:
            parts.append(f"the point decides, there is no interval: {rate.note}")
    left_out = rate.n_dead + rate.n_failed
    if left_out:
        total = left_out + rate.seeds
        parts.append(f"{left_out} of {total} seeds left out: {rate.n_dead} dead, {rate.n_failed} failed")
    return parts


def _remarks(rate: Rate, name: str, depth: int | None) -> str:
    """Add remarks: the exponent, the depth from which on trouble starts, a missing interval."""
    text = ""
    if name == "algebraic":
        text += f"; rms delta ~ layer^{rate.exponent:.2f}, so its rate must not be carried to other depths"
    if depth is not None:
        text += f"; at this rate beyond one decade from depth {depth}"
    if not math.isnan(rate.value) and not rate.has_interval:
        text += "; the point decides, as there is no interval"
    return text


def _from_depth(rate: Rate) -> int | None:
    """Return the smallest depth k with |log10 rate| (k - 1) > 1, where the rate holds and differs from 1."""
    if not rate.resolved or rate.shape == "algebraic" or (rate.shape == "exponential" and rate.misfit):
        return None
    per_layer = abs(rate.decades.value) / (rate.layers[1] - rate.layers[0])
    return math.floor(LINE / per_layer) + 2
