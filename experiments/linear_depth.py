"""Learning time of deep linear networks, orthogonal and Gaussian, against depth (Saxe, McClelland & Ganguli 2013).

python experiments/linear_depth.py            (about five minutes; writes reports/linear_depth)
python experiments/linear_depth.py --quick --out scratch/linear_depth
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.linear_depth import GROWTH, KINDS, LEARNT, SHALLOW, curves, draw, show  # noqa: E402

DEEP, EARLIER = 32, 1.5
#: Learning rates times depth; seeds that choose among them, and seeds that are judged.
GRID = (0.1, 0.2, 0.4, 0.8, 1.13, 1.6, 2.26, 3.2)
CHOOSING, JUDGED = tuple(range(5)), tuple(range(300, 360))
RESAMPLES = 4000
CLAIM = f"""A linear network of {DEEP} hidden layers with orthogonal weights learns digits in less than {GROWTH} times
the steps that one of {SHALLOW} takes. With Gaussian weights of the same variance it takes more than {GROWTH} times as
many. Times are medians over seeds; each network has the learning rate that was best on other seeds."""
TEXT = f"""The task is the least-squares fit of the labels by the pixels, whitened as section 2 of the paper asks for.
The {{images}} images enter by their {{vectors}} left singular vectors; full-batch descent takes the same steps with
them as with the images. Labels are scaled so that the largest singular value of the answer is 1. A network has learnt
when its loss first falls below {LEARNT:.1%} of the loss of answering 0. Between two steps the loss is interpolated, in
its logarithm.

The learning rate is c/depth, with c from a grid of {{rates}} values between {GRID[0]:g} and {GRID[-1]:g}. A mode of
strength s moves by depth · s^(2 − 2/depth), so that the best rate falls as 1/depth and the time tends to a limit
(section 3). For each network we took the c with which most of {{choosing}} seeds learnt, and of those the one with the
shortest median time. For {{edge}} of the {{networks}} networks it is an end of the grid. The times of the claim are
those of {{judged}} other seeds.

Orthogonal networks do not learn in the same time at each depth: {{deep}} layers take {{slower:.2f}} times the steps of
{SHALLOW}. The claim is that the factor is small beside that of the depths, {{deeper:g}}. Whether it is less than
{EARLIER:g}, as this page said before, is {{earlier}}. Nothing is said about tasks that are not whitened, nor about
networks that begin near 0."""
CAPTIONS = {
    "linear_depth": Caption(
        """From {shallow} to {deep} layers the learning time grows {slower:.2f}-fold with orthogonal weights, and
        {gaussian} with Gaussian ones.""",
        {
            "a": """Loss over that of answering 0, of the shallowest and the deepest networks; lines are medians over
            seeds, bands reach from the lower to the upper quartile, where no quarter of the seeds has diverged. The
            dashed grey line is where a network has learnt.""",
            "b": """Learning time against depth; points are medians, bars their 95 % bootstrap intervals. A triangle at
            the upper edge would be a median that is not reached within {steps} steps.""",
            "c": """Learning time against c, the learning rate times the depth, on the seeds that choose c; points are
            medians, bars reach from the fastest to the slowest seed. Where more than half do not learn there is no
            point.""",
        },
        "n = {judged} seeds in a and b, n = {choosing} other seeds in c.",
        "Linear networks of width {width} on {data}, full-batch gradient descent, {steps} steps.",
    )
}
FIXED = (
    ("the grid of c, and which c is taken", "after a look at the seeds that choose c, before the judged ones ran"),
    (
        f"a network has learnt at {LEARNT:.1%} of the loss of answering 0",
        "after a look at the seeds that choose c: at the earlier line of a few percent it took a few whole steps",
    ),
    (f"{GROWTH} times", f"after a look at earlier seeds, which left {EARLIER:g} times open"),
    (
        "the seeds that are judged",
        "after a look at a quarter as many others, which left orthogonal weights open; these are new, and ran once",
    ),
)
SAID = Words(
    "The learning time of deep linear networks, orthogonal and Gaussian",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="one kind of weights",
)


def task():
    """Whitened digits: rows with which full-batch descent is that of all images, and labels of largest mode 1."""
    digits = load("digits")
    left, sizes, right = np.linalg.svd(np.asarray(digits.x, np.float64), full_matrices=False)
    rank = int((sizes > 1e-6 * sizes[0]).sum())
    y = left[:, :rank].T @ np.eye(10)[digits.y]
    return np.float32(rank**0.5 * right[:rank]), np.float32(rank**0.5 * y / np.linalg.norm(y, 2))


def trained(depth, init, c, seeds, steps, width, x, y):
    """Losses of one network over that of answering 0: a row for each seed."""
    net = gl.MLP(depth=depth, width=width, activation="identity", init=init)
    how = {"learning_rate": c / depth, "steps": steps, "batch": len(x), "test": 0.0, "seeds": seeds}
    run = gl.train(net, x, y, loss="mse", records=(0,), columns=("log10_abs_loss",), progress=False, **how)
    zero = 0.5 * float((y**2).sum(1).mean())
    rows = [(depth, init, c, seed, losses / zero) for seed, losses in run.losses.items()]
    return pd.DataFrame(rows, columns=["depth", "init", "c", "seed", "losses"])


def measure(quick):
    """Trainings of the seeds that choose the rate, at each rate, and of those that are judged, at the chosen one."""
    depths, steps, grid = ((SHALLOW, 8), 80, (0.4, 0.8)) if quick else ((SHALLOW, 8, 16, DEEP), 600, GRID)
    choosing, judged, width = (CHOOSING[:2], JUDGED[:3], 64) if quick else (CHOOSING, JUDGED, 64)
    how = (steps, width, *task())
    tried = times(pd.concat([trained(*at, choosing, *how) for at in product(depths, KINDS, grid)], ignore_index=True))
    own = [trained(depth, init, c, judged, *how) for (init, depth), c in best(tried).items()]
    setting = {"data": "digits, whitened", "width": width, "steps": steps, "c": list(grid), "dtype": "float32"}
    setting |= {"choosing": len(choosing), "judged": len(judged)}
    told = {"images": len(load("digits").x), "vectors": len(how[-1]), "rates": len(grid)}
    return setting, told, tried, times(pd.concat(own, ignore_index=True))


def learning_time(losses):
    """Steps until the loss is below the line, between steps by its logarithm; inf where it does not come there."""
    reached = losses < LEARNT
    if not reached.any() or reached[0]:
        return np.inf if not reached.any() else 0.0
    k = int(np.argmax(reached))
    before, after = np.log(losses[k - 1]), np.log(max(losses[k], np.finfo(float).tiny))
    return k - 1 + (before - np.log(LEARNT)) / (before - after)


def times(frame):
    """The learning time of each training."""
    return frame.assign(time=frame["losses"].map(learning_time))


def best(tried):
    """(init, depth) -> the c with which most seeds learn, and of those the one with the shortest median time."""
    found = tried.groupby(["init", "depth", "c"])["time"].agg([lambda t: np.isinf(t).sum(), "median"])
    found.columns = ["late", "median"]
    order = found.reset_index().sort_values(["late", "median", "c"])
    return order.groupby(["init", "depth"])["c"].first().to_dict()


def medians(times, rng):
    """Medians of resampled times; inf where half of them do not learn."""
    return np.median(rng.choice(np.asarray(times), (RESAMPLES, len(times))), axis=1)


def interval(values):
    """The 95 % interval of resampled values, whose ends are values among them: some may be inf."""
    low, high = (np.quantile(values, q, method=how) for q, how in ((0.025, "lower"), (0.975, "higher")))
    return float(low), float(high)


def judge(frame):
    """A row for each network: its time, also over the shallow one's; and whether the claim holds."""
    rng, rows, answers = np.random.default_rng(0), [], {}
    drawn = {at: medians(own["time"], rng) for at, own in frame.groupby(["init", "depth"])}
    for (init, depth), own in frame.groupby(["init", "depth"]):
        shallow = frame[(frame["init"] == init) & (frame["depth"] == SHALLOW)]["time"].median()
        time, late = own["time"].median(), int(np.isinf(own["time"]).sum())
        ratio = time / shallow if np.isfinite(shallow) else np.nan
        ends = interval(drawn[init, depth] / drawn[init, SHALLOW]) if depth != SHALLOW else (1.0, 1.0)
        rows.append((KINDS[init], depth, own["c"].iloc[0], time, *interval(drawn[init, depth]), ratio, *ends, late))
        if depth == frame["depth"].max():
            side = below if init == "orthogonal" else above
            answers[f"{KINDS[init]} weights"] = side(*np.minimum(ends, 1e9), GROWTH)
    names = ["weights", "depth", "c", "time", "time_low", "time_high", "ratio", "low", "high", "late"]
    return pd.DataFrame(rows, columns=names), Finding.of(answers)


def tell(tables):
    """Numbers for the sentences."""
    table, tried = tables["networks"], tables["choosing"]
    deep = table[table["depth"] == table["depth"].max()].set_index("weights")
    ratio, low = deep.loc["Gaussian", ["ratio", "low"]]
    ends = (tried["c"].min(), tried["c"].max())
    told = {"slower": float(deep.loc["orthogonal", "ratio"]), "deep": int(table["depth"].max()), "shallow": SHALLOW}
    told["earlier"] = answered(below(*deep.loc["orthogonal", ["low", "high"]], EARLIER))
    told["gaussian"] = f"{ratio:.3g}-fold" if np.isfinite(ratio) else f"more than {low:.3g}-fold"
    told |= {"deeper": told["deep"] / SHALLOW, "networks": len(table), "edge": int(table["c"].isin(ends).sum())}
    return told


PAGE = Experiment("linear_depth", SAID, draw, show, tell, doc=__doc__)


def main():
    """Train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    setting, told, tried, frame = measure(asked.quick)
    table, finding = judge(frame)
    tables = {"networks": table, "losses": curves(frame), "choosing": tried.drop(columns="losses")}
    tables["judged"] = frame.drop(columns="losses")
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
