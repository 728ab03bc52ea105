"""
A profile that moves
====================

For a lecture: the profiles of the layers grow from the loss, as the gradient travels; the last picture is shown here.

After Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
The call is :py:func:`gradlab.plots.animate`.
"""

import tempfile

import matplotlib.pyplot as plt

import gradlab as gl

frame = gl.example("depth")
deep = frame[(frame["depth"] == 32) & (frame["init"] == "he_normal")]
film, poster = gl.plots.animate(deep[deep["layer"] % 4 == 0], tempfile.mkdtemp() + "/film.gif", over="layer")

# %%
# The poster, as it is written beside the film.
plt.figure(figsize=(8, 4.5)).add_axes((0, 0, 1, 1)).imshow(plt.imread(poster))
plt.axis("off")
