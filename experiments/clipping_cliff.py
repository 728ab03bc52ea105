"""Clipping keeps gradient descent at the wall of a recurrent unit (Pascanu, Mikolov & Bengio 2013, figure 6).

python experiments/clipping_cliff.py        (a minute; writes reports/clipping_cliff)
python experiments/clipping_cliff.py --quick --out scratch/clipping_cliff
"""

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, both
from gradlab.training.cliff import Cliff

ACTIVATION, TIME, TARGET, CLIP, UPDATES = "sigmoid", 50, 0.7, 1.0, 2000
#: The box above the wall that descents begin in: (w, b) from, to.
BOX = ((5.0, -2.4), (8.0, -1.0))
#: Learning rates that the claim speaks of, and one that it does not.
CLAIMED, BESIDE = (0.3, 1.0), (0.1,)
FAR, GOOD, FEWER, MORE = 3.0, 1e-3, 0.5, 0.9
CLAIM = f"""Of gradient descents on the loss of one sigmoid unit, applied {TIME} times, that begin on the plateau above
its wall, more than {FEWER:.0%} are thrown farther than {FAR:g} by a single step, and fewer than {FEWER:.0%} come to a
loss below {GOOD:g}, if the gradient is taken as it is; if it is clipped to the norm {CLIP:g}, more than {MORE:.0%}
come there. Learning rates {" and ".join(f"{rate:g}" for rate in CLAIMED)}."""
TEXT = """The unit is h = φ(w h + b), φ the sigmoid, from h = 0; the loss is (h − {target:g})² after {time} steps. For
w > 4 the unit has two states to end in, and the loss jumps where it changes from one to the other: in the picture the
norm of the gradient is {median:.2g} in the median and {peak:.0f} at the wall. A descent that slides down the plateau
meets it from above. The gradient is the hand-written one through {time} steps in float64, the descents are optax's.

The lines of the claim were drawn after a look at other starts. A first set, a quarter as large, left one case open
(the share of unclipped descents with the larger learning rate that came below {good:g}, all else held), so the
{starts} judged here were drawn, once. The learning rate {beside:g} is shown and not judged: there clipped descents are
too slow for the number of updates, and fewer are thrown far. Nothing here says that clipping finds good parameters in
general: the wall of one unit in two dimensions has its valley right beside it."""
CAPTION = """Left: loss of the unit over its two parameters, in logarithmic colours, with one descent from the star:
{shown} updates with the learning rate {rate:g}, the gradient as it is (dashed, it leaves the picture) or clipped to
the norm {clip:g}; the longest steps are {thrown:.2g} and {kept:.2g}. Right: the loss along both. The table is over n =
{starts} starts; intervals are 95 % (Clopper–Pearson) for shares over starts."""
SAID = Words("Clipping keeps descent at the wall", CLAIM, TEXT, {"clipping_cliff": Caption(CAPTION)})


def measure(quick):
    """The surface with one descent, and descents from random starts for each learning rate."""
    fine = 41 if quick else 141
    w, b = np.linspace(3.2, 8.0, fine), np.linspace(-3.4, -0.6, fine)
    model = {"activation": ACTIVATION, "time_steps": TIME, "target": TARGET, "clip": CLIP}
    shown = gl.clipping_cliff(w, b, [(6.0, -2.0)], learning_rate=CLAIMED[0], updates=400, **model)
    starts = np.random.default_rng(21).uniform(*BOX, (40 if quick else 1600, 2))
    ends = []
    for rate in (*BESIDE, *CLAIMED):
        found = gl.clipping_cliff(w[:2], b[:2], starts, learning_rate=rate, updates=UPDATES, **model)
        ends.append(descents(found))
    return shown, pd.concat(ends, ignore_index=True)


def descents(cliff):
    """A row for each descent: its longest step, and the loss that it ends with."""
    keys = ["method", "start"]
    paths = cliff.paths.groupby(keys, sort=False)
    moves = paths[["w", "b"]].diff()
    table = cliff.paths[keys].assign(longest=np.hypot(moves["w"], moves["b"])).groupby(keys, sort=False).max()
    table["log10_loss"] = paths["log10_loss"].last()
    return table.reset_index().assign(learning_rate=cliff.learning_rate)


def share(answers):
    """Share of starts of which something is true, with its interval."""
    test = binomtest(int(np.sum(answers)), len(answers)).proportion_ci(0.95)
    return {"share": float(np.mean(answers)), "low": float(test.low), "high": float(test.high), "n": len(answers)}


def judge(table):
    """A row for each learning rate and method: shares thrown and arrived, and whether the claim is true of it."""
    rows = []
    for (rate, method), own in table.groupby(["learning_rate", "method"], sort=False):
        thrown, arrived = share(own["longest"] > FAR), share(own["log10_loss"] < np.log10(GOOD))
        claim = above(arrived["low"], arrived["high"], MORE)
        if method == "unclipped":
            far, few = (above(thrown["low"], thrown["high"], FEWER), below(arrived["low"], arrived["high"], FEWER))
            claim = both(far, few)
        rows.append(
            {"learning_rate": rate, "method": method, "median_longest": own["longest"].median(), "n": len(own),
             **{f"thrown_{k}": thrown[k] for k in ("share", "low", "high")},
             **{f"arrived_{k}": arrived[k] for k in ("share", "low", "high")},
             "judged": rate in CLAIMED, "claim": claim}
        )  # fmt: skip
    return pd.DataFrame(rows)


def draw(tables):
    """The surface with one descent of each kind, and the loss along both."""
    cliff = Cliff(tables["surface"], tables["path"], ACTIVATION, TIME, TARGET, CLAIMED[0], CLIP)
    return {"clipping_cliff": gl.plots.cliff(cliff)[0].figure}


def shown_table(table):
    """The table of the page."""
    interval = lambda row, name: " ".join(
        (f"{row[f'{name}_share']:.2f}", f"[{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]")
    )
    answer = {True: "true", False: "false", None: "open"}
    cells = [
        {
            "learning rate": f"{row['learning_rate']:g}",
            "gradient": row["method"],
            "median of the longest step": f"{row['median_longest']:.2f}",
            f"thrown farther than {FAR:g}": interval(row, "thrown"),
            f"end below {GOOD:g}": interval(row, "arrived"),
            "claim": answer[row["claim"]] if row["judged"] else "not of it",
        }
        for row in table.to_dict("records")
    ]
    return pd.DataFrame(cells).set_index("learning rate")


PAGE = Experiment("clipping_cliff", SAID, draw, lambda tables: shown_table(tables["shares"]))


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    cliff, ends = measure(asked.quick)
    table = judge(ends)
    judged = table[table["judged"]].to_dict("records")
    finding = Finding.of({f"learning rate {r['learning_rate']:g}, {r['method']}": r["claim"] for r in judged})
    longest = descents(cliff).set_index("method")["longest"]
    setting = {"activation": ACTIVATION, "time": TIME, "target": TARGET, "clip": CLIP, "dtype": "float64"}
    setting |= {"starts": int(table["n"].max()), "updates": UPDATES}
    slope = 10 ** cliff.surface["log10_grad_norm"]
    told = {
        "good": GOOD,
        "beside": BESIDE[0],
        "median": slope.median(),
        "peak": slope.max(),
        "rate": cliff.learning_rate,
    }
    told |= {"shown": int(cliff.paths["step"].max()), "thrown": longest["unclipped"], "kept": longest["clipped"]}
    tables = {"surface": cliff.surface, "path": cliff.paths, "shares": table}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting, numbers=told)


if __name__ == "__main__":
    main()
