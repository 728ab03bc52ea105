"""GL005, GL006, GL007, GL016: units that are saturated, dead or identical."""

from __future__ import annotations

import math

import numpy as np

from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.view import GATES, Layer, Said, View, listed, rows


def _activations(view: View) -> list[tuple[Layer, Layer]]:
    """Activations with the layers that they follow."""
    pairs = [(layer, view.before(layer)) for layer in view.layers("activation")]
    return [(a, before) for a, before in pairs if before is not None]


def saturation(view: View) -> Said:
    """GL005. Outputs may be at a limit, and gates of a recurrence are open or shut on purpose: neither is looked at."""
    known: list[tuple[float, Layer, Layer]] = []
    for layer, before in _activations(view):
        gate = view.places[layer.members[0]].site.function in GATES and view.in_time(layer)
        share = view.least("saturated_fraction", layer)
        if not gate and not math.isnan(share) and view.readout not in before.members:
            known.append((share, layer, before))
    if not known:
        return Said((), Margin(Rule.GL005, silent="no activation with limits"))
    worst = max(known, key=lambda entry: entry[0])
    margin = Margin(Rule.GL005, worst[0], float(LINES.saturated), worst[2].name, "share")
    beyond = sorted((e for e in known if e[0] > LINES.saturated), key=lambda e: -e[0])
    if not beyond:
        return Said((), margin)
    share, layer, before = beyond[0]
    function = view.places[layer.members[0]].site.function
    text = f"{share:.1%} of the entries of {function} are within 1 % of a limit at {before.name}"
    mean = view.evidence.signal("value_mean_over_rms")[:, list(before.members)].mean()
    if abs(mean) > math.sqrt(0.5):
        text += f"; its preactivations have a mean of {abs(mean):.2f} times their rms: its inputs are not centred"
    if len(beyond) > 1:
        text += f"; so are {listed([e[2].name for e in beyond[1:]])}"
    severity = "error" if share > LINES.saturated_grave else "warning"
    names = tuple(e[2].name for e in beyond)
    return Said((Finding(Rule.GL005, severity, names, text, share, float(LINES.saturated)),), margin)


def dead(view: View) -> tuple[Said, Said]:
    """GL006 and GL007. Zeros that come in from outside, or from weights that are zero, are not the units' own."""
    known: list[tuple[float, Layer]] = []
    for layer, before in _activations(view):
        share = view.least("dead_fraction", layer)
        if view.readout in before.members and not _stuck(view, share):
            continue
        outside = _or_zero(view.most("dead_fraction", before), view.most("value_zero_fraction", before))
        entries = sum(rows(view.places[i]) for i in layer.members)
        if not math.isnan(share) and entries >= LINES.examples and outside < LINES.lost:
            known.append((share, before))
    if not known:
        silent = f"no activation whose units are known, on {int(LINES.examples)} examples or more"
        return Said((), Margin(Rule.GL006, silent=silent)), Said((), Margin(Rule.GL007, silent=silent))
    top, where = max(known, key=lambda entry: entry[0])
    units = [e for e in known if LINES.dead < e[0] <= LINES.all_lost]
    whole = [e for e in known if e[0] > LINES.all_lost]
    findings = []
    if units:
        worst = max(units, key=lambda e: e[0])
        text = f"{worst[0]:.0%} of the units of {worst[1].name} are 0 on all of the batch: their weights do not move"
        names = tuple(e[1].name for e in sorted(units, key=lambda e: -e[0]))
        severity = "error" if worst[0] > LINES.dead_grave else "warning"
        findings.append(Finding(Rule.GL006, severity, names, text, worst[0], float(LINES.dead)))
    layers = ()
    if whole:
        names = tuple(e[1].name for e in whole)
        text = f"all units of {listed(names)} are 0 on all of the batch: no gradient passes to what is before"
        layers = (Finding(Rule.GL007, "error", names, text, 1.0, float(LINES.all_lost)),)
    return (
        Said(tuple(findings), Margin(Rule.GL006, top, float(LINES.dead), where.name, "share")),
        Said(layers, Margin(Rule.GL007, top, float(LINES.all_lost), where.name, "share")),
    )


def _stuck(view: View, share: float) -> bool:
    """Return whether an output is 0 for all examples, the loss is not, and no gradient comes back."""
    delta = view.evidence.signal("log10_delta_rms")[:, view.readout]
    return share > LINES.all_lost and bool((view.whole.losses > 0).all() and np.isneginf(delta).all())


def _or_zero(*numbers: float) -> float:
    return max((n for n in numbers if not math.isnan(n)), default=0.0)


def identical(view: View) -> Said:
    """GL016. A layer whose gradient is zero because a later one starts at zero will move at the second step."""
    hidden = [i for i in view.weights() if not view.feeds_readout(i)]
    known = {i: view.least_gradient("identical_fraction", i) for i in hidden}
    known = {i: share for i, share in known.items() if not math.isnan(share)}
    if not known:
        return Said((), Margin(Rule.GL016, silent="no weights but the readout's"))
    zero = [i for i in view.weights() if view.most_gradient("log10_weight_norm", i) == -math.inf]
    still = {i for i in view.weights() if view.most_gradient("log10_grad_norm", i) == -math.inf}
    all_zero = len(zero) == sum(1 for _ in view.weights()) > 1
    waits = bool(set(zero) - still) and not all_zero
    said = [i for i, share in known.items() if share > LINES.identical and not (i in still and waits)]
    path = lambda i: view.whole.parameters[i].path
    top = max(known, key=lambda i: known[i] if not (i in still and waits) else 0)
    margin = Margin(
        Rule.GL016, 0.0 if top in still and waits else known[top], float(LINES.identical), path(top), "share"
    )
    if not said:
        return Said((), margin)
    said.sort(key=lambda i: -known[i])
    first = said[0]
    text = f"{known[first]:.0%} of the units of {path(first)} have weights and gradient of another, to the bit"
    if all_zero:
        text += ": all weights are zero, and only biases behind the last of them move"
    return Said((
        Finding(Rule.GL016, "error", tuple(path(i) for i in said), text, known[first], float(LINES.identical)),
    ), margin)  # fmt: skip
