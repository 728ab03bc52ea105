"""
Signal, delta and weight gradient beside the formats
====================================================

Each panel shows how large the entries of a layer are, and below which size a format has no number left.

After Blake, Orr & Luschi 2023, Unit scaling: out-of-the-box low-precision training.
The call is :py:func:`gradlab.plots.scales`.
"""

import gradlab as gl

gl.plots.scales(gl.example("sizes"))
