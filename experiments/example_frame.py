"""Make the small frames that ship with gradlab, so that every plot can be tried without computing.

    python experiments/example_frame.py                   (about three minutes; writes them all)
    python experiments/example_frame.py depth training    (writes these)

Each is written to `gradlab/examples/NAME.parquet`, and `gradlab.example(NAME)` loads it.
"""

import argparse
import sys
from pathlib import Path

from gradlab.frames import write

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.examples import measurements, runs  # noqa: E402

HOME = Path(__file__).parents[1] / "gradlab" / "examples"
MADE = {f.__name__: f for f in (
    runs.depth,
    runs.order_to_chaos,
    runs.time_steps,
    runs.training,
    runs.divergence,
    runs.trainability,
    runs.sharpness,
    measurements.histograms,
    measurements.sizes,
    measurements.sizes_in_training,
    measurements.singular_values,
    measurements.circle,
    measurements.shattering,
    measurements.input_gradients,
    measurements.norms,
    measurements.autodiff,
    measurements.model,
)}  # fmt: skip

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="examples to make; all where none is named")
    parser.add_argument("--out", type=Path, default=HOME, help="folder to write them to")
    asked = parser.parse_args()
    for name in asked.names or MADE:
        frame = MADE[name]()
        path = asked.out / f"{name}.parquet"
        write(frame, path)
        print(f"{name}: {len(frame)} rows, {path.stat().st_size / 1000:.0f} kB", flush=True)
