"""Accuracy, loss and first gradient of thirty ReLU layers."""

import numpy as np

import gradlab as gl

LEARNT, CHANCE, RATES = 0.9, 0.15, (0.01, 0.03, 0.1)
NAMES = {"he_normal": "He", "xavier_normal": "Xavier"}


def draw(tables):
    """Accuracy and loss against the step; the gradient by layer before the first."""
    curves, start, step = tables["curves"], tables["start"], tables["networks"]["judged_at"].iloc[0]
    board = gl.plots.board("abc", height=2.75)
    networks = list(curves.groupby(["init", "learning_rate"]).groups)
    looks = gl.plots.looks([f"{NAMES[init]}, {rate:g}" for init, rate in networks])
    with board.drawing():
        for (init, rate, column), line in curves[curves["step"] > 0].groupby(["init", "learning_rate", "column"]):
            panel, place = board["a" if column == "train_accuracy" else "b"], networks.index((init, rate))
            name = f"{NAMES[init]}, {rate:g}"
            banded(panel, line["step"], line, looks[name] | {"markevery": (place, 4), "label": name})
        for init, line in start.groupby("init"):
            look = looks[f"{NAMES[init]}, {RATES[0]:g}"] | {"markevery": 5, "label": NAMES[init]}
            banded(board["c"], line["layer"], line, look)
        for line in (LEARNT, CHANCE):
            board["a"].axhline(line, **gl.plots.role("threshold"))
        board["b"].axhline(np.log10(np.log(10)), **gl.plots.role("reference"))
        for panel in (board["a"], board["b"]):
            panel.axvline(step, **gl.plots.role("threshold") | {"linestyle": ":"})
            panel.set(xscale="log", xlim=(1, curves["step"].max()), xlabel="training step")
        for panel in (board["b"], board["c"]):
            gl.plots.log10_axis(panel)
        board["a"].set(ylabel="training accuracy", ylim=(0, 1.02), yticks=(0, CHANCE, 0.5, LEARNT))
        board["b"].set(ylabel="training loss")
        layers = [1, *range(10, start["layer"].max() + 1, 10)]
        board["c"].set(xlabel="layer (1 = next to the input)", ylabel="rms gradient ∂L/∂z", xticks=layers)
        gl.plots.label_ends(board["c"])
        for _, line in start.groupby("init"):
            board["c"].plot(line["layer"], line["theory"], label="theory", **gl.plots.role("theory"))
    board.legend("above")
    return {"thirty_layers": board.figure}


def banded(ax, at, line, look):
    """A mean with its band."""
    ax.plot(at, line["mean"], **look)
    ax.fill_between(at, line["low"], line["high"], **gl.plots.role("band", look["color"]))
