"""GL011, GL012, GL014, GL021: what is said of a parameter as such."""

from __future__ import annotations

import math

import numpy as np

from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.view import Said, View, listed

#: Bits of the mantissa by format: an update below half of 2^-bits of a number leaves it as it is.
_BITS = {"float32": 23, "bfloat16": 7, "float16": 10, "float8_e4m3": 3, "float8_e5m2": 2}


#: What is said of a parameter by its state: the rule, its severity, the sentence.
_STATES = {
    "disconnected": (Rule.GL011, "warning", "the loss does not depend on {}: no way leads there"),
    "cut": (Rule.GL011, "warning", "every way from {} to the loss goes through an operation without a derivative "
            "(round, argmax, a comparison)"),
    "frozen": (Rule.GL012, "info", "every way from {} to the loss goes through stop_gradient"),
}  # fmt: skip


def unreached(view: View) -> tuple[Said, Said]:
    """GL011 and GL012."""
    by_rule: dict[Rule, list[Finding]] = {Rule.GL011: [], Rule.GL012: []}
    alone = not any(p.state == "used" for p in view.whole.parameters)
    for state, (rule, severity, text) in _STATES.items():
        paths = tuple(dict.fromkeys(p.path for p in view.whole.parameters if p.state == state))
        if paths:
            text = text.format(listed(paths)) + (", and it has a derivative by no other" if alone else "")
            by_rule[rule].append(Finding(rule, "error" if alone else severity, paths, text, float(len(paths)), 0.0))
    said = []
    for rule, findings in by_rule.items():
        count = float(sum(f.value for f in findings))
        said.append(Said(tuple(findings), Margin(rule, count, 0.0, "", "parameters")))
    return said[0], said[1]


def update_ratio(view: View) -> Said:
    """GL014."""
    known = {}
    for i in view.weights():
        ratio = view.least_gradient("log10_update_ratio", i)
        if math.isfinite(ratio):
            known[i] = ratio
    if not known:
        return Said((), Margin(Rule.GL014, silent="no optimiser was given"))
    path = lambda i: view.whole.parameters[i].path
    top = max(known, key=lambda i: known[i])
    margin = Margin(Rule.GL014, known[top], float(LINES.update_large), path(top), "decades")
    large = sorted((i for i in known if known[i] > LINES.update_large), key=lambda i: -known[i])
    findings = []
    if large:
        text = f"the first update of {path(large[0])} is {10 ** known[large[0]]:.2g} times the weight itself"
        findings.append(Finding(Rule.GL014, "warning", tuple(map(path, large)), text, known[large[0]],
                                float(LINES.update_large)))  # fmt: skip
    half = {i: -(_BITS[view.whole.parameters[i].dtype] + 1) * math.log10(2) for i in known
            if view.whole.parameters[i].dtype in _BITS}  # fmt: skip
    rounded = [i for i in half if view.most_gradient("log10_update_ratio", i) < half[i]]
    if rounded:
        first = rounded[0]
        text = (
            f"the update of {path(first)} is {10 ** known[first]:.2g} times the weight: below half of what "
            f"{view.whole.parameters[first].dtype} resolves, so most of its entries stay as they are"
        )
        findings.append(Finding(Rule.GL014, "info", tuple(map(path, rounded)), text, known[first], half[first]))
    return Said(tuple(findings), margin)


def below_epsilon(view: View) -> Said:
    """GL021. Epsilon is an absolute number, and a loss may be given in any unit: something to know, no fault."""
    known = {}
    for i in view.weights():
        zeros = view.evidence.gradient("grad_zero_fraction")[:, i]
        share = view.evidence.gradient("below_adam_fraction")[:, i]
        with np.errstate(invalid="ignore", divide="ignore"):
            moving = np.where(zeros < 1, (share - zeros) / (1 - zeros), np.nan)
        if np.isfinite(moving).any():
            known[i] = float(np.nanmin(moving))
    if not known:
        return Said((), Margin(Rule.GL021, silent="no gradient that is not zero"))
    path = lambda i: view.whole.parameters[i].path
    top = max(known, key=lambda i: known[i])
    margin = Margin(Rule.GL021, known[top], float(LINES.below_epsilon), path(top), "share")
    said = sorted((i for i in known if known[i] > LINES.below_epsilon), key=lambda i: -known[i])
    if not said:
        return Said((), margin)
    text = f"{known[said[0]]:.0%} of the gradient's entries of {path(said[0])} are below Adam's epsilon of 1e-8"
    return Said((
        Finding(Rule.GL021, "info", tuple(map(path, said)), text, known[said[0]], float(LINES.below_epsilon)),
    ), margin)  # fmt: skip
