"""Remedies tried: the change is made on a copy of the parameters, and the model measured again.

What can be changed so is the parameters themselves: rescaled, drawn anew, made orthogonal, scaled layer by layer to
unit variance; and the options of one of gradlab's networks (`gradlab.diagnosis.options`). What stands in the model's
code, in its data or in its loop is not, and the remedy says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.diagnosis.chains import Chain
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.findings import Finding, Outcome, Remedy, Rule
from gradlab.diagnosis.options import try_options
from gradlab.diagnosis.rebuilt import Rebuilt
from gradlab.diagnosis.remedies import DELTA, SIGNAL, chain_of, gain
from gradlab.diagnosis.view import View
from gradlab.diagnosis.weights import Weights, weights_of

#: Measures a model with other parameters.
Measure = Callable[[Any], Evidence]

#: Passes of layer-sequential unit variance: one is exact where the activation is homogeneous.
_PASSES = 3
#: ... which end where each layer's rms is within this share of 1.
_NEAR = 0.05
#: A remedy is tried for so many findings: the gravest come first.
_MOST = 6


def try_remedies(
    findings: Sequence[Finding],
    evidence: Evidence,
    params: Any,
    measure: Measure,
    seed: int = 0,
    network: Rebuilt | None = None,
) -> tuple[Finding, ...]:
    """Return the findings, with what became of their remedies.

    Parameters
    ----------
    findings : sequence of Finding
        From `gradlab.diagnosis.rules.judge`.
    evidence : Evidence
        That they were found in.
    params : pytree
        The parameters of its first sample; they stay as they are.
    measure : callable
        ``measure(params) -> Evidence``: the same model with other parameters.
    seed : int
        Of what is drawn anew.
    network : Rebuilt, optional
        The model where it is one of gradlab's networks: then its options are changed as well.

    Returns
    -------
    tuple of Finding
        In the same order.
    """
    view = View(evidence)
    tried = [
        _tried(finding, Bench(view, params, measure, seed), network) if i < _MOST else finding
        for i, finding in enumerate(findings)
    ]
    return tuple(tried)


class Bench:
    """Where parameters are changed and measured.

    Parameters
    ----------
    view : View
        The network as it was measured.
    params : pytree
        Its parameters, which trials start from.
    measure : callable
        Takes parameters, and returns what is measured of the network with them.
    seed : int
        Of what trials draw.
    """

    def __init__(self, view: View, params: Any, measure: Measure, seed: int):
        self.view, self.measure = view, measure
        self.leaves, self.structure = jax.tree.flatten(params)
        self.random = np.random.default_rng(seed)

    def array(self, parameter: int) -> np.ndarray:
        """Return a parameter, in float64."""
        place = self.view.whole.parameters[parameter]
        return np.asarray(self.leaves[place.leaf], np.float64)[place.at]

    def changed(self, arrays: dict[int, np.ndarray]) -> Any:
        """Return the parameters with other arrays."""
        leaves = list(self.leaves)
        for parameter, array in arrays.items():
            place = self.view.whole.parameters[parameter]
            copy = np.array(leaves[place.leaf])
            copy[place.at] = array
            leaves[place.leaf] = copy
        return self.structure.unflatten(list(map(jnp.asarray, leaves)))

    def after(self, arrays: dict[int, np.ndarray]) -> View:
        """Return what is seen with other arrays."""
        return View(self.measure(self.changed(arrays)))


def _tried(finding: Finding, bench: Bench, network: Rebuilt | None) -> Finding:
    attempts = _ATTEMPTS.get(finding.rule)
    remedies = finding.remedies if attempts is None else attempts(finding, bench)
    if network is not None:
        remedies = try_options(finding, remedies, bench.view, network)
    return replace(finding, remedies=remedies)


# --- GL001 to GL004 --------------------------------------------------------------------------------------------------


def _of_depth(finding: Finding, bench: Bench) -> tuple[Remedy, ...]:
    chain = chain_of(finding, bench.view)
    if chain is None:
        return tuple(_one_layer(finding, remedy, bench) for remedy in finding.remedies)
    if chain.along == "steps":
        return tuple(_recurrent(remedy, chain, bench) for remedy in finding.remedies)
    weights = weights_of(bench.view, chain)
    factor = gain(finding, bench.view, chain, weights)
    return tuple(_stack(remedy, chain, weights, factor, bench) for remedy in finding.remedies)


def _stack(remedy: Remedy, chain: Chain, weights: Weights, factor: float, bench: Bench) -> Remedy:
    target = weights.sigma_w2 * factor**2
    match remedy.change:
        case "":
            return remedy
        case "unit variance":
            return _measured(remedy, chain, _unit_variance(chain, weights, bench))
        case "rescale":
            arrays = {i: factor * bench.array(i) for i in _all_roles(chain, weights, bench)}
        case "orthogonal" if any(bench.array(i).ndim != 2 for i in weights.parameters):
            return replace(remedy, not_tried="kernels of more than two axes have no one orthogonal form")
        case "orthogonal":
            arrays = {i: _orthogonal(bench, i, target) for i in weights.parameters}
        case _:
            arrays = {i: _gaussian(bench, i, target) for i in weights.parameters}
    return _measured(remedy, chain, bench.after(arrays))


def _all_roles(chain: Chain, weights: Weights, bench: Bench) -> tuple[int, ...]:
    """Return the chain's weights; in a stack of blocks those of all its products."""
    if weights.plain:
        return weights.parameters
    first, last = chain.places[0], chain.places[-1]
    inside = lambda p: any(first <= place <= last and place != bench.view.readout for place in p.places)
    return tuple(i for i in bench.view.weights() if inside(bench.view.whole.parameters[i]))


def _measured(remedy: Remedy, chain: Chain, after: View) -> Remedy:
    """With the rates of the same chain after the change."""
    same = next((c for c in after.chains if (c.part, c.along) == (chain.part, chain.along)), None)
    rate = lambda r: math.nan if r is None else r.value
    before = remedy.outcomes[0] if remedy.outcomes else Outcome(DELTA, rate(chain.delta), math.nan, math.nan)
    delta = replace(before, after=math.nan if same is None else rate(same.delta))
    signal = Outcome(SIGNAL, rate(chain.value), math.nan, math.nan if same is None else rate(same.value))
    if math.isnan(delta.after):
        return replace(remedy, not_tried="the changed model has no finite delta to take a rate of")
    return replace(remedy, outcomes=(delta, signal))


def _unit_variance(chain: Chain, weights: Weights, bench: Bench) -> View:
    """Layer-sequential unit variance (Mishkin & Matas 2016), of all layers in one pass and not one after another.

    A layer that is scaled changes what all later ones see, in proportion where the activation is homogeneous: each is
    scaled by its own share. Otherwise some more passes come near.
    """
    of_place = {bench.view.whole.parameters[i].places[0]: i for i in weights.parameters}
    at = [place for place in chain.places if place in of_place]
    arrays = {of_place[place]: bench.array(of_place[place]) for place in at}
    seen = bench.view
    for _ in range(_PASSES):
        size = np.array([seen.evidence.signal("log10_value_rms")[:, place].mean() for place in at])
        if not np.isfinite(size).all() or np.abs(size).max() < math.log10(1 + _NEAR):
            break
        shares = np.diff(size, prepend=0.0)
        arrays = {of_place[p]: arrays[of_place[p]] * 10.0**-share for p, share in zip(at, shares, strict=True)}
        seen = bench.after(arrays)
    return seen


def _one_layer(finding: Finding, remedy: Remedy, bench: Bench) -> Remedy:
    """Return a layer that is too small or too large among others: what it does to the delta, before and after."""
    view, name = bench.view, finding.layers[0]
    place = next(i for i, p in enumerate(view.places) if p.name == name)
    feeding = [i for i in view.weights() if place in view.whole.parameters[i].places]
    before = [i for i in range(place) if view.places[i].site.kind == "product"]
    if len(feeding) != 1 or not before:
        return replace(remedy, not_tried="the layer has no weight of its own")
    step = lambda seen: float(
        10
        ** (
            seen.evidence.signal("log10_delta_rms")[:, before[-1]] - seen.evidence.signal("log10_delta_rms")[:, place]
        ).mean()
    )
    after = bench.after({feeding[0]: remedy.factor * bench.array(feeding[0])})
    return replace(remedy, outcomes=(Outcome(f"factor of the delta at {name}", step(view), 1.0, step(after)),))


def _recurrent(remedy: Remedy, chain: Chain, bench: Bench) -> Remedy:
    if not remedy.change:
        return remedy
    scans = {bench.view.places[i].site.scans for i in chain.places}
    inside = [i for i, p in enumerate(bench.view.places) if p.site.scans in scans and p.site.kind == "product"]
    square = [
        i
        for i in bench.view.weights()
        if set(inside) & set(bench.view.whole.parameters[i].places) and _is_square(bench.view.whole.parameters[i].shape)
    ]
    if len(square) != 1:
        return replace(remedy, not_tried="there is no one square matrix in the recurrence")
    after = bench.after({square[0]: _orthogonal(bench, square[0], 1.0)})
    same = next((c for c in after.chains if (c.part, c.along) == (chain.part, chain.along)), None)
    if same is None or same.delta is None:
        return replace(remedy, not_tried="the changed model has no finite delta to take a rate of")
    return replace(remedy, outcomes=(replace(remedy.outcomes[0], after=same.delta.value),))


def _is_square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] == shape[1]


# --- draws -----------------------------------------------------------------------------------------------------------


def _gaussian(bench: Bench, parameter: int, sigma_w2: float) -> np.ndarray:
    shape = bench.array(parameter).shape
    fan_in = math.prod(shape) / bench.view.units(parameter)
    return math.sqrt(sigma_w2 / fan_in) * bench.random.normal(size=shape)


def _orthogonal(bench: Bench, parameter: int, sigma_w2: float) -> np.ndarray:
    """Orthonormal rows or columns, at the norm that the variance asks for."""
    shape = bench.array(parameter).shape
    q, r = np.linalg.qr(bench.random.normal(size=(max(shape), min(shape))))
    q = q * np.sign(np.diagonal(r))
    q = q.T if shape[0] < shape[1] else q
    return q * math.sqrt(sigma_w2 * bench.view.units(parameter) / min(shape))


# --- units -----------------------------------------------------------------------------------------------------------


def _layer(finding: Finding, bench: Bench) -> tuple[int, int | None, int] | None:
    """Return weight, bias and the activation's place of the first layer of a finding."""
    view = bench.view
    for layer in view.layers("activation"):
        before = view.before(layer)
        if before is None or before.name != finding.layers[0]:
            continue
        weight = [i for i in view.weights() if before.members[0] in view.whole.parameters[i].places]
        if len(weight) != 1 or not view.units(weight[0]):
            return None
        return weight[0], view.bias_of(weight[0]), layer.members[0]
    return None


def _of_units(column: str) -> Callable[[Finding, Bench], tuple[Remedy, ...]]:
    def attempts(finding: Finding, bench: Bench) -> tuple[Remedy, ...]:
        layer = _layer(finding, bench)
        return tuple(_unit(remedy, layer, column, bench) for remedy in finding.remedies)

    return attempts


def _unit(remedy: Remedy, layer: tuple[int, int | None, int] | None, column: str, bench: Bench) -> Remedy:
    if not remedy.change:
        return remedy
    if layer is None:
        return replace(remedy, not_tried="the layer has no weight of its own")
    weight, bias, place = layer
    arrays = {} if bias is None else {bias: np.zeros_like(bench.array(bias))}
    match remedy.change:
        case "no bias" if bias is None:
            return replace(remedy, not_tried="the layer has no bias beside its weight")
        case "draw":
            arrays = {weight: _gaussian(bench, weight, 2.0)}
        case "unit variance":
            first = bench.view.whole.parameters[weight].places[0]
            size = bench.view.evidence.signal("log10_value_rms")[:, first].mean()
            arrays[weight] = 10.0**-size * bench.array(weight)
    after = float(bench.after(arrays).evidence.signal(column)[:, place].mean())
    return replace(remedy, outcomes=(replace(remedy.outcomes[0], after=after),))


_ATTEMPTS: dict[Rule, Callable[[Finding, Bench], tuple[Remedy, ...]]] = {
    **dict.fromkeys((Rule.GL001, Rule.GL002, Rule.GL003, Rule.GL004), _of_depth),
    Rule.GL005: _of_units("saturated_fraction"),
    Rule.GL006: _of_units("dead_fraction"),
    Rule.GL007: _of_units("dead_fraction"),
}
