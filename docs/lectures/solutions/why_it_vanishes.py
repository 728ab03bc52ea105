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
# # Why it vanishes: solutions

# %%
import numpy as np

import gradlab as gl

x = np.random.default_rng(1).normal(size=(64, 64)).astype("float32")
sigmoid = gl.MLP(depth=30, width=64, activation="sigmoid", init="xavier_normal")
measured = gl.measure(sigmoid, x, loss="probe", seeds=8)

# %% [markdown]
# **1.** The rate is proportional to the standard deviation of the weights. So a gain of 1 / rate would do if the
# slopes stayed. They do not: larger weights push the units toward saturation. The gain that is needed is larger.

# %%
guess = 1 / measured.rate.value
for gain in (guess, 2 * guess):
    scaled = gl.measure(sigmoid.with_options(gain=float(gain)), x, loss="probe", seeds=8)
    print(f"gain {gain:.2f}: {scaled.rate} | {scaled.verdict}")

# %% [markdown]
# **2.** A narrow network scatters more from draw to draw, so the interval is wider although there are more seeds.

# %%
narrow = gl.measure(sigmoid.with_options(width=16), x, loss="probe", seeds=16)
spread = [trace.rate.high - trace.rate.low for trace in (measured, narrow)]
print("width of the interval at 64 and at 16 units:", np.round(spread, 4))
assert spread[1] > spread[0]

# %% [markdown]
# **3.** The verdict rests on the ratio of two deltas. A factor of the loss multiplies both. We see it by scaling the
# targets and the outputs of a linear network, or simply from the formula $\log_{10}(\delta_1/\delta_L)$.

# %%
targets = np.random.default_rng(2).normal(size=(64, 1))
verdicts = [gl.measure(sigmoid, x, size * targets, seeds=4).verdict.name for size in (1, 1000)]
print(verdicts)
assert verdicts[0] == verdicts[1]

# %% [markdown]
# **4.** With He weights $\sigma_w^2 = 2$. tanh is then in the chaotic phase: deltas grow toward the input. Saturation
# keeps the growth slow.

# %%
wide = gl.MLP(depth=30, width=64, activation="tanh", init="he_normal")
grown = gl.measure(wide, x, loss="probe", seeds=8)
print(grown.rate, "|", grown.verdict, "| saturated:", np.nanmean(grown.columns["saturated_fraction"]).round(3))
assert grown.rate.value > 1
