"""Attention freezes on few positions where scores spread by √(2 ln T): the softmax of Gaussian scores (Derrida 1981).

python experiments/attention_freezing.py             (about 2 minutes; writes reports/attention_freezing)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.attention_freezing import draw  # noqa: E402

#: Lines of the claim: distance from a law, of the freezing point, change with T above it, and below it.
CLOSE, POINT, SAME, FALLS = 0.05, 0.05, 0.1, 3.0
#: Standard deviations over the freezing one: far below, below and above it.
FAR, UNDER, OVER = 0.25, 0.5, 2.0
CLAIM = f"""The softmax of T Gaussian scores freezes where their standard deviation is √(2 ln T). Continued from
{FAR:g} of it by the law of T → ∞, the entropy is 0 within {POINT:.0%} of it. At {UNDER:g} of it the participation
Σ P² falls more than {FALLS:g}-fold from the smallest T to the largest, at {OVER:g} of it by less than {SAME:.0%}.
Participation and entropy are the law's at each T to {CLOSE:.0%}, and so is the entropy in transformers."""
TEXT = """P are softmax weights of T scores. Their *participation* Σ P² is 1/T where attention is uniform, and 1 where
one position has all of it; 1/Σ P² positions take part.

**Why.** With Gaussian scores the sum in the softmax is that of the random-energy model, a glass of T levels (Derrida
1981). Below the freezing point ever more positions share the weight as T grows, and the entropy is (1 − b²) ln T, where
b is the standard deviation of the scores over √(2 ln T). Above it the largest few have it all, however many there are,
and Σ P² is 1 − 1/b. Then the softmax hands little gradient back to its scores. At a finite T the step is round. There
both quantities are integrals over one variable (`gl.theory.attention_participation`, `attention_entropy`), and exact.

**What is tried.** Softmax weights of independent scores, and the first block of transformers whose weights have ever
larger gains. There scores are not independent, since positions are alike: what counts is how they spread over the
positions that one position sees, gain² √(1 − c). The law there is `gl.theory.predict`. At b = 1 nothing is
discontinuous at these T: the freezing point is where the laws on both sides meet, not where a measured curve has a
corner. All numbers here are ours. Networks are not trained."""
CAPTIONS = {
    "attention_freezing": Caption(
        """At {under:g} of the freezing point {positions_under:.0f} of {largest} positions take part in attention, at
        {over:g} of it {positions_over:.1f}.""",
        {
            "a": "Participation against the standard deviation of scores, over √(2 ln T).",
            "b": "Entropy over ln T.",
            "c": "Entropy in the first block of transformers at T = {network_positions}, whose gain rises.",
        },
        """Means over n = {seeds} seeds, in (c) {network_seeds}, bars their 95 % t-interval. Dashed: the law at this T;
        of (c) that of networks. Grey: T → ∞. Upright: the freezing point.""",
        """(a, b) {rows} softmax rows a seed. (c) Width {width}, {heads} heads, rms norms, Gaussian positions, batch
        {batch}.""",
    ),
}
FIXED = (
    (f"{CLOSE:.0%}, {POINT:.0%}, {SAME:.0%}, {FALLS:g}-fold", "before the run, from the law alone"),
    (f"b = {FAR:g}, {UNDER:g}, {OVER:g}; the T", "before the run"),
    ("number of seeds of the networks", "after a run with as many as softmax rows have, which left one network open"),
)
SAID = Words("Attention freezes", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the tables, or a T")


def interval(values):
    """Mean and 95 % t-interval over seeds."""
    mean, count = np.mean(values), len(values)
    half = t.ppf(0.975, count - 1) * np.std(values, ddof=1) / count**0.5
    return mean, mean - half, mean + half


def softmax_rows(positions, b, seeds, rows):
    """Participation and entropy of each seed, over its rows."""
    values = []
    for seed in range(seeds):
        scores = np.random.default_rng([seed, positions]).normal(size=(rows, positions))
        scores = scores * b * gl.theory.freezing_std(positions)
        p = np.exp(scores - scores.max(1, keepdims=True))
        p = p / p.sum(1, keepdims=True)
        entropy = -np.sum(p * np.log(np.where(p > 0, p, 1)), 1)
        values.append((np.mean(np.sum(p**2, 1)), np.mean(entropy) / np.log(positions)))
    return np.array(values).T


def measure_softmax(setting, quick):
    """A row for each T and b: participation and entropy over ln T, with intervals, and the laws."""
    rows = []
    for positions in (64, 256) if quick else (64, 256, 1024):
        for b in (FAR, UNDER, OVER) if quick else (FAR, UNDER, 0.75, 1.0, 1.25, 1.5, OVER, 3.0):
            participation, entropy = softmax_rows(positions, b, setting["seeds"], setting["rows"])
            std = b * gl.theory.freezing_std(positions)
            laws = gl.theory.attention_participation(std, positions), gl.theory.attention_entropy(std, positions)
            rows.append((positions, b, *interval(participation), laws[0], *interval(entropy)))
            rows[-1] += (laws[1] / np.log(positions),)
    names = [f"{name}{end}" for name in ("participation", "entropy_share") for end in ("", "_low", "_high", "_law")]
    return pd.DataFrame(rows, columns=["positions", "b", *names])


def measure_networks(setting, quick):
    """A row for each gain: the entropy in the first block, with its interval, and that of the law."""
    positions = setting["network_positions"]
    x = np.random.default_rng(0).normal(size=(setting["batch"], positions, 32)).astype("float32")
    rows = []
    for gain in (1.0, 2.0) if quick else (0.7, 1.0, 1.3, 1.6, 2.0, 2.5):
        net = gl.Transformer(depth=1, width=setting["width"], heads=setting["heads"], norm="rms", gain=gain)
        columns = ["attention_entropy", "log10_one_minus_token_c"]
        values = gl.measure(net, x, seeds=setting["network_seeds"], loss="probe", columns=columns).columns
        spread = gain**2 * np.sqrt(np.mean(10 ** values["log10_one_minus_token_c"][:, 0]))
        law = gl.theory.predict(net, x, columns=["attention_entropy"]).columns["attention_entropy"][0]
        entropy = interval(values["attention_entropy"][:, 1])
        rows.append((positions, gain, spread / gl.theory.freezing_std(positions), *entropy, law))
    return pd.DataFrame(rows, columns=["positions", "gain", "b", "entropy", "entropy_low", "entropy_high", "law"])


def near(low, high, law, share=CLOSE):
    """Whether an interval is within a share of a law."""
    return both(above(low, high, law * (1 - share)), below(low, high, law * (1 + share)))


def cases(softmax, networks):
    """Each comparison that could contradict the claim, and whether it is true of it."""
    found = {}
    for r in softmax.itertuples():
        where = f"T = {r.positions}, b = {r.b:g}"
        found[f"participation, {where}"] = near(r.participation_low, r.participation_high, r.participation_law)
        found[f"entropy, {where}"] = near(r.entropy_share_low, r.entropy_share_high, r.entropy_share_law)
        if r.b == FAR:  # (1 - b^2) ln T is 0 at b = 1: the point is b / sqrt(1 - entropy / ln T) of the expected one
            ends = (FAR / np.sqrt(1 - v) for v in (r.entropy_share_low, r.entropy_share_high))
            found[f"freezing point, T = {r.positions}"] = near(*ends, 1.0, POINT)
    at = softmax.set_index(["positions", "b"])
    small, large = (pick(softmax["positions"]) for pick in (min, max))
    for b, judged, line in ((UNDER, above, FALLS), (OVER, below, 1 / (1 - SAME))):
        one, other = at.loc[small, b], at.loc[large, b]
        low = one["participation_low"] / other["participation_high"]
        high = one["participation_high"] / other["participation_low"]
        found[f"participation at b = {b:g} over T"] = judged(low, high, line)
    for r in networks.itertuples():
        found[f"transformer, gain = {r.gain:g}"] = near(r.entropy_low, r.entropy_high, r.law)
    return found


def show(tables):
    """The table of the page: each b and T, those farthest from the law first."""
    table = tables["softmax"]
    cell = lambda r, name: f"{r[name]:.4f} [{r[f'{name}_low']:.4f}, {r[f'{name}_high']:.4f}]"
    rows = table.to_dict("records")
    of_law = lambda r, name: near(r[f"{name}_low"], r[f"{name}_high"], r[f"{name}_law"])
    lines = [[r["participation_law"] * (1 - CLOSE), r["participation_law"] * (1 + CLOSE)] for r in rows]
    cells = {
        "T": table["positions"], "b": table["b"], "participation": [cell(r, "participation") for r in rows],
        "law": table["participation_law"].map("{:.4f}".format),
        "entropy / ln T": [cell(r, "entropy_share") for r in rows],
        "law ": table["entropy_share_law"].map("{:.4f}".format),
        "claim": [answered(both(of_law(r, "participation"), of_law(r, "entropy_share"))) for r in rows],
        "margin": [margin(r["participation_low"], r["participation_high"], *own)
                   for r, own in zip(rows, lines, strict=True)],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("T")


def tell(tables):
    """How many positions take part below and above the freezing point, at the largest T."""
    largest = tables["softmax"]["positions"].max()
    at = tables["softmax"].set_index(["positions", "b"])["participation"]
    take = {"positions_under": 1 / at[largest, UNDER], "positions_over": 1 / at[largest, OVER]}
    return take | {"under": UNDER, "over": OVER, "largest": int(largest)}


PAGE = Experiment("attention_freezing", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting = {"seeds": 4 if asked.quick else 16, "rows": 200 if asked.quick else 1000}
    setting |= {"width": 32 if asked.quick else 256, "heads": 2 if asked.quick else 4, "batch": 2}
    setting |= {"network_positions": 64, "network_seeds": 4 if asked.quick else 64}
    softmax, networks = measure_softmax(setting, asked.quick), measure_networks(setting, asked.quick)
    tables = {"softmax": softmax, "networks": networks}
    PAGE.publish(asked.out, tables, finding=Finding.of(cases(softmax, networks)), setting=setting)


if __name__ == "__main__":
    main()
