"""Batch normalisation makes ReLU networks explode, layer normalisation does not (Yang et al. 2019).

python experiments/normalisation.py             (a few minutes; writes reports/normalisation)
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, both

FIRST, SCALES, NONE = 5, (0.5, 4.0), "none"
NORMS = ("batch", "layer", NONE)
BATCH_RELU = gl.theory.batch_norm_factor("relu")
CLAIM = f"""In plain normalised networks at initialisation the mean squared delta changes per layer, toward the input,
by a factor that the activation alone sets, whatever the scale of the weights (to 2/B + 10/n): with batch normalisation
it grows, by π/(π−1) = {BATCH_RELU:.3f} for ReLU, with layer normalisation it stays as it is for ReLU; for tanh both
make it grow, by {gl.theory.layer_norm_factor("tanh"):.3f}."""
TEXT = f"""The blocks are weight, norm, activation; the norm divides by the scale of the preactivations, so the
weights' own scale cancels. What remains is E φ'²/Var φ with batch normalisation, which is at least 1 for every
activation (Yang et al. 2019), and E φ'²/E φ² with layer normalisation (`gl.theory.batch_norm_factor`,
`gl.theory.layer_norm_factor`): they differ by what a batch norm takes away, the mean of φ, which is large for ReLU and
0 for tanh. So it is not true that layer normalisation never explodes: it does not with ReLU. The rms grows by the root
of the factor, {BATCH_RELU**0.5:.3f} per layer for ReLU with batch normalisation, a decade in
{2 / math.log10(BATCH_RELU):.0f} layers. The tolerance is the one that finite batches and widths leave, 2/B + 10/n,
fixed before the run. It covers departures from the law that the intervals tell from 0: in {{departing}} of {{normed}}
networks the interval leaves out the law, farthest in {{worst}}. Layers below {FIRST} are left out, there the signal
still forgets the data. Without a norm the same two scales of weights make vanishing and exploding networks: they are
shown, the claim is not about them. Skips, which tame batch normalisation, are not measured here, nor is training."""
CAPTION = """Networks of depth {depth}, width {width} and batch {batch} on {data}, n = {seeds} seeds, loss ⟨u, logits⟩
with a random u for each example. Lines are geometric means over seeds of the rms delta relative to that of the last
hidden layer, bands their 95 % t-interval, mostly narrower than the line; full lines σ_w² = {low}, dashed {high} (with
a norm they coincide); dotted black the root of the factor of infinite width and batch."""
SAID = Words(
    "Batch norm makes ReLU networks explode, layer norm does not", CLAIM, TEXT, {"normalisation": Caption(CAPTION)}
)


def measure(quick):
    """The sweep, and its frame: activations, norms and scales of the weights."""
    sweep = gl.Sweep(
        depth=12 if quick else 30, width=64 if quick else 500, activation="relu" if quick else ("relu", "tanh"),
        init="gaussian", sigma_w2=SCALES, readout="lecun_normal", norm=("batch", "layer", None), data="gaussian",
        loss="probe", batch=32 if quick else 128, seeds=3 if quick else 5, columns=("log10_delta_rms",),
    )  # fmt: skip
    frame = gl.run(sweep, progress=False)
    frame = frame[(frame["layer"] >= 1) & (frame["layer"] <= frame["depth"])]
    norm = frame["norm"].astype(object).where(frame["norm"].notna(), NONE)
    frame = frame.assign(norm=norm, sigma_w2=frame["sigma_w2"].round(12))  # of a standard deviation, squared
    return sweep, frame.astype({"activation": str, "norm": str})


def expected(activation, norm, sigma_w2):
    """Factor of the mean squared delta per layer for infinite width and batch, by mean field where there is no norm."""
    if norm == NONE:
        return gl.theory.mean_field(activation, sigma_w2=sigma_w2, sigma_b2=0.0).chi1
    law = gl.theory.batch_norm_factor if norm == "batch" else gl.theory.layer_norm_factor
    return law(activation)


def judge(frame, tolerance):
    """A row for each network: its factor with the interval, the law, and whether they agree; None without a norm."""
    names = ["activation", "norm", "sigma_w2"]
    deltas = frame.pivot_table(index=[*names, "seed"], columns="layer", values="log10_delta_rms")
    last = deltas.columns.max()
    slopes = (2 * (deltas[FIRST] - deltas[last]) / (last - FIRST)).rename("log10_factor").reset_index()
    table = gl.summarise(slopes, names, "log10_factor")
    table[["factor", "low", "high"]] = 10 ** table[["mean", "low", "high"]]
    table["law"] = [expected(r.activation, r.norm, r.sigma_w2) for r in table.itertuples()]
    within = [
        both(above(r.low, r.high, r.law * (1 - tolerance)), below(r.low, r.high, r.law * (1 + tolerance)))
        for r in table.itertuples()
    ]
    table["claim"] = pd.Series(within, dtype=object)
    place = lambda column: column.map(NORMS.index) if column.name == "norm" else column
    return table.sort_values(names, key=place, ignore_index=True)[[*names, "factor", "low", "high", "law", "claim"]]


def departures(table):
    """How many networks with a norm have an interval that leaves out the law; the one that lies farthest from it."""
    normed = table[table["norm"] != NONE]
    out = normed[(normed["low"] > normed["law"]) | (normed["high"] < normed["law"])]
    far = out.assign(far=(out["factor"] / out["law"] - 1).abs()).nlargest(1, "far").itertuples()
    told = [f"{r.activation} with {r.norm} norm at σ_w² = {r.sigma_w2:g}, by {r.far:.1%}" for r in far]
    return {"departing": len(out), "normed": len(normed), "worst": "".join(told) or "none"}


def answers(table):
    """The cases of the claim, networks with a norm, and what became of each."""
    normed = table[table["norm"] != NONE]
    return {f"{r.activation}, {r.norm} norm, σ_w² = {r.sigma_w2:g}": r.claim for r in normed.itertuples()}


def profiles(frame):
    """The delta relative to that of the last hidden layer."""
    top = frame.groupby(["network", "seed"], observed=True)["log10_delta_rms"].transform("last")
    own = frame.assign(log10_delta_rms=frame["log10_delta_rms"] - top)
    lines = gl.summarise(own, ["activation", "norm", "sigma_w2", "layer"], "log10_delta_rms")
    laws = [expected(r.activation, r.norm, r.sigma_w2) for r in lines.itertuples()]
    return lines.assign(theory=0.5 * np.log10(laws) * (lines["layer"].max() - lines["layer"]))


def draw(lines):
    """The profiles, one panel for each activation."""
    names = list(dict.fromkeys(lines["activation"]))
    figure, panels = plt.subplots(1, len(names), figsize=(4 * len(names), 3.6), layout="constrained", squeeze=False)
    colours = dict(zip(NORMS, plt.rcParams["axes.prop_cycle"].by_key()["color"], strict=False))
    last = lines["layer"].max()
    for axes, name in zip(panels[0], names, strict=True):
        for (norm, scale), line in lines[lines["activation"] == name].groupby(["norm", "sigma_w2"], sort=False):
            label = None if scale != SCALES[0] else "no norm" if norm == NONE else f"{norm} norm"
            dash = "-" if scale == SCALES[0] else (0, (4, 2))
            axes.plot(line["layer"], line["mean"], color=colours[norm], ls=dash, label=label)
            axes.fill_between(line["layer"], line["low"], line["high"], color=colours[norm], alpha=0.3, linewidth=0)
            if norm != NONE:
                law = 0.5 * np.log10(expected(name, norm, scale)) * (last - line["layer"])
                axes.plot(line["layer"], law, ":", color="black", lw=1.2, label=None)
        axes.set(xlabel="layer (1 = next to the input)", ylabel="rms delta over that of the last layer")
        axes.set_title({"relu": "ReLU"}.get(name, name), fontsize=10)
        gl.plots.log10_axis(axes)
    panels[0, 0].plot([], [], ":", color="black", lw=1.2, label="infinite width")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def shown(table):
    """The table of the page."""
    claims = ["" if r.norm == NONE else "open" if r.claim is None else str(r.claim).lower() for r in table.itertuples()]
    cells = {
        "activation": table["activation"], "norm": table["norm"], "σ_w²": table["sigma_w2"].map("{:g}".format),
        "factor of the mean square": [f"{r.factor:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in table.itertuples()],
        "infinite width": table["law"].map("{:.4f}".format), "claim": claims,
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("activation")


PAGE = Experiment(
    "normalisation", SAID, lambda t: {"normalisation": draw(t["profiles"])}, lambda t: shown(t["networks"])
)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    setting = {"data": sweep.data, "depth": sweep.depth[0], "width": sweep.width[0], "batch": sweep.batch}
    setting |= {"loss": sweep.loss, "seeds": len(sweep.seed_numbers), "dtype": sweep.dtype}
    table, lines = judge(frame, 2 / setting["batch"] + 10 / setting["width"]), profiles(frame)
    finding = Finding.of(answers(table))
    tables = {"profiles": lines, "networks": table}
    PAGE.publish(
        asked.out,
        tables,
        finding=finding,
        setting=setting,
        numbers={"low": SCALES[0], "high": SCALES[1], **departures(table)},
    )


if __name__ == "__main__":
    main()
