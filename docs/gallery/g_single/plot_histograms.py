"""
Activations by layer
====================

With the standard weights activations shrink from layer to layer, with normalised weights they do so much less.

After Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks, figures 6 and 7.
The call is :py:func:`gradlab.plots.histograms`.
"""

import gradlab as gl

gl.plots.histograms(gl.example("histograms"), signal="activation", overlay=True)
