"""
A film of one network
=====================

For a lecture: the signal travels to the loss, then the delta travels back; the last stage is shown here.

After Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks.
The call is :py:func:`gradlab.plots.network_film`.
"""

import tempfile

import matplotlib.pyplot as plt

import gradlab as gl

frame = gl.example("depth")
chosen = (frame["depth"] == 8) & (frame["init"] == "he_normal") & (frame["activation"] == "sigmoid")
film, poster = gl.plots.network_film(frame[chosen], tempfile.mkdtemp() + "/film.gif")

# %%
# The poster, as it is written beside the film.
plt.figure(figsize=(8, 4.5)).add_axes((0, 0, 1, 1)).imshow(plt.imread(poster))
plt.axis("off")
