"""GL018: where the first NaN or infinity came from."""

from __future__ import annotations

import numpy as np

from gradlab.diagnosis.evidence import Birth, Evidence
from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.view import Said, View, listed

_WORDS = {"input": "in what comes in", "forward": "in the forward pass", "backward": "in the backward pass only"}


def nonfinite(view: View) -> Said:
    """GL018. An infinity that reaches neither loss nor gradients, like the -inf of a mask, is not said."""
    evidence = view.whole
    spoilt = _spoilt(evidence)
    births = [birth for birth in evidence.births if birth.reaches]
    count = float(len(births) or spoilt)
    margin = Margin(Rule.GL018, count, 0.0, "", "values")
    if births:
        return Said(tuple(_of_birth(birth) for birth in births), margin)
    if not spoilt:
        return Said((), margin)
    names, text = _first(evidence)
    return Said((Finding(Rule.GL018, "error", names, text, count, 0.0),), margin)


def _spoilt(evidence: Evidence) -> bool:
    of_gradients = evidence.gradients.get("grad_not_finite", np.zeros(1))
    return bool(not np.isfinite(evidence.losses).all() or (of_gradients > 0).any())


def _of_birth(birth: Birth) -> Finding:
    what = "NaN" if birth.what == "nan" else "infinity"
    where = f" at {birth.place}" if birth.place else ""
    text = f"the first {what} comes from {birth.primitive}{where}, {_WORDS[birth.direction]}"
    if birth.source:
        text += f" ({birth.source})"
    if birth.operands:
        text += f"; just before, its operands were in {', '.join(birth.operands)}"
    text += f"; it reaches {listed(birth.reaches)}"
    names = (birth.place,) if birth.place else tuple(r for r in birth.reaches if r != "loss")
    return Finding(Rule.GL018, "error", names, text)


def _first(evidence: Evidence) -> tuple[tuple[str, ...], str]:
    """Without a birth: the first place forward, or the last one backward."""
    spoilt = lambda column: (evidence.signals.get(column, np.zeros((1, len(evidence.places)))) > 0).any(axis=0)
    names = [place.name for place in evidence.places]
    forward, backward = np.flatnonzero(spoilt("value_not_finite")), np.flatnonzero(spoilt("delta_not_finite"))
    if len(forward):
        return (names[forward[0]],), f"the first value that is not finite is that of {names[forward[0]]}"
    if len(backward):
        return (names[backward[-1]],), f"the delta is not finite from {names[backward[-1]]} towards the input"
    of_gradients = evidence.gradients.get("grad_not_finite", np.zeros((1, len(evidence.parameters)))) > 0
    paths = tuple(p.path for p, bad in zip(evidence.parameters, of_gradients.any(axis=0), strict=True) if bad)
    return paths, f"the gradient of {listed(paths)} is not finite" if paths else "the loss is not finite"
