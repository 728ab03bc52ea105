"""GL010: numbers that the working precision loses.

A true zero is no loss: what counts is zero in the working precision and not in float64, or, where there was no second
look, at zero behind a layer whose delta is at the edge of the format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradlab._formats import FORMATS
from gradlab.diagnosis.findings import Finding, Margin, Rule
from gradlab.diagnosis.lines import LINES
from gradlab.diagnosis.view import Layer, Said, View

#: Decades above the smallest normal number that are the edge of a format.
_EDGE = 3


@dataclass(frozen=True)
class _Loss:
    share: float
    name: str
    dtype: str
    exact: float = math.nan


def underflow(view: View) -> Said:
    """GL010."""
    layers = list(view.layers("product", "carry", "tap", "custom"))
    edge = _at_the_edge(view)
    of_layers = [_of_layer(view, layer, edge) for layer in layers]
    of_weights = [_of_weight(view, i) for i in view.weights()]
    known = [loss for loss in (*of_layers, *of_weights) if not math.isnan(loss.share)]
    if not known:
        return Said((), Margin(Rule.GL010, silent="there was no second look in float64"))
    top = max(known, key=lambda loss: loss.share)
    margin = Margin(Rule.GL010, top.share, float(LINES.lost), top.name, "share")
    whole = [loss for loss in of_layers if loss.share >= LINES.all_lost]
    if whole:
        finding = Finding(Rule.GL010, "error", tuple(loss.name for loss in whole), _nothing_below(of_layers, whole),
                          1.0, float(LINES.lost))  # fmt: skip
        return Said((finding,), margin)
    said = sorted((loss for loss in known if loss.share > LINES.lost), key=lambda loss: -loss.share)
    if not said:
        return Said((), margin)
    text = (
        f"{top.share:.0%} of the entries that are not zero of the derivative at {top.name} are below the smallest "
        f"number of {top.dtype}"
    )
    severity = "error" if top.share >= LINES.all_lost else "warning"
    names = tuple(dict.fromkeys(loss.name for loss in said))
    return Said((Finding(Rule.GL010, severity, names, text, top.share, float(LINES.lost)),), margin)


def _of_layer(view: View, layer: Layer, edge: set[int]) -> _Loss:
    at = list(layer.members)
    dtype = view.places[at[0]].site.dtype
    plain, exact = (view.evidence.signal("log10_delta_rms", exact=flag)[:, at] for flag in (False, True))
    if (np.isneginf(plain) & np.isfinite(exact)).all():
        return _Loss(1.0, layer.name, dtype, float(exact.mean()))
    if edge.issuperset(at):
        return _Loss(1.0, layer.name, dtype)
    return _Loss(view.least(f"delta_lost_{dtype}", layer) if dtype in FORMATS else math.nan, layer.name, dtype)


def _of_weight(view: View, i: int) -> _Loss:
    parameter = view.whole.parameters[i]
    known = parameter.dtype in FORMATS
    share = view.least_gradient(f"grad_lost_{parameter.dtype}", i) if known else math.nan
    return _Loss(share, parameter.path, parameter.dtype)


def _nothing_below(layers: list[_Loss], whole: list[_Loss]) -> str:
    """``float32 holds nothing below layers/45: the delta at layers/0 is 1e-65``."""
    last = layers.index(whole[-1])
    above = layers[last + 1].name if last + 1 < len(layers) else ""
    first = whole[0]
    text = f"{first.dtype} holds nothing " + (f"below {above}" if above else f"at {first.name}")
    if math.isnan(first.exact):
        return f"{text}: the delta at {whole[-1].name} is 0, and next to it at the edge of what {first.dtype} holds"
    return f"{text}: the delta at {first.name} is 0 in {first.dtype}, and 1e{first.exact:.0f} in float64"


def _at_the_edge(view: View) -> set[int]:
    """Places at 0 nearest the input of a chain whose next delta is hardly above the smallest number."""
    delta = view.evidence.signal("log10_delta_rms")
    places: set[int] = set()
    for chain in view.chains:
        at = list(chain.places)
        zero = np.isneginf(delta[:, at]).all(axis=0)
        zeros = int(zero.sum())
        dtype = view.places[at[0]].site.dtype
        if not 0 < zeros < len(at) or not zero[:zeros].all() or dtype not in FORMATS:
            continue
        if (delta[:, at[zeros]] < FORMATS[dtype].normal * math.log10(2) + _EDGE).all():
            places.update(at[:zeros])
    return places
