"""Figure of the experiment on the scale of residual branches."""

import numpy as np

import gradlab as gl

#: The line of the claim: growth that no scaled network reaches.
BOUND = 3.0
PLAIN, ROOT, INVERSE, LEARNED = SCALES = "1", "1/sqrt(L)", "1/L", "learned"
LABELS = {PLAIN: "a = 1", ROOT: "a = 1/√L", INVERSE: "a = 1/L", LEARNED: "a = 0"}


def draw(tables):
    """The gradient by block for all scales, for those that are bounded, and the growth of these against depth."""
    lines, table = tables["profiles"], tables["networks"]
    board, looks = gl.plots.board("abc", height=2.7), gl.plots.looks(SCALES)
    last, depths = int(lines["block"].max()), sorted(table["depth"].unique())
    with board.drawing():
        for scale, look in looks.items():
            own = lines[lines["branch_scale"] == scale]
            band = gl.plots.role("band", look["color"])
            for ax, of in ((board["a"], lambda v: v / np.log(10)), (board["b"], np.exp)):
                if ax is board["b"] and scale == PLAIN:
                    continue
                mean, low, high, theory = (of(own[name]) for name in ("ln_growth", "low", "high", "theory"))
                ax.plot(own["block"], mean, **look | {"linestyle": "-", "markevery": max(1, last // 8)})
                ax.fill_between(own["block"], low, high, **band)
                ax.plot(own["block"], theory, **gl.plots.role("theory", look["color"]))
            board["a"].plot([], [], **look | {"linestyle": "-"}, label=LABELS[scale])
            if scale != PLAIN:
                draw_growth(board["c"], table[table["branch_scale"] == scale], look)
        board["c"].axhspan(BOUND, 3.5, **gl.plots.role("zone"))
        board["c"].axhline(BOUND, **gl.plots.role("threshold"))
        board["c"].set(xscale="log", xlabel="depth L (blocks)", ylabel="growth over all blocks", ylim=(0.8, 3.5))
        board["c"].set_xticks(depths, [str(d) for d in depths])
        board["c"].minorticks_off()
        gl.plots.log10_axis(board["a"])
        board["a"].set_ylabel("mean squared gradient\nover that at the last block")
        board["b"].set(ylabel="the same, linear axis", ylim=(0.8, 3.5))
        for name in "ab":
            board[name].set(xlabel="block (1 = next to the input)", xlim=(1, last))
            board[name].set_xticks([1, *range(last // 4, last + 1, last // 4)])
        board["a"].plot([], [], **gl.plots.role("theory"), label="1 + a² per block")
    board.legend("above")
    return {"residual_scaling": board}


def draw_growth(ax, table, look):
    """Growth against depth of one scale, for branches of one and of two weights, and the law."""
    for layers, rows in table.groupby("branch_layers"):
        mean, low, high = (np.exp(rows[name]) for name in ("ln_growth", "low", "high"))
        dots = gl.plots.dots(look["color"], hollow=layers == 1, share=0.9) | {"marker": look["marker"]}
        ax.errorbar(rows["depth"] * (0.95 if layers == 1 else 1.05), mean, [mean - low, high - mean], **dots)
    ax.plot(rows["depth"], np.exp(rows["law"]), **gl.plots.role("theory", look["color"]))
