"""Chains: places that play one part at different depths, and the factor by which signal and delta change from each to
the next.

Layers of one part have names that differ in numbers alone (``Dense_0 … Dense_9``, ``blocks/3/mlp/up``), or are steps of
a scan that takes a parameter apart. A recurrence is a chain in time: steps of another scan, or one parameter used again
and again. Where no four places play one part there is a chain of last resort, over all layers in series.

What is compared is the norm of a whole array, which for equal shapes says what the rms says: stride, pooling and width
change the number of entries, and leave the norm of a delta as it is under weights scaled by their fan-in. The readout
is in no chain: its delta is given by the loss, and its weights are often smaller than others on purpose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.sites import Place
from gradlab.measurement.slope import Rate, rate

#: Sites with a signal of the network's own: a product of data and data (attention) may do otherwise than the stack.
KINDS = ("product", "carry", "tap", "custom")
#: Links between which the median slope is taken, at most.
_MOST = 256

#: The steps of the scans of one kind that a place is in, and the site.
_Key = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class Chain:
    """Places of one part, from the input to the loss, or from the first step to the last.

    Parameters
    ----------
    part : str
        The names with a star where they differ: ``blocks/*/mlp/up``.
    along : {"layers", "steps"}
        Whether its places are layers, one above another, or time steps of one layer.
    alike : bool
        Whether they play one part; False for the chain of last resort.
    even : bool
        Whether they are of one size, too.
    places : tuple of int
        In `Evidence.places`, one for each link; where a layer has several steps in time, its last.
    delta : Rate or None
        Factor of the delta from one place to the one before it: towards the input. None where it is 0 or not known.
    value : Rate or None
        Factor of the signal from one place to the next.
    delta_decades, value_decades : float
        log10 of the whole change, first to last of the value and last to first of the delta, that is beyond doubt: the
        one next to 0 of the change from end to end, the ends of its interval, the median slope times the length, and
        the change without one odd layer that makes most of it; 0 where they disagree about the sign. NaN without a
        rate.
    """

    part: str
    along: Literal["layers", "steps"]
    alike: bool
    even: bool
    places: tuple[int, ...]
    delta: Rate | None
    value: Rate | None
    delta_decades: float
    value_decades: float


def chains(evidence: Evidence) -> tuple[Chain, ...]:
    """Return all chains of a model, those over depth first."""
    depth = _over_depth(evidence)
    return (*depth, *_over_time(evidence))


def readout(evidence: Evidence) -> int:
    """Return the place whose value the loss is computed of: the last product, where no scan is around it; else -1."""
    products = [i for i, place in enumerate(evidence.places) if place.site.kind == "product"]
    return products[-1] if products and not evidence.places[products[-1]].site.scans else -1


def main_chain(evidence: Evidence) -> Chain | None:
    """Return the chain that stands for the model: over depth, else over time; None without a chain.

    It is the stream that blocks hand on, else the longest of products. Of several as long it is the last in a block,
    whose delta is that of the stream behind.
    """
    kind = lambda chain: evidence.places[chain.places[0]].site.kind
    order = lambda chain: (
        chain.delta is not None, chain.along == "layers", kind(chain) == "carry", kind(chain) == "product",
        len(chain.places), chain.places[0],
    )  # fmt: skip
    return max(chains(evidence), key=order, default=None)


def stacks(chains: Sequence[Chain]) -> list[list[Chain]]:
    """Chains that run beside each other: those of the parts of one stack of blocks."""
    groups: list[list[Chain]] = []
    for chain in sorted(chains, key=lambda c: c.places[0]):
        beside = [g for g in groups if any(_overlap(chain, other) for other in g)]
        merged = [chain, *(c for g in beside for c in g)]
        groups = [g for g in groups if not any(g is b for b in beside)] + [merged]
    return groups


def _overlap(a: Chain, b: Chain) -> bool:
    return a.along == b.along and a.places[0] <= b.places[-1] and b.places[0] <= a.places[-1]


# --- links -----------------------------------------------------------------------------------------------------------


def _steps(place: Place, along: str) -> tuple[int, ...]:
    scans = place.site.scans
    return tuple(i for i, scan in zip(place.at, scans, strict=False) if scan[0] == along)


def _links(evidence: Evidence) -> dict[_Key, list[int]]:
    """Places by site and layer; those of one link are steps in time."""
    links: dict[_Key, list[int]] = {}
    for i, place in enumerate(evidence.places):
        if place.site.kind in KINDS:
            links.setdefault((place.site.number, _steps(place, "layers")), []).append(i)
    return links


def _over_depth(evidence: Evidence) -> list[Chain]:
    last = readout(evidence)
    links = [members for members in _links(evidence).values() if last not in members]
    sites = [evidence.places[members[0]].site for members in links]
    used: set[int] = set()
    kept = []
    # the same last name in other blocks (blocks_3/Dense_1) plays one part rather than other numbers of it (Dense_2)
    for name in (_but_last, _all):
        groups: dict[tuple, list[int]] = {}
        for n, site in enumerate(sites):
            if n not in used:
                groups.setdefault((site.kind, name(site.name)), []).append(n)
        for (_, _), group in groups.items():
            chain = _chain(evidence, [links[n] for n in group], "layers", True)
            if chain is not None:
                kept.append(chain)
                used |= set(group)
    if not any(evidence.places[c.places[0]].site.kind == "product" for c in kept):
        resort = _last_resort(evidence, links)
        kept += [resort] if resort else []
    return kept


def _last_resort(evidence: Evidence, links: list[list[int]]) -> Chain | None:
    sites = [evidence.places[members[0]].site for members in links]
    if any(place.site.kind in ("inner", "logits") for place in evidence.places):
        return None  # queries, keys and values are beside each other, not in series
    plain = [
        members
        for members, site in zip(links, sites, strict=True)
        if site.kind == "product" and not site.scans and "#" not in site.name
    ]
    return _chain(evidence, plain, "layers", False)


def _over_time(evidence: Evidence) -> list[Chain]:
    groups: dict[tuple, list[int]] = {}
    for i, place in enumerate(evidence.places):
        site = place.site
        if site.kind not in KINDS:
            continue
        if any(scan[0] == "steps" for scan in site.scans):
            groups.setdefault((site.number, _steps(place, "layers")), []).append(i)
        elif site.parameter and not site.scans:
            groups.setdefault((site.parameter, site.kind, site.shape), []).append(i)
    made = [_chain(evidence, [[i] for i in members], "steps", True) for members in groups.values()]
    return [chain for chain in made if chain is not None]


# --- names -----------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<!#)[_.]?(?<![#\d])\d+")


def _all(name: str) -> str:
    return _NUMBER.sub("", name)


def _but_last(name: str) -> str:
    head, _, tail = name.rpartition("/")
    return f"{_all(head)}/{tail}"


def _starred(names: Sequence[str]) -> str:
    """Return what names have in common, with a star for numbers that differ: ``blocks_*/up_0``."""
    if len(set(names)) == 1:
        return names[0]
    parts = [re.split(r"(\d+)", name) for name in names]
    longest = max(parts, key=len)
    same = [p for p in parts if len(p) == len(longest)]
    starred = [
        text if i % 2 == 0 or (len(same) == len(parts) and len({p[i] for p in same}) == 1) else "*"
        for i, text in enumerate(longest)
    ]
    return "".join(starred)


# --- rates -----------------------------------------------------------------------------------------------------------


def _chain(
    evidence: Evidence, links: Sequence[list[int]], along: Literal["layers", "steps"], alike: bool
) -> Chain | None:
    if len(links) < (LINES.fewest if alike else LINES.fewest_unlike):
        return None
    names = [evidence.places[members[-1]].site.name for members in links]
    sizes = [sum(math.prod(evidence.places[i].site.shape) for i in members) for members in links]
    if not alike:
        part = " … ".join((names[0], names[-1]))
    elif along == "steps":
        part = f"{names[0].split('#')[0]}, step by step"
    else:
        part = _starred(names) + ("[*]" if evidence.places[links[0][0]].at else "")
    delta = _profile(evidence.signal("log10_delta_rms"), links) + 0.5 * np.log10(np.maximum(sizes, 1))
    value = _profile(evidence.signal("log10_value_rms"), links)
    least = int(LINES.fewest if alike else LINES.fewest_unlike)
    delta_rate, delta_sure = _rate(delta, least)
    value_rate, value_sure = _rate(-value, least)
    places = tuple(members[-1] for members in links)
    even = alike and len(set(sizes)) == 1
    return Chain(part, along, alike, even, places, delta_rate, value_rate, delta_sure, value_sure)


def _profile(column: np.ndarray, links: Iterable[list[int]]) -> np.ndarray:
    """log10 rms of each link: of all its steps together."""
    return np.stack([_pooled(column[:, members]) for members in links], axis=1)


def _pooled(column: np.ndarray) -> np.ndarray:
    known = ~np.isnan(column)
    top = np.where(known, column, -np.inf).max(axis=1)
    base = np.where(np.isfinite(top), top, 0)
    squares = np.where(known, 100.0 ** np.where(known, column - base[:, None], 0), 0).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = base + 0.5 * np.log10(squares / known.sum(axis=1))
    return np.where(known.any(axis=1), pooled, np.nan)


def _rate(profile: np.ndarray, least: int) -> tuple[Rate | None, float]:
    """Factor per place towards the first one, and the decades that are beyond doubt."""
    kept = profile[:, np.isfinite(profile).mean(axis=0) >= 0.5]
    if kept.shape[1] < least:
        return None, math.nan
    fit = rate(kept)
    usable = kept[np.isfinite(kept).all(axis=1)]
    if not len(usable):
        return None, math.nan
    length = kept.shape[1] - 1
    mean = usable.mean(axis=0)
    bounds = [fit.decades.value, -_median_slope(mean) * length, _without_one(mean)]
    if fit.has_interval:
        bounds += [fit.decades.low, fit.decades.high]
    if min(bounds) < 0 < max(bounds):
        return fit, 0.0
    return fit, min(bounds, key=abs)


def _without_one(profile: np.ndarray) -> float:
    """First less last; without the largest step where that alone makes most of it: one odd layer is no trend."""
    steps = -np.diff(profile)
    whole = float(steps.sum())
    largest = float(steps[np.argmax(steps * np.sign(whole))])
    return whole - largest if largest * np.sign(whole) > (0.5 + 0.5 / len(steps)) * abs(whole) else whole


def _median_slope(profile: np.ndarray) -> float:
    """Theil and Sen: the median of the slopes between all pairs."""
    x = np.unique(np.linspace(0, len(profile) - 1, min(len(profile), _MOST)).round().astype(int))
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((profile[x[j]] - profile[x[i]]) / (x[j] - x[i])))
