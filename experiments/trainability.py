"""A tanh network trains to a few multiples of its depth scale (Schoenholz et al. 2017).

python experiments/trainability.py            (about an hour; writes reports/trainability)
python experiments/trainability.py --quick --out scratch/trainability

The trainings are kept in runs/trainability: a run that was stopped goes on there.
"""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.trainability import draw  # noqa: E402

NEAR, FAR, PAPER = 3, 12, 6
LEARNT, CHANCE = 0.8, 0.3
STEPS, WIDTH, RATE, SIGMA_B2 = 1000, 300, 0.001, 0.05
TIMES, SEEDS = (30, 100, 300, STEPS), range(100, 108)
CRITICAL = gl.theory.critical_sigma_w2("tanh", SIGMA_B2)
#: Where the trainings are kept, so that a run that was stopped goes on.
KEPT = Path(__file__).resolve().parents[1] / "runs" / "trainability"
CLAIM = f"""At width {WIDTH} and learning rate {RATE:g}, at each of the variances of the weights tried, a tanh network
of up to {NEAR} ξ_c layers, ξ_c the depth scale at which two inputs' correlation settles, has a training accuracy above
{LEARNT} after {STEPS} steps of SGD on digits, and one of {FAR} ξ_c layers or more stays below {CHANCE}."""
TEXT = f"""Two inputs come nearer to their common correlation by a factor e in ξ_c layers. At the critical point (σ_w²
= {CRITICAL:.3f} for these biases) ξ_c is infinite; the σ_w² = {{beside:g}} of the grid lies beside it, with a ξ_c of
{{longest:,.0f}} layers. Below the critical point inputs become alike and gradients vanish. Above it inputs become
unlike whatever they were, and gradients explode.

Schoenholz et al. found networks trainable to about {PAPER} ξ_c (their figure 5, on larger images). That is a rule read
off a figure; it moves with the number of steps, the learning rate and the width. So the claim leaves open what happens
between {NEAR} and {FAR} ξ_c, where {{unjudged}} of the {{cells}} networks lie. Chance is one in ten: a network that
always answers with one class is there, and one that distinguishes two classes at twice that. So {CHANCE} is what we
call not trained. The width, the biases and the weights are those of Schoenholz et al.

Width and rate belong to the claim, because they were chosen so that it can hold. In a pilot with fewer units, fewer
steps and a larger rate the deepest networks at the critical point did not train; with {WIDTH} units all but the deepest
did, and that one only at the smallest of three rates. An earlier run with that width and rate had fewer seeds, some of
them the pilot's, and left one network open. The seeds shown here, {{first}} to {{last}}, are new: nothing was chosen by
them."""
CAPTIONS = {
    "trainability": Caption(
        """Networks of up to {near} ξ_c layers reach a training accuracy of {least:.2f} or more; networks of {far} ξ_c
        or more stay at {most:.2f} or less.""",
        band="""Training accuracy after {steps} steps: mean over n = {seeds} seeds, and in brackets its 95 % interval
        (t-interval of the logit). The claim is about the cells below the full line (up to {near} ξ_c layers) and those
        above the dashed line ({far} ξ_c or more). Short bars beside the numbers: {paper} ξ_c, where Schoenholz et al.
        saw networks cease to train; outside of the map where there is none.""",
        setting="""tanh, width {width}, σ_b² = {sigma_b2}, SGD with learning rate {learning_rate} and minibatches of
        {batch} on {data}; ξ_c is infinite where σ_w² = {critical:.3f}.""",
    ),
    "times": Caption(
        """The longer the training, the more networks have learnt: {grows} of {cells} have a training accuracy above
        {learnt} after {times} steps.""",
        {"a–d": "Training accuracy in per cent after the number of steps above the map."},
        """Means over n = {seeds} seeds. Lines: {near} ξ_c (full) and {far} ξ_c (dashed), as in the figure above.""",
        "The setting is that of the figure above.",
    ),
}
FIXED = (
    (f"{NEAR} and {FAR} ξ_c, accuracies of {LEARNT} and {CHANCE}",
     "after a look at a few networks of a pilot with fewer units; before the seeds shown were drawn"),
    (f"width {WIDTH} and learning rate {RATE:g}", "after a look at three rates and two widths in the pilot"),
    ("eight new seeds", "after a look at three others, which left one network open; before this run"),
)  # fmt: skip
SAID = Words(
    "Tanh networks of up to a few depth scales train, at one width and rate",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="a network of one depth and σ_w² of which the claim says something",
)


def measure(quick):
    """The trainings: a grid of depths and weight variances, kept below the repository so that they can go on."""
    if quick:
        sizes = {"depth": (2, 40), "width": 100, "sigma_w2": (1.0, 1.76), "steps": 30, "records": (0, 10, 30)}
    else:
        sizes = {"depth": (5, 10, 20, 40, 80, 160), "width": WIDTH, "sigma_w2": (1.0, 1.4, 1.76, 2.0, 2.5, 4.0)}
        sizes |= {"steps": STEPS, "records": (0, *TIMES)}
    sweep = gl.TrainingSweep(
        **sizes, activation="tanh", init="gaussian", readout="xavier_normal", sigma_b2=SIGMA_B2, learning_rate=RATE,
        batch=64, seeds=2 if quick else SEEDS, columns=("train_accuracy", "test_accuracy"),
    )  # fmt: skip
    return sweep, gl.run(sweep, progress=False) if quick else gl.run(sweep, out=KEPT, progress=True)


def accuracies(frame):
    """The training accuracy of each network at each step after the first: mean and interval over seeds."""
    rows = frame[(frame["layer"] == 1) & (frame["step"] > 0)]
    means = gl.summarise(rows, ["step", "sigma_w2", "depth"], "train_accuracy")
    return means[["step", "sigma_w2", "depth", "mean", "low", "high", "n"]]


def judge(frame):
    """A row for each network: its accuracy with its interval, its depth in ξ_c, and what the claim says of it."""
    last = frame[(frame["layer"] == 1) & (frame["step"] == frame["step"].max())]
    table = gl.summarise(last, ["depth", "sigma_w2"], "train_accuracy").rename(columns={"mean": "accuracy"})
    scale = gl.trainable_depths(frame, scales=1.0)[["sigma_w2", "xi_c"]]
    table = table.merge(scale, on="sigma_w2").sort_values(["sigma_w2", "depth"], ignore_index=True)
    table["depths"] = table["depth"] / table["xi_c"]
    table["says"] = np.select([table["depths"] <= NEAR, table["depths"] >= FAR], ["trains", "does not"], "nothing")
    seeds = frame["seed"].nunique()  # one that diverged has no last step
    trains = lambda r: above(r.low, r.high, LEARNT) if r.n == seeds else False
    answers = {"trains": trains, "does not": lambda r: below(r.low, r.high, CHANCE)}
    claims = [answers[r.says](r) if r.says in answers else None for r in table.itertuples()]
    return table.assign(claim=pd.Series(claims, dtype=object))


def answers(table):
    """Case -> whether the claim is true of it, for the networks of which it says something."""
    judged = table[table["says"] != "nothing"]
    return {f"depth {r.depth} at σ_w² = {r.sigma_w2:g}": r.claim for r in judged.itertuples()}


def show(tables):
    """The table of the page: the networks nearest to a line of the claim first."""
    table = tables["networks"]
    line = table["says"].map({"trains": LEARNT, "does not": CHANCE})
    cells = {
        "σ_w²": table["sigma_w2"].map("{:g}".format),
        "depth": table["depth"],
        "depth / ξ_c": table["depths"].map("{:.2g}".format),
        "training accuracy": [f"{r.accuracy:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in table.itertuples()],
        "the claim says": table["says"],
        "claim": ["" if r.says == "nothing" else answered(r.claim) for r in table.itertuples()],
        "margin": [margin(r.low, r.high, at) for r, at in zip(table.itertuples(), line, strict=True)],
    }
    return table.assign(**cells)[list(cells)].set_index("σ_w²")


def tell(tables):
    """Least and largest accuracy where the claim speaks, and how many networks have learnt at each time."""
    table, maps = tables["networks"], tables["maps"]
    numbers = {"cells": len(table), "unjudged": int((table["says"] == "nothing").sum())}
    beside = table.loc[table["xi_c"].idxmax()]
    numbers |= {"beside": beside["sigma_w2"], "longest": beside["xi_c"]}
    numbers |= {"least": table.loc[table["says"] == "trains", "accuracy"].min()}
    numbers |= {"most": table.loc[table["says"] == "does not", "accuracy"].max()}
    steps = sorted(maps["step"].unique())[-len(TIMES) :]
    counts = [int((maps.loc[maps["step"] == step, "mean"] > LEARNT).sum()) for step in steps]
    listed = lambda values: f"{', '.join(map(str, values[:-1]))} and {values[-1]}"
    return numbers | {"grows": listed(counts), "times": listed(steps)}


PAGE = Experiment("trainability", SAID, partial(draw, near=NEAR, far=FAR, paper=PAPER), show, tell, doc=__doc__)


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table = judge(frame)
    setting = {"data": sweep.data, "width": sweep.width[0], "batch": sweep.batch, "steps": sweep.steps}
    setting |= {"learning_rate": sweep.learning_rate[0], "loss": sweep.loss, "seeds": len(sweep.seed_numbers)}
    numbers = {"near": NEAR, "far": FAR, "paper": PAPER, "sigma_b2": SIGMA_B2, "critical": float(CRITICAL)}
    numbers |= {"learnt": LEARNT, "first": min(sweep.seed_numbers), "last": max(sweep.seed_numbers)}
    seeds = frame.loc[frame["layer"] == 1, ["sigma_w2", "depth", "seed", "step", "train_accuracy", "test_accuracy"]]
    tables = {"networks": table, "maps": accuracies(frame), "seeds": seeds.reset_index(drop=True)}
    finding = Finding.of(answers(table))
    PAGE.publish(asked.out, tables, finding=finding, setting=setting | {"dtype": sweep.dtype}, numbers=numbers)


if __name__ == "__main__":
    main()
