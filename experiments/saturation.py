"""A sigmoid network decays or saturates (Glorot & Bengio 2010): no scale of the weights avoids both.

python experiments/saturation.py            (a quarter of a minute; writes reports/saturation)
python experiments/saturation.py --quick --out scratch/saturation
"""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

import gradlab as gl
from gradlab.measurement.stats import SATURATION
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, either, margin
from gradlab.reporting.words import listed

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.saturation import RATE, SATURATED, draw  # noqa: E402

#: Standard deviations of the weights times the root of the fan-in: of the first look, and those added afterwards.
LOOKED, ADDED = (1, 2, 4, 8, 16), (3**-0.5, 6, 12)
BEYOND = math.log((1 - SATURATION) / SATURATION)
CLAIM = f"""At no scale of its weights does a sigmoid network without biases, at initialisation, both keep its gradient
and its units unsaturated. Either the gradient ∂L/∂z shrinks to less than {RATE} per layer toward the input, or more
than {SATURATED:.0%} of the units are saturated."""
TEXT = f"""The slope of the sigmoid is at most 1/4, so a layer multiplies the gradient by about σ_w/4 at most. With the
standard initialisation of 1986–2010 (σ_w = 1/√3) and with Xavier's (σ_w = 1) hardly any unit is saturated, and the
gradient decays because of the slope alone. Weights large enough to make up for the slope push the preactivations
beyond ±{BEYOND:.1f}, where a unit is within {SATURATION:.0%} of one of its limits: we call it saturated. Theory is the
mean field of infinite width, from which both follow.

Glorot & Bengio saw the last hidden layer saturate *during* training. That is not measured here: this is
initialisation."""
CAPTIONS = {
    "saturation": Caption(
        """No network comes into the grey corner, where the gradient is kept and units are unsaturated: theory's line
        passes it by.""",
        {
            "a": """Root mean square of the gradient ∂L/∂z by layer, networks of {deepest} layers.""",
            "b": """Share of saturated units by layer, of the same networks.""",
            "c": """Saturated share of all layers against the factor by which the gradient changes per layer toward the
            input, of all networks; numbers at the points are σ_w. Bars are smaller than most points.""",
        },
        """Lines and points are means over n = {seeds} seeds (of the gradient geometric), bands and bars 95 %
        t-intervals, of shares that of the logit. Dashed: theory.""",
        """Sigmoid networks of width {width} at initialisation on a batch of {batch} {data}; σ_w is the standard
        deviation of the weights times the root of the number of inputs.""",
    )
}
FIXED = (
    (f"gradient {RATE} per layer", f"after a look at σ_w = {listed(f'{s:.2g}' for s in LOOKED)}"),
    (f"{SATURATED:.0%} of the units", "after the same look"),
    (f"σ_w = {listed(f'{s:.2g}' for s in ADDED)}", "after the lines were drawn"),
)
SAID = Words("A sigmoid network decays or saturates", CLAIM, TEXT, CAPTIONS, FIXED, case="one network of the table")


def measure(quick):
    """The sweep, and its frame: each σ_w at each depth; the readout is Xavier's throughout."""
    sweep = gl.Sweep(
        depth=(4, 8) if quick else (4, 8, 16, 32),
        width=64 if quick else 128,
        activation="sigmoid",
        init="gaussian",
        readout="xavier_normal",
        sigma_w2=tuple(s**2 for s in sorted(LOOKED + ADDED)),
        seeds=3 if quick else 10,
        batch=64 if quick else 128,
        columns=("log10_delta_rms", "saturated_fraction"),
    )
    return sweep, gl.run(sweep, progress=False)


def judge(frame):
    """A row for each network: rate and saturated fraction with their intervals, and whether the claim is true of it."""
    frame = frame[frame["layer"] <= frame["depth"]]
    saturated = gl.summarise(frame, ["network"], "saturated_fraction").set_index("network")
    rates = gl.rates(frame).set_index("network")
    table = rates[["depth", "rate", "low", "high"]].copy()
    table.insert(0, "sigma_w", rates["sigma_w2"] ** 0.5)
    table[["saturated", "saturated_low", "saturated_high"]] = saturated[["mean", "low", "high"]]
    table["claim"] = [
        either(below(r.low, r.high, RATE), above(r.saturated_low, r.saturated_high, SATURATED))
        for r in table.itertuples()
    ]
    return table.reset_index(drop=True).sort_values(["sigma_w", "depth"], ignore_index=True)


def theory(scales, depth, width):
    """Mean field of deep networks: factor per layer and saturated share, by σ_w."""
    rows = []
    for scale in scales:
        net = gl.MLP(depth=depth, width=width, activation="sigmoid", init="gaussian", sigma_w2=float(scale) ** 2)
        found = gl.theory.predict(net)
        spread = 10 ** found.columns["log10_preactivation_rms"][:depth]
        rows.append((scale, found.rate, float(np.mean(2 * norm.sf(BEYOND / spread)))))
    return pd.DataFrame(rows, columns=["sigma_w", "rate", "saturated"])


def profiles(frame):
    """Delta and saturation by layer in the deepest networks."""
    deepest = frame[(frame["depth"] == frame["depth"].max()) & (frame["layer"] <= frame["depth"])]
    lines = gl.summarise(deepest, ["sigma_w2", "layer"], ["log10_delta_rms", "saturated_fraction"])
    lines.insert(0, "sigma_w", lines.pop("sigma_w2") ** 0.5)
    return lines


def show(tables):
    """The table of the page: the networks that are nearest to the corner first."""
    table = tables["networks"]
    rows = list(table.itertuples())
    # the claim is true of a network by one of the two: by that which is farther from its line
    apart = lambda r: max(
        margin(r.low, r.high, RATE) if r.high < RATE else -1,
        margin(r.saturated_low, r.saturated_high, SATURATED) if r.saturated_low > SATURATED else -1,
    )
    law = tables["theory"].set_index("sigma_w")["rate"]
    cells = {
        "σ_w": table["sigma_w"].map("{:.3g}".format),
        "depth": table["depth"],
        "factor per layer": [f"{r.rate:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in rows],
        "by theory": [f"{law.iloc[np.abs(law.index - r.sigma_w).argmin()]:.3f}" for r in rows],
        "saturated": [f"{r.saturated:.3f} [{r.saturated_low:.3f}, {r.saturated_high:.3f}]" for r in rows],
        "claim": [answered(r.claim) for r in rows],
        "margin": [apart(r) for r in rows],
    }
    return pd.DataFrame(cells).set_index("σ_w")


PAGE = Experiment("saturation", SAID, draw, show, lambda t: {"deepest": int(t["profiles"]["layer"].max())}, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table, lines = judge(frame), profiles(frame)
    finding = Finding.of({f"σ_w = {r.sigma_w:.2g}, depth {r.depth}": r.claim for r in table.itertuples()})
    setting = {"data": sweep.data, "width": sweep.width[0], "batch": sweep.batch, "loss": sweep.loss}
    setting |= {"seeds": len(sweep.seed_numbers), "dtype": sweep.dtype}
    scales = np.unique([*table["sigma_w"], *np.geomspace(table["sigma_w"].min(), table["sigma_w"].max(), 40)])
    law = theory(scales, sweep.depth[-1], sweep.width[0])
    tables = {"profiles": lines, "networks": table, "theory": law}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
