"""Figure of the experiment on the gradient behind DyT."""

import numpy as np

import gradlab as gl

NORMS, LABELS = ("layer", "dyt"), {"layer": "layer norm", "dyt": "DyT"}
#: Forms of the growth of ln over the depth l, and the form that the claim expects of each norm.
FORMS = {"power": np.log, "stretched": np.sqrt, "exponential": lambda blocks: blocks}
EXPECTED = {"layer": "power", "dyt": "stretched"}
ONE = 1


def draw(tables):
    """The growth against depth, on the axis where a power is a line and on that of the stretched exponential."""
    growth, fits = tables["growth"], tables["fits"]
    board, looks = gl.plots.board("abc", height=2.7), gl.plots.looks(NORMS)
    depths = sorted(growth["blocks"].unique())
    with board.drawing():
        for (positions, norm), rows in growth.groupby(["positions", "norm"], sort=False):
            look = looks[norm] | {"linestyle": "-" if positions != ONE else ""}
            label = LABELS[norm] if positions != ONE else "_"
            for name in "ab":
                ax = board[name]
                mean, low, high = (rows[c] / np.log(10) for c in ("mean", "low", "high"))
                dots = gl.plots.dots(look["color"], hollow=positions == ONE, share=0.9) | {"marker": look["marker"]}
                ax.errorbar(rows["blocks"], mean, [mean - low, high - mean], **dots)
                ax.plot([], [], **look, label=label)
                if positions == ONE:
                    ax.plot(rows["blocks"], rows["theory"] / np.log(10), **gl.plots.role("theory", look["color"]))
        board["a"].set(xscale="log", ylabel="mean squared gradient,\nblock 1 over block l")
        board["a"].set_xticks(depths, [str(d) for d in depths])
        board["b"].set_xscale("function", functions=(np.sqrt, np.square))
        few = [d for d in depths if d >= max(depths) / 16]
        board["b"].set_xticks(few, [str(d) for d in few])
        for name, what in (("a", "a power is a line"), ("b", "exp(c√l) is a line")):
            board[name].set(xlabel="block l", title=what)
            board[name].minorticks_off()
            gl.plots.log10_axis(board[name])
        board["a"].plot([], [], **gl.plots.role("theory"), label="theory, one position")
        draw_fits(board["c"], fits, looks)
    board.legend("above")
    return {"dyt": board}


def draw_fits(ax, fits, looks):
    """What the form that is not expected leaves over what the expected one leaves: one dot for each network."""
    kinds = [(norm, positions) for norm in NORMS for positions in sorted(fits["positions"].unique())]
    for place, (norm, positions) in enumerate(kinds):
        own = fits[(fits["norm"] == norm) & (fits["positions"] == positions)]
        dots = gl.plots.dots(looks[norm]["color"], hollow=positions == ONE, share=0.9)
        spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else np.zeros(1)
        ax.plot(place + spread, np.exp(own["ln_other_over_expected"]), **dots | {"marker": looks[norm]["marker"]})
    ax.axhline(1, **gl.plots.role("threshold"))
    ax.set(
        yscale="log", title="residual variance", ylabel="other form over expected one", xlim=(-0.5, len(kinds) - 0.5)
    )
    ax.set_xticks(range(len(kinds)), [f"{'LN' if norm == 'layer' else 'DyT'}\nT = {t}" for norm, t in kinds])
    ax.minorticks_off()
