"""
The network as boxes
====================

The signal travels forward and the delta travels back; blue is smaller and red is larger than white.

After Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
The call is :py:func:`gradlab.plots.network`.
"""

import gradlab as gl

frame = gl.example("depth")
chosen = (frame["depth"] == 8) & (frame["init"] == "he_normal") & (frame["activation"] == "sigmoid")
gl.plots.network(frame[chosen])
