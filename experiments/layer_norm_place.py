"""Layer normalisation before or after the sum: what reaches the last block (Xiong et al. 2020).

python experiments/layer_norm_place.py             (a few minutes; writes reports/layer_norm_place)
"""

import matplotlib.pyplot as plt
import numpy as np

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, both

FACTOR, HALF, APART, SHALLOW = 1.2, 0.5, 4.0, 2
CLAIM = f"""In transformers at initialisation, whose readout is the mean over positions, from {SHALLOW} blocks to each
other depth, the last block's delta stays within a factor of {FACTOR:g} with the normalisation after the sum ("post"),
and with it before the branch ("pre") it falls in proportion to 1/rms of the stream there, within the same factor. The
gradient of all weights of the last block falls below {HALF:g} of that at {SHALLOW} blocks in the deepest pre-LN
network, and not below 1/{FACTOR:g} in the deepest post-LN one. Against two popular sayings, in the deepest networks a
pre-LN network has more than {APART:g} times the delta at its first block than at its last, and a post-LN network more
than half of it."""
TEXT = f"""The delta is the gradient on the residual stream at a block's output, with post-LN before the block's last
normalisation. Xiong et al. look at the second weight of the last feed-forward part: with Gaussian weights of n Var =
1, ReLU and feed-forward blocks alone the stream's mean square after L pre-LN blocks is 1 + L/2, the last normalisation
divides the gradient by its root, and that weight's gradient falls as (1 + L/2)^−½, while with post-LN no depth enters.
With attention the stream takes up more: an averaging over positions hands on what they have in common, up to 1 per
block, so that (1 + L/2)^−½ need not hold; what remains is the step of the argument that does not count, 1/rms of the
stream, and the delta shows it. The table has ratios to {SHALLOW} blocks, but for its last column.

The gradient of *all weights* of a block, which is what a row of the frame holds, is a sum over positions, in which
what they have in common adds up. Here it lies near (1 + L/2)^−½ again, closer than the delta does; the argument does
not explain that, for both its stream and its sum differ. That post-LN halves the gradient in every block is what
counting its normalisation's Jacobian alone gives; the branch brings back what it takes, so that the delta on the
stream does not vanish. That is said of the stream alone, and of a cotangent that all positions share. It is not said
of each weight: a row pools all weights of a block, and those of queries and keys, which see how positions *differ*,
can lose their gradient with depth while the pooled norm keeps its size; nor is it measured for a loss at each
position. Xiong et al. explain the need for warm-up by last blocks whose gradient does not shrink with depth; training
is not measured here. The lines of the claim were drawn after a first look at eight seeds."""
CAPTION = """Transformers of width {width} and {heads} heads, ReLU, n Var = 1, at initialisation on {data}, n = {seeds}
seeds. Points are geometric means over seeds, bars and bands their 95 % t-interval; of ratios within a seed left and
middle. Dashed: 1/rms of the measured stream of pre-LN; dotted: (1 + L/2)^−½, the law without attention; both from 1 at
the fewest blocks. Right: the deepest networks."""
SAID = Words("Layer normalisation before or after the sum", CLAIM, TEXT, {"layer_norm_place": Caption(CAPTION)})
DELTA, WEIGHTS, STREAM = "log10_delta_rms", "log10_weight_grad_norm", "log10_preactivation_rms"
NORMS = ("pre", "post")


def measure(quick):
    """The sweep, and its frame."""
    sweep = gl.Sweep(
        architecture="transformer", depth=(SHALLOW, *((4, 8) if quick else (4, 8, 16, 32))), width=16 if quick else 64,
        activation="relu", init="lecun_normal", norm_position=NORMS, seeds=3 if quick else 16, batch=8 if quick else 32,
        columns=(DELTA, WEIGHTS, STREAM),
    )  # fmt: skip
    return sweep, gl.run(sweep, progress=False)


def named(frame):
    """The hidden layers, with the place of the norm as the literature calls it."""
    norm = frame["norm_position"].astype(str).map({"before": "pre", "after": "post"})
    return frame.assign(norm=norm)[lambda f: (f["layer"] >= 1) & (f["layer"] <= f["depth"])]


def ratios(frame):
    """log10 ratios within a seed: of the last block to that of the shallowest network, of the first to the last."""
    frame = named(frame)
    keys = ["norm", "seed", "depth"]
    ends = {name: part.set_index(keys)[[DELTA, WEIGHTS, STREAM]] for name, part in (
        ("first", frame[frame["layer"] == 1]), ("last", frame[frame["layer"] == frame["depth"]])
    )}  # fmt: skip
    last = ends["last"]
    change = last - last.xs(frame["depth"].min(), level="depth")
    change["product"] = change[DELTA] + change[STREAM]
    change["first_to_last"] = ends["first"][DELTA] - last[DELTA]
    return gl.summarise(change.reset_index(), ["norm", "depth"], list(change.columns))


def judge(table):
    """Case in words -> whether the claim is true of it, from the intervals of `ratios`."""
    rows = {(r.norm, r.depth, r.column): (r.low, r.high) for r in table.itertuples()}
    depths = sorted(table["depth"].unique())
    deepest, line = depths[-1], np.log10(FACTOR)
    near = lambda interval: both(above(*interval, -line), below(*interval, line))
    answers = {f"delta of post-LN, depth {d}": near(rows["post", d, DELTA]) for d in depths[1:]}
    answers |= {f"delta times stream of pre-LN, depth {d}": near(rows["pre", d, "product"]) for d in depths[1:]}
    answers["weights of pre-LN"] = below(*rows["pre", deepest, WEIGHTS], np.log10(HALF))
    answers["weights of post-LN"] = above(*rows["post", deepest, WEIGHTS], -line)
    answers["first block of pre-LN"] = above(*rows["pre", deepest, "first_to_last"], np.log10(APART))
    answers["first block of post-LN"] = above(*rows["post", deepest, "first_to_last"], np.log10(HALF))
    return answers


def draw(table, lines):
    """The last block's delta and weights against depth, and the deltas of all blocks of the deepest networks."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
    depths = np.array(sorted(table["depth"].unique()))
    stream = table[(table["norm"] == "pre") & (table["column"] == STREAM)]
    for axes, column in ((left, DELTA), (middle, WEIGHTS)):
        for i, norm in enumerate(NORMS):
            rows = table[(table["norm"] == norm) & (table["column"] == column)]
            bars = 10 ** rows["mean"] - 10 ** rows["low"], 10 ** rows["high"] - 10 ** rows["mean"]
            axes.errorbar(rows["depth"], 10 ** rows["mean"], bars, fmt="os"[i], ms=4, color=f"C{i}", label=f"{norm}-LN")
        axes.plot(stream["depth"], 10 ** -stream["mean"], "--", color="0.3", label="1/rms of the pre-LN stream")
        axes.plot(depths, ((1 + depths / 2) / (1 + depths[0] / 2)) ** -0.5, ":", color="0.3", label="(1 + L/2)^−½")
        axes.set(xscale="log", yscale="log", xlabel="depth L (blocks)", ylim=(0.2, 2.2))
        axes.set_xticks(depths, [str(d) for d in depths])
        axes.set_yticks([0.25, 0.5, 1, 2], ["0.25", "0.5", "1", "2"])
        axes.minorticks_off()
    for i, norm in enumerate(NORMS):
        line = lines[lines["norm"] == norm]
        right.plot(line["layer"], line["mean"], color=f"C{i}", label=f"{norm}-LN")
        right.fill_between(line["layer"], line["low"], line["high"], color=f"C{i}", alpha=0.3, linewidth=0)
    gl.plots.log10_axis(right)
    right.set(xlabel="block (1 = next to the input)", ylabel="rms delta on the stream")
    titles = ("Last block: delta", "Last block: gradient of all weights", f"Depth {depths[-1]}: delta of every block")
    for axes, title in zip((left, middle, right), titles, strict=True):
        axes.set_title(title, fontsize=10)
    left.set_ylabel("ratio to the network of 2 blocks  [1]")
    left.legend(fontsize=7, frameon=False)
    return figure


def shown(table):
    """The table of the page: ratios to 2 blocks but for the last column, with their intervals."""
    text = lambda r: f"{10**r.mean:.3f} [{10**r.low:.3f}, {10**r.high:.3f}]"
    words = {DELTA: "delta", STREAM: "stream", "product": "delta × stream", WEIGHTS: "all weights"}
    words["first_to_last"] = "delta, first block to last"
    cells = table.assign(value=[text(r) for r in table.itertuples()], column=table["column"].map(words))
    wide = cells.pivot(index=["norm", "depth"], columns="column", values="value")[list(words.values())].reset_index()
    law = ((1 + wide["depth"] / 2) / (1 + wide["depth"].min() / 2)) ** -0.5
    wide.insert(2, "(1 + L/2)^−½", [f"{v:.3f}" if n == "pre" else "" for v, n in zip(law, wide["norm"], strict=True)])
    return wide.rename_axis(columns=None).set_index("norm").loc[list(NORMS)]


PAGE = Experiment(
    "layer_norm_place",
    SAID,
    lambda t: {"layer_norm_place": draw(t["ratios"], t["blocks"])},
    lambda t: shown(t["ratios"]),
)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table, blocks = ratios(frame), named(frame)
    lines = gl.summarise(blocks[blocks["depth"] == blocks["depth"].max()], ["norm", "layer"], DELTA)
    finding = Finding.of(judge(table))
    setting = {"data": sweep.data, "width": sweep.width[0], "heads": sweep.heads[0], "init": sweep.init[0]}
    setting |= {"batch": sweep.batch, "seeds": len(sweep.seed_numbers), "loss": sweep.loss, "dtype": sweep.dtype}
    PAGE.publish(asked.out, {"ratios": table, "blocks": lines}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
