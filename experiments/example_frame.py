"""Make the small frame that ships with gradlab, so that every plot can be tried without computing.

    python experiments/example_frame.py

It writes `gradlab/examples/depth.parquet`: depths 2, 8 and 32, three activations, two initialisers,
three seeds, width 64 on digits; `gradlab.example("depth")` loads it.
"""

import argparse
from pathlib import Path

import gradlab as gl
from gradlab.frames import write

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = Path(__file__).parents[1] / "gradlab" / "examples"
    parser.add_argument("--out", type=Path, default=home / "depth.parquet", help="where to write it")
    out = parser.parse_args().out
    frame = gl.run(gl.Sweep(depth=[2, 8, 32], width=64, batch=64, seeds=3), progress=False)
    write(frame, out)
    print(f"{len(frame)} rows, {out.stat().st_size / 1000:.0f} kB: {out}")
