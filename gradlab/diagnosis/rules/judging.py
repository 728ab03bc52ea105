"""All rules asked, one after another; and whether what was read is the model at all."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from gradlab._errors import unknown
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.findings import SEVERITIES, Finding, Margin, Rule
from gradlab.diagnosis.remedies import advise
from gradlab.diagnosis.rules.depth import over_depth
from gradlab.diagnosis.rules.ends import scale, wrong_gradient
from gradlab.diagnosis.rules.examples import collapse, noise, shattered
from gradlab.diagnosis.rules.nonfinite import nonfinite
from gradlab.diagnosis.rules.norms import attention, normalisation
from gradlab.diagnosis.rules.parameters import below_epsilon, unreached, update_ratio
from gradlab.diagnosis.rules.precision import underflow
from gradlab.diagnosis.rules.units import dead, identical, saturation
from gradlab.diagnosis.view import Said, View

#: Epsilon by the name of a format, of the coarsest that a model computes in.
_EPSILON = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float8_e4m3fn": 2.0**-3,
}

_RULES = (
    over_depth, saturation, dead, collapse, shattered, underflow, unreached, normalisation, update_ratio, attention,
    identical, noise, nonfinite, wrong_gradient, scale, below_epsilon,
)  # fmt: skip


def judge(evidence: Evidence, *, mute: str | Collection[str] = ()) -> tuple[tuple[Finding, ...], tuple[Margin, ...]]:
    """Ask every rule about a model; return what they found, the gravest first, and how near each was to its line.

    Parameters
    ----------
    evidence : Evidence
        What was measured of the model.
    mute : str or collection of str
        Codes (``GL009``) or kinds (``shattered``) of rules that are not asked, because they are known and accepted.

    Returns
    -------
    findings : tuple of Finding
    margins : tuple of Margin
        One for each rule that was asked, in the order of their codes.
    """
    muted = rules_named(mute)
    view = View(evidence)
    said: list[Said] = []
    for rule in _RULES:
        answer = rule(view)
        said += [answer] if isinstance(answer, Said) else answer
    said = sorted((s for s in said if s.margin.rule not in muted), key=lambda s: s.margin.rule.name)
    findings = [replace(finding, remedies=advise(finding, view)) for each in said for finding in each.findings]
    return (
        tuple(sorted(findings, key=lambda f: (-SEVERITIES.index(f.severity), f.rule is not Rule.GL018, f.rule.name))),
        tuple(each.margin for each in said),
    )


def rules_named(names: str | Collection[str]) -> set[Rule]:
    """Rules by their codes or kinds."""
    known = {rule.name: rule for rule in Rule} | {rule.kind: rule for rule in Rule}
    names = [names] if isinstance(names, str) else names
    wrong = [name for name in names if name not in known]
    if wrong:
        raise unknown("a rule", wrong[0], known)
    return {known[name] for name in names}


def disagreement(evidence: Evidence) -> str:
    """Return why there can be no verdict: the loss that was read is not the model's own; empty where it is.

    Two programs of one loss add up in different orders. What that does to it depends on the network, so the line is the
    root of the coarsest format's epsilon: half of its digits.
    """
    formats = [place.site.dtype for place in evidence.places] or ["float32"]
    tolerance = max(_EPSILON.get(name, _EPSILON["float32"]) for name in formats) ** 0.5
    ours, models = evidence.losses, evidence.own_losses
    same = (ours == models) | (np.isnan(ours) & np.isnan(models))
    with np.errstate(invalid="ignore"):
        distance = np.where(same, 0, np.abs(ours - models) / np.maximum(np.abs(ours), np.abs(models)))
    worst = int(np.argmax(np.where(np.isnan(distance), np.inf, distance)))
    if distance[worst] <= tolerance:
        return ""
    return (
        f"the loss of the program that was read is {ours[worst]:.7g}, the model's own {models[worst]:.7g}: further "
        f"apart than rounding explains ({tolerance:.1g} of it), so what was read is not this model"
    )
