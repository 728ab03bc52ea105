"""
The rate per layer against depth
================================

Below 1 gradients vanish, above 1 they explode.

After He et al. 2015, Delving deep into rectifiers.
The call is :py:func:`gradlab.plots.rate_against_depth`.
"""

import gradlab as gl

frame = gl.example("depth")
gl.plots.rate_against_depth(frame[frame["init"] == "he_normal"], hue="activation")
