"""Decay and saturation of sigmoid networks by layer, and the corner that none comes into."""

from matplotlib.lines import Line2D

import gradlab as gl

RATE, SATURATED = 0.9, 0.25


def draw(tables):
    """The profiles side by side, and in all networks the rate against the saturated share."""
    lines, table, law = tables["profiles"], tables["networks"], tables["theory"]
    board = gl.plots.board("abc", height=2.9, widths=(1, 1, 1.25))
    scales, depths = sorted(table["sigma_w"].unique()), sorted(table["depth"].unique())
    looks = gl.plots.looks(scales, line=False)
    named = {scale: ("$\\sigma_w$ = " if scale == scales[-1] else "") + f"{scale:.2g}" for scale in scales}
    markers = {depth: look["marker"] for depth, look in gl.plots.looks([str(d) for d in depths]).items()}
    with board.drawing():
        for (scale, column), line in lines.groupby(["sigma_w", "column"]):
            panel = board["a" if column == "log10_delta_rms" else "b"]
            name = named[scale] if column == "log10_delta_rms" or scale > 2 else "≤ 2" if scale == 2 else None
            panel.plot(line["layer"], line["mean"], color=looks[scale]["color"], label=name)
            panel.fill_between(line["layer"], line["low"], line["high"], **gl.plots.role("band", looks[scale]["color"]))
        for row in table.itertuples():
            bars = [[row.saturated - row.saturated_low], [row.saturated_high - row.saturated]]
            across = [[row.rate - row.low], [row.high - row.rate]]
            mark = gl.plots.dots(looks[row.sigma_w]["color"]) | {"marker": markers[str(row.depth)]}
            board["c"].errorbar(
                row.rate, row.saturated, bars, across, **mark, elinewidth=gl.plots.role("bars")["linewidth"]
            )
        for row in table[table["depth"] == depths[0]].itertuples():
            look = {"fontsize": "small", "ha": "right" if row.sigma_w > 2 else "center", "va": "bottom"}
            place = {"xytext": (0 if 1 <= row.sigma_w <= 2 else -3, 3), "textcoords": "offset points"}
            board["c"].annotate(named[row.sigma_w], (row.rate, row.saturated), **place, **look)
        board["c"].plot(law["rate"], law["saturated"], label="theory", **gl.plots.role("theory"))
        top = max(1.5, 1.1 * table["high"].max())
        board["c"].fill_between([RATE, top], 0, SATURATED, **gl.plots.role("zone"))
        board["c"].text(RATE, SATURATED / 2, " gradient kept,\n units unsaturated:\n no network", fontsize="small",
                        va="center")  # fmt: skip
        layers = [1, *range(lines["layer"].max() // 4, lines["layer"].max() + 1, lines["layer"].max() // 4)]
        for panel in "ab":
            board[panel].set(xlabel="layer (1 = next to the input)", xticks=layers)
        gl.plots.log10_axis(board["a"])
        board["a"].set(ylabel="rms gradient ∂L/∂z", xlim=(-0.3 * layers[-1], 1.03 * layers[-1]))
        board["b"].set(ylabel="saturated share of units", ylim=(-0.02, 1))
        board["c"].set(xlabel="factor of the rms gradient per layer", ylabel="saturated share of units")
        board["c"].set(xlim=(0, top), ylim=(-0.02, 1))
        for text in gl.plots.label_ends(board["a"], side="left") + gl.plots.label_ends(board["b"]):
            text.set_color("black")
    grey = gl.plots.dots("0.35")
    shown = {f"{d} layers": Line2D([], [], **grey | {"marker": markers[str(d)]}) for d in depths}
    board.legend("above", **shown)
    return {"saturation": board.figure}
