"""He's weights train thirty ReLU layers within 1000 steps, Xavier's do not (He, Zhang, Ren & Sun 2015).

python experiments/thirty_layers.py            (about two minutes; writes reports/thirty_layers)
python experiments/thirty_layers.py --quick --out scratch/thirty_layers
"""

import math
import sys
from pathlib import Path

import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both
from gradlab.reporting.words import listed

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.thirty_layers import CHANCE, LEARNT, NAMES, RATES, draw  # noqa: E402

STALLED = 0.01
DEPTH, STEPS, MOMENTUM, CLIP = 30, 1000, 0.9, 1.0
SEEDS = tuple(range(100, 108))
CLAIM = f"""A ReLU network of {DEPTH} hidden layers, trained on digits by SGD with momentum {MOMENTUM} and clipping,
learns with He's weights: within {STEPS} steps its training accuracy comes to more than {LEARNT}. By the step at which
it does, with Xavier's it has not begun: at the learning rates {listed(f"{r:g}" for r in RATES)} its accuracy is below
{CHANCE}, and its loss within {STALLED:.0%} of ln 10, which a network has that cannot tell ten classes apart."""
TEXT = f"""A ReLU passes half of the mean square. So a layer with Xavier's weights multiplies the signal on its way up
by 1/√2, and the gradient on its way down too: {2 ** (-DEPTH / 2):.0e} over {DEPTH} layers, each way. He's weights are
larger by just that √2 (section 2.2 of the paper, and figure 3). Theirs were convolutions with a few dense layers on
ImageNet, at the rate {RATES[0]}. These are dense layers on digits. Both kinds of weights are the same standard normal
draws, scaled, and see the examples in the same order.

All is judged at the first record at which the lower end of the interval of He's accuracy is above {LEARNT}. This is the
claim's third form. Without clipping some of He's networks diverged; and at the smallest rate some of Xavier's began to
learn near the last step. That left the first two forms open. So the stall lasts for a time, not for ever. Nothing is
said about methods that divide out the size of the gradient, such as Adam."""
CAPTIONS = {
    "thirty_layers": Caption(
        """At step {judged}, when He's networks have learnt, Xavier's still answer no better than chance, at each of
        three learning rates.""",
        {
            "a": """Training accuracy. Dashed grey: the lines of the claim, {learnt} for He's and {chance} for Xavier's;
            dotted, in a and b: the step at which all is judged.""",
            "b": """Training loss. The thin grey line is ln 10, the loss of a network that cannot tell ten classes
            apart. The three lines of Xavier's networks lie on it.""",
            "c": """Root mean square of the gradient ∂L/∂z by layer, before the first step; theory's line begins at the
            measured value of the last layer. Of Xavier's {small:.1e} of the last layer's gradient is left in the first,
            in theory {theory:.1e}.""",
        },
        """Lines are means over n = {seeds} seeds (of the loss and the gradient geometric), bands their 95 %
        t-intervals.""",
        """{depth} hidden ReLU layers of width {width} on {data}, SGD with momentum {momentum}, clipped at norm
        {clip:g}, minibatches of {batch}. Numbers at the names are learning rates.""",
    )
}
FIXED = (
    (
        f"accuracy {LEARNT} and {CHANCE}, loss within {STALLED:.0%} of ln 10",
        "before the run: the two earlier forms of the claim had the same lines",
    ),
    ("clipping; to judge at the step when He's have learnt", "after a look at the first two forms, on other seeds"),
    ("the seeds", "before the run: none of the earlier forms saw them"),
)
SAID = Words(
    "He's weights train thirty ReLU layers within {steps} steps, Xavier's do not",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="one kind of weights at one learning rate",
)


def measure(quick):
    """The trainings: He's at one learning rate, Xavier's at three."""
    common = {"depth": 10 if quick else DEPTH, "width": 64, "activation": "relu", "batch": 64, "optimizer": "momentum"}
    common |= {"clip_norm": CLIP, "momentum": MOMENTUM, "seeds": 2 if quick else SEEDS}
    common |= {"steps": 40 if quick else STEPS, "records": 4 if quick else 24}
    common |= {"columns": ("log10_delta_rms", "train_accuracy", "log10_train_loss")}
    he = gl.TrainingSweep(init="he_normal", learning_rate=RATES[0], **common)
    xavier = gl.TrainingSweep(init="xavier_normal", learning_rate=RATES, **common)
    return he, pd.concat([gl.run(sweep, progress=False) for sweep in (he, xavier)], ignore_index=True)


def learnt(frame):
    """The first record at which all of He's networks have learnt; the last one if there is none."""
    found = gl.summarise(frame[(frame["init"] == "he_normal") & (frame["layer"] == 1)], "step", "train_accuracy")
    ready = found[(found["low"] > LEARNT) & (found["n"] == frame["seed"].nunique())]
    return int((frame if ready.empty else ready)["step"].agg("max" if ready.empty else "min"))


def judge(frame):
    """A row for each network: accuracy and loss when He's have learnt, accuracy at the end, the claim's truth."""
    by = ["init", "learning_rate"]
    rows_at = lambda step: frame[(frame["layer"] == 1) & (frame["step"] == step)]
    found = gl.summarise(rows_at(learnt(frame)), by, ["train_accuracy", "log10_train_loss"])
    ends = gl.summarise(rows_at(frame["step"].max()), by, "train_accuracy").set_index(by)
    rows = []
    for (init, rate), own in found.groupby(by):
        accuracy, loss = (own[own["column"] == name].iloc[0] for name in ("train_accuracy", "log10_train_loss"))
        factor = [10 ** loss[name] / math.log(10) for name in ("mean", "low", "high")]
        claim = above(accuracy["low"], accuracy["high"], LEARNT)
        if init != "he_normal":
            close = both(below(factor[1], factor[2], 1 + STALLED), above(factor[1], factor[2], 1 - STALLED))
            claim = both(below(accuracy["low"], accuracy["high"], CHANCE), close)
        claim = claim if accuracy["n"] == frame["seed"].nunique() else False  # a seed that diverged has no such step
        sizes = [*accuracy[["mean", "low", "high"]], *ends.loc[(init, rate), ["mean", "low", "high"]], *factor]
        rows.append((NAMES[init], rate, *sizes, claim))
    sizes = [f"{name}{end}" for name in ("accuracy", "final", "loss") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["init", "learning_rate", *sizes, "claim"])


def lines(frame):
    """Accuracy and loss along the training, and the delta by layer before it."""
    along = frame[frame["layer"] == 1]
    curves = gl.summarise(along, ["init", "learning_rate", "step"], ["train_accuracy", "log10_train_loss"])
    start = frame[(frame["step"] == 0) & (frame["layer"].between(1, frame["depth"]))]
    start = start[start["learning_rate"] == start["learning_rate"].min()]
    start = gl.summarise(start, ["init", "layer"], "log10_delta_rms")
    for init, own in start.groupby("init"):
        net = gl.MLP(depth=int(own["layer"].max()), width=64, activation="relu", init=init)
        theory = gl.theory.predict(net).columns["log10_delta_rms"][: len(own)]
        start.loc[own.index, "theory"] = own["mean"].iloc[-1] + theory - theory[-1]
    return curves, start


def show(tables):
    """The table of the page."""
    cell = lambda r, name: "{:.3f} [{:.3f}, {:.3f}]".format(*(getattr(r, name + e) for e in ("", "_low", "_high")))
    close = lambda r: f"{r.loss:.4f} [{r.loss_low:.4f}, {r.loss_high:.4f}]"
    rows = list(tables["networks"].itertuples())
    cells = {
        "weights": [r.init for r in rows],
        "learning rate": [r.learning_rate for r in rows],
        "training accuracy": [cell(r, "accuracy") for r in rows],
        "loss / ln 10": [close(r) for r in rows],
        "accuracy at the end": [cell(r, "final") for r in rows],
        "claim": [answered(r.claim) for r in rows],
    }
    return pd.DataFrame(cells).set_index("weights")


def tell(tables):
    """Numbers for the sentences."""
    own = tables["start"][tables["start"]["init"] == "xavier_normal"]
    left = {name: float(10 ** (own[name].iloc[0] - own[name].iloc[-1])) for name in ("mean", "theory")}
    told = {"judged": int(tables["networks"]["judged_at"].iloc[0]), "momentum": MOMENTUM, "clip": CLIP}
    return told | {"learnt": LEARNT, "chance": CHANCE, "small": left["mean"], "theory": left["theory"]}


PAGE = Experiment("thirty_layers", SAID, draw, show, tell, doc=__doc__)


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table, (curves, start) = judge(frame), lines(frame)
    finding = Finding.of({f"{r.init} with learning rate {r.learning_rate:g}": r.claim for r in table.itertuples()})
    setting = {"data": sweep.data, "depth": sweep.depth[0], "width": sweep.width[0], "batch": sweep.batch}
    setting |= {"steps": sweep.steps, "judged at step": (step := learnt(frame)), "loss": sweep.loss}
    setting |= {"seeds": len(sweep.seed_numbers), "dtype": sweep.dtype}
    tables = {"curves": curves, "start": start, "networks": table.assign(judged_at=step)}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
