"""How many seeds one call takes: by the memory of a device, which is made up here."""

from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab.config import Sweep, TrainingSweep
from gradlab.core import devices
from gradlab.core.devices import TooLarge, fitting
from gradlab.sweep.executors import compute
from gradlab.sweep.measure_task import MeasureTask
from gradlab.sweep.plan import Unit
from gradlab.training.together import Together


def program(bytes_of):
    """What `compiled_for` returns: a program that only says how much memory it needs."""
    asked = []

    def compiled_for(size):
        asked.append(size)
        stats = dict(argument_size_in_bytes=0, output_size_in_bytes=0, generated_code_size_in_bytes=0)
        return SimpleNamespace(
            memory_analysis=lambda: SimpleNamespace(temp_size_in_bytes=bytes_of(size), alias_size_in_bytes=0, **stats)
        )

    return compiled_for, asked


@pytest.fixture
def machine(monkeypatch):
    """Makes up an accelerator: ``machine(bytes, devices)``."""

    def make(limit, count=1):
        device = SimpleNamespace(device_kind="made up", memory_stats=lambda: {"bytes_limit": limit})
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        if count > 1:
            monkeypatch.setattr(jax, "local_device_count", lambda: count)
        monkeypatch.setattr(devices.jax, "local_devices", lambda: [device] * count)

    return make


@pytest.mark.parametrize(
    ("limit", "count", "wanted", "size"),
    [
        (1000, 1, 10, 8),  # 0.8 of the memory, at 100 bytes a seed
        (1e6, 1, 10, 10),
        (1000, 4, 10, 12),  # three on each of four devices
        (250, 4, 10, 8),
        (125, 1, 10, 1),
    ],
)
def test_a_call_takes_as_many_seeds_as_the_memory(machine, limit, count, wanted, size):
    machine(limit, count)
    compiled_for, asked = program(lambda size: 100 * size // count)
    assert fitting(compiled_for, wanted)[0] == size == asked[-1]
    assert len(asked) <= 2


def test_what_grows_faster_than_the_seeds_is_tried_again(machine):
    machine(1000)
    compiled_for, asked = program(lambda size: 10 * size**2 + 700)
    assert fitting(compiled_for, 10)[0] == asked[-1]
    assert 10 * asked[-1] ** 2 + 700 <= 800 and asked == sorted(set(asked), reverse=True)


def test_one_seed_that_does_not_fit_says_into_how_many_pieces(machine):
    machine(1000)
    with pytest.raises(TooLarge, match="4,000 bytes") as raised:
        fitting(program(lambda size: 4000 * size)[0], 3)
    assert raised.value.pieces == 5


def test_a_device_that_tells_nothing_has_its_share_of_the_machine(monkeypatch):
    alone = devices.available_memory()
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    assert alone // 4 - 1 <= devices.available_memory() <= alone // 4 + 1 and alone > 2**28


@pytest.fixture
def needs(monkeypatch):
    """The bytes that each compiled program needs, in the order of compilation."""
    found, read = [], devices.needed_memory

    def kept(compiled):
        found.append(read(compiled))
        return found[-1]

    monkeypatch.setattr(devices, "needed_memory", kept)
    return found


def assert_alike(some, others):
    for column in ("log10_delta_rms", "log10_activation_rms"):
        np.testing.assert_allclose(some[column], others[column], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_seeds_and_networks_are_computed_in_pieces_that_fit(machine, needs):
    sweep = Sweep(depth=(2, 3), width=8, activation=("tanh", "relu"), init="he_normal", seeds=5, dtype="float64",
                  columns=("log10_delta_rms", "log10_activation_rms"), data="gaussian", batch=16)  # fmt: skip
    task = MeasureTask(sweep, gl.data.load("gaussian", batch=16, dtype="float64"))
    configs = tuple(sweep.configs())
    unit = Unit("all", configs, tuple(c.label() for c in configs), tuple(range(5)))
    rows = lambda: pd.concat(compute(task, unit))
    machine(2**40)
    whole = rows()
    all_seeds = needs[0]
    needs.clear()
    machine(all_seeds)  # of which 0.8 are available
    assert_alike(whole, rows())
    assert len(needs) == 2 and needs[1] <= 0.8 * all_seeds
    one_seed = needs[1] / 4
    needs.clear()
    machine(one_seed)
    assert_alike(whole, rows())
    assert len(needs) > 3 and set(whole["seed"]) == set(range(5)) and whole["network"].nunique() == 4


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_trainings_are_one_call_or_as_many_as_the_memory_asks_for(machine, needs, monkeypatch):
    sweep = TrainingSweep(depth=2, width=8, activation="relu", init="he_normal", gain=(0.5, 1.0),
                          learning_rate=(0.1, 1.0), optimizer=("sgd", "adam"), steps=6, records=(0, 6), batch=16,
                          seeds=2, dtype="float64",
                          columns=("log10_delta_rms", "log10_activation_rms"))  # fmt: skip
    alone = gl.run(sweep, progress=False)
    calls, advance = [], Together.advance
    monkeypatch.setattr(Together, "advance", lambda *args: calls.append(len(args[1])) or advance(*args))
    machine(2**40)
    assert_alike(alone, gl.run(sweep, progress=False))
    assert calls == [8] * 4  # two gains, two rates, two seeds; to steps 0 and 6; of sgd and of adam
    largest = max(needs)
    calls.clear()
    machine(largest)
    assert_alike(alone, gl.run(sweep, progress=False))
    assert calls[0] < 8 and sum(calls) == 32


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
def test_a_device_that_is_fuller_than_it_said_is_given_half(machine, monkeypatch):
    sweep = TrainingSweep(depth=2, width=8, activation="relu", init="he_normal", steps=4, records=(0, 4), batch=16,
                          seeds=4, dtype="float64", columns=("log10_delta_rms", "log10_activation_rms"))  # fmt: skip
    alone = gl.run(sweep, progress=False)
    advance, sizes = Together.advance, []

    def full(self, states, stop):
        sizes.append(self.size)
        if self.size > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return advance(self, states, stop)

    monkeypatch.setattr(Together, "advance", full)
    machine(2**40)
    assert_alike(alone, gl.run(sweep, progress=False))
    assert sizes == [4, 2, 2, 2, 2]
