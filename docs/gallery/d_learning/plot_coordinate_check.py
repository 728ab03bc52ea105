"""
What moves with the width?
==========================

By which power of the width the first step of a training changes each layer, in three parametrizations.

After Yang et al. 2022, Tensor Programs V: tuning large neural networks via zero-shot hyperparameter transfer.
The call is :py:func:`gradlab.plots.coordinate_check`.
"""

import numpy as np
import pandas as pd

import gradlab as gl

x, y = np.random.default_rng(0).normal(size=(8, 16)).astype("float32"), np.arange(8) % 2
frames = []
for name in ("standard", "mup", "ntk"):
    make = lambda width, name=name: gl.MLP(depth=2, width=width, parametrization=name)
    frames.append(gl.coordinate_check(make, (x, y), widths=(64, 128, 256, 512), steps=1, seeds=8))
gl.plots.coordinate_check(pd.concat(frames))
