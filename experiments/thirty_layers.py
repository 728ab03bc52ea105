"""He's weights train thirty ReLU layers within 1000 steps, Xavier's do not (He, Zhang, Ren & Sun 2015).

python experiments/thirty_layers.py            (about two minutes; writes reports/thirty_layers)
python experiments/thirty_layers.py --quick --out scratch/thirty_layers
"""

import math

import matplotlib.pyplot as plt
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, both
from gradlab.reporting.words import listed

LEARNT, CHANCE, STALLED = 0.9, 0.15, 0.01
DEPTH, STEPS, RATES, MOMENTUM, CLIP = 30, 1000, (0.01, 0.03, 0.1), 0.9, 1.0
NAMES = {"he_normal": "He", "xavier_normal": "Xavier"}
SEEDS = tuple(range(100, 108))
CLAIM = f"""A ReLU network of {DEPTH} hidden layers, trained on digits by SGD with momentum {MOMENTUM} and clipping,
learns with He's weights: within {STEPS} steps its training accuracy comes to more than {LEARNT}. By the step at which
it does, with Xavier's it has not begun: at the learning rates {listed(f"{r:g}" for r in RATES)} its accuracy is below
{CHANCE}, and its loss within {STALLED:.0%} of ln 10, which a network has that cannot tell ten classes apart."""
TEXT = f"""A ReLU passes half of the mean square, so a layer of Xavier's multiplies both the signal on its way up and
the delta on its way down by 1/√2: {2 ** (-DEPTH / 2):.0e} over {DEPTH} layers, each way, and He's weights are larger
by just that √2 (section 2.2 of the paper, and figure 3). Theirs were convolutions with a few dense layers on ImageNet,
at the rate {RATES[0]}; these are dense layers on digits, with the same standard normal draws and orders of the
examples for both. All is judged at the first record at which the lower end of the interval of He's accuracy is above
the line. This is the claim's third form: without clipping some of He's networks diverged, and at the smallest rate
some of Xavier's began to learn near the last step, which left the first two open. So the stall is a matter of time;
the lines stayed, and the seeds are new to all of it. It is no claim about methods that divide out the size of the
gradient, such as Adam."""
CAPTION = """{depth} hidden ReLU layers of width {width} on {data}, SGD with momentum {momentum}, clipped at norm
{clip:g}, minibatches of {batch}, n = {seeds} seeds. Left and middle: lines are means over seeds (of the loss
geometric), bands their 95 % t-interval; dashed is ln 10 and the accuracy of chance, upright the step at which He's
have learnt. Right: rms of ∂L/∂z by layer before the first step. Step 0 stands at the left edge. Numbers at the names
are learning rates."""
SAID = Words(
    "He's weights train thirty ReLU layers within {steps} steps, Xavier's do not",
    CLAIM,
    TEXT,
    {"thirty_layers": Caption(CAPTION)},
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
    return curves, gl.summarise(start, ["init", "layer"], "log10_delta_rms")


def draw(tables):
    """Accuracy and loss against the step; the delta by layer at initialisation."""
    curves, start, step = tables["curves"], tables["start"], tables["networks"]["judged_at"].iloc[0]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    colours, styles = {"he_normal": "C0", "xavier_normal": "C1"}, dict(zip(RATES, ("-", "--", ":"), strict=True))
    for (init, rate, column), line in curves.groupby(["init", "learning_rate", "column"]):
        axes = left if column == "train_accuracy" else middle
        look = {"color": colours[init], "linestyle": styles[rate], "label": f"{NAMES[init]}, {rate:g}"}
        axes.plot(line["step"], line["mean"], **look)
        axes.fill_between(line["step"], line["low"], line["high"], color=colours[init], alpha=0.2, linewidth=0)
    for init, line in start.groupby("init"):
        right.plot(line["layer"], line["mean"], color=colours[init], label=NAMES[init])
        right.fill_between(line["layer"], line["low"], line["high"], color=colours[init], alpha=0.2, linewidth=0)
    left.axhline(0.1, color="0.5", linestyle=(0, (4, 2)), linewidth=0.8)
    middle.axhline(math.log10(math.log(10)), color="0.5", linestyle=(0, (4, 2)), linewidth=0.8)
    for axes in (left, middle):
        axes.axvline(step, color="0.6", linewidth=0.8)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, curves["step"].max())
        axes.set_xlabel("training step")
    gl.plots.log10_axis(middle)
    gl.plots.log10_axis(right)
    left.set(ylabel="training accuracy", ylim=(0, 1.02), title="Accuracy")
    middle.set(ylabel="training loss", title="Loss")
    right.set(xlabel="layer (1 = next to the input)", ylabel="rms delta, ∂L/∂z", title="Before the first step")
    left.legend(fontsize=7, frameon=False, loc="upper left")
    right.legend(fontsize=7, frameon=False)
    return {"thirty_layers": figure}


def shown(table):
    """The table of the page."""
    cell = lambda r, name: "{:.3f} [{:.3f}, {:.3f}]".format(*(getattr(r, name + e) for e in ("", "_low", "_high")))
    rows = list(table.itertuples())
    cells = {
        "weights": table["init"],
        "learning rate": table["learning_rate"],
        "training accuracy": [cell(r, "accuracy") for r in rows],
        "loss / ln 10": [cell(r, "loss") for r in rows],
        "accuracy at the end": [cell(r, "final") for r in rows],
        "claim": ["open" if r.claim is None else str(bool(r.claim)).lower() for r in rows],
    }
    return pd.DataFrame(cells).set_index("weights")


PAGE = Experiment("thirty_layers", SAID, draw, lambda tables: shown(tables["networks"]))


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
    told = {"momentum": MOMENTUM, "clip": CLIP}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
