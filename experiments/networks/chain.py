"""Chains of linear layers, and what of their numbers a format keeps, whatever power of two is on the loss."""

import jax
import jax.numpy as jnp
import numpy as np

import gradlab as gl

#: log2 of the smallest positive number of each format and of the first power of two above its largest, both by hand.
ENDS = {"float16": (-24, 16), "float8_e5m2": (-16, 16), "float8_e4m3": (-9, 9), "bfloat16": (-133, 128)}
SIGNALS = ("log10_activation", "log10_delta", "log10_weight_grad")
#: A layer is empty in a format where more than this share of its numbers lies below the smallest one.
HALF = 0.5


def linear(depth, width, gain):
    """Linear layers that multiply the length of every vector by the gain."""
    return gl.MLP(depth=depth, width=width, activation="identity", init="orthogonal", gain=gain, bias=False)


def octaves(counted):
    """Ends of the bins in octaves, deltas of the mean loss, and counts, of what is not 0; by signal and layer."""
    rows = counted[counted["bin"].notna() & (counted["count"] > 0)]
    shift = np.where(rows["signal"] == "log10_delta", -np.log2(rows["batch"]), 0.0)
    left, right = (rows[name] / np.log10(2) + shift for name in ("left", "right"))
    return {key: part for key, part in rows.assign(left=left, right=right).groupby(["signal", "layer"])}


def lost(bins, signal, layer, end, shift=0):
    """The share of a layer's numbers below 2**end, once they are multiplied by 2**shift; exact at whole ends."""
    part = bins[signal, layer]
    return float(part.loc[part["right"] + shift <= end + 1e-6, "count"].sum() / part["count"].sum())


def kept(bins, depth, end, shift=0):
    """Layers from the last one down through which the delta is not empty."""
    empty = [lost(bins, "log10_delta", layer, end, shift) > HALF for layer in range(depth, 0, -1)]
    return empty.index(True) if True in empty else depth


def loss_scale(bins, depth, beyond):
    """log2 of the largest power of two with which no delta and no weight gradient is as large as 2**beyond."""
    largest = max(bins[s, layer]["right"].max() for s in ("log10_delta", "log10_weight_grad")
                  for layer in range(1, depth + 1))  # fmt: skip
    return int(np.floor(beyond - largest + 1e-6))


@jax.jit
def zeros_in_float16(weights, x, probe):
    """The share of each layer's delta that is 0 or not finite, by automatic differentiation of arrays of float16."""

    def loss(shifts):
        a = x
        for weight, shift in zip(weights[:-1], shifts, strict=True):
            a = a @ weight + shift
        return jnp.sum(a @ weights[-1] * probe)

    shifts = [jnp.zeros((len(x), w.shape[1]), x.dtype) for w in weights[:-1]]
    return [jnp.mean(((d == 0) | ~jnp.isfinite(d)).astype(jnp.float32)) for d in jax.grad(loss)(shifts)]


def kept_in_float16(net, x, seed, shift):
    """Layers from the last one down through which not more than half of the deltas of float16 are exactly 0."""
    params = net.init_params(jax.random.fold_in(jax.random.key(0), seed), x, outputs=x.shape[1])
    weights = [jnp.asarray(p["weight"], jnp.float16) for _, p in net.layers(params)]
    probe = np.random.default_rng(seed).normal(size=x.shape)
    probe *= 2.0**shift / len(x) / np.linalg.norm(probe, axis=1, keepdims=True)  # the factor is no number of float16
    zeros = zeros_in_float16(weights, *(jnp.asarray(v, jnp.float16) for v in (x, probe)))
    empty = [float(z) > HALF for z in zeros[::-1]]
    return empty.index(True) if True in empty else net.depth


def inputs(width, batch=16):
    """Gaussian inputs of rms 1, each of them."""
    x = np.random.default_rng(0).normal(size=(batch, width))
    return (x / np.sqrt(np.mean(x**2, 1, keepdims=True))).astype(np.float32)


def targets(x):
    """Targets that say only how many outputs there are: as many as units, so that each example has its delta."""
    return np.zeros(x.shape)


def counted(net, x, seed):
    """The table of sizes of a network's numbers, of one seed."""
    return gl.frame(gl.histograms(net, x, targets(x), seeds=[seed], loss="probe", log10=True))


def worst(bins, depth, end, shift):
    """The largest share of any layer's signal, delta or weight gradient below 2**end, the loss times 2**shift."""
    moved = {signal: shift * (signal != SIGNALS[0]) for signal in SIGNALS}
    return max(lost(bins, signal, n, end, by) for signal, by in moved.items() for n in range(1, depth + 1))
