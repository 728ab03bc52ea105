"""
Singular values of the Jacobian
===============================

Orthogonal tanh networks keep their singular values nearer to one another than Gaussian networks.

After Pennington, Schoenholz & Ganguli 2017, Resurrecting the sigmoid.
The call is :py:func:`gradlab.plots.spectrum`.
"""

import gradlab as gl

frame = gl.example("singular_values")
gl.plots.spectrum(frame.assign(network=frame["activation"] + ", " + frame["init"]), hue="network")
