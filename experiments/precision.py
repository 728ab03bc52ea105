"""A factor of a half per layer empties float16 after 24 layers, E5M2 after 16 and E4M3 after 9 (Blake et al. 2023).

python experiments/precision.py             (a few minutes; writes reports/precision)
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import erf
from scipy.stats import t

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.precision import ARRAYS, ARRAYS_SCALED, FORMATS, KEPT, LABELS, LOSS, PLAIN, SCALED, UNIT, draw  # noqa: E402  # noqa: E402
from experiments.networks import chain  # noqa: E402
from experiments.networks.chain import ENDS, HALF  # noqa: E402

GAIN, DEPTH, SLACK, NEAR, SPREAD, LOST = 0.5, 48, 4, 2, 6, 0.01
AFTER = {name: -low for name, (low, _) in ENDS.items()}
RANGES = {name: high - low for name, (low, high) in ENDS.items() if name != "bfloat16"}
CLAIM = f"""A layer is *empty* in a format where more than {HALF:.0%} of its numbers lie below the smallest one that the
format holds. From rms 1 and at a factor of {GAIN:g} per layer the signal is empty after {AFTER["float16"]} layers in
float16, {AFTER["float8_e5m2"]} in E5M2, {AFTER["float8_e4m3"]} in E4M3 and {AFTER["bfloat16"]} in bfloat16, and not one
layer before. A forward pass in the format is exactly 0 at most {SLACK} layers later. The delta is empty where its rms
has come to the smallest number, to {NEAR // 2} layer. The best factor on the loss keeps the delta through
{RANGES["float16"]}, {RANGES["float8_e5m2"]} and {RANGES["float8_e4m3"]} layers at most, the range of the format in
octaves, and through all of these but {SPREAD}; a backward pass in arrays of float16 loses the same layers, to {NEAR}.
With unit scaling no format loses more than {LOST:.0%} of the signal, the delta or the weight gradient of any layer."""
TEXT = f"""A chain of linear layers with orthogonal weights multiplies the length of every vector by its gain, so the
rms is known in each layer, on the way forward and on the way back. What is below the smallest number becomes 0 or that
number: of its size nothing is left. The smallest number is the subnormal one, because float16 and both formats of
eight bits keep those (Micikevicius et al. 2022). Of Gaussian numbers of rms r the share below s is
erf(s / (r √2)); at r = s it is {erf(2**-0.5):.2f}, and at twice that rms {erf(2**-1.5):.2f}, so the median crosses the
smallest number within one layer.

**Two measurements.** Shares are counted on a pass that loses nothing (`activation_below_float16` and so on): sizes are
a mantissa and an exponent. Beside it, the forward pass in the format itself (`gl.measure(..., dtype="float16")`), whose
weights and signals are rounded. There a number halfway to the smallest one is rounded up, and rounding adds noise, so
the signal lives a little longer.

**Loss scaling** (Micikevicius et al. 2018) multiplies the loss by a power of two. The way back is linear: it moves the
delta and the weight gradient of *all* layers by as many octaves, and the signal by none. So the spread over layers
stays, and with it the depth that a format can hold; the signal of layer {{held}} is empty as before. The weight
gradient is a sum of signal times delta, and here of one size in all layers: a factor lifts it as a whole. The best
factor is the largest with which nothing overflows. Of the range the spread of one layer's numbers takes the {SPREAD}
octaves.

**Unit scaling** (Blake et al. 2023) puts a factor beside each product, so that signal, delta and weights begin with a
variance of 1. In a chain that is a gain of 1 per layer with the loss scaled to deltas of rms 1, and this is what is
measured. A factor that the network should have, such as the half here, then stands beside the array and not in it.

**What does not follow.** This is the start of a training, and a chain without skips or norms. A format's digits are
another matter than its range: nothing is said here of rounding errors."""
CAPTIONS = {
    "precision": Caption(
        """At a factor of {gain} per layer signal and delta run out of float16, E5M2 and E4M3; a factor on the loss
        lifts the delta, and a factor of 1 per layer keeps both.""",
        {
            "a–c": "The chain as it is.",
            "d–f": "With the largest power of two on the loss that overflows nothing in float16, of exponent {scale}.",
            "g–i": "With unit scaling.",
        },
        """Sizes of the entries of all {seeds} seeds: median, and bands that hold half and nine tenths of them, no
        uncertainty. Lines across: where each format has no number below (0), and where it ends (∞).""",
        "{deepest} linear layers of {width} units with orthogonal weights, batch {batch}; inputs of rms 1.",
    ),
    "layers": Caption(
        """Half of a layer's numbers are lost where its rms has come to the smallest number, and loss scaling adds the
        octaves above 1.""",
        {
            "a": """Share of the signal below the smallest number of a format. Dots are measured, dashed lines the error
            function of the rms; bars, narrower than the dots, are 95 % intervals.""",
            "b": """Layers through which the delta is not empty. Dots: means of what was measured, with 95 % intervals.
            Crosses: a backward pass in arrays of float16. Bars of grey: the range of the format in octaves, which no
            loss scale passes.""",
        },
        "n = {seeds} seeds.",
        "As in the other figure; (a) is of {deep} layers.",
    ),
}
FIXED = (
    (f"more than {HALF:.0%} of the numbers; {', '.join(map(str, AFTER.values()))} layers", "before the run"),
    (f"{SLACK} layers for the forward pass in a format", "before the run, after a test with float16 and few units"),
    (f"{NEAR // 2} layer for the delta, {SPREAD} octaves, {NEAR} layers, {LOST:.0%}", "before the run"),
    ("width", "before the run; one with four times as many units was cut off for its time, and left no number"),
    (
        "the factor on the loss multiplies in float32",
        "after a run in which it was a number of float16 itself, infinite, and the last row false for that",
    ),
    ("as many outputs as units", "after a small run (`--quick`) in which one output gave all examples one delta"),
)
SAID = Words("Half a layer empties a number format", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the table")


#: Quantities of the table; of those in whole layers the interval is the range over seeds.
BEFORE, THERE = "share of the signal, one layer before", "share of the signal there"
DELTA, ZERO = "layers to the first empty delta, over the octaves", "layers until all is 0, over the octaves"
UNITS = "largest share lost with unit scaling"
WHOLE = (ZERO, ARRAYS, ARRAYS_SCALED)


def measure(quick):
    """A row for each format, quantity and seed; shares of the signal by layer; sizes by layer; and the setting."""
    width, deep, depth, seeds = (16, 32, 24, 3) if quick else (64, 140, DEPTH, 16)
    x, net = chain.inputs(width), chain.linear(deep, width, GAIN)
    ask = {"y": chain.targets(x), "loss": "probe", "seeds": seeds}
    formats = [name for name in FORMATS if AFTER[name] + SLACK < deep]
    columns = [f"{signal}_below_{name}" for signal in ("activation", "delta") for name in formats]
    exact = gl.measure(net, x, columns=[*columns, "log10_delta_rms"], **ask).columns
    begin = exact["log10_delta_rms"][:, deep - 1] / np.log10(2) - np.log2(len(x))  # octaves of the mean loss's delta
    rows = []
    put = lambda name, what, values: rows.extend((name, what, seed, float(v)) for seed, v in enumerate(values))
    for name in formats:
        shares, back = exact[f"activation_below_{name}"], exact[f"delta_below_{name}"][:, deep - 1 :: -1]
        put(name, BEFORE, shares[:, AFTER[name] - 2])
        put(name, THERE, shares[:, AFTER[name] - 1])
        put(name, DELTA, np.argmax(back > HALF, 1) - (AFTER[name] + begin))
        short = gl.measure(net, x, dtype=name, columns=["log10_activation_rms"], **ask).columns["log10_activation_rms"]
        put(name, ZERO, 1 + np.argmax(np.isneginf(short[:, :deep]), 1) - AFTER[name])
    net, unit, parts, scales, start = chain.linear(depth, width, GAIN), chain.linear(depth, width, 1.0), [], [], {}
    for seed in range(seeds):
        plain, units = (chain.counted(n, x, seed) for n in (net, unit))
        parts += [plain.assign(chain=PLAIN), units.assign(chain=UNIT)]
        bins, unit_bins, start = chain.octaves(plain), chain.octaves(units), -round(begin.mean())
        for name in formats:
            low, high = ENDS[name]
            rows.append((name, UNITS, seed, chain.worst(unit_bins, depth, low, start)))
            if name not in RANGES:
                continue
            shift = chain.loss_scale(bins, depth, high)
            both_ways = [(KEPT, ARRAYS, 0), (SCALED, ARRAYS_SCALED, shift)]
            for counted, real, power in both_ways:
                layers = chain.kept(bins, depth, low, power)
                rows.append((name, counted, seed, layers))
                if name == "float16":
                    rows.append((name, real, seed, chain.kept_in_float16(net, x, seed, power) - layers))
            scales += [shift] if name == "float16" else []
    names = ["chain", "batch", "signal", "layer", "bin", "left", "right"]
    sizes = pd.concat(parts).round(5).groupby(names, dropna=False, as_index=False)["count"].sum()
    table = pd.DataFrame(rows, columns=["format", "what", "seed", "value"])
    shares = [(name, layer, *mean_of(exact[f"activation_below_{name}"][:, layer - 1]))
              for name in formats for layer in range(1, deep + 1)]  # fmt: skip
    curves = pd.DataFrame(shares, columns=["format", "layer", "mean", "low", "high"])
    ends = curves["format"].map(lambda name: float(ENDS[name][0]))
    curves["law"] = erf(2.0**ends / GAIN ** curves["layer"].astype(float) / np.sqrt(2))
    shifts = pd.DataFrame([(PLAIN, 0), (LOSS, min(scales)), (UNIT, start)], columns=["way", "shift"])
    setting = {"gain": GAIN, "width": width, "deep": deep, "deepest": depth, "batch": len(x), "seeds": seeds}
    return {"shares": curves, "sizes": sizes, "shifts": shifts}, table, setting


def mean_of(values):
    """Mean and its 95 % interval."""
    values = np.asarray(values, float)
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half


def judge(table, depth):
    """A row for each format and quantity, with its interval, its lines and whether the claim is true of it."""
    rows = []
    for (name, what), values in table.groupby(["format", "what"], sort=False)["value"]:
        middle, low, high = mean_of(values)
        if what in WHOLE:
            low, high = values.min(), values.max()
        octaves = RANGES.get(name, np.inf)
        least, most = {
            BEFORE: (0, HALF), THERE: (HALF, 1), DELTA: (-NEAR / 2, NEAR / 2), ZERO: (0, SLACK), UNITS: (0, LOST),
            SCALED: (min(octaves, depth) - SPREAD, octaves), ARRAYS: (-NEAR, NEAR), ARRAYS_SCALED: (-NEAR, NEAR),
        }.get(what, (np.nan, np.nan))  # fmt: skip
        on = 1e-9  # whole numbers may lie on a line
        claim = None if what == KEPT else both(above(low, high, least - on), below(low, high, most + on))
        rows.append((name, what, middle, low, high, least, most, claim))
    return pd.DataFrame(rows, columns=["format", "what", "value", "low", "high", "least", "most", "claim"])


def show(tables):
    """The table of the page, the rows nearest to a line of the claim first."""
    table = tables["cases"][lambda rows: rows["least"].notna()]
    cells = {
        "format": table["format"].map(LABELS), "quantity": table["what"],
        "value": [f"{r.value:.4g} [{r.low:.4g}, {r.high:.4g}]" for r in table.itertuples()],
        "line": [f"{r.least:g} to {r.most:g}" for r in table.itertuples()],
        "claim": [answered(None if pd.isna(claim) else bool(claim)) for claim in table["claim"]],
        "margin": [margin(r.low, r.high, r.least, r.most) for r in table.itertuples()],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("format")


PAGE = Experiment("precision", SAID, draw, show, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    tables, seeds, setting = measure(asked.quick)
    table = judge(seeds, setting["deepest"])
    tried = table[table["what"] != KEPT]
    finding = Finding.of({f"{LABELS[r.format]}: {r.what}": r.claim for r in tried.itertuples()})
    numbers = {"scale": int(tables["shifts"]["shift"][1]), "held": AFTER["float16"]}
    PAGE.publish(asked.out, {"cases": table, **tables}, finding=finding, setting=setting, numbers=numbers)


if __name__ == "__main__":
    main()
