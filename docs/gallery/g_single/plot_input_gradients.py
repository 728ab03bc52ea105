"""
Gradients along a line of inputs
================================

The gradient of a deep centred network looks like white noise.

After Balduzzi et al. 2017, The shattered gradients problem.
The call is :py:func:`gradlab.plots.input_gradients`.
"""

import gradlab as gl

gl.plots.input_gradients(gl.example("input_gradients"))
