"""Correlation behind each layer, training accuracy, the slope tailored to each depth, and the table of the page."""

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import answered

LEARNT, ETA = 0.9, 0.9
#: Key of a network -> its name on the page.
NAMES = {"relu": "ReLU, He", "leaky": "leaky ReLU, tailored", "shaped": "tanh, shaped", "tanh": "tanh as it is"}
#: Depths whose slope the page names.
SLOPES = (20, 50, 100)


def draw(tables):
    """Correlation by layer before the first step; accuracy against the step; slope against depth."""
    start, curves, slopes = tables["start"], tables["curves"], tables["slopes"]
    board = gl.plots.board("abc", height=2.75)
    looks = {key: look for key, look in zip(NAMES, gl.plots.looks(NAMES.values()).values(), strict=True)}
    with board.drawing():
        for place, (key, name) in enumerate(NAMES.items()):
            own, along = start[start["network"] == key], curves[(curves["network"] == key) & (curves["step"] > 0)]
            look = looks[key] | {"label": name}
            board["a"].plot(own["layer"], own["mean"], **look | {"markevery": (3 * place, 12)})
            board["a"].fill_between(own["layer"], own["low"], own["high"], **gl.plots.role("band", look["color"]))
            board["a"].plot(own["layer"], own["theory"], **gl.plots.role("theory"))
            board["b"].plot(along["step"], along["mean"], **look | {"markevery": (place, 4)})
            board["b"].fill_between(along["step"], along["low"], along["high"], **gl.plots.role("band", look["color"]))
        board["a"].axhline(ETA, **gl.plots.role("threshold"))
        board["b"].axhline(LEARNT, **gl.plots.role("threshold"))
        board["c"].plot(slopes["depth"], slopes["slope"], color=looks["leaky"]["color"])
        named = slopes[slopes["depth"].isin(SLOPES)]
        board["c"].plot(named["depth"], named["slope"], **looks["leaky"] | {"linestyle": "none"})
        for row in named.itertuples():
            board["c"].annotate(
                f"{row.slope:.3f}",
                (row.depth, row.slope),
                (4, -3),
                textcoords="offset points",
                va="top",
                fontsize="small",
            )
        deepest = int(start["layer"].max())
        board["a"].set(
            xlabel="layer (1 = next to the input)", ylabel="correlation $c$ of two examples", ylim=(-0.25, 1.02),
            xticks=[1, *np.arange(10, deepest + 1, 10)], yticks=(0, 0.5, ETA, 1),
        )  # fmt: skip
        board["b"].set(
            xscale="log", xlim=(1, curves["step"].max()), ylim=(0, 1.02), yticks=(0, 0.5, LEARNT),
            xlabel="training step", ylabel="training accuracy",
        )  # fmt: skip
        board["c"].set(
            xlabel="depth [hidden layers]", ylabel="tailored slope below 0", ylim=(0, 0.8), xlim=(0, None)
        )  # fmt: skip
    board.legend("above")
    return {"without_skips": board.figure}


def show(tables):
    """The table of the page."""
    cell = lambda r, name: "{:.3f} [{:.3f}, {:.3f}]".format(*(getattr(r, name + e) for e in ("", "_low", "_high")))
    rows = list(tables["networks"].itertuples())
    cells = {
        "network": [NAMES[r.network] for r in rows], "activation": [f"`{r.activation}`" for r in rows],
        "learning rate": [f"{r.learning_rate:g}" for r in rows],
        "training accuracy": [cell(r, "accuracy") for r in rows], "test accuracy": [cell(r, "test") for r in rows],
        "claim": ["no case" if r.network == "tanh" else answered(r.claim) for r in rows],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("network")
