"""Figures of the experiment on what one step changes over the width."""

import numpy as np

import gradlab as gl

CHANGE = "log10_change_rms"
COLUMNS = {CHANGE: "change", "log10_weight_effect_rms": "own weight", "log10_carried_rms": "carried"}
NAMES = ("standard", "mup", "ntk")
LABELS = {"standard": "standard", "mup": "muP"}
#: Exponent and line of the claim for one hidden layer.
EXPECTED = {"standard": 1.0, "mup": 0.0}
LINE = 0.05


def draw(tables):
    """Changes of the logits over the width with their exponents; exponents of three layers by optimizer."""
    figures = {"coordinate_check": draw_logits(tables["logits"], tables["slopes"], tables["exponents"])}
    layers = tables["layers"]
    for optimizer in ("sgd", "adam"):
        rows = layers[layers["optimizer"] == optimizer]
        rows = rows if len(rows) else layers  # a quick run has one of them
        figures[f"exponents_{optimizer}"] = gl.plots.coordinate_check(rows)[0].figure
    return figures


def dots(look, hollow, share):
    """The look of one dot."""
    return gl.plots.dots(look["color"], hollow=hollow, share=share) | {"marker": look["marker"], "linestyle": ""}


def draw_logits(logits, slopes, table):
    """The change of the logits against the width, and the exponent of each seed."""
    board, looks = gl.plots.board("aab", height=2.7), gl.plots.looks(EXPECTED)
    widths = np.sort(logits["width"].unique())
    with board.drawing():
        for place, (name, look) in enumerate(looks.items()):
            rows = gl.summarise(logits[logits["parametrization"] == name], ["width"], CHANGE).sort_values("width")
            error = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
            board["a"].errorbar(rows["width"], rows["mean"], error, **look | {"linestyle": "-"}, label=LABELS[name])
            middle = rows["mean"].mean() + EXPECTED[name] * (np.log10(widths) - np.log10(widths).mean())
            board["a"].plot(widths, middle, **gl.plots.role("theory", look["color"]))
            seeds = slopes.loc[slopes["parametrization"] == name, "slope"]
            spread = place + np.linspace(-0.25, 0.25, len(seeds))
            board["b"].plot(spread, seeds - EXPECTED[name], **dots(look, True, 0.5))
            one = table[(table["hidden"] == 1) & (table["parametrization"] == name)].iloc[0]
            ends = [[one["slope"] - one["low"]], [one["high"] - one["slope"]]]
            board["b"].errorbar([place + 0.38], [one["slope"] - EXPECTED[name]], ends, **dots(look, False, 1.0))
        board["a"].set(xscale="log", xlabel="width (units of the hidden layer)")
        board["a"].set_xticks(widths, [str(n) for n in widths])
        board["a"].minorticks_off()
        gl.plots.log10_axis(board["a"])
        board["a"].set_ylabel("rms change of the logits")
        board["a"].plot([], [], **gl.plots.role("theory"), label="exponent 1 or 0")
        board["b"].axhspan(-LINE, LINE, **gl.plots.role("zone"))
        board["b"].set_xticks(range(len(looks)), [f"{LABELS[name]}\n(− {EXPECTED[name]:g})" for name in looks])
        board["b"].set(ylabel="exponent − expected", xlim=(-0.5, len(looks) - 0.4))
    board.legend("above")
    return board
