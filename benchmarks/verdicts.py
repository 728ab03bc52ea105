"""How often verdicts are wrong: a power law that is none or is missed, and one network or sixteen beside the mean.

    python benchmarks/verdicts.py

The first two tables are of single profiles, the noisiest there are: increments of the logarithm that are constant, or
those of a power law of depth, with independent noise of so many decades per layer (0.028 and 0.06 are what ReLU has
at width 300 and 64, 0.15 at width 10). The third is of
He ReLU networks, 64 units by 100 layers, batch of 16, 800 seeds.
"""

import numpy as np

import gradlab as gl
from gradlab.measurement.slope import AICC_MARGIN, LINE, rate
from gradlab.measurement.verdict import judge

DRAWS, MARGINS = 2000, (2.0, AICC_MARGIN)


def shares(increments, margin):
    """Of profiles with these increments: the share beyond a decade, and that of these and called algebraic."""
    profiles = np.pad(np.cumsum(increments, 1), ((0, 0), (1, 0)))
    found = [rate(profile[None]) for profile in profiles]
    beyond = np.array([abs(r.decades.value) > LINE for r in found])
    # what a smaller margin would have let through too
    wins = [r.shape == "algebraic" or (r.aicc > margin and _with(r, p)) for r, p in zip(found, profiles, strict=True)]
    return beyond.mean(), (beyond & np.array(wins)).mean()


def _with(found, profile):
    """Whether the power law runs with the decades and is told from a flat profile, as `rate` asks."""
    return found.shape == "exponential" and found.exponent * (profile[-1] - profile[0]) > 0


def false_power_laws(rng):
    print("| layers | decades | noise | beyond a decade | called algebraic, margin 2 | margin 8 |\n|" + "---|" * 6)
    for layers in (5, 8, 12, 20, 50, 100):
        for decades in (0.0, 0.5, 1.0, 2.0, 5.0):
            for noise in (0.028, 0.06, 0.15):
                steps = decades / (layers - 1) + noise * rng.normal(size=(DRAWS, layers - 1))
                (beyond, usual), (_, ours) = (shares(steps, margin) for margin in MARGINS)
                if usual > 0.01:
                    print(f"| {layers} | {decades:g} | {noise:g} | {beyond:.3f} | {usual:.4f} | {ours:.4f} |")


def true_power_laws(rng):
    print("\n| layers | exponent | noise | of those beyond a decade called algebraic |\n|---|---|---|---|")
    for layers, exponent in ((5, 2.0), (20, 1.0), (50, 1.0), (150, 0.5), (400, 0.5), (1000, 0.5)):
        for noise in (0.028, 0.06):
            law = exponent * np.diff(np.log10(np.arange(1, layers + 1)))
            beyond, ours = shares(law + noise * rng.normal(size=(DRAWS // 4, layers - 1)), AICC_MARGIN)
            print(f"| {layers} | {exponent:g} | {noise:g} | {ours / beyond:.3f} |")


def networks():
    net = gl.MLP(depth=100, width=64, activation="relu", init="he_normal")
    x = np.random.default_rng(1).normal(size=(16, 64)).astype("float32")
    deltas = gl.measure(net, x, loss="probe", seeds=800, columns=["log10_delta_rms"]).columns["log10_delta_rms"][
        :, :100
    ]
    decades = deltas[:, 0] - deltas[:, -1]
    print(f"\nHe ReLU 64 x 100: {decades.mean():.2f} decades in the mean, {decades.std(ddof=1):.2f} standard deviation")
    print("| seeds | " + " | ".join(names := ("steady", "vanishing", "exploding", "algebraic", "undetermined")) + " |")
    print("|" + "---|" * 6)
    for seeds in (1, 4, 16):
        found = [judge(rate(group)).name for group in deltas.reshape(-1, seeds, 100)]
        print(f"| {seeds} | " + " | ".join(f"{100 * found.count(n) / len(found):.0f} %" for n in names) + " |")
    print(f"beyond a decade by themselves: {100 * np.mean(np.abs(decades) > LINE):.0f} % of the networks")


if __name__ == "__main__":
    generator = np.random.default_rng(0)
    false_power_laws(generator)
    true_power_laws(generator)
    networks()
