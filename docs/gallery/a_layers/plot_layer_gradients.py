"""
Gradients of a model that gradlab did not build
===============================================

Each layer stands by its own name, beside the ends of float16 and float32.

After Micikevicius et al. 2018, Mixed precision training.
The call is :py:func:`gradlab.plots.layer_gradients`.
"""

import gradlab as gl

gl.plots.layer_gradients(gl.example("model"))
