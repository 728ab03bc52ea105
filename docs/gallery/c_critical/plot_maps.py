"""
The maps of the mean field
==========================

The variance map with its cobweb, the correlation map with its slope, and χ against the variance.

After Poole et al. 2016, Exponential expressivity in deep neural networks through transient chaos.
The call is :py:func:`gradlab.plots.maps`.
"""

import gradlab as gl

gl.plots.maps(gl.theory.mean_field_maps("tanh", sigma_w2=2.5, sigma_b2=0.05))
