"""GL013 and GL015: normalisations that do not normalise, attention that looks at one place only."""

from __future__ import annotations

import math

from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.view import Layer, Said, View


def normalisation(view: View) -> Said:
    """GL013. A variance that is zero because the layer before starts at zero is no fault."""
    known: list[tuple[float, Layer]] = []
    constant: list[Layer] = []
    for layer in view.layers("norm"):
        epsilon = view.places[layer.members[0]].site.epsilon
        variance = view.most("log10_value_rms", layer)
        if math.isnan(variance) or _starts_at_zero(view, layer):
            continue
        if variance == -math.inf:
            constant += [layer] if _passes_nothing(view, layer) else []
        elif epsilon > 0:
            known.append((variance - math.log10(epsilon), layer))
    if not known and not constant:
        return Said((), Margin(Rule.GL013, silent="no normalisation whose variance is known"))
    if constant:
        names = _behind(view, constant)
        text = f"the variance behind {names[0]} is exactly 0: it is taken over one number, or over equal ones"
        finding = Finding(Rule.GL013, "error", names, text, -math.inf, float(LINES.norm_epsilon))
        return Said((finding,), Margin(Rule.GL013, -math.inf, float(LINES.norm_epsilon), names[0], "decades"))
    known.sort(key=lambda entry: entry[0])
    ratio, layer = known[0]
    margin = Margin(Rule.GL013, ratio, float(LINES.norm_epsilon), layer.name, "decades")
    said = [entry for entry in known if entry[0] < LINES.norm_epsilon]
    if not said:
        return Said((), margin)
    names = _behind(view, [entry[1] for entry in said])
    text = (
        f"the variance behind {names[0]} is {10**ratio:.2g} times epsilon: what is divided by is epsilon, "
        "so that the scale of the signal stays as it is"
    )
    return Said((Finding(Rule.GL013, "warning", names, text, ratio, float(LINES.norm_epsilon)),), margin)


def _behind(view: View, norms: list[Layer]) -> tuple[str, ...]:
    """Return the products that the norms stand behind, for these have the user's names."""
    names = []
    for layer in norms:
        before = [i for i in range(layer.members[0]) if view.places[i].site.kind == "product"]
        names.append(view.places[before[-1]].name if before else layer.name)
    return tuple(dict.fromkeys(names))


def _passes_nothing(view: View, layer: Layer) -> bool:
    """Return whether no gradient comes back to the last product before; zero queries let it pass beside them."""
    before = [i for i in range(layer.members[0]) if view.places[i].site.kind == "product"]
    return bool(before) and view.most("log10_delta_rms", Layer("", (before[-1],))) == -math.inf


def _starts_at_zero(view: View, layer: Layer) -> bool:
    """Return whether the last product before is zero, or there is none."""
    first = layer.members[0]
    before = [i for i in range(first) if view.places[i].site.kind in ("product", "lookup")]
    if not before:
        return False
    return view.least("log10_value_rms", Layer("", (before[-1],))) == -math.inf


def attention(view: View) -> Said:
    """GL015."""
    known = [(view.least("log10_value_rms", layer), layer) for layer in view.layers("logits")]
    known = sorted((entry for entry in known if math.isfinite(entry[0])), key=lambda entry: -entry[0])
    if not known:
        return Said((), Margin(Rule.GL015, silent="no product that goes into a softmax"))
    size, layer = known[0]
    margin = Margin(Rule.GL015, size, float(LINES.attention), layer.name, "decades")
    said = [entry for entry in known if entry[0] > LINES.attention]
    if not said:
        return Said((), margin)
    text = f"the attention logits of {layer.name} have rms {10**size:.3g}: the softmax picks one place"
    names = tuple(entry[1].name for entry in said)
    return Said((Finding(Rule.GL015, "warning", names, text, size, float(LINES.attention)),), margin)
