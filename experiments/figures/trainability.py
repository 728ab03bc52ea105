"""Figures of the experiment on trainability: the map at the end, and at several times."""

import numpy as np
from matplotlib.patheffects import Normal, Stroke

import gradlab as gl


def draw(tables, near, far, paper):
    """The map at the end with its intervals, and the map at several times."""
    steps = sorted(tables["maps"]["step"].unique())[-4:]
    whole = gl.plots.board("a", width="page", height=3.6)
    letters = "abcd"[: len(steps)]
    times = gl.plots.board(letters, height=2.2, sharey=True)
    cell = lambda r: f"{r.mean:.2f}\n[{r.low:.2f}, {r.high:.2f}]"
    with whole.drawing():
        image = draw_map(whole["a"], tables, steps[-1], cell, (near, far))
        draw_paper(whole["a"], tables["networks"], paper)
        bar(whole.figure, image, whole["a"])
    with times.drawing():
        for letter, step in zip(letters, steps, strict=True):
            image = draw_map(times[letter], tables, step, lambda r: f"{100 * r.mean:.0f}", (near, far))
            times[letter].set_title(f"{step} steps")
            times[letter].set_ylabel(times[letter].get_ylabel() if letter == "a" else "")
        bar(times.figure, image, [times[letter] for letter in letters])
    return {"trainability": whole.figure, "times": times.figure}


def bar(figure, image, axes):
    """The scale of the colours."""
    made = figure.colorbar(image, ax=axes, aspect=18, pad=0.02, label="training accuracy")
    made.outline.set_visible(False)


def white_line(share):
    """White with a black edge: it is seen on every colour of the map."""
    width = share * gl.plots.role("threshold")["linewidth"]
    return {
        "color": "white",
        "linewidth": width,
        "path_effects": [Stroke(linewidth=2 * width, foreground="black"), Normal()],
    }


def draw_map(ax, tables, step, cell, counts):
    """Accuracies at a step, cells side by side with what `cell` writes in them, and the claim's two lines."""
    rows = tables["maps"][tables["maps"]["step"] == step]
    grid = rows.pivot(index="depth", columns="sigma_w2", values="mean")
    image = ax.imshow(grid, cmap="cividis", vmin=0, vmax=1, origin="lower", aspect="auto")
    for row in rows.itertuples():
        at = grid.columns.get_loc(row.sigma_w2), grid.index.get_loc(row.depth)
        dark = row.mean < 0.5
        ax.text(*at, cell(row), ha="center", va="center", fontsize="small", color="white" if dark else "black")
    edges = np.arange(grid.shape[1] + 1) - 0.5
    scales = tables["networks"].groupby("sigma_w2")["xi_c"].first()
    depths = grid.index.to_numpy()
    for count, inside, kind in zip(counts, (np.less_equal, np.less), ("-", (0, (3, 1.5))), strict=True):
        tops = [np.sum(inside(depths, count * xi)) - 0.5 for xi in scales]
        ax.stairs(tops, edges, baseline=None, linestyle=kind, clip_on=False, **white_line(1.6))
    ax.set_xticks(range(grid.shape[1]), [f"{v:g}" for v in grid.columns])
    ax.set_yticks(range(grid.shape[0]), [str(v) for v in grid.index])
    ax.set(xlabel=r"$\sigma_w^2$ (fan-in $\times$ weight variance)", ylabel="depth  [hidden layers]")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return image


def draw_paper(ax, table, paper):
    """Short bars at the sides of each column where the published rule, so many ξ_c, lies within the map."""
    depths = np.sort(table["depth"].unique())
    for place, xi in enumerate(table.groupby("sigma_w2")["xi_c"].first()):
        at = np.interp(np.log(paper * xi), np.log(depths), np.arange(len(depths)), right=np.nan, left=np.nan)
        ax.hlines([at, at], [place - 0.5, place + 0.36], [place - 0.36, place + 0.5], **white_line(1.2))
