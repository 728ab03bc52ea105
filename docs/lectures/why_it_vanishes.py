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
# # Why it vanishes
#
# In 1991 Sepp Hochreiter saw that the gradient of a deep network becomes exponentially small, or exponentially large.
# Nothing is wrong with the chain rule. A product of many factors that are not 1 is simply very small or very large.
#
# **After this lecture you can** predict the factor per layer from the activation and the initialisation, and name
# three ways to bring it near 1.

# %%
import matplotlib.pyplot as plt
import numpy as np

import gradlab as gl

x = np.random.default_rng(1).normal(size=(64, 64)).astype("float32")

# %% [markdown]
# ## 1. The factor of one layer
#
# Take a wide layer with random weights of variance $\sigma_w^2/n$, where $n$ is the number of inputs. On average the
# squared length of a delta is multiplied, on its way back through one layer, by
#
# $$\chi = \sigma_w^2 \, \mathbb{E}\left[\varphi'(z)^2\right].$$
#
# So the **rate**, the factor of the delta itself, is $\sqrt{\chi}$. The weights can make it as large as they like. The
# activation contributes its slope.
#
# **Question.** Which of these three activations has the largest slope on average, if $z$ is near 0?

# %%
z = np.linspace(-4, 4, 201)
slopes = {
    "sigmoid": np.exp(-z) / (1 + np.exp(-z)) ** 2,
    "tanh": 1 / np.cosh(z) ** 2,
    "relu": (z > 0).astype(float),
}
figure_slopes, axes_slopes = plt.subplots(figsize=(5, 3), layout="constrained")
for (name, values), line in zip(slopes.items(), ("-", "--", ":"), strict=True):
    axes_slopes.plot(z, values, line, label=name)
axes_slopes.set_xlabel("z")
axes_slopes.set_ylabel("slope of the activation")
axes_slopes.legend()
plt.show()
print({name: float(values.max().round(3)) for name, values in slopes.items()})

# %% [markdown]
# **Answer.** The slope of tanh is 1 at 0. That of ReLU is 1 on one side and 0 on the other. That of the sigmoid is
# never more than $\frac14$. With Xavier weights $\sigma_w^2 = 1$, so a sigmoid layer takes away at least three
# quarters of each delta.

# %% [markdown]
# ## 2. Measure it
#
# **Question.** Sigmoid, Xavier, 30 layers. The factor is about $\frac14$ or less. How many powers of ten lie between
# the delta of layer 30 and that of layer 1? (Hint: $\log_{10} 4 \approx 0.6$.)

# %%
sigmoid = gl.MLP(depth=30, width=64, activation="sigmoid", init="xavier_normal")
tanh = gl.MLP(depth=30, width=64, activation="tanh", init="xavier_normal")
relu = gl.MLP(depth=30, width=64, activation="relu", init="he_normal")
traces = [gl.measure(net, x, loss="probe", seeds=8) for net in (sigmoid, tanh, relu)]
for trace in traces:
    print(trace.config.activation, "|", trace.rate, "|", trace.verdict)
assert traces[0].verdict.name == "vanishing"

# %%
gl.plots.gradient_flow(gl.frame(traces), hue="activation")
plt.show()

# %% [markdown]
# **Answer.** More than 18 powers of ten. The signal in the left panel looks healthy in all three networks. Only the
# way back shows the trouble. So do not judge a network by its activations alone.
#
# ## 3. Does the formula hold?
#
# `gl.theory.predict` computes $\chi$ layer by layer. The number beside it is measured.

# %%
for measured in traces:
    predicted = gl.theory.predict(measured.config, x)
    print(f"{measured.config.activation:8s} predicted {predicted.rate:.3f}   measured {measured.rate.value:.3f}")
    assert abs(predicted.rate / measured.rate.value - 1) < 0.05

# %% [markdown]
# ## 4. When is a small number zero?
#
# The smallest normal number of float32 is about $10^{-38}$. A sum of squares is lost even earlier, near $10^{-19}$.
#
# **Question.** At which depth does the usual gradient norm of a sigmoid network print 0?

# %%
very_deep = gl.MLP(depth=100, width=64, activation="sigmoid", init="xavier_normal")
norms = gl.measure(very_deep, x, loss="probe", seeds=2).columns["log10_weight_grad_norm"].mean(0)
print("log10 of the gradient norm, layers 1, 51 and 100:", norms[[0, 50, 99]].round(1))
assert norms[0] < -45

# %% [markdown]
# **Answer.** At layer 1 the gradient is below every float32 number. `jax.grad` returns exact zeros there. gradlab
# stores a power of two beside each delta and loses nothing, so that we can measure what we cannot train.

# %% [markdown]
# ## 5. Three ways out
#
# 1. **An activation with slope 1 and its own scale:** ReLU with He weights has $\sigma_w^2 = 2$ and
#    $\mathbb{E}[\varphi'^2] = \frac12$, so $\chi = 1$.
# 2. **A skip around each block:** the delta keeps a path on which nothing is multiplied.
# 3. **Critical weights:** choose $\sigma_w^2$ so that $\chi = 1$. That is the next lecture.
#
# **Question.** A residual network with sigmoid branches: does its delta vanish, explode, or stay?

# %%
skip = gl.ResNet(depth=30, width=64, activation="sigmoid", init="xavier_normal")
kept = gl.measure(skip, x, loss="probe", seeds=8)
print(kept.rate, "|", kept.verdict)
assert kept.verdict.name != "vanishing"

# %% [markdown]
# **Answer.** It stays or grows slowly. The identity of the skip adds 1 to every factor.

# %% [markdown]
# ## Exercises
#
# 1. Which `gain` makes the sigmoid network of section 2 steady? Compute it from the measured rate first.
# 2. Repeat section 2 with `width=16` and 16 seeds. What happens to the interval of the rate?
# 3. Show that multiplying the loss by 1000 changes no verdict.
# 4. Replace `"xavier_normal"` by `"he_normal"` in the tanh network. Does it explode? Look at the saturated units too.
#
# Solutions are in `solutions/why_it_vanishes.py`.
