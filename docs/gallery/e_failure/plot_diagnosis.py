"""
A diagnosis of any JAX model
============================

Signal, delta and weight gradient of each layer; squares at the right are findings.

After Zhang et al. 2021, AutoTrainer.
The call is :py:func:`gradlab.plots.diagnosis`.
"""

import jax
import jax.numpy as jnp

import gradlab as gl

keys = jax.random.split(jax.random.key(0), 8)
params = {f"dense_{i}": 0.5 * jax.random.normal(key, (64, 64)) for i, key in enumerate(keys)}


def loss_fn(params, x):
    """Return the loss of eight ReLU layers whose weights are too large."""
    for i in range(8):
        x = jax.nn.relu(x @ params[f"dense_{i}"])
    return jnp.mean((x - 1) ** 2)


diagnosis = gl.diagnose(loss_fn, params, jax.random.normal(jax.random.key(99), (32, 64)))
gl.plots.diagnosis(diagnosis)
