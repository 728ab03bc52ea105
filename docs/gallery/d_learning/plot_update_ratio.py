"""
Updates over weights
====================

Practice asks for updates of about a thousandth of the weights.

After Karpathy 2015, course CS231n, notes on learning.
The call is :py:func:`gradlab.plots.update_ratio`.
"""

import gradlab as gl

frame = gl.example("training")
gl.plots.update_ratio(frame)
