"""What `gradlab sweep`, `train`, `report`, `check` and `theory` say of themselves, and their options.

An option that is no field of a configuration has a name, a type, a default and a sentence.
"""

from __future__ import annotations

import dataclasses

from gradlab.config import ARCHITECTURES, DTYPES

SWEEP = """\
Measure a grid of networks on many seeds, and keep the rows in a folder.

examples:
  gradlab sweep --report
  gradlab sweep --depth 2 4 8 --width 128 --activation tanh relu --init xavier_normal he_normal --seeds 10
  gradlab sweep --data mine.csv --target label --batch 64 --out runs/mine
  gradlab sweep --config sweep.toml --seeds 20       (options win over the file)
  gradlab sweep --import mish.py --activation mish   (mish.py calls gl.register_activation)
  gradlab sweep --config large.toml --out runs/large --shard 3/10       (one task of an array job)

The same command started again computes only what is missing."""

TRAIN = """\
Train a grid of networks by the hand-written gradient, and keep statistics of each layer at chosen steps.

examples:
  gradlab train --depth 2 10 30 --activation sigmoid relu --init xavier_normal he_normal --steps 200 --report
  gradlab train --depth 30 --activation relu --init he_normal --optimizer sgd momentum adam --learning-rate 0.001 0.01
  gradlab train --data mnist1d --depth 3 --steps 2000 --schedule cosine --warmup 200 --clip-norm 1 --sharpness
  gradlab train --architecture transformer --depth 2 --norm-position before after --optimizer adamw --steps 200

The same command started again trains only what is missing."""

REPORT = """\
Write the page of a run: the request, a verdict for each network, tables and figures.

examples:
  gradlab report runs/demo
  gradlab report runs/demo --html --tex
  gradlab report runs/demo --slides
  gradlab report runs/demo --explore"""

CHECK = """\
Compare the hand-written backward pass with jax.grad and with finite differences; exit code 1 if they disagree.

examples:
  gradlab check --depth 10 --activation tanh --init xavier_normal
  gradlab check --architecture transformer --depth 2 --norm-position after
  gradlab check --import mish.py --activation mish --dtype float32"""

EXPLAIN = """\
Work a small MLP out as on a blackboard: every z, a, delta and gradient of one example, with formulas and numbers.

examples:
  gradlab explain
  gradlab explain --depth 2 --activation tanh --init xavier_normal --x 1 -0.5 2 --y 0.5
  gradlab explain --width 3 --x 1 0 2 --y 1 --loss softmax_cross_entropy --outputs 2
  gradlab explain --out blackboard.tex      (or .md, .txt)"""

THEORY = """\
Say what a network of infinite width does: fixed points, depth scales, phase, and the critical weight variance.

examples:
  gradlab theory --activation tanh --init xavier_normal
  gradlab theory --activation tanh --sigma-w2 1.5 --sigma-b2 0.05 --out maps.png
  gradlab theory --activation tanh --sigma-w2 1 1.5 2.5 --sigma-b2 0 0.05 0.5 --out phases.png
  gradlab theory --activation tanh --sigma-w2 1.76 --sigma-b2 0.05 --explore theory.html"""

IMPORT = ("import_", tuple[str, ...], (), "Python files to run first, which register activations or initialisers.")
CACHE = ("cache", bool, True, "Whether to keep compiled programs in the user's folder for caches, for the next run.")

#: Options that are not fields of a configuration: name, type, default, help.
SWEEP_OPTIONS = (
    ("out", str | None, None, "Folder for the rows. None: runs/ and a hash of the request."),
    ("report", bool, False, "Whether to write the page of the run too."),
    ("html", bool, False, "Whether to write the page as one self-contained HTML file too."),
    ("tex", bool, False, "Whether to write tables, figures and numbers for LaTeX too."),
    ("slides", bool, False, "Whether to write a deck of slides too, one figure on each, for Marp and Beamer."),
    ("explore", bool, False, "Whether to write an HTML file too in which the run can be explored."),
    ("dry_run", bool, False, "Whether to say only what would be computed, and stop."),
    ("retry_failed", bool, False, "Whether to compute networks again that failed."),
    ("executor", str, "local", "Where to compute: local, dask, or a batch system: slurm, pbs, sge, lsf, oar."),
    ("workers", int, 1, "Processes, with --executor dask; jobs, with a batch system."),
    ("scheduler", str | None, None, "With --executor dask: a scheduler that runs already, tcp://HOST:PORT."),
    ("queue", str | None, None, "Queue or partition of a batch system. None: the site's default."),
    ("walltime", str, "01:00:00", "How long each job of a batch system may last."),
    ("cores", int, 2, "Processor cores of each job."),
    ("memory", str, "8GB", "Memory of each job."),
    (
        "shard",
        str | None,
        None,
        "K/N: one of N slices, for an array job on one --out; the last assembles.",
    ),
    ("quiet", bool, False, "Whether to print only where the results are."),
    CACHE,
    (
        "config",
        str | None,
        None,
        "TOML file with any of these options except --import and --scheduler; the command line wins.",
    ),
    IMPORT,
)
REPORT_OPTIONS = (
    ("run", str, dataclasses.MISSING, "Folder of a sweep."),
    ("out", str | None, None, "Folder for the page. None: the run's own."),
    ("html", bool, False, "Whether to write one self-contained HTML file too."),
    ("tex", bool, False, "Whether to write tables, figures and numbers for LaTeX too."),
    ("slides", bool, False, "Whether to write a deck of slides too, one figure on each, for Marp and Beamer."),
    ("explore", bool, False, "Whether to write an HTML file too in which the run can be explored."),
    CACHE,
)
CHECK_OPTIONS = (
    ("architecture", str, "mlp", f"Kind of network; each kind has its own options: {', '.join(ARCHITECTURES)}."),
    ("data", str | None, None, "Name of a data set, or a file. None: digits, in the form that the network reads."),
    ("target", str | None, None, "Column that holds the target, for a file."),
    ("batch", int, 16, "Number of examples."),
    ("loss", str | None, None, "Name of the loss. None: the one that suits the targets."),
    ("dtype", str, "float64", f"Precision of the comparison: {' or '.join(reversed(DTYPES))}."),
    ("key", int, 0, "Number from which the weights are drawn."),
    CACHE,
    IMPORT,
)
EXPLAIN_OPTIONS = (
    ("x", tuple[float, ...], (1.0, 0.5), "The example: one number for each input."),
    ("y", tuple[float, ...], (1.0,), "Its target: one number for each output, or the label."),
    ("loss", str, "mse", "Name of the loss; softmax_cross_entropy takes a label."),
    ("outputs", int | None, None, "Number of outputs, for a label. None: the label and one more."),
    ("key", int, 0, "Number from which the weights are drawn."),
    ("decimals", int | None, 1, "Decimals to which the weights are rounded, to be copied by hand; None: not rounded."),
    ("digits", int, 4, "Significant digits of the largest number in each matrix, from 2 to 6."),
    ("out", str | None, None, "File to write: .tex for LaTeX, .md for Markdown, .txt for plain text."),
    CACHE,
    IMPORT,
)
#: Defaults of `gradlab explain` instead of those of a configuration: the smallest network that shows all of it.
EXPLAIN_DEFAULTS = {"depth": 1, "width": 2, "activation": "sigmoid", "init": "xavier_normal"}
THEORY_OPTIONS = (
    ("activation", str, "tanh", "Name in the table of activations, as tanh or leaky_relu:0.18."),
    ("init", str | None, None, "Name in the table of initialisers. None: xavier_normal."),
    ("width", int, 128, "Units of every layer; matters only for initialisers that depend on it."),
    (
        "sigma_w2",
        tuple[float, ...] | None,
        None,
        "Fan-in times the weight variance, one or more values, instead of --init.",
    ),
    ("sigma_b2", tuple[float, ...] | None, None, "Variances of the biases. None: the initialiser's own."),
    ("q0", float, 1.0, "Mean square of an input."),
    (
        "out",
        str | None,
        None,
        "File for a figure (.png, .pdf, .svg): maps, or the phase diagram if both variances have several values.",
    ),
    ("explore", str | None, None, "File for an HTML page with sliders, which begin at this network."),
    CACHE,
    IMPORT,
)
#: Defaults of `gradlab check` instead of those of a configuration: three layers test as much as fifty, and faster.
CHECK_DEFAULTS = {"depth": 3, "width": 16}
