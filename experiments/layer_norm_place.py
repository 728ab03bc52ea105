"""Layer normalisation before or after the sum: what reaches the last block (Xiong et al. 2020).

python experiments/layer_norm_place.py             (a few minutes; writes reports/layer_norm_place)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.layer_norm_place import DELTA, EACH, KINDS, NORMS, SHARED, STREAM, WEIGHTS, draw  # noqa: E402
from experiments.networks.layer_norm_place import deepest, each_position, named, norms_of, ratios  # noqa: E402

FACTOR, HALF, APART, SHALLOW, LOST, KEPT, TENTH = 1.2, 0.5, 4.0, 2, 1e-6, 1e-3, 0.1
#: Seeds that nobody had looked at when the lines of the claim were drawn.
SEEDS = tuple(range(32, 48))
CLAIM = f"""In transformers at initialisation, from {SHALLOW} blocks to each other depth:

(i) where the normalisation stands after the sum (post-LN), the gradient on the stream at the last block stays the same
within a factor of {FACTOR:g}; where it stands before the branch (pre-LN), that gradient falls as 1/rms of the stream,
within the same factor;

(ii) the gradient of all weights of the last block together falls below {HALF:g} of its size at {SHALLOW} blocks in the
deepest pre-LN network, and not below 1/{FACTOR:g} in the deepest post-LN one;

(iii) this sum hides the queries and keys: in the deepest post-LN network their gradient at the last block is less than
1/{1 / LOST:,.0f} of that at the first, while every other weight keeps more than {TENTH:g}; pre-LN keeps more than
1/{1 / KEPT:,.0f} of theirs;

(iv) in the deepest networks the gradient on the stream at the first block is more than {APART:g} times that at the
last with pre-LN. With post-LN it is more than {HALF:g} of it where the readout sees the mean over positions, and more
than {TENTH:g} of it where the readout sees each position by itself."""
TEXT = """"Gradient on the stream" is ∂L/∂x, where x is the sum that a block hands on; with post-LN it is taken before
the block's last normalisation.

**The last block.** Xiong et al. (2020) look at the second weight of the last feed-forward part. With Gaussian weights
of n Var = 1, ReLU, and no attention, the stream has the mean square 1 + L/2 after L pre-LN blocks. The last
normalisation divides the gradient by the root of that, so the gradient falls as (1 + L/2)^−½. With post-LN the stream
has the same size at each depth, and no depth enters. Attention adds more to the stream: it averages over positions and
so hands on what they have in common, up to 1 per block. Then (1 + L/2)^−½ need not hold. What remains is 1/rms of the
stream as it was measured, and the gradient on the stream follows it. The gradient of all weights is a sum over
positions, in which what they have in common adds up. It lies near (1 + L/2)^−½ again; the argument does not explain
why, since both its stream and its sum are different.

**Queries and keys.** The gradient of queries and keys depends on how positions *differ*: each row of the attention's
weights sums to 1, so what all keys share drops out. In post-LN networks the positions become alike from block to block
(rank collapse; Dong et al. 2021, Noci et al. 2022). So the queries and keys of late blocks receive almost no gradient,
although the norm of all weights of the block looks healthy. These gradients are computed in float64.

**Toward the input.** Two popular sayings are that post-LN halves the gradient in every block, and that pre-LN hands it
on unchanged. The first comes from the Jacobian of the normalisation alone; the branch brings back what the
normalisation takes. Of the second, the skip is only a part: the stream grows, and the gradient at its beginning is
larger. The gradient depends on the readout, too. One that sees each position by itself sends each position another
gradient; their differences are lost over the last few post-LN blocks, and below these the gradient stays. At the first
block it is {each:.2f} of that at the last.

Xiong et al. explain the need for warm-up by last blocks whose gradient does not shrink with depth. Training is not
measured here."""
BAND = """Lines and points are geometric means over n = {seeds} seeds, bands and bars their 95 % t-interval; bars
shorter than a marker are hidden by it."""
SETTING = """Transformers of width {width} with {heads} heads, ReLU, n Var = 1, at initialisation on {data}, batch
{batch}."""
CAPTIONS = {
    "layer_norm_place": Caption(
        "With pre-LN the gradient at the last block falls to {pre:.2f} at {deepest} blocks, with post-LN it stays.",
        {
            "a": "Gradient on the stream at the last block, relative to the network of {shallow} blocks.",
            "b": "The same for the gradient of all weights of the last block.",
        },
        BAND + """ Ratios are taken within a seed. Dashed: 1/rms of the measured stream of pre-LN; dotted: (1 + L/2)^−½,
        which holds without attention.""",
        SETTING,
    ),
    "weights": Caption(
        "In {deepest} post-LN blocks queries and keys lose {lost:.1f} powers of ten of their gradient.",
        {
            "a": "Pre-LN: norm of the gradient of each weight, by block.",
            "b": "Post-LN.",
            "c": """Gradient on the stream relative to that at the last block; dashed where the readout sees each
            position by itself.""",
        },
        BAND, SETTING,
    ),
}  # fmt: skip
LOOK = "after a look at eight other seeds"
FIXED = (
    (f"within a factor of {FACTOR:g}; below {HALF:g}; more than {APART:g} times", LOOK),
    (
        f"queries and keys: less than 1/{1 / LOST:,.0f} with post-LN, more than 1/{1 / KEPT:,.0f} with pre-LN",
        "after a look at one seed",
    ),
    (f"each other weight: more than {TENTH:g}", "after a look at one seed, at four of these weights"),
    (f"each position by itself: more than {TENTH:g}", "after a look at four other seeds"),
)
CASE = "one statement of the claim on one network: a row of the table"
SAID = Words("Layer normalisation before or after the sum", CLAIM, TEXT, CAPTIONS, FIXED, CASE)


def measure(quick):
    """The sweep, its frame, deltas of networks whose readout sees each position, and norms of single weights."""
    sweep = gl.Sweep(
        architecture="transformer", depth=(SHALLOW, *((4, 8) if quick else (4, 8, 16, 32))), width=16 if quick else 64,
        activation="relu", init="lecun_normal", norm_position=NORMS, seeds=SEEDS[:3] if quick else SEEDS,
        batch=8 if quick else 32, columns=(DELTA, WEIGHTS, STREAM),
    )  # fmt: skip
    data, depth, width = load(sweep.data, batch=sweep.batch), max(sweep.depth), sweep.width[0]
    each, single = [], []
    for norm in NORMS:
        net = each_position(norm, depth, width, sweep.heads[0], data.x.shape[1:])
        trace = gl.measure(net, data.x, data.y, seeds=sweep.seed_numbers, columns=(DELTA,))
        rows = gl.frame(trace)[["seed", "layer", DELTA]].assign(norm=norm)
        each.append(rows.assign(layer=rows["layer"] - 1)[lambda f: (f["layer"] >= 1) & (f["layer"] <= depth)])
        net = gl.Transformer(depth=depth, width=width, activation="relu", init="lecun_normal", norm_position=norm)
        single += [norms_of(net, norm, seed, data) for seed in sweep.seed_numbers]
    return sweep, gl.run(sweep, progress=False), pd.concat(each), pd.concat(single, ignore_index=True)


def judge(table):
    """A row for each statement of the claim on a network: the ratio, its interval, the lines, what became of it."""
    logs = {(r.norm, r.depth, r.column): (r.mean, r.low, r.high) for r in table.itertuples()}
    depths = sorted(table["depth"].unique())
    last, near, found = depths[-1], (1 / FACTOR, FACTOR), []

    def tried(what, norm, column, least=0.0, most=np.inf, depth=last):
        mean, *interval = logs[norm, depth, column]
        low, high = np.log10([least, most]) if least else (-np.inf, np.log10(most))
        claim = both(above(*interval, low), below(*interval, high))
        beyond = margin(*interval, low, high)
        values = [10**v for v in (mean, *interval)]
        found.append((what, norm, depth, *values, least, most, claim, beyond))

    for depth in depths[1:]:
        tried("gradient on the stream, last block", "post", DELTA, *near, depth)
        tried("gradient × rms of the stream, last block", "pre", "product", *near, depth)
    tried("all weights, last block", "pre", WEIGHTS, most=HALF)
    tried("all weights, last block", "post", WEIGHTS, 1 / FACTOR)
    for kind in KINDS:
        lost = kind in ("queries", "keys")
        tried(f"{kind}, last block over first", "post", kind, *((0.0, LOST) if lost else (TENTH,)))
        if lost:
            tried(f"{kind}, last block over first", "pre", kind, KEPT)
    tried("gradient on the stream, first block over last", "pre", SHARED, APART)
    tried("gradient on the stream, first block over last", "post", SHARED, HALF)
    tried("the same, readout of each position", "post", EACH, TENTH)
    columns = ["what", "norm", "depth", "ratio", "low", "high", "least", "most", "claim", "margin"]
    return pd.DataFrame(found, columns=columns).astype({"claim": object})


def show(tables):
    """The table of the page: a row for each statement of the claim on one network."""
    cases = tables["cases"]
    text = lambda v: f"{v:.3f}" if v > KEPT else f"{v:.1e}"
    said = lambda r: "" if not r.least else f"> {r.least:.3g}" + (" and " if r.most < np.inf else "")
    cells = {
        "ratio of": cases["what"].str.replace("the same, ", "gradient on the stream, first block over last, "),
        "norm": cases["norm"], "blocks": cases["depth"],
        "measured": [f"{text(r.ratio)} [{text(r.low)}, {text(r.high)}]" for r in cases.itertuples()],
        "line": [said(r) + ("" if r.most == np.inf else f"< {r.most:.3g}") for r in cases.itertuples()],
        "claim": cases["claim"].map(answered), "margin": cases["margin"],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("ratio of")


def tell(tables):
    """Numbers of the captions."""
    table = tables["ratios"].set_index(["norm", "depth", "column"])["mean"]
    last = int(tables["ratios"]["depth"].max())
    lost = -max(table["post", last, kind] for kind in ("queries", "keys"))
    told = {"pre": 10 ** table["pre", last, DELTA], "each": 10 ** table["post", last, EACH]}
    return told | {"deepest": last, "lost": lost, "shallow": SHALLOW}


PAGE = Experiment("layer_norm_place", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame, each, single = measure(asked.quick)
    table = pd.concat([ratios(frame), deepest(single, each)], ignore_index=True)
    cases, blocks = judge(table), named(frame)
    last = blocks[blocks["depth"] == blocks["depth"].max()]
    lines = pd.concat([last.assign(readout=SHARED), each.assign(readout=EACH)], ignore_index=True)
    lines = lines.rename(columns={"layer": "block"}).sort_values("block")
    lines[DELTA] -= lines.groupby(["readout", "norm", "seed"])[DELTA].transform("last")
    lines = gl.summarise(lines, ["readout", "norm", "block"], DELTA)
    weights = gl.summarise(single, ["norm", "kind", "block"], "log10_norm")
    setting = {"data": sweep.data, "width": sweep.width[0], "heads": sweep.heads[0], "init": sweep.init[0]}
    setting |= {"batch": sweep.batch, "seeds": len(sweep.seed_numbers), "loss": sweep.loss, "dtype": sweep.dtype}
    finding = Finding.of({f"{r.what}, {r.norm}-LN, depth {r.depth}": r.claim for r in cases.itertuples()})
    tables = {"ratios": table, "blocks": lines, "weights": weights, "cases": cases}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
