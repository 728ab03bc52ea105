"""Full-batch training at the edge of stability (Cohen et al. 2021, Cohen et al. 2022).

python experiments/edge_of_stability.py            (about eight minutes; writes reports/edge_of_stability)
python experiments/edge_of_stability.py --quick --out scratch/edge_of_stability
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.edge_of_stability import BESIDE, CLOSE, draw, interval, label, lines  # noqa: E402

#: Learning rates of each optimiser; those of `BESIDE` are shown, and are no case of the claim.
RATES = {"sgd": (0.1, 0.2, 0.25, 0.3), "momentum": (0.4,), "adam": (0.002, 0.005), "rmsprop": (0.0003,)}
EXAMPLES, WIDTH, GAIN, STEPS, SEEDS = 500, 64, 0.5, 3000, 8
FIRST = (0, 5, 10, 20, 40, 60, 100)
RISES = 0.9
COLUMNS = ("log10_train_loss", "sharpness", "preconditioned_sharpness", "sharpness_threshold", "hessian_products")
#: Rate times sharpness above which descent is unstable; of the first moment the share that stays.
DESCENT, BETA = 2, 0.9
ADAM = DESCENT * (1 + BETA) / (1 - BETA)
CLAIM = f"""Tanh networks on the full batch come to the edge of stability and stay there. The sharpness is at first
more than {1 - RISES:.0%} below its threshold and rises to it. Over the last third of the steps its mean is the
threshold to {CLOSE:.0%}, and the loss goes on falling. This is so for gradient descent, with the threshold 2/η at each
of three learning rates η, and for momentum, with {DESCENT}(1 + β)/η. For Adam it is so of the preconditioned
sharpness, with {ADAM:.0f}/η (95 % intervals over seeds)."""
TEXT = f"""The *sharpness* is the largest eigenvalue of the Hessian H of the training loss. Steps on a parabola that is
sharper than the threshold grow. Adam divides each entry of its step by a number P of its own; the *preconditioned*
sharpness is that of P^(−1/2) H P^(−1/2), with the bias corrections in P. Its threshold is
{DESCENT}(1 + β)/((1 − β)η), with β = {BETA:g} of the first moment (Cohen et al. 2022). At step 0 the P of Adam is a
tenth of the gradient, so that its sharpness is far above the threshold, and falls within a few steps. "At first" means
the least sharpness that was recorded.

**What the edge holds back.** At η = {{low_rate:g}} descent does not come to its threshold in {{steps}} steps. There the
sharpness rises to {{low_end:.1f}}, which is above where {{high_rate:g}} holds it, {{high_end:.1f}}. So it is the step
size, and not the end of training, that stops the rise. This network is shown, and is no case of the claim.

**What was tried.** Weights of LeCun's size begin at the threshold of these rates; with {GAIN:g} of it they begin below.
RMSProp forgets a tenth of its squares at each step. Its preconditioned sharpness has the threshold 2/η, and over the
last third it is {{rmsprop:.2f}} times that. The threshold is for a P that does not move, and this one moves fast; it is
shown, and is no case. Cross-entropy was not tried.

**What it costs.** One record took {{products:.0f}} products with the Hessian on average, each about as long as two
steps."""
CAPTIONS = {
    "edge_of_stability": Caption(
        """The sharpness of gradient descent rises to 2/η and stays within {worst:.1%} of it; Adam's preconditioned
        sharpness stays within {worst_adam:.1%} of {adam:.0f}/η.""",
        {
            "a": "Sharpness of gradient descent. Dashed, in the colour of its rate: the threshold 2/η.",
            "b": """Sharpness over the threshold, of Adam and RMSProp the preconditioned one; step 0 is left out. In
            the grey zone lies what the claim allows.""",
            "c": "Training loss of gradient descent.",
            "d": "Training loss of the other optimisers.",
        },
        "Means over n = {seeds} seeds (of losses geometric), bands their 95 % interval.",
        """Two hidden layers of {width} tanh units on {examples} of the {data}, squared error, all examples in each
        step.""",
    ),
}
FIXED = (
    (
        f"within {CLOSE:.0%} of the threshold; more than {1 - RISES:.0%} below it before",
        "after a look at one or two other seeds",
    ),
    ("the loss goes on falling", "before the run"),
    ("learning rates, steps, and that RMSProp is no case", "after a look at one or two other seeds"),
)
SAID = Words(
    "Full-batch training goes to the edge of stability", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the table"
)


def measure(quick):
    """A frame with one row for each network, seed and record."""
    steps, seeds, width = (60, 3, 16) if quick else (STEPS, SEEDS, WIDTH)
    every = range(0, steps + 1, 20) if quick else (*FIRST, *range(150, steps + 1, 150))
    parts = []
    for optimizer, rates in RATES.items():
        sweep = gl.TrainingSweep(
            depth=2, width=width, activation="tanh", init="lecun_normal", gain=GAIN, optimizer=optimizer,
            learning_rate=rates, loss="mse", batch="all", examples=100 if quick else EXAMPLES, test=0.0, steps=steps,
            records=tuple(every), seeds=seeds, sharpness=True, columns=COLUMNS,
        )  # fmt: skip
        frame = gl.run(sweep, progress=not quick)
        parts.append(frame[frame["layer"] == 1].astype({"optimizer": str, "status": str}))
    frame = pd.concat(parts, ignore_index=True)
    curvature = frame["preconditioned_sharpness"].fillna(frame["sharpness"])
    setting = {"data": "digits", "examples": sweep.examples, "width": width, "steps": steps, "seeds": seeds}
    setting |= {"init": "lecun_normal", "gain": GAIN, "loss": "mse", "dtype": "float32"}
    keep = ["optimizer", "learning_rate", "seed", "step", "log10_train_loss", "sharpness", "sharpness_threshold",
            "hessian_products", "status"]  # fmt: skip
    return setting, frame[keep].assign(ratio=curvature / frame["sharpness_threshold"])


def of_seeds(frame):
    """Of each training: its least ratio, the mean of the last third, the last sharpness, and how its loss fell."""
    rows, last = [], frame["step"].max()
    for (optimizer, rate, seed), part in frame.groupby(["optimizer", "learning_rate", "seed"], sort=False):
        end, middle = part[part["step"] > 2 * last / 3], part[part["step"].between(last / 3, 2 * last / 3)]
        fall = 10 ** (end["log10_train_loss"].mean() - middle["log10_train_loss"].mean())
        rows.append((optimizer, rate, seed, part["ratio"].min(), end["ratio"].mean(), end["sharpness"].mean(), fall))
    names = ["optimizer", "learning_rate", "seed", "least", "last", "sharpness", "fall"]
    return pd.DataFrame(rows, columns=names)


def judge(seeds):
    """A row for each network: the intervals, and whether the claim is true of it."""
    rows = []
    for (optimizer, rate), part in seeds.groupby(["optimizer", "learning_rate"], sort=False):
        least, last, fall = (interval(part[name]) for name in ("least", "last", "fall"))
        at_edge = both(above(*last[1:], 1 - CLOSE), below(*last[1:], 1 + CLOSE))
        claim = both(below(*least[1:], RISES), at_edge, below(*fall[1:], 1.0))
        rows.append((optimizer, rate, *least, *last, *fall, part["sharpness"].mean(), claim))
    three = [f"{name}{end}" for name in ("least", "last", "fall") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["optimizer", "learning_rate", *three, "sharpness", "claim"])


def is_case(r):
    """Whether a row is a case of the claim."""
    return (r.optimizer, r.learning_rate) not in BESIDE


def show(tables):
    """The table of the page: a row for each network, those nearest to a line of the claim first."""
    rows = list(tables["networks"].itertuples())
    cell = lambda *values: "{:.3f} [{:.3f}, {:.3f}]".format(*values)
    cells = {
        "optimiser": [label(r.optimizer, r.learning_rate) for r in rows],
        "least sharpness / threshold": [cell(r.least, r.least_low, r.least_high) for r in rows],
        "mean of the last third": [cell(r.last, r.last_low, r.last_high) for r in rows],
        "loss over that of the third before": [cell(r.fall, r.fall_low, r.fall_high) for r in rows],
        "claim": [answered(r.claim) if is_case(r) else "no case" for r in rows],
        "margin": [margin(r.last_low, r.last_high, 1 - CLOSE, 1 + CLOSE) if is_case(r) else np.inf for r in rows],
    }
    return pd.DataFrame(cells).set_index("optimiser")


def tell(tables):
    """Numbers for the sentences."""
    table = tables["networks"]
    cases = table[[is_case(r) for r in table.itertuples()]]
    off = lambda name: float((cases[cases["optimizer"] == name]["last"] - 1).abs().max())
    descent = table[table["optimizer"] == "sgd"].sort_values("learning_rate")
    low, high = descent.iloc[0], descent.iloc[-1]
    return {
        "worst": off("sgd"), "worst_adam": off("adam"), "adam": ADAM, "low_rate": low["learning_rate"],
        "low_end": low["sharpness"], "high_rate": high["learning_rate"], "high_end": high["sharpness"],
        "rmsprop": float(table[table["optimizer"] == "rmsprop"]["last"].iloc[0]),
        "products": float(tables["cost"]["hessian_products"].mean()),
    }  # fmt: skip


PAGE = Experiment("edge_of_stability", SAID, draw, show, tell, doc=__doc__)


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting, frame = measure(asked.quick)
    seeds = of_seeds(frame)
    table = judge(seeds)
    cases = {label(r.optimizer, r.learning_rate): r.claim for r in table.itertuples() if is_case(r)}
    cost = frame.groupby("optimizer", sort=False)["hessian_products"].mean().reset_index()
    tables = {"lines": lines(frame), "networks": table, "seeds": seeds, "cost": cost}
    PAGE.publish(asked.out, tables, finding=Finding.of(cases), setting=setting)


if __name__ == "__main__":
    main()
