"""
Through the transition
======================

The gradient by layer on both sides of the critical point: dots are measured, lines are theory.

After Schoenholz et al. 2017, Deep information propagation.
The call is :py:func:`gradlab.plots.transition`.
"""

import gradlab as gl

tanh = {"activation": "tanh", "init": "gaussian", "sigma_w2": (1.0, 1.4, 1.76, 2.5, 4.0), "sigma_b2": 0.05}
inputs = {"data": "gaussian", "c0": 0.6, "batch": 16, "loss": "probe"}
sweep = gl.Sweep(depth=30, width=200, readout="lecun_normal", **tanh, **inputs)
frame, theory = gl.example("order_to_chaos"), gl.predict_all(sweep)
gl.plots.transition(frame, theory=theory)
