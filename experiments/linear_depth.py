"""Orthogonal deep linear networks learn as fast as shallow ones (Saxe, McClelland & Ganguli 2013).

python experiments/linear_depth.py            (about four minutes; writes reports/linear_depth)
python experiments/linear_depth.py --quick --out scratch/linear_depth
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Finding, above, below, options, publish

SHALLOW, GROWTH, LEARNT = 4, 1.5, 0.05
KINDS = {"orthogonal": "orthogonal", "lecun_normal": "Gaussian"}
CLAIM = f"""At the best of a few learning rates, a linear network of 32 hidden layers with orthogonal weights learns
digits in less than {GROWTH} times as many steps as one of {SHALLOW} does; with Gaussian weights of the same variance
it needs more than {GROWTH} times as many."""
TEXT = f"""The task is the least-squares fit of the ten labels by the pixels, whitened as section 2 of the paper asks
for: the 1797 images enter by their 61 left singular vectors, with which full-batch descent takes just the steps that
it takes with the images. Labels are scaled so that the largest singular value of the answer is 1. Learning time is
the step at which the loss falls below {LEARNT:.0%} of that of a network that answers 0. At each depth the learning
rate is the best of those in the grid for all seeds together, c/depth with the same c for both: a mode of strength s
moves by depth · s^(2 − 2/depth) in the slope's direction, so the best rate falls as 1/depth, and the time tends to a
limit (the paper's section 3). A seed that does not come to the line, or diverges, enters with the number of steps, so
that times of the Gaussian networks are bounds from below. Both lines are ours, fixed after a look at two seeds of 4
and 32 layers with labels not scaled, where descent to small answers (0.2 to 0.3) made the orthogonal times differ by
1.7, as the same law has it; after a look at those the labels were scaled. Time in the paper's figure 6 is that of
MNIST."""
CAPTION = """Linear networks of width {width} on {data}, full-batch gradient descent, n = {seeds} seeds. Left: loss
over that of answering 0, at each depth's best learning rate, geometric means over the seeds that stay finite; dashed
the line that learning time is read at. Middle: learning time, points are geometric means over seeds, bars their 95 %
t-interval. Right: learning time against c, the learning rate times the depth, of the shallowest and the deepest;
grey: the number of steps, which stands for all that did not come to the line."""


def task():
    """Whitened digits: rows with which full-batch descent is that of all images, and labels of largest mode 1."""
    digits = load("digits")
    left, sizes, right = np.linalg.svd(np.asarray(digits.x, np.float64), full_matrices=False)
    rank = int((sizes > 1e-6 * sizes[0]).sum())
    y = left[:, :rank].T @ np.eye(10)[digits.y]
    y *= rank**0.5 / np.linalg.norm(y, 2)
    return np.float32(rank**0.5 * right[:rank]), np.float32(y)


def measure(quick):
    """Losses of all trainings, step by step: a row for each network, rate and seed, with the time it took."""
    depths, steps, seeds, width = ((4, 8), 60, 2, 64) if quick else ((4, 8, 16, 32), 300, 5, 64)
    rates = (0.4, 0.8) if quick else (0.1, 0.2, 0.4, 0.8, 1.13, 1.6)
    x, y = task()
    zero, rows = 0.5 * float((y**2).sum(1).mean()), []
    for depth in depths:
        for init in KINDS:
            net = gl.MLP(depth=depth, width=width, activation="identity", init=init)
            for c in rates:
                run = gl.train(
                    net, x, y, loss="mse", learning_rate=c / depth, steps=steps, batch=len(x), test=0.0, seeds=seeds,
                    records=(0,), columns=("log10_abs_loss",), progress=False,
                )  # fmt: skip
                rows += [(depth, init, c, seed, losses / zero) for seed, losses in run.losses.items()]
    frame = pd.DataFrame(rows, columns=["depth", "init", "c", "seed", "losses"])
    setting = {"data": "digits, whitened", "width": width, "steps": steps, "seeds": seeds, "dtype": "float32"}
    return setting | {"depth": list(depths), "c": list(rates)}, times(frame)


def times(frame):
    """The learning time of each training: the first step below the line, or all steps where there is none."""
    first = lambda losses: int(np.argmax(losses < LEARNT)) if (losses < LEARNT).any() else len(losses)
    return frame.assign(time=frame["losses"].map(first), log10_time=lambda f: np.log10(f["time"]))


def best(frame):
    """The trainings at the best rate of each network."""
    means = frame.groupby(["init", "depth", "c"])["log10_time"].mean()
    chosen = means.groupby(["init", "depth"]).idxmin()
    return frame[[at in set(chosen) for at in zip(frame["init"], frame["depth"], frame["c"], strict=True)]]


def interval(logs):
    """Geometric mean and 95 % t-interval of 10 to these values, by seed."""
    found = gl.summarise(logs.rename("log10_time").reset_index().assign(of="all"), "of", "log10_time")
    return [10 ** float(found[name].iloc[0]) for name in ("mean", "low", "high")]


def judge(chosen):
    """A row for each network: its time, also over the shallow one's, seed by seed; and the claim, on the deepest."""
    rows = []
    for (init, depth), own in chosen.groupby(["init", "depth"]):
        shallow = chosen[(chosen["init"] == init) & (chosen["depth"] == SHALLOW)].set_index("seed")["log10_time"]
        logs = own.set_index("seed")["log10_time"]
        ratio = interval(logs - shallow)
        late = int((own["time"] == own["losses"].map(len)).sum())
        claim = None
        if depth == chosen["depth"].max():
            claim = (below if init == "orthogonal" else above)(*ratio[1:], GROWTH)
        rows.append((KINDS[init], depth, own["c"].iloc[0], *interval(logs), *ratio, late, claim))
    names = ["weights", "depth", "c", "time", "time_low", "time_high", "ratio", "low", "high", "late", "claim"]
    return pd.DataFrame(rows, columns=names).astype({"claim": object})


def answers(table):
    """Case -> whether the claim is true of it: the deepest networks."""
    deepest = table[table["depth"] == table["depth"].max()]
    return {f"{r.weights} weights": r.claim for r in deepest.itertuples()}


def draw(frame, chosen, table):
    """Losses at the best rate, learning time against depth, and against the rate."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    depths = sorted(frame["depth"].unique())
    colours, steps = {"orthogonal": "C0", "Gaussian": "C1"}, len(frame["losses"].iloc[0])
    for (init, depth), own in chosen[chosen["depth"].isin((SHALLOW, depths[-1]))].groupby(["init", "depth"]):
        curve = np.log10(np.stack([v for v in own["losses"] if np.isfinite(v).all()] or [np.full(steps, np.nan)]))
        look = {"color": colours[KINDS[init]], "linestyle": "--" if depth == SHALLOW else "-"}
        left.plot(curve.mean(0), **look, label=f"{KINDS[init]}, {depth}")
    for kind, own in table.groupby("weights"):
        error = [own["time"] - own["time_low"], own["time_high"] - own["time"]]
        middle.errorbar(own["depth"], own["time"], error, color=colours[kind], marker="o", ms=4, label=kind)
    for (init, depth), own in frame[frame["depth"].isin((SHALLOW, depths[-1]))].groupby(["init", "depth"]):
        means = 10 ** own.groupby("c")["log10_time"].mean()
        style = "--" if depth == SHALLOW else "-"
        right.plot(means.index, means, style, color=colours[KINDS[init]], marker="o", ms=3)
    for axes in (middle, right):
        axes.axhline(steps, color="0.6", linewidth=0.8)
        axes.set(yscale="log", ylabel="learning time [steps]")
    left.axhline(np.log10(LEARNT), color="0.5", linestyle=(0, (4, 2)), linewidth=0.8)
    left.set(xlabel="training step", ylabel="loss over that of answering 0", title="Loss", ylim=(-6, 2))
    gl.plots.log10_axis(left)
    middle.set_xscale("log", base=2)
    middle.set_xticks(depths, [str(d) for d in depths])
    middle.set(xlabel="depth [hidden layers]", title="At the best learning rate")
    right.set_xscale("log")
    right.set_xticks([0.1, 0.2, 0.4, 0.8, 1.6], ["0.1", "0.2", "0.4", "0.8", "1.6"], minor=False)
    right.minorticks_off()
    right.set(xlabel="c = learning rate × depth", title="At each learning rate")
    left.legend(fontsize=7, frameon=False, title="weights, depth", title_fontsize=7)
    middle.legend(fontsize=7, frameon=False)
    return figure


def shown(table):
    """The table of the page."""
    rows = list(table.itertuples())
    cells = {
        "weights": table["weights"],
        "depth": table["depth"],
        "best c": table["c"],
        "learning time": [f"{r.time:.1f} [{r.time_low:.1f}, {r.time_high:.1f}]" for r in rows],
        f"over that of {SHALLOW} layers": [f"{r.ratio:.2f} [{r.low:.2f}, {r.high:.2f}]" for r in rows],
        "seeds that did not learn": table["late"],
    }
    return pd.DataFrame(cells).set_index("weights")


def main():
    """Train, judge, draw, write."""
    asked = options(__doc__, __file__, "linear_depth")
    setting, frame = measure(asked.quick)
    chosen = best(frame)
    table = judge(chosen)
    finding = Finding.of(answers(table))
    with gl.plots.style("paper"):
        figure = draw(frame, chosen, table)
    drawn = {"times": frame.drop(columns=["losses", "log10_time"]), "networks": table}
    page = publish(
        asked.out, name="linear_depth", title="Orthogonal deep linear networks learn as fast as shallow ones",
        claim=CLAIM, finding=finding, figure=figure, drawn=drawn, summary=shown(table), text=TEXT,
        caption=CAPTION.format(**setting), command="python experiments/linear_depth.py", setting=setting,
    )  # fmt: skip
    print(f"{finding}\n{page}")


if __name__ == "__main__":
    main()
