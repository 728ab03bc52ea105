"""
Order, chaos and the line between
=================================

The plane of weight and bias variance; points are measured networks, in the colours of theory.

After Schoenholz et al. 2017, Deep information propagation.
The call is :py:func:`gradlab.plots.phase_diagram`.
"""

import numpy as np

import gradlab as gl

diagram = gl.theory.phase_diagram("tanh", sigma_w2=np.linspace(0.8, 4.4, 46), sigma_b2=np.linspace(0, 0.3, 16))
gl.plots.phase_diagram(gl.rates(gl.example("order_to_chaos")), theory=diagram)
