"""
Which depths can be trained
===========================

Accuracy after training, a cell for each depth and weight variance, beside multiples of the depth scale.

After Schoenholz et al. 2017, Deep information propagation.
The call is :py:func:`gradlab.plots.trainability`.
"""

import gradlab as gl

frame = gl.example("trainability")
gl.plots.trainability(frame, theory=gl.trainable_depths(frame))
