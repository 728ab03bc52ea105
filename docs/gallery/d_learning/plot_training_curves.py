"""
Loss and accuracy
=================

Loss and accuracy on training and test data, each seed and the mean.

After He et al. 2015, Delving deep into rectifiers.
The call is :py:func:`gradlab.plots.training_curves`.
"""

import gradlab as gl

frame = gl.example("training")
gl.plots.training_curves(frame, hue="activation")
