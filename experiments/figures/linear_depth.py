"""Losses and learning times of deep linear networks, drawn and in cells."""

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import margin

SHALLOW, GROWTH, LEARNT = 4, 2, 1e-3
KINDS = {"orthogonal": "orthogonal", "lecun_normal": "Gaussian"}
FLOOR, TOP, TICKS = -5, 1, (10, 30, 100, 300)


def curves(frame):
    """log10 of the losses of the shallowest and the deepest networks: median and quartiles over seeds."""
    parts = []
    ends = frame[frame["depth"].isin((SHALLOW, frame["depth"].max()))]
    for (init, depth), own in ends.groupby(["init", "depth"]):
        losses = np.nan_to_num(np.stack(own["losses"]), nan=np.inf)
        low, middle, high = np.quantile(losses, (0.25, 0.5, 0.75), axis=0, method="nearest")
        logs = {name: np.log10(v) for name, v in (("median", middle), ("low", low), ("high", high))}
        parts.append(pd.DataFrame({"init": init, "depth": depth, "step": range(len(low)), **logs}))
    return pd.concat(parts, ignore_index=True)


def draw(tables):
    """Losses at the chosen rate, learning time against depth, and against the rate."""
    board = gl.plots.board("abc", height=2.75)
    losses, networks, tried = tables["losses"], tables["networks"], tables["choosing"]
    steps, deep = int(losses["step"].max()) + 1, int(networks["depth"].max())
    looks = gl.plots.looks(list(KINDS.values()), line=False)
    kind = lambda depth: "--" if depth == SHALLOW else "-"
    with board.drawing():
        for (init, depth), own in losses[losses["step"] > 0].groupby(["init", "depth"], sort=False):
            look = looks[KINDS[init]] | {"linestyle": kind(depth), "marker": ""}
            board["a"].plot(own["step"], own["median"], **look)
            calm, band = own[own["high"] < TOP], gl.plots.role("band", look["color"])
            board["a"].fill_between(calm["step"], calm["low"], calm["high"], **band)
        board["a"].axhline(np.log10(LEARNT), **gl.plots.role("threshold"))
        for weights, own in networks.groupby("weights"):
            look = looks[weights] | {"label": weights}
            pointed(board["b"], own["depth"], own["time"], own["time_low"], own["time_high"], look, steps)
        for (init, depth), own in tried[tried["depth"].isin((SHALLOW, deep))].groupby(["init", "depth"]):
            by = own.groupby("c")["time"]
            look = looks[KINDS[init]] | {"linestyle": kind(depth), "label": f"{KINDS[init]}, {depth} layers"}
            pointed(board["c"], by.median().index, by.median(), by.min(), by.max(), look, steps)
        gl.plots.log10_axis(board["a"])
        board["a"].set(xscale="log", xlim=(1, steps), ylim=(FLOOR, TOP), xlabel="training step",
                       ylabel="loss over that of answering 0")  # fmt: skip
        board["b"].set(xlabel="depth [hidden layers]")
        board["c"].set(xlabel="c = learning rate × depth", ylim=board["b"].get_ylim())
        for panel, ticks in (("b", sorted(networks["depth"].unique())), ("c", (0.1, 0.2, 0.4, 0.8, 1.6, 3.2))):
            board[panel].set(yscale="log", ylabel="learning time [steps]", ylim=(8, 1.15 * steps))
            board[panel].set_xscale("log", base=2)
            board[panel].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            board[panel].set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
            board[panel].minorticks_off()
        board["c"].set_xlim(min(tried["c"]) / 1.15, max(tried["c"]) * 1.15)
        unfinished = networks[np.isinf(networks["time"])]
        for row in unfinished.itertuples():
            mark = gl.plots.dots(looks[row.weights]["color"], share=1.2)
            board["b"].plot(row.depth, steps, marker="^", **mark)
        gl.plots.label_ends(board["b"])
    board.legend("above")
    return {"linear_depth": board.figure}


def pointed(ax, at, middle, low, high, look, steps):
    """Medians with bars, as far as the steps reach."""
    at, middle, low, high = (np.asarray(v, float) for v in (at, middle, low, high))
    seen = np.where(np.isfinite(middle), middle, np.nan)
    bars = [seen - low, np.minimum(high, steps) - seen]
    ax.errorbar(at, seen, bars, fmt="none", ecolor=look["color"], elinewidth=gl.plots.role("bars")["linewidth"])
    ax.plot(at, seen, **look)


def show(tables):
    """The table of the page."""
    said = lambda v, most: f"{v:.3g}" if np.isfinite(v) else f"> {most:.3g}"
    cell = lambda most, *values: "{} [{}, {}]".format(*(said(v, most) for v in values))
    table, steps = tables["networks"], int(tables["losses"]["step"].max()) + 1
    most = steps / table[table["depth"] == SHALLOW].set_index("weights")["time"]
    rows = list(table.itertuples())
    cells = {
        "weights": [r.weights for r in rows],
        "depth": [r.depth for r in rows],
        "chosen c": [f"{r.c:g}" for r in rows],
        "learning time": [cell(steps, r.time, r.time_low, r.time_high) for r in rows],
        f"over that of {SHALLOW} layers": [
            cell(most[r.weights], r.ratio, r.low, r.high) if r.depth > SHALLOW else "1" for r in rows
        ],
        "seeds that did not learn": [r.late for r in rows],
        "margin": [margin(r.low, r.high, GROWTH) if np.isfinite(r.high) else np.inf for r in rows],
    }
    return pd.DataFrame(cells).set_index("weights")
