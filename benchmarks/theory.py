"""What theory costs: the table of one activation, a phase diagram, a prediction, each after its first call.

    python benchmarks/theory.py

The table: fixed points, slopes and depth scales at sigma_w2 = 1/3, 1 and 2 (torch.nn.Linear, Glorot, He), and 1.5
with a bias variance of 0.05. Seconds by the clock, and of CPU time, which other processes do not stretch as much.
"""

import argparse
import itertools

import numpy as np
from in_turn import in_turn

import gradlab as gl
from gradlab.config import ACTIVATIONS
from gradlab.theory import mean_field, phase_diagram, predict

POINTS = ((1 / 3, 0.0), (1.0, 0.0), (2.0, 0.0), (1.5, 0.05))


def seconds(call, runs=1):
    """Median seconds of a call by the clock, and of CPU time."""
    times = in_turn({"": call}, runs, warm_up=0)
    return times.median(""), times.median("", cpu=True)


def table(activation, shift):
    # other numbers each time: expectations over two variables are kept
    return [mean_field(activation, sigma_w2=w * shift, sigma_b2=b) for w, b in POINTS]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100, help="of each axis of the phase diagram")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print("| activation | table, first s | then, clock s | then, CPU s | phase diagram, clock s | CPU s |")
    print("|---|---|---|---|---|---|")
    for name in ACTIVATIONS:
        first, _ = seconds(lambda: table(name, 1.0))  # noqa: B023
        shifts = itertools.count(1)
        clock, cpu = seconds(lambda: table(name, 1 + 1e-3 * next(shifts)), options.rounds)  # noqa: B023
        axes = {"sigma_w2": np.linspace(0.5, 4, options.points), "sigma_b2": np.linspace(0, 1, options.points)}
        diagram, diagram_cpu = seconds(lambda: phase_diagram(name, **axes))  # noqa: B023
        print(f"| {name} | {first:.2f} | {clock:.3f} | {cpu:.3f} | {diagram:.2f} | {diagram_cpu:.2f} |", flush=True)
    net = gl.MLP(depth=50, width=256, activation="tanh", init="he_normal")
    x = np.random.default_rng(0).normal(size=(128, 64))
    predict(net, x[:2])
    without = [c for c in gl.theory.FUNCTIONALS if c != "log10_one_minus_c"]
    for label, columns in (("all columns", None), ("without correlations", without)):
        clock, cpu = seconds(lambda: predict(net, x, columns=columns))  # noqa: B023
        print(f"\npredict, depth 50, batch 128, {label}: {clock:.2f} s by the clock, {cpu:.2f} s of CPU time")


if __name__ == "__main__":
    main()
