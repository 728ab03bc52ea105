"""Every way in refuses the same data, the same things that are no network, and the same parameters that do not fit."""

import contextlib
import inspect
import io

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab._errors import GradlabNote
from gradlab.cli import main
from gradlab.config import TRAINING_GRID, MLPConfig, TrainingConfig
from gradlab.core.batch import batch_of
from gradlab.data import load

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
Y = np.arange(60) % 3
NET = gl.MLP(depth=2, width=4)
PARAMS = NET.init_params(0, X, Y)

#: Everything that takes inputs, by what it takes besides: f(net, x, y, params).
OF_X = {
    "gl.shattering": lambda net, x, y, params: gl.shattering(net, x),
    "gl.jacobian_spectrum": lambda net, x, y, params: gl.jacobian_spectrum(net, x, params=params),
    "gl.jacobian_density": lambda net, x, y, params: gl.jacobian_density(net, x, params=params),
    "gl.lyapunov": lambda net, x, y, params: gl.lyapunov(net, x, params=params),
    "net.apply": lambda net, x, y, params: NET.apply(params, x),
    "gl.theory.predict": lambda net, x, y, params: gl.theory.predict(NET, x),
}
OF_DATA = {
    "net.init_params": lambda net, x, y, params: NET.init_params(0, x, y),
    "gl.backprop": lambda net, x, y, params: gl.backprop(net, params, x, y),
    "gl.measure": lambda net, x, y, params: gl.measure(net, x, y, seeds=1),
    "gl.measure, given": lambda net, x, y, params: gl.measure(net, x, y, params=params),
    "gl.train": lambda net, x, y, params: gl.train(net, x, y, steps=1, batch=8, progress=False),
    "gl.check": lambda net, x, y, params: gl.check(net, x, y, quiet=True),
    "gl.check, given": lambda net, x, y, params: gl.check(net, x, y, params=params, quiet=True),
    "gl.histograms": lambda net, x, y, params: gl.frame(gl.histograms(net, x, y)),
    "gl.sharpness": lambda net, x, y, params: gl.sharpness(net, params, x, y),
    "load": lambda net, x, y, params: load((x, y)),
    "gl.run": lambda net, x, y, params: gl.run(gl.Sweep(depth=1, batch=8), data=(x, y)),
}
DOORS = OF_X | OF_DATA
OF_PARAMS = ("gl.jacobian_spectrum", "gl.lyapunov", "net.apply", "gl.backprop", "gl.measure, given", "gl.sharpness")


def refused(door, words, net=NET, x=X, y=Y, params=PARAMS):
    with pytest.raises(GradlabError, match=words) as error:
        DOORS[door](net, x, y, params)
    told = str(error.value)
    assert "received" in told and "try" in told and "\n" not in told


def holed(value):
    x = X.copy()
    x[7, 2] = value
    return x


@pytest.mark.parametrize("door", DOORS)
def test_inputs_that_are_no_inputs_are_refused(door):
    refused(door, "finite numbers in x; received 1 NaN or inf, the first in example 7, column 2", x=holed(np.nan))
    refused(door, "x of shape .*received shape", x=X[:, 0])
    refused(door, "numbers in x; received an array of complex", x=X + 1j)
    if door != "gl.theory.predict":  # which needs none
        refused(door, "x of shape|x as an array", x=None)


@pytest.mark.parametrize("door", OF_DATA)
def test_targets_that_are_no_targets_are_refused(door):
    refused(door, r"one integer label for each example.*\(60, 3\).*argmax", y=np.eye(3, dtype=int)[Y])
    refused(door, "one target for each of the 60 examples", y=Y[:-1])
    refused(door, "labels from 0", y=Y - 1)
    refused(door, "labels that count classes|labels from 0 to 2", y=Y + 1990)
    refused(door, "finite numbers in y", y=np.where(Y == 1, np.nan, Y))


@pytest.mark.parametrize("door", ["net.init_params", "gl.backprop", "gl.measure", "gl.check", "load"])
def test_years_are_no_labels_however_many_examples_there_are(door):
    x, years = np.ones((3000, 4), "float32"), np.arange(3000) % 32 + 1990
    refused(door, "labels that count classes from 0; received a label of 2021|labels from 0 to 2", x=x, y=years)


def test_a_column_of_labels_is_labels():
    column = Y[:, None]
    assert NET.init_params(0, X, column)[-1][0]["bias"].shape == (3,)
    for y in (column, Y):
        found = batch_of(X, y)
        assert found.y.tolist() == Y.tolist() and (found.loss, found.outputs) == ("softmax_cross_entropy", 3)
    # inside jit too, where the numbers cannot be looked at
    inside = jax.jit(lambda y: gl.backprop(NET, PARAMS, X, y)[0])
    assert inside(column) == inside(Y)
    with pytest.raises(GradlabError, match="argmax"):
        inside(np.eye(3, dtype=int)[Y])


def test_labels_of_known_outputs_need_not_show_how_many_classes_there_are():
    few = np.array([300, 500, 700, 900])
    assert batch_of(X[:4], few, outputs=1000).outputs == 1000
    with pytest.raises(GradlabError, match="labels from 0 to 999"):
        batch_of(X[:4], few + 200, outputs=1000)


def test_labels_from_1_are_noted():
    with pytest.warns(GradlabNote, match="labels are 1 to 3: class 0 has no example, and the network 4 outputs"):
        assert NET.init_params(0, X, Y + 1)[-1][0]["bias"].shape == (4,)


NO_NETWORK = {
    "a name": ("mlp", "received 'mlp'"),
    "a class": (gl.MLP, "received the class MLP; try MLP"),
    "a configuration": (MLPConfig(), r"MLPConfig\(.*try MLP"),
    "nothing": (None, "received None"),
    "a number": (3, "received 3"),
}


@pytest.mark.parametrize("kind", NO_NETWORK)
@pytest.mark.parametrize("door", ["gl.backprop", "gl.measure", "gl.train", "gl.check", "gl.histograms", "gl.sharpness",
                                  "gl.shattering", "gl.jacobian_spectrum", "gl.jacobian_density"])  # fmt: skip
def test_what_is_no_network_is_refused(door, kind):
    net, words = NO_NETWORK[kind]
    refused(door, f"expected a network.*{words}", net=net)


@pytest.mark.parametrize("door", OF_PARAMS)
def test_parameters_that_are_none_are_refused(door):
    for params in ([], "w", 3):
        refused(door, "params, the parameters of", params=params)
    refused(door, "received another tree", params=list(PARAMS))
    refused(door, "to hold real numbers; received complex", params=jax.tree.map(lambda v: 1j * np.asarray(v), PARAMS))


def test_a_batch_to_test_on_passes_the_same_door():
    for test, words in {"labels from 0 to 2": (X, Y + 1), "finite": (holed(np.inf), Y)}.items():
        with pytest.raises(GradlabError, match=test):
            gl.train(NET, X, Y, test=words, steps=1, batch=8, progress=False)


def test_the_command_line_tells_how_a_file_was_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = "".join(f"{i},{i * i % 7}.5,{'good' if i % 3 else 'bad'}\n" for i in range(20))
    (tmp_path / "t.csv").write_text(",a,kind\n" + lines)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert main(["sweep", "--data", "t.csv", "--target", "kind", "--batch", "8", "--dry-run"]) == 0
    assert err.getvalue().splitlines() == [
        "gradlab: the first column of t.csv has no name and counts the rows: it is left out",
        "gradlab: column 'kind' names classes: bad = 0, good = 1",
    ]
    assert "36 networks" in out.getvalue()


def test_a_misspelt_option_of_a_network_is_told_with_the_right_one():
    with pytest.raises(GradlabError, match=r"option of MLP to be one of depth.*'actvation'; try 'activation'"):
        gl.MLP(depth=2, actvation="relu")
    with pytest.raises(GradlabError, match=r"option of RNN .*'norm'"):
        gl.RNN(norm="layer")


def test_the_options_of_a_network_stand_in_its_signature():
    shown = inspect.signature(gl.ResNet).parameters
    assert shown["depth"].default == 10 and "branch_scale" in shown and "cell" not in shown
    assert "dry_run" in inspect.signature(gl.run).parameters
    shown = inspect.signature(gl.train).parameters
    for name in TRAINING_GRID:
        assert shown[name].default == TrainingConfig.__dataclass_fields__[name].default
