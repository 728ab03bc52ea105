"""Batch normalisation makes ReLU networks explode, layer normalisation does not (Yang et al. 2019).

python experiments/normalisation.py             (a few minutes; writes reports/normalisation)
"""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.normalisation import NONE, NORMS, SCALES, draw  # noqa: E402

FIRST, BATCH_RELU = 5, gl.theory.batch_norm_factor("relu")
CLAIM = f"""In plain normalised networks at initialisation the mean squared gradient changes per layer, toward the
input, by a factor that the activation and the norm set, whatever the scale of the weights (to 2/B + 10/n, where B is
the batch and n the width). With batch normalisation and ReLU it grows by π/(π−1) = {BATCH_RELU:.3f}. With layer
normalisation and ReLU it stays as it is. With tanh it grows by {gl.theory.layer_norm_factor("tanh"):.3f} under both."""
TEXT = f"""The gradient is ∂L/∂z of the preactivations z. The blocks are weight, norm, activation.

**The factor.** The norm divides by the scale of the preactivations, so the weights' own scale cancels. What remains is
E φ'²/Var φ with batch normalisation, which is at least 1 for every activation (Yang et al. 2019), and E φ'²/E φ² with
layer normalisation (`gl.theory.batch_norm_factor`, `gl.theory.layer_norm_factor`). The two differ by what a batch norm
takes away, the mean of φ, which is large for ReLU and 0 for tanh. So it is not true that layer normalisation never
explodes: with tanh it does. The rms grows by the root of the factor, {BATCH_RELU**0.5:.3f} per layer for ReLU with
batch normalisation, which is tenfold in {2 / math.log10(BATCH_RELU):.0f} layers.

**How near.** The tolerance, {{tolerance:.1%}}, is what finite batches and widths may leave, 2/B + 10/n. It is wider
than the intervals over seeds, and covers departures that are real: in {{departing}} of {{normed}} networks the interval
leaves out the factor of infinite width and batch, farthest in {{worst}}.

Layers below {FIRST} are left out of the factor, because there the signal still depends on the data. Without a norm the
same two scales of weights make networks that vanish and networks that explode: they are shown, and the claim is not
about them. Skips, which tame batch normalisation, are not measured here, nor is training."""
CAPTIONS = {
    "normalisation": Caption(
        """With batch norm the gradient of a ReLU network grows {grown:.0f}-fold over {layers} layers at either scale of
        the weights, with layer norm it stays.""",
        {
            "a": """ReLU: rms gradient by layer, relative to the last hidden layer. Hollow marks: σ_w² = {low:g},
            filled: {high:g}; with a norm both lie on one line. Dashed: infinite width and batch; without a norm mean
            field.""",
            "b": "The same for tanh.",
            "c": "Departure of the measured factor from that of infinite width and batch. Grey: beyond the tolerance.",
        },
        """Lines are geometric means over n = {seeds} seeds, bands and bars their 95 % t-interval, mostly narrower than
        the line.""",
        """Networks of depth {depth}, width {width} and batch {batch} on {data} data. The loss is ⟨u, logits⟩ with a
        random u for each example.""",
    ),
}
FIXED = (("the factor of infinite width and batch, to 2/B + 10/n", "before the run"),)
TITLE = "Batch norm makes ReLU networks explode, layer norm does not"
SAID = Words(TITLE, CLAIM, TEXT, CAPTIONS, FIXED, case="a network with a norm: a row of the table")


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
    table["tolerance"] = tolerance
    table["claim"] = pd.Series(within, dtype=object)
    place = lambda column: column.map(NORMS.index) if column.name == "norm" else column
    return table.sort_values(names, key=place, ignore_index=True)[
        [*names, "factor", "low", "high", "law", "tolerance", "claim"]
    ]


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


def show(tables):
    """The table of the page, those nearest to a line of the claim first."""
    table = tables["networks"]
    cells = {
        "activation": table["activation"], "norm": table["norm"], "σ_w²": table["sigma_w2"].map("{:g}".format),
        "factor of the mean square": [f"{r.factor:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in table.itertuples()],
        "infinite width": table["law"].map("{:.4f}".format),
        "claim": ["no case" if r.norm == NONE else answered(r.claim) for r in table.itertuples()],
        "margin": [np.inf if r.norm == NONE else nearest(r) for r in table.itertuples()],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("activation")


def nearest(r):
    """How far a network lies from the nearer line of the tolerance."""
    return margin(r.low, r.high, r.law * (1 - r.tolerance), r.law * (1 + r.tolerance))


def tell(tables):
    """Numbers of the caption and of the text."""
    lines, table = tables["profiles"], tables["networks"]
    first = lines[lines["layer"] == lines["layer"].min()].set_index(["activation", "norm", "sigma_w2"])["mean"]
    told = {"grown": 10 ** first["relu", "batch", SCALES[1]], "layers": int(lines["layer"].max())}
    return told | {"tolerance": table["tolerance"].iloc[0], "low": SCALES[0], "high": SCALES[1], **departures(table)}


PAGE = Experiment("normalisation", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    setting = {"data": sweep.data, "depth": sweep.depth[0], "width": sweep.width[0], "batch": sweep.batch}
    setting |= {"loss": sweep.loss, "seeds": len(sweep.seed_numbers), "dtype": sweep.dtype}
    table, lines = judge(frame, 2 / setting["batch"] + 10 / setting["width"]), profiles(frame)
    finding = Finding.of(answers(table))
    PAGE.publish(asked.out, {"profiles": lines, "networks": table}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
