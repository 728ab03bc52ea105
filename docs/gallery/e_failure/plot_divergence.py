"""
Where it began
==============

Weights that are too large and a large learning rate: hatched cells are not finite.

After He et al. 2015, Delving deep into rectifiers.
The call is :py:func:`gradlab.plots.layer_map`.
"""

import gradlab as gl

frame = gl.example("divergence")
gl.plots.layer_map(frame, value="log10_weight_grad_norm", absolute=True)
