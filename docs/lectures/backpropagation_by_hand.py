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
# # Backpropagation by hand
#
# A network is a chain of simple functions. The chain rule tells us how the loss changes when we change one weight.
# Today we do this with pencil and paper for a network of two inputs, two hidden units and one output. Then the
# computer checks us.
#
# **After this lecture you can** compute every delta and every weight gradient of a small network, and say why the
# deltas of a deep network are a long product.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import gradlab as gl

# %% [markdown]
# ## 1. The forward pass
#
# A layer multiplies its input by a weight matrix, adds a bias, and applies an activation $\varphi$:
#
# $$z_l = a_{l-1} W_l + b_l, \qquad a_l = \varphi(z_l), \qquad a_0 = x.$$
#
# Our activation is the sigmoid. The weights are rounded to one decimal, so that you can copy them.

# %%
net = gl.MLP(depth=1, width=2, activation="sigmoid", init="xavier_normal")
example = gl.explain(net, x=[1.0, 0.5], y=[1.0], decimals=1)
hidden, readout = example.layers
print("x  =", example.x)
print("W1 =", hidden.weight.tolist())
print("W2 =", readout.weight.tolist())

# %% [markdown]
# **Question.** What are the two entries of $z_1$? Compute them on paper before you run the next cell.

# %%
print("z1 =", hidden.z)
print("a1 =", hidden.a)
print("output =", readout.z, " loss =", example.value)

# %% [markdown]
# ## 2. The backward pass
#
# The **delta** of a layer is the gradient of the loss by $z_l$. For the squared error $L = \frac12 (o - y)^2$ the
# delta of the output is simply the error, $\delta_2 = o - y$. Going back through a weight we multiply by its
# transpose. Going back through an activation we multiply, entry by entry, by its slope:
#
# $$\delta_1 = (\delta_2 W_2^{\top}) \circ \varphi'(z_1).$$
#
# A weight gradient is the input of the layer times its delta: $\partial L/\partial W_l = a_{l-1}^{\top}\delta_l$.
#
# **Question.** The output is too small here. Must $\delta_2$ be positive or negative? And the two entries of
# $\partial L/\partial W_2$?

# %%
print(example)

# %% [markdown]
# **Answer.** The output is below the target, so the error $o - y$ is negative. The activations of a sigmoid are
# positive, so both entries of $\partial L/\partial W_2$ have the sign of the delta. Gradient descent goes against the
# gradient: it makes both weights larger, and the output grows. That is what we want.

# %% [markdown]
# ## 3. Two checks
#
# First check: automatic differentiation. We write the same network in plain JAX.


# %%
def loss_of(first_weight):
    a1 = jax.nn.sigmoid(example.x @ first_weight + hidden.bias)
    output = a1 @ readout.weight + readout.bias
    return 0.5 * jnp.sum((output - example.y) ** 2)


by_jax = np.asarray(jax.grad(loss_of)(jnp.asarray(hidden.weight, jnp.float32)))
print("by hand:\n", hidden.weight_grad)
print("by jax.grad:\n", by_jax)
assert np.allclose(by_jax, hidden.weight_grad, rtol=1e-4)

# %% [markdown]
# Second check: change one weight a little and see how the loss changes. Near the present weight the loss is a
# straight line, and its slope is the gradient.
#
# **Question.** Will the dashed line lie above or below the loss, far away from the dot?

# %%
shifts = np.linspace(-3, 3, 61)
one_weight = np.array([[1.0, 0.0], [0.0, 0.0]])
losses = [float(loss_of(hidden.weight + shift * one_weight)) for shift in shifts]
slope = hidden.weight_grad[0, 0]
figure_slope, axes_slope = plt.subplots(figsize=(5, 3), layout="constrained")
axes_slope.plot(shifts, losses, label="loss")
axes_slope.plot(shifts, example.value + slope * shifts, "--", label="slope of the gradient")
axes_slope.plot(0, example.value, "ko")
axes_slope.set_xlabel("change of the first weight of $W_1$")
axes_slope.set_ylabel("loss")
axes_slope.legend()
plt.show()

# %% [markdown]
# **Answer.** The gradient is about the dot only. Far away the curve bends, because the sigmoid saturates.

# %% [markdown]
# ## 4. From one hidden layer to twenty
#
# Each layer multiplies the delta by $W^{\top}$ and by $\varphi'$. With twenty layers there are twenty such factors.
#
# **Question.** The slope of a sigmoid is at most $\frac14$. Guess: by which factor is the delta of layer 1 smaller
# than that of layer 20?

# %%
x_deep = np.random.default_rng(0).normal(size=(64, 32)).astype("float32")
deep = gl.MLP(depth=20, width=32, activation="sigmoid", init="xavier_normal")
trace = gl.measure(deep, x_deep, loss="probe", seeds=8)
print(trace.rate)
gl.plots.gradient_flow(gl.frame(trace), value="log10_delta_rms")
plt.show()

# %% [markdown]
# **Answer.** The line is almost straight: every layer takes away the same factor, and the factors multiply. This is the
# vanishing gradient, the subject of the next lecture.

# %% [markdown]
# ## Exercises
#
# 1. Compute the example again with $y = -1$, on paper. Which numbers change, and which do not? Check with
#    `gl.explain`.
# 2. Take `activation="relu"` and a `key` for which one hidden unit is 0. What is the gradient of its incoming
#    weights? Why?
# 3. Use two examples in one batch. Show that the gradient is the mean of the two single gradients.
# 4. Write `gradlab explain --out blackboard.tex` and compile it. Then make the 3-3-2 network with the cross-entropy.
#
# Solutions are in `solutions/backpropagation_by_hand.py`.
