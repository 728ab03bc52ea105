"""Does Muon cure vanishing gradients? Update sizes and trainable depth of tanh networks in the ordered phase.

python experiments/muon_depth.py            (about six minutes; writes reports/muon_depth)
python experiments/muon_depth.py --quick --out scratch/muon_depth
"""

import sys
from itertools import product
from pathlib import Path

import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Experiment, Finding, Words, above, below

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.muon_depth import (  # noqa: E402
    CAPTIONS,
    FAR,
    FLAT,
    LEARNT,
    NAMES,
    SCALE_FREE,
    STEEP,
    draw,
    profiles,
    show,
    tell,
)  # fmt: skip

SIGMA_W2, SIGMA_B2, WIDTH, STEPS, BATCH = 0.7, 0.05, 64, 300, 64
XI = gl.theory.mean_field("tanh", sigma_w2=SIGMA_W2, sigma_b2=SIGMA_B2).xi_c
MULTIPLES = (1, 3, 6, FAR, 2 * FAR)
#: Learning rates that are tried, seeds that choose among them, and seeds that are judged.
GRID = {
    "sgd": (0.01, 0.03, 0.1, 0.3), "adam": (1e-4, 3e-4, 1e-3, 3e-3), "sign": (3e-5, 1e-4, 3e-4, 1e-3),
    "muon": (1e-3, 3e-3, 1e-2, 3e-2),
}  # fmt: skip
CHOOSING, JUDGED = (100, 101), tuple(range(8))
#: Layers and weight variance of the networks that were looked at before.
PILOT, PILOT_W2 = 40, 1.0
COLUMNS = ("train_accuracy", "log10_update_ratio", "log10_one_minus_c")
CLAIM = f"""A scale-free update cures the size of a vanishing gradient, not what is lost with it. In tanh networks of
{FAR} ξ_c layers the first update relative to the weights differs between hidden layers by less than {FLAT:g} power of
ten with Adam, with the sign of the gradient and with Muon, and by more than {STEEP:g} with SGD. Yet with none of the
four a network of {FAR} or {2 * FAR} ξ_c layers has a training accuracy above {LEARNT} after {STEPS} steps, at learning
rates that were chosen on other seeds."""
TEXT = f"""The networks lie in the ordered phase (σ_w² = {SIGMA_W2}, σ_b² = {SIGMA_B2}). There 1 − c, the distance of
two inputs' correlation from 1, falls by a factor e in ξ_c = {XI:.2f} layers, and so does the squared gradient. At
{FAR} ξ_c both have fallen by {{fallen:.0e}}. SGD multiplies the gradient by one number for all layers, so the layers
next to the input hardly move. Adam divides each entry by its own size, sign descent keeps the sign alone, and Muon
makes the singular values of each layer's step nearly 1. Their steps do not depend on the size of the gradient. The
hypothesis was that such networks stay untrainable beyond a few ξ_c, as Schoenholz et al. 2017 saw with SGD, because the
signal at the output no longer depends on the input.

**What is seen.** {{summary}} So it is not the size of the step alone that decides: with Adam and with the sign all
layers move alike too.

**How we read it.** The gradient of an early weight is a sum over examples of delta times input, and there the inputs
still differ. But what the examples have in common is far larger in it than what tells them apart. Adam and the sign
work entry by entry and leave it so. Muon makes all singular values of a layer's step nearly alike, so that directions
in which the examples differ count as much as the common one. This run does not test that reading. The columns of 1 − c,
taken at the last hidden layer, show what training does: where a network trains, its inputs differ again at the end.
Nothing is said about float16, where so small a gradient would be 0, about other widths, or about more steps.

The learning rate of each network is the one of {{rates}} with the largest mean accuracy on {{choosing}} other seeds;
for {{edge}} of the {{networks}} networks it is an end of the grid. Biases are trained too; Muon hands them to Adam at
the same rate."""
FIXED = (
    ("the hypothesis: flat updates, and no training beyond a few ξ_c", "before any run"),
    (
        f"{LEARNT} as trained, {FLAT:g} and {STEEP:g} powers of ten",
        f"after a look at two seeds of {PILOT} layers at σ_w² = {PILOT_W2:g}, of which those with Muon trained",
    ),
    ("σ_w², the depths, the number of steps", "after that look, which took too long; these networks had not run"),
    ("the seeds that are judged", "before any run; two of them were in a trial of the script, of a tenth of the steps"),
)
SAID = Words("Does Muon cure vanishing gradients?", CLAIM, TEXT, CAPTIONS, FIXED, case="a network or a profile")


def trained(optimizer, multiple, rate, seeds, steps):
    """Rows of one network: each seed and layer, before the first and behind the last step."""
    depth = round(multiple * XI)
    net = gl.MLP(
        depth=depth, width=WIDTH, activation="tanh", init="gaussian", sigma_w2=SIGMA_W2, sigma_b2=SIGMA_B2,
        readout="xavier_normal",
    )  # fmt: skip
    digits = load("digits")
    run = gl.train(
        net, digits.x, digits.y, optimizer=optimizer, learning_rate=rate, steps=steps, batch=BATCH, seeds=seeds,
        test=0.0, records=(0, steps), columns=COLUMNS, progress=False,
    )  # fmt: skip
    frame = gl.frame(run)
    return frame[["seed", "step", "layer", "layer_name", *COLUMNS]].assign(
        optimizer=optimizer, multiple=multiple, depth=depth, rate=rate
    )


def measure(quick):
    """Rows of the seeds that choose the rates, at each rate, and of those that are judged, at the chosen ones."""
    multiples, steps = ((1, FAR), 30) if quick else (MULTIPLES, STEPS)
    grid = {name: rates[1:3] if quick else rates for name, rates in GRID.items()}
    choosing, judged = (CHOOSING[:1], JUDGED[:2]) if quick else (CHOOSING, JUDGED)
    cells = list(product(grid, multiples))
    tried = pd.concat([trained(*cell, rate, choosing, steps) for cell in cells for rate in grid[cell[0]]])
    last = tried[(tried["step"] == steps) & (tried["layer"] == 1)]
    means = last.groupby(["optimizer", "multiple", "rate"], as_index=False)["train_accuracy"].mean()
    best = means.sort_values(["train_accuracy", "rate"], ascending=[False, True])
    best = best.groupby(["optimizer", "multiple"])["rate"].first()
    frame = pd.concat([trained(*cell, best[cell], judged, steps) for cell in cells], ignore_index=True)
    setting = {"data": "digits", "width": WIDTH, "batch": BATCH, "steps": steps, "sigma_w2": SIGMA_W2}
    setting |= {"sigma_b2": SIGMA_B2, "xi_c": float(XI), "judged": len(judged), "choosing": len(choosing)}
    return setting | {"dtype": "float32"}, means, frame


def judge(frame):
    """A row for each network with its accuracy, and whether the claim is true of it; and the same of the profiles."""
    last = frame[frame["step"] == frame["step"].max()]
    keys = ["optimizer", "multiple", "depth", "rate"]
    table = gl.summarise(last[last["layer"] == 1], keys, "train_accuracy").rename(columns={"mean": "accuracy"})
    table[["low", "high"]] = table[["low", "high"]].clip(0, 1)  # a share
    at_end = frame[frame["layer"] == frame["depth"]].groupby([*keys, "step"])["log10_one_minus_c"].mean().unstack()
    table = table.merge(at_end.set_axis(["before", "behind"], axis=1).reset_index(), on=keys)
    claimed = table["multiple"] >= FAR
    table["claim"] = pd.Series(
        [below(r.low, r.high, LEARNT) if far else None for r, far in zip(table.itertuples(), claimed, strict=True)],
        dtype=object,
    )
    lines, spans = profiles(frame)
    flat = [below(r.low, r.high, FLAT) if r.optimizer in SCALE_FREE else above(r.low, r.high, STEEP)
            for r in spans.itertuples()]  # fmt: skip
    spans["claim"] = pd.Series(flat, dtype=object)
    cases = {f"{NAMES[r.optimizer]}: updates over {FAR} ξ_c": r.claim for r in spans.itertuples()}
    cases |= {f"{NAMES[r.optimizer]} at {r.multiple} ξ_c": r.claim for r in table[claimed].itertuples()}
    return table, lines, spans, Finding.of(cases)


PAGE = Experiment("muon_depth", SAID, draw, show, tell, doc=__doc__)


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting, tried, frame = measure(asked.quick)
    table, lines, spans, finding = judge(frame)
    PAGE.publish(
        asked.out, {"networks": table, "profiles": lines, "spans": spans, "choosing": tried}, finding=finding,
        setting=setting,
    )  # fmt: skip


if __name__ == "__main__":
    main()
