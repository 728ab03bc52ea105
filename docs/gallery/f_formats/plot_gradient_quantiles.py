"""
Sizes of gradients along the training
=====================================

The median of a layer's entries, and bands that hold half and nine tenths of them.

After Micikevicius et al. 2018, Mixed precision training.
The call is :py:func:`gradlab.plots.gradient_quantiles`.
"""

import gradlab as gl

gl.plots.gradient_quantiles(gl.example("sizes_in_training"))
