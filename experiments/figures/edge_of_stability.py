"""Sharpness and loss along full-batch trainings."""

import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl

CLOSE = 0.05
NAMES = {"sgd": "descent", "momentum": "momentum", "adam": "Adam", "rmsprop": "RMSProp"}
#: Networks that are shown beside the cases of the claim.
BESIDE = {("sgd", 0.1), ("rmsprop", 0.0003)}


def label(optimizer, rate):
    """A network in words."""
    return f"{NAMES[optimizer]}, η = {rate:g}"


def interval(values):
    """Mean and 95 % t-interval; NaN where a seed has no value."""
    values = np.asarray(values, float)
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half


def lines(frame):
    """Means and intervals of what the figure shows, by network and step."""
    rows = []
    for (optimizer, rate, step), part in frame.groupby(["optimizer", "learning_rate", "step"], sort=False):
        for column in ("ratio", "sharpness", "log10_train_loss"):
            threshold = part["sharpness_threshold"].iloc[0]
            rows.append((optimizer, rate, step, column, *interval(part[column]), threshold))
    names = ["optimizer", "learning_rate", "step", "column", "mean", "low", "high", "threshold"]
    return pd.DataFrame(rows, columns=names)


def draw(tables):
    """Sharpness of gradient descent above its loss; beside them all other optimisers, over their thresholds."""
    lines = tables["lines"]
    board = gl.plots.board("ab;cd", height=4.6)
    descent = lines["optimizer"] == "sgd"
    with board.drawing():
        for panels, own, value in (("ac", lines[descent], "sharpness"), ("bd", lines[~descent], "ratio")):
            top, bottom = (board[letter] for letter in panels)
            networks = list(own.groupby(["optimizer", "learning_rate"], sort=False).groups)
            looks = gl.plots.looks([label(*network) for network in networks])
            for (optimizer, rate, column), line in own.groupby(["optimizer", "learning_rate", "column"], sort=False):
                if column not in (value, "log10_train_loss"):
                    continue
                name, place = label(optimizer, rate), networks.index((optimizer, rate))
                line = line[line["step"] > 0] if column == "ratio" else line
                look = looks[name] | {"markevery": (place, 5), "label": name}
                ax = top if column == value else bottom
                ax.plot(line["step"], line["mean"], **look)
                ax.fill_between(line["step"], line["low"], line["high"], **gl.plots.role("band", look["color"]))
                if column == "sharpness":
                    dashed = gl.plots.role("threshold") | {"color": look["color"]}
                    ax.axhline(line["threshold"].iloc[0], **dashed)
            gl.plots.log10_axis(bottom)
            bottom.set(ylabel="training loss", xlabel="training step")
            gl.plots.label_ends(bottom)
        zone = gl.plots.role("zone")
        board["b"].axhspan(1 - CLOSE, 1 + CLOSE, **zone)
        board["b"].axhline(1.0, **gl.plots.role("threshold"))
        board["a"].set(ylabel="sharpness", ylim=(0, None))
        board["b"].set(ylabel="sharpness / threshold", ylim=(0, None))
    return {"edge_of_stability": board.figure}
