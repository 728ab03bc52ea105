"""
Do layers saturate?
===================

Mean, spread and 98th percentile of each layer's activations along the training.

After Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
The call is :py:func:`gradlab.plots.activation_bands`.
"""

import gradlab as gl

frame = gl.example("training")
gl.plots.activation_bands(frame[frame["activation"] == "sigmoid"], layers=[1, 4, 8])
