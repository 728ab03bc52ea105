"""Laws of normalised and residual networks on gradlab's own layers and backward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.scaled import scaled, to_numpy
from gradlab.measurement.kept import Rows

WIDTH, DEPTH = 200, 14


def factors(block, kind, batch, seeds, depth=DEPTH, skipped=3):
    """Factor of the mean squared cotangent per block, toward the input: one row for each seed."""
    layer = gl.repeat(block, depth)
    read = lambda site: {"size": Rows.of(site.dy)} if site.kind == kind else {}

    @jax.jit
    def program(key):
        params, _ = layer.init(key, (WIDTH,))
        x, dy = jax.random.normal(jax.random.fold_in(key, 10**6), (2, batch, WIDTH))
        _, saved = layer.forward(params, scaled(x))
        return layer.backward(params, saved, scaled(dy), read)[1]

    is_rows = lambda v: isinstance(v, Rows)
    sizes = [jax.tree.leaves(to_numpy(program(jax.random.key(s))), is_leaf=is_rows)[0] for s in range(seeds)]
    logs = 2 * np.log(10) * np.array([rows.log10_rms() for rows in sizes])
    return np.exp(logs[:, skipped : depth - skipped - 1] - logs[:, skipped + 1 : depth - skipped])


def dense(init="he_normal"):
    return gl.dense(WIDTH, init, bias=False)


NORMS = {
    # norm, activation, examples, law, and what is left at a finite batch and width: 2/B + 10/n, or 5/n
    "batch norm, relu": (gl.batch_norm, "relu", 64, gl.theory.batch_norm_factor, 2 / 64 + 10 / WIDTH),
    "batch norm, tanh": (gl.batch_norm, "tanh", 64, gl.theory.batch_norm_factor, 2 / 64 + 10 / WIDTH),
    "layer norm, tanh": (gl.layer_norm, "tanh", 16, gl.theory.layer_norm_factor, 5 / WIDTH),
    "layer norm, gelu": (gl.layer_norm, "gelu", 16, gl.theory.layer_norm_factor, 5 / WIDTH),
    "rms norm, sigmoid": (gl.rms_norm, "sigmoid", 16, gl.theory.layer_norm_factor, 5 / WIDTH),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", NORMS)
def test_norms(case):
    norm, activation, batch, law, extra = NORMS[case]
    block = gl.serial(norm(gain=False), gl.activation(activation), dense("lecun_normal"))
    of_seed = factors(block, "dense", batch, 8).mean(1)
    error = np.std(of_seed, ddof=1) / 8**0.5
    assert abs(np.mean(of_seed) - law(activation)) < 4.5 * error + extra * law(activation)


@pytest.mark.slow
def test_batch_norm_of_linear_layers_at_a_batch_of_8():
    block = gl.serial(gl.batch_norm(gain=False, bias=False), dense("lecun_normal"))
    of_seed = factors(block, "dense", 8, 24).mean(1)
    error = np.std(of_seed, ddof=1) / 24**0.5
    assert abs(np.mean(of_seed) - gl.theory.batch_norm_factor("identity", 8)) < 4.5 * error + 2 / WIDTH


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, DEPTH**-0.5, 1 / DEPTH])
def test_residual_blocks_with_a_branch_of_two_layers(scale):
    """1 + a^2, exact at any width: E of the product over 13 blocks, from the arithmetic means over seeds."""
    branch = gl.serial(dense(), gl.activation("relu"), dense("lecun_normal"))
    found = factors(gl.residual(branch, scale), "residual", 8, 24, skipped=0)
    of_seed = np.prod(found, 1)
    error = np.std(of_seed, ddof=1) / 24**0.5
    law = gl.theory.residual_factor(scale) ** (DEPTH - 1)
    assert abs(np.mean(of_seed) - law) < 4.5 * error + 1e-4 * law


@pytest.mark.slow
def test_a_norm_before_the_branch():
    """x + LN -> W_1 -> relu -> W_2, from an input of mean square 1: factors 1 + 1/(2 K_l), 4.5 errors and 5/n."""
    branch = gl.serial(
        gl.layer_norm(gain=False, bias=False), dense("lecun_normal"), gl.activation("relu"), dense("lecun_normal")
    )
    found = factors(gl.residual(branch), "residual", 16, 12, skipped=0)
    law = gl.theory.pre_norm("relu", DEPTH).factor[1:]  # sites stand behind the blocks
    error = np.std(found, 0, ddof=1) / 12**0.5
    assert np.all(np.abs(found.mean(0) - law) < 4.5 * error + 5 / WIDTH)


def stream(net, x, seeds):
    """Mean square of the stream of a residual network: after the stem, then after each block; mean over seeds."""
    trace = gl.measure(net, x, loss="probe", seeds=seeds, columns=["log10_preactivation_rms"])
    return np.mean(10 ** (2 * trace.columns["log10_preactivation_rms"][:, : net.depth + 1]), 0)


@pytest.mark.slow
def test_what_batch_norm_does_to_the_stream():
    """De & Smith 2020: 1 + l with batch norm in the branch, which then has the share 1/(l+1); 2^l without.

    Slope and stream to 0.05 (over 6 networks, 30 of 256 units); the doubling to 0.1, where ln varies by 5/n per block.
    """
    x = np.random.default_rng(1).normal(size=(64, 128)).astype("float32")
    fields = {"width": 256, "activation": "relu", "init": "he_normal", "branch_layers": 1, "bias": False}
    found = stream(gl.ResNet(depth=30, norm="batch", **fields), x, 6)
    assert np.polyfit(np.arange(31), found, 1)[0] == pytest.approx(1, abs=0.05)
    law = gl.theory.pre_norm("relu", 30, sigma_1=2**0.5).variance
    assert law == pytest.approx(1 + np.arange(31), rel=1e-12)
    assert found == pytest.approx(law, rel=0.05)
    bare = stream(gl.ResNet(depth=8, **fields), x, 24)
    assert bare / bare[0] == pytest.approx(gl.theory.residual_factor(1.0) ** np.arange(9), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [2, 3])
def test_fixup(layers):
    """Zhang, Dauphin & Ma 2019: the network begins as the identity, and only last layers have a gradient.

    The sum of its squares over L blocks is the same for every L: within the 15 % of a mean over 8 draws.
    """
    sizes = []
    for blocks in (4, 64):
        net = gl.ResNet(
            depth=blocks, width=64, activation="relu", init="he_normal", branch_layers=layers, bias=False,
            gain=gl.theory.fixup_gain(blocks, layers),
        )  # fmt: skip
        x = np.random.default_rng(2).normal(size=(8, 64)).astype("float32")

        @jax.jit
        def program(key, net=net, x=x):
            stem, (own, branch), head = net.init_params(key, x, outputs=3)
            params = stem, (own, (*branch[:-1], jax.tree.map(jnp.zeros_like, branch[-1]))), head
            straight = x @ stem[0]["weight"] @ head[0]["weight"]
            grads = gl.backprop(net, params, x, jnp.arange(8) % 3)[1]
            return grads[1][1], net.apply(params, x), straight

        for seed in range(8):
            grads, logits, straight = program(jax.random.key(seed))
            np.testing.assert_allclose(logits, straight, atol=1e-5)
            assert all(not np.any(g) for g in jax.tree.leaves(grads[:-1]))
            sizes.append(np.sum(np.square(grads[-1]["weight"])))
    few, many = np.mean(np.reshape(sizes, (2, 8)), 1)
    assert many == pytest.approx(few, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "quieter"), [("sigmoid", 7), ("identity", 1e5)])
def test_orthogonal_weights_fluctuate_less(activation, quieter):
    """Deltas that vary 7 times less between draws than with Gaussian weights; in linear networks not at all.

    A ratio of two standard deviations over 60 seeds has an error of 13 %; 1e5 stands for rounding.
    """
    x = np.random.default_rng(3).normal(size=(1, 64)).astype("float32")
    spread = []
    for init in ("lecun_normal", "orthogonal"):
        net = gl.MLP(depth=11, width=64, activation=activation, init=init, bias=False)
        deltas = gl.measure(net, x, loss="probe", seeds=60, columns=["delta_log10_mean"]).columns["delta_log10_mean"]
        spread.append(np.std(deltas[:, 0] - deltas[:, 10], ddof=1))
    ratio = spread[0] / spread[1]
    assert ratio > quieter if activation == "identity" else ratio == pytest.approx(quieter, rel=0.4)
