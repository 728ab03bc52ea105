"""A tanh in the place of the norm: a stretched exponential for a power of the depth (Alekseev 2026).

python experiments/dyt.py             (about 10 minutes; writes reports/dyt)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.dyt import EXPECTED, FORMS, LABELS, NORMS, ONE, draw  # noqa: E402

DELTA, STREAM = "log10_delta_rms", "log10_preactivation_rms"
BETTER, NEAR, ALPHA, FIRST = 1.0, 0.2, 0.5, 8
#: What four seeds of a look before had for pre-LN's power over theory's, and a line that was dropped after it.
SEEN, DROPPED = 0.16, 0.1
SEEDS = tuple(range(16, 32))  # nobody had looked at them when the lines of the claim were drawn
CLAIM = f"""In transformers at initialisation with what normalises before the branches, from {FIRST} blocks to the
deepest, with one position and with several: the growth of the mean squared gradient on the stream, from block l to
block 1, is described better by a power of l than by exp(c√l) where that is a layer norm, and better by exp(c√l) than by
a power where it is DyT. Better: the other form leaves more variance, in the geometric mean over networks. For one
position the power and the c are those of theory to {NEAR:.0%}."""
TEXT = f"""DyT (Zhu et al. 2025) puts γ tanh(αx) + β in the place of a norm; α is learnt and starts at {ALPHA}. It
squashes as a norm does, and it takes no mean over features. Alekseev (2026) shows what is lost at initialisation:
pre-LN gradients grow as a power of the depth, those behind a tanh as a stretched exponential.

**Why.** Both streams grow: each block adds about as much variance V as the one before, so the variance is K ≈ V l. A
layer norm divides by the root of K, so the branches of a block hand back W/K of the mean squared gradient, where W is
what they would hand back without it, and the sum of 1/K is a logarithm. A tanh is flat but for the features near 0,
which are a share of about 1/(α√K): the branch hands back about `W · 4α/(3√(2πK))`, and the sum of 1/√K is a root. So
ln of the growth is c√l with c = `8αW/(3√(2πV))` (`gl.theory.dyt_stretch`). For these networks the layer norm's power
is 1 (`gl.theory.block_stream`). Both laws are those of one position, where attention is linear, and of infinite
width.

**What is tried.** Both forms have two numbers, ln G = a + b f(l) with f = ln l or √l, and are fitted by least squares
at l = {FIRST}, {2 * FIRST}, {4 * FIRST} and so on, for each network by itself. Theory's own curve is fitted in the
same way at the same blocks, since its slope has not reached its limit there: {{near}} is what theory gives for c over
these blocks, {{limit}} its limit. An exponential, which is in the table, is no part of the claim. The gradient at the
last block has just come through the last norm.

**Several positions.** Behind DyT the growth with {{positions}} positions is smaller than with one: {{dyt:.1e}}
against {{single:.1e}}. We have no law for it. A reason may be that a feature near 0 at one position is not near 0 at
others, so that what attention hands back is a mean over positions of which few agree.

**Tried and dropped.** Networks of each depth by themselves instead of the blocks of one: the same growth for many
times the cost. A line of {DROPPED:.0%} for the slopes: in a look at four other seeds, with networks of each depth,
pre-LN's power was {SEEN:.0%} above theory's."""
CAPTIONS = {
    "dyt": Caption(
        """Over {deepest} blocks the mean squared gradient grows {dyt:.1e}-fold behind DyT and {layer:.0f}-fold behind a
        layer norm.""",
        {
            "a": "Growth against depth on logarithmic axes, where a power is a line.",
            "b": "The same against the root of the depth, where the stretched exponential is one.",
            "c": """Variance that the other form leaves over that which the expected one leaves: a dot for each network.
            Above 1 (line) the expected form is nearer.""",
        },
        """Filled: {positions} positions; hollow: one, beside theory (dashed). Means over n = {seeds} seeds of ln, bars,
        often smaller than the markers, their 95 % intervals.""",
        """Transformers of width {width} with {heads} heads, ReLU, n Var = 1, no biases, depth {depth}, on {data}, batch
        {batch}; the loss is ⟨u, logits⟩ with a random u for each example.""",
    )
}  # fmt: skip
FIXED = (
    ("the form that leaves less variance", "before any run; blocks, width and depth after a look at four other seeds"),
    (f"slopes to {NEAR:.0%}", f"after a look at four other seeds, of which pre-LN was {SEEN:.0%} above theory"),
)
SAID = Words(
    "A tanh in the place of the norm", CLAIM, TEXT, CAPTIONS, FIXED,
    case="a comparison of forms, or a slope, of one norm and number of positions",
)  # fmt: skip


def measure(quick):
    """The sweep, and the ln growth of the mean squared gradient at each of the blocks, for each network and seed."""
    sweep = gl.Sweep(
        architecture="transformer", depth=32 if quick else 512, width=16 if quick else 64, activation="relu",
        init="lecun_normal", bias=False, norm=NORMS, loss="probe", batch=4 if quick else 16, data="digits_rows",
        seeds=SEEDS[:3] if quick else SEEDS, columns=(DELTA, STREAM),
    )  # fmt: skip
    data, found = load(sweep.data, batch=sweep.batch), []
    blocks = [FIRST // 4 * 2**k for k in range(20) if FIRST // 4 * 2**k <= sweep.depth[0]]
    blocks = blocks if quick else [b for b in blocks if b >= FIRST]
    middle = data.x.shape[1] // 2
    for x in (data.x[:, middle : middle + ONE], data.x):
        frame = gl.run(sweep, data=(np.ascontiguousarray(x), data.y), progress=False)
        wide = frame.pivot(index=["norm", "seed"], columns="layer", values=DELTA)
        start = np.mean(10 ** (2 * frame.loc[frame["layer"] == 0, STREAM])) + 0.5  # sine and cosine of positions
        for norm in NORMS:
            law = np.log(gl.theory.block_stream("relu", sweep.depth[0], norm=norm, variance=start).factor)
            for block in blocks:
                logs = 2 * np.log(10) * (wide.loc[norm][1] - wide.loc[norm][block])
                rows = {"positions": x.shape[1], "norm": norm, "blocks": block, "seed": logs.index}
                found.append(pd.DataFrame(rows | {"ln_growth": logs.to_numpy(), "theory": law[1:block].sum()}))
    return sweep, pd.concat(found, ignore_index=True)


def fitted(blocks, logs):
    """Slope of each form, and the variance that it leaves."""
    result = {}
    for form, of in FORMS.items():
        design = np.stack([np.ones(len(blocks)), of(np.asarray(blocks, float))], 1)
        coefficients, *_ = np.linalg.lstsq(design, logs, rcond=None)
        result[form] = float(coefficients[1]), float(np.mean((logs - design @ coefficients) ** 2))
    return result


def fits(growth):
    """A row for each network: slopes and what each form leaves, measured and of theory."""
    rows = []
    for (positions, norm, seed), own in growth.groupby(["positions", "norm", "seed"], sort=False):
        expected, (other,) = EXPECTED[norm], {"power", "stretched"} - {EXPECTED[norm]}
        ours, law = (fitted(own["blocks"], own[name].to_numpy()) for name in ("ln_growth", "theory"))
        left = {f"left_{form}": ours[form][1] for form in FORMS}
        ratio = np.log(ours[other][1] / ours[expected][1])
        rows.append({
            "positions": positions, "norm": norm, "seed": seed, "slope": ours[expected][0],
            "theory": law[expected][0], "ln_other_over_expected": ratio, **left,
        })  # fmt: skip
    return pd.DataFrame(rows)


def judge(table):
    """A row for each case: its number with the interval over seeds, the lines, and whether the claim is true."""
    rows, keys = [], ["positions", "norm"]
    for r in gl.summarise(table, keys, "ln_other_over_expected").itertuples():
        values = np.exp([r.mean, r.low, r.high])
        rows.append((r.positions, r.norm, "variance of the other form", *values, BETTER, np.inf, np.nan))
    theory = table.groupby(keys)["theory"].first()
    for r in gl.summarise(table[table["positions"] == ONE], keys, "slope").itertuples():
        law = theory[r.positions, r.norm]
        values = np.array([r.mean, r.low, r.high]) / law
        rows.append((r.positions, r.norm, "slope over theory's", *values, 1 - NEAR, 1 + NEAR, law))
    cases = pd.DataFrame(rows, columns=[*keys, "what", "value", "low", "high", "least", "most", "theory"])
    said = [both(above(r.low, r.high, r.least), below(r.low, r.high, r.most)) for r in cases.itertuples()]
    return cases.assign(claim=pd.Series(said, dtype=object))


def show(tables):
    """The table of the page: the cases, with what each form leaves."""
    cases, fits_ = tables["cases"], tables["fits"]
    left = fits_.groupby(["positions", "norm"])[[f"left_{form}" for form in FORMS]].mean()
    cells = {
        "what": cases["what"], "norm": cases["norm"].map(LABELS), "positions": cases["positions"],
        "measured": [f"{r.value:.3g} [{r.low:.3g}, {r.high:.3g}]" for r in cases.itertuples()],
        "line": [f"> {r.least:g}" + (f" and < {r.most:g}" if r.most < np.inf else "") for r in cases.itertuples()],
        "power, √l, exponential leave": [
            ", ".join(f"{v:.2g}" for v in left.loc[(r.positions, r.norm)]) for r in cases.itertuples()
        ],
        "claim": cases["claim"].map(answered),
        "margin": [margin(r.low, r.high, r.least, r.most) for r in cases.itertuples()],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("what")


def tell(tables):
    """Numbers of the sentences."""
    growth, cases = tables["growth"], tables["cases"]
    deep = growth[(growth["blocks"] == growth["blocks"].max()) & (growth["positions"] > ONE)].set_index("norm")["mean"]
    near = cases[(cases["norm"] == "dyt") & cases["theory"].notna()]["theory"].iloc[0]
    told = {norm: float(np.exp(deep[norm])) for norm in NORMS}
    single = growth[(growth["positions"] == ONE) & (growth["norm"] == "dyt")]["mean"].max()
    told |= {"single": float(np.exp(single))}
    limit = gl.theory.dyt_stretch("relu")
    return told | {"deepest": int(growth["blocks"].max()), "near": f"{near:.3f}", "limit": f"{limit:.3f}"}


PAGE = Experiment("dyt", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, growth = measure(asked.quick)
    table = fits(growth)
    cases = judge(table)
    means = gl.summarise(growth, ["positions", "norm", "blocks"], "ln_growth")
    theory = growth.groupby(["positions", "norm", "blocks"])["theory"].first()
    means["theory"] = [theory[r.positions, r.norm, r.blocks] for r in means.itertuples()]
    setting = {"data": sweep.data, "width": sweep.width[0], "heads": sweep.heads[0], "init": sweep.init[0]}
    setting |= {"batch": sweep.batch, "loss": sweep.loss, "dtype": sweep.dtype, "depth": sweep.depth[0]}
    setting |= {"seeds": len(sweep.seed_numbers), "positions": int(growth["positions"].max())}
    finding = Finding.of({f"{r.what}, {r.norm}, {r.positions}": r.claim for r in cases.itertuples()})
    PAGE.publish(asked.out, {"growth": means, "fits": table, "cases": cases}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
