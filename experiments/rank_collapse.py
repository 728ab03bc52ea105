"""Without skips tokens become one, and queries and keys get no gradient (Dong et al. 2021, Noci et al. 2022).

python experiments/rank_collapse.py             (about 5 minutes; writes reports/rank_collapse)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.rank_collapse import NONE, NORMS, PLAIN, SCALED, SHOWN, draw  # noqa: E402

#: Lines of the claim, in powers of ten: of 1 - c, of query and key over value gradients, of the value gradient.
EQUAL, APART, DEAD, ALIVE, LIVES = -6, -1, -3, -2, -1
#: What is smaller counts as this: positions that are equal to the last digit, gradients that are exactly 0.
FLOOR = -30.0
CLAIM = f"""In transformers at initialisation, without norms and with rms norms, positions become one where there are no
skips: behind the last block 1 − c of two positions is below 10^{EQUAL}, queries and keys there have less than
10^{DEAD} of the values' gradient, and the values' gradient is more than 10^{LIVES} of that in block 1. With skips and
branches scaled by 1/√L, 1 − c stays above 10^{APART} and queries and keys keep more than 10^{ALIVE} of the values'
gradient, at every depth that was tried."""
TEXT = f"""A block is attention, then two dense layers with ReLU. c is the correlation of the stream at two positions
of one sequence. Skips hand the stream around both branches; without them a block is its branches alone.

**Why.** Attention averages. Where positions differ by little the scores hardly tell them apart, so attention is nearly
the same mean for all of them. What is left of the differences is then a product of three small factors, and their size
falls by a third power from block to block: doubly exponentially (Dong et al. 2021). The scores hand back
what the values differ by; where nothing differs, queries and keys get no gradient, and the values do (Noci et al.
2022). A norm rescales each position, and changes none of this.

**What is tried.** Networks with skips but without the factor 1/√L are shown, and are no case of the claim. Without
norms their stream grows from branch to branch, and scores grow with it until attention freezes on single positions;
there queries and keys lose their gradient for another reason (`gl.theory.attention_participation`).
`gl.theory.predict` has a law for networks with skips. Numbers below 10^{FLOOR:.0f} count as that. Networks are not
trained here."""
CAPTIONS = {
    "rank_collapse": Caption(
        """Without skips positions are equal to {none_gap:.0e} by block {early}; with branches of 1/√L 1 − c is still
        {scaled_gap:.2f} behind block {deepest}.""",
        {
            "a": "1 − c of the stream at two positions of a sequence.",
            "b": "Norm of the gradient by the query weight over that by the value weight of the same block.",
            "c": "The same of keys.",
            "d": "Norm of the gradient by the value weight over that of the first block.",
        },
        """Geometric means over n = {seeds} seeds, bands their 95 % t-interval. Solid: without norms, dotted: with rms
        norms on the branches. Dashed: lines of the claim.""",
        """Transformers of width {width}, {heads} heads and depth {deepest}, in float64; batch {batch} of {positions}
        Gaussian positions. The loss is ⟨u, logits⟩ with a random u for each example.""",
    ),
}
FIXED = (
    (f"10^{EQUAL}, 10^{APART}, 10^{DEAD}, 10^{ALIVE}, 10^{LIVES}", "before the run, after a look at three other seeds"),
    ("depths and number of seeds", "before the run"),
)
SAID = Words("Without skips tokens become one", CLAIM, TEXT, CAPTIONS, FIXED, case="a network")
COLUMNS = ("log10_one_minus_token_c", *(f"log10_{name}_grad_norm" for name in ("query", "key", "value")))
OPTIONS = {NONE: {"skip": False}, PLAIN: {}, SCALED: {"branch_scale": "1/sqrt(L)"}}
#: Lines of each quantity without skips, and with scaled branches.
LINES = {"gap": (EQUAL, APART), "query": (DEAD, ALIVE), "key": (DEAD, ALIVE), "value": (LIVES, np.nan)}


def measure(quick):
    """Four quantities of each network, seed and block, in powers of ten; and the setting."""
    setting = {"width": 16 if quick else 64, "heads": 2 if quick else 4, "batch": 2 if quick else 8}
    setting |= {"positions": 8 if quick else 16, "seeds": 3 if quick else 16, "loss": "probe", "dtype": "float64"}
    x = np.random.default_rng(0).normal(size=(setting["batch"], setting["positions"], 16))
    rows = []
    for norm in NORMS:
        for kind, options in OPTIONS.items():
            for depth in (8,) if quick else (8, 16, 32):
                net = gl.Transformer(
                    depth=depth, width=setting["width"], heads=setting["heads"], activation="relu",
                    norm=None if norm == "none" else norm, **options,
                )  # fmt: skip
                columns = gl.measure(
                    net, x, seeds=setting["seeds"], loss="probe", dtype="float64", columns=COLUMNS
                ).columns
                gap, query, key, value = (columns[name][:, 1:-1] for name in COLUMNS)
                values = {"gap": gap, "query": query - value, "key": key - value, "value": value - value[:, :1]}
                seed, block = np.indices(gap.shape)
                kept = {name: np.fmax(v, FLOOR).ravel() for name, v in values.items()}
                rows.append(pd.DataFrame({"seed": seed.ravel(), "block": 1 + block.ravel(), **kept}))
                rows[-1][["norm", "kind", "depth"]] = norm, kind, depth
    return pd.concat(rows, ignore_index=True), setting


def profiles(table):
    """Mean and 95 % t-interval over seeds, by block."""
    groups = table.groupby(["norm", "kind", "depth", "block"], sort=False)[list(SHOWN)]
    mean, half = groups.mean(), groups.sem() * t.ppf(0.975, table["seed"].nunique() - 1)
    ends = [(mean - half).add_suffix("_low"), (mean + half).add_suffix("_high")]
    return pd.concat([mean, *ends], axis=1).reset_index()


def answers(row):
    """For each quantity that the claim says something of, whether it is true of a network, and its line."""
    said = {}
    for name, (without, scaled) in LINES.items():
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        if row["kind"] == NONE:
            said[name] = (above if name == "value" else below)(low, high, without), without
        elif row["kind"] == SCALED and not np.isnan(scaled):
            said[name] = above(low, high, scaled), scaled
    return said


def judge(lines):
    """A row for each network: the last block, and whether the claim is true of it."""
    table = lines[lines["block"] == lines["depth"]].reset_index(drop=True)
    claims = [both(*(answer for answer, _ in answers(row).values())) for row in table.to_dict("records")]
    return table.assign(claim=[c if kind != PLAIN else None for c, kind in zip(claims, table["kind"], strict=True)])


def cases(table):
    """The networks that could contradict the claim."""
    tried = table[table["kind"] != PLAIN]
    return {f"{r.kind}, {NORMS[r.norm]}, L = {r.depth}": r.claim for r in tried.itertuples()}


def show(tables):
    """The table of the page: a row for each network, those nearest to a line of the claim first."""
    table = tables["networks"]
    cell = lambda r, name: f"{r[name]:.2f} [{r[f'{name}_low']:.2f}, {r[f'{name}_high']:.2f}]"
    rows = table.to_dict("records")
    far = [
        min((margin(r[f"{n}_low"], r[f"{n}_high"], line) for n, (_, line) in answers(r).items()), default=np.inf)
        for r in rows
    ]
    cells = {
        "skips": table["kind"], "norm": table["norm"].map(NORMS), "L": table["depth"],
        "log10 (1 − c)": [cell(r, "gap") for r in rows], "log10 query / value": [cell(r, "query") for r in rows],
        "log10 key / value": [cell(r, "key") for r in rows], "log10 value / block 1": [cell(r, "value") for r in rows],
        "claim": ["no case" if r["kind"] == PLAIN else answered(r["claim"]) for r in rows], "margin": far,
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("skips")


def tell(tables):
    """1 - c without skips behind the third block, and with scaled branches behind the last one."""
    lines, deepest = tables["profiles"], int(tables["profiles"]["depth"].max())
    deep = lines[(lines["depth"] == deepest) & (lines["norm"] == "none")].set_index(["kind", "block"])["gap"]
    return {"none_gap": 10 ** deep[NONE, 3], "early": 3, "scaled_gap": 10 ** deep[SCALED, deepest], "deepest": deepest}


PAGE = Experiment("rank_collapse", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    table, setting = measure(asked.quick)
    lines = profiles(table)
    networks = judge(lines)
    bounds = pd.DataFrame([(name, *pair, "log10") for name, pair in LINES.items()])
    bounds.columns = ["quantity", "without_skips", "scaled", "unit"]
    tables = {"profiles": lines, "networks": networks, "bounds": bounds}
    PAGE.publish(asked.out, tables, finding=Finding.of(cases(networks)), setting=setting)


if __name__ == "__main__":
    main()
