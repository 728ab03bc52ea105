"""A tanh network trains to a few multiples of its depth scale (Schoenholz et al. 2017).

python experiments/trainability.py            (about 25 minutes; writes reports/trainability)
python experiments/trainability.py --quick --out scratch/trainability
"""

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below

NEAR, FAR, PAPER = 3, 12, 6
LEARNT, CHANCE = 0.8, 0.3
STEPS, WIDTH, RATE, SIGMA_B2 = 1000, 300, 0.001, 0.05
CRITICAL = gl.theory.critical_sigma_w2("tanh", SIGMA_B2)
CLAIM = f"""At width {WIDTH} and learning rate {RATE:g}, at each of the variances of the weights tried, a tanh network
of up to {NEAR} ξ_c layers, ξ_c the depth scale at which two inputs' correlation settles, has a training accuracy above
{LEARNT} after {STEPS} steps of SGD on digits, and one of {FAR} ξ_c layers or more stays below {CHANCE}."""
TEXT = f"""Two inputs come nearer to their common correlation by a factor e in ξ_c layers; at the critical point (σ_w²
= {CRITICAL:.3f} for these biases) ξ_c is infinite; the σ_w² = {{beside:g}} of the grid lies beside it, with a ξ_c of
{{longest:,.0f}} layers. Schoenholz et al. found networks trainable to about {PAPER} ξ_c (their figure 5, on larger
images): a rule read off a figure, which moves with the number of steps, the learning rate and the width. So the claim
leaves open what happens between {NEAR} and {FAR} ξ_c, where {{unjudged}} of the {{cells}} networks lie. Below the
critical point the inputs become the same and gradients vanish, above it inputs become unlike whatever they were and
gradients explode. Chance is one in ten: a network that answers always with one class is there, one that tells two
sorts apart at twice that, so {CHANCE} is what we call not trained. The width, the biases and the weights are those of
Schoenholz et al. Intervals are cut at 0 and 1, the ends of what a share can be.

Width and rate belong to the claim: they were chosen so that it can hold. The lines were drawn after a look at a few
cells with fewer units, fewer steps and a larger rate. On that grid the deepest networks at the critical point did not
train; with {WIDTH} units all but the deepest did, and that one only at the smallest of three rates. So the grid here
was taken with that width and rate, the lines left as they were, on seeds that are among those of the pilot."""
CAPTION = """Training accuracy after {steps} steps of SGD (learning rate {learning_rate}, minibatches of {batch}) on
{data}, tanh networks of width {width}, σ_b² = {sigma_b2}; means over n = {seeds} seeds. Lines: {near}, {paper} and
{far} ξ_c from theory, infinite where σ_w² = {critical:.3f}; at {paper} ξ_c Schoenholz et al. saw networks cease to
train."""
SAID = Words(
    "Tanh networks of up to a few depth scales train, at one width and rate",
    CLAIM,
    TEXT,
    {"trainability": Caption(CAPTION)},
)


def measure(quick):
    """The trainings: a grid of depths and weight variances."""
    sweep = gl.TrainingSweep(
        depth=(2, 40) if quick else (5, 10, 20, 40, 80, 160),
        width=100 if quick else WIDTH,
        activation="tanh",
        init="gaussian",
        readout="xavier_normal",
        sigma_w2=(1.0, 1.76) if quick else (1.0, 1.4, 1.76, 2.0, 2.5, 4.0),
        sigma_b2=SIGMA_B2,
        learning_rate=RATE,
        steps=30 if quick else STEPS,
        batch=64,
        records=2,
        seeds=2 if quick else 3,
        columns=("train_accuracy", "test_accuracy"),
    )
    return sweep, gl.run(sweep, progress=False)


def judge(frame):
    """A row for each network: its accuracy with its interval, its depth in ξ_c, and what the claim says of it."""
    last = frame[(frame["layer"] == 1) & (frame["step"] == frame["step"].max())]
    table = gl.summarise(last, ["depth", "sigma_w2"], "train_accuracy").rename(columns={"mean": "accuracy"})
    table[["low", "high"]] = table[["low", "high"]].clip(0, 1)  # a share
    scale = gl.trainable_depths(frame, scales=1.0)[["sigma_w2", "xi_c"]]
    table = table.merge(scale, on="sigma_w2").sort_values(["sigma_w2", "depth"], ignore_index=True)
    table["depths"] = table["depth"] / table["xi_c"]
    table["says"] = np.select([table["depths"] <= NEAR, table["depths"] >= FAR], ["trains", "does not"], "nothing")
    seeds = frame["seed"].nunique()  # one that diverged has no last step
    trains = lambda r: above(r.low, r.high, LEARNT) if r.n == seeds else False
    answers = {"trains": trains, "does not": lambda r: below(r.low, r.high, CHANCE)}
    told = [answers[r.says](r) if r.says in answers else None for r in table.itertuples()]
    return table.assign(claim=pd.Series(told, dtype=object))


def answers(table):
    """Case -> whether the claim is true of it, for the networks of which it says something."""
    told = table[table["says"] != "nothing"]
    return {f"depth {r.depth} at σ_w² = {r.sigma_w2:g}": r.claim for r in told.itertuples()}


def draw(tables):
    """Accuracy over depth and variance, with theory's lines."""
    axes = gl.plots.trainability(tables["trainings"], value="train_accuracy", theory=tables["theory"])
    return {"trainability": axes.figure}


def shown(table):
    """The table of the page."""
    cells = {
        "σ_w²": table["sigma_w2"].map("{:g}".format),
        "depth": table["depth"],
        "depth / ξ_c": table["depths"].map("{:.2g}".format),
        "training accuracy": [f"{r.accuracy:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in table.itertuples()],
        "the claim says": table["says"],
        "claim": [
            "" if r.says == "nothing" else "open" if r.claim is None else str(bool(r.claim)).lower()
            for r in table.itertuples()
        ],
    }
    return table.assign(**cells)[list(cells)].set_index("σ_w²")


PAGE = Experiment("trainability", SAID, draw, lambda tables: shown(tables["networks"]))


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table = judge(frame)
    finding = Finding.of(answers(table))
    setting = {"data": sweep.data, "width": sweep.width[0], "batch": sweep.batch, "steps": sweep.steps}
    setting |= {"learning_rate": sweep.learning_rate[0], "loss": sweep.loss, "seeds": len(sweep.seed_numbers)}
    setting |= {"dtype": sweep.dtype}
    smooth = np.unique([*np.linspace(min(sweep.sigma_w2), max(sweep.sigma_w2), 121), *np.linspace(1.7, 1.82, 41)])
    allowed = gl.trainable_depths(frame, sigma_w2=smooth, scales=(NEAR, PAPER, FAR))
    told = {"near": NEAR, "far": FAR, "paper": PAPER, "sigma_b2": SIGMA_B2, "critical": float(CRITICAL)}
    told |= {"cells": len(table), "unjudged": int((table["says"] == "nothing").sum())}
    told |= {"beside": (at := table.loc[table["xi_c"].idxmax()])["sigma_w2"], "longest": at["xi_c"]}
    tables = {"networks": table, "theory": allowed, "trainings": frame[frame["layer"] == 1].dropna(axis=1, how="all")}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
