"""Loss along trainings by their learning rate, and how high it goes and how flat they end."""

import numpy as np

import gradlab as gl

#: Learning rates in units of one over the first sharpness, by what the claim says of them.
LAZY, CATAPULT, BETWEEN, DIVERGENT = (0.5, 1.0, 1.8), (2.2, 2.6, 3.0, 3.4, 3.8), (4.4,), (5.0, 6.0, 8.0)
CURVES = (1.0, 1.8, 2.2, 3.0, 3.8, 5.0)
NAMES = {"identity": "linear", "relu": "ReLU"}
#: Powers of ten that the panels of losses show at most.
TOP = 4


def phase(c):
    """What the claim says of trainings at c; empty where it says nothing."""
    return "lazy" if c in LAZY else "catapult" if c in CATAPULT else "diverged" if c in DIVERGENT else ""


def by_step(curves):
    """log10 of the losses by c and step: mean and range over the seeds that are finite there."""
    finite = curves[np.isfinite(curves["log10_loss"])]
    spread = finite.groupby(["c", "step"])["log10_loss"].agg(["mean", "min", "max"])
    return spread.reset_index().rename(columns={"min": "low", "max": "high"})


def draw(tables):
    """Losses against the step, the largest loss and the last sharpness against c."""
    board = gl.plots.board("abc", height=2.75)
    curves, trainings, networks = (tables[name] for name in ("curves", "trainings", "networks"))
    rates = gl.plots.looks([f"c = {c:g}" for c in sorted(curves["c"].unique())])
    kinds = {
        "linear": {"color": "black", "marker": "P", "linestyle": "-"},
        "ReLU": {"color": "0.55", "marker": "X", "linestyle": "--"},
    }
    with board.drawing():
        for c, line in curves.groupby("c"):
            line, look = line[line["mean"] < 2 * TOP], rates[f"c = {c:g}"]
            board["a"].plot(1 + line["step"], line["mean"], **look | {"label": f"c = {c:g}", "marker": ""})
            board["a"].fill_between(1 + line["step"], line["low"], line["high"], **gl.plots.role("band", look["color"]))
        for kind, name in NAMES.items():
            own = trainings[(trainings["activation"] == kind) & trainings["last_sharpness"].notna()]
            most = networks[(networks["activation"] == kind) & (2 * networks["diverged"] <= networks["seeds"])]
            own = own[own["c"].isin(most["c"])]
            for panel, value in (("b", "grown"), ("c", "flatter")):
                logs = np.log10(own.assign(value=own[value])[["c", "value"]].set_index("c")["value"]).groupby("c")
                spread(board[panel], logs, kinds[name] | {"label": name}, panel == "b")
            gone = networks[(networks["activation"] == kind) & (2 * networks["diverged"] > networks["seeds"])]
            shift = 0.06 if kind == "relu" else -0.06
            marks = gl.plots.dots(kinds[name]["color"]) | {"marker": "^", "linestyle": "", "clip_on": False}
            board["b"].plot(gone["c"] + shift, np.full(len(gone), TOP), **marks)
        c = np.linspace(1.6, 5, 100)
        board["c"].plot(c, 2 / c, label="2/c", **gl.plots.role("threshold"))
        for panel in "bc":
            for line in (2, 4):
                board[panel].axvline(line, **gl.plots.role("reference"))
            board[panel].set(xlabel="c = η λ", xlim=(0, 8.3), xticks=range(0, 9, 2))
        board["c"].set(ylabel="last sharpness / first", ylim=(0, 1.1))
        board["a"].set(ylim=(-3, TOP), xscale="log", xlabel="training step", ylabel="loss")
        board["b"].set(ylim=(-0.3, TOP), ylabel="largest loss / first")
        for panel in "ab":
            gl.plots.log10_axis(board[panel])
    board.legend("above")
    return {"catapult": board.figure}


def spread(ax, logs, look, in_powers):
    """Geometric means with bars from the smallest to the largest."""
    of = (lambda v: v) if in_powers else (lambda v: 10**v)
    at, middle, low, high = logs.mean().index, of(logs.mean()), of(logs.min()), of(logs.max())
    ax.errorbar(at, middle, [middle - low, high - middle], fmt="none", ecolor=look["color"],
                elinewidth=gl.plots.role("bars")["linewidth"])  # fmt: skip
    ax.plot(at, middle, **look)
