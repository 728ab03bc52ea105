"""Figure of the experiment on the noise scale of each layer."""

import gradlab as gl

#: The networks: the first one's gradients vanish.
KINDS = {
    "sigmoid": {"activation": "sigmoid", "init": "xavier_normal"},
    "tanh": {"activation": "tanh", "init": "orthogonal"},
}
COLUMN = "inverse_noise_scale"


def draw(tables):
    """Signal over noise by layer for both batches, and the size of the gradients."""
    table = tables["profiles"]
    board, looks = gl.plots.board("ab", height=2.7), gl.plots.looks(list(KINDS))
    big = table["batch"].max()
    with board.drawing():
        for kind, look in looks.items():
            for batch, own in table[table["kind"] == kind].groupby("batch"):
                dots = gl.plots.dots(look["color"], hollow=batch != big, share=0.9) | {"marker": look["marker"]}
                x = own["layer"] + (0.12 if batch == big else -0.12)
                bars = [own["mean"] - own["low"], own["high"] - own["mean"]]
                board["a"].errorbar(x, own["mean"], bars, **dots, label=f"{kind}, {batch} examples")
                if batch == big:
                    bars = [own["size"] - own["size_low"], own["size_high"] - own["size"]]
                    board["b"].errorbar(own["layer"], own["size"], bars, **dots)
        board["a"].axhline(0, **gl.plots.role("threshold"))
        board["a"].set_yscale("symlog", linthresh=0.01)
        board["a"].set_ylim(bottom=min(0.0, 1.2 * table["low"].min()))
        board["a"].set_ylabel("signal over noise  [1/examples]")
        board["b"].set_ylabel("log10 of the gradient's norm\nover that of the last layer")
        for name in "ab":
            board[name].set_xlabel("layer (1 = next to the input)")
    board.legend("above")
    return {"gradient_noise": board}
