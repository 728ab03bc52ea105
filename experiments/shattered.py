"""Shattered gradients (Balduzzi et al. 2017): which networks forget which input a gradient is of, and how fast.

python experiments/shattered.py             (a minute; writes reports/shattered)
"""

import sys
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.frames.cosines import cosines
from gradlab.reporting import Caption, Experiment, Finding, Words

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.shattered import draw  # noqa: E402

BELOW, NEAR = (1, 2, 3, 5, 8, 10), 0.06
PLAIN, CENTRED, SKIP, NORMED = "plain", "centred", "centred, with skip", "normalised, with skip"
NAMES = (PLAIN, CENTRED, SKIP, NORMED)
NEAR_ALL, DEPTH, BATCH, AT = (1 + NEAR) ** max(BELOW) - 1, 20, 64, 10
CLAIM = f"""At initialisation the cosine of two inputs' gradients in He ReLU networks, k layers below the output, is
what arc-cosine kernels say, to {NEAR:.0%} per layer: that is a factor of {1 + NEAR:g} at k = 1, and one of
{1 + NEAR_ALL:.2f} at k = {max(BELOW)} (95 % interval of the mean over seeds). So it is about 2^−k where every unit is
centred over the batch, and (3/4)^k where such a branch is added to a skip; with a normalised branch it falls as a
power of the depth; and in a plain network, without centring, it is more than twice 2^−{max(BELOW)}."""
THIRD = gl.theory.gradient_correlation(-1 / (BATCH - 1), DEPTH, share=1 / np.arange(2, DEPTH + 2), centred=True)[AT]
KAPPA = gl.theory.gradient_correlation(-1 / (BATCH - 1), 1, centred=True)[0]
TEXT = f"""The tolerance is one per layer and adds up: at k = {max(BELOW)} the claim would hold of a cosine that is
{NEAR_ALL:.0%} above the law. In {{apart}} of the {{cases}} cells of the table the interval leaves out the law, and the
claim holds all the same. The largest of these departures is that of the {{worst}} network at k = {{at}}, {{most:.0%}}
above the law; farther down, where the claim says nothing, the plain network lies {{far:.0%}} above it at k = {{below}}.

Balduzzi et al. state 2^−L for feed-forward networks, (3/4)^L for residual ones and about L^−1/2 for residual networks
with batch normalisation. Their argument takes the gates of two inputs (the signs of a unit's preactivations) to agree
half of the time in *every* layer, that is, inputs that stay at a right angle. In a plain He network they do not: the
correlation of any two inputs tends to 1, the gates agree ever more, and the cosine falls as L^−3 only. Centring over
the batch is what keeps the inputs apart.

The third law is not ours: the mean of a ReLU branch over the batch, 1/π of its mean square, is part of the stream's
variance but not of what the next norm divides by. So the branch weighs more and the power is −π/(2π−2); {AT} of
{DEPTH} blocks below the output the third law would leave a cosine of {THIRD:.3f}. The batch's mean (and standard
deviation) is a constant for the gradient here, as for that of one output by its own input in a large batch. With B =
{BATCH} centred inputs their correlation is −1/{BATCH - 1}, not 0, and in place of 1/2 the first factor is {KAPPA:.3f}.
Inputs are independent and normal."""
CAPTIONS = {
    "shattered": Caption(
        """Gradients of two inputs become unlike by a half per layer only where units are centred over the batch: {deep}
        layers below the output their cosine is {centred:.4f} there, and {plain:.2f} in a plain network.""",
        {
            "a": """Cosine of two inputs' gradients by layers below the output. Marks: means over pairs and n = {seeds}
            seeds, bars their 95 % t-intervals. Dashed: the law of infinite width. Shaded: what the claim allows,
            {near:.0%} per layer. A triangle is the upper end of an interval that holds 0.""",
            "b–f": """Gradient df/dx of one network along a line of {points} inputs, over its root mean square: of two
            centred networks, of normalised blocks with a skip, and of noises for comparison.""",
        },
        setting="""ReLU networks of width {width} with He weights; in (a) {batch} independent normal inputs.""",
    )
}
FIXED = (
    (
        f"{NEAR:.0%} per layer at k = {', '.join(map(str, BELOW))}",
        "before the number of seeds was doubled; no record says whether before the first small run",
    ),
    ("the law of normalised branches", "after a look at a small run, which showed the published power to be wrong"),
    ("the number of seeds", "after a look at half as many, which left one case open"),
)
SAID = Words(
    "Shattered gradients need centred units",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="a cell of the table, or the plain network beside twice 2^−k",
)


def frozen(scale):
    """Centre each unit over the batch, and divide by its standard deviation if asked, as constants for the gradient."""

    def forward(_, z):
        centred = z - jnp.mean(z, 0)
        inverse = 1 / jnp.std(z, 0) if scale else jnp.ones_like(centred[0])
        return centred * inverse, inverse

    return gl.lift(lambda key, shape: ({}, shape), forward, lambda _, inverse, dy: (dy * inverse, {}), "centre")


def network(name, width, depth):
    """A layer with one output, and the kind of site whose cotangents are read."""
    weight, relu = lambda: gl.dense(width, "he_normal", bias=False), gl.activation("relu")
    first, readout = (gl.dense(n, "lecun_normal", bias=False) for n in (width, 1))
    if name in (PLAIN, CENTRED):
        between = [frozen(False)] if name == CENTRED else []
        block = gl.serial(*between, relu, weight())
        return gl.serial(first, gl.repeat(block, depth - 1), *between, relu, readout), "dense"
    # of unit variance: normalised ones add 1 to the stream each
    block = gl.residual(gl.serial(frozen(name == NORMED), relu, weight()))
    return gl.serial(first, gl.repeat(block, depth), readout), "residual"


def measure(width, depth, batch, seeds):
    """A row for each network, seed and layer: the cosine, mean over all pairs."""
    x = np.random.default_rng(0).normal(size=(batch, width)).astype("float32")
    parts = []
    for name in NAMES:
        layer, kind = network(name, width, depth)
        found = gl.frame(gl.shattering(layer, x, seeds=seeds, bins=1, kind=kind))
        if kind == "residual":  # its rows are cotangents after each block, the last that of the readout; 0 of the input
            found["from_loss"] = depth - found["layer"]
            found = found[found["layer"] >= 1]
        parts.append(found[found["from_loss"] >= 1].assign(network=name))
    return pd.concat(parts, ignore_index=True)


def law(depth, batch):
    """What infinite width says, by layers below the output."""
    apart = -1 / (batch - 1)
    # what a norm sees of the stream: 1, and of each branch below the part that is not the same for all inputs
    seen = 1 + (1 - 1 / np.pi) * np.arange(depth)
    curves = {
        PLAIN: gl.theory.gradient_correlation(0.0, depth),
        CENTRED: gl.theory.gradient_correlation(apart, depth, centred=True),
        SKIP: gl.theory.gradient_correlation(apart, depth, share=0.5, centred=True)[1:],
        NORMED: gl.theory.gradient_correlation(apart, depth, share=1 / (seen + 1), centred=True)[1:],
    }
    rows = ((n, len(v) - i, c) for n, v in curves.items() for i, c in enumerate(v))
    return pd.DataFrame(rows, columns=["network", "from_loss", "law"])


def judge(table, expected):
    """A row for each network and layer: mean, interval and law; and whether they agree where the claim looks."""
    means = cosines(table, "from_loss", "network").merge(expected, "left", on=["network", "from_loss"])
    answers = {}
    for row in means[means["from_loss"].isin(BELOW)].itertuples():
        low, high = (row.law * (1 + NEAR) ** (side * row.from_loss) for side in (-1, 1))
        inside, outside = low < row.low and row.high < high, row.high < low or row.low > high
        answers[f"{row.network}, {row.from_loss} below"] = True if inside else False if outside else None
        if row.network == PLAIN and row.from_loss == max(BELOW):
            answers["plain above 2^−k"] = bool(row.low > 2 * 0.5**row.from_loss)
    return means, Finding.of(answers)


def lines(quick, width):
    """df/dx along a line of inputs: networks of one input, white noise, and its running sum."""
    x = np.linspace(-2, 2, 64 if quick else 256)
    parts, white = {}, np.random.default_rng(1).normal(size=len(x))
    for title, name, depth in (("2 layers", CENTRED, 2), ("24 layers", CENTRED, 24), ("50 blocks, skip", NORMED, 50)):
        layer, _ = network(name, width, depth)
        parts[title] = gl.shattering(layer, x[:, None], seeds=1, bins=1).gradient[0, :, 0]
    for title, values in (("brown noise", np.cumsum(white)), ("white noise", white)):
        parts[title] = values / np.sqrt(np.mean(values**2))
    return pd.concat([pd.DataFrame({"network": n, "x": x, "gradient": v}) for n, v in parts.items()], ignore_index=True)


def show(tables):
    """The table of the page: cosine with its interval, and the law in brackets."""
    means = tables["means"]
    means = means[means["from_loss"].isin(BELOW)]
    cell = [f"{r.mean:.4f} [{r.low:.4f}, {r.high:.4f}] ({r.law:.4f})" for r in means.itertuples()]
    table = means.assign(cell=cell).pivot(index="from_loss", columns="network", values="cell")
    return table[list(NAMES)].rename_axis("layers below the output (law)")


def tell(tables):
    """Where measured cosines depart from the law: in the claim, and farther down."""
    means = tables["means"].assign(off=tables["means"]["mean"] / tables["means"]["law"] - 1)
    cells = means[means["from_loss"].isin(BELOW)]
    apart = cells[(cells["law"] < cells["low"]) | (cells["law"] > cells["high"])]
    most = apart.loc[apart["off"].idxmax()]
    end = means[(means["network"] == PLAIN) & means["law"].notna()].nlargest(1, "from_loss").iloc[0]
    at_end = cells[cells["from_loss"] == max(BELOW)].set_index("network")["mean"]
    told = {"apart": len(apart), "cases": len(cells), "worst": most["network"], "at": int(most["from_loss"])}
    told |= {"most": most["off"], "below": int(end["from_loss"]), "far": end["off"], "near": NEAR, "deep": max(BELOW)}
    points = int(tables["lines"].groupby("network").size().iloc[0])
    return told | {"centred": at_end[CENTRED], "plain": at_end[PLAIN], "points": points}


PAGE = Experiment("shattered", SAID, partial(draw, names=NAMES, near=NEAR, below=max(BELOW)), show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    width, depth, batch, seeds = (64, 12, 16, 4) if asked.quick else (400, DEPTH, BATCH, 40)
    table, expected = measure(width, depth, batch, seeds), law(depth, batch)
    (means, finding), signals = judge(table, expected), lines(asked.quick, width)
    setting = {"width": width, "depth": depth, "batch": batch, "seeds": seeds, "init": "he_normal", "dtype": "float32"}
    PAGE.publish(asked.out, {"means": means, "lines": signals}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
