"""Which scale of residual branches keeps the best rate over depth (Bordelon et al. 2023, Dey et al. 2025)?

python experiments/depth_transfer.py             (about ten minutes; writes reports/depth_transfer)
"""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from scipy.special import stdtrit

import gradlab as gl
from gradlab.data import load
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.depth_transfer import INVERSE, LABELS, SCALES, draw  # noqa: E402

LINE = 0.15
WIDTH, BATCH, EXAMPLES = 32, 64, 1024
CLAIM = f"""In residual networks that Adam trains, the best learning rate stays where it is over the number L of
blocks only if branches are scaled by 1/L: it drifts by less than {LINE:g} octaves for each doubling of L. Unscaled,
and with 1/√L, it falls by more than {LINE:g} octaves for each doubling (95 % intervals over seeds wholly within)."""
TEXT = """A block is x + a F(x). F is a layer norm, ReLU and one weight; a last norm stands before the readout. An
octave is a factor of two.

**What is expected.** An entry of a weight moves by about one learning rate η in each step of Adam, whatever its
gradient. A block so changes the stream by about a η, and the changes of L blocks add up, because all of them lower
the same loss: by a L η. With a = 1/L that is the same at every depth. With a = 1/√L it grows as √L, and the best rate
should fall by half an octave for each doubling. Without a scale the stream itself grows as √L, and the norms behind
it divide by that, so that half an octave is expected again.

**What is seen.** Without a scale and with 1/√L the best rate falls, but by less than that half octave: between the
smallest depths it moves less than between the largest.

**Where the papers stand.** Dey et al. 2025 find 1/L to be the only scale that both keeps the best rate of
transformers, with AdamW, and lets every layer learn more than its linear part. Bordelon et al. 2023 find that 1/√L
keeps that of stochastic gradient descent: there the update shrinks with the gradient, which has the factor a too, so
that L blocks change the stream by L a² η. That case is not tried here.

**How it is measured.** The best rate of a seed is the lowest point of a parabola through the three lowest losses on a
grid of whole octaves. The loss is that of all training examples behind the last step. The drift is the slope of log2
of the best rate against log2 of L."""
CAPTIONS = {
    "depth_transfer": Caption(
        """For each doubling of the depth the best rate drifts by {inverse:+.2f} octaves with branches scaled by 1/L, by
        {root:+.2f} with 1/√L and by {plain:+.2f} unscaled.""",
        {
            "a": "Unscaled branches: loss behind the last step against the learning rate, mean over seeds, by depth.",
            "b": "The same with 1/√L.",
            "c": "The same with 1/L.",
            "d": "The best rate of a seed, geometric mean, against depth; the straight lines are the mean drifts.",
        },
        "Bars are 95 % t-intervals over n = {seeds} seeds. Triangles in (a) to (c) stand at the mean best rates.",
        """Residual ReLU networks of width {width} with layer norm in the branches on {examples} digits, batch {batch},
        {steps} steps of Adam, cross-entropy.""",
    )
}
FIXED = (
    (f"{LINE:g} octaves for each doubling", "before the run: less than a third of the smallest drift that is expected"),
    ("depths and steps", "before the run, by what two cores do in minutes"),
    ("number of seeds", "after a run of eight, which left one case open"),
    ("the grid of rates", "after a quick run of ten steps, whose best rates stood at its edge"),
)
SAID = Words("The best rate stays over depth with branches scaled by 1/L", CLAIM, TEXT, CAPTIONS, FIXED,
             case="a scale of the branches")  # fmt: skip


@functools.partial(jax.jit, static_argnums=(0, 3))
def trained(net, params, rates, steps, data, order):
    """The loss behind the last step, for each seed (parameters, order of the examples) and each rate."""
    x, y = data
    tx = optax.scale_by_adam()

    def one(params, order, rate):
        def step(carry, rows):
            params, state = carry
            grads = gl.backprop(net, params, x[rows], y[rows])[1]
            update, state = tx.update(grads, state, params)
            return (jax.tree.map(lambda w, u: w - rate * u, params, update), state), None

        (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), order, length=steps)
        return gl.backprop(net, params, x, y)[0]

    return jax.vmap(lambda params, order: jax.vmap(lambda rate: one(params, order, rate))(rates))(params, order)


def measure(quick):
    """Losses by scale, depth, rate and seed, and the setting."""
    depths, octaves = ((2, 8), (-8, -6, -4)) if quick else ((2, 8, 32, 128), range(-11, -1))
    steps, seeds = (10, 3) if quick else (40, 16)
    digits = load("digits", batch=EXAMPLES)
    data = jnp.asarray(digits.x[:EXAMPLES]), jnp.asarray(digits.y[:EXAMPLES])
    draw_rows = lambda seed: np.random.default_rng(seed).permuted(np.tile(np.arange(EXAMPLES), (steps, 1)), axis=1)
    order = jnp.asarray(np.stack([draw_rows(seed)[:, :BATCH] for seed in range(seeds)]))
    rates, rows = jnp.asarray([2.0**o for o in octaves], "float32"), []
    for depth in depths:
        for scale in SCALES:
            net = gl.ResNet(depth=depth, width=WIDTH, branch_scale=scale, branch_layers=1, norm="layer")
            params = [net.init_params(seed, *data) for seed in range(seeds)]
            losses = trained(net, jax.tree.map(lambda *v: jnp.stack(v), *params), rates, steps, data, order)
            rows += [
                (str(scale), depth, seed, octave, float(losses[seed, i]))
                for seed in range(seeds) for i, octave in enumerate(octaves)
            ]  # fmt: skip
    setting = {"width": WIDTH, "batch": BATCH, "examples": EXAMPLES, "steps": steps, "seeds": seeds}
    return pd.DataFrame(rows, columns=["scale", "depth", "seed", "octave", "loss"]), setting


def lowest(octaves, losses):
    """log2 of the best rate: the lowest point of the parabola through the lowest loss and its neighbours."""
    losses = np.where(np.isfinite(losses), losses, np.inf)
    i = int(np.argmin(losses))
    if i in (0, len(losses) - 1) or not np.isfinite(losses[i - 1 : i + 2]).all():
        return float(octaves[i])
    before, here, behind = losses[i - 1 : i + 2]
    return float(octaves[i] + 0.5 * (before - behind) / (before - 2 * here + behind))


def best_rates(losses):
    """log2 of the best rate of each seed."""
    groups = losses.sort_values("octave").groupby(["scale", "depth", "seed"], sort=False)[["octave", "loss"]]
    best = groups.apply(lambda g: lowest(g["octave"].to_numpy(), g["loss"].to_numpy()))
    return best.rename("best").reset_index()


def judge(best):
    """A row for each scale: the drift for each doubling with its interval, and whether the claim is true of it."""
    rows = []
    for scale in map(str, SCALES):
        table = best[best["scale"] == scale].pivot(index="seed", columns="depth", values="best")
        slopes = np.polyfit(np.log2(table.columns.to_numpy(float)), table.to_numpy().T, 1)[0]
        n, mean = len(slopes), float(slopes.mean())
        half = float(stdtrit(n - 1, 0.975) * slopes.std(ddof=1) / n**0.5)
        low, high = mean - half, mean + half
        claim = both(above(low, high, -LINE), below(low, high, LINE)) if scale == INVERSE else below(low, high, -LINE)
        rows.append((scale, mean, low, high, n, claim))
    return pd.DataFrame(rows, columns=["scale", "drift", "low", "high", "n", "claim"])


def show(tables):
    """The table of the page: a row for each scale."""
    table, best = tables["drifts"], tables["best"]
    cells = {"scale": table["scale"].map(LABELS)}
    for depth, rows in best.groupby("depth"):
        middle = rows.groupby("scale")["best"].mean()
        cells[f"best rate, L = {depth}"] = [f"{2 ** middle[scale]:.2g}" for scale in table["scale"]]
    lines = [(-LINE, LINE) if scale == INVERSE else (-LINE,) for scale in table["scale"]]
    return pd.DataFrame({
        **cells,
        "octaves for each doubling": [f"{r.drift:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in table.itertuples()],
        "claim": [answered(r.claim) for r in table.itertuples()],
        "margin": [margin(r.low, r.high, *own)
                   for r, own in zip(table.itertuples(), lines, strict=True)],
    }).set_index("scale")  # fmt: skip


def tell(tables):
    """The drifts."""
    drift = tables["drifts"].set_index("scale")["drift"]
    return {"plain": drift["1.0"], "root": drift["1/sqrt(L)"], "inverse": drift[INVERSE]}


PAGE = Experiment("depth_transfer", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    losses, setting = measure(asked.quick)
    best = best_rates(losses)
    table = judge(best)
    finding = Finding.of({f"branches {LABELS[r.scale]}": r.claim for r in table.itertuples()})
    PAGE.publish(asked.out, {"drifts": table, "best": best, "losses": losses}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
