"""A sigmoid network decays or saturates (Glorot & Bengio 2010): no scale of the weights avoids both.

python experiments/saturation.py            (a quarter of a minute; writes reports/saturation)
python experiments/saturation.py --quick --out scratch/saturation
"""

import math

import matplotlib
import matplotlib.pyplot as plt

import gradlab as gl
from gradlab.measurement.stats import SATURATION
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, either
from gradlab.reporting.words import listed

RATE, SATURATED = 0.9, 0.25
#: Standard deviations of the weights times the root of the fan-in: of the first look, and those added afterwards.
LOOKED, ADDED = (1, 2, 4, 8, 16), (3**-0.5, 6, 12)
BEYOND = math.log((1 - SATURATION) / SATURATION)
CLAIM = f"""At no scale of its weights does a sigmoid network without biases, at initialisation, both keep its gradient
and its units unsaturated: either the delta shrinks to less than {RATE} per layer toward the input, or more than
{SATURATED:.0%} of the units are saturated."""
TEXT = f"""The slope of the sigmoid is at most 1/4, so a layer multiplies the delta by about σ_w/4 at most: with the
standard initialisation of 1986–2010 (σ_w = 1/√3) and with Xavier's (σ_w = 1) hardly any unit is saturated, and the
gradient decays because of the slope alone. Weights large enough to make up for the slope push the preactivations
beyond ±{BEYOND:.1f}, where a unit is within {SATURATION:.0%} of a limit. What Glorot & Bengio saw, the last hidden
layer saturating *during* training, is not measured here: this is initialisation. The two lines, {RATE} and
{SATURATED:.0%}, are ours, drawn after a first look at σ_w = {listed(f"{s:.2g}" for s in LOOKED)};
{listed(f"{s:.2g}" for s in ADDED)} were added afterwards."""
CAPTION = """Sigmoid networks of width {width} at initialisation on {data}, n = {seeds} seeds. Left and middle: the
deepest ones, lines are means over seeds (of the delta geometric), bands their 95 % t-interval, often narrower than the
line. Right: all networks, bars are 95 % t-intervals over seeds; the grey corner is what the claim says is empty.
Numbers at lines and points are σ_w."""
SAID = Words("A sigmoid network decays or saturates", CLAIM, TEXT, {"saturation": Caption(CAPTION)})


def measure(quick):
    """The sweep, and its frame: each σ_w at each depth; the readout is Xavier's throughout."""
    sweep = gl.Sweep(
        depth=(4, 8) if quick else (4, 8, 16, 32),
        width=64 if quick else 128,
        activation="sigmoid",
        init="gaussian",
        readout="xavier_normal",
        sigma_w2=tuple(s**2 for s in sorted(LOOKED + ADDED)),
        seeds=3 if quick else 10,
        batch=64 if quick else 128,
        columns=("log10_delta_rms", "saturated_fraction"),
    )
    return sweep, gl.run(sweep, progress=False)


def judge(frame):
    """A row for each network: rate and saturated fraction with their intervals, and whether the claim is true of it."""
    frame = frame[frame["layer"] <= frame["depth"]]
    saturated = gl.summarise(frame, ["network"], "saturated_fraction").set_index("network")
    rates = gl.rates(frame).set_index("network")
    table = rates[["depth", "rate", "low", "high"]].copy()
    table.insert(0, "sigma_w", rates["sigma_w2"] ** 0.5)
    table[["saturated", "saturated_low", "saturated_high"]] = saturated[["mean", "low", "high"]]
    table["claim"] = [
        either(below(r.low, r.high, RATE), above(r.saturated_low, r.saturated_high, SATURATED))
        for r in table.itertuples()
    ]
    return table.reset_index(drop=True).sort_values(["sigma_w", "depth"], ignore_index=True)


def profiles(frame):
    """Delta and saturation by layer in the deepest networks."""
    deepest = frame[(frame["depth"] == frame["depth"].max()) & (frame["layer"] <= frame["depth"])]
    lines = gl.summarise(deepest, ["sigma_w2", "layer"], ["log10_delta_rms", "saturated_fraction"])
    lines.insert(0, "sigma_w", lines.pop("sigma_w2") ** 0.5)
    return lines


def draw(lines, table):
    """The profiles side by side, and in all networks the rate against the saturated share."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    scales = sorted(table["sigma_w"].unique())
    colours = {s: matplotlib.colormaps["cividis"](0.9 * i / (len(scales) - 1)) for i, s in enumerate(scales)}
    markers = dict(zip(sorted(table["depth"].unique()), "osD^", strict=False))
    for (scale, column), line in lines.groupby(["sigma_w", "column"]):
        axes, end, side = (left, 0, "right") if column == "log10_delta_rms" else (middle, -1, "left")
        axes.plot(line["layer"], line["mean"], color=colours[scale])
        axes.fill_between(line["layer"], line["low"], line["high"], color=colours[scale], alpha=0.3, linewidth=0)
        if axes is left or scale >= 2:
            at, offset = (line["layer"].iloc[end], line["mean"].iloc[end]), (-3 if end == 0 else 3, 0)
            label = f"{scale:.2g}" if axes is left or scale > 2 else "≤ 2"
            axes.annotate(label, at, offset, textcoords="offset points", ha=side, va="center", fontsize=7)
    for row in table.itertuples():
        across = [[row.rate - row.low], [row.high - row.rate]]
        upward = [[row.saturated - row.saturated_low], [row.saturated_high - row.saturated]]
        style = {"color": colours[row.sigma_w], "marker": markers[row.depth], "ms": 4, "elinewidth": 0.8}
        right.errorbar(row.rate, row.saturated, upward, across, **style)
    for row in table[table["depth"] == table["depth"].min()].itertuples():
        at, side = (row.rate, row.saturated), "left" if 1 <= row.sigma_w <= 2 else "right"
        offset = (-5 if row.sigma_w > 2 else 0, 5)
        right.annotate(f"{row.sigma_w:.2g}", at, offset, textcoords="offset points", ha=side, fontsize=7)
    right.fill_between([RATE, 10], 0, SATURATED, color="0.88", zorder=0)
    right.text(RATE + 0.03, SATURATED / 2, "gradient kept,\nunits unsaturated:\nno network", fontsize=7, va="center")
    for depth, marker in markers.items():
        right.plot([], [], marker, color="0.4", ms=4, label=f"depth {depth}")
    right.legend(fontsize=7, frameon=False, loc="upper left")
    gl.plots.log10_axis(left)
    layers = "layer (1 = next to the input)"
    left.set(xlabel=layers, ylabel="rms delta, ∂L/∂z", xlim=(-0.12 * lines["layer"].max(), None))
    middle.set(
        xlabel=layers, ylabel="saturated share of units", ylim=(-0.03, 1), xlim=(None, 1.15 * lines["layer"].max())
    )
    right.set(xlabel="rate: factor of the rms delta per layer", ylabel="saturated share of units", ylim=(-0.03, 1))
    right.set(xlim=(0, max(1.6, 1.1 * table["high"].max())))
    titles = (f"Decay, depth {lines['layer'].max()}", f"Saturation, depth {lines['layer'].max()}", "All depths")
    for axes, title in zip((left, middle, right), titles, strict=True):
        axes.set_title(title, fontsize=10)
    return figure


def shown(table):
    """The table of the page."""
    cells = {
        "σ_w": table["sigma_w"].map("{:.3g}".format),
        "depth": table["depth"],
        "rate": [f"{r.rate:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in table.itertuples()],
        "σ_w/4": (table["sigma_w"] / 4).map("{:.3f}".format),
        "saturated": [f"{r.saturated:.3f} [{r.saturated_low:.3f}, {r.saturated_high:.3f}]" for r in table.itertuples()],
        "claim": ["open" if r.claim is None else str(bool(r.claim)).lower() for r in table.itertuples()],
    }
    return table.assign(**cells)[list(cells)].set_index("σ_w")


PAGE = Experiment(
    "saturation", SAID, lambda t: {"saturation": draw(t["profiles"], t["networks"])}, lambda t: shown(t["networks"])
)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table, lines = judge(frame), profiles(frame)
    finding = Finding.of({f"σ_w = {r.sigma_w:.2g}, depth {r.depth}": r.claim for r in table.itertuples()})
    setting = {"data": sweep.data, "width": sweep.width[0], "batch": sweep.batch, "loss": sweep.loss}
    setting |= {"seeds": len(sweep.seed_numbers), "dtype": sweep.dtype}
    PAGE.publish(asked.out, {"profiles": lines, "networks": table}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
