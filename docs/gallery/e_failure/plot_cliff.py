"""
The wall of a recurrent unit
============================

At the wall one step throws an unclipped descent far away; clipping keeps it near.

After Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks.
The call is :py:func:`gradlab.plots.cliff`.
"""

import numpy as np

import gradlab as gl

record = gl.clipping_cliff(np.linspace(3.5, 7, 60), np.linspace(-4, -1.5, 60), [(6.0, -2.0)])
gl.plots.cliff(record)
