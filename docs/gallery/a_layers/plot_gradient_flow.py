"""
Signal, delta and weight gradient by layer
==========================================

Forward signal, delta and weight gradient stand side by side, in powers of ten.

After Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
The call is :py:func:`gradlab.plots.gradient_flow`.
"""

import gradlab as gl

frame = gl.example("depth")
deep = frame[(frame["depth"] == 32) & (frame["init"] == "he_normal")]
gl.plots.gradient_flow(deep, hue="activation")
