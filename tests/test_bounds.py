"""Requests that no machine could hold are refused before memory is asked for, wherever they come from."""

import tracemalloc

import pytest

from gradlab import GradlabError
from gradlab.cli import main
from gradlab.config import Sweep, TrainingSweep, record_steps
from gradlab.config.bounds import MOST_MEASUREMENTS, MOST_NETWORKS
from gradlab.sweep.request import Request
from gradlab.sweep.store import FolderStore

HUGE = (10**12, 99999999999999999999, 10**5000, 1e300)


@pytest.mark.parametrize("value", HUGE, ids=["1e12", "20 digits", "5000 digits", "float"])
@pytest.mark.parametrize("name", ["seeds", "depth", "width", "batch", "length", "key", "kernel"])
def test_a_number_that_no_machine_holds_is_one_message(name, value):
    tracemalloc.start()
    try:
        with pytest.raises(GradlabError, match=f"expected {name} to be at most [0-9,]+; received .*; try a smaller"):
            Sweep(**{"depth": 2, name: value})
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["steps", "records", "examples", "warmup"])
def test_trainings_have_bounds_too(name):
    with pytest.raises(GradlabError, match=f"{name} to be at most"):
        TrainingSweep(**{name: 10**12})


def test_a_step_beyond_the_most_records_can_be_recorded():
    assert record_steps((0, 250_000), 300_000) == (0, 250_000)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"depth": range(1, 20_001)}, "at most 200,000,000 rows"),
        ({"seeds": 10**6}, "at most 10,000,000 networks times seeds in one grid; received 36,000,000"),
        ({"depth": 90_000, "seeds": 10_000}, "at most 200,000,000 rows"),
        ({"seeds": range(10**6)}, "at most 10,000,000 networks times seeds"),
        ({"gain": [0.001 * i for i in range(1, 6000)]}, "at most 200,000 networks in one grid; received 215,964"),
    ],
)
def test_a_grid_that_is_too_large_is_refused_with_its_product(options, told):
    with pytest.raises(GradlabError, match=told):
        Sweep(**options)


def test_the_size_of_a_grid_is_that_of_its_networks():
    sweep = Sweep(architecture=["mlp", "rnn"], depth=[2, 4], activation=["tanh", "relu"], cell=["rnn", "lstm"])
    assert len(list(sweep.configs())) <= MOST_NETWORKS and MOST_MEASUREMENTS > 10**6
    TrainingSweep(depth=2, learning_rate=[0.001 * i for i in range(1, 3000)])


@pytest.mark.parametrize(
    "line", ["seeds = 1000000000000", f"depth = {list(range(1, 20_001))}", f"seeds = {'9' * 4000}"]
)
def test_a_stored_request_has_the_same_bounds(tmp_path, line):
    old = next(row for row in Request.to_toml(_request()).splitlines() if row.startswith(line.split(" ")[0]))
    (tmp_path / "sweep.toml").write_text(Request.to_toml(_request()).replace(old, line))
    with pytest.raises(GradlabError, match="at most"):
        FolderStore(tmp_path, print).recorded()


def _request():
    sweep = Sweep()
    return Request(sweep, {"name": "digits", "content_hash": "ab"}, {"name": "measure"}, {})


@pytest.mark.parametrize(
    "options",
    [["--seeds", "9" * 20], ["--depth", "9" * 20], ["--length", "9" * 20], ["--seeds", "100000000", "--dry-run"]],
)
def test_the_command_line_says_it_once_and_exits_with_2(options, capsys):
    assert main(["sweep", *options]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gradlab: expected ") and "at most" in told and told.count("\n") == 1
