"""GL001 to GL004: signal and gradient change from layer to layer, or from step to step.

Where both shrink, the weights are too small; where the gradient alone does, the weights cannot help: it is the slope
of the activation, or what is in its way. In time there is no signal to compare with, for each step has its own input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gradlab.diagnosis.chains import Chain, stacks
from gradlab.diagnosis.findings import Finding, Margin, Rule, Severity
from gradlab.diagnosis.lines import LINES, Line
from gradlab.diagnosis.view import GATES, Said, View, listed
from gradlab.measurement.slope import Rate, interval_text

#: By direction, of the gradient alone and of signal and gradient together.
_ALONE = {-1: Rule.GL001, 1: Rule.GL002}
_BOTH = {-1: Rule.GL003, 1: Rule.GL004}
_VERB = {-1: "shrinks", 1: "grows"}


def over_depth(view: View) -> tuple[Said, ...]:
    """GL001 to GL004, in this order."""
    findings = [f for group in stacks(view.chains) for f in _of_stack(view, group)]
    return tuple(Said(tuple(f for f in findings if f.rule is rule), _margin(view, rule)) for rule in (
        Rule.GL001, Rule.GL002, Rule.GL003, Rule.GL004,
    ))  # fmt: skip


def _of_stack(view: View, group: Sequence[Chain]) -> list[Finding]:
    if group[0].along == "steps":
        return _in_time(view, group)
    for sign in (-1, 1):
        said = _voted(group, sign, lambda c: c.delta_decades, _line)
        if said:
            return [_both_ways(view, said, sign)]
    for sign in (-1, 1):
        said = [c for c in _voted(group, sign, lambda c: c.value_decades, lambda _: LINES.decades_alone) if c.alike]
        if said:
            return [_forward(view, max(said, key=lambda c: abs(c.value_decades)), sign)]
    return [f for chain in group if chain.alike for f in (*_odd_layers(view, chain), *_odd_readout(view, chain))]


def _line(chain: Chain) -> Line:
    return LINES.decades if chain.even else LINES.decades_unlike


def _voted(
    group: Sequence[Chain], sign: int, number: Callable[[Chain], float], line: Callable[[Chain], float]
) -> list[Chain]:
    """Return the chains beyond the line in this direction, if they are most of the stack's."""
    known = [c for c in group if not math.isnan(number(c))]
    beyond = [c for c in known if sign * number(c) > line(c)]
    return beyond if beyond and len(beyond) >= LINES.together * len(known) else []


def _both_ways(view: View, said: Sequence[Chain], sign: int) -> Finding:
    worst = max(said, key=lambda c: (_is_product(view, c), abs(c.delta_decades)))
    # the signal changes the same way, by at least half as much
    together = sign * worst.value_decades > abs(worst.delta_decades) / 2
    rule = (_BOTH if together else _ALONE)[sign]
    delta = _factor(worst.delta, len(worst.places))
    text = f"the delta {_VERB[sign]} by x {delta} towards the input over {worst.part}"
    if together:
        value = _factor(worst.value, len(worst.places))
        text += f", and the signal {_VERB[sign]} by x {value} forward: the weights do it{_blind(view, worst)}"
    elif not math.isnan(worst.value_decades):
        text += (
            f", while the signal keeps its size (x {_factor(worst.value, len(worst.places), False)} forward): "
            f"it is not the weights' size alone, but the slope of what they pass through"
        )
    return Finding(rule, _severity(worst.delta_decades), _affected(view, worst, together), text, worst.delta_decades,
                   sign * float(_line(worst)))  # fmt: skip


def _forward(view: View, chain: Chain, sign: int) -> Finding:
    text = f"the signal {_VERB[sign]} by x {_factor(chain.value, len(chain.places))} forward over {chain.part}"
    text += ", the delta does not" if chain.delta is not None else ", the delta is not known there"
    names = tuple(view.places[i].name for i in chain.places)
    return Finding(_BOTH[sign], _severity(chain.value_decades), names[::-1], text, chain.value_decades,
                   sign * float(LINES.decades_alone))  # fmt: skip


def _in_time(view: View, group: Sequence[Chain]) -> list[Finding]:
    line = LINES.rate_of_gates if _gated(view) else LINES.rate_in_time
    down = _voted(group, -1, lambda c: c.delta_decades, lambda _: LINES.decades)
    down = [c for c in down if c.delta is not None and c.delta.value < line]
    # the sum over the losses of all later steps may grow with their number, which is no explosion
    up = _voted(group, 1, lambda c: c.delta_decades, lambda _: LINES.decades_unlike)
    for sign, said, line in ((-1, down, LINES.decades), (1, up, LINES.decades_unlike)):
        if said:
            worst = max(said, key=lambda c: (_is_product(view, c), abs(c.delta_decades)))
            factor = _factor(worst.delta, len(worst.places), each="step")
            text = f"the delta {_VERB[sign]} by x {factor} back in time: {worst.part}"
            names = tuple(dict.fromkeys(view.places[i].site.name for i in worst.places))
            return [Finding(_ALONE[sign], _severity(worst.delta_decades), names, text, worst.delta_decades,
                            sign * float(line))]  # fmt: skip
    return []


def _odd_layers(view: View, chain: Chain) -> list[Finding]:
    """Find layers at which signal and delta fall or rise tenfold together: nothing but their weights does that."""
    if not _is_product(view, chain):
        return []
    at = list(chain.places)
    value = view.evidence.signal("log10_value_rms")[:, at]
    delta = view.evidence.signal("log10_delta_rms")[:, at]
    with np.errstate(invalid="ignore"):
        forward, backward = np.diff(value, axis=1), -np.diff(delta, axis=1)
    findings = []
    for sign in (-1, 1):
        both = np.minimum(sign * forward, sign * backward).min(axis=0)
        for k in np.flatnonzero(both > LINES.decades):
            place = view.places[at[k + 1]]
            text = (
                f"at this layer the signal {_VERB[sign]} by x {10 ** forward[:, k].mean():.2g} and the delta by "
                f"x {10 ** backward[:, k].mean():.2g}: its weights do it, those of other layers do not"
            )
            findings.append(Finding(_BOTH[sign], "warning", (place.name,), text, sign * float(both[k]),
                                 sign * float(LINES.decades)))  # fmt: skip
    return findings


def _odd_readout(view: View, chain: Chain) -> list[Finding]:
    """Return a readout that is a thousand times too small or too large for the layer before it."""
    last = chain.places[-1]
    products = [i for i in range(view.readout) if view.places[i].site.kind == "product"]
    if view.readout < 0 or products[-1:] != [last]:
        return []
    sizes = [0.5 * math.log10(math.prod(view.places[i].site.shape)) for i in (last, view.readout)]
    value = view.evidence.signal("log10_value_rms")
    delta = view.evidence.signal("log10_delta_rms")
    with np.errstate(invalid="ignore"):
        forward = value[:, view.readout] - value[:, last]
        backward = delta[:, last] + sizes[0] - delta[:, view.readout] - sizes[1]
    name = view.places[view.readout].name
    for sign in (-1, 1):
        both = float(np.minimum(sign * forward, sign * backward).min())
        if LINES.readout < both < math.inf:
            text = (
                f"the readout's output is x {10 ** forward.mean():.2g} of what goes in, and what comes back x "
                f"{10 ** backward.mean():.2g}: its weights hold all layers back"
            )
            return [Finding(_BOTH[sign], "warning", (name,), text, sign * both, sign * float(LINES.readout))]
    return []


def _gated(view: View) -> bool:
    """By its sigmoids; or, where these are of a sum of products, by three matrices from state to state or more."""
    square = {
        i
        for layer in view.layers("product")
        if view.in_time(layer)
        for i in view.weights()
        if layer.members[0] in view.whole.parameters[i].places and len(set(view.whole.parameters[i].shape)) == 1
    }
    return len(square) >= 3 or any(
        view.places[layer.members[0]].site.function in GATES and view.in_time(layer)
        for layer in view.layers("activation")
    )


def _is_product(view: View, chain: Chain) -> bool:
    return view.places[chain.places[0]].site.kind == "product"


def _severity(decades: float) -> Severity:
    return "error" if abs(decades) > LINES.grave else "warning"


def _factor(rate: Rate | None, places: int, whole: bool = True, each: str = "layer") -> str:
    """``0.0801 [0.0787, 0.0815] per layer, -9.8 decades over 10 places``."""
    if rate is None:
        return "?"
    text = interval_text(rate.value, rate.low, rate.high)
    return f"{text} per {each} ({rate.decades.value:+.1f} decades over {places} places)" if whole else text


def _blind(view: View, chain: Chain) -> str:
    """Return what the gradients of the weights alone would have said."""
    norms = []
    for at in (chain.places[0], chain.places[-1]):
        feeding = [i for i in view.weights() if at in view.whole.parameters[i].places]
        if len(feeding) != 1:
            return ""
        norms.append(float(view.evidence.gradient("log10_grad_norm")[:, feeding[0]].mean()))
    ratio = norms[0] - norms[1]
    if not math.isfinite(ratio) or abs(ratio) > LINES.decades:
        return ""
    return (
        f". The gradients of the weights alone would look healthy (first over last {10**ratio:.2f}): "
        "they are signal times delta, and the two changes cancel"
    )


def _affected(view: View, chain: Chain, together: bool) -> tuple[str, ...]:
    """Return the most affected first: the places nearest the input, or all where it is the weights of all."""
    names = tuple(view.places[i].name for i in chain.places)
    if together:
        return names
    delta = view.evidence.signal("log10_delta_rms")[:, list(chain.places)]
    known = np.isfinite(delta).all(axis=0)
    away = np.abs(delta - delta[:, known][:, -1:]).mean(axis=0)
    return tuple(n for n, d, k in zip(names, away, known, strict=True) if not k or d > LINES.decades) or names[:1]


def _margin(view: View, rule: Rule) -> Margin:
    sign = -1 if rule in (Rule.GL001, Rule.GL003) else 1
    forward = rule in (Rule.GL003, Rule.GL004)
    known = [
        (sign * (c.value_decades if forward else c.delta_decades), c)
        for c in view.chains
        if not math.isnan(c.value_decades if forward else c.delta_decades)
    ]
    if not known:
        silent = "no four places that play one part at different depths, and no three layers in series"
        if any(c.delta is None for c in view.chains):
            without = [c.part for c in view.chains if c.delta is None]
            silent = f"no finite delta in the chain of {listed(without)}"
        return Margin(rule, silent=silent)
    number, chain = max(known, key=lambda pair: pair[0])
    return Margin(rule, sign * number, sign * float(_line(chain)), chain.part, "decades")
