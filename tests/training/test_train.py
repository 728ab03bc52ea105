"""`gradlab.train`: what it records, how it fails, what it keeps."""

import itertools
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.config import TrainingConfig, record_steps
from gradlab.data import load
from gradlab.training.optimizers import stable_below

#: Signals alone, for tests that ask for nothing else: what is compiled is small.
SIGNALS = ("log10_delta_rms", "log10_preactivation_rms", "log10_activation_rms")
#: What the tests of one training look at.
KEPT = (
    "log10_delta_rms", "weight_norm", "log10_update_ratio", "log10_clipped_weight_grad_norm",
    "log10_clipped_bias_grad_norm", "log10_train_loss", "train_accuracy", "test_accuracy",
)  # fmt: skip
NET = gl.MLP(depth=3, width=16, activation="tanh", init="xavier_normal")


@pytest.fixture(scope="module")
def digits():
    data = load("digits", batch=300)
    return data.x, data.y


@pytest.fixture(scope="module")
def run(digits):
    """One training with everything on."""
    return gl.train(
        NET, *digits, optimizer="adam", learning_rate=1e-2, steps=40, batch=32, seeds=2, records=(0, 1, 7, 40),
        clip_norm=0.1, columns=KEPT, progress=False, data="digits",
    )  # fmt: skip


def test_the_frame_has_a_row_for_each_seed_step_and_layer(run):
    frame = gl.frame(run)
    assert len(frame) == 2 * 4 * 4
    assert frame["step"].unique().tolist() == [0, 1, 7, 40]
    assert set(frame["status"]) == {"ok"}
    assert set(frame["optimizer"]) == {"adam"} and set(frame["learning_rate"]) == {0.01} and set(frame["batch"]) == {32}
    assert run.last("train_accuracy").shape == (2,)
    alike = frame.groupby(["seed", "step"])[["test_accuracy", "log10_train_loss"]].nunique()
    assert (alike == 1).all().all()  # what the network has is the same for all its layers


def test_it_learns(run):
    frame = gl.frame(run).groupby("step", observed=True)[["train_accuracy", "log10_train_loss"]].mean()
    assert frame["train_accuracy"][40] > frame["train_accuracy"][0] + 0.4
    assert frame["log10_train_loss"][40] < frame["log10_train_loss"][0]


def test_the_first_record_is_what_measure_says_of_the_initial_weights(run, digits):
    trace = gl.measure(NET, *digits, seeds=2, columns=["weight_norm"])
    np.testing.assert_allclose(run.traces[0].columns["weight_norm"], trace.columns["weight_norm"], rtol=1e-6)


@pytest.mark.slow
def test_norms_of_gradient_clipped_gradient_and_update_belong_together(digits):
    sgd = gl.train(NET, *digits, optimizer="sgd", learning_rate=0.5, steps=3, batch=240, records=(0, 3), clip_norm=1e9,
                   progress=False)  # fmt: skip
    first = {name: values[0] for name, values in sgd.traces[0].columns.items()}
    # the minibatch is all there is to train on, and so is the measured batch
    np.testing.assert_allclose(first["log10_clipped_weight_grad_norm"], first["log10_weight_grad_norm"], atol=1e-5)
    np.testing.assert_allclose(
        first["log10_weight_update_norm"], first["log10_weight_grad_norm"] + np.log10(0.5), atol=1e-5
    )
    ratio = first["log10_weight_update_norm"] - np.log10(first["weight_norm"])
    np.testing.assert_allclose(first["log10_update_ratio"], ratio, atol=1e-5)


def test_clipping_makes_the_global_norm_what_was_asked(run):
    columns = run.traces[0].columns
    squares = sum(10 ** (2 * columns[f"log10_clipped_{kind}_grad_norm"]) for kind in ("weight", "bias"))
    np.testing.assert_allclose(np.sqrt(squares.sum(1)), 0.1, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "layers"),
    [
        (gl.RNN(cell="lstm", width=6), ["cell", "readout"]),
        (gl.Transformer(depth=2, width=8, heads=2), ["stem", "block_1", "block_2", "readout"]),
        (gl.ResNet(depth=2, width=6), ["stem", "block_1", "block_2", "readout"]),
    ],
    ids=["rnn", "transformer", "resnet"],
)  # fmt: skip
def test_layers_with_weights_have_update_ratios_and_time_steps_have_none(net, layers):
    data = load("digits" if net.ranks == (1,) else "digits_rows", batch=60)
    frame = gl.frame(gl.train(net, data.x, data.y, steps=2, batch=16, records=(0, 2), progress=False))
    has = frame[frame["log10_update_ratio"].notna()]
    assert has["layer_name"].unique().tolist() == layers
    assert np.isfinite(has["log10_update_ratio"]).all()
    assert np.isfinite(frame.loc[frame["layer"] > 0, "log10_delta_rms"]).all()


@pytest.mark.slow
def test_any_transformation_of_optax_trains(digits):
    own = gl.train(NET, *digits, optimizer=optax.sgd(0.1), steps=5, batch=32, records=2, progress=False)
    named = gl.train(NET, *digits, optimizer="sgd", learning_rate=0.1, steps=5, batch=32, records=2, progress=False)
    for a, b in zip(jax.tree.leaves(own.params[0]), jax.tree.leaves(named.params[0]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(x64):
    net = gl.MLP(depth=1, width=3, activation="tanh", init="xavier_normal")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 2)), np.arange(8) % 2
    params = net.init_params(0, x, y)
    flat, back = jax.flatten_util.ravel_pytree(params)
    value = lambda v: optax.softmax_cross_entropy_with_integer_labels(net.apply(back(v), x), y).mean()
    largest = np.linalg.eigvalsh(jax.hessian(value)(flat)).max()
    found = gl.sharpness(net, params, x, y, loss="softmax_cross_entropy")
    assert found == pytest.approx(largest, rel=2e-3)


def test_a_loss_that_is_not_finite_stops_and_is_explained(digits):
    net = gl.MLP(depth=4, width=16, activation="relu", init="he_normal")
    run = gl.train(net, *digits, learning_rate=50.0, steps=60, batch=32, records=3, columns=SIGNALS, progress=False)
    (failure,) = run.failures
    assert failure.direction == "forward" and 1 <= failure.layer <= 5
    assert failure.history["step"].max() == failure.step
    assert failure.history["layer"].nunique() == 1
    losses = run.losses[0]
    assert np.isfinite(losses[: failure.step]).all() and not np.isfinite(losses[failure.step])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run.params[0]))  # the last good ones
    frame = gl.frame(run)
    assert frame.loc[frame["step"] == failure.step, "status"].str.startswith("diverged at step").all()


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_is_traced_to_its_layer(digits):
    x, y = digits[0], np.arange(len(digits[0])) / 1.0

    def poison(updates, state, params=None):
        step = state + 1
        bad = jax.tree.map(lambda g: g, updates)
        first, run, head = bad
        hidden = {**run[0], "weight": run[0]["weight"].at[0].set(np.float32(np.nan))}
        bad = first, (hidden, *run[1:]), head
        return jax.lax.cond(step > 30, lambda: bad, lambda: updates), step

    made = optax.GradientTransformation(lambda params: jax.numpy.int32(0), poison)
    tx = optax.chain(made, optax.sgd(1e-6))
    run = gl.train(NET, x, y, optimizer=tx, loss="mse", steps=60, batch=32, records=3, columns=SIGNALS, progress=False)
    (failure,) = run.failures
    # update 30 poisons layer 2 (the first of the run of equal blocks); the loss of step 31 is the first to show it
    assert (failure.direction, failure.layer, failure.step) == ("update", 2, 31)
    assert failure.history["step"].tolist() == list(range(11, 31))


@pytest.mark.slow
def test_going_on_is_a_choice(digits):
    net = gl.MLP(depth=4, width=16, activation="relu", init="he_normal")
    run = gl.train(net, *digits, learning_rate=50.0, steps=30, batch=32, records=(0, 30), on_failure="continue",
                   progress=False)  # fmt: skip
    assert run.steps == (0, 30) and not run.failures
    assert run.traces[-1].status[0].startswith("overflow")


BAD = [
    (dict(optimizer="adan"), "'adam'"),
    (dict(learning_rate=-0.1), "learning_rate to be a positive number"),
    (dict(batch=500), "at most the 240 examples to train on"),
    (dict(lr=0.1), "learning_rate, momentum"),
    (dict(records=[99]), "records at steps from 0 to 10"),
    (dict(test=1.5), "share"),
    (dict(clip_norm=1, clip_value=1), "one way of clipping"),
    (dict(dropout=1.0), "below 1"),
    (dict(optimizer=3), "optax transformation"),
    (dict(batch="whole"), "a number of examples or 'all'"),
    (dict(optimizer=optax.sgd(0.1), learning_rate=1.0), "with its own learning_rate"),
    (dict(loss="probe"), "a loss with targets"),
    (dict(on_failure="hide"), "stop"),
    (dict(schedule="step"), "cosine"),
    (dict(seeds=[]), "seeds to be a count, or numbers"),
]


@pytest.mark.parametrize(("wrong", "said"), BAD, ids=[next(iter(w)) for w, _ in BAD])
def test_bad_input_is_told(wrong, said, digits):
    with pytest.raises(GradlabError, match=said):
        gl.train(NET, *digits, steps=10, progress=False, **wrong)


def test_records_are_logarithmic_and_hold_both_ends():
    steps = record_steps(20, 10_000)
    assert steps[0] == 0 and steps[1] == 1 and steps[-1] == 10_000 and len(steps) <= 20
    late = [b / a for a, b in itertools.pairwise(steps) if a > 20]
    assert max(late) / min(late) < 1.1
    assert record_steps(2, 5) == (0, 5) and record_steps([5, 0, 5], 5) == (0, 5)


KILLED = """
import sys
import gradlab as gl
from gradlab.data import load
from gradlab.training.optimizers import stable_below
data = load("digits", batch=300)
net = gl.MLP(depth=2, width=8, activation="tanh", init="xavier_normal")
run = gl.train(net, data.x, data.y, optimizer="adam", steps=int(sys.argv[2]), batch=32, records=8, dropout=0.1,
               checkpoint=sys.argv[1], progress=False)
import hashlib, jax, numpy as np
digest = hashlib.sha256(gl.frame(run).to_csv().encode())
for leaf in jax.tree.leaves(run.params):
    digest.update(np.asarray(leaf).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(tmp_path):
    command = lambda folder: [sys.executable, "-c", KILLED, str(folder), "6000"]
    env = {**os.environ, "JAX_NUMPY_DTYPE_PROMOTION": "standard"}  # optax's
    whole = subprocess.run(command(tmp_path / "whole"), capture_output=True, text=True, check=True, env=env).stdout
    kills = 0
    for _ in range(20):
        process = subprocess.Popen(command(tmp_path / "killed"), stdout=subprocess.PIPE, text=True, env=env)
        saved = len(list((tmp_path / "killed").glob("seed_0/[0-9]*"))) if kills else 0
        seen = {p.name for p in (tmp_path / "killed").glob("seed_0/[0-9]*")} if saved else set()
        while process.poll() is None:  # until one more checkpoint is there
            if {p.name for p in (tmp_path / "killed").glob("seed_0/[0-9]*")} - seen and kills < 3:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
        told = process.communicate()[0]
        if process.returncode == 0:
            break
    assert kills >= 2
    assert told == whole


@pytest.mark.slow
def test_a_checkpoint_of_another_training_is_refused_and_of_this_one_taken_up(digits, tmp_path):
    how = dict(steps=20, batch=32, records=3, checkpoint=tmp_path / "kept", progress=False)
    first = gl.train(NET, *digits, **how)
    again = gl.train(NET, *digits, **how)
    assert gl.frame(first).equals(gl.frame(again))
    with pytest.raises(GradlabError, match=r"network.*another folder"):
        gl.train(gl.MLP(depth=2, width=16), *digits, **how)
    with pytest.raises(GradlabError, match="steps 30"):
        gl.train(NET, *digits, **{**how, "steps": 30})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(GradlabError, match="with other files in it"):
        gl.train(NET, *digits, **{**how, "checkpoint": tmp_path / "other"})


@pytest.mark.slow
def test_a_failed_training_leaves_its_last_good_state(digits, tmp_path):
    net = gl.MLP(depth=4, width=16, activation="relu", init="he_normal")
    how = dict(learning_rate=50.0, steps=60, batch=32, records=3, columns=SIGNALS, checkpoint=tmp_path, progress=False)
    first, again = gl.train(net, *digits, **how), gl.train(net, *digits, **how)
    assert first.failures == again.failures
    for a, b in zip(jax.tree.leaves(first.params), jax.tree.leaves(again.params), strict=True):
        assert np.isfinite(a).all() and np.array_equal(a, b)


def test_double_precision_holds_in_every_thread_and_seeds_share_what_is_compiled(digits):
    compiled = []

    def heard(event, seconds, fun_name="", **_):
        if event.endswith("backend_compile_duration"):
            compiled.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(heard)
    try:
        net = gl.MLP(depth=2, width=5, activation="tanh", init="xavier_normal")
        run = gl.train(net, *digits, steps=2, batch=32, seeds=2, records=(0, 2), dtype="float64",
                       columns=("weight_norm",), progress=False)  # fmt: skip
    finally:
        jax.monitoring.unregister_event_duration_listener(heard)
    assert all(leaf.dtype == np.float64 for leaf in jax.tree.leaves(run.params))
    # once for both seeds, and not once more in another precision
    assert compiled.count("jit(gradient)") == compiled.count("jit(update)") == 1


def steps_of(optimizer, product, momentum=0.9, steps=60):
    """|w| after steps on w^2 / 2 with rate `product`: optax's own update, so that the bound is its."""
    other = {} if optimizer == "sgd" else {"momentum": momentum, "nesterov": optimizer == "nesterov"}
    rule = optax.sgd(product, **other)

    @jax.jit
    def run():
        w, state = np.float32(1), rule.init(np.float32(1))
        for_each = lambda _, s: (lambda u: (s[0] + u[0], u[1]))(rule.update(s[0], s[1]))
        return jax.lax.fori_loop(0, steps, for_each, (w, state))[0]

    return abs(float(run()))


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "nesterov"])
def test_steps_on_a_parabola_grow_above_the_bound_and_shrink_below(optimizer):
    bound = stable_below(TrainingConfig(NET, optimizer=optimizer))
    assert steps_of(optimizer, 0.97 * bound) < 0.5 and steps_of(optimizer, 1.03 * bound) > 10
    assert np.isnan(stable_below(TrainingConfig(NET, optimizer=optimizer, clip_norm=1.0)))


@pytest.mark.slow
def test_a_diverged_training_names_rate_times_sharpness(digits):
    net = gl.MLP(depth=4, width=16, activation="relu", init="he_normal")
    options = {
        "columns": (*SIGNALS, "sharpness"),
        "learning_rate": 50.0,
        "steps": 60,
        "batch": 32,
        "records": 3,
        "progress": False,
    }
    run = gl.train(net, *digits, sharpness=True, **options)
    (failure,) = run.failures
    assert "learning rate times sharpness was" in failure.status and failure.status.endswith("unstable above 2")
    product = float(failure.status.split("sharpness was ")[1].split(" at")[0])
    assert product == pytest.approx((50 * failure.history["sharpness"]).max(), rel=1e-2) and product > 2
    assert gl.frame(run)["status"].str.contains("times sharpness").any()
    (silent,) = gl.train(net, *digits, **options).failures
    assert "sharpness" not in silent.status
