"""Order to chaos (Poole et al. 2016, Schoenholz et al. 2017): rates and depth scales through the transition.

python experiments/phase.py             (a minute on a quiet machine; writes reports/phase)
python experiments/phase.py --quick --out scratch/phase
"""

import matplotlib.pyplot as plt
import numpy as np

import gradlab as gl
from gradlab.frames.scales import STRAIGHT
from gradlab.reporting import Caption, Experiment, Finding, Words

SIGMAS = (1.0, 1.2, 1.4, 1.6, 2.0, 2.5, 3.0, 4.0)
#: Width and multiple of ξ_c to which Schoenholz et al. train.
PAPER = (300, 6)
SIGMA_B2, CRITICAL = 0.05, gl.theory.critical_sigma_w2("tanh", 0.05)
RATE, BOUNDS = 0.01, ((1 / 10, 0.05), (1 / 4, 0.1))
COLUMNS = ("log10_delta_rms", "delta_log10_mean", "log10_preactivation_rms", "log10_one_minus_c")
CLAIM = f"""In tanh networks with bias variance {SIGMA_B2}, from σ_w² = {min(SIGMAS):g} to {max(SIGMAS):g}, the
measured rate of the gradient is the predicted one, √χ1 with its transient and finite-width term, to {RATE:.0%} per
layer. So are the depth scales, ξ_∇ on both sides of the transition and ξ_c in the ordered phase: to {BOUNDS[0][1]:.0%}
where theory's is shorter than a tenth of the depth, to {BOUNDS[1][1]:.0%} where it is shorter than a quarter (95 %
intervals over seeds wholly within)."""
TEXT = f"""χ1 = 1 at σ_w² = {CRITICAL:.4f}: below it (ordered) two inputs become alike and gradients vanish, above it
(chaotic) they part and gradients explode. The rate is that of the geometric mean over seeds and examples
(`delta_log10_mean`), to which M/n belongs. A depth scale is fitted to the layers in which theory's own curve has its
last slope to {STRAIGHT:.0%} and the distance is three standard errors above 0, and is compared with the same fit to
theory's curve; −1/ln of the slope at the fixed point stands beside both. ξ_∇ is −1/ln of the squared rate, the same
measurement in another form under a closer bound; most of them differ from −1/ln χ1, which knows no transient and no
width, by more than the bound allows. In the chaotic phase the distance |c − c*| does not go on to 0: c of networks
this wide levels off beside c*, and fluctuates. Fits there come out too long, are shown with their intervals, and are
no part of the claim; nor is ξ_q, a layer or two, of which few stand above noise. Schoenholz et al. train networks of
width {PAPER[0]} down to about {PAPER[1]} ξ_c; nothing is trained here, and the width is larger because 1 − c, too,
falls at another pace by a term of order 1/n per layer. Bounds, width and seeds were chosen after a small run
(`--quick`), from the widths of its intervals."""
CAPTION = """tanh, σ_b² = {sigma_b2}, width {width}, depth {depth}, {batch} Gaussian inputs with correlation {c0}, n =
{seeds} seeds, loss probe. Colours are those of the legends below. {drawn}"""
SAID = Words("Order to chaos: rates and depth scales of tanh networks", CLAIM, TEXT, {"phase": Caption(CAPTION)})


def measure(quick):
    """The sweep, its frame, and what theory expects of each network."""
    sweep = gl.Sweep(
        depth=30 if quick else 60, width=200 if quick else 600, activation="tanh", init="gaussian",
        sigma_w2=(1.0, 1.4, 2.5, 4.0) if quick else sorted((*SIGMAS, float(CRITICAL))),
        sigma_b2=SIGMA_B2, readout="lecun_normal", seeds=4 if quick else 30, batch=16, data="gaussian", c0=0.6,
        loss="probe", columns=COLUMNS,
    )  # fmt: skip
    return sweep, gl.run(sweep, progress=False), gl.predict_all(sweep, columns=COLUMNS)


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


def draw(frame, expected, table):
    """Phase diagram and transition above, depth scales below."""
    figure, axes = plt.subplots(2, 2, figsize=(7, 5.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)
    grid = {"sigma_w2": np.linspace(0.8, 4.4, 60), "sigma_b2": np.linspace(0, 0.3, 40)}
    gl.plots.phase_diagram(table, theory=gl.theory.phase_diagram("tanh", **grid), ax=axes[0, 0])
    gl.plots.transition(frame, theory=expected, critical=CRITICAL, ax=axes[0, 1], legend=False)
    gl.plots.depth_scales(frame, theory=expected, critical=CRITICAL, ax=axes[1])
    return figure


def shown(table, scales):
    """The table of the page."""
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
    return (
        rows.assign(sigma_w2=rows["sigma_w2"].map("{:.4g}".format))
        .rename(columns={"sigma_w2": "σ_w²"})
        .set_index("σ_w²")
    )


def main():
    """Measure, judge, draw, write."""
    page = Experiment(
        "phase", SAID, lambda _: {"phase": draw(frame, expected, table)}, lambda t: shown(t["rates"], t["scales"])
    )
    asked = page.options(__doc__, __file__)
    sweep, frame, expected = measure(asked.quick)
    table, scales = gl.rates(frame, theory=expected), gl.depth_scales(frame, theory=expected)
    finding = judge(table, scales, sweep.depth[0])
    setting = {"sigma_b2": SIGMA_B2, "width": sweep.width[0], "depth": sweep.depth[0], "batch": sweep.batch}
    setting |= {"c0": sweep.c0, "seeds": len(sweep.seed_numbers), "data": sweep.data, "loss": sweep.loss}
    profiles = gl.summarise(frame[frame["layer"] <= frame["depth"]], ["sigma_w2", "layer"], COLUMNS)
    tables = {"rates": table, "scales": scales, "profiles": profiles}
    page.publish(asked.out, tables, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
