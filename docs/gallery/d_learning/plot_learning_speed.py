"""
Gradients along the training
============================

A line for each layer: the gradients of sigmoid layers near the input are smaller by powers of ten.

After Nielsen 2015, Neural networks and deep learning, chapter 5.
The call is :py:func:`gradlab.plots.learning_speed`.
"""

import gradlab as gl

frame = gl.example("training")
gl.plots.learning_speed(frame)
