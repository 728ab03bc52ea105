"""Figure of the experiment on shattered gradients."""

import gradlab as gl


def draw(tables, names, near, below):
    """Cosines by layer beside their law, and gradients along a line of inputs."""
    board = gl.plots.board("aaaaa;bcdef", height=4.6, heights=(2.2, 1))
    looks, ax = gl.plots.looks(names), board["a"]
    with board.drawing():
        for name, look in looks.items():
            rows = tables["means"].query("network == @name").sort_values("from_loss")
            judged = rows[rows["from_loss"] <= below]
            reach = (1 + near) ** judged["from_loss"]
            ax.fill_between(
                judged["from_loss"],
                judged["law"] / reach,
                judged["law"] * reach,
                **gl.plots.role("band", look["color"]),
            )
            ax.plot(rows["from_loss"], rows["law"], **gl.plots.role("theory", look["color"]))
            dots = gl.plots.dots(look["color"], share=0.8)
            known, open_ = rows[rows["low"] > 0], rows[rows["low"] <= 0]
            bars = [known["mean"] - known["low"], known["high"] - known["mean"]]
            width = gl.plots.role("bars")["linewidth"]
            ax.errorbar(known["from_loss"], known["mean"], bars, **dots, marker=look["marker"], elinewidth=width)
            ax.plot(open_["from_loss"], open_["high"], **dots | {"markerfacecolor": "white"}, marker="v")
            last = rows.iloc[-1]["mean" if rows.iloc[-1]["low"] > 0 else "high"]
            beside = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": "small"}
            ax.text(1.01, last, name, color=look["color"], **beside)
        ax.set(yscale="log", ylim=(3e-5, 1.4), xlabel="layers below the output (backward pass →)")
        ax.set(xticks=[1, *range(5, int(tables["means"]["from_loss"].max()) + 1, 5)])
        ax.set_ylabel("cosine of two inputs' gradients")
        top = 1.05 * tables["lines"]["gradient"].abs().max()
        gl.plots.input_gradients(tables["lines"], ax=[board[k] for k in "bcdef"])
        for name in "bcdef":
            board[name].set(ylim=(-top, top), xticks=[-2, 0, 2])
            board[name].tick_params(labelleft=name == "b")
    return {"shattered": board.figure}
