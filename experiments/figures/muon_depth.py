"""Sizes of the first updates and training accuracies by optimiser, drawn and in cells."""

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, answered, margin

#: Depth in ξ_c from which on the claim speaks; accuracy of a trained network; spans of updates in powers of ten.
FAR, LEARNT, FLAT, STEEP = 12, 0.8, 1, 2
NAMES = {"sgd": "SGD", "adam": "Adam", "sign": "sign", "muon": "Muon"}
SCALE_FREE = ("adam", "sign", "muon")
CAPTIONS = {
    "muon_depth": Caption(
        """At {far} ξ_c the training accuracy is {muon_far:.2f} with Muon, {adam_far:.2f} with Adam, {sign_far:.2f}
        with the sign of the gradient and {sgd_far:.2f} with SGD.""",
        {
            "a": """Norm of the first update over that of the weights, by layer, of networks of {far} ξ_c = {deep}
            hidden layers, over its geometric mean over the layers. Lines are means over seeds, bands their 95 %
            intervals. Adam is hidden behind the sign.""",
            "b": """Training accuracy after {steps} steps against depth in ξ_c, at the chosen learning rates; bars are
            95 % intervals. Dashed grey: where a network counts as trained. The claim says that all marks from {far} ξ_c
            on lie below.""",
        },
        "n = {judged} seeds; learning rates were chosen on {choosing} others.",
        "Tanh networks of width {width} on {data}, minibatches of {batch}, σ_w² = {sigma_w2}, σ_b² = {sigma_b2}.",
    )
}


def draw(tables):
    """The first update by layer, and accuracy against depth."""
    board = gl.plots.board("ab", height=2.7)
    lines, networks = tables["profiles"], tables["networks"]
    looks, last = gl.plots.looks(list(NAMES.values())), int(lines["layer"].max())
    with board.drawing():
        for place, (optimizer, name) in enumerate(NAMES.items()):
            look = looks[name]
            own = lines[lines["optimizer"] == optimizer]
            board["a"].plot(own["layer"], own["mean"], **look | {"linestyle": "-", "markevery": max(1, last // 6)})
            board["a"].fill_between(own["layer"], own["low"], own["high"], **gl.plots.role("band", look["color"]))
            own = networks[networks["optimizer"] == optimizer]
            at = own["multiple"] * (0.94 + 0.04 * place)
            bars = [own["accuracy"] - own["low"], own["high"] - own["accuracy"]]
            board["b"].errorbar(at, own["accuracy"], np.abs(bars), **look | {"linestyle": "-", "label": name})
        board["b"].axhline(LEARNT, **gl.plots.role("threshold"))
        board["a"].set(xlabel="layer (1 = next to the input)", xlim=(1, last))
        board["a"].set_xticks(np.unique(np.linspace(1, last, 4).round()))
        gl.plots.log10_axis(board["a"])
        board["a"].set_ylabel("first update over weights,\nover its mean over layers")
        multiples = sorted(networks["multiple"].unique())
        board["b"].set(xscale="log", xlabel=r"depth [$\xi_c$]", ylabel="training accuracy", ylim=(0, 1.03))
        board["b"].set_xticks(multiples, [f"{m:g}" for m in multiples])
        board["b"].minorticks_off()
    board.legend("above")
    return {"muon_depth": board.figure}


def show(tables):
    """The table of the page: a row for each network, and one for each profile of updates."""
    order = {name: i for i, name in enumerate(NAMES)}
    table = tables["networks"].sort_values(
        ["optimizer", "multiple"], key=lambda c: c.map(order) if c.name == "optimizer" else c
    )
    far = table["multiple"] >= FAR
    cells = {
        "optimiser": table["optimizer"].map(NAMES),
        "depth": [f"{r.depth} = {r.multiple:g} ξ_c" for r in table.itertuples()],
        "learning rate": table["rate"].map("{:g}".format),
        "training accuracy, or span of updates": [
            f"{r.accuracy:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in table.itertuples()
        ],
        "1 − c before": (10.0 ** table["before"]).map("{:.1e}".format),
        "1 − c behind": (10.0 ** table["behind"]).map("{:.1e}".format),
        "claim": [answered(r.claim) if said else "" for r, said in zip(table.itertuples(), far, strict=True)],
        "margin": [
            margin(r.low, r.high, LEARNT) if said else np.nan for r, said in zip(table.itertuples(), far, strict=True)
        ],
    }  # fmt: skip
    spans = [
        {
            "optimiser": f"{NAMES[r.optimizer]}, updates", "depth": f"{FAR:g} ξ_c", "claim": answered(r.claim),
            "training accuracy, or span of updates": f"{r.mean:.2f} [{r.low:.2f}, {r.high:.2f}]",
            "margin": margin(r.low, r.high, FLAT if r.optimizer in SCALE_FREE else STEEP),
        }
        for r in tables["spans"].itertuples()
    ]  # fmt: skip
    both = pd.concat([pd.DataFrame(cells), pd.DataFrame(spans)], ignore_index=True)
    return both.fillna({name: "" for name in both if name != "margin"}).set_index("optimiser")


def profiles(frame):
    """The first update over the weights by layer at the depth of the claim, and each seed's span over the layers."""
    first = frame[(frame["step"] == 0) & (frame["layer_name"] != "readout") & (frame["multiple"] == FAR)]
    ratio = first["log10_update_ratio"] - first.groupby(["optimizer", "seed"])["log10_update_ratio"].transform("mean")
    lines = gl.summarise(first.assign(relative=ratio), ["optimizer", "layer"], "relative")
    spans = first.groupby(["optimizer", "seed"])["log10_update_ratio"].agg(np.ptp).rename("span").reset_index()
    return lines, gl.summarise(spans, ["optimizer"], "span")


def tell(tables):
    """Numbers for the sentences."""
    table, spans = tables["networks"], tables["spans"].set_index("optimizer")
    far = table[table["multiple"] == FAR].set_index("optimizer")
    grid = tables["choosing"].groupby("optimizer")["rate"]
    ends = [r.rate in (grid.min()[r.optimizer], grid.max()[r.optimizer]) for r in table.itertuples()]
    trained = table[table["low"] > LEARNT].groupby("optimizer")["multiple"].max()
    deepest = ", ".join(f"{NAMES[o]} {f'up to {trained[o]} ξ_c' if o in trained else 'at no depth'}" for o in NAMES)
    flat = ", ".join(f"{spans.loc[o, 'mean']:.2f} with {NAMES[o]}" for o in NAMES)
    summary = f"Over the layers the first update spans, in powers of ten, {flat}. Networks train with {deepest}."
    told = {f"{o}_far": float(far.loc[o, "accuracy"]) for o in NAMES}
    told |= {"summary": summary, "deep": int(far["depth"].max()), "far": FAR, "fallen": float(np.exp(FAR))}
    return told | {"networks": len(table), "edge": sum(ends), "rates": int(grid.nunique().max())}
