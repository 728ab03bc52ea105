"""Gradients differ between initialisations as the product law says (Hanin 2018, Hanin & Nica 2020).

python experiments/lognormal.py             (two minutes; writes reports/lognormal)
python experiments/lognormal.py --quick --out scratch/lognormal
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kstest

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.lognormal import draw  # noqa: E402

ERRORS, LEVEL, APART, WIDE, NARROW = 4.0, 1e-3, 0.25, 25, 10
#: The first seed: those before it were looked at when the criterion of the last part of the claim was chosen.
FRESH = 10_000
COLUMNS = ("delta_log10_mean", "zero_example_fraction")
CLAIM = f"""Over initialisations of He ReLU networks without bias, ln|Ju|² (u a unit cotangent at the output, Ju the
delta of the first layer) follows the law of a sum of independent ln(2χ²_K/n_l), K ~ Binomial(n_l, 1/2): mean, variance
and fourth central moment within {ERRORS:g} standard errors, and Kolmogorov's test at the level {LEVEL:g}, for
constant, pyramid and bottleneck widths. Where no layer has fewer than {WIDE} units, Σ 1/n_l alone sets the variance,
whatever the shape: its 95 % interval lies within {APART:.0%} of 5 Σ 1/n_l."""
TEXT = f"""The delta is the gradient with respect to the preactivations. ln|Ju|² is 2 ln 10 · `delta_log10_mean` + ln
n_1 of the first layer under `loss="probe"`, for one input. n_l is the width of layer l. The law is exact at any width
and depth (`gl.theory.log_norm_law`), and standard errors are those of the law itself.

The first order of the law in 1/n is a normal law with variance 5 Σ 1/n_l and mean −½ of that. |Ju|² has mean 1 in
every one of these networks, but the typical gradient is smaller: a few networks with large gradients keep the
arithmetic mean up. A pyramid or a bottleneck pays for its narrow layers alone, and more than the first order says: a
layer of {NARROW} units has {gl.theory.log_norm_law([NARROW]).variance / (5 / NARROW):.2f} times the variance
5/{NARROW}, because now and then one unit or two pass.

An earlier run judged the last part of the claim by {ERRORS:g} standard errors, which left one pyramid open; the
criterion was then changed to the 95 % interval. So all networks were drawn anew here, with {{seeds:,}} seeds from
number {{first:,}} on that nobody had looked at."""
CAPTIONS = {
    "lognormal": Caption(
        """The logarithm of the squared gradient varies over initialisations as the product law says; with narrow
        layers its variance is up to {most:.2f} times the first order 5 Σ 1/n.""",
        {
            "a–c": """Density of ln|Ju|² over initialisations for one network of each shape, with its widths above.
            Steps: measured. Dashed lines: the exact law. A × L stands for L layers of A units, A … B for layers that
            narrow from A to B units, and A, B, A for a layer of B units between wider ones.""",
            "d": """Variance of ln|Ju|² against the sum of 1/n over the layers, named by the widths. Bars: 95 %
            intervals from the law's standard error. Dashes across the points: the exact law. Grey line: 5 Σ 1/n.""",
        },
        """n = {seeds} seeds for each network; {dead} of {networks} networks have |Ju| = 0 and are left out.""",
        """He ReLU networks without bias, one standard normal input with {features} features.""",
    )
}
FIXED = (
    (f"{ERRORS:g} standard errors for the moments, level {LEVEL:g} for Kolmogorov's test", "before the run"),
    (f"{WIDE} units as the narrowest layer of the last part", "before the run, knowing the law"),
    (
        f"95 % interval within {APART:.0%} of 5 Σ 1/n",
        "after a look at other seeds, which the first criterion had left open; before the seeds shown here were drawn",
    ),
)
SAID = Words(
    "Gradients differ between initialisations as the product law says",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="a moment, a test or a variance beside the first order, of one network",
)


def shapes(quick):
    """Name and widths of each network, by the kind of its shape."""
    if quick:
        return {"constant": {"20 × 4": (20,) * 4}, "bottleneck": {"30, 10, 30": (30, 10, 30)}}
    return {
        "constant": {f"100 × {d}": (100,) * d for d in (10, 25, 50)},
        "pyramid": {"200 … 25": (200, 175, 150, 125, 100, 75, 50, 25), "80 … 10": (80, 70, 60, 50, 40, 30, 20, 10)},
        "bottleneck": {"100, 10, 100": (100, 100, 100, 10, 100, 100, 100), "60, 6, 60": (60, 60, 6, 60, 60)},
    }


def measure(quick, seeds, features):
    """ln|Ju|² of every network and seed."""
    x, numbers = np.random.default_rng(0).normal(size=(1, features)).astype("float32"), range(FRESH, FRESH + seeds)
    parts = []
    for shape, networks in shapes(quick).items():
        for name, widths in networks.items():
            width = widths[0] if len(set(widths)) == 1 else widths
            net = gl.MLP(depth=len(widths), width=width, activation="relu", init="he_normal", bias=False)
            trace = gl.measure(net, x, loss="probe", seeds=numbers, columns=COLUMNS)
            dead = trace.columns["zero_example_fraction"][:, 0] > 0
            values = 2 * np.log(10) * trace.columns["delta_log10_mean"][:, 0] + np.log(widths[0])
            own = {"shape": shape, "network": name, "inverse_width_sum": sum(1 / n for n in widths)}
            norms = np.where(dead, -np.inf, values).astype("float32")
            parts.append(pd.DataFrame({**own, "seed": trace.seeds, "ln_norm2": norms}))
    return pd.concat(parts, ignore_index=True)


def laws(quick):
    """The law of every network."""
    return {n: gl.theory.log_norm_law(w) for networks in shapes(quick).values() for n, w in networks.items()}


def curves(laws):
    """The densities, five standard deviations to each side."""
    parts = []
    for name, law in laws.items():
        x = law.mean + law.variance**0.5 * np.linspace(-5, 4, 181)
        parts.append(pd.DataFrame({"network": name, "ln_norm2": x, "density": law.density(x)}))
    return pd.concat(parts, ignore_index=True)


def central_moments(law, highest=8):
    """By the density, on a grid that reaches where nothing is left."""
    y, step = np.linspace(-30, 12, 4001, retstep=True)
    y, step = y * law.variance**0.5, step * law.variance**0.5
    weights = law.density(law.mean + y) * step
    return [float(weights @ y**k) for k in range(highest + 1)]


def judge(samples, laws):
    """A row for each network: measured, law, standard errors between them, and what they say of the claim."""
    rows, answers = [], {}
    for name, group in samples.groupby("network", sort=False):
        law, values = laws[name], group["ln_norm2"].to_numpy(float)
        alive = values[np.isfinite(values)]
        m, n = central_moments(law), len(alive)
        d = alive - np.mean(alive)
        errors = (
            (m[2] / n) ** 0.5,
            ((m[4] - m[2] ** 2) / n) ** 0.5,
            ((m[8] - m[4] ** 2 - 8 * m[3] * m[5] + 16 * m[2] * m[3] ** 2) / n) ** 0.5,
        )
        found = (np.mean(alive), np.var(alive, ddof=1), np.mean(d**4))
        total = group["inverse_width_sum"].iloc[0]
        row = {"network": name, "shape": group["shape"].iloc[0], "inverse_width_sum": total, "alive": n}
        for moment, value, expected, error in zip(
            ("mean", "variance", "fourth"), found, (law.mean, law.variance, m[4]), errors, strict=True
        ):
            row |= {moment: value, f"{moment}_law": expected, f"{moment}_error": error}
            answers[f"{moment}, {name}"] = bool(abs(value - expected) < ERRORS * error)
        row["p"] = float(kstest(alive, law.cdf).pvalue)
        answers[f"distribution, {name}"] = row["p"] > LEVEL
        low, high = (found[1] + side * 1.96 * errors[1] for side in (-1, 1))
        inside = abs(low / (5 * total) - 1) < APART and abs(high / (5 * total) - 1) < APART
        outside = low > (1 + APART) * 5 * total or high < (1 - APART) * 5 * total
        if min(law.widths) >= WIDE:
            answers[f"5 Σ 1/n, {name}"] = True if inside else False if outside else None
        rows.append(row)
    return pd.DataFrame(rows), Finding.of(answers)


def show(tables):
    """The table of the page."""
    table = tables["networks"]
    within = lambda r, m: f"{getattr(r, m):.4f} ± {getattr(r, m + '_error'):.4f} ({getattr(r, m + '_law'):.4f})"
    total = table["inverse_width_sum"]
    cells = {"Σ 1/n": total.map("{:.3f}".format)} | {
        f"{m} (law)": [within(r, m) for r in table.itertuples()] for m in ("mean", "variance", "fourth")
    }
    cells["variance / (5 Σ 1/n)"] = (table["variance"] / 5 / total).map("{:.3f}".format)
    cells["Kolmogorov p"] = table["p"].map("{:.2f}".format)
    return table.assign(**cells).set_index("network")[list(cells)]


def tell(tables):
    """The largest variance beside the first order, and how many networks pass nothing."""
    table, drawn = tables["networks"], tables["seeds"]
    most = (table["variance"] / 5 / table["inverse_width_sum"]).max()
    return {"most": most, "dead": int(np.isinf(drawn["ln_norm2"]).sum()), "networks": len(drawn), "first": FRESH}


PAGE = Experiment("lognormal", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    seeds, features = (200, 20) if asked.quick else (2000, 64)
    samples, law = measure(asked.quick, seeds, features), laws(asked.quick)
    (table, finding), density = judge(samples, law), curves(law)
    setting = {"activation": "relu", "init": "he_normal", "bias": False, "seeds": seeds, "features": features}
    setting |= {"loss": "probe", "dtype": "float32", "data": "one standard normal input"}
    tables = {"density": density, "networks": table, "seeds": samples[["network", "seed", "ln_norm2"]]}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
