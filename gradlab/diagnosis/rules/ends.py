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
from gradlab.diagnosis.view import Layer, Said, View, rows


def wrong_gradient(view: View) -> Said:
    """GL019. Where stop_gradient stands in the way, the gradient is meant to be another function's."""
    suspects = view.whole.suspects
    if suspects is None:
        return Said((), Margin(Rule.GL019, silent="the gradient was not compared with finite differences"))
    if any(p.state == "frozen" for p in view.whole.parameters) or "stop_gradient" in " ".join(suspects.notes):
        return Said((), Margin(Rule.GL019, silent="stop_gradient makes the gradient that of another function"))
    found, promised = suspects.slope
    if not np.isfinite([found, promised, suspects.slope_error]).all():
        why = "; ".join(suspects.notes) or "the difference of the loss is below its rounding"
        return Said((), Margin(Rule.GL019, silent=why))
    gap = abs(found - promised)
    size = max(abs(found), abs(promised))
    errors = gap / suspects.slope_error if suspects.slope_error > 0 else math.inf if gap > 0 else 0.0
    share = gap / size if size > 0 else 0.0
    margin = Margin(Rule.GL019, min(errors, float("1e9")), float(LINES.wrong_slope), "", "errors")
    if errors <= LINES.wrong_slope or share <= LINES.wrong_slope_by:
        return Said((), margin)
    text = (
        f"along one direction the loss changes at a rate of {found:.4g}, and the gradient says {promised:.4g} "
        f"(rounding and curvature explain {suspects.slope_error:.1g})"
    )
    names = tuple(dict.fromkeys(unseen.name for unseen in view.whole.coverage.unseen if "custom" in unseen.why))
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
    if isinstance(end, str):
        return Said((), Margin(Rule.GL020, silent=end))
    name = view.places[view.readout].name
    margin = Margin(Rule.GL020, end.asked, float(LINES.end_scale), name, "outputs")
    text = _said(view, end)
    if not text:
        return Said((), margin)
    return Said((Finding(Rule.GL020, "warning", (name,), text, end.asked, float(LINES.end_scale)),), margin)


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
    units = entries // examples
    rms = 10 ** min(value, 300.0)
    return _End(asked, rms * math.sqrt(units), rms, units)


def _said(view: View, end: _End) -> str:
    """What holds all layers back; empty where nothing is beyond doubt."""
    behind = {view.places[layer.members[0]].site.function: layer for layer in view.layers("activation")
              if _follows_readout(view, layer)}  # fmt: skip
    asked = f"the loss asks for a change of {end.asked:.3g} of an example's outputs"
    saturated = [f for f, layer in behind.items() if view.least("saturated_fraction", layer) > LINES.saturated]
    if saturated and end.asked > LINES.end_scale:
        return f"{asked}, and {saturated[0]} behind the last layer is saturated: it passes no gradient to any layer"
    if "softmax" in behind and end.units > 2 and _twice(end):
        return (
            f"{asked}, where cross-entropy asks for {math.log(end.units):.2g}: the softmax behind the last layer goes "
            f"into a loss that takes one of its own, and all gradients are smaller by about the {end.units} classes"
        )
    if end.asked > LINES.end_targets and end.there < LINES.end_there * end.asked:
        return f"{asked}, which are {end.there:.3g} large: the targets are out of the network's scale"
    if end.asked > LINES.end_outputs and end.rms > LINES.outputs:
        return (
            f"{asked}, whose rms is {end.rms:.3g}: the outputs are so large that the loss is a straight line in them; "
            "inputs or weights are out of scale"
        )
    return ""


def _follows_readout(view: View, layer: Layer) -> bool:
    of = view.before(layer)
    return of is not None and view.readout in of.members


def _twice(end: _End) -> bool:
    once = math.log(end.units) + end.there
    return end.asked > LINES.end_twice * once
