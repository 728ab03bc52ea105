"""Clipping keeps gradient descent at the wall of a recurrent unit (Pascanu, Mikolov & Bengio 2013, figure 6).

python experiments/clipping_cliff.py        (a minute; writes reports/clipping_cliff)
python experiments/clipping_cliff.py --quick --out scratch/clipping_cliff
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both
from gradlab.training.cliff import Cliff

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.clipping_cliff import ACTIVATION, CLAIMED, CLIP, FAR, FEWER, GOOD, MORE, TARGET, TIME, draw  # noqa: E402

UPDATES = 2000
#: The box above the wall that descents begin in: (w, b) from, to.
BOX = ((5.0, -2.4), (8.0, -1.0))
#: A learning rate that the claim does not speak of.
BESIDE = (0.1,)
CLAIM = f"""Of gradient descents on the loss of one sigmoid unit, applied {TIME} times, that begin on the plateau above
its wall, more than {FEWER:.0%} are thrown farther than {FAR:g} by a single step, and fewer than {FEWER:.0%} come to a
loss below {GOOD:g}, if the gradient is taken as it is; if it is clipped to the norm {CLIP:g}, more than {MORE:.0%}
come there. Learning rates {" and ".join(f"{rate:g}" for rate in CLAIMED)}."""
TEXT = """The unit is h = φ(w h + b), φ the sigmoid, from h = 0; the loss is (h − {target:g})² after {time} time steps.
For w > 4 the unit has two states to end in, and the loss jumps where it changes from one to the other. That jump is the
wall: in the picture the norm of the gradient is {median:.2g} in the median and {peak:.0f} at the wall. A descent that
slides down the plateau meets the wall from above. The gradient is the hand-written one through {time} time steps in
float64, the descents are optax's.

The learning rate {beside:g} is shown and not judged: there clipped descents are too slow for the number of updates, and
fewer are thrown far. Nothing here says that clipping finds good parameters in general. The wall of one unit in two
dimensions has its valley right beside it."""
CAPTIONS = {
    "clipping_cliff": Caption(
        """At the wall one step throws the unclipped descent {thrown:.2g} far, out of the picture; the clipped one goes
        on in steps of at most {kept:.2g}, and arrives.""",
        {
            "a": """Loss of the unit over its two parameters, in logarithmic colours, and one descent from the star,
            with the gradient as it is (dashed) and clipped to the norm {clip:g}. Single dark points on the wall are
            points of the grid that meet the narrow valley inside it.""",
            "b": "Loss along both descents.",
        },
        "One start, so there is no mean and no band.",
        """{shown} updates with the learning rate {rate:g}; one {activation} unit, applied {time} times.""",
    ),
    "shares": Caption(
        """With the gradient as it is {far:.0%} to {farther:.0%} of the descents are thrown farther than {line:g}; with
        the clipped one none is, and at least {arrive:.0%} arrive.""",
        {
            "a": "Share of descents whose longest step is longer than {line:g}, against the learning rate.",
            "b": "Share of descents that end with a loss below {good:g}.",
        },
        """n = {starts} starts on the plateau for each point, bars 95 % intervals (Clopper–Pearson), mostly smaller than
        the points. Dashed: the lines of the claim, in the colour of the gradient that they are for. Hollow points are
        not judged; the sentence above is about the others.""",
        "{updates} updates of each descent.",
    ),
}
FIXED = (
    (
        f"thrown farther than {FAR:g}; more and fewer than {FEWER:.0%}; more than {MORE:.0%} below {GOOD:g}",
        "after a look at other starts",
    ),
    (
        "the number of starts",
        "after a first set, a quarter as large, left one case open: the share of unclipped "
        "descents with the larger learning rate that arrive; these starts are new and were drawn once",
    ),
)
SAID = Words(
    "Clipping keeps descent at the wall",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="one learning rate with one kind of gradient",
)


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


def tell(tables):
    """Numbers for the sentences."""
    cliff = Cliff(tables["surface"], tables["path"], ACTIVATION, TIME, TARGET, CLAIMED[0], CLIP)
    longest = descents(cliff).set_index("method")["longest"]
    slope = 10 ** tables["surface"]["log10_grad_norm"]
    judged = tables["shares"][tables["shares"]["judged"]].set_index("method")
    told = {"good": GOOD, "beside": BESIDE[0], "line": FAR, "rate": CLAIMED[0]}
    told |= {"median": float(slope.median()), "peak": float(slope.max())}
    told |= {"shown": int(tables["path"]["step"].max()), "thrown": longest["unclipped"], "kept": longest["clipped"]}
    far = judged.loc["unclipped", "thrown_share"]
    return told | {"far": far.min(), "farther": far.max(), "arrive": judged.loc["clipped", "arrived_share"].min()}


def show(tables):
    """The table of the page."""
    interval = lambda row, name: " ".join(
        (f"{row[f'{name}_share']:.3f}", f"[{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]")
    )
    cells = [
        {
            "learning rate": f"{row['learning_rate']:g}",
            "gradient": row["method"],
            "median of the longest step": f"{row['median_longest']:.2f}",
            f"thrown farther than {FAR:g}": interval(row, "thrown"),
            f"end below {GOOD:g}": interval(row, "arrived"),
            "claim": answered(row["claim"]) if row["judged"] else "not judged",
        }
        for row in tables["shares"].to_dict("records")
    ]
    return pd.DataFrame(cells).set_index("learning rate")


PAGE = Experiment("clipping_cliff", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    cliff, ends = measure(asked.quick)
    table = judge(ends)
    judged = table[table["judged"]].to_dict("records")
    finding = Finding.of({f"learning rate {r['learning_rate']:g}, {r['method']}": r["claim"] for r in judged})
    setting = {"activation": ACTIVATION, "time": TIME, "target": TARGET, "clip": CLIP, "dtype": "float64"}
    setting |= {"starts": int(table["n"].max()), "updates": UPDATES}
    tables = {"surface": cliff.surface, "path": cliff.paths, "shares": table}
    PAGE.publish(asked.out, tables, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
