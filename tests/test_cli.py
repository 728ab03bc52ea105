"""The command line: options are the fields of the configurations, and whatever is wrong is told in one line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import gradlab as gl
from gradlab import cli, options
from gradlab.config import MLPConfig, Sweep, TrainingSweep

SMALL = [
    "--depth",
    "2",
    "3",
    "--width",
    "4",
    "--activation",
    "tanh",
    "--init",
    "he_normal",
    "--seeds",
    "2",
    "--batch",
    "8",
]
MISH = """\
import jax, jax.numpy as jnp
import gradlab as gl
gl.register_activation(
    "mish",
    lambda z: z * jnp.tanh(jax.nn.softplus(z)),
    lambda z: jnp.tanh(jax.nn.softplus(z)) + z * jax.nn.sigmoid(z) / jnp.cosh(jax.nn.softplus(z)) ** 2,
)
"""


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What `gradlab sweep` hands to `run`, which computes nothing here."""
    import gradlab.sweep.run

    calls = []

    def run(sweep, data=None, out=None, **options):
        calls.append({"sweep": sweep, "data": data, "out": out, **options})
        return pd.DataFrame({"network": ["a"], "status": ["ok"]})

    monkeypatch.setattr(gradlab.sweep.run, "run", run)
    monkeypatch.chdir(tmp_path)
    return calls


def sweep_of(*words):
    assert cli.main(["sweep", *words]) == 0


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_names_the_commands_and_gives_examples(argv, capsys):
    assert cli.main(argv) == 0
    told = capsys.readouterr().out
    for command in cli.COMMANDS:
        assert f"\n  {command} " in told
        assert f"\n  gradlab {command}" in told


@pytest.mark.parametrize(
    ("command", "config"), [("sweep", Sweep), ("train", TrainingSweep), ("check", MLPConfig), ("report", None)]
)
def test_help_of_a_command_has_examples_and_every_field(command, config, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert f"examples:\n  gradlab {command}" in told
    for field, *_ in options.fields_of(config) if config else ():
        assert f"--{field.name.replace('_', '-')}" in told


def test_every_option_says_what_it_is():
    for config in (Sweep, MLPConfig):
        for field, _, told in options.fields_of(config):
            if (config, field.name) != (Sweep, "dtype"):
                assert len(told) > 9, field.name


def test_version(capsys):
    import gradlab

    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == gradlab.__version__


def test_without_options_it_is_the_default_sweep_in_a_folder_of_its_own(asked, capsys):
    sweep_of()
    (call,) = asked
    assert call["sweep"] == Sweep()
    assert call["out"].parent == Path("runs") and call["out"].name.startswith("digits-")
    assert (call["executor"], call["workers"], call["retry_failed"], call["dry_run"]) == ("local", 1, False, False)
    told = capsys.readouterr().out
    assert str(call["out"] / "frame.parquet") in told and f"gradlab report {call['out']}" in told


def test_the_folder_belongs_to_the_request_and_more_seeds_extend_it(asked):
    for words in ([], ["--seeds", "9"], ["--depth", "2"], ["--q0", "2", "--data", "gaussian"], ["--data", "gaussian"]):
        sweep_of(*words)
    first, more_seeds, *others = [call["out"] for call in asked]
    assert first == more_seeds
    assert len({first, *others}) == 4


def test_lists_are_separated_by_spaces(asked):
    sweep_of(
        *("--depth", "2", "4", "--activation", "tanh", "relu", "--init", "gaussian", "--sigma-w2", "0.5", "1"),
        *("--bias", "True", "False", "--seeds", "3", "7", "--columns", "log10_delta_rms", "--data", "circle"),
        *("--q0", "2", "--batch", "16", "--loss", "mse", "--dtype", "float64", "--key", "5", "--out", "here"),
        *("--executor", "dask", "--workers", "2", "--quiet", "--retry-failed"),
    )
    (call,) = asked
    sweep = call["sweep"]
    assert (sweep.depth, sweep.activation, sweep.sigma_w2) == ((2, 4), ("tanh", "relu"), (0.5, 1.0))
    assert (sweep.bias, sweep.seeds, sweep.columns) == ((True, False), (3, 7), ("log10_delta_rms",))
    assert (sweep.data, sweep.q0, sweep.batch, sweep.loss) == ("circle", 2.0, 16, "mse")
    assert (sweep.dtype, sweep.key, call["out"]) == ("float64", 5, Path("here"))
    assert (call["executor"], call["workers"], call["progress"], call["retry_failed"]) == ("dask", 2, False, True)
    assert call["command"].startswith("gradlab sweep --depth 2 4 --activation")


def test_the_length_of_a_sequence_is_an_option(asked):
    words = ("--architecture", "rnn", "--loss", "mse", "--data", "adding")
    sweep_of(*words, "--length", "200")
    sweep_of(*words)
    assert [call["sweep"].length for call in asked] == [200, None]
    assert asked[0]["out"] != asked[1]["out"]


TOML = (
    'depth = [3, 5]\nactivation = "relu"\nseeds = 7\nout = "there"\nretry_failed = true\nsigma-b2 = ["default", 0.1]\n'
)


def test_options_win_over_the_file(asked):
    Path("s.toml").write_text(TOML)
    sweep_of("--config", "s.toml")
    sweep_of("--config=s.toml", "--seeds", "2", "--depth=4", "--no-retry-failed", "--sigma_b2", "0")
    of_file, overridden = asked
    assert of_file["sweep"] == Sweep(depth=(3, 5), activation="relu", seeds=7, sigma_b2=(None, 0.1))
    assert (of_file["out"], of_file["retry_failed"]) == (Path("there"), True)
    assert overridden["sweep"] == Sweep(depth=4, activation="relu", seeds=2, sigma_b2=0)
    assert (overridden["out"], overridden["retry_failed"]) == (Path("there"), False)


def test_an_option_equal_to_its_default_wins_over_the_file_too(asked):
    Path("s.toml").write_text("seeds = 7\nbatch = 9")
    sweep_of("--config", "s.toml", "--seeds", "5")
    assert (asked[0]["sweep"].seeds, asked[0]["sweep"].batch) == (5, 9)


def test_dry_run_says_what_would_be_computed_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep_of(*SMALL, "--dry-run", "--quiet")
    assert "2 networks, 4 runs" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_sweep_and_report_and_once_more(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [*SMALL, "--data", "gaussian", "--out", "runs/demo", "--quiet"]
    sweep_of(*words, "--tex")
    told = capsys.readouterr()
    for name in ("frame.parquet", "frame.csv", "report.md", "tables.tex", "figures.tex", "numbers.tex"):
        assert f"runs/demo/{name}" in told.out and Path("runs/demo", name).stat().st_size > 0
    assert told.err == ""
    before = Path("runs/demo/frame.parquet").read_bytes()
    sweep_of(*words)
    sessions = json.loads(Path("runs/demo/provenance.json").read_text())["sessions"]
    assert sum(s["parts_computed"] for s in sessions) == len(list(Path("runs/demo/parts").glob("*.parquet"))) == 1
    assert Path("runs/demo/frame.parquet").read_bytes() == before
    # what a run was asked for is a file of options too, and its folder takes nothing else
    assert cli.main(["sweep", "--config", "runs/demo/sweep.toml", "--out", "runs/demo", "--quiet"]) == 0
    capsys.readouterr()
    assert cli.main(["sweep", *words, "--batch", "9"]) == 2
    assert "batch=9 instead of 8" in one_line(capsys)
    assert cli.main(["report", "runs/demo", "--out", "page", "--html"]) == 0
    told = capsys.readouterr().out
    assert "report: page/report.md" in told and "page/report.html" in told
    assert "<html" in Path("page/report.html").read_text()


def test_check_hands_over_what_was_asked(monkeypatch):
    import gradlab.core.check

    calls = []

    def check(net, x, y, **options):
        calls.append((net, x, y, options))
        return SimpleNamespace(ok=len(calls) == 1)

    monkeypatch.setattr(gradlab.core.check, "check", check)
    words = ["check", "--depth", "2", "--width", "3", "5", "--activation", "tanh", "--no-bias", "--data", "circle"]
    assert cli.main([*words, "--loss", "mse", "--dtype", "float32", "--key", "3", "--batch", "9"]) == 0
    assert cli.main(["check"]) == 1  # what the record says
    (net, x, y, options), default = calls
    assert net == gl.MLP(depth=2, width=(3, 5), activation="tanh", bias=False)
    assert (x.shape, x.dtype, y.shape) == ((9, 64), "float64", (9,))
    assert options == {"loss": "mse", "key": 3, "dtype": "float32"}
    assert default[0] == gl.MLP(depth=3, width=16) and default[3] == {"loss": None, "key": 0, "dtype": "float64"}


SABOTAGE = """\
from gradlab.core import losses
from gradlab.core.scaled import Scaled
right = losses.TABLE["softmax_cross_entropy"]
def wrong(logits, y):
    value, dy = right(logits, y)
    return value, Scaled(0.999 * dy.mantissa, dy.exponent)
losses.TABLE["softmax_cross_entropy"] = wrong
"""
#: The smallest network: a check compiles some hundred small programs.
TINY = ["--depth", "1", "--width", "3", "--batch", "4"]


@pytest.mark.slow
def test_check_exits_with_1_where_the_backward_pass_is_wrong(tmp_path, monkeypatch, capsys):
    from gradlab.core import losses

    monkeypatch.setitem(losses.TABLE, "softmax_cross_entropy", losses.softmax_cross_entropy)  # undone afterwards
    (tmp_path / "sabotage.py").write_text(SABOTAGE)
    assert cli.main(["check", *TINY, "--activation", "tanh", "--import", str(tmp_path / "sabotage.py")]) == 1
    assert "WRONG" in capsys.readouterr().out


@pytest.mark.slow
def test_import_makes_an_activation_known_and_check_agrees_with_it(tmp_path, monkeypatch, capsys, forget):
    monkeypatch.chdir(tmp_path)
    Path("mish.py").write_text(MISH)
    assert cli.main(["check", *TINY, "--activation", "mish"]) == 2
    assert "--import FILE.py" in one_line(capsys)
    assert cli.main(["check", *TINY, "--activation", "mish", "--import", "mish.py"]) == 0
    assert "hidden_1" in capsys.readouterr().out
    sweep_of(*SMALL, "--activation", "mish", "--import=mish.py", "--dry-run")


def one_line(capsys):
    """The one message of a refusal."""
    err = capsys.readouterr().err
    assert err.startswith("gradlab: expected ") and err.count("\n") == 1, err
    assert "; received " in err and "; try " in err and "Traceback" not in err
    return err


BEYOND = "99999999999999999999"
BAD = {
    "a wrong command": (["swep"], ["sweep, train, report, check", "'swep'", "try 'sweep'"]),
    "a wrong option": (["sweep", "--activaton", "tanh"], ["'--activaton'", "try '--activation'"]),
    "an option of another command": (["report", ".", "--depth", "3"], ["'--depth'", "gradlab report --help"]),
    "a word too many": (["sweep", "digits"], ["'digits'", "gradlab sweep --help"]),
    "lists by commas": (["sweep", "--depth", "2,4"], ["--depth INT [INT ...]", "2,4"]),
    "a word for a number": (["check", "--depth", "x"], ["--depth INT", "'x'"]),
    "a value left out": (["sweep", "--out"], ["--out"]),
    "no run to report": (["report"], ["PATH", "gradlab report --help"]),
    "an activation": (["sweep", "--activation", "tnh"], ["'tnh'", "'tanh'", "--import FILE.py"]),
    "an initialiser": (["sweep", "--init", "xavier"], ["'xavier'", "xavier_normal"]),
    "an optimiser": (["train", "--optimizer", "adan"], ["'adan'", "'adam'"]),
    "a learning rate": (["train", "--learning-rate", "-0.1"], ["learning_rate", "positive", "-0.1"]),
    "a minibatch too large": (["train", "--batch", "1500"], ["at most the 1438 examples to train on", "1500"]),
    "all of it kept apart": (["train", "--test", "1"], ["test", "below 1"]),
    "two ways of clipping": (["train", "--clip-norm", "1", "--clip-value", "1"], ["one way of clipping"]),
    "a loss": (["sweep", "--loss", "msee"], ["'msee'", "try 'mse'"]),
    "a column": (["sweep", "--columns", "log10_delta"], ["'log10_delta'", "'log10_delta_rms'"]),
    "an architecture": (["sweep", "--architecture", "mlpp"], ["'mlpp'", "try 'mlp'"]),
    "a dtype": (["sweep", "--dtype", "float128"], ["'float128'", "float32"]),
    "an executor": (["sweep", "--executor", "ray"], ["'ray'", "local, dask"]),
    "a depth of 0": (["sweep", "--depth", "0"], ["depth", "at least 1", "received 0"]),
    "a width below 1": (["check", "--width", "-3"], ["width", "at least 1", "received -3"]),
    "an empty grid": (["sweep", "--depth"], ["at least one value of depth"]),
    "no seeds": (["sweep", "--seeds", "0"], ["seeds", "received 0"]),
    "no sigma": (["sweep", "--init", "gaussian"], ["sigma_w2"]),
    "widths of another depth": (["check", "--depth", "3", "--width", "4", "5"], ["3 hidden layers", "2 widths"]),
    "a data set": (["sweep", "--data", "digit"], ["'digit'", "try 'digits'"]),
    "a missing file": (["sweep", "--data", "no.csv"], ["'no.csv'", "not there"]),
    "a length below 1": (["sweep", "--length", "0"], ["length", "received 0"]),
    "a length of no sequence": (["sweep", "--data", "digits", "--length", "9"], ["length= only for adding", "digits"]),
    "a target": (["sweep", "--data", "t.csv", "--target", "labl"], ["'labl'", "try 'label'"]),
    "no target": (["sweep", "--data", "t.csv"], ["holds the target", "label"]),
    "real targets": (
        ["check", "--data", "t.csv", "--target", "a", "--loss", "cross_entropy"],
        ["integer labels", "mse"],
    ),
    "a batch too large": (["sweep", "--batch", "9999"], ["at most 1797", "9999"]),
    "a missing --import": (["check", "--import", "no.py"], ["'no.py'", "not there"]),
    "an --import that fails": (["check", "--import", "fails.py"], ["fails.py", "ZeroDivisionError"]),
    "a wrong derivative": (["check", "--import", "wrong.py"], ["derivative"]),
    "a missing --config": (["sweep", "--config", "no.toml"], ["'no.toml'", "not there"]),
    "a --config that is no TOML": (["sweep", "--config", "fails.py"], ["fails.py to be TOML"]),
    "a wrong option in TOML": (["sweep", "--config", "option.toml"], ["option.toml", "'dept'", "'depth'"]),
    "a wrong type in TOML": (["sweep", "--config", "type.toml"], ["dry_run", "bool", "'yes'"]),
    "a word for a number in TOML": (["sweep", "--config", "word.toml"], ["word.toml", "deep"]),
    "a run that is not there": (["report", "nowhere"], ["nowhere"]),
    "a folder that is no run": (["report", "."], ["folder of a run"]),
    "seeds that overflow": (["sweep", "--seeds", BEYOND], ["seeds", "at most", BEYOND]),
    "more seeds than can be planned": (
        ["sweep", "--seeds", "100000000", "--dry-run"],
        ["networks times seeds", "3,600,000,000"],
    ),
    "seed numbers that overflow": (["sweep", "--seeds", "0", BEYOND], ["seed to be", BEYOND]),
    "a depth that overflows": (["sweep", "--depth", BEYOND], ["depth", "at most", BEYOND]),
    "a length that overflows": (["sweep", "--data", "copying", "--length", BEYOND], ["length", BEYOND]),
    "steps that overflow": (["train", "--steps", BEYOND], ["steps", "at most", BEYOND]),
    "a key that overflows": (["check", "--key", BEYOND], ["key", BEYOND]),
    "a key that JAX would cut": (["sweep", "--key", "4294967296"], ["key", "at most 4,294,967,295"]),
    "a gain that overflows": (["sweep", "--gain", "1e400"], ["gain", "inf"]),
    "code that a TOML file would run": (
        ["sweep", "--config", "import.toml"],
        ["--import on the command line", "import.toml"],
    ),
    "a scheduler that a TOML file would name": (
        ["sweep", "--config", "scheduler.toml"],
        ["--scheduler on the command line", "scheduler.toml"],
    ),
    "arrays within arrays in TOML": (["sweep", "--config", "nested.toml"], ["nested.toml to be TOML"]),
    "an integer that Python cannot read": (["sweep", "--config", "huge.toml"], ["huge.toml to be TOML", "digits"]),
    "an integer that Python cannot write": (["sweep", "--config", "wide.toml"], ["depth", "about 2^13287"]),
    "no name for a folder": (["sweep", "--out", ""], ["--out to be a path", "received ''"]),
    "one word among numbers": (
        ["sweep", "--data", "odd.csv", "--target", "label"],
        ["column 'b' of odd.csv", "such as 'x'"],
    ),
    "an empty file of data": (
        ["sweep", "--data", "empty.csv", "--target", "label"],
        ["rows in empty.csv", "an empty file"],
    ),
    "a folder that cannot be": (["sweep", "--data", "circle", "--out", "t.csv/x"], ["t.csv/x"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_in_one_line(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "t.csv": "a,b,label\n1,2.5,0\n2,1.5,1\n0.5,2,1\n",
        "odd.csv": "a,b,label\n1,2.5,0\n2,x,1\n",
        "empty.csv": "",
        "fails.py": "1 / 0\n",
        "wrong.py": MISH.replace("jnp.tanh(jax.nn.softplus(z)) + z", "z"),
        "option.toml": "dept = 3\n",
        "type.toml": "dry_run = 'yes'\n",
        "word.toml": "depth = 'deep'\n",
        "import.toml": "import = ['mish.py']\n",
        "scheduler.toml": "scheduler = 'tcp://127.0.0.1:8786'\n",
        "nested.toml": f"depth = {'[' * 1000}2{']' * 1000}\n",
        "huge.toml": f"depth = {'9' * 5000}\n",
        "wide.toml": f"depth = {'9' * 4000}\n",
    }.items():
        Path(name).write_text(text)
    before = sorted(tmp_path.iterdir())
    argv, told = BAD[case]
    assert cli.main(argv) == 2
    message = one_line(capsys)
    for part in told:
        assert part in message
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", ["sweep", "train"])
def test_a_run_in_which_nothing_succeeded_is_no_success(command, monkeypatch, capsys, tmp_path):
    import gradlab.sweep.run

    statuses = ["ValueError: too deep", "ok"]
    frames = iter([pd.DataFrame({"network": ["a", "b"], "status": [statuses[0], s]}) for s in statuses])
    monkeypatch.setattr(gradlab.sweep.run, "run", lambda *args, **options: next(frames))
    assert cli.main([command, "--out", str(tmp_path)]) == 1
    assert "all 2 networks failed, the first with ValueError: too deep" in one_line(capsys)
    assert cli.main([command, "--out", str(tmp_path)]) == 0


def python(words, folder, **environment):
    """What a Python process of its own says: exit code, standard output and standard error."""
    env = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1]), **environment}
    found = subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True)
    return found.returncode, found.stdout, found.stderr


def test_help_without_docstrings(tmp_path):
    code, out, err = python(["-OO", "-m", "gradlab", "check", "--help"], tmp_path)
    assert (code, err) == (0, "") and "--depth" in out


@pytest.mark.slow
def test_a_wrong_backend_of_figures_costs_nothing(tmp_path):
    words = ["-OO", "-m", "gradlab", "theory", "--activation", "tanh", "--out", "maps.png"]
    code, out, err = python(words, tmp_path, MPLBACKEND="nonsense")
    assert (code, err) == (0, "") and "maps.png" in out and (tmp_path / "maps.png").is_file()


@pytest.mark.parametrize("words", [["check"], ["sweep", "--out", "run"]])
def test_a_backend_that_cannot_start_is_told_before_anything_is_computed(words, tmp_path):
    code, out, err = python(["-m", "gradlab", *words], tmp_path, JAX_PLATFORMS="nonsense")
    assert (code, out) == (2, "") and err.count("\n") == 1 and "Traceback" not in err
    assert err.startswith("gradlab: expected a backend that JAX can start; received JAX_PLATFORMS=nonsense")
    assert not (tmp_path / "run").exists()


def test_an_error_of_the_file_system_is_told(asked, monkeypatch, capsys):
    import gradlab.sweep.run

    def full(*args, **options):
        raise OSError(28, "No space left on device", "runs/demo/parts/x")

    monkeypatch.setattr(gradlab.sweep.run, "run", full)
    assert cli.main(["sweep"]) == 2
    assert "No space left on device: 'runs/demo/parts/x'" in one_line(capsys)


def test_ctrl_c_says_how_to_go_on(asked, monkeypatch, capsys):
    import gradlab.sweep.run

    def stopped(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gradlab.sweep.run, "run", stopped)
    assert cli.main(["sweep", "--out", "my runs/a"]) == 130
    assert "this command continues: gradlab sweep --out 'my runs/a'" in capsys.readouterr().err


def test_ctrl_c_of_a_real_process(tmp_path):
    # a suite that runs in the background hands on a SIGINT that is ignored
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from gradlab.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = [
        sys.executable,
        "-c",
        code,
        "sweep",
        "--depth",
        "400",
        "--width",
        "300",
        "--seeds",
        "500",
        "--out",
        "o",
    ]
    root = Path(cli.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(words, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "o" / "sweep.toml").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        for _ in range(3):  # an interrupt in a callback of the garbage collector is lost: as users do, once more
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                _, err = process.communicate(timeout=20)
                break
        else:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err or "Exception ignored in" in err
    # Python may write a word of its own after it, where a second interrupt came while it was ending
    told = "gradlab: interrupted; this command continues: gradlab sweep --depth"
    assert [line for line in err.splitlines() if line.startswith(told)]


def test_nobody_reads_on(tmp_path):
    root = Path(cli.__file__).parents[1]
    told = subprocess.run(
        f"{sys.executable} -u -m gradlab --help | true",
        shell=True,
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stderr == ""
