"""What columns mean where a careful reader could take them for something else: under norms, and of blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._types import MEASURED
from gradlab.core.keys import as_key, fold_in
from gradlab.core.losses import plain_loss
from gradlab.core.scaled import scaled, to_numpy
from gradlab.measurement.attention import token_pairs
from gradlab.measurement.stats import NETWORK, OF_SEQUENCES

X = np.random.default_rng(0).normal(size=(16, 8))
Y = np.arange(16) % 3
ACTIVATION = {"depth": 2, "width": 8, "activation": "tanh", "init": "he_normal"}


def rows(net, x64, **options):
    params = net.init_params(1, jnp.asarray(X), outputs=3)
    frame = gl.frame(gl.measure(net, X, Y, params=params, dtype="float64", **options))
    return frame.set_index("layer"), [p for _, p in net.layers(params)]


def one_minus_c(z):
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return np.mean(1 - np.sum(unit[::2] * unit[1::2], 1))


@pytest.mark.parametrize("position", ["before", pytest.param("after", marks=pytest.mark.slow)])
def test_under_a_norm_the_preactivation_is_what_enters_the_activation(position, x64):
    net = gl.MLP(norm="layer", norm_position=position, **ACTIVATION)
    frame, layers = rows(net, x64)
    z = X @ layers[0]["weight"] + layers[0]["bias"]
    if position == "before":
        z = (z - z.mean(1, keepdims=True)) / np.sqrt(z.var(1, keepdims=True) + 1e-5)
    z = np.asarray(z)
    assert frame["log10_preactivation_rms"][1] == pytest.approx(np.log10(np.sqrt(np.mean(z**2))), abs=1e-6)
    assert frame["log10_one_minus_c"][1] == pytest.approx(np.log10(one_minus_c(z)), abs=1e-6)
    for name in ("log10_preactivation_rms", "log10_bias_grad_norm", "gradient_cosine_mean", "activation_p98_over_rms"):
        assert ";" in MEASURED[name] or ":" in MEASURED[name]


@pytest.mark.slow
def test_a_bias_before_a_batch_norm_has_no_gradient_but_rounding(x64):
    frame, _ = rows(gl.MLP(norm="batch", **ACTIVATION), x64)
    beside = frame["log10_bias_grad_norm"] - frame["log10_weight_grad_norm"]
    # float64: a sum of 16 x 8 terms, each rounded
    assert np.all(beside[:2] < -14) and beside[3] > -3


@pytest.mark.slow
def test_rows_of_a_residual_network_that_are_nan_by_default(x64):
    """Blocks of two ReLU layers: no limit to saturate at, and no cosine of two weights together."""
    frame, _ = rows(gl.ResNet(depth=2, width=8, activation="relu", init="he_normal"), x64)
    numbers = frame[[c for c in MEASURED if c in frame]]
    assert {c: numbers.index[numbers[c].isna()].tolist() for c in numbers if numbers[c].isna().any()} == {
        "saturated_fraction": [0, 1, 2, 3], "gradient_cosine_mean": [1, 2],
    }  # fmt: skip


def test_the_percentile_lies_between_two_entries_by_their_distance(x64):
    frame, layers = rows(gl.MLP(**ACTIVATION), x64, columns=["activation_p98_over_rms"])
    a = np.tanh(X @ layers[0]["weight"] + layers[0]["bias"])
    want = np.quantile(a, 0.98, method="linear") / np.sqrt(np.mean(a**2))
    assert frame["activation_p98_over_rms"][1] == pytest.approx(want, rel=1e-12)


def positions_alike(stream):
    """The mean of 1 - cosine over pairs of positions and over examples, pair by pair."""
    unit = stream / np.linalg.norm(stream, axis=-1, keepdims=True)
    first, second = np.triu_indices(stream.shape[1], 1)
    return np.mean(1 - np.sum(unit[:, first] * unit[:, second], -1))


def block(params, x, causal):
    """One block without a norm, of 2 heads: the stream behind it, scores, and weights of attention."""
    (_, (attend,)), (_, (forward,)) = params
    split = lambda v: np.swapaxes(v.reshape(*v.shape[:2], 2, -1), 1, 2)
    affine = lambda p, x: x @ p["weight"] + p.get("bias", 0)
    q, k, v = (split(np.asarray(affine(attend[name], x))) for name in ("query", "key", "value"))
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    scores = np.where(np.tri(x.shape[1]) > 0, scores, -np.inf) if causal else scores
    share = np.exp(scores) / np.sum(np.exp(scores), -1, keepdims=True)
    x = x + affine(attend["output"], np.swapaxes(share @ v, 1, 2).reshape(x.shape))
    return x + affine(forward[2], np.tanh(affine(forward[0], x))), scores, share


@pytest.mark.parametrize("causal", [pytest.param(False, marks=pytest.mark.slow), True])
def test_columns_of_a_transformer_are_those_of_its_scores_and_of_its_weights_one_by_one(causal, x64):
    net = gl.Transformer(depth=1, width=4, heads=2, norm=None, activation="tanh", causal=causal, gain=2.0)
    x, y = np.random.default_rng(1).normal(size=(3, 5, 2)), np.arange(3)
    params = net.init_params(4, x, y)
    trace = gl.measure(net, x, y, params=params, columns=OF_SEQUENCES)
    assert {*trace.columns} - {*NETWORK} == {*OF_SEQUENCES}
    of_block = {name: values[0, 1] for name, values in trace.columns.items()}
    (stem, *_), run, _ = params
    angle = np.arange(5)[:, None] * 10000.0 ** (-2 * (np.arange(4) // 2) / 4)
    stream = x @ stem["weight"] + stem["bias"] + np.where(np.arange(4) % 2, np.cos(angle), np.sin(angle))
    assert trace.columns["log10_one_minus_token_c"][0, 0] == pytest.approx(np.log10(positions_alike(stream)), abs=1e-12)
    behind, scores, share = block(jax.tree.map(lambda v: v[0], run), np.asarray(stream), causal)
    assert of_block["log10_one_minus_token_c"] == pytest.approx(np.log10(positions_alike(behind)), abs=1e-12)
    assert of_block["attention_logit_max"] == pytest.approx(scores.max(), rel=1e-12)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1)), -1)
    assert of_block["attention_entropy"] == pytest.approx(entropy.mean(), rel=1e-12)
    grads = jax.jit(jax.grad(lambda p: plain_loss("softmax_cross_entropy")(net.apply(p, x), y)))(params)
    (_, (attend,)), _ = grads[1]
    for name in ("query", "key", "value"):
        norm = np.log10(np.linalg.norm(attend[name]["weight"]))
        assert of_block[f"log10_{name}_grad_norm"] == pytest.approx(norm, abs=1e-11), name


def test_positions_that_differ_by_little_are_told_to_the_last_digit_and_equal_ones_not_at_all():
    """1 - c of two positions at right angles plus a common vector of length 1 / e is e^2 / (1 + e^2)."""
    x = np.zeros((1, 2, 3), "float32")
    x[..., 2] = 1
    for e in (1.0, 1e-3):
        x[0, 0, 0] = x[0, 1, 1] = e
        pairs = to_numpy(token_pairs(scaled(jnp.asarray(x), 2)))
        assert pairs.log10_mean() == pytest.approx(np.log10(e**2 / (1 + e**2)), abs=1e-4)
    x[0, 0, 0] = x[0, 1, 1] = 1e-6  # ten roundings of float32
    assert np.isnan(to_numpy(token_pairs(scaled(jnp.asarray(x), 2))).log10_mean())
    x[0, 1] = 0  # a position that is exactly 0 has no correlation, and here no other position is left
    assert not to_numpy(token_pairs(scaled(jnp.asarray(x), 2))).alive.any()


@pytest.mark.slow
def test_shares_of_a_block_are_of_all_its_weights_together(x64):
    """Gradients of the two weights of a block differ in size: a mean of two shares would be another number."""
    net = gl.ResNet(depth=2, width=8, activation="tanh", init="xavier_normal", branch_layers=2, branch_scale=1e-6)
    x = jnp.asarray(X)
    params = net.init_params(1, x, outputs=3)
    tiny = {"weight": np.asarray(dict(net.layers(params))["run/1/2"]["weight"]) * 2.0**-12}
    params = net.with_layers(params, {"run/1/2": tiny})
    _, grads = gl.backprop(net, params, x, jnp.asarray(Y))
    entries = [np.abs(np.asarray(g["weight"])).ravel() for name, g in net.layers(grads) if name.startswith("run/1/")]
    name = "weight_grad_below_float16"
    share = gl.measure(net, X, Y, params=params, dtype="float64", columns=[name]).columns[name][0, 1]
    shares = [np.mean(e < 2.0**-24) for e in entries]
    assert shares[0] != shares[1] and share == np.mean(np.concatenate(entries) < 2.0**-24)


@pytest.mark.slow
def test_the_sharpness_is_of_the_measured_batch_and_its_threshold_of_the_learning_rate():
    net, columns = gl.MLP(**ACTIVATION), ("sharpness", "sharpness_threshold", "hessian_products")
    how = {"learning_rate": 0.25, "steps": 1, "test": 0.0, "records": (0,), "sharpness": True, "columns": columns}
    frames = {batch: gl.frame(gl.train(net, X, Y, batch=batch, progress=False, **how)) for batch in (8, "all")}
    for batch, frame in frames.items():
        assert all(frame[name].nunique() == 1 for name in columns)  # the network has them, not a layer
        assert set(frame["sharpness_threshold"]) == {8.0} and set(frame["batch"]) == {8 if batch == 8 else 16}
    whole = gl.sharpness(net, net.init_params(fold_in(as_key(0), 0), X, Y), X, Y)
    assert frames["all"]["sharpness"][0] == pytest.approx(whole, rel=1e-3)
    assert frames[8]["sharpness"][0] != pytest.approx(whole, rel=1e-2)
