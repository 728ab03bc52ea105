"""
Every layer at every step
=========================

Colours say by how many powers of ten a layer's gradient lies below the last layer's.

After Nielsen 2015, Neural networks and deep learning, chapter 5.
The call is :py:func:`gradlab.plots.layer_map`.
"""

import gradlab as gl

frame = gl.example("training")
gl.plots.layer_map(frame, col="activation")
