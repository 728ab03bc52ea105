"""The coordinate check (Yang et al. 2022, Haas et al. 2025): what one step changes, by powers of the width.

python experiments/coordinate_check.py             (about five minutes; writes reports/coordinate_check)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.coordinate_check import CHANGE, COLUMNS, NAMES, draw  # noqa: E402

NEAR, CLOSE = 0.05, 0.15
BATCH = 16
RATES = {"sgd": 1e-3, "adam": 1e-5}
CLAIM = f"""After one step of gradient descent the change of the logits of a ReLU network with one hidden layer grows
with the width as a power of 1 in the standard parametrization and of 0 in the maximal update parametrization, each to
{NEAR:g}. In three hidden tanh layers the exponent of every layer's change, and of both of its parts, is that of
`gl.theory.width_exponents` to {CLOSE:g}, with gradient descent and with Adam, in these two and in the neural tangent
parametrization (95 % intervals over seeds wholly within)."""
TEXT = """A network follows its width by the scale of its weights and by its learning rates. In the *standard* one the
variance of a weight is a number over that of its inputs, and one rate serves all of them; in the *maximal update* one
(muP) the readout's weights are smaller and each weight has its own rate; in the *neural tangent* one (ntk) only the
rates differ (`gl.MLP(parametrization=…)`, `gl.rate_factors`).

**The parts.** Of a product z = x W the change is x_t (W_t − W_0), which is the work of this weight's own update, and
(x_t − x_0) W_0, which earlier layers hand on. The sum alone does not show whether a layer learns: in the readout of a
wide standard network both parts grow, in the neural tangent one the hidden layers stand still while the readout
moves.

**The exponents.** A weight whose update is aligned with its input changes its product by its number of inputs times
the size of an entry of the update. The gradient on a hidden layer is as large as a weight of the readout. From these
two sentences all numbers follow. They are of the limit of a wide network, of fewer examples than units, and of a rate
so small that the step is linear in it.

**Where a line is missed.** The part of the own weight is on theory's exponent in every layer. What misses is a sum of
two powers: behind the first hidden layer of a standard network the part that is carried does not grow, or falls, and
is still larger at these widths than it will be. The change then grows more slowly than its faster part, and the layer
above it inherits that. In the limit of infinite width the faster part is all there is; whoever looks at the sum alone
reads off a wrong exponent.

**What does not follow.** A rate that is large enough to train moves wide standard networks out of this range: there
the hidden layers change by more than their signal, and cross-entropy bears what the squared error does not (Haas et
al. 2025). Nothing here says which parametrization trains best."""
CAPTIONS = {
    "coordinate_check": Caption(
        """One step changes the logits by a power of {standard:.2f} of the width in the standard parametrization, of
        {mup:.2f} in the maximal update one.""",
        {
            "a": "One hidden ReLU layer, gradient descent: rms change of the logits, geometric mean over seeds.",
            "b": "The exponents of (a), seed by seed, and their mean; grey: the lines of the claim.",
        },
        "Bars are 95 % t-intervals over n = {seeds_one} seeds; dashed: exponents of 1 and 0.",
        "Widths {narrowest} to {widest}, {batch} Gaussian inputs, cross-entropy, base width {base}.",
    ),
    "exponents_sgd": Caption(
        "With gradient descent all layers change alike in the maximal update parametrization alone.",
        {},
        "{drawn}",
        "Three hidden tanh layers, the same data.",
    ),
    "exponents_adam": Caption(
        """With Adam the own weight's part grows as the width itself in each hidden layer of a standard network behind
        the first, and the change of its logits by a power of {adam:.2f}.""",
        {},
        "{drawn}",
        "Three hidden tanh layers, the same data.",
    ),
}
FIXED = (
    (f"exponents of 1 and 0 to {NEAR:g}", "before the run, from an older script of one layer"),
    (f"all other exponents to {CLOSE:g}", "after a look at a few seeds, in which each was within it of theory's"),
    ("widths, activations and numbers of seeds", "after the same look, whose intervals were too wide"),
)
SAID = Words("What one step changes, by powers of the width", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the table")
KEYS = ["hidden", "optimizer", "parametrization", "layer_name", "column"]


def check(data, name, optimizer, hidden, widths, seeds):
    """The coordinate check of one kind of network."""
    kind = {"activation": "relu"} if hidden == 1 else {"activation": "tanh", "init": "lecun_normal"}
    make = lambda width: gl.MLP(depth=hidden, width=width, parametrization=name, **kind)
    return gl.coordinate_check(make, data, widths=widths, steps=1, seeds=seeds, optimizer=optimizer,
                               learning_rate=RATES[optimizer])  # fmt: skip


def measure(quick):
    """Rows of one hidden layer, rows of three, and the setting."""
    drawn = load("gaussian", batch=BATCH, key=1)
    data = drawn.x[:BATCH], drawn.y[:BATCH]
    one, three = ((64, 128), (64, 128)) if quick else ((256, 512, 1024, 2048, 4096), (128, 256, 512, 1024, 2048))
    seeds_one, seeds = (3, 3) if quick else (60, 16)
    first = pd.concat([check(data, name, "sgd", 1, one, seeds_one) for name in NAMES[:2]])
    kinds = [("mup", "sgd")] if quick else [(name, opt) for opt in RATES for name in NAMES]
    deep = pd.concat([check(data, name, opt, 3, three, seeds) for name, opt in kinds])
    setting = {"batch": BATCH, "seeds_one": seeds_one, "seeds": seeds, "narrowest": min(one), "widest": max(one),
               "base": gl.MLP().base_width, "rate_sgd": RATES["sgd"], "rate_adam": RATES["adam"]}  # fmt: skip
    return first, deep, setting


def judge(first, deep):
    """A row for each exponent of the claim: slope, interval, what is expected, the line, and whether it holds."""
    logits = gl.exponents(first)[lambda t: (t["layer_name"] == "readout") & (t["column"] == CHANGE)]
    rows = pd.concat([logits.assign(line=NEAR), gl.exponents(deep).assign(line=CLOSE)])
    rows = rows[rows["verdict"] != "zero"].rename(columns={"depth": "hidden"})
    within = lambda r: both(above(r.low, r.high, r.expected - r.line), below(r.low, r.high, r.expected + r.line))
    rows["claim"] = [within(r) for r in rows.itertuples()]
    return rows[[*KEYS, "slope", "low", "high", "n", "expected", "verdict", "line", "claim"]].reset_index(drop=True)


def by_seed(first):
    """The exponent of the change of the logits, for each seed."""
    rows = first[first["layer_name"] == "readout"]
    slope = lambda g: np.polyfit(np.log10(g["width"]), g[CHANGE], 1)[0]
    groups = rows.groupby(["parametrization", "seed"], sort=False)[["width", CHANGE]]
    return groups.apply(slope).rename("slope").reset_index()


def cases(table):
    """The exponents that could contradict the claim, and whether it is true of them."""
    words = lambda r: f"{COLUMNS[r.column]} of {r.layer_name}, {r.hidden} hidden, {r.parametrization}, {r.optimizer}"
    return {words(r): r.claim for r in table.itertuples()}


def show(tables):
    """The table of the page: a row for each exponent, those nearest to a line of the claim first."""
    table = tables["exponents"]
    cells = {
        "hidden layers": table["hidden"].astype(int), "parametrization": table["parametrization"],
        "optimizer": table["optimizer"], "layer": table["layer_name"], "part": table["column"].map(COLUMNS),
        "exponent": [f"{r.slope:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in table.itertuples()],
        "expected": table["expected"].map("{:g} ".format) + table["line"].map("± {:g}".format),
        "claim": [answered(r.claim) for r in table.itertuples()],
        "margin": [margin(r.low, r.high, r.expected - r.line, r.expected + r.line) for r in table.itertuples()],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("hidden layers")


def tell(tables):
    """The exponents of the logits."""
    table = tables["exponents"]
    last = table[(table["layer_name"] == "readout") & (table["column"] == CHANGE)]
    one = last[last["hidden"] == 1].set_index("parametrization")["slope"]
    adam = last[(last["optimizer"] == "adam") & (last["parametrization"] == "standard")]["slope"]
    return {"standard": one["standard"], "mup": one["mup"], "adam": adam.iloc[0] if len(adam) else float("nan")}


PAGE = Experiment("coordinate_check", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    first, deep, setting = measure(asked.quick)
    table = judge(first, deep)
    logits = first[first["layer_name"] == "readout"][["parametrization", "width", "seed", CHANGE]]
    tables = {"exponents": table, "logits": logits, "slopes": by_seed(first), "layers": gl.exponents(deep)}
    PAGE.publish(asked.out, tables, finding=Finding.of(cases(table)), setting=setting)


if __name__ == "__main__":
    main()
