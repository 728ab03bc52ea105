# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # My model does not train: solutions

# %%
import jax
import jax.numpy as jnp
import optax

import gradlab as gl

batch = jax.random.normal(jax.random.key(9), (64, 32)), jnp.arange(64) % 4


def draw(scale, depth=10):
    keys = jax.random.split(jax.random.key(0), depth)
    params = {f"dense_{i:02d}": scale * jax.random.normal(k, (32, 32)) / 32**0.5 for i, k in enumerate(keys)}
    return params | {"readout": jax.random.normal(jax.random.key(1), (32, 4)) / 32**0.5}


def network(phi, skip=False):
    def loss_fn(params, batch):
        a, target = batch
        for name in params:
            if name != "readout":
                a = (a if skip else 0) + phi(a @ params[name])
        logits = a @ params["readout"]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], 1))

    return loss_fn


# %% [markdown]
# **1.** Larger weights make the rate larger. At four times the standard deviation the units
# also begin to saturate.

# %%
print(gl.diagnose(network(jax.nn.sigmoid), draw(4.0), batch, trials=False))

# %% [markdown]
# **2.** The signal falls behind the broken weight, and the diagnosis names it.

# %%
broken = draw(2**0.5)
broken["dense_05"] = 0.001 * broken["dense_05"]
named = gl.diagnose(network(jax.nn.relu), broken, batch, trials=False)
print(named)
assert not named.healthy and "dense_05" in str(named)

# %% [markdown]
# **3.** With skips the delta no longer vanishes: the identity carries it to the first layer.

# %%
skip_loss = network(jax.nn.sigmoid, skip=True)
grads = jax.grad(skip_loss)(draw(1.0), batch)
print({name: float(jnp.linalg.norm(value)) for name, value in grads.items()})
assert jnp.linalg.norm(grads["dense_00"]) > 0.01 * jnp.linalg.norm(grads["dense_09"])

# %% [markdown]
# **4.** The monitor is one more transformation of optax; the loop stays as it is.

# %%
optimizer = gl.monitored(optax.sgd(0.1))
params, healthy_loss = draw(2**0.5), network(jax.nn.relu)
state = optimizer.init(params)


@jax.jit
def step(params, state):
    updates, state = optimizer.update(jax.grad(healthy_loss)(params, batch), state, params)
    return optax.apply_updates(params, updates), state


for _ in range(20):
    params, state = step(params, state)
recorded = gl.frame(gl.monitor_records(state))
gl.plots.layer_gradients(recorded[recorded["step"] == recorded["step"].max()])
