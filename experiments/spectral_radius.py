"""What a recurrent network keeps of its gradient: the spectral radius, the units, the gates (Pascanu et al. 2013).

python experiments/spectral_radius.py             (a few minutes; writes reports/spectral_radius)
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, both
from gradlab.reporting.words import listed

RADII, GATED_RADII, ROUNDING = (0.5, 0.9, 1.0, 1.1, 1.5), (0.5, 1.0, 1.5), 1e-5
#: Seeds that nobody had looked at when the lines of the claim were drawn.
SEEDS = tuple(range(4, 14))
#: Up to this radius the claim has a tanh network lose over a decade; from there on gain less than one.
LOSES = 1.1
CLAIM = f"""With an orthogonal recurrent weight times ρ the delta of a linear network changes by ρ per time step, to
one part in {1 / ROUNDING:,.0f}; that of a tanh network by less than ρ, so that with these inputs it loses over a
decade in the sequence at ρ = {listed(f"{r:g}" for r in RADII if r <= LOSES)}, and gains less than one at ρ =
{listed(f"{r:g}" for r in RADII if r > LOSES)}. An LSTM keeps more per step than its cell alone, σ(b_f), and a GRU more
than its update gate alone, 1/2, at ρ = {listed(f"{r:g}" for r in GATED_RADII)}."""
TEXT = """All singular values of ρ times an orthogonal matrix are ρ, so spectral radius and norm are one number, and
|∂h_T/∂h_0| ≤ ρ^T for tanh, whose slope is at most 1: ρ < 1 is sufficient for a vanishing gradient, ρ > 1 necessary for
an exploding one (Pascanu, Mikolov & Bengio 2013). What the units take away depends on the input that drives them.
Where singular values differ, even a linear network departs from ρ^t for many steps (`gl.theory.recurrent_powers`).

The delta is ∂L/∂z of a step for the plain cell and ∂L/∂h for LSTM and GRU; it falls at once where it leaves h for the
cell. The cell of an LSTM is a road of its own: with the usual forget bias of 1 a factor σ(1) = {cell:.3f} per step,
over {moves} steps {decades:.1f} decades; what the table shows beyond comes through the recurrent weight. The bias b_f
= ln(T − 1) keeps (1 − 1/T)^(T−1) = {kept:.2f} (Tallec & Ollivier 2018): at initialisation it is the bias rather than
the gate that keeps a gradient. The lines of the claim were drawn after a first look at four seeds."""
CAPTION = """Width {width}, {steps} time steps of Gaussian input, n = {seeds} seeds; lines and points are geometric
means, bands and bars their 95 % t-interval over seeds, mostly narrower than the line. Right: rate against ρ; grey: the
roads through a gate alone, from below that of the GRU, 1/2, and of the LSTM, σ(1) and 1 − 1/T."""
SAID = Words("Radius, units and gates of recurrent networks", CLAIM, TEXT, {"spectral_radius": Caption(CAPTION)})
PLAIN, GATED = ("linear", "tanh"), ("LSTM, b_f = 1", "LSTM, b_f = ln(T−1)", "GRU")


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


def alone(kind, steps):
    """The factor per step along a gate alone."""
    return dict(zip(GATED, (1 / (1 + math.exp(-1)), 1 - 1 / steps, 0.5), strict=True))[kind]


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


def draw(lines, table):
    """Plain network and gates side by side, and the rate of all."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
    of_radius = dict(zip(RADII, plt.get_cmap("cividis")(np.linspace(0, 0.9, len(RADII))), strict=True))
    for (kind, radius), line in lines.groupby(["kind", "radius"], sort=False):
        if kind in GATED and radius != 1.0:
            continue
        axes, colour = (left, of_radius[radius]) if kind in PLAIN else (middle, f"C{2 + GATED.index(kind)}")
        label = f"tanh, ρ = {radius:g}" if kind == "tanh" else None if kind in PLAIN else kind
        axes.plot(line["before"], line["mean"], "--" if kind == "linear" else "-", color=colour, label=label)
        axes.fill_between(line["before"], line["low"], line["high"], color=colour, alpha=0.3, linewidth=0)
    left.plot([], [], "--", color="0.4", label="linear, same ρ")
    for i, (kind, marker) in enumerate(zip((*PLAIN, *GATED), "xosDv", strict=True)):
        rows = table[table["kind"] == kind]
        bars = [rows["rate"] - rows["low"], rows["high"] - rows["rate"]]
        style = {"fmt": marker, "ls": ":", "ms": 4, "lw": 0.8, "color": f"C{i}", "label": kind}
        right.errorbar(rows["radius"], rows["rate"], bars, **style)
        if kind in GATED:
            right.axhline(alone(kind, table["depth"].max()), color="0.75", lw=0.8, zorder=0)
    right.set(xlabel="ρ: spectral radius", ylabel="rate: factor of the rms delta per step")
    for axes, title in ((left, "Plain cell"), (middle, "Gates, ρ = 1"), (right, "All cells")):
        axes.set_title(title, fontsize=10)
        axes.legend(fontsize=7, frameon=False)
    for axes in (left, middle):
        axes.set(xlabel="time steps before the output", ylabel="rms delta of the step")
        gl.plots.log10_axis(axes)
        axes.invert_xaxis()
    return figure


def shown(table):
    """The table of the page."""
    cells = {
        "cell": table["kind"],
        "ρ": table["radius"].map("{:g}".format),
        "rate": [f"{r.rate:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in table.itertuples()],
        "ρ, or the gate alone": table["reference"].map("{:.4f}".format),
        "decades": [f"{r.decades:.2f} [{r.decades_low:.2f}, {r.decades_high:.2f}]" for r in table.itertuples()],
        "claim": ["open" if c is None else str(bool(c)).lower() for c in table["claim"]],
    }
    return pd.DataFrame(cells).set_index("cell")


PAGE = Experiment(
    "spectral_radius",
    SAID,
    lambda t: {"spectral_radius": draw(t["profiles"], t["networks"])},
    lambda t: shown(t["networks"]),
)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    frames, setting = measure(asked.quick)
    table, lines = judge(frames), profiles(frames)
    finding = Finding.of({f"{r.kind}, ρ = {r.radius:g}": r.claim for r in table.itertuples()})
    moves, road = setting["steps"] - 1, [math.log10(alone(kind, setting["steps"])) for kind in GATED]
    told = {"moves": moves, "decades": -moves * road[0], "kept": 10 ** (moves * road[1]), "cell": 10 ** road[0]}
    PAGE.publish(asked.out, {"profiles": lines, "networks": table}, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
