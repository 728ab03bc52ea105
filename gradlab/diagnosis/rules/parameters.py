"""GL011, GL012, GL014, GL021: what is said of a parameter as such."""

from __future__ import annotations

import math

import numpy as np

from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.rules.look import Look, Said, listed

#: Bits of the mantissa by format: an update below half of 2^-bits of a number leaves it as it is.
_BITS = {"float32": 23, "bfloat16": 7, "float16": 10, "float8_e4m3": 3, "float8_e5m2": 2}


def unreached(look: Look) -> tuple[Said, Said]:
    """GL011 and GL012."""
    said = []
    for rule, state in ((Rule.GL011, "disconnected"), (Rule.GL012, "frozen")):
        paths = tuple(dict.fromkeys(p.path for p in look.whole.parameters if p.state == state))
        margin = Margin(rule, float(len(paths)), 0.0, paths[0] if paths else "", "parameters")
        if not paths:
            said.append(Said((), margin))
            continue
        all_of_them = not any(p.state == "used" for p in look.whole.parameters)
        if rule is Rule.GL011:
            text, severity = f"the loss does not depend on {listed(paths)}: no way leads there", "warning"
        else:
            text, severity = f"every way from {listed(paths)} to the loss goes through stop_gradient", "info"
        if all_of_them:
            text, severity = f"{text}, and on no other parameter", "error"
        said.append(Said((Finding(rule, severity, paths, text, float(len(paths)), 0.0),), margin))
    return said[0], said[1]


def update_ratio(look: Look) -> Said:
    """GL014."""
    known = {}
    for i in look.weights():
        ratio = look.least_gradient("log10_update_ratio", i)
        if math.isfinite(ratio):
            known[i] = ratio
    if not known:
        return Said((), Margin(Rule.GL014, silent="no optimiser was given"))
    path = lambda i: look.whole.parameters[i].path
    top = max(known, key=lambda i: known[i])
    margin = Margin(Rule.GL014, known[top], float(LINES.update_large), path(top), "decades")
    large = sorted((i for i in known if known[i] > LINES.update_large), key=lambda i: -known[i])
    findings = []
    if large:
        text = f"the first update of {path(large[0])} is {10 ** known[large[0]]:.2g} times the weight itself"
        findings.append(Finding(Rule.GL014, "warning", tuple(map(path, large)), text, known[large[0]],
                                float(LINES.update_large)))  # fmt: skip
    half = {i: -(_BITS[look.whole.parameters[i].dtype] + 1) * math.log10(2) for i in known
            if look.whole.parameters[i].dtype in _BITS}  # fmt: skip
    rounded = [i for i in half if look.most_gradient("log10_update_ratio", i) < half[i]]
    if rounded:
        first = rounded[0]
        text = (
            f"the update of {path(first)} is {10 ** known[first]:.2g} times the weight: below half of what "
            f"{look.whole.parameters[first].dtype} resolves, so most of its entries stay as they are"
        )
        findings.append(Finding(Rule.GL014, "info", tuple(map(path, rounded)), text, known[first], half[first]))
    return Said(tuple(findings), margin)


def below_epsilon(look: Look) -> Said:
    """GL021. Epsilon is an absolute number, and a loss may be given in any unit: something to know, no fault."""
    known = {}
    for i in look.weights():
        zeros = look.evidence.gradient("grad_zero_fraction")[:, i]
        share = look.evidence.gradient("below_adam_fraction")[:, i]
        with np.errstate(invalid="ignore", divide="ignore"):
            moving = np.where(zeros < 1, (share - zeros) / (1 - zeros), np.nan)
        if np.isfinite(moving).any():
            known[i] = float(np.nanmin(moving))
    if not known:
        return Said((), Margin(Rule.GL021, silent="no gradient that is not zero"))
    path = lambda i: look.whole.parameters[i].path
    top = max(known, key=lambda i: known[i])
    margin = Margin(Rule.GL021, known[top], float(LINES.below_epsilon), path(top), "share")
    said = sorted((i for i in known if known[i] > LINES.below_epsilon), key=lambda i: -known[i])
    if not said:
        return Said((), margin)
    text = f"{known[said[0]]:.0%} of the gradient's entries of {path(said[0])} are below Adam's epsilon of 1e-8"
    return Said((
        Finding(Rule.GL021, "info", tuple(map(path, said)), text, known[said[0]], float(LINES.below_epsilon)),
    ), margin)  # fmt: skip
