"""Variances beside theory, and activations along a training."""

import numpy as np

import gradlab as gl

TOLERANCE, LAYERS = 0.05, (1, 3, 5)
NAMES = {"standard_uniform": "standard", "xavier_uniform": "normalised"}


def draw(tables):
    """Variances by layer beside theory, and over theory; activations along the training."""
    return {"variances": draw_variances(tables["variances"]), "activations": draw_training(tables["training"])}


def draw_variances(table):
    """Measured and predicted variances above, their ratio below."""
    # the first two looks are those of the mean and the percentile in the other figure
    looks = gl.plots.looks(["mean", "percentile", *NAMES.values()])
    board = gl.plots.board("ab;cd", sharex=True, height=4.2)
    with board.drawing():
        for (quantity, weights), own in table.groupby(["quantity", "weights"]):
            above, below = ("a", "c") if quantity == "activation" else ("b", "d")
            look = looks[weights] | {"label": f"{weights} weights"}
            pointed(board[above], own["layer"], np.log10(own[["variance", "variance_low", "variance_high"]]), look)
            shift = 0.08 if weights == "standard" else -0.08
            pointed(board[below], own["layer"] + shift, own[["ratio", "low", "high"]], look)
        for (quantity, _), own in table.groupby(["quantity", "weights"]):
            panel = board["a" if quantity == "activation" else "b"]
            panel.plot(own["layer"], np.log10(own["predicted"]), label="theory", **gl.plots.role("theory"))
        for panel in "ab":
            gl.plots.log10_axis(board[panel])
        for panel in "cd":
            board[panel].axhspan(1 - TOLERANCE, 1 + TOLERANCE, **gl.plots.role("zone"))
            board[panel].axhline(1, **gl.plots.role("theory"))
            board[panel].set(xlabel="layer (1 = next to the input)", ylim=(1 - 1.4 * TOLERANCE, 1 + 1.4 * TOLERANCE))
            board[panel].set(ylabel="measured / theory", xlim=(0.7, 5.3), xticks=range(1, 6))
        board["a"].set_ylabel("variance of activations")
        board["b"].set_ylabel("variance of ∂L/∂z,\nrelative to the last layer")
    board.legend("above")
    return board.figure


def pointed(ax, at, values, look):
    """Points with bars, hollow for standard weights; the columns are middle, low, high."""
    middle, low, high = values.to_numpy().T
    bars = gl.plots.role("bars")["linewidth"]
    ax.errorbar(at, middle, [middle - low, high - middle], fmt="none", ecolor=look["color"], elinewidth=bars)
    ax.plot(at, middle, **look | gl.plots.dots(look["color"], hollow=look["label"].startswith("standard")))


def draw_training(trained):
    """Activations along the training, a row for each kind of weights, on one scale."""
    board = gl.plots.board("abc;def", sharex=True, sharey=True, height=4.0)
    gl.plots.activation_bands(trained, row="init", layers=LAYERS, ax=list(board.values()))
    for name, panel in board.items():
        panel.set(ylabel="", xlabel="training step" if name in "def" else "")
    for name, weights in zip("ad", NAMES.values(), strict=True):
        board[name].set_ylabel(f"activation,\n{weights} weights")
    board.legend("above")
    return board.figure
