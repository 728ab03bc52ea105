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
# # The edge of chaos: solutions

# %%
import numpy as np

import gradlab as gl

# %% [markdown]
# **1.** The slope of ReLU is 1 for half of the Gaussian values and 0 for the other half, at every scale. So
# $\mathbb{E}[\varphi'^2] = \frac12$, and $\chi_1 = \sigma_w^2/2$.

# %%
for sigma in (1.0, 2.0, 3.0):
    relu = gl.theory.mean_field("relu", sigma_w2=sigma, sigma_b2=0.1)
    print(f"sigma_w2 = {sigma}: chi1 = {relu.chi1}, {relu.phase}")
    assert np.isclose(relu.chi1, sigma / 2)

# %% [markdown]
# **2.** The depth scale is less than half a layer: the squared delta loses a factor $e$ before one layer is over.

# %%
sigmoid = gl.theory.mean_field("sigmoid", sigma_w2=1.0)
print(f"chi1 = {sigmoid.chi1:.4f}, rate {sigmoid.chi1**0.5:.3f}, depth scale {sigmoid.xi_grad:.2f} layers")
assert sigmoid.xi_grad < 0.5

# %% [markdown]
# **3.** Without biases the fixed point of the critical network is $q^* = 0$, and $q$ goes there slowly, like $1/l$.
# So the deltas fall too, but as a power of the depth: about one decade over 60 layers. The sigmoid loses that in two.

# %%
x = np.random.default_rng(2).normal(size=(32, 100)).astype("float32")
for activation in ("tanh", "erf"):
    net = gl.MLP(depth=60, width=100, activation=activation, init="critical")
    trace = gl.measure(net, x, loss="probe", seeds=6)
    print(activation, trace.rate, "|", trace.verdict)

# %% [markdown]
# **4.** `gradlab train --activation tanh --init gaussian --sigma-w2 1 1.76 2.5 --sigma-b2 0.05 --depth 60 --width 100
# --steps 200 --report` writes the page of the three trainings.
