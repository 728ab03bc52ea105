"""Run by test_devices.py on four host devices: a step with and without the monitor, spread in each of some ways.

Prints one line of JSON, by way: whether bits are equal, exchanges between devices in the program of either step, and
the largest difference of the frame from that of the same step on one device.
"""

import collections
import json
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import gradlab as gl

WAYS = {
    "explicit": (AxisType.Explicit, lambda x: P()),
    "explicit fsdp": (AxisType.Explicit, lambda x: P("data")),
    "fsdp": (AxisType.Auto, lambda x: P("data")),
    "columns": (AxisType.Auto, lambda x: P(None, "data") if x.ndim == 2 else P()),
}
WIDTH, LAYERS, STEPS, EVERY = 32, 6, 5, 2


def loss(params, x):
    for layer in params:
        whole = jax.tree.map(together, layer)
        x = jnp.tanh(x @ whole["kernel"] + whole["bias"])
    return jnp.mean(x**2)


def together(x):
    """An array on each device whole, as a product needs it: said where sharding is explicit, found out elsewhere."""
    explicit = AxisType.Explicit in jax.typeof(x).sharding.mesh.axis_types
    return jax.sharding.reshard(x, P()) if explicit else x


def run(tx, params, batches, place):
    state = tx.init(params)

    def step(params, state, x):
        updates, state = tx.update(jax.grad(loss)(params, x), state, params)
        return optax.apply_updates(params, updates), state

    step = jax.jit(step, donate_argnums=(0, 1))
    text = step.lower(params, state, place(batches[0])).compile().as_text()
    for x in batches:
        params, state = step(params, state, place(x))
    return params, state, text


def exchanges(text):
    """Exchanges in a program: of the step itself, and inside its conditions."""
    found = collections.Counter()
    for part in text.split("\n\n"):
        kinds = re.findall(r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(", part)
        found["step" if "ENTRY" in part else "conditions"] += len(kinds)
    return found


def compared(way):
    kind, spec = WAYS[way]
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    rng = np.random.default_rng(0)
    draw = lambda *shape: (rng.normal(size=shape) / WIDTH**0.5).astype(np.float32)
    host = [{"kernel": draw(WIDTH, WIDTH), "bias": draw(WIDTH)} for _ in range(LAYERS)]
    batches = [draw(8, WIDTH) for _ in range(STEPS)]
    put = lambda tree: jax.tree.map(lambda x: jax.device_put(x, NamedSharding(mesh, spec(x))), tree)
    batch = lambda x: jax.device_put(x, NamedSharding(mesh, P("data") if way == "fsdp" else P()))
    adam = optax.adam(1e-2)
    watching = lambda: gl.monitored(adam, every=EVERY)
    with jax.set_mesh(mesh):
        bare, _, text = run(adam, put(host), batches, batch)
        watched, state, other = run(watching(), put(host), batches, batch)
        table = gl.frame(gl.monitor_records(state))
        seen = gl.frame(gl.observe(put(host)))
    _, alone, _ = run(watching(), jax.tree.map(jnp.asarray, host), batches, jnp.asarray)
    columns = [name for name in table if table[name].dtype.kind == "f" and table[name].notna().any()]
    apart = np.abs(table[columns].to_numpy() - gl.frame(gl.monitor_records(alone))[columns].to_numpy())
    same = all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(bare), jax.tree.leaves(watched), strict=True))
    before, after = exchanges(text), exchanges(other)
    return {
        "same": same, "apart": float(np.nanmax(apart)), "steps": table["step"].unique().tolist(),
        "step": after["step"] - before["step"], "conditions": after["conditions"] - before["conditions"],
        "observed": len(seen),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps({way: compared(way) for way in sys.argv[1:]}))
