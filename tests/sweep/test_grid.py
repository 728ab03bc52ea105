import tomllib

import pytest
from fakes import FakeData, FakeTask
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab._errors import GradlabError
from gradlab.config import ACTIVATIONS, Sweep
from gradlab.sweep import grid
from gradlab.sweep.request import Request

finite = st.floats(allow_nan=False, allow_infinity=False)
several = lambda values: st.lists(values, min_size=1, max_size=4, unique=True).map(tuple)
sweeps = st.builds(
    Sweep,
    depth=several(st.integers(1, 200)),
    width=several(st.integers(1, 500)),
    activation=several(st.sampled_from(ACTIVATIONS)),
    init=several(st.sampled_from(["he_normal", "orthogonal"])),
    gain=several(st.floats(1e-300, 1e300)),
    sigma_b2=several(st.none() | st.floats(0, 10)),
    readout=several(st.none() | st.just("lecun_normal")),
    seeds=st.integers(1, 30) | several(st.integers(0, 30)),
    batch=st.integers(1, 10**6),
    data=st.text(max_size=8),
    target=st.none() | st.text(max_size=8),
    c0=st.floats(-1, 1),
    columns=st.none() | st.just(("weight_norm",)),
)


@settings(max_examples=20, deadline=None)
@given(sweeps, st.lists(sweeps, max_size=2))
def test_sweep_toml_gives_the_request_back(sweep, earlier):
    task = {"name": "a", "rate [x]": [0.1, 1e-12], "deep": {"k": "\x7f\n\"'"}}
    request = Request(sweep, {"name": "é", "content_hash": "0"}, task, {"φ mish": "ab"}, tuple(earlier))
    assert Request.from_toml(request.to_toml()) == request


@given(
    st.dictionaries(
        st.text(), st.text() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
    )
)
def test_toml_holds_any_plain_value(values):
    assert tomllib.loads(grid.to_toml({**values, "table": values}))["table"] == values


@settings(max_examples=20, deadline=None)
@given(sweeps, sweeps)
def test_no_difference_means_that_every_row_is_kept(old, new):
    rows = lambda s: {(c, seed) for c in grid.networks(s) for seed in s.seed_numbers}
    if not grid.differences(old, new):
        assert rows(old) <= rows(new)
    wider = grid.from_values({**grid.as_values(old), "depth": (*new.depth, *old.depth)})
    assert not grid.differences(old, wider)
    assert rows(old) <= rows(wider)
    assert grid.same(old, wider) == (set(new.depth) <= set(old.depth))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"depth": (2,)}, "depth without 4"),
        ({"seeds": 4}, "seeds without 4"),
        ({"loss": "mse"}, "loss='mse' instead of 'softmax_cross_entropy'"),
        ({"batch": 64}, "batch=64 instead of 128"),
        ({"dtype": "float64"}, "dtype="),
        ({"key": 1}, "key=1 instead of 0"),
        ({"columns": ("weight_norm",)}, "columns="),
        ({"sigma_b2": (0.1,)}, "sigma_b2 without None"),
        ({"depth": (2,), "loss": "mse"}, "depth without 4, 8"),
    ],
)
def test_what_is_no_extension_is_named(change, word):
    old = Sweep(depth=(2, 4, 8), seeds=5)
    new = grid.from_values({**grid.as_values(old), **change})
    assert word in "; ".join(grid.differences(old, new))


def test_order_and_spelling_make_no_other_request():
    old = Sweep(depth=(2, 4), activation=("silu", "relu"), seeds=2)
    new = Sweep(depth=(4, 2), activation=("relu", "swish"), seeds=(1, 0))
    assert grid.same(old, new)
    assert len(grid.networks(Sweep(activation=("silu", "swish"), depth=3, init="he_normal"))) == 1


def test_widths_layer_by_layer_survive_the_text():
    sweep = Sweep(depth=3, width=[(10, 20, 30), 8], activation="relu", init="he_normal")
    assert grid.from_values(tomllib.loads(grid.to_toml(grid.as_values(sweep)))) == sweep


def test_the_hash_of_a_run_is_that_of_all_that_decides_its_numbers():
    of = lambda sweep, **data: Request.of(sweep, FakeData(**data), FakeTask(sweep, None)).hash
    base = of(Sweep())
    assert base == of(Sweep())
    assert len({base, of(Sweep(key=1)), of(Sweep(depth=3)), of(Sweep(seeds=6)), of(Sweep(), content_hash="1")}) == 5


def test_a_setting_that_differs_is_refused():
    old = Request(Sweep(), {"name": "a", "content_hash": "0"}, {"name": "measure"}, {})
    new = Request(Sweep(), {"name": "a", "content_hash": "0"}, {"name": "train"}, {})
    with pytest.raises(GradlabError, match=r"train.*instead of.*measure"):
        new.after(old, "OUT")
