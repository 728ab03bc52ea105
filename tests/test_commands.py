"""Every command that README and the help texts show runs as it stands there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradlab import cli
from gradlab.command_options import CHECK, REPORT, SWEEP, THEORY, TRAIN
from gradlab.diagnosis.recorder import record
from gradlab.model_commands import DIAGNOSE, INSPECT
from gradlab.paper_commands import CITE, COMPARE, PROVENANCE

ROOT = Path(cli.__file__).resolve().parents[1]
MISH = """\
import jax, jax.numpy as jnp
import gradlab as gl
gl.register_activation(
    "mish",
    lambda z: z * jnp.tanh(jax.nn.softplus(z)),
    lambda z: jnp.tanh(jax.nn.softplus(z)) + z * jax.nn.sigmoid(z) / jnp.cosh(jax.nn.softplus(z)) ** 2,
)
"""
MODEL = """\
import jax, jax.numpy as jnp
def loss_fn(params, batch):
    x, y = batch
    for name in ("one", "two", "three"):
        x = jax.nn.relu(x @ params[name])
    return jnp.mean((x - y) ** 2)
def init(key):
    keys = zip(("one", "two", "three"), jax.random.split(key, 3))
    return {name: jax.random.normal(k, (32, 32)) * (2 / 32) ** 0.5 for name, k in keys}
def factory():
    x = jax.random.normal(jax.random.key(1), (64, 32))
    return {"loss_fn": loss_fn, "params": init(jax.random.key(0)), "batch": (x, jnp.abs(x)), "init": init}
"""


def shown():
    """The commands of README, in lines and in backticks, and those of the help texts, each once."""
    found = []
    readme = (ROOT / "README.md").read_text()
    found += re.findall(r"^    (gradlab .+)$", readme, re.M) + re.findall(r"`(gradlab [^`]+)`", readme)
    found += re.findall(r"bin/(gradlab .+)$", readme, re.M)
    for text in (cli.ABOUT, SWEEP, TRAIN, REPORT, CHECK, THEORY, DIAGNOSE, INSPECT, CITE, COMPARE, PROVENANCE):
        # what a command does stands behind it, some spaces away
        found += [re.split(r" {2,}", line)[0] for line in re.findall(r"^  (gradlab .+)$", text, re.M)]
    return list(dict.fromkeys(found))


COMMANDS = shown()


@pytest.fixture
def folder(tmp_path, monkeypatch, forget):
    """A folder with the files that the commands name."""
    monkeypatch.chdir(tmp_path)
    Path("mish.py").write_text(MISH)
    Path("model.py").write_text(MODEL)
    Path("large.toml").write_text("depth = [2, 3]\nwidth = 8\nseeds = 2\n")
    Path("sweep.toml").write_text('depth = [2, 4]\nactivation = "tanh"\nwidth = 16\n')
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"])
    for name in ("recorded", "first", "second"):
        layers = {layer: rng.normal(size=(64, 32)) for layer in ("one", "two", "three", "four")}
        record(f"{name}.npz", value=layers, delta=layers, loss={"loss": np.float32(1.5)})
    table.assign(label=np.where(table["a"] > 0, "up", "down")).to_csv("mine.csv", index=False)
    return tmp_path


def test_all_commands_are_found():
    assert {command.split()[1] for command in COMMANDS} == set(cli.COMMANDS)
    for text in ("sweep --out runs/demo --report", "train --help", "report runs/demo --html --tex", "--out maps.png"):
        assert any(text in command for command in COMMANDS), text
    assert len(COMMANDS) >= 22


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[1] in ("sweep", "train") and "--help" not in c])
@pytest.mark.filterwarnings("ignore::gradlab._errors.GradlabNote")
def test_what_is_computed_is_well_asked(command, folder, monkeypatch):
    """The same commands up to where they would compute, which the slow test below does."""
    import gradlab.sweep.run

    asked = []

    def run(sweep, **options):
        asked.append(sweep)
        return pd.DataFrame({"network": ["a"], "status": ["ok"]})

    monkeypatch.setattr(gradlab.sweep.run, "run", run)
    monkeypatch.setattr(cli, "_write_report", lambda *args: None)
    assert cli.main(shlex.split(command)[1:]) == 0
    (sweep,) = asked
    # nobody waits an hour for an example: updates of all trainings together
    assert len(list(sweep.configs())) * len(sweep.seed_numbers) * getattr(sweep, "steps", 1) <= 150_000


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--help" in c])
def test_help_that_readme_names(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(shlex.split(command)[1:])
    assert end.value.code == 0 and "examples:" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("command", [c for c in COMMANDS if "--help" not in c])
def test_it_runs_as_it_stands(command, folder, capsys):
    words = shlex.split(command)[1:]
    for run in words[1:3] if words[0] in ("report", "cite", "compare") else ():  # of runs that are there
        if run.startswith("runs/"):
            init = "xavier_normal" if "xavier" in run else "he_normal"
            small = f"--depth 2 4 --width 8 --activation tanh --init {init} --seeds 2 --batch 16 --quiet"
            assert cli.main(["sweep", *small.split(), "--out", run]) == 0
    if "--baseline" in words:
        assert cli.main(["diagnose", words[1], "--json", words[words.index("--baseline") + 1]]) == 0
    assert cli.main(words) == 0
    told = capsys.readouterr()
    assert "Traceback" not in told.err and "networks failed" not in told.err and told.out
    if "--report" in words or words[0] == "report":
        page = next(Path("runs").glob("*/report.md")).read_text()
        assert "Not made, because" not in page
