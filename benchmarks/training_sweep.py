"""Trainings of a sweep two at a time, beside one after the other, on one CPU, in one interleaved run.

    python benchmarks/training_sweep.py

Both sides are whole calls of `gl.run` with everything compiled in the first turn, which does not count. One after the
other is what a sweep did before: the seeds of one training go two at a time, so with one seed, and with the last of
three, a core waits. The rows of both sides are compared, bit by bit.

On an accelerator, and on several devices, networks that share a program are one call instead; what that brings has not
been measured, since no accelerator was there.
"""

import argparse

import pandas as pd
from in_turn import in_turn

import gradlab as gl
from gradlab.sweep.train_task import TrainTask

#: Label -> depth, width, batch, seeds. Four learning rates each.
GRIDS = {
    "3 × 32, batch 32, 1 seed": (3, 32, 32, 1),
    "10 × 128, batch 128, 1 seed": (10, 128, 128, 1),
    "10 × 128, batch 128, 3 seeds": (10, 128, 128, 3),
    "10 × 128, batch 128, 4 seeds": (10, 128, 128, 4),
    "5 × 512, batch 128, 1 seed": (5, 512, 128, 1),
}


class InTurn(TrainTask):
    """Trains one network after the other."""

    at_once = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    print("| four trainings each | one after the other, s | two at a time over it, run by run | CPU |")
    print("|---|---|---|---|")
    for label, (depth, width, batch, seeds) in GRIDS.items():
        sweep = gl.TrainingSweep(
            depth=depth, width=width, activation="relu", init="he_normal", optimizer="adam", batch=batch, seeds=seeds,
            learning_rate=(1e-4, 3e-4, 1e-3, 3e-3), steps=args.steps, records=5,
        )  # fmt: skip
        frames = {}

        def trained(task, sweep=sweep, frames=frames):
            frames[task] = gl.run(sweep, task=task, progress=False)

        sides = {"in turn": lambda: trained(InTurn), "two": lambda: trained(TrainTask)}
        times = in_turn(sides, args.runs)
        pd.testing.assert_frame_equal(frames[InTurn], frames[TrainTask], check_exact=True)
        over = [f"{times.over('two', 'in turn', cpu=cpu):.2f}" for cpu in (False, True)]
        print(f"| {label} | {times.median('in turn'):.2f} | {' | '.join(over)} |", flush=True)


if __name__ == "__main__":
    main()
