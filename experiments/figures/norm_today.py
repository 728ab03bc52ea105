"""Figures of the experiment on where the norm stands today."""

import numpy as np

import gradlab as gl

KINDS = ("pre", "peri", "scaled")
LABELS = {"pre": "pre-LN", "peri": "peri-LN", "scaled": "LayerNorm scaling"}
ONE = 1


def draw(tables):
    """The start: stream and gradient by block. The training: the stream of each place at its start and end."""
    return {"norm_today": draw_start(tables["profiles"]), "training": draw_training(tables["trained"])}


def draw_start(profiles):
    """Variance of the stream and mean squared gradient by block, beside theory for one position."""
    board, looks = gl.plots.board("ab", height=2.8), gl.plots.looks(KINDS)
    last = int(profiles["block"].max())
    for name, column in (("a", "variance"), ("b", "gradient")):
        ax = board[name]
        for (positions, kind), rows in profiles[profiles["signal"] == column].groupby(
            ["positions", "kind"], sort=False
        ):
            colour = looks[kind]["color"]
            mean, low, high = (np.exp(rows[c]) for c in ("mean", "low", "high"))
            several = positions != ONE
            if several:
                ax.plot(rows["block"], mean, **looks[kind] | {"markevery": max(1, last // 8)}, label=LABELS[kind])
                ax.fill_between(rows["block"], low, high, **gl.plots.role("band", colour))
                continue
            some = rows[rows["block"] % max(1, last // 8) == 0]
            ends = [np.exp(some[c]) for c in ("mean", "low", "high")]
            dots = gl.plots.dots(colour, hollow=True, share=0.9) | {"marker": looks[kind]["marker"]}
            ax.errorbar(some["block"], ends[0], [ends[0] - ends[1], ends[2] - ends[0]], **dots)
            ax.plot(rows["block"], np.exp(rows["theory"]), **gl.plots.role("theory", colour))
        ax.set(xlabel="block l", xlim=(0, last))
        ax.set_xticks(range(0, last + 1, max(1, last // 4)))
    board["a"].set(ylabel="variance of the stream", title="forward", ylim=(0, None))
    board["b"].set(yscale="log", ylabel="mean squared gradient,\nover that at the last block", title="backward")
    board["a"].plot([], [], **gl.plots.role("theory"), label="theory, one position")
    board.legend("above")
    return board


def draw_training(trained):
    """Variance of the stream by block at each recorded step: a panel for each place of the norms."""
    board = gl.plots.board("abc", height=2.6, sharey=True)
    steps = sorted(trained["step"].unique())
    last = int(trained["block"].max())
    shades = [str(0.75 - 0.75 * i / max(1, len(steps) - 1)) for i in range(len(steps))]
    for name, kind in zip("abc", KINDS, strict=True):
        ax = board[name]
        for step, shade in zip(steps, shades, strict=True):
            rows = trained[(trained["kind"] == kind) & (trained["step"] == step)]
            label = f"step {step}"
            ax.plot(rows["block"], np.exp(rows["mean"]), color=shade, label=label)
            ax.fill_between(rows["block"], np.exp(rows["low"]), np.exp(rows["high"]), **gl.plots.role("band", shade))
        ax.set(yscale="log", xlabel="block l", title=LABELS[kind], xlim=(1, last))
        ax.set_xticks([1, *range(max(1, last // 4), last + 1, max(1, last // 4))])
    low, high = np.exp(trained["low"].min()), np.exp(trained["high"].max())
    ticks = [v for v in (1, 2, 5, 10, 20, 50, 100) if low < v < high]
    board["a"].set_yticks(ticks, [str(v) for v in ticks])
    board["a"].minorticks_off()
    board["a"].set_ylabel("variance of the stream")
    board.legend("above")
    return board
