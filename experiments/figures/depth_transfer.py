"""Figure of the experiment on the best learning rate over depth."""

import numpy as np

import gradlab as gl

PLAIN, ROOT, INVERSE = 1.0, "1/sqrt(L)", "1/L"
SCALES = (PLAIN, ROOT, INVERSE)
LABELS = {"1.0": "a = 1", ROOT: "a = 1/√L", INVERSE: "a = 1/L"}


def draw(tables):
    """The loss against the rate by depth for each scale, and the best rate against depth."""
    losses, best, drifts = tables["losses"], tables["best"], tables["drifts"].set_index("scale")
    board = gl.plots.board("abcd", height=2.6)
    depths = sorted(losses["depth"].unique())
    colours, marks = gl.plots.looks(depths), gl.plots.looks(LABELS)
    finite = losses[np.isfinite(losses["loss"])]
    limits = 0.7 * finite["loss"].min(), min(1.3 * finite["loss"].max(), 10)
    with board.drawing():
        for letter, scale in zip("abc", LABELS, strict=True):
            ax = board[letter]
            for depth, look in colours.items():
                rows = finite[(finite["scale"] == scale) & (finite["depth"] == depth)]
                mean = rows.groupby("octave")["loss"].mean()
                ax.plot(2.0**mean.index, mean, **look | {"linestyle": "-"}, label=f"L = {depth}")
                place = best[(best["scale"] == scale) & (best["depth"] == depth)]["best"].mean()
                ax.plot([2.0**place], [0.03], marker="v", color=look["color"], linestyle="", clip_on=False,
                        transform=ax.get_xaxis_transform())  # fmt: skip
            ax.set(xscale="log", yscale="log", xlabel="learning rate", ylim=limits)
            ax.set_title(LABELS[scale])
        board["a"].set_ylabel("training loss [nat]")
        ax, at = board["d"], np.log2(np.array(depths, float))
        for i, (scale, look) in enumerate(marks.items()):
            rows = best[best["scale"] == scale].rename(columns={"best": "log2_best"})
            means = gl.summarise(rows, ["depth"], "log2_best").sort_values("depth")
            error = np.nan_to_num([means["mean"] - means["low"], means["high"] - means["mean"]])
            shift = 0.12 * (i - 1)
            ax.errorbar(at + shift, means["mean"], error, color="black", marker=look["marker"], linestyle="",
                        markerfacecolor=("white", "0.6", "black")[i], label=LABELS[scale])  # fmt: skip
            line = means["mean"].mean() + drifts.loc[scale, "drift"] * (at - at.mean())
            ax.plot(at, line, color="black", linestyle=("-", "--", ":")[i])
        ax.set(xlabel="depth L (blocks)", ylabel="best rate [octaves]")
        ax.set_xticks(at, [str(d) for d in depths])
    board.legend("above")
    return {"depth_transfer": board}
