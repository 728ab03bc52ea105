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
# # Backpropagation by hand: solutions

# %%
import numpy as np

import gradlab as gl

net = gl.MLP(depth=1, width=2, activation="sigmoid", init="xavier_normal")
example = gl.explain(net, [1.0, 0.5], [1.0], decimals=1)

# %% [markdown]
# **1.** The forward pass does not know the target, so $z$, $a$ and the output stay. The loss, all deltas and all
# gradients change. The new error is $o + 1$ instead of $o - 1$, and every gradient is multiplied by the ratio of the
# two.

# %%
other = gl.explain(net, [1.0, 0.5], [-1.0], decimals=1)
ratio = other.layers[1].delta / example.layers[1].delta
assert np.array_equal(other.layers[0].a, example.layers[0].a)
assert np.allclose(other.layers[0].weight_grad, ratio * example.layers[0].weight_grad)
print("ratio of the errors:", ratio)

# %% [markdown]
# **2.** The slope of ReLU is 0 where the unit is 0. So its delta is 0, and the gradient of all its incoming weights
# is 0: with this example the unit cannot learn.

# %%
rectified = gl.MLP(depth=1, width=2, activation="relu", init="he_normal")
for key in range(20):
    silent = gl.explain(rectified, [1.0, 0.5], [1.0], key=key).layers[0]
    if (silent.a == 0).any():
        print("key", key, "a1 =", silent.a, "gradient:", silent.weight_grad.tolist())
        break
assert (silent.weight_grad[:, silent.a[0] == 0] == 0).all()

# %% [markdown]
# **3.** The loss of a batch is the mean of the losses, and the derivative of a mean is the mean of the derivatives.

# %%
inputs, targets = np.array([[1.0, 0.5], [-0.2, 2.0]]), np.array([[1.0], [0.0]])
params = net.init_params(0, inputs, targets)
both = gl.explain(net, inputs, targets, params=params)
single = [gl.explain(net, inputs[i], targets[i], params=params) for i in range(2)]
mean = (single[0].layers[0].weight_grad + single[1].layers[0].weight_grad) / 2
assert np.allclose(mean, both.layers[0].weight_grad)

# %% [markdown]
# **4.** `gradlab explain --width 3 --x 1 0 2 --y 1 --loss softmax_cross_entropy --outputs 2 --out blackboard.tex`
