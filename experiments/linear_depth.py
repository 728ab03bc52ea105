"""Learning time of deep linear networks, orthogonal and Gaussian, against depth (Saxe, McClelland & Ganguli 2013).

python experiments/linear_depth.py            (about two minutes; writes reports/linear_depth)
"""

import math
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, below

SHALLOW, DEEP, GROWTH, LEARNT, FLOOR = 4, 32, 1.5, 0.05, -6
KINDS = {"orthogonal": "orthogonal", "lecun_normal": "Gaussian"}
CLAIM = f"""At the best of a few learning rates, a linear network of {DEEP} hidden layers with orthogonal weights
learns digits in less than {GROWTH} times as many steps as one of {SHALLOW} does, in the mean over seeds; with Gaussian
weights of the same variance it needs more than {GROWTH} times as many with every seed."""
TEXT = f"""The task is the least-squares fit of the labels by the pixels, whitened as section 2 of the paper asks for:
the {{images}} images enter by their {{vectors}} left singular vectors, with which full-batch descent takes just the
steps that it takes with the images. Labels are scaled so that the largest singular value of the answer is 1. Learning
time is the step at which the loss falls below {LEARNT:.0%} of that of answering 0, in whole steps: for orthogonal
weights these are so few ({{fewest}} to {{most}}) that one of them makes up the ratio, which the claim does not resolve
further. Orthogonal networks do need more steps where they are deeper than {SHALLOW} layers, if few. The learning rate
is the best one of a grid c/depth for all seeds together: a mode of strength s moves by depth · s^(2 − 2/depth), so the
best rate falls as 1/depth and the time tends to a limit (section 3). It is chosen on the seeds that are judged; for
{{edge}} of the {{networks}} networks the best one is an end of the grid. A seed that does not come to the line, or
diverges, enters with all steps, as a bound from below: the mean is one too, and has no interval. Both lines are ours,
fixed after a look at two seeds with labels not scaled, where descent to small answers made the orthogonal times differ
by more, as the same law has it; after that the labels were scaled."""
CAPTION = """Linear networks of width {width} on {data}, full-batch gradient descent, n = {seeds} seeds. Left: loss
over that of answering 0, down to a millionth, at each depth's best learning rate, geometric means over the seeds that
stay finite; dashed the line that learning time is read at. Middle: learning time, points are geometric means over
seeds, bars their 95 % t-interval, where every seed learnt. Right: learning time against c, the learning rate times the
depth, of the shallowest and the deepest; grey: the number of steps, which stands for all that did not come to the
line."""
SAID = Words(
    "The learning time of deep linear networks, orthogonal and Gaussian",
    CLAIM,
    TEXT,
    {"linear_depth": Caption(CAPTION)},
)


def task():
    """Whitened digits: rows with which full-batch descent is that of all images, and labels of largest mode 1."""
    digits = load("digits")
    left, sizes, right = np.linalg.svd(np.asarray(digits.x, np.float64), full_matrices=False)
    rank = int((sizes > 1e-6 * sizes[0]).sum())
    y = left[:, :rank].T @ np.eye(10)[digits.y]
    return np.float32(rank**0.5 * right[:rank]), np.float32(rank**0.5 * y / np.linalg.norm(y, 2))


def measure(quick):
    """Losses of all trainings, step by step: a row for each network, rate and seed, with the time it took."""
    depths, steps, seeds, width = ((4, 8), 60, 2, 64) if quick else ((SHALLOW, 8, 16, DEEP), 300, 5, 64)
    rates = (0.4, 0.8) if quick else (0.1, 0.2, 0.4, 0.8, 1.13, 1.6)
    x, y = task()
    zero, rows = 0.5 * float((y**2).sum(1).mean()), []
    for depth, init, c in product(depths, KINDS, rates):
        net = gl.MLP(depth=depth, width=width, activation="identity", init=init)
        how = {"learning_rate": c / depth, "steps": steps, "batch": len(x), "test": 0.0, "seeds": seeds}
        run = gl.train(net, x, y, loss="mse", records=(0,), columns=("log10_abs_loss",), progress=False, **how)
        rows += [(depth, init, c, seed, losses / zero) for seed, losses in run.losses.items()]
    frame = pd.DataFrame(rows, columns=["depth", "init", "c", "seed", "losses"])
    setting = {"data": "digits, whitened", "width": width, "steps": steps, "seeds": seeds, "dtype": "float32"}
    return setting | {"c": list(rates)}, {"images": len(load("digits").x), "vectors": len(x)}, times(frame)


def times(frame):
    """The learning time of each training: the first step below the line, or all steps where there is none."""
    first = lambda losses: int(np.argmax(losses < LEARNT)) if (losses < LEARNT).any() else len(losses)
    return frame.assign(time=frame["losses"].map(first), log10_time=lambda f: np.log10(f["time"]))


def best(frame):
    """The trainings at the best rate of each network."""
    chosen = set(frame.groupby(["init", "depth", "c"])["log10_time"].mean().groupby(["init", "depth"]).idxmin())
    return frame[[at in chosen for at in zip(frame["init"], frame["depth"], frame["c"], strict=True)]]


def judge(chosen):
    """A row for each network: its time, also over the shallow one's, seed by seed; and whether the claim holds."""
    ends = lambda logs: gl.summarise(logs.rename("log10_t").reset_index().assign(of=0), "of", "log10_t").iloc[0]
    interval = lambda logs: [10 ** float(ends(logs)[name]) for name in ("mean", "low", "high")]
    rows, answers = [], {}
    for (init, depth), own in chosen.groupby(["init", "depth"]):
        logs = own.set_index("seed")["log10_time"]
        shallow = chosen[(chosen["init"] == init) & (chosen["depth"] == SHALLOW)].set_index("seed")["log10_time"]
        late = int((own["time"] == own["losses"].map(len)).sum())
        time, ratio = (interval(v)[: 1 if late else 3] + [np.nan] * (2 if late else 0) for v in (logs, logs - shallow))
        rows.append((KINDS[init], depth, own["c"].iloc[0], *time, *ratio, late))
        if depth == chosen["depth"].max():
            every = bool((logs - shallow).min() > np.log10(GROWTH))
            answers[f"{KINDS[init]} weights"] = below(*ratio[1:], GROWTH) if init == "orthogonal" else every
    names = ["weights", "depth", "c", "time", "time_low", "time_high", "ratio", "low", "high", "late"]
    return pd.DataFrame(rows, columns=names), Finding.of(answers)


def curves(chosen):
    """log10 of the losses of the shallowest and the deepest networks: geometric means over seeds that stay finite."""
    parts = []
    for (init, depth), own in chosen[chosen["depth"].isin((SHALLOW, chosen["depth"].max()))].groupby(["init", "depth"]):
        finite = [v for v in own["losses"] if np.isfinite(v).all()] or [np.full(len(own["losses"].iloc[0]), np.nan)]
        mean = np.log10(np.stack(finite)).mean(0)
        parts.append(pd.DataFrame({"init": init, "depth": depth, "step": range(len(mean)), "log10_loss": mean}))
    return pd.concat(parts, ignore_index=True)


def draw(tables):
    """Losses at the best rate, learning time against depth, and against the rate."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    losses, table = tables["losses"], tables["networks"]
    frame = tables["times"].assign(log10_time=lambda f: np.log10(f["time"]))
    depths, steps = sorted(frame["depth"].unique()), losses["step"].max() + 1
    colours = {"orthogonal": "C0", "Gaussian": "C1"}
    ends = lambda of: of[of["depth"].isin((SHALLOW, depths[-1]))].groupby(["init", "depth"])
    style = lambda depth: "--" if depth == SHALLOW else "-"
    for (init, depth), curve in losses.groupby(["init", "depth"]):
        name = KINDS[init]
        left.plot(curve["log10_loss"].to_numpy(), style(depth), color=colours[name], label=f"{name}, {depth} layers")
    for kind, own in table.groupby("weights"):
        error = [own["time"] - own["time_low"], own["time_high"] - own["time"]]
        middle.errorbar(own["depth"], own["time"], error, color=colours[kind], marker="o", ms=4, label=kind)
    for (init, depth), own in ends(frame):
        means = 10 ** own.groupby("c")["log10_time"].mean()
        right.plot(means.index, means, style(depth), color=colours[KINDS[init]], marker="o", ms=3)
    left.axhline(np.log10(LEARNT), color="0.5", linestyle=(0, (4, 2)), linewidth=0.8)
    left.set(xlabel="training step", ylabel="loss over that of answering 0", title="Loss", ylim=(FLOOR, 2))
    gl.plots.log10_axis(left)
    middle.set(xlabel="depth [hidden layers]", title="At the best learning rate")
    right.set(xlabel="c = learning rate × depth", title="At each learning rate")
    for axes, ticks in ((middle, depths), (right, (0.1, 0.2, 0.4, 0.8, 1.6))):
        axes.axhline(steps, color="0.6", linewidth=0.8)
        axes.set(yscale="log", ylabel="learning time [steps]")
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.legend(fontsize=7, frameon=False)
    middle.legend(fontsize=7, frameon=False)
    return {"linear_depth": figure}


def shown(table):
    """The table of the page."""
    text = lambda mean, low, high: f"at least {mean:.3g}" if np.isnan(low) else f"{mean:.3g} [{low:.3g}, {high:.3g}]"
    cell = lambda *names: [text(*row) for row in table[list(names)].to_numpy()]
    told = {"time": cell("time", "time_low", "time_high"), "ratio": cell("ratio", "low", "high")}
    cells = table.assign(**told)[["weights", "depth", "c", "time", "ratio", "late"]].set_index("weights")
    names = ["depth", "best c", "learning time", f"over that of {SHALLOW} layers", "seeds that did not learn"]
    return cells.set_axis(names, axis="columns")


PAGE = Experiment("linear_depth", SAID, draw, lambda tables: shown(tables["networks"]))


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting, told, frame = measure(asked.quick)
    table, finding = judge(chosen := best(frame))
    own = table.loc[table["weights"] == "orthogonal", "time"]
    told |= {"fewest": int(own.min()), "most": math.ceil(own.max()), "networks": len(table)}
    told |= {"edge": int(table["c"].isin((min(setting["c"]), max(setting["c"]))).sum())}
    tables = {"times": frame.drop(columns=["losses", "log10_time"]), "networks": table, "losses": curves(chosen)}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
