"""Figure of the experiment on batch and layer normalisation."""

import gradlab as gl

SCALES, NONE = (0.5, 4.0), "none"
NORMS = ("batch", "layer", NONE)


def draw(tables):
    """The profiles of each activation, and how far the factors of normalised networks lie from their law."""
    lines, table = tables["profiles"], tables["networks"]
    names = list(dict.fromkeys(lines["activation"]))
    board, looks = gl.plots.board("ab"[: len(names)] + "c", height=2.8), gl.plots.looks(NORMS, line=False)
    last = int(lines["layer"].max())
    with board.drawing():
        for panel, name in zip("ab", names, strict=False):
            ax = board[panel]
            for (norm, scale), line in lines[lines["activation"] == name].groupby(["norm", "sigma_w2"], sort=False):
                draw_profile(ax, line, looks[norm], scale == SCALES[0])
            ax.set(title={"relu": "ReLU"}.get(name, name), xlabel="layer (1 = next to the input)", xlim=(1, last))
            ax.set_xticks([1, *range(10, last + 1, 10)])
            gl.plots.log10_axis(ax)
        low, high = lines["low"].min(), lines["high"].max()
        for panel in "ab"[: len(names)]:
            board[panel].set_ylim(low - 0.5, high + 0.5)
        board["a"].set_ylabel("rms gradient over\nthat of the last layer")
        draw_departures(board["c"], table[table["norm"] != NONE], looks)
        for norm, look in looks.items():
            board["a"].plot([], [], **look, label="no norm" if norm == NONE else f"{norm} norm")
        for hollow, scale in zip((True, False), SCALES, strict=True):
            board["a"].plot(
                [], [], **gl.plots.dots("0.35", hollow=hollow), marker="o", label=rf"$\sigma_w^2$ = {scale:g}"
            )
        board["a"].plot([], [], **gl.plots.role("theory"), label="infinite width")
    board.legend("above")
    return {"normalisation": board}


def draw_profile(ax, line, look, hollow):
    """A profile with the marks of its scale at layers of its own, and its law."""
    marks = look | {"markevery": (1 if hollow else 4, 6), "markerfacecolor": "white" if hollow else look["color"]}
    ax.plot(line["layer"], line["mean"], **marks)
    ax.fill_between(line["layer"], line["low"], line["high"], **gl.plots.role("band", look["color"]))
    ax.plot(line["layer"], line["theory"], **gl.plots.role("theory"))


def draw_departures(ax, table, looks):
    """Factors over their law, in per cent, with intervals, between the lines of the tolerance."""
    groups = list(dict.fromkeys(zip(table["activation"], table["norm"], strict=True)))
    for r in table.itertuples():
        place = groups.index((r.activation, r.norm)) + (-0.12 if r.sigma_w2 == SCALES[0] else 0.12)
        mean, low, high = (100 * (v / r.law - 1) for v in (r.factor, r.low, r.high))
        look = gl.plots.dots(looks[r.norm]["color"], hollow=r.sigma_w2 == SCALES[0])
        ax.errorbar(mean, place, xerr=[[mean - low], [high - mean]], **look | {"marker": looks[r.norm]["marker"]})
    tolerance, beyond = 100 * table["tolerance"].iloc[0], 150 * table["tolerance"].iloc[0]
    for side in (-1, 1):
        ax.axvspan(side * tolerance, side * beyond, **gl.plots.role("zone"))
        ax.axvline(side * tolerance, **gl.plots.role("threshold"))
    ax.axvline(0, **gl.plots.role("theory"))
    ax.set_yticks(range(len(groups)), [f"{'ReLU' if a == 'relu' else a}, {n}" for a, n in groups])
    ax.set(xlabel="factor, % off infinite width", xlim=(-beyond, beyond), ylim=(len(groups) - 0.5, -0.5))
