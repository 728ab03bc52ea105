"""The surface with one descent of each kind, and the shares of all descents."""

import gradlab as gl
from gradlab.plots.training.cliff import LOOKS
from gradlab.training.cliff import Cliff

ACTIVATION, TIME, TARGET, CLIP = "sigmoid", 50, 0.7, 1.0
#: Learning rates that the claim speaks of.
CLAIMED = (0.3, 1.0)
FAR, GOOD, FEWER, MORE = 3.0, 1e-3, 0.5, 0.9


def draw(tables):
    """The surface with one descent of each kind and the loss along both; the shares of all descents."""
    board = gl.plots.board("ab", height=2.9)
    cliff = Cliff(tables["surface"], tables["path"], ACTIVATION, TIME, TARGET, CLAIMED[0], CLIP)
    gl.plots.cliff(cliff, ax=[board["a"], board["b"]])
    with board.drawing():
        for bar in board.figure.axes[len(board) :]:  # its name stands above it, away from the other panel's
            bar.set_ylabel("")
            bar.set_title("loss", fontsize="small")
    board.legend("above")
    return {"clipping_cliff": board.figure, "shares": draw_shares(tables["shares"])}


def draw_shares(table):
    """Shares thrown and arrived against the learning rate, with the lines of the claim."""
    board = gl.plots.board("ab", width="column", height=2.3, sharex=True, sharey=True)
    looks = {**LOOKS, "clipped": {**LOOKS["clipped"], "color": "black"}}
    with board.drawing():
        for (method, judged), own in table.groupby(["method", "judged"]):
            for panel, name in (("a", "thrown"), ("b", "arrived")):
                mark = looks[method] | gl.plots.dots(looks[method]["color"], hollow=not judged)
                share, low, high = (own[f"{name}_{end}"] for end in ("share", "low", "high"))
                bars = gl.plots.role("bars", looks[method]["color"])
                board[panel].errorbar(own["learning_rate"], share, [share - low, high - share], fmt="none",
                                      ecolor=bars["color"], elinewidth=bars["linewidth"])  # fmt: skip
                board[panel].plot(own["learning_rate"], share, **mark, label=method if judged else None)
        for panel, line, method in (("a", FEWER, "unclipped"), ("b", FEWER, "unclipped"), ("b", MORE, "clipped")):
            board[panel].axhline(line, **gl.plots.role("threshold", looks[method]["color"]))
            side = "less" if (panel, method) == ("b", "unclipped") else "more"
            place = {"xy": (0.5, line), "xycoords": ("axes fraction", "data"), "xytext": (0, -1)}
            look = {"ha": "center", "va": "top", "fontsize": "small", "color": looks[method]["color"]}
            board[panel].annotate(f"{method}: {side}", **place, textcoords="offset points", **look)
        rates = sorted(table["learning_rate"].unique())
        for panel, name in (("a", f"thrown farther than {FAR:g}"), ("b", f"ending below {GOOD:g}")):
            board[panel].set(xscale="log", xlabel="learning rate", ylabel=f"share {name}")
            board[panel].set_xticks(rates, [f"{rate:g}" for rate in rates])
            board[panel].minorticks_off()
            board[panel].set(ylim=(-0.03, 1.03), xlim=(rates[0] / 1.4, rates[-1] * 1.4))
    board.legend("above")
    return board.figure
