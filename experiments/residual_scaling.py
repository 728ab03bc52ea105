"""A skip alone explodes: the gradient over residual networks by the scale of their branches (Zhang et al. 2019).

python experiments/residual_scaling.py             (a few minutes; writes reports/residual_scaling)
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, both

NEAR, BOUND = 0.05, 3.0
PLAIN, ROOT, INVERSE, LEARNED = SCALES = "1", "1/sqrt(L)", "1/L", "learned"
CLAIM = f"""In residual ReLU networks at initialisation the mean squared gradient on the stream doubles per block (to
{NEAR:.0%}), so it is exponential in the depth L, where branches are not scaled; with a scale of 1/√L or 1/L it grows
less than {BOUND:g}-fold over all blocks at every depth."""
TEXT = f"""A block is x + a F(x), F one or two times (ReLU, weight) with He weights. The skip hands the gradient on as
it is, the branch adds a² times as much: 1 + a² per block in the mean square (`gl.theory.residual_factor`), however
many weights the branch has. So a skip keeps gradients from vanishing, not from exploding: 2^L for a = 1 (Hanin &
Rolnick 2018; Zhang, Dauphin & Ma 2019), less than e for a = 1/√L, about 1 for a = 1/L, exactly 1 for a = 0
(Bachlechner et al. 2020; De & Smith 2020), where a block is the identity: that is so by construction, shown, and no
case of the claim. The bound holds by the law too, as (1 + 1/L)^L < e; what is tried is that networks of this width
obey it. The law is one of the mean of squares over initialisations, which rare networks rule where they differ much;
the growth here is that mean as a lognormal has it, from mean + variance/2 of ln |δ|², with Cox's interval. Both lines,
{NEAR:.0%} and {BOUND:g}-fold, were fixed before the run, after a first look at a = 1 and 1/√L; depths and seeds were
chosen after a smaller run, too small for either line. Networks are not trained here."""
CAPTION = """Residual ReLU networks of width {width} on {data}, n = {seeds} seeds, loss ⟨u, logits⟩ with a random u for
each example. Left: the deepest ones, two weights a branch; lines are geometric means over seeds, bands their 95 %
t-interval. Right: growth over all blocks, bars are 95 % intervals (Cox), open markers branches of one weight, full of
two; dashed the law, (1 + a²)^(L−1), grey what the claim says is empty. Unscaled networks are far above it."""
SAID = Words("A skip alone explodes", CLAIM, TEXT, {"residual_scaling": Caption(CAPTION)})


def measure(quick):
    """The sweep, and its frame."""
    sweep = gl.Sweep(
        architecture="resnet", activation="relu", init="he_normal", branch_scale=(1, *SCALES[1:]), branch_layers=(1, 2),
        depth=(4, 8) if quick else (8, 16, 32, 64), width=32 if quick else 128, loss="probe",
        batch=8 if quick else 16, seeds=3 if quick else 20, columns=("log10_delta_rms",),
    )  # fmt: skip
    return sweep, gl.run(sweep, progress=False)


def growth(logs):
    """Mean of a lognormal, from samples of ln: its ln, and Cox's 95 % interval."""
    n, variance = len(logs), np.var(logs, ddof=1)
    middle = np.mean(logs) + variance / 2
    half = t.ppf(0.975, n - 1) * np.sqrt(variance / n + variance**2 / (2 * (n - 1)))
    return middle, middle - half, middle + half


def strength(scale, depth):
    """The factor a on the branches."""
    return {PLAIN: 1.0, ROOT: depth**-0.5, INVERSE: 1 / depth, LEARNED: 0.0}[scale]


def judge(frame):
    """A row for each network: ln of its growth with the interval, the law, and whether the claim is true of it."""
    rows, names = [], ["branch_scale", "branch_layers", "depth"]
    ends = frame[(frame["layer"] == 1) | (frame["layer"] == frame["depth"])]
    for (scale, layers, depth), network in ends.groupby(names, sort=False):
        deltas = network.pivot(index="seed", columns="layer", values="log10_delta_rms")
        logs = 2 * np.log(10) * (deltas[1] - deltas[depth]).to_numpy()
        ln, low, high = growth(logs)
        per_block = np.exp(np.array([low, high]) / (depth - 1))
        claim = below(low, high, np.log(BOUND))
        if scale == PLAIN:
            claim = both(above(*per_block, 2 * (1 - NEAR)), below(*per_block, 2 * (1 + NEAR)))
        elif scale == LEARNED:
            claim = bool(np.all(logs == 0))
        law = (depth - 1) * np.log(gl.theory.residual_factor(strength(scale, depth)))
        rows.append((scale, layers, depth, ln, low, high, law, claim))
    table = pd.DataFrame(rows, columns=[*names, "ln_growth", "low", "high", "law", "claim"])
    place = lambda column: column.map(SCALES.index) if column.name == "branch_scale" else column
    return table.sort_values(names, key=place, ignore_index=True)


def built(r):
    """Whether what the claim says of a network is so by construction: a block whose branch counts nothing."""
    return r.branch_scale == LEARNED and bool(r.claim)


def cases(table):
    """The networks that could contradict the claim, and whether it is true of them."""
    tried = [r for r in table.itertuples() if not built(r)]
    return {f"a = {r.branch_scale}, weights {r.branch_layers}, L = {r.depth}": r.claim for r in tried}


def profiles(frame):
    """The mean squared gradient over that at the last block, ln with Cox's interval, in the deepest networks."""
    rows, depth = [], frame["depth"].max()
    deep = frame[(frame["branch_layers"] == 2) & (frame["depth"] == depth)]
    for scale, network in deep.groupby("branch_scale", sort=False):
        deltas = network.pivot(index="seed", columns="layer", values="log10_delta_rms")
        for block in range(1, depth + 1):
            logs = 2 * np.log(10) * (deltas[block] - deltas[depth]).to_numpy()
            theory = (depth - block) * np.log(gl.theory.residual_factor(strength(scale, depth)))
            rows.append((scale, block, *growth(logs), theory))
    return pd.DataFrame(rows, columns=["branch_scale", "block", "ln_growth", "low", "high", "theory"])


def draw(lines, table):
    """The profiles, and the growth of the bounded networks against depth."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    colours = dict(zip(SCALES, plt.rcParams["axes.prop_cycle"].by_key()["color"], strict=False))
    labels = {PLAIN: "a = 1", ROOT: "a = 1/√L", INVERSE: "a = 1/L", LEARNED: "a = 0, learned"}
    for scale in SCALES:
        line = lines[lines["branch_scale"] == scale]
        left.plot(line["layer"], line["mean"], color=colours[scale], label=labels[scale])
        left.fill_between(line["layer"], line["low"], line["high"], color=colours[scale], alpha=0.3, linewidth=0)
        if scale == PLAIN:
            continue
        for layers, face in ((1, "white"), (2, colours[scale])):
            rows = table[(table["branch_scale"] == scale) & (table["branch_layers"] == layers)]
            mean, low, high = (np.exp(rows[c]) for c in ("ln_growth", "low", "high"))
            style = {"fmt": "o", "ms": 4, "mfc": face, "elinewidth": 0.8, "color": colours[scale]}
            right.errorbar(rows["depth"] * (0.97 if layers == 1 else 1.03), mean, [mean - low, high - mean], **style)
        right.plot(rows["depth"], np.exp(rows["law"]), "--", color=colours[scale], lw=0.8, zorder=0)
    right.axhspan(BOUND, 4, color="0.88", zorder=0)
    right.text(0.5, BOUND + 0.1, "empty by the claim", fontsize=7, ha="center", transform=right.get_yaxis_transform())
    depths = sorted(table["depth"].unique())
    right.set(xscale="log", xlabel="depth L (blocks)", ylabel="growth of the mean squared gradient", ylim=(0.8, 3.3))
    right.set_xticks(depths, [str(d) for d in depths])
    right.minorticks_off()
    left.set(xlabel="block (1 = next to the input)", ylabel="rms gradient over that at the last block")
    gl.plots.log10_axis(left)
    left.legend(fontsize=7, frameon=False)
    for axes, title in ((left, f"Profiles, L = {depths[-1]}"), (right, "Scaled branches")):
        axes.set_title(title, fontsize=10)
    return figure


def shown(table):
    """The table of the page."""
    factors = np.exp(table[["ln_growth", "low", "high"]].div(table["depth"] - 1, axis=0))
    log10 = table[["ln_growth", "low", "high", "law"]] / np.log(10)
    cells = {
        "a": table["branch_scale"], "weights": table["branch_layers"].astype(int), "L": table["depth"],
        "factor per block": [f"{r.ln_growth:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in factors.itertuples()],
        "log10 growth": [f"{r.ln_growth:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in log10.itertuples()],
        "law": log10["law"].map("{:.3f}".format),
        "claim": ["by construction" if built(r) else "open" if r.claim is None else str(bool(r.claim)).lower()
                  for r in table.itertuples()],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("a")


PAGE = Experiment(
    "residual_scaling",
    SAID,
    lambda t: {"residual_scaling": draw(t["profiles"], t["networks"])},
    lambda t: shown(t["networks"]),
)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, frame = measure(asked.quick)
    table, lines = judge(frame), profiles(frame)
    finding = Finding.of(cases(table))
    setting = {"data": sweep.data, "width": sweep.width[0], "batch": sweep.batch, "loss": sweep.loss}
    setting |= {"seeds": len(sweep.seed_numbers), "init": sweep.init[0], "dtype": sweep.dtype}
    PAGE.publish(asked.out, {"profiles": lines, "networks": table}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
