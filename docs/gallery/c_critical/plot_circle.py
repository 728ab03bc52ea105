"""
The length of a carried circle
==============================

In the chaotic phase each layer stretches a curve of inputs by √χ₁.

After Poole et al. 2016, Exponential expressivity in deep neural networks through transient chaos.
The call is :py:func:`gradlab.plots.circle`.
"""

import gradlab as gl

frame = gl.example("circle")
chi1 = {w: gl.theory.mean_field("tanh", sigma_w2=w, sigma_b2=0.05).chi1 for w in frame["sigma_w2"].unique()}
gl.plots.circle(frame, hue="sigma_w2", theory=chi1)
