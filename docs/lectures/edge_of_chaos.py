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
# # The edge of chaos
#
# Two inputs that are nearly equal enter a random deep network. Do they come out as the same point, or far apart?
# Poole and others (2016) and Schoenholz and others (2017) found that this question and the vanishing gradient have
# one answer.
#
# **After this lecture you can** read the variance map and the correlation map, find the critical weights of an
# activation, and say how deep a signal reaches.

# %%
import matplotlib.pyplot as plt
import numpy as np

import gradlab as gl

# %% [markdown]
# ## 1. The length of a signal
#
# In a wide network the preactivations of a layer are Gaussian. Let $q$ be their variance. One layer later it is
#
# $$q' = \sigma_w^2 \, \mathbb{E}\left[\varphi(\sqrt{q}\,z)^2\right] + \sigma_b^2, \qquad z \sim \mathcal{N}(0, 1).$$
#
# Apply this map again and again, and $q$ goes to a fixed point $q^*$.
#
# **Question.** tanh is never larger than 1. Can $q^*$ of a tanh network be infinite?

# %%
chaotic = gl.theory.mean_field("tanh", sigma_w2=2.5, sigma_b2=0.05)
ordered = gl.theory.mean_field("tanh", sigma_w2=1.0, sigma_b2=0.05)
print(f"sigma_w2 = 2.5: q* = {chaotic.q_star:.3f}, {chaotic.phase}")
print(f"sigma_w2 = 1.0: q* = {ordered.q_star:.3f}, {ordered.phase}")
gl.plots.maps(gl.theory.mean_field_maps("tanh", sigma_w2=2.5, sigma_b2=0.05))
plt.show()

# %% [markdown]
# **Answer.** No: $q^* \le \sigma_w^2 + \sigma_b^2$. The first panel shows the staircase that ends at $q^*$.

# %% [markdown]
# ## 2. The angle between two signals
#
# The second panel shows the correlation $c$ of two inputs. The point $c = 1$ is always fixed: equal inputs stay
# equal. The slope of the map there is
#
# $$\chi_1 = \sigma_w^2 \, \mathbb{E}\left[\varphi'(\sqrt{q^*}\,z)^2\right].$$
#
# This is the very number that multiplies the squared delta. If $\chi_1 < 1$ near inputs meet and gradients vanish: the
# **ordered** phase. If $\chi_1 > 1$ near inputs part and gradients explode: the **chaotic** phase.
#
# **Question.** What does a network learn in which all inputs become the same point? What in one where every small
# change of the input changes everything?

# %%
for state in (ordered, chaotic):
    print(f"{state.phase}: chi1 = {state.chi1:.3f}, two inputs go to c* = {state.c_star:.3f}")
assert ordered.chi1 < 1 < chaotic.chi1

# %% [markdown]
# **Answer.** In the ordered phase the output hardly knows which input came in. In the chaotic phase the network cannot
# generalise from one input to its neighbour. We want to be between the two.

# %% [markdown]
# ## 3. The phase diagram
#
# **Question.** For $\sigma_b^2 = 0$ the critical $\sigma_w^2$ of tanh is exactly 1. Must it grow or shrink with the
# bias?

# %%
plane = gl.theory.phase_diagram("tanh", sigma_w2=np.linspace(0.5, 4, 25), sigma_b2=np.linspace(0, 0.5, 25))
gl.plots.phase_diagram(theory=plane)
plt.show()
critical = gl.theory.critical_sigma_w2("tanh", sigma_b2=0.05)
print(f"critical sigma_w2 at sigma_b2 = 0.05: {critical:.3f}")
assert abs(gl.theory.mean_field("tanh", sigma_w2=critical, sigma_b2=0.05).chi1 - 1) < 1e-6

# %% [markdown]
# **Answer.** It grows. Biases push the units toward saturation, where the slope is small. Larger weights make up for
# it.

# %% [markdown]
# ## 4. Measure three networks
#
# **Question.** Which of the three lines is flat?

# %%
x = np.random.default_rng(2).normal(size=(32, 100)).astype("float32")
nets = [
    gl.MLP(depth=60, width=100, activation="tanh", init="gaussian", sigma_w2=value, sigma_b2=0.05)
    for value in (1.0, critical, 2.5)
]
traces = [gl.measure(net, x, loss="probe", seeds=6) for net in nets]
for trace in traces:
    print(f"sigma_w2 = {trace.sigma_w2:.2f}: {trace.rate} | {trace.verdict}")
gl.plots.gradient_flow(gl.frame(traces), value="log10_delta_rms", hue="sigma_w2")
plt.show()

# %% [markdown]
# **Answer.** The critical one. At width 100 it is not perfectly flat: single networks scatter around the theory of
# infinite width.

# %% [markdown]
# ## 5. How deep can a signal reach?
#
# Near the fixed point everything decays like $e^{-l/\xi}$. The depth scale of the gradient is $\xi = -1/\ln\chi_1$. A
# network much deeper than a few $\xi$ cannot be trained from its first layers.

# %%
for sigma in (1.0, 1.4, 1.7, critical):
    point = gl.theory.mean_field("tanh", sigma_w2=sigma, sigma_b2=0.05)
    print(f"sigma_w2 = {sigma:.3f}: chi1 = {point.chi1:.4f}, depth scale {point.xi_grad:.1f} layers")

# %% [markdown]
# ## Exercises
#
# 1. ReLU has no phase diagram of this kind: $\chi_1 = \sigma_w^2/2$ whatever the bias. Derive it, then check with
#    `gl.theory.mean_field`.
# 2. Which depth scale has the sigmoid with Xavier weights? Compare with the previous lecture.
# 3. Draw weights with `init="critical"` for `"tanh"` and `"erf"`, 60 layers deep. Do the deltas
#    fall by a factor per layer, or more slowly?
# 4. Train the three networks of section 4 on `data="digits"` with `gradlab train`. Which of them learn within 200
#    steps?
#
# Solutions are in `solutions/edge_of_chaos.py`.
