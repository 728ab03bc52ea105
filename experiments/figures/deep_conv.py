"""Figure of the experiment on very deep convolutional networks."""

import numpy as np

import gradlab as gl

#: The line of the claim: powers of ten that a gradient may span.
DECADES = 2.0
ORTHOGONAL, GAUSSIAN = KINDS = "delta_orthogonal", "lecun_normal"
LABELS = {ORTHOGONAL: "delta-orthogonal", GAUSSIAN: "Gaussian"}


def draw(tables):
    """Each seed's profile, and the spans."""
    lines, table, means = tables["profiles"], tables["spans"], tables["means"]
    board, looks = gl.plots.board("ab", height=2.7, widths=(2.1, 1)), gl.plots.looks([LABELS[k] for k in KINDS])
    last, places = int(lines["layer"].max()), range(len(means))
    with board.drawing():
        for kind in KINDS:
            own, look = lines[lines["init"] == kind], looks[LABELS[kind]]
            for _, line in own.groupby("seed"):
                board["a"].plot(line["layer"], line["log10_delta_rms"], color=look["color"], **gl.plots.role("seed"))
            mean = own.groupby("layer")["log10_delta_rms"].mean()
            board["a"].plot(mean.index, mean, **look | {"marker": ""}, label=LABELS[kind])
        board["a"].set(xlabel="layer (1 = next to the input)", ylabel="rms gradient ∂L/∂z", xlim=(1, last))
        board["a"].set_xticks([1, *range(last // 4, last + 1, last // 4)])
        board["a"].xaxis.set_major_formatter("{x:,.0f}")
        gl.plots.log10_axis(board["a"])
        gl.plots.label_ends(board["a"])
        highest = 1.4 * 10 ** max(table["log10_span"].max(), np.log10(means["span_high"].max()))
        for place, row in zip(places, means.itertuples(), strict=True):
            draw_spans(board["b"], place, row, table[table["init"] == row.init], looks[LABELS[row.init]])
            zone = (DECADES, highest) if row.init == ORTHOGONAL else (0.3, DECADES)
            board["b"].fill_between([place - 0.5, place + 0.5], *zone, **gl.plots.role("zone"))
        board["b"].axhline(DECADES, **gl.plots.role("threshold"))
        board["b"].set(yscale="log", ylabel="span (powers of ten)", xlim=(-0.5, 1.5), ylim=(0.3, highest))
        board["b"].set_xticks(places, [LABELS[k].replace("-", "-\n") for k in means["init"]])
        board["b"].set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
        board["b"].minorticks_off()
    return {"deep_conv": board}


def draw_spans(ax, place, row, seeds, look):
    """Seeds side by side, and their mean with its interval."""
    dots = {"color": look["color"], "marker": look["marker"]}
    beside = place + np.linspace(0.05, 0.35, len(seeds))
    ax.plot(beside, 10 ** seeds["log10_span"], **gl.plots.dots(hollow=True, share=0.7) | dots)
    bars = [[row.span - row.span_low], [row.span_high - row.span]]
    ax.errorbar(place - 0.2, row.span, bars, **gl.plots.dots() | dots)
