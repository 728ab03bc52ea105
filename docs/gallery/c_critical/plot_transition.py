"""
Through the transition
======================

The gradient by layer on both sides of the critical point: dots are measured, lines are theory.

After Schoenholz et al. 2017, Deep information propagation.
"""

import gradlab as gl

sweep = gl.Sweep(
    depth=30, width=200, activation="tanh", init="gaussian", sigma_w2=(1.0, 1.4, 1.76, 2.5, 4.0), sigma_b2=0.05,
    readout="lecun_normal", batch=16, data="gaussian", c0=0.6, loss="probe",
)  # fmt: skip
frame, theory = gl.example("order_to_chaos"), gl.predict_all(sweep)
gl.plots.transition(frame, theory=theory)
