"""
What autodiff prints
====================

In float32 ``jax.grad`` shows exact zeros where the gradient leaves the format.

After Micikevicius et al. 2018, Mixed precision training.
The call is :py:func:`gradlab.plots.autodiff`.
"""

import gradlab as gl

gl.plots.autodiff(gl.example("autodiff"))
