"""Figure of the experiment on the freezing of attention."""

import numpy as np

import gradlab as gl


def draw(tables):
    """Participation and entropy against the std of scores over the freezing one; the entropy in networks."""
    table, networks = tables["softmax"], tables["networks"]
    board = gl.plots.board("abc", height=2.7)
    looks = gl.plots.looks([str(n) for n in sorted(table["positions"].unique())])
    with board.drawing():
        for positions, own in table.groupby("positions"):
            look = looks[str(positions)]
            dots = gl.plots.dots(look["color"]) | {"marker": look["marker"]}
            for name, ax in (("participation", board["a"]), ("entropy_share", board["b"])):
                mean, low, high = (own[f"{name}{end}"] for end in ("", "_low", "_high"))
                ax.errorbar(own["b"], mean, [mean - low, high - mean], **dots)
                ax.plot(own["b"], own[f"{name}_law"], **gl.plots.role("theory", look["color"]))
            board["a"].plot([], [], **look | {"linestyle": "none"}, label=f"T = {positions}")
        b = np.linspace(table["b"].min(), table["b"].max(), 200)
        board["a"].plot(b, np.maximum(1 - 1 / b, 0), **gl.plots.role("reference"), label="T → ∞")
        board["b"].plot(b, np.maximum(1 - b**2, 0), **gl.plots.role("reference"))
        board["a"].plot([], [], **gl.plots.role("theory"), label="law at this T")
        look = looks[str(networks["positions"].iloc[0])]
        mean, low, high = (networks[f"entropy{end}"] for end in ("", "_low", "_high"))
        dots = gl.plots.dots(look["color"], hollow=True) | {"marker": look["marker"]}
        board["c"].errorbar(networks["b"], mean, [mean - low, high - mean], **dots)
        board["c"].plot(networks["b"], networks["law"], **gl.plots.role("theory", look["color"]))
        for ax in (board[name] for name in "abc"):
            ax.axvline(1, **gl.plots.role("threshold"))
            ax.set(xlabel="std of scores / √(2 ln T)", ylim=(0, None))
        board["a"].set_ylabel("participation, mean of Σ P²")
        board["b"].set_ylabel("entropy / ln T")
        board["c"].set_ylabel("entropy in a transformer\n[nat]")
    board.legend("above")
    return {"attention_freezing": board}
