"""The claim on number formats is judged by its lines, and layers are counted as it says."""

import pandas as pd
import pytest

from experiments import precision
from experiments.networks import chain

TRUE = {
    precision.BEFORE: 0.38, precision.THERE: 0.68, precision.DELTA: 0.5, precision.ZERO: 4, precision.KEPT: 16,
    precision.SCALED: 36, precision.ARRAYS: 1, precision.ARRAYS_SCALED: -2, precision.UNITS: 0.0,
}  # fmt: skip


def answers(spread=0.0, **changed):
    """The answer on each quantity of float16, of six seeds that differ by `spread`."""
    values = TRUE | {getattr(precision, name): value for name, value in changed.items()}
    rows = [("float16", what, s, v + spread * (s % 3 - 1)) for what, v in values.items() for s in range(6)]
    table = precision.judge(pd.DataFrame(rows, columns=["format", "what", "seed", "value"]), depth=48)
    return table.set_index("what")["claim"].drop(precision.KEPT).to_dict()


def test_the_claim_is_judged_by_its_lines():
    assert all(claim is True for claim in answers().values())
    for name, wrong in (("BEFORE", 0.51), ("THERE", 0.49), ("DELTA", -1.1), ("ZERO", 5), ("SCALED", 33), ("SCALED", 41),
                        ("ARRAYS", 3), ("UNITS", 0.02)):  # fmt: skip
        assert [what for what, claim in answers(**{name: wrong}).items() if claim is False] == [
            getattr(precision, name)
        ]
    assert answers(spread=0.3)[precision.BEFORE] is None


def test_layers_are_counted_from_the_last_one_whatever_the_loss_is_multiplied_by():
    """Six layers of which each has half the delta of the next: all entries of a layer lie in one bin."""
    left = {layer: float(layer - 10) for layer in range(1, 7)}
    bins = {
        (signal, layer): pd.DataFrame({"left": [at], "right": [at + 0.5], "count": [8]})
        for layer, at in left.items() for signal in chain.SIGNALS
    }  # fmt: skip
    assert [chain.kept(bins, 6, end) for end in (-20, -9, -6, -3)] == [6, 6, 3, 0]
    assert chain.kept(bins, 6, -6, shift=2) == 5 and chain.kept(bins, 6, -6, shift=-3) == 0
    # the largest entry is below 2**-3.5
    assert chain.loss_scale(bins, 6, 16) == 19
    assert chain.worst(bins, 6, -8, shift=9) == 1 and chain.worst(bins, 6, -9, shift=0) == 0
    assert {name: (form.smallest, form.beyond) for name, form in formats().items()} == chain.ENDS


def formats():
    """The formats of the experiment as the library has them."""
    from gradlab._formats import FORMATS

    return {name: FORMATS[name] for name in chain.ENDS}


@pytest.mark.slow
def test_arrays_of_float16_lose_what_is_counted():
    x = chain.inputs(16)
    net = chain.linear(24, 16, 0.5)
    bins = chain.octaves(chain.counted(net, x, 0))
    counted = chain.kept(bins, 24, -24)
    assert 0 <= chain.kept_in_float16(net, x, 0, 0) - counted <= 2
    assert abs(chain.kept_in_float16(net, x, 0, 4) - chain.kept(bins, 24, -24, shift=4)) <= 2
