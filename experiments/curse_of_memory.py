"""The curse of memory: how much the state of a linear recurrence moves with its eigenvalue (Zucchet & Orvieto 2024).

python experiments/curse_of_memory.py             (about 2 minutes; writes reports/curse_of_memory)
"""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.stats import t

import gradlab as gl
from gradlab.core.linear_recurrent import lru
from gradlab.core.scaled import scaled
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.curse_of_memory import CASES, draw  # noqa: E402

CLOSE, BOUND, RADII = 0.1, 0.25, (0.9, 0.99, 0.999)
CLAIM = f"""With white inputs the mean square of ∂h/∂λ, measured by the backward pass of a linear recurrent unit, is
(1 + λ²)/(1 − λ²)³ to {CLOSE:.0%}, so it grows without bound as λ nears 1. By ν, with λ = exp(−exp(ν)) and with inputs
times γ = √(1 − λ²), it is below {BOUND * (1 + CLOSE):g} at every λ that was tried. Neither of the two changes does that
alone."""
TEXT = f"""The state is h_t = λ h_(t−1) + γ x_t. Each state is a real number here: the angle is 0.

**The law.** The state stays bounded, and so does the gradient that travels back through it, for |λ| < 1. But a change
of λ adds up along the memory. The state is the sum of γ λ^k x_(t−k), so its derivative is a sum too, and its mean
square follows (`gl.theory.memory_sensitivity`). With γ alone it is 1/(1 − λ²)². By ν alone it still grows as
1/(1 − λ). With both it tends to {BOUND:g}.

**What it means.** Near the best λ the curvature of a squared loss is this mean square. So a step that is right for
short memories is far too long for long ones, though no gradient vanishes or explodes.

**What is tried.** The law is exact for white inputs and infinite time; the claim is that the hand-written chain rule,
in float32, shows it over sequences of finite length. Lines are held against whole intervals. It is no claim about
complex eigenvalues: by the angle the sensitivity grows as r²(1 + r²)/(1 − r²)² even with γ, and nothing here bounds
it."""
CAPTIONS = {
    "curse_of_memory": Caption(
        """By λ itself the sensitivity is {cursed:.2e} at λ = {longest:g}; by ν and with γ it is {bounded:.3f}.""",
        {
            "a": "Mean square of the derivative of the last state against memory 1/(1 − λ).",
            "b": "The same over the law, with the line of the claim.",
        },
        """Means over n = {seeds} seeds with their 95 % t-interval; each seed is the mean over {batch} sequences. Lines:
        the law.""",
        """Linear recurrent units with one input, Gaussian and white with variance 1, and time steps of {memories:g}
        memories 1/(1 − λ), in {dtype}.""",
    ),
}
FIXED = (
    (f"the law to {CLOSE:.0%}; at most {BOUND * (1 + CLOSE):g}", "before the run"),
    ("number of seeds and sequences", "before the run, from the variance of the square of a Gaussian"),
)
SAID = Words("A bounded gradient and an unbounded sensitivity", CLAIM, TEXT, CAPTIONS, FIXED, case="a row of the table")
#: Time steps over 1/(1 - λ): λ^2T is below 1e-8, and what is missing of the sums below 1e-5.
MEMORIES = 10


@functools.cache
def squares_by_nu(radius, normalised):
    """A program: the mean over sequences of the squared derivative of the last state by nu, by the backward pass."""
    layer = lru(1, r_min=radius, r_max=radius, max_phase=0.0, normalised=normalised)
    params, _ = layer.init(jax.random.key(0), (1, 1))
    # the input enters as it is, and the real part of the state leaves as it is
    fed = {"weight": jnp.array([[1.0, 0.0]])}
    params |= {"input": fed, "output": {"weight": jnp.array([[1.0], [0.0]])}, "skip": {"weight": jnp.zeros((1, 1))}}

    @jax.jit
    def mean_square(x):
        y, saved = layer.forward(params, scaled(x, 2))
        read = lambda site: site.gradient["nu"].each.value() if "nu" in site.gradient else None
        each = layer.backward(params, saved, scaled(jnp.ones_like(y.mantissa)), read)[1]["recurrent"]
        return jnp.mean(each**2)

    return mean_square


def sensitivity(radius, normalised, batch, seed):
    """The mean square of one seed, on white inputs."""
    shape = (batch, round(MEMORIES / (1 - radius)), 1)
    return float(squares_by_nu(radius, normalised)(jax.random.normal(jax.random.key(seed), shape)))


def measure(quick):
    """A row for each radius, case and seed."""
    batch, seeds, radii = (64, 3, RADII[:2]) if quick else (512, 10, RADII)
    rows = []
    for radius in radii:
        for seed in range(seeds):
            by_nu = {n: sensitivity(radius, n, batch, 10 * seed + n) for n in (False, True)}
            for case, (parameter, normalised) in CASES.items():
                # the chain rule from nu back to the eigenvalue: dλ/dν = λ ln λ
                slope = radius * np.log(radius) if parameter == "eigenvalue" else 1.0
                rows.append((case, radius, seed, by_nu[normalised] / slope**2))
    frame = pd.DataFrame(rows, columns=["case", "radius", "seed", "square"])
    return frame, {"batch": batch, "seeds": seeds, "memories": MEMORIES, "dtype": "float32"}


def judge(frame):
    """A row for each case and radius: mean with interval, the law, and whether the claim is true of it."""
    rows = []
    for (case, radius), own in frame.groupby(["case", "radius"], sort=False):
        parameter, normalised = CASES[case]
        n, mean = len(own), own["square"].mean()
        half = t.ppf(0.975, n - 1) * own["square"].std() / np.sqrt(n)
        law = float(gl.theory.memory_sensitivity(radius, parameter=parameter, normalised=normalised))
        ratio = (mean - half) / law, (mean + half) / law
        claim = both(above(*ratio, 1 - CLOSE), below(*ratio, 1 + CLOSE))
        if case == list(CASES)[-1]:
            claim = both(claim, below(mean - half, mean + half, BOUND * (1 + CLOSE)))
        rows.append((case, radius, mean, mean - half, mean + half, law, claim))
    table = pd.DataFrame(rows, columns=["case", "radius", "mean", "low", "high", "law", "claim"])
    order = list(CASES)
    return table.sort_values(["case", "radius"], key=lambda c: c.map(order.index) if c.name == "case" else c,
                             ignore_index=True)  # fmt: skip


def findings(table):
    """The rows, and that each change alone still grows with the memory."""
    found = {f"{r.case}, λ = {r.radius}": r.claim for r in table.itertuples()}
    for case in list(CASES)[:-1]:
        own = table[table["case"] == case]
        found[f"{case} grows"] = above(own["low"].iloc[-1], own["high"].iloc[-1], own["high"].iloc[0])
    return found


def show(tables):
    """The table of the page."""
    table = tables["sensitivity"]
    over = table[["mean", "low", "high"]].div(table["law"], axis=0)
    cells = {
        "derivative": table["case"], "λ": table["radius"], "law": table["law"].map("{:.4g}".format),
        "measured": [f"{r.mean:.4g} [{r.low:.4g}, {r.high:.4g}]" for r in table.itertuples()],
        "over the law": [f"{r.mean:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in over.itertuples()],
        "claim": table["claim"].map(answered),
        "margin": [margin(r.low, r.high, 1 - CLOSE, 1 + CLOSE) for r in over.itertuples()],
    }  # fmt: skip
    return pd.DataFrame(cells).set_index("derivative")


def tell(tables):
    """The longest memory, with and without the cure."""
    table = tables["sensitivity"][lambda t: t["radius"] == t["radius"].max()].set_index("case")["mean"]
    names = list(CASES)
    return {"cursed": table[names[0]], "bounded": table[names[-1]], "longest": tables["sensitivity"]["radius"].max()}


PAGE = Experiment("curse_of_memory", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    frame, setting = measure(asked.quick)
    table = judge(frame)
    PAGE.publish(asked.out, {"sensitivity": table}, finding=Finding.of(findings(table)), setting=setting)


if __name__ == "__main__":
    main()
