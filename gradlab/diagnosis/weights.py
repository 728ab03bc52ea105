"""The weights of a chain of layers: how large they are, what stands behind them, and what theory says of others."""

from __future__ import annotations

import functools
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from gradlab._errors import GradlabError
from gradlab.core.activations import TABLE
from gradlab.diagnosis.chains import Chain, stacks
from gradlab.diagnosis.view import View
from gradlab.theory import critical_sigma_w2, layer_norm_factor, transients

#: What JAX calls otherwise than gradlab's table.
_NAMES = {"logistic": "sigmoid", "swish": "silu", "hard_sigmoid": ""}
#: Initialisers by fan-in times the variance of the weights.
_INITIALISERS = {2.0: "He", 1.0: "Xavier, LeCun"}
#: A gain is called by an initialiser's name where it is within this of it.
_CLOSE = 0.15


@dataclass(frozen=True)
class Weights:
    """The weights that feed the places of a chain.

    Parameters
    ----------
    parameters : tuple of int
        In `Evidence.parameters`, one for each place that has one of its own.
    sigma_w2 : float
        Fan-in times the variance of a weight, the median over the layers; NaN where it is not known.
    sigma_b2 : float
        Mean square of the biases beside them, the median over the layers; 0 without such.
    function : str
        The activation behind them, by gradlab's name; empty where there is none, or more than one.
    plain : bool
        Whether they stand in series with nothing but that activation between them: then mean-field theory applies.
    input : float
        Mean square of what comes into the first of them.
    depth : int
        Layers.
    """

    parameters: tuple[int, ...]
    sigma_w2: float
    sigma_b2: float
    function: str
    plain: bool
    input: float
    depth: int

    @property
    def critical(self) -> float:
        """sigma_w2 at which signal and delta keep their size; NaN where no such is known for the activation."""
        return _critical(self.function) if _known(self.function) else math.nan

    def rate(self, sigma_w2: float, function: str = "") -> float:
        """Return theory's factor of the delta per layer, over these layers; NaN where it does not apply."""
        function = function or self.function
        if not self.plain or not _known(function) or not 0 < sigma_w2 * self.input < math.inf:
            return math.nan
        transient = transients(function, sigma_w2=sigma_w2, sigma_b2=self.sigma_b2, q0=self.input, depth=self.depth)
        return math.exp(0.5 * float(np.mean(transient.log_dphi2[:-1] + math.log(sigma_w2))))

    def normalised_rate(self) -> float:
        """Return the same with a layer norm in front of the activation; NaN where there are biases."""
        if not self.plain or not _known(self.function) or self.sigma_b2 > 0:
            return math.nan
        return layer_norm_factor(self.function) ** 0.5


def weights_of(view: View, chain: Chain) -> Weights:
    """Return the weights of a chain."""
    at = {place: k for k, place in enumerate(chain.places)}
    of_place: dict[int, list[int]] = {}
    for i in view.weights():
        for place in at.keys() & set(view.whole.parameters[i].places):
            of_place.setdefault(place, []).append(i)
    chosen = dict.fromkeys(numbers[0] for place, numbers in sorted(of_place.items()) if len(numbers) == 1)
    sizes = [_log10_sigma_w2(view, i, chain) for i in chosen]
    known = [s for s in sizes if math.isfinite(s)]
    function = _function(view, chain)
    beside = next(g for g in stacks(view.chains) if any(c is chain for c in g))
    plain = (
        chain.along == "layers"
        and chain.alike
        and len({c.part for c in beside if _kind(view, c) in ("product", "carry")}) <= 2
        and sum(_kind(view, c) == "product" for c in beside) == 1
        and not any(True for _ in view.layers("norm"))
    )
    sigma_w2 = 10 ** float(np.median(known)) if known else math.nan
    sigma_b2 = float(np.median([_sigma_b2(view, i) for i in chosen])) if chosen else 0.0
    first = float(view.evidence.signal("log10_value_rms")[:, chain.places[0]].mean())
    return Weights(tuple(chosen), sigma_w2, sigma_b2, function, plain, 100**first / sigma_w2, len(chain.places))


def _known(function: str) -> bool:
    """Return whether theory has a function of this name, with or without a number behind it."""
    return TABLE.split(function)[0] in TABLE.names


@functools.cache
def _critical(function: str) -> float:
    try:
        return critical_sigma_w2(function, 0.0)
    except GradlabError:
        return math.nan


def initialiser(sigma_w2: float) -> str:
    """``He`` for about 2; empty for what is near none."""
    for size, name in _INITIALISERS.items():
        if abs(math.sqrt(sigma_w2 / size) - 1) < _CLOSE:
            return name
    return ""


def _kind(view: View, chain: Chain) -> str:
    return view.places[chain.places[0]].site.kind


def _log10_sigma_w2(view: View, parameter: int, chain: Chain) -> float:
    """|W|^2 over the number of units is fan-in times the mean square of a weight."""
    norm = view.evidence.gradient("log10_weight_norm")[:, parameter].mean()
    count = view.units(parameter)
    return 2 * float(norm) - math.log10(count) if count else math.nan


def _sigma_b2(view: View, weight: int) -> float:
    """Mean square of the bias beside a weight; 0 without one."""
    bias = view.bias_of(weight)
    norm = -math.inf if bias is None else float(view.evidence.gradient("log10_weight_norm")[:, bias].mean())
    return 100**norm / view.units(weight) if norm > -math.inf else 0.0


def _function(view: View, chain: Chain) -> str:
    products = {view.places[i].site.number for i in chain.places}
    sites = {p.site.number: p.site for p in view.places if p.site.kind == "activation" and p.site.follows in products}
    functions = Counter(site.function for site in sites.values())
    if len(functions) != 1:
        return ""
    (name,) = functions
    return _NAMES.get(name, name)
