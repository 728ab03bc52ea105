"""Networks of the experiment on the place of layer normalisation, gradients of single weights, ratios in a seed."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import gradlab as gl
from experiments.figures.layer_norm_place import DELTA, EACH, KINDS, SHARED, STREAM, WEIGHTS
from gradlab.core.attention import positions
from gradlab.core.pooling import flatten


def each_position(norm, depth, width, heads, shape):
    """The same network with a readout that has weights of its own for each position; its first layer is the stem."""
    dense = lambda n: gl.dense(n, "lecun_normal")
    attend, forward = (
        gl.attention(heads, "lecun_normal"),
        gl.serial(dense(4 * width), gl.activation("relu"), dense(width)),
    )
    stem = gl.serial(dense(width), gl.activation("identity"), positions())
    before = gl.serial(*(gl.residual(gl.serial(gl.layer_norm(), part)) for part in (attend, forward)))
    after = gl.serial(gl.residual(attend), gl.layer_norm(), gl.residual(forward), gl.layer_norm())
    last = (gl.layer_norm(),) if norm == "pre" else ()
    layers = stem, gl.repeat(before if norm == "pre" else after, depth, 1), *last, flatten(), dense(10)
    return gl.CustomNetwork(gl.serial(*layers), shape=shape, name=EACH)


def norms_of(net, norm, seed, data):
    """log10 of the norm of the gradient of each weight of each block, in float64."""
    with jax.enable_x64(True):
        x = jnp.asarray(data.x, float)

        @jax.jit
        def norms(key):
            _, grads = gl.backprop(net, net.init_params(key, x, outputs=10), x, data.y)
            leaves = jax.tree_util.tree_leaves_with_path(grads[1])
            weights = [leaf for path, leaf in leaves if getattr(path[-1], "key", "") == "weight"]
            return {kind: jnp.linalg.norm(w, axis=(1, 2)) for kind, w in zip(KINDS, weights, strict=True)}

        found = {kind: np.log10(np.asarray(values)) for kind, values in norms(jax.random.key(seed)).items()}
    wide = pd.DataFrame(found).assign(norm=norm, seed=seed, block=range(1, net.depth + 1))
    return wide.melt(["norm", "seed", "block"], var_name="kind", value_name="log10_norm")


def named(frame):
    """The blocks, with the place of the norm as the literature calls it."""
    norm = frame["norm_position"].astype(str).map({"before": "pre", "after": "post"})
    return frame.assign(norm=norm)[lambda f: (f["layer"] >= 1) & (f["layer"] <= f["depth"])]


def ratios(frame):
    """log10 ratios within a seed: of the last block to that of the shallowest network, of the first to the last."""
    frame = named(frame)
    keys = ["norm", "seed", "depth"]
    ends = {name: part.set_index(keys)[[DELTA, WEIGHTS, STREAM]] for name, part in (
        ("first", frame[frame["layer"] == 1]), ("last", frame[frame["layer"] == frame["depth"]])
    )}  # fmt: skip
    last = ends["last"]
    change = last - last.xs(frame["depth"].min(), level="depth")
    change["product"] = change[DELTA] + change[STREAM]
    change[SHARED] = ends["first"][DELTA] - last[DELTA]
    return gl.summarise(change.reset_index(), ["norm", "depth"], list(change.columns))


def deepest(single, each):
    """log10 ratios within a seed of the deepest networks: last block over first of each weight, first over last of
    the delta where the readout sees each position."""
    depth, keys = int(single["block"].max()), ["norm", "seed"]
    wide = single.pivot(index=[*keys, "kind"], columns="block", values="log10_norm")
    change = (wide[depth] - wide[1]).unstack("kind")
    deltas = each.pivot(index=keys, columns="layer", values=DELTA)
    change[EACH] = deltas[1] - deltas[depth]
    return gl.summarise(change.assign(depth=depth).reset_index(), ["norm", "depth"], [*KINDS, EACH])
