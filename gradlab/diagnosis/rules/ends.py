r"""GL019 and GL020: whether the gradient is that of the loss, and what all layers have in common.

A factor that all layers share is in no ratio of layers. What is left to look at is the end: of one example, with z what
the readout puts out,

.. math:: u = \frac{L}{\|\partial L/\partial z\|}

is the change of the outputs that would bring the loss to zero if it were a straight line. The loss's unit, the batch
and mean or sum cancel. Cross-entropy of equal logits has :math:`\log K`, a squared error half the distance to its
targets. Near a minimum both vanish together; a constant in the loss (weight decay) makes u large there, so the lines
are far out, and a loss that is not positive is not judged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.sites import Place
from gradlab.diagnosis.view import GATES, Layer, Said, View, listed, rows


def wrong_gradient(view: View) -> Said:
    """GL019. Without a backward rule by hand it can only be stop_gradient or a kink: the rules of JAX are right."""
    suspects, names = view.whole.suspects, view.whole.coverage.rules
    if suspects is not None and not names:
        return Said((), Margin(Rule.GL019, silent="no backward rule was written by hand"))
    if suspects is None:
        return Said((), Margin(Rule.GL019, silent="the gradient was not compared with finite differences"))
    measured, promised = suspects.slope
    if not np.isfinite([measured, promised, suspects.slope_error]).all():
        why = "; ".join(suspects.notes) or "the difference of the loss is below its rounding"
        return Said((), Margin(Rule.GL019, silent=why))
    gap = abs(measured - promised)
    size = max(abs(measured), abs(promised))
    errors = gap / suspects.slope_error if suspects.slope_error > 0 else math.inf if gap > 0 else 0.0
    share = gap / size if size > 0 else 0.0
    margin = Margin(Rule.GL019, min(errors, float("1e9")), float(LINES.wrong_slope), "", "errors")
    if errors <= LINES.wrong_slope or share <= LINES.wrong_slope_by:
        return Said((), margin)
    text = (
        f"along one direction the loss changes at a rate of {measured:.4g}, and the gradient says {promised:.4g} "
        f"(rounding and curvature explain {suspects.slope_error:.1g})"
    )
    text += f"; the backward rule of {listed(names)} was written by hand"
    return Said((Finding(Rule.GL019, "error", names, text, errors, float(LINES.wrong_slope)),), margin)


@dataclass(frozen=True)
class _End:
    """The end of a network, of one example: what is asked for and what is there, as norms and as an rms."""

    asked: float
    there: float
    rms: float
    units: int


def scale(view: View) -> Said:
    """GL020."""
    end = _end(view)
    said = _drowned(view)
    if isinstance(end, str):
        margin = Margin(Rule.GL020, silent=end)
    else:
        name = view.places[view.readout].name
        margin = Margin(Rule.GL020, end.asked, float(LINES.end_scale), name, "outputs")
        if text := _said(view, end):
            said.append(Finding(Rule.GL020, "warning", (name,), text, end.asked, float(LINES.end_scale)))
    if not said and (text := _one_sided(view)):
        said.append(Finding(Rule.GL020, "warning", (view.places[view.readout].name,), text))
    return Said(tuple(said), margin)


def _drowned(view: View) -> list[Finding]:
    """Return the first layer, where what comes in is nothing beside its bias."""
    first = next(iter(view.layers("product")), None)
    if first is None or view.in_time(first):
        return []
    weight = [i for i in view.weights() if first.members[0] in view.whole.parameters[i].places]
    bias = view.bias_of(weight[0]) if len(weight) == 1 else None
    if bias is None:
        return []
    count = math.prod(view.whole.parameters[bias].shape)
    size = view.least_gradient("log10_weight_norm", bias) - 0.5 * math.log10(count)
    ratio = view.most("log10_value_rms", first) - size
    if not math.isfinite(ratio) or ratio > LINES.drowned:
        return []
    text = (
        f"what comes into {first.name} is x {10**ratio:.2g} of its bias: inputs or first weights are out of scale, and "
        "all examples look alike behind it"
    )
    return [Finding(Rule.GL020, "warning", (first.name,), text, ratio, float(LINES.drowned))]


def _one_sided(view: View) -> str:
    """Return a single sigmoid that is at the same limit for all examples."""
    for layer in view.layers("activation"):
        place = view.places[layer.members[0]]
        if not _follows_readout(view, layer) or place.site.function not in GATES or _units(place) != 1:
            continue
        top, low = view.most("log10_value_rms", layer), view.least("log10_value_rms", layer)
        one_side = top < LINES.one_sided or low > math.log10(1 - 10**LINES.one_sided)
        if one_side and view.least("saturated_fraction", layer) > LINES.saturated_grave:
            return (
                f"the output's {place.site.function} is at the same limit for all examples: nearly nothing of the "
                "loss's slope passes it to any layer"
            )
    return ""


def _units(place: Place) -> int:
    return math.prod(place.site.shape) // max(rows(place), 1)


def _end(view: View) -> _End | str:
    if view.readout < 0:
        return "the loss is not computed of a single last product"
    layer = Layer("", (view.readout,))
    place = view.places[view.readout]
    delta, value = view.most("log10_delta_rms", layer), view.least("log10_value_rms", layer)
    loss = float(np.min(view.whole.losses))
    if not math.isfinite(delta) or not math.isfinite(loss):
        return "the delta of the last layer is 0 or not finite"
    if loss <= 0:
        return "the loss is not positive"
    entries, examples = math.prod(place.site.shape), max(rows(place), 1)
    asked = 10 ** (math.log10(loss) - 0.5 * math.log10(examples) - delta - 0.5 * math.log10(entries))
    rms = 10 ** min(value, 300.0)
    return _End(asked, rms * math.sqrt(_units(place)), rms, _units(place))


def _said(view: View, end: _End) -> str:
    """Return what holds all layers back; empty where nothing is beyond doubt."""
    behind = {view.places[layer.members[0]].site.function: layer for layer in view.layers("activation")
              if _follows_readout(view, layer)}  # fmt: skip
    asked = f"the loss asks for a change of {end.asked:.3g} of an example's outputs"
    saturated = [f for f, layer in behind.items() if view.least("saturated_fraction", layer) > LINES.saturated]
    if saturated and (end.asked > LINES.end_scale or _twice(end)):
        return f"{asked}, and {saturated[0]} behind the last layer is saturated: it passes no gradient to any layer"
    wanted = f"where cross-entropy asks for {_of_equal_logits(end):.2g}"
    if "softmax" in behind and end.units > 2 and _twice(end):
        return f"{asked}, {wanted}: {_TWICE.format(end.units)}"
    if end.units == 1 and behind.keys() & set(GATES) and _twice(end):
        return f"{asked}, {wanted}: a sigmoid behind the last layer goes into a loss that takes one of its own"
    far = end.there < LINES.end_there * end.asked
    if far and end.asked > LINES.end_scale and _as_if_twice(end) and _falls(view) > LINES.falls_at_all:
        return f"{asked}, {wanted}: it looks as if {_TWICE.format(end.units)}"
    if far and (end.asked > LINES.end_targets or (end.asked > LINES.end_scale and _falls(view) > LINES.can_fall)):
        return f"{asked}, which are {end.there:.3g} large: the targets are out of the network's scale"
    if end.asked > LINES.end_outputs and end.rms > LINES.outputs:
        return (
            f"{asked}, whose rms is {end.rms:.3g}: the outputs are so large that the loss is a straight line in them; "
            "inputs or weights are out of scale"
        )
    return ""


_TWICE = (
    "a softmax behind the last layer goes into a loss that takes one of its own, and all gradients are smaller by "
    "about the {} classes"
)


def _falls(view: View) -> float:
    """Return the share of the loss by which one step lowers it at the best rate; a constant in it cannot fall."""
    suspects = view.whole.suspects
    if suspects is None or not suspects.steps:
        return 0.0
    norms = view.whole.gradient("log10_grad_norm", exact=False)[0]
    square = float(np.sum(100.0 ** norms[np.isfinite(norms)]))
    drops = [rate * square * ratio for rate, ratio in suspects.steps if math.isfinite(ratio)]
    return max(drops, default=0.0) / float(view.whole.losses[0])


def _follows_readout(view: View, layer: Layer) -> bool:
    before = view.before(layer)
    return before is not None and view.readout in before.members


def _of_equal_logits(end: _End) -> float:
    """Return what cross-entropy asks for at equal logits; of one output the logistic loss."""
    return 2 * math.log(2) if end.units == 1 else math.log(end.units) / math.sqrt(1 - 1 / end.units)


def _twice(end: _End) -> bool:
    """More than a loss that takes logits asks for: what it does at equal ones, and what parts these."""
    return end.asked > LINES.end_twice * (_of_equal_logits(end) + end.there)


def _as_if_twice(end: _End) -> bool:
    """Within a factor of 3 below, which spread logits make, of what two softmaxes ask for at equal ones."""
    twice = end.units * _of_equal_logits(end)
    return end.units > 2 and end.rms < LINES.outputs and twice / 3 < end.asked < LINES.end_twice * twice
