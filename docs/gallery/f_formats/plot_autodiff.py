"""
What autodiff prints
====================

In float32 ``jax.grad`` shows exact zeros where the gradient leaves the format.

After Micikevicius et al. 2018, Mixed precision training.
"""

import gradlab as gl

gl.plots.autodiff(gl.example("autodiff"))
