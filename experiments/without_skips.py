"""Plain networks of fifty layers train with a tailored leaky ReLU (Martens et al. 2021; Zhang, Botev & Martens 2022).

python experiments/without_skips.py            (about seven minutes; writes reports/without_skips)
python experiments/without_skips.py --quick --out scratch/without_skips
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.without_skips import ETA, LEARNT, NAMES, SLOPES, draw, show  # noqa: E402

DEPTH, STEPS, MOMENTUM, CLIP = 50, 400, 0.9, 1.0
RATES = (0.003, 0.01, 0.03, 0.1)
CHOOSING, JUDGED = (0, 1, 2), tuple(range(100, 108))
#: The slope that the authors' code gives its own test network, whose C_f(0) is to be this, and how near ours must be.
THEIRS, TARGET, NEAR = 0.6291800290346146, 0.75, 1e-6
CLAIM = f"""A plain network of {DEPTH} hidden layers, without skips and norms, learns digits by SGD with momentum
{MOMENTUM} within {STEPS} steps where its leaky ReLU has the slope that our C map tailors to that depth, or its tanh is
shaped to it: the training accuracy comes to more than {LEARNT}. With ReLU and He's weights it stays below {LEARNT}.
Each network has the learning rate that was best on other seeds. For the network of the authors' own test our C map
gives their slope to {NEAR:g}."""
TEXT = f"""Behind each ReLU two examples are more alike. Behind {DEPTH} layers uncorrelated ones have the correlation
{{relu_c:.3f}}, and a readout tells them apart badly. A leaky ReLU does less of this the nearer its slope below 0 is to
1. The Tailored Activation Transformation takes the slope with which the correlation behind all layers is {ETA}
(`gl.theory.tailored_slope`). For {", ".join(map(str, SLOPES))} layers that is {{slopes}}. These three are ours: we
could not confirm them in the paper. But the authors' code states the slope for one residual network, whose
correlation is to be {TARGET}, as {THEIRS:.6f}. Ours is {{ours:.6f}}.

The tanh is shaped by the same method, with four numbers (`gl.theory.shaped`): the map of the correlation has the slope
1 at 1, and a second derivative that is small there. Weights have n Var = 1 for both tanh networks, for ReLU and
leaky ReLU the variance that keeps the signal.

The learning rate is one of {{rates}} between {RATES[0]:g} and {RATES[-1]:g}: that with the highest mean accuracy at the
end, over {{choosing}} seeds. All networks see the examples in the same order. The tanh as it is stands beside and is no
case: theory does not say that it fails, and it comes to {{tanh:.3f}}.

The claim is about a number of steps, not about for ever: ReLU networks go on learning. Two things were looked at on the
same two seeds and dropped. With Adam the ReLU networks came nearer to the line, still below it. With the factor that
keeps the signal on the leaky ReLU, as the authors have it, in place of the weights, it learned as well. The authors
trained much larger networks on ImageNet, for longer. Nothing is said about test accuracy, which is in the table."""
CAPTIONS = {
    "without_skips": Caption(
        """At step {steps} plain networks with the tailored leaky ReLU have the training accuracy {leaky:.3f}, with ReLU
        {relu:.3f}.""",
        {
            "a": """Mean correlation of fixed pairs of examples by layer, before the first step. Theory begins at the
            measured value of layer 1, for ReLU and leaky ReLU; the dashed grey line is what the slope is tailored to,
            for uncorrelated inputs.""",
            "b": "Training accuracy. Dashed grey: the line of the claim.",
            "c": "The slope below 0 that is tailored to a depth, and its value at three of them.",
        },
        "Lines are means over n = {seeds} seeds, bands their 95 % t-intervals.",
        """{depth} hidden layers of width {width} on {data}, SGD with momentum {momentum}, clipped at norm {clip:g},
        minibatches of {batch}; the learning rate of each is the best on {choosing} other seeds.""",
    )
}
FIXED = (
    (
        f"accuracy {LEARNT} at step {STEPS}, on each side",
        "after a look at two of the seeds that choose the rate, before the judged ones ran",
    ),
    ("the grid of rates, and which is taken", "after the same look"),
    (f"the authors' slope to {NEAR:g}", "before the run; their code ends its search at a hundredth of it"),
    ("the judged seeds", "before the run: nothing was looked at on them"),
)
SAID = Words(
    "Fifty plain layers train with an activation that is shaped to their depth",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="one kind of activation, or the slope",
)


def networks(depth):
    """Key -> activation and initialiser of each network."""
    leaky, shaped = f"leaky_relu:{gl.theory.tailored_slope(depth, ETA):.4f}", gl.theory.shaped("tanh", depth)
    kinds = zip(("relu", leaky, shaped, "tanh"), ("he_normal", "critical", "lecun_normal", "lecun_normal"), strict=True)
    return {key: {"activation": phi, "init": init} for key, (phi, init) in zip(NAMES, kinds, strict=True)}


def trained(key, depth, rates, seeds, quick):
    """The trainings of one network, and the sweep."""
    sweep = gl.TrainingSweep(
        depth=depth, width=32 if quick else 64, **networks(depth)[key], optimizer="momentum",
        momentum=MOMENTUM, clip_norm=CLIP, learning_rate=rates, batch=64, seeds=seeds,
        steps=40 if quick else STEPS, records=4 if quick else 20,
        columns=("train_accuracy", "test_accuracy", "log10_one_minus_c"),
    )  # fmt: skip
    return sweep, gl.run(sweep, progress=False).assign(kind=key)


def measure(quick):
    """Trainings that choose the rate, the rate of each network, and those that are judged."""
    depth, rates = (14, RATES[1:3]) if quick else (DEPTH, RATES)
    choosing, judged = (CHOOSING[:1], JUDGED[:2]) if quick else (CHOOSING, JUDGED)
    tried = pd.concat([trained(key, depth, rates, choosing, quick)[1] for key in NAMES], ignore_index=True)
    ends = tried[(tried["layer"] == 1) & (tried["step"] == tried["step"].max())]
    # a training that diverged has no accuracy at the end: it counts as 0
    means = ends.fillna({"train_accuracy": 0}).groupby(["kind", "learning_rate"])["train_accuracy"].sum() / len(
        choosing
    )
    best = {key: float(means[key].idxmax()) for key in NAMES}
    runs = [trained(key, depth, (best[key],), judged, quick) for key in NAMES]
    chosen = means.rename("accuracy").reset_index().rename(columns={"kind": "network"})
    return runs[0][0], pd.concat([frame for _, frame in runs], ignore_index=True), chosen


def authors_network(layer, skip=0.6):
    """The largest correlation of uncorrelated inputs in the network of the authors' test, whose layers are `layer`.

    It is a residual network without norms: stages of 3, 4, 23 and 3 blocks, of three layers each; the first block of a
    stage has a layer on its skip.
    """
    x, branch = 0.0, layer(layer(layer(0.0)))
    for blocks in (3, 4, 23, 3):
        for block in range(blocks):
            kept = layer(x) if block == 0 else x
            x = skip**2 * kept + (1 - skip**2) * layer(layer(layer(x)))
    return max(layer(x), branch)


def their_slope():
    """Our slope for that network, by the C map of `gl.theory`."""
    of = lambda slope: authors_network(lambda c: float(gl.theory.c_map(f"leaky_relu:{slope}", c))) - TARGET
    return float(brentq(of, 0.3, 0.9, xtol=1e-9))


def judge(frame, ours):
    """A row for each network, and whether the claim is true of it."""
    last = frame[(frame["layer"] == 1) & (frame["step"] == frame["step"].max())]
    rows, count = [], frame["seed"].nunique()
    for key in NAMES:
        own = last[last["kind"] == key]
        means = gl.summarise(own, "kind", ["train_accuracy", "test_accuracy"]).set_index("column")
        accuracy, test = means.loc["train_accuracy"], means.loc["test_accuracy"]
        side = below if key == "relu" else above
        # a seed that diverged has no record at the end
        claim = side(accuracy["low"], accuracy["high"], LEARNT) if accuracy["n"] == count else False
        sizes = [*accuracy[["mean", "low", "high"]], *test[["mean", "low", "high"]]]
        rows.append((key, str(own["activation"].iloc[0]), float(own["learning_rate"].iloc[0]), *sizes, claim))
    ends = [f"{name}{end}" for name in ("accuracy", "test") for end in ("", "_low", "_high")]
    table = pd.DataFrame(rows, columns=["network", "activation", "learning_rate", *ends, "claim"])
    answers = {NAMES[r.network]: r.claim for r in table.itertuples() if r.network != "tanh"}
    return table, Finding.of(answers | {"the authors' slope": bool(abs(ours - THEIRS) < NEAR)})


def lines(frame):
    """Accuracy along the training, and the correlation by layer before it, with theory."""
    curves = gl.summarise(frame[frame["layer"] == 1], ["kind", "step"], "train_accuracy")
    start = frame[(frame["step"] == 0) & (frame["layer"].between(1, frame["depth"]))]
    start = gl.summarise(start.assign(c=1 - 10.0 ** start["log10_one_minus_c"]), ["kind", "layer"], "c")
    start["theory"] = np.nan
    for key in ("relu", "leaky"):
        own, phi = start[start["kind"] == key], networks(int(frame["depth"].max()))[key]["activation"]
        start.loc[own.index, "theory"] = gl.theory.c_map_path(phi, len(own) - 1, own["mean"].iloc[0])
    return [table.rename(columns={"kind": "network"}) for table in (curves, start)]


def tell(tables):
    """Numbers for the sentences."""
    ends = tables["networks"].set_index("network")["accuracy"]
    slopes = tables["slopes"].set_index("depth")["slope"]
    told = {key: float(ends[key]) for key in NAMES} | {"momentum": MOMENTUM, "clip": CLIP}
    told |= {"slopes": ", ".join(f"{slopes[depth]:.3f}" for depth in SLOPES), "rates": len(RATES)}
    return told | {"relu_c": float(gl.theory.c_map_path("relu", DEPTH)[-1])}


PAGE = Experiment("without_skips", SAID, draw, show, tell, doc=__doc__)


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame, chosen = measure(asked.quick)
    ours = their_slope()
    (table, finding), (curves, start) = judge(frame, ours), lines(frame)
    depths = np.arange(13, 121)
    slopes = pd.DataFrame({"depth": depths, "slope": [gl.theory.tailored_slope(int(d), ETA) for d in depths]})
    setting = {"data": sweep.data, "depth": sweep.depth[0], "width": sweep.width[0], "batch": sweep.batch}
    setting |= {"steps": sweep.steps, "loss": sweep.loss, "seeds": len(sweep.seed_numbers), "dtype": sweep.dtype}
    setting |= {"choosing": int(1 if asked.quick else len(CHOOSING))}
    tables = {"start": start, "curves": curves, "slopes": slopes, "chosen": chosen, "networks": table}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers={"ours": ours})


if __name__ == "__main__":
    main()
