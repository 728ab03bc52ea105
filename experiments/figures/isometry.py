"""Figure of the experiment on singular values."""

from matplotlib.lines import Line2D

import gradlab as gl


def draw(tables, ratio):
    """The spectra of the shallowest and of the deepest networks, and the ratio of the moments against depth."""
    board = gl.plots.board("abc", height=2.7)
    looks, depths = gl.plots.looks(tables["moments"]["network"].unique()), sorted(tables["moments"]["layers"].unique())
    with board.drawing():
        theory = gl.plots.role("theory")
        for panel, depth in zip("ab", (depths[0], depths[-1]), strict=True):
            for kind, look in looks.items():
                rows = tables["spectra"].query("network == @kind and layers == @depth")
                law = tables["laws"].query("network == @kind and layers == @depth")
                band = gl.plots.role("band", look["color"])
                board[panel].fill_between(rows["size"], rows["low"], rows["high"], **band)
                board[panel].plot(rows["size"], rows["mean"], **look | {"linestyle": "-", "markevery": 18}, label=kind)
                board[panel].plot(law["size"], law["below_fraction"], **theory)
            gl.plots.log10_axis(board[panel], "x")
            board[panel].set(xlim=(law["size"].min(), law["size"].max()), ylim=(-0.02, 1.02), xlabel="singular value")
            board[panel].set_title(f"{depth} layers")
        board["a"].set_ylabel("share of smaller singular values")
        draw_ratios(board["c"], tables["moments"], looks, ratio)
    law = Line2D([], [], **gl.plots.role("theory"))
    board.legend("above", **{"law of infinite width": law})
    return {"isometry": board.figure}


def draw_ratios(ax, table, looks, ratio):
    """m2/m1² against depth beside its law, and the zone that the claim calls near isometry."""
    ax.axhspan(1, ratio, **gl.plots.role("zone"))
    for place, (kind, look) in enumerate(looks.items()):
        rows = table[table["network"] == kind]
        ax.plot(rows["layers"], rows["theory"], **gl.plots.role("theory"))
        bars = [rows["ratio"] - rows["low"], rows["high"] - rows["ratio"]]
        dots = gl.plots.dots(look["color"]) | {"marker": look["marker"]}
        width = gl.plots.role("bars")["linewidth"]
        ax.errorbar(rows["layers"] * 1.04 ** (place - 1.5), rows["ratio"], bars, **dots, elinewidth=width)
    ax.set(xscale="log", yscale="log", xlabel="layers L", ylabel=r"$m_2/m_1^2$ of $JJ^T$", ylim=(0.93, None))
    depths = sorted(table["layers"].unique())
    ax.set_xticks(depths, [str(d) for d in depths], minor=False)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter("{x:g}")
    ax.text(0.04, ratio * 0.93, "near isometry", fontsize="small", va="top", transform=ax.get_yaxis_transform())
