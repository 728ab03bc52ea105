"""
How far two inputs stay apart
=============================

Variance and correlation approach their fixed points, and the depth scale says how fast.

After Schoenholz et al. 2017, Deep information propagation.
"""

import gradlab as gl

sweep = gl.Sweep(
    depth=30, width=200, activation="tanh", init="gaussian", sigma_w2=(1.0, 1.4, 1.76, 2.5, 4.0), sigma_b2=0.05,
    readout="lecun_normal", batch=16, data="gaussian", c0=0.6, loss="probe",
)  # fmt: skip
frame, theory = gl.example("order_to_chaos"), gl.predict_all(sweep)
gl.plots.depth_scales(frame, theory=theory)
