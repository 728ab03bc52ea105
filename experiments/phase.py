"""Order to chaos (Poole et al. 2016, Schoenholz et al. 2017): rates and depth scales through the transition.

python experiments/phase.py             (a minute on a quiet machine; writes reports/phase)
python experiments/phase.py --quick --out scratch/phase
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.frames.scales import STRAIGHT, distances
from gradlab.reporting import Caption, Experiment, Finding, Words

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.phase import EVERY, draw  # noqa: E402

SIGMAS = (1.0, 1.2, 1.4, 1.6, 2.0, 2.5, 3.0, 4.0)
#: Width and multiple of ξ_c to which Schoenholz et al. train.
PAPER = (300, 6)
SIGMA_B2, CRITICAL = 0.05, gl.theory.critical_sigma_w2("tanh", 0.05)
RATE, BOUNDS = 0.01, ((1 / 10, 0.05), (1 / 4, 0.1))
GRADIENT, CORRELATION = "delta_log10_mean", "log10_one_minus_c"
COLUMNS = ("log10_delta_rms", GRADIENT, "log10_preactivation_rms", CORRELATION)
CLAIM = f"""In tanh networks with bias variance {SIGMA_B2}, from σ_w² = {min(SIGMAS):g} to {max(SIGMAS):g}, the
measured rate of the gradient is the predicted one, √χ1 with its transient and finite-width term, to {RATE:.0%} per
layer. So are the depth scales, ξ_∇ on both sides of the transition and ξ_c in the ordered phase: to {BOUNDS[0][1]:.0%}
where theory's is shorter than a tenth of the depth, to {BOUNDS[1][1]:.0%} where it is shorter than a quarter (95 %
intervals over seeds wholly within)."""
TEXT = f"""χ1 is the factor by which the mean squared delta (the gradient with respect to a layer's preactivations)
changes per layer. It is 1 at σ_w² = {CRITICAL:.4f}. Below that value (ordered) two inputs become alike and gradients
vanish; above it (chaotic) two inputs become unlike and gradients explode. The rate is the factor of the delta itself
per layer: the geometric mean over seeds and examples (`delta_log10_mean`). Theory's rate has a term for the first
layers, before the variance has settled (the transient), and a term M/n for the finite width n.

A depth scale is the number of layers in which a quantity changes by a factor e. It is fitted to the layers in which
theory's own curve has its last slope to {STRAIGHT:.0%} and the distance is three standard errors above 0, and it is
compared with the same fit to theory's curve; −1/ln of the slope at the fixed point stands beside both. ξ_∇ is −1/ln of
the squared rate: the same measurement in another form, under a closer bound. Most ξ_∇ differ from −1/ln χ1 by more
than the bound allows, because χ1 knows no transient and no width.

In the chaotic phase the distance |c − c*| does not go on to 0: the correlation c of networks this wide levels off
beside its limit c*, and fluctuates. Fits there come out too long. They are shown with their intervals, and are no part
of the claim. Nor is ξ_q, the depth scale of the variance: it is a layer or two, and few of its fits stand above noise.
Schoenholz et al. train networks of width {PAPER[0]} down to about {PAPER[1]} ξ_c. Nothing is trained here, and the
width is larger, because 1 − c, too, falls at another pace by a term of order 1/n per layer."""
CAPTIONS = {
    "phase": Caption(
        """Gradients of tanh networks vanish below σ_w² = {critical:.3f} and explode above it, and their rate per layer
        is theory's to {worst:.2%}.""",
        {
            "a": """Factor χ1 of the mean squared delta per layer in the limit of infinite width. The line is χ1 = 1.
            The ringed points are the measured networks: the square of their rate, in the same colours.""",
            "b": """Each example's rms delta relative to the last hidden layer, averaged in the logarithm. The layers
            run backwards, as the gradient does. Numbers at the lines are σ_w².""",
            "c": """How far the correlation c of two inputs is from its limit. Dots that are less than three standard
            errors above 0 are left out: in the chaotic phase c levels off beside the limit.""",
            "d": """Depth scales: layers in which the squared delta changes by a factor e (ξ_∇, filled) and in which
            the correlation comes nearer to its limit by a factor e (ξ_c, hollow). Lines: theory for infinite width and
            depth. Dashes across the dots: theory of these networks, fitted in the same way. Where an interval has no
            upper end the bar goes to the edge.""",
        },
        """Dots are means over n = {seeds} seeds and bars, often smaller than the dots, their 95 % intervals; (b) and
        (c) show a dot for every {every} layers. Dashed lines in (b) and (c) are theory for these networks. Blue is the
        ordered phase, orange the chaotic one, black the critical σ_w².""",
        """tanh, σ_b² = {sigma_b2}, width {width}, depth {depth}, {batch} Gaussian inputs with correlation {c0}, a
        random cotangent of variance 1 at the output as the loss's gradient.""",
    )
}
FIXED = (
    (f"{RATE:.0%} per layer for the rate", "after a look at the widths of the intervals of a small run (`--quick`)"),
    (
        f"{BOUNDS[0][1]:.0%} for scales under a tenth of the depth, {BOUNDS[1][1]:.0%} for those under a quarter",
        "after a look at the widths of the intervals of a small run (`--quick`)",
    ),
    ("width and number of seeds", "after a look at the same small run"),
)
SAID = Words(
    "Order to chaos: rates and depth scales of tanh networks",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="a rate, or a depth scale that is short enough, of one σ_w²",
)


def measure(quick):
    """The sweep, its frame, and what theory expects of each network."""
    sweep = gl.Sweep(
        depth=30 if quick else 60, width=200 if quick else 600, activation="tanh", init="gaussian",
        sigma_w2=(1.0, 1.4, 2.5, 4.0) if quick else sorted((*SIGMAS, float(CRITICAL))),
        sigma_b2=SIGMA_B2, readout="lecun_normal", seeds=4 if quick else 30, batch=16, data="gaussian", c0=0.6,
        loss="probe", columns=COLUMNS,
    )  # fmt: skip
    return sweep, gl.run(sweep, progress=False), gl.predict_all(sweep, columns=COLUMNS)


def gradients(frame, expected):
    """The delta of each layer over that of the last hidden one: mean over seeds, interval, and theory."""
    cells = frame[(frame["layer"] >= 1) & (frame["layer"] <= frame["depth"])]
    last = cells[cells["layer"] == cells["depth"]].set_index(["network", "seed"])[GRADIENT]
    keys = pd.MultiIndex.from_frame(cells[["network", "seed"]])
    shifted = cells.assign(**{GRADIENT: cells[GRADIENT].to_numpy() - last.loc[keys].to_numpy()})
    means = gl.summarise(shifted, ["network", "sigma_w2", "layer"], GRADIENT)
    means["theory"] = [expected[r.network].columns[GRADIENT][r.layer - 1] for r in means.itertuples()]
    return means[["sigma_w2", "layer", "mean", "low", "high", "theory", "n"]]


def theory_tables():
    """The plane of χ1 with its critical line, and theory's depth scales along σ_w²."""
    w, b = np.linspace(0.8, 4.4, 91), np.linspace(0, 0.3, 31)
    plane = gl.theory.phase_diagram("tanh", sigma_w2=w, sigma_b2=b)
    at_b, at_w = np.meshgrid(b, w, indexing="ij")
    chi1 = pd.DataFrame({"sigma_b2": at_b.ravel(), "sigma_w2": at_w.ravel(), "chi1": plane.chi1.ravel()})
    order = np.argsort(plane.critical.sigma_b2)
    line = pd.DataFrame({"sigma_b2": plane.critical.sigma_b2, "sigma_w2": plane.critical.sigma_w2}).iloc[order]
    near = CRITICAL + np.geomspace(0.004, 1, 40) * (max(SIGMAS) - CRITICAL)
    far = CRITICAL - np.geomspace(0.004, 1, 40) * (CRITICAL - min(SIGMAS))
    fields = [gl.theory.mean_field("tanh", sigma_w2=v, sigma_b2=SIGMA_B2) for v in sorted((*far, *near))]
    scales = [(m.sigma_w2, m.xi_c, m.xi_grad) for m in fields]
    return chi1, line[line["sigma_b2"].between(0, 0.33)], pd.DataFrame(scales, columns=["sigma_w2", "xi_c", "xi_grad"])


def judge(table, scales, depth):
    """The finding: every rate, and every depth scale that is short enough."""
    within = lambda low, high, bound: (
        True if 1 - bound < low and high < 1 + bound else False if high < 1 - bound or low > 1 + bound else None
    )
    answers = {}
    for row in table.itertuples():
        answers[f"the rate at σ_w² = {row.sigma_w2:.3g}"] = within(row.ratio_low, row.ratio_high, RATE)
    for row in scales.itertuples():
        ordered = row.scale == "xi_c" and row.sigma_w2 < CRITICAL
        bound = next((b for share, b in BOUNDS if abs(row.theory) < share * depth), None)
        if (ordered or row.scale == "xi_grad") and bound is not None:
            ends = sorted((row.low / row.same_fit, row.high / row.same_fit))
            answers[f"{row.scale} at σ_w² = {row.sigma_w2:.3g}"] = within(*ends, bound)
    return Finding.of(answers)


def show(tables):
    """The table of the page: the rates nearest to their bound first."""
    table, scales = tables["rates"], tables["scales"]
    rows = table.assign(
        rate=[f"{r.rate:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in table.itertuples()],
        ratio=[f"{r.ratio:.4f} [{r.ratio_low:.4f}, {r.ratio_high:.4f}]" for r in table.itertuples()],
        predicted=table["predicted"].map("{:.4f}".format),
    )[["sigma_w2", "rate", "predicted", "ratio"]]
    for name, title in (("xi_grad", "ξ_∇"), ("xi_c", "ξ_c"), ("xi_q", "ξ_q")):
        own = scales[scales["scale"] == name].set_index("sigma_w2")
        cell = lambda r: "–" if np.isnan(r.value) else f"{r.value:.3g} [{r.low:.3g}, {r.high:.3g}] ({r.same_fit:.3g})"
        cells = {r.Index: f"{cell(r)}; {r.theory:.3g}" for r in own.itertuples()}
        rows[f"{title} (same fit to theory); at the fixed point"] = rows["sigma_w2"].map(cells)
    rows["sigma_w2"] = rows["sigma_w2"].map("{:.4g}".format)
    return rows.rename(columns={"sigma_w2": "σ_w²"}).set_index("σ_w²")


def tell(tables):
    """The largest departure of a rate's interval from theory."""
    return {"worst": float((tables["rates"][["ratio_low", "ratio_high"]] - 1).abs().max(axis=None))}


PAGE = Experiment("phase", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame, expected = measure(asked.quick)
    table, scales = gl.rates(frame, theory=expected), gl.depth_scales(frame, theory=expected)
    finding = judge(table, scales, sweep.depth[0])
    setting = {"sigma_b2": SIGMA_B2, "width": sweep.width[0], "depth": sweep.depth[0], "batch": sweep.batch}
    setting |= {"c0": sweep.c0, "seeds": len(sweep.seed_numbers), "data": sweep.data, "loss": sweep.loss}
    far = distances(frame, expected)
    plane, line, theory = theory_tables()
    tables = {
        "rates": table, "scales": scales, "gradients": gradients(frame, expected),
        "correlations": far[far["quantity"] == "c"].astype({"resolved": int}), "plane": plane, "critical": line,
        "theory": theory,
    }  # fmt: skip
    numbers = {"critical": float(CRITICAL), "every": EVERY}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=numbers)


if __name__ == "__main__":
    main()
