"""Examples that are other measurements: counts of entries, singular values, cosines, and a model of another."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load


def histograms():
    """Activations and deltas of tanh layers, with weights of Glorot and Bengio's two kinds (2010)."""
    data = load("digits", batch=256)
    nets = [gl.MLP(depth=5, width=128, activation="tanh", init=i) for i in ("standard_uniform", "xavier_normal")]
    return pd.concat([gl.frame(gl.histograms(net, data.x, data.y, seeds=2)) for net in nets], ignore_index=True)


def sizes():
    """Sizes of single entries of signal, delta and weight gradients, which leave float16 in a sigmoid network."""
    data = load("digits", batch=256)
    net = gl.MLP(depth=12, width=64, activation="sigmoid", init="xavier_normal")
    return gl.frame(gl.histograms(net, data.x, data.y, seeds=2, log10=True))


def sizes_in_training():
    """Sizes of gradient entries at five steps of a training."""
    data = load("digits", batch=256)
    net = gl.MLP(depth=4, width=32, activation="sigmoid", init="xavier_normal")
    parts, params = [], net.init_params(0, data.x, data.y)
    for step in (0, 30, 100, 300, 1000):
        if step:
            trained = gl.train(net, data.x, data.y, optimizer="adam", steps=step, batch=64, seeds=1, progress=False)
            params = trained.params[0]
        record = gl.histograms(net, data.x, data.y, params=params, log10=True)
        rows = gl.frame(record)
        parts.append(rows[rows["signal"] == "log10_weight_grad"].assign(step=step))
    return pd.concat(parts, ignore_index=True)


def singular_values():
    """Singular values of the Jacobian of orthogonal tanh, Gaussian tanh and Gaussian ReLU networks."""
    x, parts = np.random.default_rng(0).normal(size=(1, 100)), []
    for activation, init in (("tanh", "orthogonal"), ("tanh", "lecun_normal"), ("relu", "he_normal")):
        net = gl.MLP(depth=20, width=100, activation=activation, init=init)
        record = gl.jacobian_spectrum(net, x, from_layer=1, to_layer=20, seeds=8)
        parts.append(gl.frame(record))
    return pd.concat(parts, ignore_index=True)


def circle():
    """The length of a circle of inputs, layer by layer, in three tanh networks."""
    nets = [
        gl.MLP(depth=12, width=200, activation="tanh", init="gaussian", sigma_w2=w, sigma_b2=0.05)
        for w in (1.0, 1.76, 4.0)
    ]
    return pd.concat([gl.frame(gl.carry_circle(net, seeds=3)) for net in nets], ignore_index=True)


def shattering():
    """Cosines of two inputs' gradients in a plain ReLU network and in one with skips."""
    x, parts = np.random.default_rng(0).normal(size=(32, 100)).astype("float32"), []
    for name, skip in (("plain", False), ("with skip", True)):
        block = gl.serial(gl.activation("relu"), gl.dense(100, "he_normal", bias=False))
        body = gl.repeat(gl.residual(block) if skip else block, 12)
        layer = gl.serial(gl.dense(100, "lecun_normal", bias=False), body, gl.dense(1, "lecun_normal", bias=False))
        rows = gl.frame(gl.shattering(layer, x, seeds=8, bins=1))
        parts.append(rows[rows["from_loss"] >= 1].assign(network=name))
    return pd.concat(parts, ignore_index=True)


def input_gradients():
    """Gradients of a shallow and of a deep centred ReLU network along a line of inputs, and white noise."""
    x = np.linspace(-2, 2, 256, dtype="float32")

    def centred(_, z):
        return z - jnp.mean(z, 0), ()

    centre = gl.lift(lambda key, shape: ({}, shape), centred, lambda p, s, dy: (dy, {}), "centre")
    parts = {}
    for layers in (2, 24):
        block = gl.serial(centre, gl.activation("relu"), gl.dense(200, "he_normal", bias=False))
        end = gl.serial(centre, gl.activation("relu"), gl.dense(1, "lecun_normal", bias=False))
        layer = gl.serial(gl.dense(200, "lecun_normal", bias=False), gl.repeat(block, layers - 1), end)
        parts[f"{layers} layers"] = gl.shattering(layer, x[:, None], seeds=1, bins=1).gradient[0, :, 0]
    parts["white noise"] = np.random.default_rng(1).normal(size=len(x))
    rows = [pd.DataFrame({"network": name, "x": x, "gradient": values}) for name, values in parts.items()]
    return pd.concat(rows, ignore_index=True)


def norms():
    """ln of the squared norm of a gradient over 300 seeds, in ReLU networks of three widths."""
    x, parts = np.random.default_rng(0).normal(size=(1, 64)).astype("float32"), []
    for width in (16, 64, 256):
        net = gl.MLP(depth=10, width=width, activation="relu", init="he_normal", bias=False)
        trace = gl.measure(net, x, loss="probe", seeds=300, columns=["delta_log10_mean", "zero_example_fraction"])
        values = 2 * np.log(10) * trace.columns["delta_log10_mean"][:, 0] + np.log(width)
        values = np.where(trace.columns["zero_example_fraction"][:, 0] > 0, -np.inf, values)
        own = {"network": f"width {width}", "width": width, "inverse_width_sum": 10 / width}
        parts.append(pd.DataFrame({**own, "seed": trace.seeds, "ln_norm2": values.astype("float32")}))
    return pd.concat(parts, ignore_index=True)


def autodiff():
    """Weight-gradient norms of 100 sigmoid layers, by gradlab and by `jax.grad`: the README's first picture."""
    table = pd.read_csv(Path(__file__).parents[2] / "reports" / "readme" / "autodiff.csv")
    return table


def model():
    """Gradients of a small convolutional model of flax-like names, some of which are zero."""
    keys = jax.random.split(jax.random.key(0), 6)
    scales = {"embed": 1e-7, "block_1": 1e-5, "block_2": 1e-3, "block_3": 1e-2, "head": 1.0}
    grads = {n: {"kernel": s * jax.random.normal(k, (16, 16))} for (n, s), k in zip(scales.items(), keys, strict=False)}
    return gl.frame(gl.observe(grads, order=list(grads)))
