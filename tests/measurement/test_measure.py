"""Every measured column beside its definition, written out in plain float64; and far outside the range of a float."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab._types import MEASURED
from gradlab.core.losses import plain_loss
from gradlab.data import load
from gradlab.measurement.stats import ON_REQUEST, TRAINING

BATCH, FEATURES, OUTPUTS, DEPTH, WIDTH = 12, 6, 4, 4, 10


def signals(net, params, x, y):
    """Preactivations, activations, and gradients of each example's own loss by each preactivation, by autodiff."""
    phi = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}[net.activation]
    layers = net.layers(params)

    def passed(zeros):
        a, zs, activations = jnp.asarray(x), [], []
        for (name, p), zero in zip(layers, zeros, strict=True):
            z = a @ p["weight"] + p.get("bias", 0) + zero
            a = z if name == "readout" else phi(z)
            zs.append(z)
            activations.append(a)
        return a, (zs, activations)

    def mean(zeros):
        logits, seen = passed(zeros)
        return plain_loss("softmax_cross_entropy")(logits, y), seen

    zeros = [jnp.zeros((len(x), p["weight"].shape[1])) for _, p in layers]
    (loss, seen), deltas = jax.tree.map(np.asarray, jax.jit(jax.value_and_grad(mean, has_aux=True))(zeros))
    return *seen, [len(x) * d for d in deltas], float(loss)


def definitions(net, params, x, y):
    """The columns by their definitions, from whole gradients of single examples."""
    zs, activations, deltas, loss = signals(net, params, x, y)
    rms = lambda v: np.sqrt(np.mean(v**2))
    off = np.triu_indices(len(x), 1)
    rows = []
    inputs = [np.asarray(x), *activations]
    for (name, p), a, z, out, d in zip(net.layers(params), inputs[:-1], zs, activations, deltas, strict=True):
        own = np.einsum("in,im->inm", a, d)  # the gradient of each example's own loss
        size = np.sqrt(np.sum(own**2, (1, 2)))
        cosine = np.einsum("inm,jnm->ij", own, own) / np.outer(size, size)
        mean = own.mean(0)
        spread = np.sum((own - mean) ** 2) / (len(x) - 1)
        limits = {"tanh": (-1, 1), "sigmoid": (0, 1)}.get(net.activation)
        saturated = np.nan
        if limits and name != "readout":
            margin = 0.01 * (limits[1] - limits[0])
            saturated = np.mean((out < limits[0] + margin) | (out > limits[1] - margin))
        off_units = np.mean(np.all(z <= 0, 0)) if net.activation == "relu" and name != "readout" else 0.0
        rows.append(
            {
                "log10_delta_rms": np.log10(rms(d)),
                "delta_log10_mean": np.mean(np.log10(np.sqrt(np.mean(d**2, 1)))),
                "log10_weight_grad_norm": np.log10(np.linalg.norm(mean)),
                "log10_bias_grad_norm": np.log10(np.linalg.norm(d.mean(0))),
                "log10_activation_rms": np.log10(rms(out)),
                "activation_mean_over_rms": np.mean(out) / rms(out),
                "log10_preactivation_rms": np.log10(rms(z)),
                "saturated_fraction": saturated,
                "dead_fraction": off_units,
                "weight_norm": np.linalg.norm(p["weight"]),
                "float32_zero_fraction": 0.0,
                "log10_per_example_grad_norm_rms": np.log10(rms(size)),
                "gradient_cosine_mean": np.mean(cosine[off]),
                "gradient_snr": len(x) * np.sum(mean**2) / spread,
                "zero_example_fraction": 0.0,
                "log10_abs_loss": np.log10(abs(loss)),
                "loss_sign": np.sign(loss),
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    return rng.normal(size=(BATCH, FEATURES)), np.arange(BATCH) % OUTPUTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "width", "options"),
    [
        pytest.param("tanh", WIDTH, {}, marks=pytest.mark.slow),
        ("relu", (7, 7, 9, 5), {"sigma_b2": 0.1}),
        pytest.param("sigmoid", WIDTH, {"gain": 6.0}, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_every_column_is_what_it_is_defined_to_be(activation, width, options, data, x64):
    net = gl.MLP(depth=DEPTH, width=width, activation=activation, init="xavier_normal", **options)
    x, y = data
    trace = gl.measure(net, x, y, key=5, seeds=2, dtype="float64")
    assert set(trace.columns) == set(MEASURED) - set(TRAINING) - set(ON_REQUEST)
    for seed in range(2):
        params = net.init_params(jax.random.fold_in(jax.random.key(5), seed), x, y)
        for name, expected in definitions(net, params, x, y).items():
            found = trace.columns[name][seed]
            assert np.allclose(found, expected, rtol=1e-11, atol=1e-11, equal_nan=True), (name, found, expected)


@pytest.mark.slow
def test_given_weights_are_measured_without_an_interval(data, x64):
    net = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh")
    x, y = data
    params = net.init_params(jax.random.fold_in(jax.random.key(0), 3), x, y)
    given, drawn = gl.measure(net, x, y, params=params), gl.measure(net, x, y, seeds=[3], dtype="float64")
    for name in drawn.columns:
        assert np.allclose(given.columns[name], drawn.columns[name], rtol=1e-12, atol=1e-12, equal_nan=True), name
    assert np.isnan(given.rate.low)
    assert "given" in str(given.rate)


@pytest.mark.slow
def test_a_part_of_the_columns_has_the_values_of_all(data):
    net = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh")
    x, y = data
    whole = gl.measure(net, x, y, seeds=2)
    for columns in (["log10_activation_rms"], ["gradient_snr", "log10_weight_grad_norm"]):
        part = gl.measure(net, x, y, seeds=2, columns=columns)
        assert set(part.columns) == {*columns, *(c for c in part.columns if c in ("log10_abs_loss", "loss_sign"))}
        for name in columns:
            assert np.allclose(part.columns[name], whole.columns[name], rtol=1e-5, atol=1e-5)


@pytest.mark.skipif("os.environ.get('GRADLAB_TEST_X64') == '1'", reason="32 bit")
def test_the_program_holds_no_double_where_x64_is_off(data):
    """Exponents are integers and mantissas float32; float64 joins them on the host."""
    from gradlab.core.activations import TABLE
    from gradlab.measurement.shared import measure_program

    net = gl.MLP(depth=DEPTH, width=WIDTH, activation="tanh")
    x, y = jnp.asarray(data[0], "float32"), jnp.asarray(data[1])
    columns = tuple(c for c in MEASURED if c not in TRAINING)
    program = measure_program(WIDTH, DEPTH, OUTPUTS, ((TABLE["tanh"], 1),), True, "softmax_cross_entropy", columns, 1)
    text = str(jax.make_jaxpr(program)(net.init_params(0, x, y), x, y, jnp.asarray([DEPTH], jnp.int32)))
    assert "f32" in text
    assert "f64" not in text


def in_both(net, x, y, loss=None):
    """Columns in float32, and in float64 from the same weights."""
    params = net.init_params(jax.random.fold_in(jax.random.key(0), 0), jnp.asarray(x, "float32"), y)
    narrow = gl.measure(net, x, y, params=params, loss=loss, dtype="float32")
    return narrow, gl.measure(net, x, y, params=params, loss=loss, dtype="float64")


@pytest.mark.slow
@pytest.mark.skipif("os.environ.get('GRADLAB_TEST_X64') == '1'", reason="32 bit")
@pytest.mark.parametrize(
    ("net", "first"),
    [
        (gl.MLP(depth=1000, width=128, activation="sigmoid", init="xavier_normal"), -630),
        pytest.param(gl.MLP(depth=1000, width=128, activation="relu", gain=4.0), 600, marks=pytest.mark.slow),
    ],
    ids=["vanishing", "exploding"],
)  # fmt: skip
def test_a_thousand_layers_in_float32(net, first):
    """float32 holds 1e-38 to 3e38. The backward pass is exact: what differs is the forward pass's rounding.

    In ReLU nets a unit whose preactivation is within rounding of 0 may be on in one precision and off in the
    other: of 64 x 128 about 1e-4, each worth 1/128 of an example's square at its layer; 1000 layers drift by
    sqrt(1000 * 1e-4 / 128) = 0.03 at most in the logarithm to base e of the square, 0.01 in log10.
    """
    data = load("digits", batch=64)
    narrow, wide = in_both(net, data.x, data.y)
    a, b = narrow.columns["log10_delta_rms"][0], wide.columns["log10_delta_rms"][0]
    assert a[0] == pytest.approx(first, abs=35)
    assert abs(a[0] - b[0]) <= (1e-3 if net.activation == "sigmoid" else 0.03)
    for name, values in narrow.columns.items():
        hidden = values[0][:-1]
        if name == "saturated_fraction" and net.activation == "relu":
            assert np.all(np.isnan(hidden))  # it has no limits
            continue
        assert np.all(np.isfinite(hidden)), name
        if not name.endswith("fraction") and name not in ("gradient_cosine_mean", "activation_mean_over_rms"):
            assert np.all(hidden != 0), name
    assert narrow.status == ("ok",)


@pytest.mark.slow
@pytest.mark.skipif("os.environ.get('GRADLAB_TEST_X64') == '1'", reason="32 bit")
def test_one_minus_c_far_below_the_rounding_of_c():
    """tanh in its ordered phase: 1 - c falls by a factor a layer, to far below float32's 6e-8."""
    data = load("gaussian", batch=32, c0=0.5)
    net = gl.MLP(depth=220, width=128, activation="tanh", init="gaussian", sigma_w2=1.4, sigma_b2=0.05)
    narrow, wide = in_both(net, data.x, data.y)
    a, b = (t.columns["log10_one_minus_c"][0][:220] for t in (narrow, wide))
    assert b.min() < np.log10(4e-9)
    assert np.max(np.abs(10 ** (a - b) - 1)) <= 0.01


#: The verdicts that practice agrees on: He keeps a ReLU net steady, Xavier halves its signal, and so on.
VERDICTS = (
    ({"depth": 50, "width": 64, "activation": "relu"}, "steady"),
    ({"depth": 50, "width": 128, "activation": "relu"}, "steady"),
    ({"depth": 20, "activation": "relu", "init": "xavier_normal"}, "vanishing"),
    ({"depth": 5, "activation": "sigmoid", "init": "xavier_normal"}, "vanishing"),
    ({"depth": 10, "activation": "relu", "gain": 1.5}, "exploding"),
    ({"depth": 50, "activation": "tanh", "init": "gaussian", "sigma_w2": 4.0}, "exploding"),
    ({"depth": 3, "activation": "relu", "gain": 1.5}, "steady"),
    ({"depth": 1000, "activation": "tanh", "init": "xavier_normal"}, "algebraic"),
)


@pytest.mark.parametrize(
    ("fields", "verdict", "seeds"),
    [
        pytest.param(
            fields, verdict, seeds,
            marks=[] if seeds == 10 and fields["depth"] < 20 else [pytest.mark.slow, pytest.mark.timeout(1200)],
        )
        for (fields, verdict), seeds in itertools.product(VERDICTS, (10, 1000))
    ],
)  # fmt: skip
def test_verdicts(fields, verdict, seeds):
    """With ten seeds and with a thousand: more of them must not make a healthy network sick."""
    data = load("digits", batch=128)
    trace = gl.measure(gl.MLP(**fields), data.x, data.y, seeds=seeds, columns=["log10_delta_rms"])
    assert trace.verdict.name == verdict, trace.verdict.sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.ones((3, 2, 2))}, "batch, features"),
        ({"x": np.array([[1.0, np.nan], [0, 0], [0, 0]])}, "finite"),
        ({"y": np.zeros(2, int)}, "one target for each"),
        ({"y": None}, "targets y"),
        ({"columns": ["log10_delta_rsm"]}, "log10_delta_rms"),
        ({"seeds": 0}, "seeds to be an integer of at least 1"),
        ({"loss": "hinge"}, "loss"),
        ({"params": True}, "for these data"),
    ],
)
def test_bad_input_is_told(change, words):
    net = gl.MLP(depth=2, width=3)
    arguments = {"x": np.ones((3, 2)), "y": np.zeros(3, int), **change}
    if change.get("params"):
        arguments["params"] = net.init_params(0, np.ones((3, 5)), arguments["y"])
    with pytest.raises(GradlabError, match=words):
        gl.measure(net, arguments.pop("x"), arguments.pop("y"), **arguments)


@pytest.mark.parametrize("net", [gl.MLP(depth=5, width=8), gl.ResNet(depth=5, width=8), gl.RNN(width=8)], ids=type)
def test_rows_are_those_of_the_layers_whatever_is_measured(net):
    # a run of equal layers, or of time steps, of which no column is kept
    x = np.random.default_rng(0).normal(size=(4, 6, 3) if isinstance(net, gl.RNN) else (4, 3))
    rows = lambda **o: gl.frame(gl.measure(net, x, np.arange(4) % 3, seeds=1, **o))[["layer", "layer_name"]]
    pd.testing.assert_frame_equal(rows(columns=()), rows(columns=("log10_delta_rms",)))
