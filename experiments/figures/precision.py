"""Figures of the experiment on number formats."""

import numpy as np

import gradlab as gl

FORMATS = ("float16", "float8_e5m2", "float8_e4m3", "bfloat16")
LABELS = {"float16": "float16", "float8_e5m2": "E5M2", "float8_e4m3": "E4M3", "bfloat16": "bfloat16"}
#: Quantities of the table that the second figure shows.
KEPT, SCALED = "layers of delta kept", "layers of delta kept, loss scaled"
ARRAYS, ARRAYS_SCALED = "kept by arrays of float16, over those counted", "the same, loss scaled"
PLAIN, LOSS, UNIT = "as it is", "loss scaled", "unit scaling"


def draw(tables):
    """The sizes in each layer three times over; shares by layer, and layers that are kept."""
    return {"precision": sizes(tables), "layers": layers(tables)}


def sizes(tables):
    """Signal, delta and weight gradient: a row as it is, one with the loss scaled, one with unit scaling."""
    board = gl.plots.board("abc;def;ghi", height=5.6, sharex=True, sharey=True)
    shifts = tables["shifts"].set_index("way")["shift"]
    for way, names in ((PLAIN, "abc"), (LOSS, "def"), (UNIT, "ghi")):
        rows = tables["sizes"][tables["sizes"]["chain"] == (UNIT if way == UNIT else PLAIN)].copy()
        moved = np.log10(2) * shifts[way] * (rows["signal"] != "log10_activation")
        rows[["bin", "left", "right"]] = rows[["bin", "left", "right"]].add(moved, axis=0)
        gl.plots.scales(rows, formats=FORMATS[:3], ax=[board[name] for name in names], legend=False)
        with board.drawing():
            for name, signal in zip(names, ("signal", "delta", "weight gradient"), strict=True):
                if way != PLAIN:
                    board[name].set_title(f"{signal}, {way}")
                if way != UNIT:
                    board[name].set_xlabel("")
                board[name].set_ylabel("size of an entry" if name == names[0] else "")
    with board.drawing():
        board["a"].set_ylim(-58, 19)
    board.legend("above")
    return board


def layers(tables):
    """The share of the signal that is lost against depth, and the layers through which the delta is kept."""
    board = gl.plots.board("ab", height=2.7, widths=[1.3, 1])
    looks = gl.plots.looks(FORMATS[:3])
    curves, table = tables["shares"], tables["cases"]
    with board.drawing():
        a, b = board["a"], board["b"]
        for name, look in looks.items():
            own = curves[(curves["format"] == name) & (curves["layer"] <= 32)]
            dots = gl.plots.dots(look["color"]) | {"marker": look["marker"]}
            a.errorbar(own["layer"], own["mean"], [own["mean"] - own["low"], own["high"] - own["mean"]], **dots)
            a.plot(own["layer"], own["law"], **gl.plots.role("theory", look["color"]))
            a.plot([], [], **look | {"linestyle": ""}, label=LABELS[name])
        a.axhline(0.5, **gl.plots.role("threshold"))
        a.set(
            xlabel="layer (1 = next to the input)",
            ylabel="signal below the smallest number\n[share]",
            ylim=(-0.02, 1.02),
        )
        a.plot([], [], **gl.plots.role("theory"), label="Gaussian numbers of rms $2^{-l}$")
        for place, (name, look) in enumerate(looks.items()):
            own = table[table["format"] == name].set_index("what")
            if SCALED not in own.index:
                continue
            b.barh(-place, own.loc[SCALED, "most"], 0.62, color="0.88", zorder=0)
            for what, real, at in ((KEPT, ARRAYS, 0.14), (SCALED, ARRAYS_SCALED, -0.14)):
                row, dots = own.loc[what], gl.plots.dots(look["color"], hollow=what == KEPT)
                ends = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
                b.errorbar(row["value"], at - place, xerr=ends, **dots | {"marker": look["marker"]})
                if real in own.index:
                    at_real = row["value"] + own.loc[real, "value"]
                    b.plot(at_real, at - place, "x", color="black", markersize=4, zorder=4)
        b.set_yticks([0, -1, -2], [LABELS[name] for name in FORMATS[:3]])
        b.set(xlabel="layers of delta that are kept", xlim=(0, 44), ylim=(-2.5, 0.5))
        b.tick_params(axis="y", length=0)
        b.plot([], [], "o", color="0.35", fillstyle="none", label="as it is")
        b.plot([], [], "o", color="0.35", label="loss scaled")
        b.plot([], [], "x", color="black", markersize=4, label="arrays of float16")
    board.legend("above")
    return board
