"""Figures of the experiment on the place of layer normalisation."""

import numpy as np

import gradlab as gl

DELTA, WEIGHTS, STREAM = "log10_delta_rms", "log10_weight_grad_norm", "log10_preactivation_rms"
NORMS = ("pre", "post")
#: In the order of the parameters.
KINDS = ("keys", "output", "queries", "values", "feed-forward 1", "feed-forward 2")
SHARED, EACH = "mean over positions", "each position"


def draw(tables):
    """The last block against depth; single weights and the gradient on the stream by block."""
    return {
        "layer_norm_place": draw_last(tables["ratios"]),
        "weights": draw_blocks(tables["weights"], tables["blocks"]),
    }


def draw_last(table):
    """Delta and all weights of the last block against depth."""
    board, look = gl.plots.board("ab", height=2.6, sharey=True), gl.plots.looks(NORMS, line=False)
    depths = np.array(sorted(table["depth"].unique()))
    stream = table[(table["norm"] == "pre") & (table["column"] == STREAM)]
    with board.drawing():
        for ax, column in ((board["a"], DELTA), (board["b"], WEIGHTS)):
            for norm in NORMS:
                rows = table[(table["norm"] == norm) & (table["column"] == column)]
                mean, low, high = (10 ** rows[name] for name in ("mean", "low", "high"))
                ax.plot(rows["depth"], mean, **look[norm], label=f"{norm}-LN")
                ax.errorbar(rows["depth"], mean, [mean - low, high - mean], fmt="none", ecolor=look[norm]["color"])
            ax.plot(stream["depth"], 10 ** -stream["mean"], **gl.plots.role("theory"), label="1/rms of the stream")
            law = ((1 + depths / 2) / (1 + depths[0] / 2)) ** -0.5
            ax.plot(depths, law, **gl.plots.role("theory") | {"linestyle": ":"}, label="without attention")
            ax.set(xscale="log", yscale="log", xlabel="depth (blocks)", ylim=(0.2, 2))
            ax.set_xticks(depths, [str(d) for d in depths])
            ax.set_yticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
            ax.minorticks_off()
        board["a"].set_ylabel(f"relative to {depths[0]} blocks")
        board["a"].set_title("gradient on the stream")
        board["b"].set_title("gradient of all weights")
    board.legend("above")
    return board


def draw_blocks(weights, blocks):
    """The gradient of each weight by block, before and after; the gradient on the stream."""
    board = gl.plots.board("abc", height=2.6)
    looks = gl.plots.looks(sorted(KINDS, key=lambda kind: kind not in ("queries", "keys")))
    last, norms = int(blocks["block"].max()), gl.plots.looks(NORMS)
    with board.drawing():
        for norm, ax in zip(NORMS, (board["a"], board["b"]), strict=True):
            for kind, look in looks.items():
                line = weights[(weights["norm"] == norm) & (weights["kind"] == kind)]
                ax.plot(line["block"], line["mean"], **look | {"marker": ""}, label=kind)
                ax.fill_between(line["block"], line["low"], line["high"], **gl.plots.role("band", look["color"]))
            ax.set(title=f"{norm}-LN", ylim=(weights["low"].min() - 0.5, weights["high"].max() + 0.5))
        board["a"].set_ylabel("norm of the gradient of a weight")
        for (norm, readout), line in blocks.groupby(["norm", "readout"], sort=False):
            colour, dash = norms[norm]["color"], "-" if readout == SHARED else "--"
            label = f"{norm}-LN" if readout == SHARED else "_"
            board["c"].plot(line["block"], line["mean"], dash, color=colour, label=label)
            board["c"].fill_between(line["block"], line["low"], line["high"], **gl.plots.role("band", colour))
        board["c"].set(title="on the stream", ylabel="gradient over that at the last block")
        for ax in board.values():
            ax.set(xlabel="block (1 = next to the input)", xlim=(1, last))
            ax.set_xticks([1, *range(last // 4, last + 1, last // 4)])
            gl.plots.log10_axis(ax)
        board["c"].plot([], [], "--", color="0.35", label="each position")
        board["c"].legend(loc="upper right")
        gl.plots.label_ends(board["b"])
    return board
