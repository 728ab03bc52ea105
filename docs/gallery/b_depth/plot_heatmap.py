"""
Initialisation against depth
============================

Each cell has the powers of ten between the first and the last layer's delta.

After He et al. 2015, Delving deep into rectifiers.
The call is :py:func:`gradlab.plots.heatmap`.
"""

import gradlab as gl

frame = gl.example("depth")
gl.plots.heatmap(frame, x="init", y="depth", col="activation")
