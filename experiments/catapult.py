"""Learning rates above 2/λ: the loss grows, falls again, and leaves a flatter place behind (Lewkowycz et al. 2020).

python experiments/catapult.py            (about five minutes; writes reports/catapult)
python experiments/catapult.py --quick --out scratch/catapult
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import beta

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.catapult import BETWEEN, CATAPULT, CURVES, DIVERGENT, LAZY, NAMES, by_step, draw, phase  # noqa: E402

EXAMPLES, WIDTH, STEPS, SEEDS = 100, 512, 200, range(10, 30)
#: A training is lazy if it keeps this share of its sharpness; a catapult if the loss grows by the one factor and ends
#: below the other share of what it was.
KEEPS, GROWS, ENDS = 0.9, 1.1, 0.1
MOST = 0.5  # of the initialisations do what their phase says
CLAIM = f"""A wide network of one hidden layer, linear or ReLU, that begins with the sharpness λ does one of three
things at the learning rate c/λ, by squared error on the full batch. Up to c = {max(LAZY):g} its loss never grows and it
keeps {KEEPS:.0%} of its sharpness. From c = {min(CATAPULT):g} to {max(CATAPULT):g} the loss grows at first, then falls
below a tenth of what it was, and the sharpness ends below 2/η. From c = {min(DIVERGENT):g} on the loss leaves every
bound. At each c this is so for more than half of the initialisations (95 % intervals of the share)."""
TEXT = f"""**Where the limits come from.** Let a linear network v·Wx see one example, let f be its error and λ its
sharpness (that of the tangent kernel, |Wx|² + |v|²|x|²). One step of descent takes f to f(1 − ηλ + …) and λ to
λ + η|x|²f²(ηλ − 4). For ηλ > 2 the error grows. When it is large, λ falls if ηλ < 4: it falls until ηλ < 2, and then
the error goes to 0. For ηλ > 4 both grow. This is the argument of Lewkowycz et al. (2020) for a target
of 0. Here the networks have many examples and targets, and half of them have ReLU, so that only a run can say.

**How it is read.** Each initialisation has a λ of its own, and η is c/λ. A training is lazy, a catapult, or divergent
by its own numbers: a catapult's loss reaches {GROWS:g} times the first at least. What fits none of the three counts
against the claim. c = {BETWEEN[0]:g} is shown and is no case: {{between_linear:.0%}} of the linear and
{{between_relu:.0%}} of the ReLU networks diverge there; at c = {DIVERGENT[0]:g} {{late_relu:.0%}} of the ReLU networks
are catapults still.

**How flat it gets.** At c = {max(CATAPULT):g} linear networks end with {{flat_linear:.2f}} of their sharpness, ReLU
networks with {{flat_relu:.2f}}; at c = {max(LAZY):g} with {{lazy_linear:.2f}} and {{lazy_relu:.2f}}.

**What was tried.** In the parametrisation of the tangent kernel the plain sharpness is not that of the steps, because
rates differ from layer to layer; nothing happens there at these c. This page uses the standard one."""
CAPTIONS = {
    "catapult": Caption(
        "Between 2/λ and 4/λ the loss first grows, up to {peak:.0f}-fold, and the sharpness ends below 2/η.",
        {
            "a": "Loss of linear networks, by c = ηλ. The line of c = {gone:g} leaves the panel.",
            "b": """Largest loss over the first one against c. A triangle at the upper edge: more than half of the
            initialisations diverge.""",
            "c": """Last sharpness over the first one against c. Dashed: 2/c, the edge of stability; above it lies no
            training that converges.""",
        },
        """n = {seeds} initialisations; lines and points are geometric means, in b and c of those that do not diverge;
        bands and bars are the range.""",
        "One hidden layer of {width} units without biases, {examples} images of {data}, targets ±1, squared error.",
    ),
}
FIXED = (
    (f"{KEEPS:.0%}, {GROWS:g} times and a tenth, and the c of each phase", "after a look at one other seed"),
    ("more than half of the initialisations", "before the run"),
    (
        "the number of initialisations",
        f"after a run of half as many others, which left ReLU at c = {DIVERGENT[0]:g} and {DIVERGENT[1]:g} open",
    ),
)
SAID = Words(
    "From 2/λ to 4/λ a learning rate throws the loss up, and finds a flatter place",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="an activation at one c",
)


def task(examples):
    """Images of two digits, and targets of -1 and 1."""
    digits = load("digits")
    two = digits.y < 2
    return digits.x[two][:examples], np.where(digits.y[two][:examples] == 0, -1.0, 1.0)[:, None]


def measure(quick):
    """A row for each training, and the losses of linear networks."""
    examples, width, steps, seeds = (20, 64, 40, range(3)) if quick else (EXAMPLES, WIDTH, STEPS, SEEDS)
    grid = (LAZY[-1], CATAPULT[0], DIVERGENT[-1]) if quick else (*LAZY, *CATAPULT, *BETWEEN, *DIVERGENT)
    x, y = task(examples)
    rows, curves = [], []
    for activation, seed in product(NAMES, seeds):
        init = "he_normal" if activation == "relu" else "lecun_normal"
        net = gl.MLP(depth=1, width=width, activation=activation, init=init, bias=False)
        params = net.init_params(seed, x, y)
        first = gl.sharpness(net, params, x, y)
        for c in grid:
            run = gl.train(
                net, x, y, params=params, learning_rate=c / first, batch="all", test=0.0, steps=steps, records=(0,),
                columns=("log10_abs_loss",), progress=False,
            )  # fmt: skip
            losses = run.losses[0].astype(float)
            last = np.nan if run.failures else gl.sharpness(net, run.params[0], x, y)
            rows.append((activation, c, seed, first, last, losses[0], np.nanmax(losses), losses[-1]))
            if activation == "identity" and c in CURVES:
                log = np.log10(losses)
                curves.append(pd.DataFrame({"c": c, "seed": seed, "step": range(steps), "log10_loss": log}))
    names = ["activation", "c", "seed", "sharpness", "last_sharpness", "loss", "largest_loss", "last_loss"]
    setting = {"data": "digits", "examples": len(x), "width": width, "steps": steps, "seeds": len(seeds), "loss": "mse"}
    return (
        setting | {"dtype": "float32"},
        judged(pd.DataFrame(rows, columns=names)),
        pd.concat(curves, ignore_index=True),
    )


def judged(trainings):
    """What each training did, by its own numbers."""
    diverged = trainings["last_sharpness"].isna()
    flatter = trainings["last_sharpness"] / trainings["sharpness"]
    grown = trainings["largest_loss"] / trainings["loss"]
    learnt = trainings["last_loss"] < ENDS * trainings["loss"]
    thrown = ~diverged & (grown >= GROWS) & learnt & (trainings["c"] * flatter < 2)
    lazy = ~diverged & (grown <= 1) & (flatter >= KEEPS)
    return trainings.assign(flatter=flatter, grown=grown, lazy=lazy, catapult=thrown, diverged=diverged)


def share(hits, count):
    """The 95 % interval of a share (Clopper & Pearson)."""
    low = beta.ppf(0.025, hits, count - hits + 1) if hits else 0.0
    return low, beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0


def judge(trainings):
    """A row for each activation and c: how many do what, and whether the claim is true of it."""
    rows = []
    for (activation, c), own in trainings.groupby(["activation", "c"], sort=False):
        counts = [int(own[name].sum()) for name in ("lazy", "catapult", "diverged")]
        hits = int(own[phase(c)].sum()) if phase(c) else 0
        low, high = share(hits, len(own))
        claim = above(low, high, MOST) if phase(c) else None
        went = own[~own["diverged"]]
        means = [float(np.exp(np.log(went[name]).mean())) for name in ("grown", "flatter")]
        rows.append((activation, c, phase(c), len(own), *counts, *means, low, high, claim))
    names = ["activation", "c", "phase", "seeds", "lazy", "catapult", "diverged", "grown", "flatter", "low", "high",
             "claim"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


def show(tables):
    """The table of the page: a row for each activation and c."""
    rows, number = list(tables["networks"].itertuples()), lambda v: "" if np.isnan(v) else f"{v:.3g}"
    cells = {
        "network": [NAMES[r.activation] for r in rows],
        "c": [f"{r.c:g}" for r in rows],
        **{name: [getattr(r, name) for r in rows] for name in ("lazy", "catapult", "diverged")},
        "share of its phase": [f"[{r.low:.2f}, {r.high:.2f}]" if phase(r.c) else "" for r in rows],
        "largest loss / first": [number(r.grown) for r in rows],
        "last sharpness / first": [number(r.flatter) for r in rows],
        "claim": [answered(r.claim) if phase(r.c) else "no case" for r in rows],
        "margin": [margin(r.low, r.high, MOST) if phase(r.c) else np.inf for r in rows],
    }
    return pd.DataFrame(cells).set_index("network")


def tell(tables):
    """Numbers for the sentences."""
    table = tables["networks"].set_index(["activation", "c"])
    at = lambda kind, c, name: float(table[name].get((kind, c), np.nan))
    told = {"gone": DIVERGENT[0], "peak": table["grown"][[c in CATAPULT for _, c in table.index]].max()}
    for kind, name in (("identity", "linear"), ("relu", "relu")):
        told[f"between_{name}"] = at(kind, BETWEEN[0], "diverged") / table["seeds"].iloc[0]
        told[f"flat_{name}"] = at(kind, max(CATAPULT), "flatter")
        told[f"late_{name}"] = at(kind, DIVERGENT[0], "catapult") / table["seeds"].iloc[0]
        told[f"lazy_{name}"] = at(kind, max(LAZY), "flatter")
    return told


PAGE = Experiment("catapult", SAID, draw, show, tell, doc=__doc__)


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting, trainings, curves = measure(asked.quick)
    table = judge(trainings)
    cases = {f"{NAMES[r.activation]}, c = {r.c:g}": r.claim for r in table.itertuples() if r.phase}
    tables = {"networks": table, "trainings": trainings, "curves": by_step(curves)}
    PAGE.publish(asked.out, tables, finding=Finding.of(cases), setting=setting)


if __name__ == "__main__":
    main()
