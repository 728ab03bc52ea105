"""A tanh ConvNet of 10,000 layers keeps its gradient with delta-orthogonal weights (Xiao et al. 2018).

python experiments/deep_conv.py             (a few minutes; writes reports/deep_conv)
python experiments/deep_conv.py --quick --out scratch/deep_conv
"""

import math
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.config import ConvNetConfig
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.deep_conv import DECADES, GAUSSIAN, KINDS, LABELS, ORTHOGONAL, draw  # noqa: E402

SIGMA_W2, SIGMA_B2, CHANNELS = 1.05, 2.01e-5, 16
#: Seeds that nobody had looked at when the line of the claim was drawn.
SEEDS = tuple(range(4, 12))
CLAIM = f"""At initialisation, at the critical point σ_w² = {SIGMA_W2}, σ_b² = {SIGMA_B2} of tanh, the gradient of a
convolutional network of {{depth:,}} layers with {CHANNELS} channels stays within {DECADES:g} powers of ten over all
layers where its kernels are delta-orthogonal. Where they are Gaussian of the same variance it does not."""
KERNEL = ConvNetConfig.kernel
TEXT = f"""The network is that of Xiao et al. (2018): kernels of {KERNEL} × {KERNEL}, periodic borders, images of
{{side}} × {{side}}. The gradient is the rms of ∂L/∂z over batch, positions and channels of a layer.

**Why they differ.** At the critical point both kinds of weights keep the *mean* squared gradient of infinitely many
channels. With {CHANNELS} channels it matters what happens in each layer. A delta-orthogonal kernel is an orthogonal
matrix at its centre and zero around it, so a layer keeps every norm but for the slope of tanh. A Gaussian kernel
multiplies the norm by a random number near 1, and over the layers the logarithms of these numbers add up. This is no
plain decay: tanh levels the forward signal, and with it the slopes, so the logarithm wanders up and down. The column
"first over last layer" of the table shows how far it has come. The first hundred layers from the input are different,
because there the signal still shrinks to its fixed point.

**What is measured.** The span is the largest minus the smallest log10 of the gradient over *all* hidden layers. The
step is the rms of the change of that log10 from layer to layer. One seed may lie apart from the others: half way
through, the lowest delta-orthogonal one lies {{apart:.1f}} powers of ten below the mean of the others.

Whether such a network can be trained is not measured here. Everything here, drawing of {{networks}} networks and
compilation with it, took {{seconds:.0f}} s on {{cores}} busy cores and {{memory:.1f}} GB at its peak, in float32."""
CAPTIONS = {
    "deep_conv": Caption(
        """Over {depth:,} layers the gradient spans {orthogonal:.1f} powers of ten with delta-orthogonal kernels and
        {gaussian:.1f} with Gaussian ones.""",
        {
            "a": """Gradient by layer, every {every}th layer and some near the input. Thin lines are seeds, thick ones
            their geometric mean.""",
            "b": """Span over all layers: small marks are seeds, large ones their geometric mean with its 95 %
            t-interval. No network lies in the grey zones if the claim is true.""",
        },
        "n = {seeds} seeds of each kind.",
        """Convolutional tanh networks with {channels} channels on {data}, batch {batch}. The loss is ⟨u, logits⟩ with a
        random u for each example.""",
    ),
}
FIXED = ((f"a span of {DECADES:g} powers of ten", "after a look at two other seeds"),)
TITLE = "Ten thousand layers keep their gradient with delta-orthogonal weights"
SAID = Words(TITLE, CLAIM, TEXT, CAPTIONS, FIXED, case="a kind of kernel: a row of the table")


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
    """Powers of ten by which the lowest delta-orthogonal seed lies below the mean of the others, half way through."""
    own = lines[lines["init"] == ORTHOGONAL].pivot(index="layer", columns="seed", values="log10_delta_rms")
    middle = own.iloc[(own.index.to_series() - own.index.max() / 2).abs().argmin()].sort_values()
    return middle.iloc[1:].mean() - middle.iloc[0]


def show(tables):
    """The table of the page."""
    means = tables["means"]
    interval = lambda r, name: f"{r[name]:.3g} [{r[f'{name}_low']:.3g}, {r[f'{name}_high']:.3g}]"
    rows = [r for _, r in means.iterrows()]
    cells = {
        "weights": means["init"].map(LABELS), "span (powers of ten)": [interval(r, "span") for r in rows],
        "step per layer (powers of ten)": [interval(r, "step") for r in rows],
        "first over last layer (powers of ten)": [interval(r, "drift") for r in rows],
        "claim": means["claim"].map(answered),
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("weights")


def tell(tables):
    """Numbers of the caption and of the text."""
    spans_of = tables["means"].set_index("init")["span"]
    told = {"orthogonal": spans_of[ORTHOGONAL], "gaussian": spans_of[GAUSSIAN]}
    return told | {"apart": apart(tables["profiles"]), "networks": len(tables["spans"])}


PAGE = Experiment("deep_conv", SAID, draw, show, tell, doc=__doc__)


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
    told = {"seconds": seconds, "memory": memory, "cores": os.cpu_count(), "every": every}
    told["side"] = math.isqrt(load(sweep.data, batch=1).x[0].size)
    tables = {"profiles": lines, "spans": table, "means": means}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
