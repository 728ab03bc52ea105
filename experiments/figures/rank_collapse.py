"""Figure of the experiment on rank collapse."""

import gradlab as gl

NONE, PLAIN, SCALED = KINDS = "no skips", "skips", "skips, branches 1/√L"
#: What is shown, by block: column of the tables -> label of the axis.
SHOWN = {
    "gap": "1 − c of two positions",
    "query": "query over value gradient",
    "key": "key over value gradient",
    "value": "value gradient\nover that of block 1",
}
NORMS = {"none": "no norm", "rms": "rms norms"}
#: Ends of the axes, in powers of ten.
LOW, HIGH = -12, 1


def draw(tables):
    """Four quantities by block in the deepest networks, with the line that the claim draws through each."""
    lines, bounds = tables["profiles"], tables["bounds"].set_index("quantity")
    board, looks = gl.plots.board("abcd", height=2.4), gl.plots.looks(KINDS)
    deepest = int(lines["depth"].max())
    with board.drawing():
        for name, quantity in zip("abcd", SHOWN, strict=True):
            ax = board[name]
            for (norm, kind), own in lines[lines["depth"] == deepest].groupby(["norm", "kind"], sort=False):
                mean, low, high = (own[f"{quantity}{end}"].clip(lower=LOW - 1) for end in ("", "_low", "_high"))
                look = looks[kind] | {"linestyle": "-" if norm == "none" else ":", "markevery": max(1, deepest // 4)}
                ax.plot(own["block"], mean, **look)
                ax.fill_between(own["block"], low, high, **gl.plots.role("band", look["color"]))
            for line in bounds.loc[quantity].drop("unit").dropna():
                ax.axhline(line, **gl.plots.role("threshold"))
            gl.plots.log10_axis(ax)
            ax.set(xlabel="block", ylabel=SHOWN[quantity], xlim=(1, deepest), ylim=(LOW, HIGH))
            ax.set_xticks([1, *range(deepest // 4, deepest + 1, deepest // 4)])
        for kind, look in looks.items():
            board["a"].plot([], [], **look | {"linestyle": "-"}, label=kind)
        for norm, style in zip(NORMS.values(), ("-", ":"), strict=True):
            board["a"].plot([], [], color="0.3", linestyle=style, label=norm)
    board.legend("above")
    return {"rank_collapse": board}
