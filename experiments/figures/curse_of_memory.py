"""Figure of the experiment on the curse of memory."""

import numpy as np

import gradlab as gl

#: What the derivative is by, and whether inputs are multiplied by gamma.
CASES = {
    "by λ": ("eigenvalue", False), "by λ, with γ": ("eigenvalue", True), "by ν": ("nu", False),
    "by ν, with γ": ("nu", True),
}  # fmt: skip
#: How far from the law a row may be.
CLOSE = 0.1


def draw(tables):
    """The mean square of the derivative against memory, and over its law."""
    table = tables["sensitivity"]
    board, looks = gl.plots.board("ab", height=2.7), gl.plots.looks(list(CASES))
    radii = 1 - np.geomspace(0.2, 1 - table["radius"].max(), 60)
    with board.drawing():
        for place, (case, look) in enumerate(looks.items()):
            own = table[table["case"] == case]
            parameter, normalised = CASES[case]
            law = gl.theory.memory_sensitivity(radii, parameter=parameter, normalised=normalised)
            board["a"].plot(1 / (1 - radii), law, **gl.plots.role("theory", look["color"]))
            x = 1 / (1 - own["radius"])
            dots = gl.plots.dots(look["color"], hollow=normalised, share=0.9) | {"marker": look["marker"]}
            board["a"].errorbar(x, own["mean"], [own["mean"] - own["low"], own["high"] - own["mean"]], **dots)
            over = own[["mean", "low", "high"]].div(own["law"], axis=0)
            shifted = x * 1.12 ** (place - 1.5)
            bars = [over["mean"] - over["low"], over["high"] - over["mean"]]
            board["b"].errorbar(shifted, over["mean"], bars, **dots, label=case)
        for line in (1 - CLOSE, 1 + CLOSE):
            board["b"].axhline(line, **gl.plots.role("threshold"))
        board["a"].set(xscale="log", yscale="log", ylabel="mean square of the derivative")
        board["b"].set(xscale="log", ylabel="over the law")
        for name in "ab":
            board[name].set_xlabel("memory 1/(1 − λ)  [time steps]")
    board.legend("above")
    return {"curse_of_memory": board}
