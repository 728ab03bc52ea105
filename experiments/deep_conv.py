"""A tanh ConvNet of 10,000 layers keeps its gradient with delta-orthogonal weights (Xiao et al. 2018).

python experiments/deep_conv.py             (a few minutes; writes reports/deep_conv)
python experiments/deep_conv.py --quick --out scratch/deep_conv
"""

import math
import os
import resource
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.config import ConvNetConfig
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below

SIGMA_W2, SIGMA_B2, DECADES, CHANNELS = 1.05, 2.01e-5, 2.0, 16
#: Seeds that nobody had looked at when the line of the claim was drawn.
SEEDS = tuple(range(4, 12))
ORTHOGONAL, GAUSSIAN = KINDS = "delta_orthogonal", "lecun_normal"
LABELS = {ORTHOGONAL: "delta-orthogonal", GAUSSIAN: "Gaussian"}
CLAIM = f"""At initialisation, at the critical point σ_w² = {SIGMA_W2}, σ_b² = {SIGMA_B2} of tanh, the rms delta of a
convolutional network of {{depth:,}} layers with {CHANNELS} channels stays within a span of {DECADES:g} decades over
all layers where its kernels are delta-orthogonal, and does not where they are Gaussian of the same variance."""
KERNEL = ConvNetConfig.kernel
TEXT = f"""The network is that of Xiao et al. (2018): kernels of {KERNEL} × {KERNEL}, periodic borders, images of
{{side}} × {{side}}. At the critical point both kinds of weights keep the *mean* squared delta of infinitely many
channels. With {CHANNELS} channels what happens in each layer decides: a delta-orthogonal kernel is an orthogonal
matrix at its centre and zero around, so a layer keeps every norm but for the slope of tanh, while a Gaussian one
multiplies it by a random number near 1, and over the layers the logarithms add up. It is no plain decay: tanh levels
the forward signal, and with it the slopes, so the logarithm wanders up and down, with a drift that the last column of
the table shows. The first hundred layers from the input are a transient, there the signal shrinks to the fixed point.
The span is the largest minus the smallest log10 of the rms delta over *all* hidden layers; the step is the rms of its
change from layer to layer. Four seeds are few for a span that differs so much between them; the lowest of the
delta-orthogonal ones lies {{apart:.1f}} decades below the mean of the others in the middle of the network. The line of
{DECADES:g} decades was fixed after a first look at two seeds. That such a network can be trained is not measured here.
Everything here, drawing of {{networks}} networks and compilation with it, took {{seconds:.0f}} s on {{cores}} busy
cores and {{memory:.1f}} GB at its peak, in float32."""
CAPTION = """ConvNets of depth {depth:,} with {channels} channels on {data}, batch {batch}, n = {seeds} seeds, loss ⟨u,
logits⟩ with a random u for each example. Left: a line for each seed, every {every}th layer and some near the input.
Right: the span over all layers; small points are seeds, large ones their geometric mean with its 95 % t-interval, grey
what the claim says is empty of delta-orthogonal networks."""
SAID = Words(
    "Ten thousand layers keep their gradient with delta-orthogonal weights",
    CLAIM,
    TEXT,
    {"deep_conv": Caption(CAPTION)},
)


def measure(quick):
    """The sweep, its frame, and what it took: seconds, and gigabytes at the peak."""
    start = time.perf_counter()
    sweep = gl.Sweep(
        architecture="convnet", depth=200 if quick else 10_000, width=CHANNELS, activation="tanh", init=KINDS,
        gain=SIGMA_W2**0.5, sigma_b2=SIGMA_B2, readout="lecun_normal", padding="periodic", loss="probe", batch=8,
        seeds=3 if quick else SEEDS, columns=("log10_delta_rms",),
    )  # fmt: skip
    frame = gl.run(sweep, progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    frame = frame[(frame["layer"] >= 1) & (frame["layer"] <= frame["depth"])]
    return sweep, frame.astype({"init": str}), (time.perf_counter() - start, peak)


def spans(frame):
    """A row for each kind of weights and seed: log10 of span and step in decades; drift from the last layer down."""
    deltas = frame.groupby(["init", "seed"], observed=True)["log10_delta_rms"]
    span = np.log10(deltas.max() - deltas.min())
    step = np.log10(deltas.apply(lambda values: np.sqrt(np.mean(np.diff(values) ** 2))))
    drift = deltas.first() - deltas.last()
    return pd.DataFrame({"log10_span": span, "log10_step": step, "drift": drift}).reset_index()


def judge(table):
    """A row for each kind of weights: span, step and drift with intervals, and whether the claim is true of it."""
    found = []
    for column in ("log10_span", "log10_step", "drift"):
        means, name = gl.summarise(table, ["init"], column).set_index("init"), column.removeprefix("log10_")
        names = {"mean": name, "low": f"{name}_low", "high": f"{name}_high"}
        means = means[list(names)].rename(columns=names)
        found.append(means if name == column else 10**means)
    joined = pd.concat(found, axis=1).loc[list(KINDS)].reset_index()
    line = {ORTHOGONAL: below, GAUSSIAN: above}
    answers = [line[r.init](r.span_low, r.span_high, DECADES) for r in joined.itertuples()]
    return joined.assign(claim=pd.Series(answers, dtype=object))


def thinned(frame, every):
    """The layers that are drawn."""
    near = [n for n in (1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70) if n < every]
    kept = (frame["layer"] % every == 0) | frame["layer"].isin(near)
    return frame.loc[kept, ["init", "seed", "layer", "log10_delta_rms"]].reset_index(drop=True)


def apart(lines):
    """Decades by which the lowest delta-orthogonal seed lies below the mean of the others, half way through."""
    own = lines[lines["init"] == ORTHOGONAL].pivot(index="layer", columns="seed", values="log10_delta_rms")
    middle = own.iloc[(own.index.to_series() - own.index.max() / 2).abs().argmin()].sort_values()
    return middle.iloc[1:].mean() - middle.iloc[0]


def draw(lines, table, means):
    """Each seed's profile, and the spans."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained", width_ratios=(2.4, 1))
    colours = dict(zip(KINDS, plt.rcParams["axes.prop_cycle"].by_key()["color"], strict=False))
    for (kind, seed), line in lines.groupby(["init", "seed"]):
        label = LABELS[kind] if seed == lines["seed"].min() else None
        left.plot(line["layer"], line["log10_delta_rms"], color=colours[kind], lw=0.9, label=label)
    for place, row in enumerate(means.itertuples()):
        own = 10 ** table.loc[table["init"] == row.init, "log10_span"]
        right.plot([place + 0.12] * len(own), own, "o", ms=3, color=colours[row.init], alpha=0.6)
        bars = [[row.span - row.span_low], [row.span_high - row.span]]
        right.errorbar(place - 0.12, row.span, bars, fmt="s", ms=5, color=colours[row.init], elinewidth=0.8)
    right.fill_between([-0.5, 0.5], DECADES, 1e3, color="0.88", zorder=0)
    right.set(yscale="log", ylabel="span of the rms delta over layers, decades", xlim=(-0.5, 1.5))
    right.set_ylim(0.3, 1.6 * max(means["span_high"].max(), 10 ** table["log10_span"].max()))
    right.set_xticks(range(len(means)), [LABELS[k] for k in means["init"]])
    right.set_yticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    gl.plots.log10_axis(left)
    left.set(xlabel="layer (1 = next to the input)", ylabel="rms delta, ∂L/∂z")
    left.legend(fontsize=8, frameon=False)
    return figure


def shown(means):
    """The table of the page."""
    interval = lambda r, name: f"{r[name]:.3g} [{r[f'{name}_low']:.3g}, {r[f'{name}_high']:.3g}]"
    rows = [r for _, r in means.iterrows()]
    cells = {
        "weights": means["init"].map(LABELS), "span, decades": [interval(r, "span") for r in rows],
        "step per layer, decades": [interval(r, "step") for r in rows],
        "first over last layer, decades": [interval(r, "drift") for r in rows],
        "claim": ["open" if c is None else str(bool(c)).lower() for c in means["claim"]],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("weights")


PAGE = Experiment(
    "deep_conv", SAID, lambda t: {"deep_conv": draw(t["profiles"], t["spans"], t["means"])}, lambda t: shown(t["means"])
)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame, (seconds, memory) = measure(asked.quick)
    table = spans(frame)
    means, every = judge(table), max(1, sweep.depth[0] // 200)
    finding = Finding.of({LABELS[r.init]: r.claim for r in means.itertuples()})
    setting = {"data": sweep.data, "depth": sweep.depth[0], "channels": CHANNELS, "batch": sweep.batch}
    setting |= {"loss": sweep.loss, "seeds": len(sweep.seed_numbers), "dtype": sweep.dtype}
    lines = thinned(frame, every)
    told = {"seconds": seconds, "memory": memory, "cores": os.cpu_count(), "networks": len(table), "every": every}
    told |= {"side": math.isqrt(load(sweep.data, batch=1).x[0].size), "apart": apart(lines)}
    tables = {"profiles": lines, "spans": table, "means": means}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
