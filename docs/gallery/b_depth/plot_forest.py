"""
A row for each network
======================

All networks in one list, from the most vanishing to the most exploding, each with its interval.

After He et al. 2015, Delving deep into rectifiers.
The call is :py:func:`gradlab.plots.forest`.
"""

import gradlab as gl

frame = gl.example("depth")
gl.plots.forest(frame)
