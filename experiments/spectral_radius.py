"""What a recurrent network keeps of its gradient: the spectral radius, the units, the gates (Pascanu et al. 2013).

python experiments/spectral_radius.py             (a few minutes; writes reports/spectral_radius)
"""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin
from gradlab.reporting.words import listed

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.spectral_radius import GATED, PLAIN, RADII, alone, draw  # noqa: E402

GATED_RADII, ROUNDING = (0.5, 1.0, 1.5), 1e-5
#: Seeds that nobody had looked at when the lines of the claim were drawn.
SEEDS = tuple(range(4, 14))
#: Up to this radius the claim has a tanh network lose over a decade; from there on gain less than one.
LOSES = 1.1
CLAIM = f"""The recurrent weight is ρ times an orthogonal matrix. Per time step the gradient of a linear network then
changes by ρ, to one part in {1 / ROUNDING:,.0f}. That of a tanh network changes by less than ρ: with these inputs it
loses more than a factor of ten over the sequence at ρ = {listed(f"{r:g}" for r in RADII if r <= LOSES)}, and gains less
than a factor of ten at ρ = {listed(f"{r:g}" for r in RADII if r > LOSES)}. An LSTM keeps more per time step than its
cell alone, σ(b_f), and a GRU more than its update gate alone, 1/2, at ρ = {listed(f"{r:g}" for r in GATED_RADII)}."""
TEXT = """*Gradient* means ∂L/∂z of a time step for the plain cell and ∂L/∂h for LSTM and GRU; its *rate* is the factor
per time step, back in time.

**The radius.** All singular values of ρ times an orthogonal matrix are ρ, so spectral radius and norm are one number.
The slope of tanh is at most 1, so |∂h_T/∂h_0| ≤ ρ^T: ρ < 1 is sufficient for a vanishing gradient, and ρ > 1 is
necessary for an exploding one (Pascanu, Mikolov & Bengio 2013). How much the units take away depends on the input that
drives them. Where singular values differ, even a linear network departs from ρ^t for many time steps
(`gl.theory.recurrent_powers`).

**The gates.** The cell of an LSTM is a second way back in time, beside the recurrent weight. The gradient falls at once
where it goes over from h to the cell. With the usual forget bias of 1 the cell keeps a factor σ(1) = {cell:.3f} per
time step, and so loses {decades:.1f} powers of ten over {moves} time steps. What the table shows beyond that comes
through the recurrent weight. The bias b_f = ln(T − 1) keeps (1 − 1/T)^(T−1) = {kept:.2f} (Tallec & Ollivier 2018). So
at initialisation it is the bias that keeps a gradient, rather than the gate as such."""
CAPTIONS = {
    "spectral_radius": Caption(
        """At ρ = {radius:g} a tanh network loses {lost:.1f} powers of ten over {moves} time steps, where a linear one
        gains {gained:.1f}.""",
        {
            "a": "Linear networks; dashed: ρ per time step. The horizontal axis runs back in time.",
            "b": "Tanh networks.",
            "c": """LSTM, with its forget bias b_f behind the comma, and GRU, at ρ = 1; dashed: what the cell or
            the update gate alone hands on.""",
            "d": "Rate of all networks against ρ; grey: the cell or the update gate alone, 1/2, σ(1) and 1 − 1/T.",
        },
        """Lines and points are geometric means over n = {seeds} seeds, bands and bars their 95 % t-interval, mostly
        narrower than the line.""",
        "Recurrent networks of width {width}, {steps} time steps of Gaussian input, batch {batch}.",
    ),
}
LOOK = "after a look at four other seeds"
FIXED = (
    (f"linear: ρ to one part in {1 / ROUNDING:,.0f}", LOOK),
    (f"tanh: a factor of ten lost up to ρ = {LOSES:g}, less than that gained above", LOOK),
    ("LSTM and GRU: more than their gates alone", LOOK),
)
SAID = Words("Radius, units and gates of recurrent networks", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the table")


def measure(quick):
    """The frames of plain, LSTM and GRU networks, and what was set."""
    steps, batch = (20, 4) if quick else (120, 16)
    data = np.random.default_rng(0).normal(size=(batch, steps, 8)), np.arange(batch) % 4
    setting = {"width": 16 if quick else 64, "batch": batch, "init": "orthogonal"}
    seeds = SEEDS[:3] if quick else SEEDS
    plain, gated = {"activation": ("identity", "tanh"), "gain": RADII}, {"activation": "tanh", "gain": GATED_RADII}
    kinds = plain, {"cell": "lstm", "forget_bias": (1.0, math.log(steps - 1)), **gated}, {"cell": "gru", **gated}
    common = {"architecture": "rnn", "depth": steps, "columns": "log10_delta_rms", "seeds": seeds, **setting}
    frames = [gl.run(gl.Sweep(**common, **kind), data=data, progress=False) for kind in kinds]
    return frames, {**setting, "seeds": len(seeds), "steps": steps, "features": 8}


def named(table):
    """The table with the kind of cell in words, the radius, and the steps before the output where it has layers."""
    kind = table["activation"].astype(str).replace("identity", "linear")
    if "cell" in table:
        kind = np.where(table["forget_bias"] == 1.0, *GATED[:2]) if "forget_bias" in table else GATED[2]
    before = {"before": table["depth"] - table["layer"]} if "layer" in table else {}
    return table.assign(kind=kind, radius=table["gain"], **before)


def judge(frames):
    """A row for each network: rate and decades with their intervals, and whether the claim is true of it."""
    columns = ["kind", "radius", "depth", "rate", "low", "high", "decades", "decades_low", "decades_high"]
    table = pd.concat([named(gl.rates(frame))[columns] for frame in frames], ignore_index=True)
    table["reference"] = [r.radius if r.kind in PLAIN else alone(r.kind, r.depth) for r in table.itertuples()]
    table["claim"] = [holds(r) for r in table.itertuples()]
    return table


def holds(r):
    """Whether the claim is true of a network."""
    if r.kind == "linear":
        return both(above(r.low, r.high, r.radius * (1 - ROUNDING)), below(r.low, r.high, r.radius * (1 + ROUNDING)))
    if r.kind in GATED:
        return above(r.low, r.high, r.reference)
    return both(below(r.low, r.high, r.radius), below(r.decades_low, r.decades_high, -1 if r.radius <= LOSES else 1))


def profiles(frames):
    """Delta by time step of every network."""
    steps = [named(frame[(frame["layer"] >= 1) & (frame["layer"] <= frame["depth"])]) for frame in frames]
    return pd.concat([gl.summarise(f, ["kind", "radius", "before"], "log10_delta_rms") for f in steps])


def show(tables):
    """The table of the page, those nearest to a line of the claim first."""
    table = tables["networks"]
    number = lambda r: "{:.6f}" if r.kind == "linear" else "{:.4f}"
    cells = {
        "cell": table["kind"],
        "ρ": table["radius"].map("{:g}".format),
        "rate": ["{0} [{0}, {0}]".format(number(r)).format(r.rate, r.low, r.high) for r in table.itertuples()],
        "ρ, or the gate alone": table["reference"].map("{:.4f}".format),
        "log10 of first over last time step": [
            f"{r.decades:.2f} [{r.decades_low:.2f}, {r.decades_high:.2f}]" for r in table.itertuples()
        ],
        "claim": table["claim"].map(answered),
        "margin": [beyond(r) for r in table.itertuples()],
    }
    return pd.DataFrame(cells).set_index("cell")


def beyond(r):
    """How far a network lies from the nearest line of the claim."""
    lines = [r.radius * (1 - ROUNDING), r.radius * (1 + ROUNDING)] if r.kind == "linear" else [r.reference]
    found = [margin(r.low, r.high, line) for line in lines]
    if r.kind == "tanh":
        found.append(margin(r.decades_low, r.decades_high, -1 if r.radius <= LOSES else 1))
    return min(found)


def tell(tables):
    """Numbers of the text and of the caption."""
    table = tables["networks"].set_index(["kind", "radius"])["decades"]
    steps = int(tables["networks"]["depth"].max())
    cell, kept = (alone(kind, steps) for kind in GATED[:2])
    told = {"moves": steps - 1, "decades": (1 - steps) * math.log10(cell), "kept": kept ** (steps - 1), "cell": cell}
    return told | {"radius": LOSES, "lost": -table["tanh", LOSES], "gained": table["linear", LOSES]}


PAGE = Experiment("spectral_radius", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    frames, setting = measure(asked.quick)
    table, lines = judge(frames), profiles(frames)
    finding = Finding.of({f"{r.kind}, ρ = {r.radius:g}": r.claim for r in table.itertuples()})
    PAGE.publish(asked.out, {"profiles": lines, "networks": table}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
