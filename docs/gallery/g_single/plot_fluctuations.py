"""
How much is luck?
=================

Over initialisations the logarithm of the squared gradient varies about as depth over width.

After Hanin 2018, Which neural net architectures give rise to exploding and vanishing gradients?.
The call is :py:func:`gradlab.plots.fluctuations`.
"""

import numpy as np
import pandas as pd

import gradlab as gl

curves = []
for width in (16, 64, 256):
    law = gl.theory.log_norm_law([width] * 10)
    at = law.mean + law.variance**0.5 * np.linspace(-5, 4, 181)
    curve = {"ln_norm2": at, "density": law.density(at), "variance": law.variance}
    curves.append(pd.DataFrame({"network": f"width {width}", **curve}))
gl.plots.fluctuations(gl.example("norms"), hue="width", theory=pd.concat(curves))
