"""Figure of the experiment on recurrent networks."""

import math

import numpy as np

import gradlab as gl

RADII = (0.5, 0.9, 1.0, 1.1, 1.5)
PLAIN, GATED = ("linear", "tanh"), ("LSTM, b_f = 1", "LSTM, b_f = ln(T−1)", "GRU")


def alone(kind, steps):
    """The factor per step along a gate alone."""
    return dict(zip(GATED, (1 / (1 + math.exp(-1)), 1 - 1 / steps, 0.5), strict=True))[kind]


def short(kind):
    """The label of a kind of network: of an LSTM with its forget bias."""
    return kind.replace("b_f = ", "")


def draw(tables):
    """Plain cells by radius, gates, and the rate of all."""
    lines, table = tables["profiles"], tables["networks"]
    board, radii = gl.plots.board("ab;cd", height=4.8), gl.plots.looks(RADII, line=False)
    kinds, log10 = gl.plots.looks((*GATED, *PLAIN)), np.log10
    with board.drawing():
        for (kind, radius), line in lines.groupby(["kind", "radius"], sort=False):
            if kind in GATED and radius != 1.0:
                continue
            ax, look = board["c"], kinds[kind]
            if kind in PLAIN:
                ax, look = board["ab"[PLAIN.index(kind)]], radii[radius]
            look = look | {"markevery": int(line["before"].max() // 6)}
            ax.plot(line["before"], line["mean"], **look, label=short(kind) if kind in GATED else f"ρ = {radius:g}")
            ax.fill_between(line["before"], line["low"], line["high"], **gl.plots.role("band", look["color"]))
            if kind != "tanh":  # a gate's way begins where the gradient has left h
                first, factor = (0, radius) if kind == "linear" else (1, alone(kind, table["depth"].max()))
                start = line.set_index("before")["mean"][first]
                theory = start + (line["before"] - first) * log10(factor)
                ax.plot(line["before"][line["before"] >= first], theory[line["before"] >= first],
                        **gl.plots.role("theory", look["color"]))  # fmt: skip
        draw_rates(board["d"], table, kinds)
        plain = lines[lines["kind"].isin(PLAIN)]["mean"]
        for name, title in zip("abc", ("linear", "tanh", "gates, ρ = 1"), strict=True):
            board[name].set(title=title, xlabel="time steps before the output (← time)", ylabel="rms gradient")
            gl.plots.log10_axis(board[name])
            board[name].set_xlim(0, table["depth"].max() - 1)
        for name in "ab":
            board[name].set_ylim(plain.min() - 2, plain.max() + 2)
        for name, ax in board.items():
            for text in gl.plots.label_ends(ax):
                text.set_color("black" if name in "ab" else text.get_color())  # the lightest is too light for letters
    return {"spectral_radius": board}


def draw_rates(ax, table, kinds):
    """The rate against the radius, beside that of the gates alone."""
    for kind, look in kinds.items():
        rows = table[table["kind"] == kind].sort_values("radius")
        ax.plot(rows["radius"], rows["rate"], **look, label=short(kind))
        bars = [rows["rate"] - rows["low"], rows["high"] - rows["rate"]]
        ax.errorbar(rows["radius"], rows["rate"], bars, fmt="none", ecolor=look["color"])
        if kind in GATED:
            ax.axhline(alone(kind, table["depth"].max()), **gl.plots.role("reference"))
    for kind, text in zip(GATED, ("σ(1)", "1 − 1/T", "1/2"), strict=True):
        place = {"xy": (0.32, alone(kind, table["depth"].max())), "va": "bottom", "fontsize": "small"}
        ax.annotate(text, color=kinds[kind]["color"], **place)
    ax.set(
        title="all",
        xlabel="spectral radius ρ",
        ylabel="rate: factor of the rms\ngradient per time step",
        xlim=(0.3, 1.55),
    )
