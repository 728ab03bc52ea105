"""
Signal, delta and weight gradient beside the formats
====================================================

Each panel shows how large the entries of a layer are, and below which size a format has no number left.

After Noune et al. 2022, 8-bit numerical formats for deep neural networks.
The call is :py:func:`gradlab.plots.scales`.
"""

import gradlab as gl

gl.plots.scales(gl.example("sizes"))
