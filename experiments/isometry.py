"""Orthogonal tanh networks near criticality come near isometry; ReLU and Gaussian ones do not (Pennington et al. 2017).

python experiments/isometry.py             (some minutes; writes reports/isometry)
python experiments/isometry.py --quick --out scratch/isometry
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.isometry import draw  # noqa: E402

RATIO, SIGMA_B2 = 2.0, 2.01e-5
CLAIM = f"""Between the preactivations of layers 1 and L + 1, m2/m1² of JJᵀ (1 where all singular values are equal)
stays below {RATIO:g} in orthogonal tanh networks at the critical point of σ_b² = {SIGMA_B2}, and is above {RATIO:g} in
Gaussian tanh networks at the same point and in He-initialised ReLU networks with orthogonal or Gaussian weights, at
every depth tried."""
TEXT = f"""J is the derivative of the preactivations of layer L + 1 with respect to those of layer 1. m1 and m2 are the
means of the second and of the fourth powers of its singular values. A network is near isometry where all singular
values are nearly equal. For infinite width m2/m1² = 1 + L(μ2/μ1² − 1 − s), with s = −1 for Gaussian and 0 for
orthogonal weights (Pennington, Schoenholz & Ganguli 2017; `gl.theory.moment_ratio`). ReLU adds 1 per layer whatever
its scale, because half of its units pass nothing. Gaussian weights add 1 by themselves. tanh adds {{added:.1f}} q*²
here, which the bias makes as small as wanted: at the same depth a smaller σ_b² is nearer to isometry, and at a given
σ_b² a deep enough network leaves it (here m2/m1² = {RATIO:g} at {{depth:.0f}} layers).

Free probability, from which the laws come, is a limit of infinite width at fixed depth. Where L is not far below the
width, measured ratios of Gaussian weights depart from it; the table shows this and the claim does not speak of it. The
laws drawn for tanh are those of linear networks, whose share per layer tanh comes near at this point. Trainability is
not measured here."""
CAPTIONS = {
    "isometry": Caption(
        """Only orthogonal tanh networks keep all singular values near 1: through {deepest} layers their m2/m1² is
        {near:.2f}, and {far:.0f} or more in the three other kinds.""",
        {
            "a, b": """Share of the singular values of the Jacobian below a size, through {shallowest} and through
            {deepest} layers: an upright step means that all are equal. Half or more of those of ReLU networks are 0 or
            nearly so. Bands: 95 % intervals of the mean over seeds, often narrower than the line.""",
            "c": """Distance from isometry. Points are geometric means over seeds, bars their 95 % t-intervals, mostly
            narrower than the point; two kinds have the same law, and their points are set a little apart. Grey: what
            the claim calls near isometry.""",
        },
        """n = {seeds} seeds. Dashed: the law of infinite width, in (a) and (b) for tanh that of linear networks.""",
        """Width {width}, one input of the stationary variance, σ_b² = {sigma_b2} for tanh and 0 for ReLU.""",
    )
}
FIXED = ((f"the line at m2/m1² = {RATIO:g}", "before the run"),)
SAID = Words("Orthogonal tanh networks come near isometry", CLAIM, TEXT, CAPTIONS, FIXED, case="a network of one depth")
#: log10 of the sizes at which the share of smaller singular values is drawn.
SIZES = np.round(np.linspace(-3.0, 1.5, 181), 3)
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


def shares(values):
    """The share of the singular values below each size, mean and interval over seeds."""
    rows = []
    for seed, own in values.groupby("seed"):
        order = np.sort(own["log10_singular_value"].to_numpy(float))
        rows.append(pd.DataFrame({"seed": seed, "size": SIZES, "below_fraction": order.searchsorted(SIZES) / len(own)}))
    means = gl.summarise(pd.concat(rows, ignore_index=True), ["size"], "below_fraction")
    return means[["size", "mean", "low", "high"]]


def laws(depths):
    """The same share for infinite width; for tanh that of linear networks."""
    parts = []
    for depth in depths:
        for kind in KINDS:
            name, weights = kind.lower().split(", ")
            if (name, weights) == ("tanh", "orthogonal"):
                below_size = np.where(SIZES < 0, 0.0, 1.0)
            else:
                at, density = gl.theory.spectral_density("identity" if name == "tanh" else name, depth, weights)
                mass = np.diff(at) * (density[1:] + density[:-1]) / 2
                above_size = np.concatenate([np.cumsum(mass[::-1])[::-1], [0.0]])  # exact from the edge inward
                below_size = 1 - np.interp(SIZES, at, above_size)
            own = {"network": kind, "layers": depth, "size": SIZES, "below_fraction": below_size}
            parts.append(pd.DataFrame(own))
    return pd.concat(parts, ignore_index=True)


def measure(quick, width, seeds):
    """The singular values of every network, and a row of its moments beside theory."""
    values, rows = [], []
    for depth in (5,) if quick else (5, 10, 20, 40):
        for kind in KINDS:
            net, sigma_w2, sigma_b2, q = network(kind, depth, width)
            x = np.random.default_rng(0).normal(size=(1, width))
            x *= (width * (q - sigma_b2) / sigma_w2) ** 0.5 / np.linalg.norm(x)
            found = gl.jacobian_spectrum(net, x, from_layer=1, to_layer=depth + 1, seeds=seeds)
            values.append(shares(gl.frame(found)).assign(network=kind, layers=depth))
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


def show(tables):
    """The table of the page: the networks nearest to the line first."""
    table = tables["moments"]
    cells = {
        "network": table["network"],
        "layers": table["layers"],
        "m2/m1²": [f"{r.ratio:.3g} [{r.low:.3g}, {r.high:.3g}]" for r in table.itertuples()],
        "infinite width": table["theory"].map("{:.3g}".format),
        "log10 m1": table["log10_mean_square"].map("{:.2f}".format),
        "claim": table["claim"].map(answered),
        "margin": [margin(*np.log([r.low, r.high, RATIO])) for r in table.itertuples()],
    }
    return pd.DataFrame(cells).set_index("network")


def tell(tables):
    """The ratios of the deepest networks, of the first kind and of the least of the others."""
    table = tables["moments"]
    deepest = table[table["layers"] == table["layers"].max()].set_index("network")["ratio"]
    ends = {"shallowest": int(table["layers"].min()), "deepest": int(table["layers"].max())}
    return ends | {"near": deepest[KINDS[0]], "far": deepest.drop(KINDS[0]).min()}


PAGE = Experiment("isometry", SAID, partial(draw, ratio=RATIO), show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting = {"width": 60 if asked.quick else 200, "seeds": 4 if asked.quick else 8, "sigma_b2": SIGMA_B2}
    values, table = measure(asked.quick, setting["width"], setting["seeds"])
    finding = Finding.of({f"{r.network}, {r.layers} layers": r.claim for r in table.itertuples()})
    _, sigma_w2, sigma_b2, q = network(KINDS[0], 1, 2)
    one = gl.theory.moment_ratio("tanh", 1, sigma_w2=sigma_w2, sigma_b2=sigma_b2, weights="orthogonal")
    ends = [table["layers"].min(), table["layers"].max()]
    tables = {"moments": table, "spectra": values[values["layers"].isin(ends)], "laws": laws(sorted(set(ends)))}
    PAGE.publish(
        asked.out, tables, finding=finding, setting=setting,
        numbers={"depth": gl.theory.isometric_depth("tanh", q, ratio=RATIO), "added": (one - 1) / q**2},
    )  # fmt: skip


if __name__ == "__main__":
    main()
