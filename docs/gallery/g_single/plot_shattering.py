"""
Do two inputs' gradients agree?
===============================

The cosine of two inputs' gradients falls with the distance to the loss; skips keep it longer.

After Balduzzi et al. 2017, The shattered gradients problem.
The call is :py:func:`gradlab.plots.shattering`.
"""

import gradlab as gl

gl.plots.shattering(gl.example("shattering"), hue="network")
