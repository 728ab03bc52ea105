import dataclasses

import numpy as np
import pytest
from fakes import FakeData, FakeTask
from hypothesis import given, settings
from hypothesis import strategies as st

from gradlab.config import MLPConfig, Sweep
from gradlab.data import Data
from gradlab.sweep import plan as planning
from gradlab.sweep.forecast import calibrated, describe, duration, forecast, scaled
from gradlab.sweep.grid import networks, stem
from gradlab.sweep.measure_task import MeasureTask
from gradlab.sweep.plan import plan, seed_ranges
from gradlab.sweep.task import Cost

few = lambda values: st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
small = st.builds(
    Sweep,
    depth=few([1, 2, 3, 5]),
    width=few([4, 8]),
    activation=few(["relu", "tanh"]),
    init=few(["he_normal", "orthogonal"]),
    seeds=st.integers(1, 25) | few([0, 3, 9, 10, 31]),
)


def union(old, new):
    """The least request that extends both."""
    seeds = tuple(dict.fromkeys((*old.seed_numbers, *new.seed_numbers)))
    names = ("depth", "width", "activation", "init")
    return Sweep(seeds=seeds, **{n: tuple(dict.fromkeys((*getattr(old, n), *getattr(new, n)))) for n in names})


def cells(sweep):
    return {(c, seed) for c in networks(sweep) for seed in sweep.seed_numbers}


def planned(*history, context=None):
    return plan(history, FakeTask(history[-1], FakeData()), context or {})


def of_units(units):
    return [(config, seed) for unit in units for config in unit.configs for seed in unit.seeds]


@settings(deadline=None)
@given(small, small, small)
def test_every_cell_stands_in_exactly_one_unit(first, second, third):
    history = (first, union(first, second), union(union(first, second), third))
    units = planned(*history)
    assert len(of_units(units)) == len(set(of_units(units)))
    assert set(of_units(units)) == cells(history[-1])
    names = [unit.name for unit in units]
    assert len(names) == len(set(names))


@settings(deadline=None)
@given(small, small)
def test_an_extension_leaves_old_units_and_adds_only_what_is_new(old, more):
    new = union(old, more)
    before, after = planned(old), planned(old, new)
    assert after[: len(before)] == before
    assert set(of_units(after[len(before) :])) == cells(new) - cells(old)


@settings(deadline=None)
@given(small)
def test_a_unit_is_of_one_group_and_one_range_of_seeds(sweep):
    for unit in planned(sweep):
        assert {(c.width, c.bias) for c in unit.configs} == {unit.group}
        assert len(unit.configs) == len(unit.hashes) == len(set(unit.hashes))
        assert len({seed // 10 for seed in unit.seeds}) == 1


def test_a_name_says_which_networks_in_which_order_and_which_seeds():
    [unit] = planned(Sweep(depth=(2, 3), activation="relu", init="he_normal", seeds=3))
    turned = dataclasses.replace(unit, configs=unit.configs[::-1], hashes=unit.hashes[::-1])
    names = [unit.name, turned.name, dataclasses.replace(unit, seeds=(0, 1)).name, *(one.name for one in unit.cut(1))]
    assert len(set(names)) == 5
    assert [one.configs for one in unit.cut(1)] == [unit.configs[:1], unit.configs[1:]]


def test_one_depth_more_is_one_depth_of_work():
    old = Sweep(seeds=3)
    new = dataclasses.replace(old, depth=(*old.depth, 128))
    added = planned(old, new)[len(planned(old)) :]
    assert [{c.depth for c in unit.configs} for unit in added] == [{128}]


def test_more_seeds_in_a_range_add_a_part_beside_the_old_one():
    old = Sweep(depth=2, activation="relu", init="he_normal", seeds=5)
    units = planned(old, dataclasses.replace(old, seeds=8), dataclasses.replace(old, seeds=12))
    assert [unit.seeds for unit in units] == [(0, 1, 2, 3, 4), (5, 6, 7), (8, 9), (10, 11)]
    assert len({unit.hashes for unit in units}) == 1
    assert len({unit.name for unit in units}) == 4


@settings(deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, unique=True))
def test_seed_ranges_are_cut_at_tens(seeds):
    ranges = seed_ranges(seeds)
    assert sorted(seeds) == [seed for some in ranges for seed in some]
    assert [some[0] // 10 for some in ranges] == sorted({seed // 10 for seed in seeds})


def heavy(seconds, **options):
    """The units of a sweep of which one network takes so many seconds for one seed."""
    sweep = Sweep(**{"depth": 2, "activation": "relu", "init": "he_normal", **options})
    task = FakeTask(sweep, FakeData())
    task.cost = lambda configs, seeds: Cost(1, 1e11 * seconds * len(configs) * len(seeds), 0, 0)
    return plan([sweep], task, {})


def test_a_small_sweep_is_cut_along_seeds_so_that_a_kill_leaves_some_of_it():
    assert [unit.seeds for unit in heavy(0.3, seeds=5)] == [(0, 1), (2, 3), (4,)]
    assert [unit.seeds for unit in heavy(0.001, seeds=5)] == [(0, 1, 2, 3, 4)]  # too short to be cut
    assert {unit.runs for unit in heavy(0.3, seeds=5)} == {5}


@pytest.mark.parametrize("seconds", [0.01, 0.3, 3, 50])
def test_units_take_neither_moments_nor_hours(seconds):
    units = heavy(seconds, depth=tuple(range(1, 101)), seeds=10)
    took = [seconds * len(unit.configs) * len(unit.seeds) for unit in units]
    assert max(took) <= max(2 * 20, seconds)  # two seeds side by side of networks that take 20 s for one
    assert min(took) >= 1
    assert all(len(unit.seeds) % 2 == 0 for unit in units) == (seconds < 20)


def test_a_large_group_is_cut_between_networks_that_do_not_nest(monkeypatch):
    monkeypatch.setattr(planning, "UNIT_NETWORKS", 4)
    units = planned(Sweep(depth=(2, 4, 8, 16), seeds=2))
    assert [len({stem(c) for c in unit.configs}) for unit in units] == [1] * 6
    assert stem(MLPConfig(depth=2)) == stem(MLPConfig(depth=3)) != stem(MLPConfig(depth=2, gain=2))


@pytest.mark.parametrize("field", ["depth", "activation", "gain", "bias"])
def test_the_content_hash_sees_every_coordinate(field):
    other = {"depth": 3, "activation": "tanh", "gain": 2.0, "bias": False}[field]
    base = Sweep(depth=2, activation="relu", init="he_normal")
    units = planned(base), planned(dataclasses.replace(base, **{field: (other,)}))
    assert units[0][0].hashes != units[1][0].hashes


def test_the_content_hash_sees_context_and_fingerprints(monkeypatch):
    sweep = Sweep(depth=2, activation="relu", init="he_normal")
    found = [planned(sweep)[0].hashes, planned(sweep, context={"loss": "mse"})[0].hashes]
    monkeypatch.setattr(FakeTask, "prints", {"activation relu": "ab"})
    found.append(planned(sweep)[0].hashes)
    assert len(set(found)) == 3


def test_the_forecast_counts_a_program_once_and_nothing_where_nothing_is_missing():
    sweep = Sweep(width=(64, 128), seeds=25)
    units, task = planned(sweep), FakeTask(sweep, FakeData())
    table = forecast(units, task, lambda unit: unit.seeds[0] < 20)
    assert table["programs"].sum() == 2
    assert list(table["missing"]) == [True, True, False] * 2
    assert table["runs"].sum() == 72 * 25
    assert table["flops"].sum() == 1e6 * 72 * 20
    line = describe(table, 72)
    assert "72 networks, 1800 runs in 6 units, of which 4 to compute: 2 programs, 1.44 GFLOP" in line
    assert "0 to compute" in describe(forecast(units, task, lambda unit: False), 72)


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (1.9e11, "190 GB")])
def test_scaled(value, text):
    assert scaled(value, "B") == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.26, "0.26 s"), (12, "12 s"), (90, "1.5 min"), (7200, "2 h"), (36000 * 3, "30 h")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_the_seconds_of_a_forecast_follow_a_sample_of_the_work(monkeypatch):
    """A machine that computes at a tenth of the usual speed, and compiles for two seconds of its own clock."""
    clock, calls = [0.0], []
    sweep = Sweep(depth=tuple(range(1, 101)), activation="relu", init="he_normal", seeds=10)
    task = FakeTask(sweep, FakeData())
    task.cost = lambda configs, seeds: Cost(1, 1e9 * len(configs) * len(seeds), 0, 0)

    def rows(configs, seeds):
        clock[0] += 10 * task.cost(configs, seeds).seconds + (0 if calls else 2)
        calls.append((len(configs), len(seeds)))

    task.rows = rows
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    units = plan([sweep], task, {})
    plain = forecast(units, task, lambda unit: True)
    assert plain["seconds"].sum() == pytest.approx(2 + 100 * 10 * 0.01)  # a program, and 1000 runs of 10 ms
    table = calibrated(plain, units, task)
    assert calls == [(12, 2), (12, 2)] and table.attrs["sample"] == 12
    assert table["seconds"].sum() == pytest.approx(2 + 10 * 100 * 10 * 0.01)
    assert "about 1.7 min by 12 networks that were computed" in describe(table, 100)


def test_the_flops_of_a_sweep_are_those_of_its_products():
    sweep = Sweep(depth=(4, 8, 16, 32, 64, 128), width=256, batch=64, seeds=10)
    data = Data(np.zeros((64, 256), np.float32), np.arange(64) % 10, "digits", 10, "0")
    task = MeasureTask(sweep, data)
    [unit] = planned(sweep)
    # by hand: 6 stems forward through 128 layers, 36 backward passes, Grams of both factors
    square, batch, layers = 256 * 256, 64, 6 * sum(sweep.depth)
    forward = 6 * (128 * square + 2560)
    backward = (layers - 36) * square + 36 * 2560
    grams = batch * (layers * 512 + 36 * 266)
    cost = task.cost(unit.configs, unit.seeds)
    assert cost.flops == 2 * 64 * 10 * (forward + backward + grams)
    assert 2 * 64 * 10 * (forward + backward) == pytest.approx(191e9, rel=0.02)  # the figure in DESIGN.md
    assert cost.programs == 2
    more = MeasureTask(dataclasses.replace(sweep, init=("he_normal", "he_uniform", "orthogonal")), data)
    assert more.cost([MLPConfig(init=name) for name in ("he_normal", "xavier_normal", "orthogonal")], [0]).programs == 4
