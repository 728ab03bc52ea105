"""Figure of the experiment on the transition from order to chaos."""

from types import SimpleNamespace

import numpy as np

import gradlab as gl

CRITICAL = gl.theory.critical_sigma_w2("tanh", 0.05)
#: Colours of the two phases and of the line between them.
ORDERED, CHAOTIC, BETWEEN = "#0072B2", "#D55E00", "black"
#: So many layers between two dots.
EVERY = 4


def colour(sigma_w2):
    """Of the phase that a variance of the weights lies in."""
    return BETWEEN if abs(sigma_w2 / CRITICAL - 1) < 1e-6 else ORDERED if sigma_w2 < CRITICAL else CHAOTIC


def draw_layers(ax, table, middle, theory, bars=None):
    """A dashed line of theory for each σ_w², named at its end, with dots of what was measured at every few layers."""
    for sigma_w2, rows in table.groupby("sigma_w2"):
        look = colour(sigma_w2)
        line = gl.plots.role("theory", look) | {"color": look, "label": f"{sigma_w2:.3g}"}
        ax.plot(rows["layer"], rows[theory], **line)
        few = rows[(rows["layer"] % EVERY == 1) & rows[middle].notna()]
        ends = [few[middle] - few[bars[0]], few[bars[1]] - few[middle]] if bars else None
        dots = gl.plots.dots(look, share=0.7) | {"marker": "o" if sigma_w2 < CRITICAL else "s"}
        ax.errorbar(few["layer"], few[middle], ends, **dots, elinewidth=gl.plots.role("bars")["linewidth"])
    gl.plots.log10_axis(ax)


def draw_scales(ax, scales, theory):
    """Measured depth scales with their intervals beside theory's, against σ_w²."""
    ax.set(
        yscale="log",
        ylim=(2, 300),
        xlabel=r"$\sigma_w^2$ (fan-in $\times$ weight variance)",
        ylabel="depth scale  [layers]",
    )
    for name, title, hollow in (("xi_grad", r"$|\xi_\nabla|$", False), ("xi_c", r"$\xi_c$", True)):
        kind = gl.plots.role("theory") | ({"linestyle": (0, (1, 1.2))} if hollow else {})
        ax.plot(theory["sigma_w2"], theory[name].abs(), **kind, label=title)
        for row in scales[(scales["scale"] == name) & scales["value"].notna()].itertuples():
            value, low, high = abs(row.value), *sorted((abs(row.low), abs(row.high)))
            dots = gl.plots.dots(colour(row.sigma_w2), hollow=hollow, share=0.9) | {"marker": "s" if hollow else "o"}
            width = gl.plots.role("bars")["linewidth"]
            ax.errorbar(row.sigma_w2, value, [[value - low], [min(high, 1e6) - value]], **dots, elinewidth=width)
            ax.plot(row.sigma_w2, abs(row.same_fit), "_", color="black", markersize=2.4 * dots["markersize"], zorder=2)
    ax.axvline(CRITICAL, **gl.plots.role("reference"))
    ax.yaxis.set_major_formatter("{x:g}")


def draw(tables):
    """Phase diagram and gradients above, correlations and depth scales below."""
    board = gl.plots.board("ab;cd", height=5.2)
    plane, line = tables["plane"], tables["critical"]
    grid = plane.pivot(index="sigma_b2", columns="sigma_w2", values="chi1")
    critical = SimpleNamespace(
        sigma_b2=line["sigma_b2"].to_numpy(), sigma_w2=line["sigma_w2"].to_numpy(),
        q_star=np.arange(len(line)), usable=np.ones(len(line), bool),
    )  # fmt: skip
    theory = SimpleNamespace(
        activation="tanh", sigma_w2=grid.columns.to_numpy(), sigma_b2=grid.index.to_numpy(), chi1=grid.to_numpy(),
        critical=critical,
    )  # fmt: skip
    gl.plots.phase_diagram(tables["rates"], theory=theory, ax=board["a"])
    with board.drawing():
        draw_layers(board["b"], tables["gradients"], "mean", "theory", ("low", "high"))
        depth = int(tables["gradients"]["layer"].max())
        board["b"].set(xlim=(depth + 1, 0), ylabel=r"rms $\delta_l$ over rms $\delta_L$")
        far = tables["correlations"]
        draw_layers(board["c"], far.assign(dot=far["log10_distance"].where(far["resolved"] == 1)), "dot", "theory")
        board["c"].set(xlim=(0, depth + 1), ylabel=r"$|c - c^*|$")
        ticks = [1, *range(depth // 6, depth + 1, depth // 6)]
        board["b"].set(xticks=ticks, xlabel="layer (backward pass →)")
        board["c"].set(xticks=ticks, xlabel="layer (forward pass →)")
        draw_scales(board["d"], tables["scales"], tables["theory"])
        for name in "bcd":
            gl.plots.label_ends(board[name])
    return {"phase": board.figure}
