"""GL008, GL009, GL017: what a network does to the difference between examples."""

from __future__ import annotations

import math

import numpy as np

from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.view import Layer, Said, View, listed


def _hidden(view: View, column: str) -> list[tuple[Layer, float, float]]:
    """Hidden products with the least and the most that a column says; 1 - c of exactly 0 is of what sees no data."""
    found = []
    for layer in view.layers("product"):
        low, high = view.least(column, layer), view.most(column, layer)
        if math.isfinite(low) and math.isfinite(high) and view.readout not in layer.members and not view.in_time(layer):
            found.append((layer, low, high))
    return found


def collapse(view: View) -> Said:
    """GL008. Data that are alike from the start are no fault of the network."""
    known = _hidden(view, "log10_one_minus_c")
    if len(known) < 2:
        return Said((), Margin(Rule.GL008, silent="no two hidden layers that see pairs of examples"))
    furthest = -math.inf
    said = []
    for layer, low, high in known:
        if high < LINES.alike and high - furthest < LINES.alike_by:
            said.append((layer, high))
        furthest = max(furthest, low)
    nearest = min(known, key=lambda entry: entry[2])
    margin = Margin(Rule.GL008, nearest[2], float(LINES.alike), nearest[0].name, "decades")
    if not said:
        return Said((), margin)
    layer, gap = min(said, key=lambda entry: entry[1])
    text = (
        f"the signals of two examples differ by {100 * math.sqrt(2 * 10**gap):.2g} % of their size at {layer.name}, "
        f"by {100 * math.sqrt(2 * 10**furthest):.2g} % where they differ most: deeper layers cannot tell them apart"
    )
    names = tuple(layer.name for layer, _ in said)
    return Said((Finding(Rule.GL008, "warning", names, text, gap, float(LINES.alike)),), margin)


def shattered(view: View) -> Said:
    """GL009. Only where the examples of the batch are similar, and their deltas at the end are."""
    known = _hidden(view, "log10_one_minus_c")
    cosines = {layer.members: low for layer, low, _ in _hidden(view, "delta_cosine")}
    known = [entry for entry in known if entry[0].members in cosines]
    if len(known) < 2:
        return Said((), Margin(Rule.GL009, silent="no two hidden layers that see pairs of examples"))
    (first, _, near), (last, far, _) = known[0], known[-1]
    at_last = cosines[last.members]
    at_first = view.most("delta_cosine", first)
    if not near < LINES.similar or not at_last > LINES.cosine_seen:
        return Said((), Margin(Rule.GL009, silent="no similar examples whose deltas are similar at the end"))
    margin = Margin(Rule.GL009, at_first / at_last, float(LINES.cosine_lost), first.name, "ratio")
    if at_first > LINES.cosine_lost * at_last or far - near < LINES.driven_apart:
        return Said((), margin)
    text = (
        f"similar examples (cosine {1 - 10**near:.3f} at {first.name}) are driven apart to {1 - 10**far:.3f} at "
        f"{last.name}, and the cosine of their deltas falls from {at_last:.2f} there to {at_first:.3f}"
    )
    finding = Finding(Rule.GL009, "warning", (first.name,), text, at_first / at_last, float(LINES.cosine_lost))
    return Said((finding,), margin)


def noise(view: View) -> Said:
    """GL017. A converged network's gradient is noise as well, so this is no fault but something to know."""
    used = [i for i in view.weights() if math.isfinite(view.most_gradient("gradient_snr", i))]
    if not used:
        return Said((), Margin(Rule.GL017, silent="the signal-to-noise ratio over examples was not asked for"))
    ratios = [view.most_gradient("gradient_snr", i) for i in used]
    path = lambda i: view.whole.parameters[i].path
    best = used[int(np.argmax(ratios))]
    margin = Margin(Rule.GL017, max(ratios), float(LINES.noise), path(best), "ratio")
    if np.median(ratios) > LINES.noise:
        return Said((), margin)
    names = [path(i) for i, ratio in sorted(zip(used, ratios, strict=True), key=lambda e: e[1]) if ratio <= LINES.noise]
    text = (
        f"the gradients of {listed(names)} are no larger than chance makes them of examples that have nothing in "
        f"common (signal over noise {np.median(ratios):.2g}, 1 for noise alone)"
    )
    return Said(
        (Finding(Rule.GL017, "info", tuple(names), text, float(np.median(ratios)), float(LINES.noise)),), margin
    )
