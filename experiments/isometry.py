"""Orthogonal tanh networks near criticality come near isometry; ReLU and Gaussian weights do not (Pennington 2017).

python experiments/isometry.py             (some minutes; writes reports/isometry)
python experiments/isometry.py --quick --out scratch/isometry
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below

RATIO, SIGMA_B2 = 2.0, 2.01e-5
CLAIM = f"""Between the preactivations of layers 1 and L + 1, m2/m1² of JJᵀ (1 where all singular values are equal)
stays below {RATIO:g} in orthogonal tanh networks at the critical point of σ_b² = {SIGMA_B2}, and is above {RATIO:g} in
Gaussian tanh networks at the same point and in He-initialised ReLU networks with orthogonal or Gaussian weights, at
every depth tried."""
TEXT = f"""m1 and m2 are the mean of the squared and of the fourth powers of all singular values. For infinite width
m2/m1² = 1 + L(μ2/μ1² − 1 − s), s = −1 for Gaussian and 0 for orthogonal weights (Pennington, Schoenholz & Ganguli
2017; `gl.theory.moment_ratio`): ReLU adds 1 per layer whatever its scale, because half of its units pass nothing,
Gaussian weights add 1 by themselves, and tanh adds {{added:.1f}} q*² here, which the bias makes as small as wanted: at
the same depth a smaller σ_b² is nearer to isometry, and at a given σ_b² a deep enough network leaves it (here m2/m1² =
{RATIO:g} at {{depth:.0f}} layers). The line at {RATIO:g} was fixed before the run. Free probability is a limit of
infinite width at fixed depth: where L is not far below the width, measured ratios of Gaussian weights depart from it,
which the table shows and the claim does not speak of. Trainability is not measured here."""
CAPTION = """Width {width}, n = {seeds} seeds, one input of the stationary variance. Left and middle: density of log10
of the singular values, pooled over seeds, on an axis that is linear below 1 and logarithmic above; zeros and values
below the rounding of the largest in float32 are in no bin. Right: points are geometric means over seeds, bars their 95
% t-interval (mostly narrower than the point), lines the law of infinite width, grey what the claim calls near
isometry."""
SAID = Words("Orthogonal tanh networks come near isometry", CLAIM, TEXT, {"isometry": Caption(CAPTION)})
KINDS = ("tanh, orthogonal", "tanh, Gaussian", "ReLU, orthogonal", "ReLU, Gaussian")


def network(kind, depth, width):
    """A network of L + 1 hidden layers, with its sigma_w2, sigma_b2 and the variance it keeps."""
    name, weights = kind.split(", ")
    activation = name.lower()
    sigma_b2 = SIGMA_B2 if activation == "tanh" else 0.0
    sigma_w2 = gl.theory.critical_sigma_w2("tanh", SIGMA_B2) if activation == "tanh" else 2.0
    q = gl.theory.mean_field("tanh", sigma_w2=sigma_w2, sigma_b2=sigma_b2).q_star if activation == "tanh" else 1.0
    scale = {"init": "orthogonal", "gain": sigma_w2**0.5}
    if weights == "Gaussian":
        scale = {"init": "gaussian", "sigma_w2": sigma_w2}
    net = gl.MLP(depth=depth + 1, width=width, activation=activation, sigma_b2=sigma_b2, **scale)
    return net, sigma_w2, sigma_b2, q


def measure(quick, width, seeds):
    """The singular values of every network, and a row of its moments beside theory."""
    values, rows = [], []
    for depth in (5,) if quick else (5, 10, 20, 40):
        for kind in KINDS:
            net, sigma_w2, sigma_b2, q = network(kind, depth, width)
            x = np.random.default_rng(0).normal(size=(1, width))
            x *= (width * (q - sigma_b2) / sigma_w2) ** 0.5 / np.linalg.norm(x)
            found = gl.jacobian_spectrum(net, x, from_layer=1, to_layer=depth + 1, seeds=seeds)
            values.append(gl.frame(found).assign(network=kind, layers=depth))
            logs = np.log(found.moment_ratio[:, 0])
            error = t.ppf(0.975, seeds - 1) * logs.std(ddof=1) / seeds**0.5
            weights = kind.split(", ")[1].lower()
            law = gl.theory.moment_ratio(net.activation, depth, sigma_w2=sigma_w2, sigma_b2=sigma_b2, weights=weights)
            ratio, low, high = np.exp([logs.mean(), logs.mean() - error, logs.mean() + error])
            mean_square = found.log10_mean_square.mean()
            rows.append((kind, depth, ratio, low, high, law, mean_square))
    columns = ["network", "layers", "ratio", "low", "high", "theory", "log10_mean_square"]
    table = pd.DataFrame(rows, columns=columns)
    near = table["network"] == KINDS[0]
    table["claim"] = [
        (below if n else above)(r.low, r.high, RATIO) for n, r in zip(near, table.itertuples(), strict=True)
    ]
    return pd.concat(values, ignore_index=True), table


def draw(tables):
    """Two spectra, and the ratio of the moments against depth."""
    values, table = tables["spectra"], tables["moments"]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.3), layout="constrained")
    depths = sorted(table["layers"].unique())
    for axes, depth in ((left, depths[0]), (middle, depths[-1])):
        gl.plots.spectrum(values[values["layers"] == depth], ax=axes, hue="network", legend=False)
        axes.set_title(f"{depth} layers", fontsize=10)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_yticks([0, 0.5, 1, 2, 4], ["0", "0.5", "1", "2", "4"])
        axes.set_ylim(0, None)
    colours = [line.get_edgecolor() for line in left.patches if line.get_gid() == "density"]
    for kind, colour, marker in zip(values["network"].unique(), colours, "os^D", strict=True):
        rows = table[table["network"] == kind]
        bars = [rows["ratio"] - rows["low"], rows["high"] - rows["ratio"]]
        right.errorbar(rows["layers"], rows["ratio"], bars, color=colour, fmt=marker, ms=4, label=kind, elinewidth=0.8)
        right.plot(rows["layers"], rows["theory"], color=colour, lw=0.9)
    right.axhspan(1, RATIO, color="0.9", zorder=0)
    right.set(xscale="log", yscale="log", xlabel="layers L", ylabel="m2/m1² of JJᵀ  [1]", ylim=(0.95, None))
    right.set_xticks(depths, [str(d) for d in depths], minor=False)
    right.minorticks_off()
    right.set_title("Distance from isometry", fontsize=10)
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return {"isometry": figure}


def shown(table):
    """The table of the page."""
    cells = {
        "network": table["network"],
        "layers": table["layers"],
        "m2/m1²": [f"{r.ratio:.3g} [{r.low:.3g}, {r.high:.3g}]" for r in table.itertuples()],
        "infinite width": table["theory"].map("{:.3g}".format),
        "log10 m1": table["log10_mean_square"].map("{:.2f}".format),
        "claim": ["open" if c is None else str(bool(c)).lower() for c in table["claim"]],
    }
    return pd.DataFrame(cells).set_index("network")


PAGE = Experiment("isometry", SAID, draw, lambda tables: shown(tables["moments"]))


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting = {"width": 60 if asked.quick else 200, "seeds": 4 if asked.quick else 8, "sigma_b2": SIGMA_B2}
    values, table = measure(asked.quick, setting["width"], setting["seeds"])
    finding = Finding.of({f"{r.network}, {r.layers} layers": r.claim for r in table.itertuples()})
    _, sigma_w2, sigma_b2, q = network(KINDS[0], 1, 2)
    one = gl.theory.moment_ratio("tanh", 1, sigma_w2=sigma_w2, sigma_b2=sigma_b2, weights="orthogonal")
    ends = values[values["layers"].isin((values["layers"].min(), values["layers"].max()))]
    PAGE.publish(
        asked.out, {"moments": table, "spectra": ends}, finding=finding, setting=setting,
        numbers={"depth": gl.theory.isometric_depth("tanh", q, ratio=RATIO), "added": (one - 1) / q**2},
    )  # fmt: skip


if __name__ == "__main__":
    main()
