"""Remedies that change options of one of gradlab's networks: initialiser, activation, norm, skips, depth, cell.

Each is tried: the changed network is built, drawn anew and measured. Theory's number stands beside where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gradlab._errors import GradlabError
from gradlab.config import REGISTRIES
from gradlab.diagnosis.chains import Chain, main_chain
from gradlab.diagnosis.findings import Finding, Outcome, Remedy, Rule
from gradlab.diagnosis.rebuilt import Rebuilt
from gradlab.diagnosis.remedies import (
    DELTA,
    DELTA_IN_TIME,
    IN_CODE,
    SIGNAL,
    SIGNAL_IN_TIME,
    UNLIKE,
    chain_of,
    tailored,
)
from gradlab.diagnosis.view import View
from gradlab.diagnosis.weights import Weights, initialiser, weights_of
from gradlab.theory import residual_factor

#: What an outcome is of, where it is no factor.
DECADES = "decades of the delta from the last layer to the first"
DEAD = "largest dead share of a layer"
SATURATED = "largest saturated share of a layer"
LOGITS = "rms of the largest attention logits"

_ACTIVATIONS = REGISTRIES["activation"]
_HE = {"init": "he_normal", "gain": 1.0, "sigma_w2": None, "std": None}
_XAVIER = {**_HE, "init": "xavier_normal"}
_ORTHOGONAL = {**_HE, "init": "orthogonal"}
_CRITICAL = {**_HE, "init": "critical"}
#: Activations that pass a gradient of any size: another one would not help where it vanishes.
_STRAIGHT = ("relu", "leaky_relu", "identity")
#: Activations of which tanh is the better choice.
_BENT = ("sigmoid", "softplus", "softsign", "hard_tanh")


#: A factor per layer this near to 1 is one that a network of usual depth can be trained with.
_NEAR = 0.1


class Idea(NamedTuple):
    """Options to change, why, and what theory says of the number that is judged."""

    changes: Mapping[str, Any]
    why: str
    predicted: float = math.nan


class Reading(NamedTuple):
    """What is read of a network before and after a change: what it is called, and its number."""

    what: str
    measure: Callable[[View], float]


def try_options(finding: Finding, remedies: Sequence[Remedy], view: View, network: Rebuilt) -> tuple[Remedy, ...]:
    """Return the remedies of a finding, with those that change options of the network in place of advice on its code.

    Parameters
    ----------
    finding : Finding
        What is to be cured.
    remedies : sequence of Remedy
        Those that change parameters, tried, and the others.
    view : View
        The network as it was given.
    network : Rebuilt
        The same network, which can be built with other options.

    Returns
    -------
    tuple of Remedy
        Those that cure first. The remedies as they are, where no option helps against such a finding.
    """
    makers = _IDEAS.get(finding.rule)
    ideas = [idea for idea in makers(finding, view, network.options) if _new(idea, network.options)] if makers else []
    if not ideas:
        return tuple(remedies)
    tried = [_tried(idea, finding, view, network) for idea in ideas]
    kept = [remedy for remedy in remedies if remedy.not_tried != IN_CODE]
    return tuple(sorted([*kept, *tried], key=_rank))


def _new(idea: Idea, options: Mapping[str, Any]) -> bool:
    return any(options.get(name) != value for name, value in idea.changes.items())


def _tried(idea: Idea, finding: Finding, view: View, network: Rebuilt) -> Remedy:
    changed = {n: v for n, v in idea.changes.items() if network.options.get(n) != v}
    text = f"{', '.join(f'{name}={value!r}' for name, value in changed.items())}: {idea.why}"
    readings = _readings(finding, view, idea)
    before = [
        Outcome(r.what, r.measure(view), p, math.nan)
        for r, p in zip(readings, (idea.predicted, math.nan), strict=False)
    ]
    remedy = Remedy(text, outcomes=tuple(before), options=tuple(changed.items()))
    try:
        after = View(network.evidence(changed))
    except GradlabError as error:
        return Remedy(text, outcomes=remedy.outcomes, not_tried=str(error), options=remedy.options)
    outcomes = tuple(replace(o, after=r.measure(after)) for o, r in zip(before, readings, strict=True))
    unread = "" if math.isfinite(outcomes[0].after) else "the changed network has no such number"
    return Remedy(text, outcomes=outcomes, not_tried=unread, options=remedy.options)


def _rank(remedy: Remedy) -> int:
    """Return 0 for a factor near 1 after the change, 1 for another number, 2 for another factor, 3 for untried."""
    if not remedy.tried:
        return 3
    first = remedy.outcomes[0]
    if first.what not in (DELTA, DELTA_IN_TIME):
        return 1
    return 0 if abs(first.after - 1) < _NEAR else 2


# --- what is read ----------------------------------------------------------------------------------------------------


def _readings(finding: Finding, view: View, idea: Idea) -> tuple[Reading, ...]:
    match finding.rule:
        case Rule.GL001 | Rule.GL002 | Rule.GL003 | Rule.GL004 if "depth" in idea.changes:
            return (Reading(DECADES, _decades),)
        case Rule.GL001 | Rule.GL002 | Rule.GL003 | Rule.GL004:
            chain = chain_of(finding, view)
            in_time = chain is not None and chain.along == "steps"
            delta, signal = (DELTA_IN_TIME, SIGNAL_IN_TIME) if in_time else (DELTA, SIGNAL)
            return Reading(delta, _rate(chain, "delta")), Reading(signal, _rate(chain, "value"))
        case Rule.GL005:
            return (Reading(SATURATED, _largest("saturated_fraction", "activation")),)
        case Rule.GL006 | Rule.GL007:
            return (Reading(DEAD, _largest("dead_fraction", "activation")),)
        case Rule.GL015:
            return (Reading(LOGITS, lambda seen: 10 ** _largest("log10_value_rms", "logits")(seen)),)
        case _:
            return (Reading(UNLIKE, _unlike),)


def _rate(chain: Chain | None, signal: str) -> Callable[[View], float]:
    """Return the rate of the same chain; of the main one where the changed network has no such chain."""

    def read(view: View) -> float:
        same = [c for c in view.chains if chain is not None and (c.part, c.along) == (chain.part, chain.along)]
        chosen = same[0] if same else main_chain(view.evidence)
        rate = None if chosen is None else getattr(chosen, signal)
        return math.nan if rate is None else rate.value

    return read


def _hidden(view: View) -> list[int]:
    """Places of the products that the readout stands behind."""
    return [i for i, p in enumerate(view.places) if p.site.kind == "product" and i != view.readout]


def _decades(view: View) -> float:
    places = _hidden(view)
    delta = view.evidence.signal("log10_delta_rms").mean(axis=0)
    return float(delta[places[0]] - delta[places[-1]])


def _largest(column: str, kind: str) -> Callable[[View], float]:
    def read(view: View) -> float:
        numbers = [view.most(column, layer) for layer in view.layers(kind)]
        known = [number for number in numbers if not math.isnan(number)]
        return max(known, default=math.nan)

    return read


def _unlike(view: View) -> float:
    return float(10 ** view.evidence.signal("log10_one_minus_c")[:, _hidden(view)[-1]].mean())


# --- ideas -----------------------------------------------------------------------------------------------------------


def _of_depth(finding: Finding, view: View, options: Mapping[str, Any]) -> list[Idea]:
    chain = chain_of(finding, view)
    if chain is None or chain.delta is None:
        return []
    if options["architecture"] == "rnn":
        return _of_time(finding, chain, options)
    weights = weights_of(view, chain)
    if _numbered(options):  # a program shows a leaky ReLU, but not which
        weights = replace(weights, function=options["activation"])
    return [
        *(_other_activations(weights, options) if finding.rule is Rule.GL001 else []),
        *_no_biases(options, replace(weights, sigma_b2=0.0).rate(weights.sigma_w2)),
        *_other_weights(weights, options),
        *_norms(weights, options),
        *_skips(chain, weights, options),
        *_fewer_layers(chain, options),
    ]


def _numbered(options: Mapping[str, Any]) -> bool:
    """Return whether the network has one activation with a number behind its name."""
    named = options["activation"]
    return isinstance(named, str) and _ACTIVATIONS.split(named)[1] is not None


def _other_activations(weights: Weights, options: Mapping[str, Any]) -> list[Idea]:
    current = options["activation"]
    if current in _STRAIGHT or (_numbered(options) and _ACTIVATIONS.split(current)[0] in _STRAIGHT):
        return []
    relu = Idea({"activation": "relu", **_HE}, "ReLU with He's weights", weights.rate(2.0, "relu"))
    if current not in _BENT:
        return [relu]
    return [relu, Idea({"activation": "tanh", **_XAVIER}, "tanh with Xavier's weights", weights.rate(1.0, "tanh"))]


def _other_weights(weights: Weights, options: Mapping[str, Any]) -> list[Idea]:
    """Weights that keep the signal, by their name where they have one."""
    if options["architecture"] == "transformer":
        return [Idea(_XAVIER, "Xavier's weights")]
    critical = 2.0 if options["activation"] == "relu" else weights.critical
    if not math.isfinite(critical):
        return []
    if _numbered(options) and weights.plain:
        return [Idea(_CRITICAL, "the weights that keep the signal of this activation", weights.rate(critical))]
    name = initialiser(critical)
    if name == "He":
        return [Idea(_HE, "He's weights", weights.rate(2.0))]
    if name:
        return [Idea(_XAVIER, "Xavier's weights", weights.rate(1.0))]
    if not weights.plain:
        return []
    at = {**_HE, "init": "gaussian", "sigma_w2": float(f"{critical:.3g}")}
    return [Idea(at, "the critical point of the activation", weights.rate(critical))]


def _no_biases(options: Mapping[str, Any], predicted: float = math.nan) -> list[Idea]:
    return [Idea({"sigma_b2": 0.0}, "biases of 0", predicted)] if options.get("sigma_b2") else []


def _norms(weights: Weights, options: Mapping[str, Any]) -> list[Idea]:
    if options["architecture"] == "transformer":
        return [Idea({"norm_position": "before"}, "the norm on the branch, not on the stream")]
    if options.get("norm", "none") is not None:
        return []
    return [Idea({"norm": "layer"}, "a layer norm in front of each activation", weights.normalised_rate())]


def _skips(chain: Chain, weights: Weights, options: Mapping[str, Any]) -> list[Idea]:
    """Branches times 1/sqrt(L), which multiply the delta by sqrt(1 + chi / L); chi is that of the branch alone."""
    depth, kind = options["depth"], options["architecture"]
    if kind == "resnet":
        chi = _chi_of_branch(chain, options)
        rate = math.sqrt(residual_factor(depth**-0.5, chi)) if chi >= 0 else math.nan
        return [Idea({"branch_scale": "1/sqrt(L)"}, "smaller branches", rate)]
    if kind not in ("mlp", "convnet"):
        return []
    plain = weights.plain and weights.function == "relu"
    rate = math.sqrt(residual_factor(depth**-0.5, weights.sigma_w2 / 2)) if plain else math.nan
    return [Idea(_skipped(options), "a skip around each layer", rate)]


def _skipped(options: Mapping[str, Any]) -> dict[str, Any]:
    """Each layer as a residual branch."""
    changes = {"architecture": "resnet", "branch_layers": 1, "branch_scale": "1/sqrt(L)", "norm_position": "before"}
    return changes | ({"branch": "conv"} if options["architecture"] == "convnet" else {})


def _chi_of_branch(chain: Chain, options: Mapping[str, Any]) -> float:
    """From the factor that was measured, (rate^2 - 1) / a^2; NaN where the branches' scale a is learned or 0."""
    scale = {"1/sqrt(L)": options["depth"] ** -0.5, "1/L": 1 / options["depth"], "learned": 0.0}
    a = scale.get(options["branch_scale"]) if options["branch_scale"] in scale else float(options["branch_scale"])
    return (chain.delta.value**2 - 1) / a**2 if a and chain.delta is not None else math.nan


def _fewer_layers(chain: Chain, options: Mapping[str, Any]) -> list[Idea]:
    """As many layers as the delta can pass with a change of at most ten."""
    step = math.log10(chain.delta.value) if chain.delta is not None and chain.delta.value > 0 else math.nan
    tuples = isinstance(options["width"], tuple) or isinstance(options["activation"], tuple)
    if tuples or not abs(step) > 0:
        return []
    depth = 1 + int(1 / abs(step))
    if not 1 < depth < options["depth"]:
        return []
    return [Idea({"depth": depth}, "fewer layers at the same factor", step * (depth - 1))]


def _of_time(finding: Finding, chain: Chain, options: Mapping[str, Any]) -> list[Idea]:
    orthogonal = Idea(_ORTHOGONAL, "orthogonal matrices")
    if finding.rule in (Rule.GL002, Rule.GL004):
        return [orthogonal, Idea({"cell": "gru"}, "gates")]
    if options["cell"] == "lstm":
        steps = len(chain.places)
        bias = round(math.log(max(steps - 1, 2)), 2)
        return [Idea({"forget_bias": bias}, f"a memory of {steps} steps")]
    return [orthogonal, Idea({"cell": "lstm", "forget_bias": 1.0}, "gates that begin open")]


def _of_saturation(finding: Finding, view: View, options: Mapping[str, Any]) -> list[Idea]:
    if options["architecture"] == "rnn":
        return [Idea(_ORTHOGONAL, "orthogonal matrices")]
    more = [Idea({"norm": "layer"}, "a layer norm in front of each activation")]
    return [Idea(_XAVIER, "Xavier's weights"), *(more if options.get("norm", "none") is None else [])]


def _of_dead(finding: Finding, view: View, options: Mapping[str, Any]) -> list[Idea]:
    ideas = [*_no_biases(options), Idea({"activation": "leaky_relu", **_HE}, "a slope on the left as well")]
    if options.get("norm", "none") is None:
        ideas.append(Idea({"norm": "batch"}, "a batch norm in front of each activation"))
    return ideas


def _of_collapse(finding: Finding, view: View, options: Mapping[str, Any]) -> list[Idea]:
    ideas = _no_biases(options)
    if options.get("norm", "none") is None and options["architecture"] != "transformer":
        ideas.append(Idea({"norm": "batch"}, "a norm over the batch, which sets examples apart"))
    if options["architecture"] in ("mlp", "convnet"):
        ideas.append(Idea(_skipped(options), "a skip around each layer"))
    fitted = tailored(view)
    if fitted is not None and options["architecture"] == "mlp":
        slope, after, depth = fitted
        biases = {"sigma_b2": 0.0} if options.get("sigma_b2") else {}
        changes = {"activation": f"leaky_relu:{slope}", **_CRITICAL, **biases}
        ideas.append(Idea(changes, f"a bend that is tailored to {depth} layers", after))
    return ideas


def _of_attention(finding: Finding, view: View, options: Mapping[str, Any]) -> list[Idea]:
    """Logits are of second order in the weights: a gain that brings the largest of them to 1."""
    largest = 10 ** _largest("log10_value_rms", "logits")(view)
    if not largest > 0 or options["architecture"] != "transformer":
        return []
    gain = float(f"{options['gain'] / math.sqrt(largest):.3g}")
    return [Idea({"gain": gain}, "smaller weights of queries and keys, as of all", 1.0)]


_IDEAS: dict[Rule, Callable[[Finding, View, Mapping[str, Any]], list[Idea]]] = {
    **dict.fromkeys((Rule.GL001, Rule.GL002, Rule.GL003, Rule.GL004), _of_depth),
    Rule.GL005: _of_saturation,
    **dict.fromkeys((Rule.GL006, Rule.GL007), _of_dead),
    Rule.GL008: _of_collapse,
    Rule.GL015: _of_attention,
}
