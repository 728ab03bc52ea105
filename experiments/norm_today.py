"""Where the norm stands today: the stream at the start, and along a short training (Kim et al. 2025, Sun et al. 2025).

python experiments/norm_today.py             (about 12 minutes; writes reports/norm_today)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.norm_today import LABELS, ONE, draw  # noqa: E402
from experiments.networks.norm_today import along_training, at_start  # noqa: E402

FEED_FORWARD, AROUND, NEAR, SLOPE = 0.5, 2.0, 0.1, 0.2
CLAIM = f"""In transformers with ReLU and n Var = 1:

(i) at the start the variance of the pre-LN stream is linear in the number of blocks, not exponential: a straight line
leaves less than an exponential. Per block it grows by what the feed-forward part adds, {FEED_FORWARD:g}, and by what
attention adds: 1 with one position, and from 1/T to 1 with T of them (to {NEAR:.0%});

(ii) with peri-LN it grows by {AROUND:g} per block whatever the positions, and with LayerNorm scaling as pre-LN's does,
but with the harmonic number 1 + 1/2 + … + 1/L in the place of L (to {NEAR:.0%});

(iii) with one position ln of the mean squared gradient at the first block over that at the last is that of the
variances, last over first, to {SLOPE:.0%} in each of the three;

(iv) after a short training the variance of the pre-LN stream is exponential in the depth: an exponential leaves less
than a straight line."""
TEXT = """Today's large transformers have their norms before each branch (pre-LN), or on its input and its output
(peri-LN: Kim et al. 2025). Sun et al. (2025) multiply the norms of block l by 1/√l (LayerNorm scaling), because they
find that the variance of a pre-LN stream grows exponentially with the depth, so that late blocks do nothing.

**At the start it does not.** Each branch sees a stream of variance 1 and adds the same to it in each block. ReLU with
n Var = 1 adds a half (Xiong et al. 2020), so without attention the variance is `1 + L/2`. Attention hands on a mean
over positions: of T unrelated positions with even weights 1/T remains, of equal ones all. So the slope lies between a
half and one and a half, as the positions become alike. A norm behind the branch makes it 1 for each of the two
branches. With scaled norms block l adds 1/l of it. `gl.theory.block_stream` has these laws; `gl.theory.predict`
follows how alike several positions are. They give the gradient as well: what a branch hands back is its share of the
variance, so that for ReLU the factors of all blocks multiply to the ratio of the variances. A norm divides by the
variance around the mean of features, and so do these laws: the vector of the first position, 0 and 1 in turn, has a
mean square of a half and a variance of a quarter.

**Along a training.** The published growth is measured in trained models of billions of parameters. Here {trained}
networks for each place of the norm, of {blocks} blocks and width {small}, learn digits row by row for {steps} steps
of Adam, and reach {accuracy:.0%} of the test examples with pre-LN. Both forms have two numbers, K = a + b l and K = a
exp(b l), and are fitted to ln K by least squares over the blocks of each network. Whatever comes out is a statement
on small networks and on a short training: it neither confirms nor refutes what was seen in large ones.

**What peri-LN and scaling do in training** is drawn, and no part of the claim."""
BAND = "Means over n = {seeds} seeds, of ln; bands and bars their 95 % intervals."
CAPTIONS = {
    "norm_today": Caption(
        """At the start the variance of the pre-LN stream grows by {slope:.2f} per block with {positions} positions: it
        is linear.""",
        {
            "a": "Variance of the stream by block.",
            "b": "Mean squared gradient on the stream relative to that at the last block.",
        },
        BAND + " Lines: {positions} positions. Hollow: one position, beside theory (dashed).",
        """Transformers of width {width} with {heads} heads, ReLU, n Var = 1, no biases, at initialisation on {data},
        batch {batch}; the loss is ⟨u, logits⟩ with a random u for each example.""",
    ),
    "training": Caption(
        """After {steps} steps the variance of the pre-LN stream is {grown:.1f} times that of the start at the last
        block, and {first:.1f} times at the first.""",
        {
            "a": "Pre-LN. On this axis an exponential is a line.",
            "b": "Peri-LN.",
            "c": "LayerNorm scaling.",
        },
        "Means over n = {trained} seeds, of ln, with their 95 % intervals. Darker: later steps.",
        """Transformers of {blocks} blocks and width {small}, ReLU, n Var = 1, no biases, trained on {data} with Adam,
        learning rate {rate}, batch {minibatch}.""",
    ),
}  # fmt: skip
FIXED = (
    (f"variances to {NEAR:.0%}; a line or an exponential, by what they leave", "before any run of this experiment"),
    (f"ln of the gradients to {SLOPE:.0%}", "after a look at four other seeds of another experiment (`dyt`)"),
    ("depth, width, steps and learning rate of the training", "before any run, by the time that it takes"),
)
SAID = Words(
    "Where the norm stands today", CLAIM, TEXT, CAPTIONS, FIXED,
    case="a number of one place of the norms and number of positions: a row of the table",
)  # fmt: skip


def left(blocks, logs):
    """What a straight line and an exponential leave of ln K: mean squares."""
    slope, start = np.polyfit(blocks, logs, 1)
    line = lambda c: np.log(np.maximum(c[0] + c[1] * blocks, 1e-12)) - logs
    first = np.polyfit(blocks, np.exp(logs), 1)[::-1]
    fits = (least_squares(line, begin) for begin in (np.abs(first), (np.exp(logs[0]), 1e-3)))
    return min(np.mean(fit.fun**2) for fit in fits), np.mean((start + slope * blocks - logs) ** 2)


def by_seed(start, trained, depth):
    """The numbers that are judged, of each seed."""
    rows, harmonic = [], np.sum(1 / np.arange(2, depth + 1))
    for (positions, kind, seed), own in start.groupby(["positions", "kind", "seed"], sort=False):
        logs = own[own["signal"] == "variance"].set_index("block")["value"]
        grown = (np.exp(logs[depth]) - np.exp(logs[1])) / (harmonic if kind == "scaled" else depth - 1)
        rows.append((positions, kind, "growth per block", seed, grown))
        if kind == "pre":
            line, exponential = left(logs.index.to_numpy(float), logs.to_numpy())
            rows.append((positions, kind, "exponential leaves, over line", seed, np.log(exponential / line)))
        if positions == ONE:
            gradient = own[(own["signal"] == "gradient") & (own["block"] == 1)].iloc[0]
            rows.append(
                (
                    positions,
                    kind,
                    "ln growth of the gradient over theory's",
                    seed,
                    gradient["value"] / gradient["theory"],
                )
            )
    end, positions = trained[trained["step"] == trained["step"].max()], start["positions"].max()
    for seed, own in end[end["kind"] == "pre"].groupby("seed"):
        line, exponential = left(own["block"].to_numpy(float), own["value"].to_numpy())
        rows.append((positions, "pre", "line leaves, over exponential, trained", seed, np.log(line / exponential)))
    return pd.DataFrame(rows, columns=["positions", "kind", "what", "seed", "value"])


def judge(table):
    """A row for each number: mean and interval over seeds, its lines, and whether the claim is true of it."""
    cases = gl.summarise(table, ["what", "positions", "kind"], "value")[
        ["what", "positions", "kind", "mean", "low", "high"]
    ]
    most_added = {"pre": FEED_FORWARD + 1, "scaled": FEED_FORWARD + 1, "peri": AROUND}

    def lines(r):
        if "leaves" in r.what:
            return 0.0, np.inf
        if "gradient" in r.what:
            return 1 - SLOPE, 1 + SLOPE
        least = most_added[r.kind] if r.kind == "peri" else FEED_FORWARD + 1 / r.positions
        return (1 - NEAR) * least, (1 + NEAR) * most_added[r.kind]

    cases["least"], cases["most"] = zip(*map(lines, cases.itertuples()), strict=True)
    said = [both(above(r.low, r.high, r.least), below(r.low, r.high, r.most)) for r in cases.itertuples()]
    return cases.assign(claim=pd.Series(said, dtype=object))


def show(tables):
    """The table of the page."""
    cases = tables["cases"]
    of = lambda r, v: np.exp(v) if "leaves" in r.what else v
    cells = {
        "what": cases["what"], "norms": cases["kind"].map(LABELS), "positions": cases["positions"],
        "measured": [
            f"{of(r, r.mean):.3g} [{of(r, r.low):.3g}, {of(r, r.high):.3g}]" for r in cases.itertuples()
        ],
        "line": [
            f"> {of(r, r.least):.3g}" + (f" and < {of(r, r.most):.3g}" if r.most < np.inf else "")
            for r in cases.itertuples()
        ],
        "claim": cases["claim"].map(answered),
        "margin": [margin(r.low, r.high, r.least, r.most) for r in cases.itertuples()],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("what")


def tell(tables):
    """Numbers of the sentences."""
    cases, trained = tables["cases"], tables["trained"]
    several = cases[(cases["kind"] == "pre") & (cases["what"] == "growth per block")].set_index("positions")["mean"]
    pre = trained[trained["kind"] == "pre"].pivot(index="block", columns="step", values="mean")
    grown = np.exp(pre[pre.columns.max()] - pre[0])
    return {"slope": several[several.index.max()], "grown": grown.iloc[-1], "first": grown.iloc[0]}


PAGE = Experiment("norm_today", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting, start = at_start(asked.quick)
    more, trained = along_training(asked.quick)
    seeds = by_seed(start, trained, setting["depth"])
    cases = judge(seeds)
    keys = ["positions", "kind", "signal", "block"]
    profiles = gl.summarise(start, keys, "value")
    theory = start.groupby(keys)["theory"].first()
    profiles["theory"] = [theory[tuple(getattr(r, k) for k in keys)] for r in profiles.itertuples()]
    tables = {
        "profiles": profiles,
        "trained": gl.summarise(trained, ["kind", "step", "block"], "value"),
        "cases": cases,
    }
    finding = Finding.of({f"{r.what}, {r.kind}, {r.positions}": r.claim for r in cases.itertuples()})
    PAGE.publish(asked.out, tables, finding=finding, setting=setting | more)


if __name__ == "__main__":
    main()
