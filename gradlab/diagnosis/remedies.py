"""What to change, the best first: each finding's remedies, with what theory predicts where it applies.

A remedy that can be made on the given parameters is tried (`gradlab.diagnosis.trials`); of any other it is said why
not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gradlab.diagnosis.chains import Chain
from gradlab.diagnosis.findings import Finding, Outcome, Remedy, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.view import GATES, View
from gradlab.diagnosis.weights import Weights, initialiser, weights_of
from gradlab.theory import c_map_path, tailored_slope

#: What an outcome is of.
DELTA = "factor per layer of the delta"
SIGNAL_IN_TIME = "factor per step of the signal"
DELTA_IN_TIME = "factor per step of the delta"
SIGNAL = "factor per layer of the signal"
UNLIKE = "1 - c of two examples at the last layer"

#: Why a remedy is not tried that changes the user's own code.
IN_CODE = "it stands in the model's code, not in its parameters"
_IN_DATA = "it stands in the data, not in the parameters"
_IN_LOOP = "it stands in the training loop"


def advise(finding: Finding, view: View) -> tuple[Remedy, ...]:
    """Return the remedies of a finding, none of them tried yet."""
    return tuple(_ADVICE[finding.rule](finding, view))


def chain_of(finding: Finding, view: View) -> Chain | None:
    """Return the chain that a finding of GL001 to GL004 is about; None where it is of one layer."""
    fitting = [
        c
        for c in view.chains
        if finding.value in (c.delta_decades, c.value_decades)
        and set(finding.layers) <= {n for i in c.places for n in (view.places[i].name, view.places[i].site.name)}
    ]
    return fitting[0] if fitting else None


def gain(finding: Finding, view: View, chain: Chain, weights: Weights) -> float:
    """Return the factor on the weights of a chain that keeps signal and delta; NaN where weights cannot do it.

    Where both change together it is one over the rate that was measured; where the delta alone does, what theory says
    of the activation.
    """
    measured = chain.delta or chain.value
    if finding.rule in (Rule.GL003, Rule.GL004) and measured is not None:
        blocks = 1 if weights.plain else max(_roles(view, chain), 1)
        return measured.value ** (-1 / blocks)
    if weights.plain and math.isfinite(weights.critical) and weights.sigma_w2 > 0:
        return math.sqrt(weights.critical / weights.sigma_w2)
    return math.nan


def _roles(view: View, chain: Chain) -> int:
    """Products in one block of the chain."""
    first, second = chain.places[0], chain.places[1]
    return sum(view.places[i].site.kind == "product" for i in range(first, second))


# --- GL001 to GL004 --------------------------------------------------------------------------------------------------


def _of_depth(finding: Finding, view: View) -> tuple[Remedy, ...]:
    chain = chain_of(finding, view)
    if chain is None:
        step = 10 ** (abs(finding.value) if finding.value < 0 else -abs(finding.value))
        return (Remedy(f"multiply the weights of {finding.layers[0]} by {step:.3g}", step, change="rescale"),)
    if chain.along == "steps":
        return _of_time(finding, view, chain)
    weights = weights_of(view, chain)
    factor = gain(finding, view, chain, weights)
    before = chain.delta.value if chain.delta is not None else math.nan
    outcomes_of = lambda rate: (Outcome(DELTA, before, rate, math.nan),)
    remedies = []
    if math.isfinite(factor) and weights.parameters:
        target = weights.sigma_w2 * factor**2
        name = initialiser(target)
        rate = weights.rate(target)
        remedies += [
            Remedy(
                f"multiply the weights by {factor:.3g}{f' ({name})' if name else ''}",
                factor,
                outcomes_of(rate),
                change="rescale",
            ),
            Remedy(f"draw the weights anew with {_variance(target)}", outcomes=outcomes_of(rate), change="draw"),
            Remedy(
                f"draw them orthogonal, times {math.sqrt(target):.3g}", outcomes=outcomes_of(rate), change="orthogonal"
            ),
        ]
    if weights.parameters and chain.value is not None:
        text = "scale each layer to unit variance on this batch (LSUV)"
        remedies.append(Remedy(text, outcomes=outcomes_of(math.nan), change="unit variance"))
    remedies += _in_the_code(finding, view, chain, weights, before)
    return tuple(remedies)


def _variance(sigma_w2: float) -> str:
    name = initialiser(sigma_w2)
    return f"variance {sigma_w2:.3g} / fan-in{f' ({name})' if name else ''}"


def _in_the_code(finding: Finding, view: View, chain: Chain, weights: Weights, before: float) -> list[Remedy]:
    outcomes_of = lambda rate: (Outcome(DELTA, before, rate, math.nan),)
    code = lambda text, rate=math.nan: Remedy(text, outcomes=outcomes_of(rate), not_tried=IN_CODE)
    remedies = []
    if finding.rule is Rule.GL001 and weights.function not in ("", "identity", "relu", "tanh"):
        remedies += [
            code(f"tanh in place of {weights.function}, with Xavier's weights", weights.rate(1.0, "tanh")),
            code(f"ReLU in place of {weights.function}, with He's weights", weights.rate(2.0, "relu")),
        ]
    normalised = any(True for _ in view.layers("norm"))
    if not normalised:
        remedies.append(code("a layer norm in front of each activation", weights.normalised_rate()))
    depth = len(chain.places)
    if finding.rule in (Rule.GL002, Rule.GL004):
        remedies.append(code(f"residual branches times 1/sqrt({depth}) = {depth**-0.5:.2g}, if they are such"))
        text = "clip the gradient by its global norm: it bounds the step, and leaves the ratio of the layers as it is"
        remedies.append(Remedy(text, not_tried=_IN_LOOP))
    elif finding.rule is Rule.GL001:
        remedies.append(code(f"skips around the layers, with branches times 1/sqrt({depth}) = {depth**-0.5:.2g}"))
    return remedies


def _of_time(finding: Finding, view: View, chain: Chain) -> tuple[Remedy, ...]:
    before = chain.delta.value if chain.delta is not None else math.nan
    outcomes = (Outcome(DELTA_IN_TIME, before, math.nan, math.nan),)
    gated = any(view.places[a.members[0]].site.function in GATES and view.in_time(a) for a in view.layers("activation"))
    steps = len(chain.places)
    remedies = [Remedy("draw the recurrent matrix orthogonal", outcomes=outcomes, change="orthogonal")]
    if finding.rule is Rule.GL001:
        if gated:
            text = (
                f"a forget bias of 1, or of log({steps - 1}) = {math.log(steps - 1):.2g} for a memory of {steps} steps"
            )
            remedies.insert(0, Remedy(text, not_tried="which bias is that of the forget gate is not known"))
        else:
            remedies.append(Remedy("gates (LSTM, GRU), or a skip from step to step", not_tried=IN_CODE))
    else:
        remedies.append(Remedy("clip the gradient by its global norm", not_tried=_IN_LOOP))
    return tuple(remedies)


# --- the others ------------------------------------------------------------------------------------------------------


def _said(*remedies: tuple[str, str]) -> Callable[[Finding, View], tuple[Remedy, ...]]:
    """Remedies that are the same for each finding of a rule."""
    return lambda finding, view: tuple(Remedy(text, not_tried=why) for text, why in remedies)


def _of_saturation(finding: Finding, view: View) -> tuple[Remedy, ...]:
    outcomes = (Outcome(f"saturated share of {finding.layers[0]}", finding.value, math.nan, math.nan),)
    return (
        Remedy(
            "scale the weights to preactivations of rms 1 on this batch, with biases of 0",
            outcomes=outcomes,
            change="unit variance",
        ),
        Remedy("standardise the inputs: mean 0, variance 1", not_tried=_IN_DATA),
        Remedy("a layer norm in front of the activation", not_tried=IN_CODE),
    )


def _of_dead(finding: Finding, view: View) -> tuple[Remedy, ...]:
    outcomes = (Outcome(f"dead share of {finding.layers[0]}", finding.value, math.nan, math.nan),)
    return (
        Remedy("set the biases of the layer to 0", outcomes=outcomes, change="no bias"),
        Remedy("draw the weights of the layer anew (He)", outcomes=outcomes, change="draw"),
        Remedy("a smaller learning rate, if they died in training", not_tried=_IN_LOOP),
        Remedy("leaky ReLU, ELU or GELU in place of ReLU", not_tried=IN_CODE),
    )


def tailored(view: View) -> tuple[float, float, int] | None:
    """Return the slope of a leaky ReLU tailored to a plain network of ReLU, 1 - c that theory says behind it, and L.

    None for any other network, and for one so shallow that ReLU itself keeps examples apart.
    """
    chain = max((c for c in view.chains if c.along == "layers"), key=lambda c: len(c.places), default=None)
    weights = None if chain is None else weights_of(view, chain)
    if chain is None or weights is None or not weights.plain or weights.function not in ("relu", "leaky_relu"):
        return None
    slope = round(tailored_slope(depth := len(chain.places)), 3)
    first = float(view.evidence.signal("log10_one_minus_c")[:, chain.places[0]].mean())
    if not slope or not first <= math.log10(2):
        return None
    return slope, float(1 - c_map_path(f"leaky_relu:{slope}", depth - 1, 1 - 10**first)[-1]), depth


def _of_collapse(finding: Finding, view: View) -> tuple[Remedy, ...]:
    fitted = tailored(view)
    text, outcomes = "leaky ReLU of a slope tailored to the depth, with gain sqrt(2 / (1 + slope^2))", ()
    if fitted is not None:
        slope, after, depth = fitted
        text = (
            f"leaky ReLU with the slope {slope} below 0, tailored to {depth} layers, with weights of variance "
            f"{2 / (1 + slope**2):.3g} / fan-in and biases of 0"
        )
        outcomes = (Outcome(UNLIKE, 10**finding.value, after, math.nan),)
    return (
        Remedy(
            "smaller biases, or weights nearer to the critical point", not_tried="which of both it is, is not known"
        ),
        Remedy("a norm over the batch or skips around the layers", not_tried=IN_CODE),
        Remedy(text, outcomes=outcomes, not_tried=IN_CODE),
    )


def _of_precision(finding: Finding, view: View) -> tuple[Remedy, ...]:
    deep = any(abs(c.delta_decades) > LINES.grave for c in view.chains)
    scale = Remedy("multiply the loss by 2^k and divide the gradients by it (loss scaling)", not_tried=_IN_LOOP)
    if deep:
        text = "cure the vanishing: loss scaling only moves the layer from which on nothing is left"
        return Remedy(text, not_tried="see the finding of the vanishing"), scale
    return scale, Remedy("bfloat16 in place of float16: it has the range of float32", not_tried=IN_CODE)


#: By operation, what keeps it from leaving the numbers.
_GUARDS = {
    "sqrt": "sqrt(x + 1e-12), or where() around the operand as well: its slope at 0 is infinite",
    "rsqrt": "rsqrt(x + epsilon)",
    "div": "a denominator of max(x, epsilon), or where() around the operand as well as around the result",
    "log": "log(max(x, tiny)); log_softmax in place of the log of a softmax",
    "log1p": "a clamp of the operand above -1",
    "exp": "subtract the maximum first (log_softmax, logsumexp), or clamp the operand",
    "pow": "a clamp of the base away from 0",
    "acos": "a clamp of the operand within (-1, 1): the slope at the ends is infinite",
    "dot_general": "smaller weights, or a format with more range",
    "conv_general_dilated": "smaller weights, or a format with more range",
    "reduce_max": "a finite number in place of -inf where all of a row is masked",
}


def _of_nonfinite(finding: Finding, view: View) -> tuple[Remedy, ...]:
    named = [
        birth for birth in view.whole.births if birth.reaches and f"comes from {birth.primitive}" in finding.evidence
    ]
    if not named:
        return (Remedy("look at the operation there, under jax.debug_nans", not_tried=IN_CODE),)
    birth = named[0]
    if birth.direction == "input":
        return (Remedy("clean the data, or mask them before the first product", not_tried=_IN_DATA),)
    guard = _GUARDS.get(birth.primitive, "a guard of its operands: clamp them, or where() around the operand as well")
    return (Remedy(f"{birth.primitive} in {birth.source or birth.place}: {guard}", not_tried=IN_CODE),)


def _of_scale(finding: Finding, view: View) -> tuple[Remedy, ...]:
    if "targets" in finding.evidence:
        return (Remedy("standardise the targets: mean 0, variance 1", not_tried=_IN_DATA),)
    if "softmax" in finding.evidence:
        return (Remedy("hand the logits to the loss, without the softmax", not_tried=IN_CODE),)
    if "saturated" in finding.evidence:
        return (Remedy("a loss of the logits (sigmoid_binary_cross_entropy)", not_tried=IN_CODE),)
    return (
        Remedy("standardise the inputs: mean 0, variance 1", not_tried=_IN_DATA),
        Remedy("a smaller readout, or a norm in front of it", not_tried=IN_CODE),
    )


_ADVICE: dict[Rule, Callable[[Finding, View], Sequence[Remedy]]] = {
    **dict.fromkeys((Rule.GL001, Rule.GL002, Rule.GL003, Rule.GL004), _of_depth),
    Rule.GL005: _of_saturation,
    Rule.GL006: _of_dead,
    Rule.GL007: _of_dead,
    Rule.GL008: _of_collapse,
    Rule.GL009: _said(
        ("weights nearer to the critical point", "see the exploding of the gradient, where there is one"),
        ("skips around the layers: the correlation then falls as a power of depth", IN_CODE),
    ),
    Rule.GL010: _of_precision,
    Rule.GL011: _said(("connect it, or take it out of the parameters", IN_CODE)),
    Rule.GL012: _said(("nothing, if it is meant", "there is nothing to change")),
    Rule.GL013: _said(
        ("a smaller epsilon, or a larger signal in front of the norm", IN_CODE),
        ("another axis, or a larger batch, where the variance is taken over one number", IN_CODE),
    ),
    Rule.GL014: _said(("another learning rate, or a warm-up", _IN_LOOP)),
    Rule.GL015: _said(
        ("divide the logits by the root of the head's size", IN_CODE),
        ("normalise queries and keys (QK norm)", IN_CODE),
        ("smaller weights of queries and keys", "which products are these is not known"),
    ),
    Rule.GL016: _said(
        ("draw the weights from a distribution (Xavier, He), biases may stay 0", "drawn weights differ for certain"),
    ),
    Rule.GL017: _said(
        ("a larger batch or a smaller learning rate; nothing, if the network has converged", _IN_LOOP),
        ("look whether the labels belong to their examples", _IN_DATA),
    ),
    Rule.GL018: _of_nonfinite,
    Rule.GL019: _said(("compare the function's own derivative with jax.test_util.check_grads", IN_CODE)),
    Rule.GL020: _of_scale,
    Rule.GL021: _said(("multiply the loss, or take a smaller epsilon: optax.adam(rate, eps=1e-12)", _IN_LOOP)),
}
