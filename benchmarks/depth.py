"""Compile time at depth 10 and 10,000, and the memory of measuring the deep one.

    python benchmarks/depth.py

Each depth in a process of its own (width 128, batch 16, all columns): seconds to trace and compile,
to measure, and the peak resident memory.
"""

import resource
import subprocess
import sys
import time


def one(depth: int) -> None:
    import numpy as np

    import gradlab.core.execute as module
    from gradlab.measurement.measure import measure
    from gradlab.networks.mlp import MLP

    compile_seconds = []
    compiled = module.executable.__wrapped__

    def timed(*args):
        start = time.perf_counter()
        found = compiled(*args)
        compile_seconds.append(time.perf_counter() - start)
        return found

    module.executable = timed
    x = np.random.default_rng(0).normal(size=(16, 64))
    start = time.perf_counter()
    trace = measure(
        MLP(depth=depth, width=128, activation="sigmoid", init="xavier_normal"), x, np.arange(16) % 10, seeds=1
    )
    total = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    delta = trace.columns["log10_delta_rms"][0, 0]
    print(f"| {depth} | {compile_seconds[0]:.2f} | {total:.2f} | {memory:.2f} | {delta:.2f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(int(sys.argv[1]))
    else:
        print(
            "| depth | trace and compile s | in all s | peak GiB | log10 delta of layer 1 |\n|---|---|---|---|---|",
            flush=True,
        )
        for _ in range(3):
            for depth in (10, 10_000):
                subprocess.run([sys.executable, __file__, str(depth)], check=True)
