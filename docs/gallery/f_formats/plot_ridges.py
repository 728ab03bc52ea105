"""
Sizes of single entries by layer
================================

A signal that vanishes moves to the left from layer to layer, until it leaves a format.

After Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, figure 7.
The call is :py:func:`gradlab.plots.ridges`.
"""

import gradlab as gl

gl.plots.ridges(gl.example("sizes"))
