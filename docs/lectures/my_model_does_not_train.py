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
# # My model does not train
#
# The loss does not move. Nothing is NaN, no error is raised. This lecture is about finding the reason within minutes,
# in a model that gradlab did not build.
#
# **After this lecture you can** look at the signal and the delta of any JAX model, read a diagnosis, and test a remedy.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import gradlab as gl

images, labels = load_digits(return_X_y=True)
x = jnp.asarray((images[:256] - images.mean()) / images.std(), jnp.float32)
y = jnp.asarray(labels[:256])

# %% [markdown]
# ## 1. The patient
#
# A plain network in a dictionary: twelve sigmoid layers of 64 units. Each weight has the variance $1/64$.


# %%
def draw(key, depth=12, width=64, scale=1.0):
    keys = jax.random.split(jax.random.key(key), depth + 1)
    sizes = [64, *[width] * depth, 10]
    names = [*(f"dense_{i}" for i in range(1, depth + 1)), "readout"]
    return {
        name: scale * jax.random.normal(k, (n, m)) / n**0.5
        for name, k, n, m in zip(names, keys, sizes[:-1], sizes[1:], strict=True)
    }


def network(phi):
    def loss_fn(params, batch):
        a, target = batch
        for name in params:
            if name != "readout":
                a = phi(a @ params[name])
        logits = a @ params["readout"]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], 1))

    return loss_fn


def train(loss_fn, params, steps=150, learning_rate=0.1):
    step = jax.jit(jax.value_and_grad(loss_fn))
    losses = []
    for _ in range(steps):
        value, grads = step(params, (x, y))
        params = jax.tree.map(lambda p, g: p - learning_rate * g, params, grads)
        losses.append(float(value))
    return losses


# draws with one key have sorted names, as JAX sorts them in every tree
sick_loss, sick_params = network(jax.nn.sigmoid), draw(0)
sick_losses = train(sick_loss, sick_params)
print(f"loss {sick_losses[0]:.3f} -> {sick_losses[-1]:.3f};  log(10) = {np.log(10):.3f}")
assert sick_losses[-1] > 2.2

# %% [markdown]
# **Question.** The loss stays near $\log 10$. What does the network say about each image?
#
# **Answer.** It gives all ten classes the same probability. It learned the bias of the output at most.
#
# ## 2. Guess before you look
#
# **Question.** Three suspects: the learning rate, the first layers, the last layer. Which gradients are small? Write
# down your guess.

# %%
diagnosis = gl.diagnose(sick_loss, sick_params, (x, y))
print(diagnosis)
assert not diagnosis.healthy

# %%
gl.plots.diagnosis(diagnosis)
plt.show()

# %% [markdown]
# **Answer.** The delta shrinks by the same factor in every layer. The first layers get almost no gradient. A larger
# learning rate would have to be larger by many powers of ten, and then the last layer explodes.
#
# ## 3. Change one thing
#
# The diagnosis names remedies. We take the simplest one: ReLU, and weights with twice the variance (He and others,
# 2015).
#
# **Question.** Why twice?

# %%
healthy_loss, healthy_params = network(jax.nn.relu), draw(0, scale=2**0.5)
healthy_losses = train(healthy_loss, healthy_params)
print(f"loss {healthy_losses[0]:.3f} -> {healthy_losses[-1]:.3f}")
assert healthy_losses[-1] < 0.5 * sick_losses[-1]
figure_losses, axes_losses = plt.subplots(figsize=(5, 3), layout="constrained")
axes_losses.plot(sick_losses, "--", label="sigmoid")
axes_losses.plot(healthy_losses, label="ReLU, twice the variance")
axes_losses.set_xlabel("step")
axes_losses.set_ylabel("loss")
axes_losses.legend()
plt.show()

# %% [markdown]
# **Answer.** A ReLU lets half of the squared signal through. Twice the variance makes up for this half, forward and
# backward.
#
# ## 4. Keep it healthy
#
# Put the check into a test of your own. It raises as soon as somebody breaks the model again.

# %%
gl.assert_healthy(healthy_loss, healthy_params, (x, y), trials=False)
print("healthy")

# %% [markdown]
# ## A short list for your own model
#
# 1. Is the loss at the first step what chance gives? For ten classes that is $\log 10$.
# 2. Overfit one batch. If that fails, no data will help.
# 3. `gl.diagnose` at the first step: which layers starve, which blow up?
# 4. Change one thing, and measure again.
#
# ## Exercises
#
# 1. Make the weights of the sick network four times larger. Does the loss move now? What does the diagnosis say?
# 2. Break the healthy network: multiply one weight in the middle by 0.001. Does the diagnosis name the right layer?
# 3. Give the sick network skips: `a = a + phi(a @ params[name])` where the shapes fit. Train it again.
# 4. Watch a training with `gl.monitored(optax.sgd(0.1))`, and draw `gl.plots.layer_gradients`.
#
# Solutions are in `solutions/my_model_does_not_train.py`.
