"""What autodiff prints: the weight gradients of a 100-layer sigmoid network, by gradlab and by `jax.grad`.

python experiments/autodiff.py              (ten seconds; writes reports/readme)
python experiments/autodiff.py --quick --out scratch/autodiff
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.autodiff import draw  # noqa: E402

CLOSE, DEEPER = 1e-3, 520
OURS, USUAL, SCALED, DOUBLE = (
    "gradlab, float32",
    "jax.grad, float32",
    "jax.grad, float32, scaled norm",
    "jax.grad, float64",
)
CLAIM = f"""Computed in float32, gradlab's weight-gradient norms agree with `jax.grad` in float64 on the same weights
to {CLOSE:g} in log10 in every layer, where `jax.grad` in float32 shows 0: with the usual norm in more layers than with
a scaled one, and with both in the layers next to the input."""
TEXT = """The largest difference between gradlab and `jax.grad` in float64 is {error:.1g} in log10. Gradients are ∂L/∂W
of the mean loss; the norm is Frobenius's. *The usual norm* is the root of the sum of squares, as `optax.global_norm`
and `jnp.linalg.norm` compute it. It is 0 as soon as the squares are too small for the format, while the gradient itself
is still there. *The scaled norm* divides by the largest entry first. It is right until the gradient itself is too
small.

float64 only moves the edge: the same network with {deeper} layers shows 0 from depth {double_usual} by the usual norm,
and from {double} by the scaled one. gradlab carries an integer exponent beside each cotangent and computes the norm
from the factors of the gradient. So it has no edge."""
CAPTIONS = {
    "autodiff": Caption(
        """In float32 `jax.grad` shows exact zeros in {lost_usual} of {depth} layers by the usual norm and in
        {lost_scaled} by a scaled one; gradlab in float32 shows what float64 shows, in every layer.""",
        {},
        """Frobenius norm of each hidden layer's weight gradient. Crosses: the last number before a method dies on its
        way from the loss; triangles on the floor: exact zeros. Dashed: the smallest normal numbers of float16 and
        float32; dotted: where the squares of a norm leave float32. One network, n = 1 seed, so there is no band.""",
        """Sigmoid network of {depth} hidden layers, width {width}, {init} weights, on a batch of {batch} {data}; the
        loss is in nats.""",
    )
}
FIXED = ((f"agreement to {CLOSE:g} in log10", "before this run: the first version of the script had it"),)
SAID = Words("What autodiff prints", CLAIM, TEXT, CAPTIONS, FIXED, case="one of the three sentences of the claim")


def usual_norm(gradient):
    """The root of the sum of squares, in the gradient's own dtype."""
    return float(jnp.sqrt(jnp.sum(jnp.square(gradient))))


def scaled_norm(gradient):
    """The same after division by the largest entry."""
    largest = float(jnp.max(jnp.abs(gradient)))
    return largest * usual_norm(gradient / largest) if largest > 0 else 0.0


def autodiff_gradients(net, params, x, y):
    """∂L/∂W of each hidden layer by jax.grad, in the dtype of `params`."""

    def loss(params):
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(net.apply(params, x)), y[:, None], 1))

    return [layer["weight"] for name, layer in net.layers(jax.jit(jax.grad(loss))(params)) if name != "readout"]


def measure(quick):
    """The network, what it saw, and log10 of its norms: a column for each way to compute them."""
    net = gl.MLP(depth=70 if quick else 100, width=32 if quick else 128, activation="sigmoid", init="xavier_normal")
    data = load("digits", batch=32 if quick else 128)
    x, y = data.x, data.y
    params = net.init_params(jax.random.key(0), x, y)
    norms = {}
    single = autodiff_gradients(net, params, x, y)
    norms[USUAL] = [usual_norm(g) for g in single]
    norms[SCALED] = [scaled_norm(g) for g in single]
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), params)
        norms[DOUBLE] = [scaled_norm(g) for g in autodiff_gradients(net, wide, x.astype("float64"), y)]
    with np.errstate(divide="ignore"):  # a true zero is -inf
        columns = {name: np.log10(np.asarray(values, dtype=np.float64)) for name, values in norms.items()}
    ours = gl.measure(net, x, y, params=params, columns=["log10_weight_grad_norm"])
    columns = {OURS: ours.columns["log10_weight_grad_norm"][0, : net.depth], **columns}
    return net, data, pd.DataFrame(columns, index=pd.RangeIndex(1, net.depth + 1, name="layer"))


def edges(quick):
    """From which depth `jax.grad` in float64 shows 0, by the scaled norm and by the usual one, in a deeper network."""
    depth, width = (100, 32) if quick else (DEEPER, 128)
    net = gl.MLP(depth=depth, width=width, activation="sigmoid", init="xavier_normal")
    data = load("digits", batch=32 if quick else 128)
    params = net.init_params(jax.random.key(0), data.x, data.y)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), params)
        gradients = autodiff_gradients(net, wide, data.x.astype("float64"), data.y)
        lost = [[i for i, g in enumerate(gradients) if norm(g) == 0] for norm in (scaled_norm, usual_norm)]
    return {
        "deeper": depth,
        **{n: depth - max(i, default=-1) for n, i in zip(("double", "double_usual"), lost, strict=True)},
    }


def losses(table):
    """The layers that each way to compute loses."""
    return {name: table.index[~np.isfinite(table[name])].tolist() for name in table}


def judge(table):
    """The finding on the claim, and the largest distance from float64."""
    lost = losses(table)
    error = (table[OURS] - table[DOUBLE]).abs().max()
    answers = {
        "agreement with float64 in every layer": bool(error <= CLOSE),
        "0 by the usual norm in more layers than by the scaled one": len(lost[USUAL]) > len(lost[SCALED]),
        "0 by both next to the input": 1 in lost[USUAL] and 1 in lost[SCALED],
    }
    return Finding.of(answers), error


def shown(tables):
    """The table of the page: each way to compute, what it says of three layers, and what it loses."""
    tidy = tables["autodiff"]
    table = tidy.pivot(index="layer", columns="method", values="log10_weight_grad_norm")[list(tidy["method"].unique())]
    lost = losses(table)
    middle = len(table) // 2
    rows = {}
    for name in table:
        values = {f"layer {i}": f"{table.loc[i, name]:.3f}" for i in (1, middle, len(table))}
        zeros = f"{len(lost[name])} of {len(table)}"
        first = len(table) - max(lost[name]) + 1 if lost[name] else "–"
        rows[name] = values | {"layers shown as 0": zeros, "from depth": first}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("log10 of the norm by")


def tell(tables):
    """Numbers for the sentences."""
    tidy = tables["autodiff"]
    zeros = tidy[np.isneginf(tidy["log10_weight_grad_norm"])].groupby("method").size()
    return {"lost_usual": int(zeros.get(USUAL, 0)), "lost_scaled": int(zeros.get(SCALED, 0))}


PAGE = Experiment("autodiff", SAID, draw, shown, tell, doc=__doc__)


def main():
    """Compute, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__, "readme")
    net, data, table = measure(asked.quick)
    finding, error = judge(table)
    tidy = table.reset_index().melt("layer", var_name="method", value_name="log10_weight_grad_norm")
    setting = {"depth": net.depth, "width": net.width, "activation": "sigmoid", "init": "Xavier"}
    setting |= {"data": data.name, "batch": len(data.x), "loss": "softmax_cross_entropy"}
    numbers = {"error": float(error), **edges(asked.quick)}
    PAGE.publish(asked.out, {"autodiff": tidy}, finding=finding, setting=setting, numbers=numbers)


if __name__ == "__main__":
    main()
