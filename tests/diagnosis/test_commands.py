"""`gradlab diagnose`: what it runs, what it refuses, its exit codes; the model itself is judged elsewhere."""

import json
import sys
from types import ModuleType

import pytest

from gradlab import cli
from gradlab.diagnosis.diagnosis import Diagnosis, Unhealthy, assert_healthy
from gradlab.diagnosis.findings import Finding, Rule

from .hand_made import dense

SICK = (Finding(Rule.GL001, "error", ("dense_1",), "0.234 per layer.", -3.8, -1.0),)
GOOD = """\
import helper
LIMIT = 3
def factory():
    return helper.loss_fn, {"w": 1.0}, 2.0
def options():
    return {"loss_fn": helper.loss_fn, "params": {}, "batch": None, "init": len, "repeats": 2}
def fails():
    return helper.broken(1)
def leaves():
    import sys
    sys.exit(3)
def pair():
    return helper.loss_fn, {}
def misspelt():
    return {"loss_fn": helper.loss_fn, "params": {}, "batch": None, "inti": len}
def lacking():
    return {"loss_fn": helper.loss_fn}
"""
HELPER = """\
def loss_fn(params, batch):
    return 0.0
def broken(x):
    raise KeyError("the \\x1b[31m thing")
"""


DEFAULTS = {"key": 0, "repeats": 1, "init": None, "mute": ()}


@pytest.fixture
def asked(monkeypatch):
    """What `gradlab.diagnose` is asked for, in its place; `asked.findings` is what it finds."""
    made = ModuleType("gradlab.diagnosis.diagnose")
    made.findings, made.calls = (), []

    def diagnose(loss_fn, params, batch, *, key=0, repeats=1, init=None, mute=()):
        given = {"key": key, "repeats": repeats, "init": init, "mute": mute}
        options = {name: value for name, value in given.items() if value != DEFAULTS[name]}
        made.calls.append((loss_fn, params, batch, options))
        return Diagnosis(dense(6, backward=-0.63 if made.findings else 0.0), made.findings, (), "loss_fn")

    made.diagnose = diagnose
    monkeypatch.setitem(sys.modules, "gradlab.diagnosis.diagnose", made)
    return made


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(GOOD)
    (tmp_path / "helper.py").write_text(HELPER)
    yield tmp_path
    sys.modules.pop("helper", None)


def run(*argv):
    return cli.main(["diagnose", *argv, "--no-cache"])


def test_it_says_that_it_runs_the_file_and_judges_what_the_factory_returns(asked, model, capsys):
    assert run("model.py:factory") == 0
    told = capsys.readouterr()
    assert told.err == "gradlab: running model.py, and factory() in it\n"
    assert told.out.splitlines()[0] == "loss_fn: 7 of 7 products seen" and "Healthy" in told.out
    ((loss, params, batch, options),) = asked.calls
    assert loss.__name__ == "loss_fn" and params == {"w": 1.0} and batch == 2.0 and options == {}
    assert str(model) not in sys.path and "model" not in vars(sys.modules.get("model", ModuleType("x")))
    assert run("model.py") == 0  # the factory is called factory where nothing is said


def test_options_of_the_dict_and_of_the_command_line_are_those_of_diagnose(asked, model):
    assert run("model.py:options", "--repeats", "8", "--key", "3", "--mute", "GL014", "noise") == 0
    options = asked.calls[0][3]
    assert options == {"init": len, "repeats": 8, "key": 3, "mute": ("GL014", "noise")}


def test_findings_are_exit_code_1_and_pages_are_written(asked, model, capsys):
    asked.findings = SICK
    assert run("model.py:factory", "--json", "a/d.json", "--html", "d.html", "--out", "pages", "--quiet") == 1
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "1 error." and out.count("written: ") == 4
    stored = json.loads((model / "a" / "d.json").read_text())
    assert stored["findings"][0]["rule"] == "GL001" and not stored["healthy"]
    assert "data:image/" in (model / "d.html").read_text()
    page = (model / "pages" / "diagnosis.md").read_text()
    assert (
        "![Over 7 layers from the input to the loss, the signal" in page
        and "](layers.png)" in page
        and (model / "pages" / "layers.svg").exists()
    )


def test_a_baseline_fails_only_where_it_is_worse(asked, model, capsys):
    asked.findings = SICK
    assert run("model.py:factory", "--json", "old.json") == 1
    assert run("model.py:factory", "--baseline", "old.json") == 0
    assert "no worse than old.json" in capsys.readouterr().out
    asked.findings = (*SICK, Finding(Rule.GL006, "warning", ("dense_2",), "dead"))
    assert run("model.py:factory", "--baseline", "old.json") == 1
    assert "worse than old.json: GL006 dead is new" in capsys.readouterr().out
    asked.calls.clear()
    assert run("model.py:factory", "--baseline", "none.json") == 2 and not asked.calls  # before the model is run
    assert run("model.py:factory", "--mute", "nois") == 2 and not asked.calls
    assert "try 'noise'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("none.py:factory", "'none.py', which is not there"),
        ("model.py:factry", "try 'factory'"),
        ("model.py:LIMIT", "a function of model.py"),
        ("model.py:pair", "pair() of model.py to return loss_fn, params, batch; received tuple of 2"),
        ("model.py:misspelt", "an option of gl.diagnose to be one of loss_fn, params"),
        ("model.py:lacking", "with loss_fn, params, batch; received a dict of loss_fn"),
    ],
)
def test_what_is_not_there_is_one_message(target, words, asked, model, capsys):
    assert run(target) == 2
    told = capsys.readouterr()
    (line,) = [line for line in told.err.splitlines() if "running" not in line]
    assert words in line and told.out == "" and not asked.calls


def test_the_users_own_traceback_stands_below_one_line_of_ours(asked, model, capsys):
    assert run("model.py:fails") == 2
    lines = capsys.readouterr().err.splitlines()
    assert (
        lines[1].startswith("gradlab: expected fails() of model.py to return; received KeyError")
        and "\x1b" not in lines[1]
    )
    assert lines[2].startswith("Traceback") and "helper.broken(1)" in "\n".join(lines[3:])
    assert not any("site-packages" in line or "factory.py" in line for line in lines)
    assert run("model.py:leaves") == 2
    assert "SystemExit: 3" in capsys.readouterr().err
    (model / "broken.py").write_text("1 +\n")
    assert run("broken.py:factory") == 2
    assert "SyntaxError" in capsys.readouterr().err


def test_a_loss_that_raises_is_told_with_its_own_traceback(asked, model, capsys):
    from gradlab._errors import GradlabError

    def diagnose(loss_fn, params, batch):
        try:
            raise TypeError("my own")
        except TypeError as error:
            raise GradlabError("a loss that runs", "TypeError") from error

    asked.diagnose = diagnose
    assert run("model.py:factory") == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "gradlab: expected a loss that runs; received TypeError" and lines[-1] == "TypeError: my own"


def test_a_pytest_assertion_has_the_terminal_page(asked, tmp_path):
    assert assert_healthy(len, {}, None).healthy
    asked.findings = SICK
    with pytest.raises(Unhealthy, match="GL001 vanishing, error"):
        assert_healthy(len, {}, None)
    old = Diagnosis(dense(6, backward=-0.63), SICK, ()).to_dict()
    assert assert_healthy(len, {}, None, baseline=old).findings == SICK
    asked.findings = (*SICK, Finding(Rule.GL006, "warning", ("dense_2",), "dead"))
    with pytest.raises(AssertionError, match="worse than the baseline: GL006 dead is new"):
        assert_healthy(len, {}, None, baseline=old)
