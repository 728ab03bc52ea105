"""
Which time steps are forgotten?
===============================

In a recurrent network the layers are time steps: the loss is at the right, and the first input at the left.

After Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult.
The call is :py:func:`gradlab.plots.gradient_flow`.
"""

import gradlab as gl

frame = gl.example("time_steps")
gl.plots.gradient_flow(frame, value="log10_delta_rms", hue="cell")
