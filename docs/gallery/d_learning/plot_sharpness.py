"""
Sharpness at the edge of stability
==================================

On the full batch the sharpness rises to the threshold of each learning rate, and stays there.

After Cohen et al. 2021, Gradient descent on neural networks typically occurs at the edge of stability.
The call is :py:func:`gradlab.plots.sharpness`.
"""

import gradlab as gl

frame = gl.example("sharpness")
gl.plots.sharpness(frame, hue="learning_rate")
