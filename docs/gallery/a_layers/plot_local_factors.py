"""
The factor of each layer
========================

Each bar is what one layer does to the delta, so the longest bar is where the gradient is lost.

After Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen.
The call is :py:func:`gradlab.plots.local_factors`.
"""

import gradlab as gl

frame = gl.example("depth")
chosen = (frame["depth"] == 8) & (frame["init"] == "he_normal") & (frame["activation"] == "sigmoid")
gl.plots.local_factors(frame[chosen])
