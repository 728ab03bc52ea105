"""Figure of the experiment on gradients over initialisations."""

import numpy as np

import gradlab as gl

#: Edges of the histograms.
BINS = np.linspace(-8, 4, 49)


def draw(tables):
    """A histogram beside its law for each shape, of the network that varies most; and all variances."""
    table = tables["networks"]
    looks = gl.plots.looks(table["shape"].unique())
    last = table.groupby("shape", sort=False)["network"].last()
    names = "abcd"[: len(last)]
    board = gl.plots.board(f"{names}z", height=2.5, widths=[1] * len(last) + [1.7])
    with board.drawing():
        for name, (shape, network) in zip(names, last.items(), strict=True):
            ax, look = board[name], looks[shape]
            values = tables["seeds"].query("network == @network")["ln_norm2"].to_numpy(float)
            ax.hist(
                values[np.isfinite(values)], BINS, density=True, histtype="stepfilled", facecolor=(look["color"], 0.35),
                edgecolor=look["color"], linewidth=gl.plots.role("bars")["linewidth"],
            )  # fmt: skip
            law = tables["density"].query("network == @network")
            ax.plot(law["ln_norm2"], law["density"], **gl.plots.role("theory"))
            ax.set(xlim=(BINS[0], BINS[-1]), ylim=(0, 0.4), xlabel=r"$\ln|Ju|^2$  [nat]")
            ax.set_title(f"{shape}\n{network}", fontsize="medium")
            ax.set_yticks([0, 0.1, 0.2, 0.3, 0.4], [] if name != "a" else None)
        board["a"].set_ylabel("density  [1/nat]")
        draw_variances(board["z"], table, looks)
    return {"lognormal": board.figure}


def draw_variances(ax, table, looks):
    """The variance of each network beside the exact law and its first order."""
    for row in table.itertuples():
        look = looks[row.shape]
        dots = gl.plots.dots(look["color"]) | {"marker": look["marker"]}
        broad = {"color": "black", "markersize": 3.4 * dots["markersize"], "zorder": 2}
        ax.plot(row.inverse_width_sum, row.variance_law, "_", **broad)
        width = gl.plots.role("bars")["linewidth"]
        ax.errorbar(row.inverse_width_sum, row.variance, 1.96 * row.variance_error, **dots, elinewidth=width)
        beside = row.shape == "pyramid" and row.inverse_width_sum > 0.2  # else its name would lie on another one
        below = row.shape == "constant"
        at = row.inverse_width_sum, row.variance + (0 if beside else -1.96 if below else 1.96) * row.variance_error
        place = {"ha": "right", "va": "center"} if beside else {"ha": "left", "va": "top"}
        place = place if beside or below else {"ha": "center", "va": "bottom"}
        aside = (-11, 0) if beside else (4, 0) if below else (0, 3)
        ax.annotate(row.network, at, aside, textcoords="offset points", fontsize="small", **place)
    reach = 1.05 * table["inverse_width_sum"].max()
    ax.plot([0, reach], [0, 5 * reach], **gl.plots.role("reference"))
    ax.text(0.75 * reach, 3.3 * reach, r"$5\,\sum_l 1/n_l$", color="0.35", fontsize="small", va="top")
    ax.set(
        xlim=(0, 1.25 * reach), ylim=(0, None), xlabel=r"$\sum_l 1/n_l$", ylabel=r"variance of $\ln|Ju|^2$  [nat$^2$]"
    )
