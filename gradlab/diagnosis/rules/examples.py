"""GL008, GL009, GL017: what a network does to the difference between examples."""

from __future__ import annotations

import math

import numpy as np

from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.view import Layer, Said, View


def _hidden(view: View, column: str) -> list[tuple[Layer, float, float]]:
    """Hidden products with the least and the most that a column says; 1 - c of exactly 0 is of what sees no data."""
    hidden = []
    for layer in view.layers("product"):
        low, high = view.least(column, layer), view.most(column, layer)
        if math.isfinite(low) and math.isfinite(high) and view.readout not in layer.members and not view.in_time(layer):
            hidden.append((layer, low, high))
    return hidden


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
        finding = _behind_a_bias(view, known) or _places(view)
        return Said((finding,) if finding else (), margin)
    layer, gap = min(said, key=lambda entry: entry[1])
    text = (
        f"the signals of two examples differ by {100 * math.sqrt(2 * 10**gap):.2g} % of their size at {layer.name}, "
        f"by {100 * math.sqrt(2 * 10**furthest):.2g} % where they differ most: deeper layers cannot tell them apart"
    )
    names = tuple(layer.name for layer, _ in said)
    return Said((Finding(Rule.GL008, "warning", names, text, gap, float(LINES.alike)),), margin)


def _behind_a_bias(view: View, known: list[tuple[Layer, float, float]]) -> Finding | None:
    """Find a bias far beyond what its inputs make, with examples alike in all layers behind it, not before."""
    for n, (layer, _, high) in enumerate(known[:-1]):
        weight = [i for i in view.weights() if layer.members[0] in view.whole.parameters[i].places]
        bias = view.bias_of(weight[0]) if len(weight) == 1 else None
        if bias is None:
            continue
        size = view.least_gradient("log10_weight_norm", bias) - 0.5 * math.log10(view.units(weight[0]))
        ratio = view.most("log10_value_rms", layer) - size
        behind = max(gap for _, _, gap in known[n + 1 :])
        if ratio < LINES.alike_by_bias and behind < LINES.alike_behind and behind - high < LINES.alike_by:
            text = (
                f"the bias of {layer.name} is {10**-ratio:.2g} times what its inputs make, and behind it the signals "
                f"of two examples differ by at most {100 * math.sqrt(2 * 10**behind):.2g} % of their size"
            )
            names = (layer.name, *(other.name for other, _, _ in known[n + 1 :]))
            return Finding(Rule.GL008, "warning", names, text, behind, float(LINES.alike_behind))
    return None


def _places(view: View) -> Finding | None:
    """Attention that mixes equal values, because the layers before have made all places of an example alike.

    With a the weights, v the values and o = a v what comes out, the delta of the logits is a (do · (v - o)): over the
    size of do and of o it is how much the values differ from their mean.
    """
    mixed: list[tuple[Layer, float]] = []
    for layer in view.layers("logits"):
        behind = next((later for later in view.layers("inner") if later.members[0] > layer.members[0]), None)
        small = view.most("log10_value_rms", layer) < LINES.small_logits
        if behind is None or not small:
            continue
        of_logits, delta = (view.most("log10_delta_rms", later) for later in (layer, behind))
        spread = of_logits - delta - view.most("log10_value_rms", behind)
        if math.isfinite(spread):
            mixed.append((layer, spread))
    if len(mixed) < LINES.fewest_unlike:
        return None
    first = mixed[0][1]
    alike = [entry for entry in mixed if entry[1] < LINES.alike_places and entry[1] - first < LINES.alike_by]
    if len(alike) < 2 or alike != mixed[-len(alike) :]:
        return None
    names = tuple(_fed_by(view, layer) for layer, _ in alike)
    most = max(spread for _, spread in alike)
    text = (
        f"from {names[0]} on attention mixes values that are alike: the places of an example differ by 1e{most:.0f} of "
        f"their size, by 1e{first:.0f} in the first layer, so what is mixed hardly matters and the logits learn nothing"
    )
    return Finding(Rule.GL008, "warning", names, text, most, float(LINES.alike_places))


def _fed_by(view: View, layer: Layer) -> str:
    """Return the last product before a place, which has a name of the user's."""
    before = [i for i in range(layer.members[0]) if view.places[i].site.kind == "product"]
    return view.places[before[-1]].name if before else layer.name


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
    """GL017. A converged network's gradient is noise as well, so this is no fault but something to know.

    Only where the gradient of no weight stands out: that of one layer alone is nothing that training meets.
    """
    used = [i for i in view.weights() if math.isfinite(view.most_gradient("gradient_snr", i))]
    if not used:
        return Said((), Margin(Rule.GL017, silent="the signal-to-noise ratio over examples was not measured"))
    ratios = [view.most_gradient("gradient_snr", i) for i in used]
    path = lambda i: view.whole.parameters[i].path
    top = int(np.argmax(ratios))
    margin = Margin(Rule.GL017, ratios[top], float(LINES.noise), path(used[top]), "ratio")
    if ratios[top] > LINES.noise:
        return Said((), margin)
    names = tuple(path(i) for i, _ in sorted(zip(used, ratios, strict=True), key=lambda entry: entry[1]))
    text = (
        f"the gradient of no weight is larger than chance makes it of examples that have nothing in common (signal "
        f"over noise at most {ratios[top]:.2g}, at {path(used[top])}; 1 for noise alone)"
    )
    return Said((Finding(Rule.GL017, "info", names, text, ratios[top], float(LINES.noise)),), margin)
