"""What every rule looks at: the evidence without what is not finite, its chains, and who stands behind whom."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from gradlab.diagnosis.chains import Chain, chains, readout
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.findings import Finding, Margin
from gradlab.diagnosis.sites import Place

#: Activations that serve as gates, too.
GATES = ("logistic", "sigmoid", "hard_sigmoid")


class Said(NamedTuple):
    """What one rule says."""

    findings: tuple[Finding, ...]
    margin: Margin


@dataclass(frozen=True)
class Layer:
    """A site, in one step of the scans over layers: its places are steps in time, mostly one.

    Parameters
    ----------
    name : str
        The user's.
    members : tuple of int
        In `Evidence.places`.
    """

    name: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class View:
    """Evidence as the rules see it.

    Parameters
    ----------
    whole : Evidence
        As it was measured.
    """

    whole: Evidence

    @cached_property
    def evidence(self) -> Evidence:
        """Return the same without what is not finite: where a NaN stands, nothing else is said of the place."""
        signals, gradients = self.whole.signals, self.whole.gradients
        bad_value = signals.get("value_not_finite", np.zeros(1)) > 0
        bad_delta = signals.get("delta_not_finite", np.zeros(1)) > 0
        bad_gradient = gradients.get("grad_not_finite", np.zeros(1)) > 0
        of_delta = lambda name: "delta" in name
        blank = {k: np.where(bad_value | (bad_delta & of_delta(k)), np.nan, v) for k, v in signals.items()}
        return self.whole.replace(
            signals=blank, gradients={k: np.where(bad_gradient, np.nan, v) for k, v in gradients.items()}
        )

    @property
    def places(self) -> tuple[Place, ...]:
        """Return the places of the evidence."""
        return self.whole.places

    @cached_property
    def chains(self) -> tuple[Chain, ...]:
        """Return all chains."""
        return chains(self.evidence)

    @cached_property
    def readout(self) -> int:
        """Return the place whose value the loss is computed of; else -1."""
        return readout(self.whole)

    def layers(self, *kinds: str) -> Iterator[Layer]:
        """Layers of these kinds, in the order of the signal."""
        grouped: dict[tuple, list[int]] = {}
        for i, place in enumerate(self.places):
            if place.site.kind in kinds:
                grouped.setdefault((place.site.number, _in_layers(place)), []).append(i)
        for members in grouped.values():
            yield Layer(_named(self.places[members[0]]), tuple(members))

    def in_time(self, layer: Layer) -> bool:
        """Return whether it is a step of a recurrence: in a scan that takes no parameter apart, or of a reused one."""
        site = self.places[layer.members[0]].site
        before = self.before(layer)
        parameter = site.parameter or (self.places[before.members[0]].site.parameter if before else "")
        return any(scan[0] == "steps" for scan in site.scans) or self._uses.get(parameter, 0) > 1

    @cached_property
    def _uses(self) -> dict[str, int]:
        sites = {place.site.number: place.site for place in self.places}
        named = [site.parameter for site in sites.values() if site.kind == "product" and site.parameter]
        return {name: named.count(name) for name in named}

    def before(self, layer: Layer) -> Layer | None:
        """Return the layer that an activation or a norm follows."""
        place = self.places[layer.members[0]]
        nearest = [
            i
            for i, p in enumerate(self.places)
            if p.site.number == place.site.follows and _in_layers(p) == _in_layers(place)
        ]
        return Layer(_named(self.places[nearest[0]]), tuple(nearest)) if nearest else None

    def least(self, column: str, layer: Layer) -> float:
        """Return the smallest number of a column over all samples and steps; NaN where there is none."""
        return _extreme(np.fmin, self.evidence.signal(column)[:, list(layer.members)])

    def most(self, column: str, layer: Layer) -> float:
        """Return the largest."""
        return _extreme(np.fmax, self.evidence.signal(column)[:, list(layer.members)])

    def least_gradient(self, column: str, parameter: int) -> float:
        """Return the smallest number of a parameter's column over all samples."""
        return _extreme(np.fmin, self.evidence.gradient(column)[:, parameter])

    def most_gradient(self, column: str, parameter: int) -> float:
        """Return the largest."""
        return _extreme(np.fmax, self.evidence.gradient(column)[:, parameter])

    def weights(self) -> Iterator[int]:
        """Parameters with two axes or more that the loss depends on."""
        for i, parameter in enumerate(self.whole.parameters):
            if parameter.state == "used" and len(parameter.shape) > 1:
                yield i

    def units(self, parameter: int) -> int:
        """Units that a weight feeds: the size of the features of its place; 0 where it is not known."""
        places = self.whole.parameters[parameter].places
        site = self.places[places[0]].site if places else None
        return math.prod(site.shape[axis] for axis in site.features) if site and site.features else 0

    def bias_of(self, weight: int) -> int | None:
        """Return the vector beside a weight in the tree that has one number for each unit."""
        weight_entry = self.whole.parameters[weight]
        beside = [
            i
            for i, p in enumerate(self.whole.parameters)
            if p.shape == (self.units(weight),)
            and p.at == weight_entry.at
            and _folder(p.path) == _folder(weight_entry.path)
        ]
        return beside[0] if len(beside) == 1 else None

    def feeds_readout(self, parameter: int) -> bool:
        """Return whether a parameter is that of the readout."""
        return self.readout in self.whole.parameters[parameter].places


def _folder(path: str) -> str:
    return path.partition("[")[0].rpartition("/")[0]


def _extreme(which: np.ufunc, numbers: np.ndarray) -> float:
    return float(which.reduce(numbers, axis=None)) if numbers.size else math.nan


def _in_layers(place: Place) -> tuple[int, ...]:
    """Return its steps in the scans over layers, without those in time."""
    return tuple(k for k, scan in zip(place.at, place.site.scans, strict=False) if scan[0] == "layers")


def _named(place: Place) -> str:
    return place.site.name + "".join(f"[{k}]" for k in _in_layers(place))


def rows(place: Place) -> int:
    """Entries of a place for each unit: examples, positions."""
    shape, features = place.site.shape, place.site.features
    return math.prod(n for axis, n in enumerate(shape) if axis not in features)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Join names, of many the first ones: ``a, b, c and 4 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
