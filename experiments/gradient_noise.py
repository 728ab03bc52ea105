"""Is a small gradient signal or noise: the noise scale of each layer of deep networks (McCandlish et al. 2018).

python experiments/gradient_noise.py             (about 3 minutes; writes reports/gradient_noise)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.datasets import load_digits

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, answered, below

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.gradient_noise import COLUMN, KINDS, draw  # noqa: E402

SMALL, BIG, LEVEL = 16, 128, 0.95
CLAIM = f"""The noise scale of a layer does not depend on the batch it is measured with: estimates from {SMALL} and from
{BIG} examples agree within their intervals in every layer. In a sigmoid network, whose gradients vanish, it grows
toward the input: the signal over noise of the first layer is below that of the last hidden one. So the gradient that
arrives at the input is not only smaller, it is noisier."""
TEXT = f"""The *noise scale* is the trace of the covariance of single examples' gradients over the squared norm of the
true gradient G. A step that averages far fewer examples follows the noise. What is averaged over seeds is the inverse,
signal over noise: the mean inner product of two examples' gradients over that trace (`inverse_noise_scale`). It may be
negative where a batch shows no signal.

**What is seen.** Numerator and trace have no bias from the batch each, but their ratio has one. A trace from few
examples fluctuates, and the mean of 1 over it is larger than 1 over its mean. In the sigmoid network, where the
examples' gradients are nearly alike and few directions make the trace, {SMALL} examples show a signal over noise that
is larger by a few percent than {BIG} do. The line that was fixed counts that as a difference, so it is one. This was
understood after the run. And a small gradient need not be noise: at every layer the sigmoid network shows more signal
over noise than the tanh network, whose gradients have one size. Nearly all examples give it the same gradient.

**What is tried.** Each seed draws a network and {BIG} examples at random, with their classes as they come: a batch
that is balanced over classes is no random sample, and its noise scale is another number. The small batches are those
examples cut into pieces of {SMALL}, averaged. Differences are taken seed by seed. The agreement is held at
{LEVEL:.0%} for all layers together, each at a share of what is left. The direction is held for sigmoid alone; the tanh
network, at the same depth and with orthogonal weights at the edge of chaos, is shown beside it. Networks are not
trained: along a training the noise scale grows as the loss falls."""
CAPTIONS = {
    "gradient_noise": Caption(
        """In the sigmoid network signal over noise is {first:.2g} at the first layer and {last:.2g} at the last hidden
        one.""",
        {
            "a": "Signal over noise by layer, in examples: 1 over it is the noise scale. Filled: large batches.",
            "b": "Size of the weight gradient of the same layers, over that of the last hidden one.",
        },
        "Means over n = {seeds} seeds with their 95 % t-interval.",
        """Networks of {depth} hidden layers of width {width} on digits, squared error, in {dtype}.""",
    ),
}
FIXED = (
    ("both batches agree in every layer", "before the run"),
    ("first layer below last hidden layer, sigmoid", "before the run"),
)
SAID = Words("Is a small gradient signal or noise", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the table")


def measure(quick):
    """A row for each network, batch size, seed and layer."""
    depth, width, seeds = (3, 16, 3) if quick else (10, 64, 24)
    x, y = load_digits(return_X_y=True)
    x = ((x - x.mean()) / x.std()).astype("float32")
    y = np.eye(10, dtype="float32")[y]  # a small batch may lack a class
    rows, columns = [], [COLUMN, "log10_weight_grad_norm"]
    for kind, options in KINDS.items():
        net = gl.MLP(depth=depth, width=width, **options)
        for seed in range(seeds):
            chosen = np.random.default_rng(seed).permutation(len(x))[:BIG]
            for batch in (BIG, SMALL):
                pieces = chosen.reshape(-1, batch)
                traces = [gl.measure(net, x[p], y[p], seeds=[seed], loss="mse", columns=columns) for p in pieces]
                values = np.mean([[trace.columns[c][0] for c in columns] for trace in traces], 0)
                rows += [(kind, batch, seed, i + 1, *values[:, i]) for i in range(depth)]
    frame = pd.DataFrame(rows, columns=["kind", "batch", "seed", "layer", COLUMN, "log10_norm"])
    return frame, {"depth": depth, "width": width, "seeds": seeds, "dtype": "float32", "data": "digits"}


def interval(values, level=LEVEL):
    """Mean and t-interval over seeds."""
    mean, n = np.mean(values), len(values)
    half = t.ppf((1 + level) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n)
    return mean, mean - half, mean + half


def judge(frame):
    """A row for each network and layer: the difference of both batches; then one for the direction."""
    made, count = [], frame.groupby(["kind", "layer"]).ngroups
    for kind in KINDS:
        own = frame[frame["kind"] == kind]
        by_batch = {b: rows.pivot(index="seed", columns="layer", values=COLUMN) for b, rows in own.groupby("batch")}
        for layer in by_batch[BIG]:
            difference = by_batch[SMALL][layer] - by_batch[BIG][layer]
            middle, low, high = interval(difference, 1 - (1 - LEVEL) / count)
            made.append((f"{kind}, layer {layer}", "batches agree", middle, low, high, bool(low <= 0 <= high)))
        first, last = (by_batch[BIG][layer] for layer in (1, frame["layer"].max()))
        middle, low, high = interval(first - last)
        claim = below(low, high, 0.0) if kind == next(iter(KINDS)) else None
        made.append((f"{kind}, first − last", "noise grows to the input", middle, low, high, claim))
    return pd.DataFrame(made, columns=["case", "asked", "difference", "low", "high", "claim"])


def profiles(frame):
    """Means with intervals by layer, of signal over noise and of the size of the gradient."""
    rows = []
    for (kind, batch, layer), own in frame.groupby(["kind", "batch", "layer"], sort=False):
        last = frame[(frame["kind"] == kind) & (frame["batch"] == batch) & (frame["layer"] == frame["layer"].max())]
        size = own["log10_norm"].to_numpy() - last["log10_norm"].to_numpy()
        rows.append((kind, batch, layer, *interval(own[COLUMN]), *interval(size)))
    names = ["mean", "low", "high", "size", "size_low", "size_high"]
    return pd.DataFrame(rows, columns=["kind", "batch", "layer", *names])


def show(tables):
    """The table of the page."""
    table = tables["differences"]
    cells = {
        "case": table["case"], "asked": table["asked"],
        "difference": [f"{r.difference:.3g} [{r.low:.3g}, {r.high:.3g}]" for r in table.itertuples()],
        "claim": ["shown" if pd.isna(c) else answered(bool(c)) for c in table["claim"]],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("case")


def tell(tables):
    """Signal over noise at both ends of the sigmoid network."""
    table = tables["profiles"][lambda p: (p["kind"] == next(iter(KINDS))) & (p["batch"] == BIG)].set_index("layer")
    return {"first": table["mean"].iloc[0], "last": table["mean"].iloc[-1]}


PAGE = Experiment("gradient_noise", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    frame, setting = measure(asked.quick)
    table = judge(frame)
    held = {r.case: bool(r.claim) for r in table.itertuples() if r.claim is not None}
    tables = {"profiles": profiles(frame), "differences": table}
    PAGE.publish(asked.out, tables, finding=Finding.of(held), setting=setting)


if __name__ == "__main__":
    main()
