"""A skip alone explodes: the gradient over residual networks by the scale of their branches (Zhang et al. 2019).

python experiments/residual_scaling.py             (a few minutes; writes reports/residual_scaling)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.residual_scaling import BOUND, INVERSE, LABELS, LEARNED, PLAIN, ROOT, SCALES, draw  # noqa: E402

NEAR = 0.05
CLAIM = f"""In residual ReLU networks at initialisation the mean squared gradient on the stream doubles per block (to
{NEAR:.0%}) where branches are not scaled, so it is exponential in the number L of blocks. With a scale of 1/√L or 1/L
it grows less than {BOUND:g}-fold over all blocks, at every depth that was tried."""
TEXT = f"""A block is x + a F(x). F is ReLU and a weight, once or twice, with He's weights. The *stream* is x, the sum
that is handed from block to block.

**The law.** The skip hands the gradient on as it is, and the branch adds a² times as much. So the mean square grows by
1 + a² per block (`gl.theory.residual_factor`), however many weights the branch has. A skip keeps gradients from
vanishing; it does not keep them from exploding. Over L blocks the growth is about 2^L for a = 1 (Hanin & Rolnick 2018;
Zhang, Dauphin & Ma 2019), less than e for a = 1/√L, and about 1 for a = 1/L. Where a is learned and begins at 0
(Bachlechner et al. 2020; De & Smith 2020) a block begins as the identity. The growth is then 1 by construction: it is
shown, and is no case of the claim.

**What is tried.** The bound of {BOUND:g} follows from the law, since (1 + 1/L)^L < e. The claim is that networks of
this width obey the law. It is a law for the mean of squares over initialisations, and rare networks rule such a mean
where networks differ much. So the growth here is the mean of a lognormal: the mean of ln |δ|² plus half its variance,
with Cox's interval. Networks are not trained here."""
CAPTIONS = {
    "residual_scaling": Caption(
        """Without a scale the mean squared gradient grows {unscaled:.1e}-fold over {deepest} blocks; with 1/√L it grows
        {root:.2f}-fold.""",
        {
            "a": "All scales at {deepest} blocks, two weights a branch; three of the four lines lie at 1.",
            "b": "Those three, on a linear axis.",
            "c": """Growth over all blocks against depth. Hollow: one weight a branch, filled: two. No scaled network
            lies in the grey zone if the claim is true; unscaled networks lie far above it.""",
        },
        """Means over n = {seeds} seeds as a lognormal has them, bands and bars their 95 % interval (Cox). Dashed: the
        law, (1 + a²) per block.""",
        """Residual ReLU networks of width {width} on {data}, batch {batch}. The loss is ⟨u, logits⟩ with a random u for
        each example.""",
    ),
}
FIXED = (
    (f"doubles to {NEAR:.0%}; less than {BOUND:g}-fold", "before the run, after a look at a = 1 and a = 1/√L"),
    ("depths and number of seeds", "after a smaller run, which could decide neither line"),
)
SAID = Words("A skip alone explodes", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the table")


def measure(quick):
    """The sweep, and its frame."""
    sweep = gl.Sweep(
        architecture="resnet", activation="relu", init="he_normal", branch_scale=(1, *SCALES[1:]), branch_layers=(1, 2),
        depth=(4, 8) if quick else (8, 16, 32, 64), width=32 if quick else 128, loss="probe",
        batch=8 if quick else 16, seeds=3 if quick else 20, columns=("log10_delta_rms",),
    )  # fmt: skip
    return sweep, gl.run(sweep, progress=False)


def growth(logs):
    """Mean of a lognormal, from samples of ln: its ln, and Cox's 95 % interval."""
    n, variance = len(logs), np.var(logs, ddof=1)
    middle = np.mean(logs) + variance / 2
    half = t.ppf(0.975, n - 1) * np.sqrt(variance / n + variance**2 / (2 * (n - 1)))
    return middle, middle - half, middle + half


def strength(scale, depth):
    """The factor a on the branches."""
    return {PLAIN: 1.0, ROOT: depth**-0.5, INVERSE: 1 / depth, LEARNED: 0.0}[scale]


def judge(frame):
    """A row for each network: ln of its growth with the interval, the law, and whether the claim is true of it."""
    rows, names = [], ["branch_scale", "branch_layers", "depth"]
    ends = frame[(frame["layer"] == 1) | (frame["layer"] == frame["depth"])]
    for (scale, layers, depth), network in ends.groupby(names, sort=False):
        deltas = network.pivot(index="seed", columns="layer", values="log10_delta_rms")
        logs = 2 * np.log(10) * (deltas[1] - deltas[depth]).to_numpy()
        ln, low, high = growth(logs)
        per_block = np.exp(np.array([low, high]) / (depth - 1))
        claim = below(low, high, np.log(BOUND))
        if scale == PLAIN:
            claim = both(above(*per_block, 2 * (1 - NEAR)), below(*per_block, 2 * (1 + NEAR)))
        elif scale == LEARNED:
            claim = bool(np.all(logs == 0))
        law = (depth - 1) * np.log(gl.theory.residual_factor(strength(scale, depth)))
        rows.append((scale, layers, depth, ln, low, high, law, claim))
    table = pd.DataFrame(rows, columns=[*names, "ln_growth", "low", "high", "law", "claim"])
    place = lambda column: column.map(SCALES.index) if column.name == "branch_scale" else column
    return table.sort_values(names, key=place, ignore_index=True)


def built(r):
    """Whether what the claim says of a network is so by construction: a block whose branch counts nothing."""
    return r.branch_scale == LEARNED and bool(r.claim)


def cases(table):
    """The networks that could contradict the claim, and whether it is true of them."""
    tried = [r for r in table.itertuples() if not built(r)]
    return {f"a = {r.branch_scale}, weights {r.branch_layers}, L = {r.depth}": r.claim for r in tried}


def profiles(frame):
    """The mean squared gradient over that at the last block, ln with Cox's interval, in the deepest networks."""
    rows, depth = [], frame["depth"].max()
    deep = frame[(frame["branch_layers"] == 2) & (frame["depth"] == depth)]
    for scale, network in deep.groupby("branch_scale", sort=False):
        deltas = network.pivot(index="seed", columns="layer", values="log10_delta_rms")
        for block in range(1, depth + 1):
            logs = 2 * np.log(10) * (deltas[block] - deltas[depth]).to_numpy()
            theory = (depth - block) * np.log(gl.theory.residual_factor(strength(scale, depth)))
            rows.append((scale, block, *growth(logs), theory))
    return pd.DataFrame(rows, columns=["branch_scale", "block", "ln_growth", "low", "high", "theory"])


def show(tables):
    """The table of the page: a row for each network, those nearest to a line of the claim first."""
    table = tables["networks"]
    per_block = table[["ln_growth", "low", "high"]].div(table["depth"] - 1, axis=0)
    factors, growths = np.exp(per_block), np.exp(table[["ln_growth", "low", "high", "law"]])
    lines = [
        np.log([2 * (1 - NEAR), 2 * (1 + NEAR)]) * (r.depth - 1) if r.branch_scale == PLAIN else [np.log(BOUND)]
        for r in table.itertuples()
    ]
    cells = {
        "scale": table["branch_scale"].map(LABELS), "weights": table["branch_layers"].astype(int), "L": table["depth"],
        "factor per block": [f"{r.ln_growth:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in factors.itertuples()],
        "growth": [f"{r.ln_growth:.4g} [{r.low:.4g}, {r.high:.4g}]" for r in growths.itertuples()],
        "law": growths["law"].map("{:.4g}".format),
        "claim": ["by construction" if built(r) else answered(r.claim) for r in table.itertuples()],
        "margin": [margin(r.low, r.high, *own)
                   for r, own in zip(table.itertuples(), lines, strict=True)],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("scale")


def tell(tables):
    """Growth in the deepest networks with two weights a branch."""
    table = tables["networks"][lambda t: (t["branch_layers"] == 2) & (t["depth"] == t["depth"].max())]
    growths = np.exp(table.set_index("branch_scale")["ln_growth"])
    return {"unscaled": growths[PLAIN], "root": growths[ROOT], "deepest": int(table["depth"].max())}


PAGE = Experiment("residual_scaling", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table, lines = judge(frame), profiles(frame)
    finding = Finding.of(cases(table))
    setting = {"data": sweep.data, "width": sweep.width[0], "batch": sweep.batch, "loss": sweep.loss}
    setting |= {"seeds": len(sweep.seed_numbers), "init": sweep.init[0], "dtype": sweep.dtype}
    PAGE.publish(asked.out, {"profiles": lines, "networks": table}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
