"""Norms by each way to compute them."""

from matplotlib.lines import Line2D

import gradlab as gl


def draw(tables):
    """The norms against the layer, with what crosses and triangles mean in the legend."""
    board = gl.plots.board("a", height=3.3)
    gl.plots.autodiff(tables["autodiff"], ax=board["a"])
    board["a"].set_ylabel(r"weight gradient $\|\partial L\,/\,\partial W\|_F$  [nat]")
    with board.drawing():
        grey = gl.plots.dots("0.35")
        marks = {name: Line2D([], [], **grey, marker=m) for name, m in (("last number", "X"), ("exact zero", "v"))}
    board.legend("above", **marks)
    return {"autodiff": board.figure}
