"""
Before and after a change
=========================

Two runs with the same seeds, and below the difference of each seed.

After He et al. 2015, Delving deep into rectifiers.
The call is :py:func:`gradlab.plots.before_after`.
"""

import gradlab as gl

frame = gl.example("depth")
chosen = (frame["depth"] == 32) & (frame["activation"] == "relu")
gl.plots.before_after(frame[chosen], hue="init")
