"""The command line: parses and delegates.

Options are the fields of the configurations, so that the two cannot drift apart. Nothing heavy is
imported before a command is known to be well-formed: ``--help`` is instant.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import runpy
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gradlab import model_commands, paper_commands
from gradlab._errors import GradlabError, GradlabNote, unknown
from gradlab._files import file_name, path_from, write_text
from gradlab._signals import Terminated, ending_by_signal
from gradlab._text import plain
from gradlab.command_options import (
    CHECK,
    CHECK_DEFAULTS,
    CHECK_OPTIONS,
    EXPLAIN,
    EXPLAIN_DEFAULTS,
    EXPLAIN_OPTIONS,
    REPORT,
    REPORT_OPTIONS,
    SWEEP,
    SWEEP_OPTIONS,
    THEORY,
    THEORY_OPTIONS,
    TRAIN,
)
from gradlab.config import (
    ARCHITECTURES,
    CONFIGS,
    LOSSES,
    MLPConfig,
    NetworkConfig,
    Sweep,
    TrainingSweep,
    content_hash,
    resolve,
)
from gradlab.options import from_file, made, parse_options

ABOUT = """\
gradlab: how gradients travel through deep networks.

usage: gradlab COMMAND [options]        (python -m gradlab is the same)

  sweep    measure a grid of networks on many seeds; continues after an interruption
  train    train a grid of networks, and measure every layer on the way
  report   write the page of a run: verdicts, tables, figures
  check    compare the hand-written backward pass with automatic differentiation
  explain  work a small network out as on a blackboard, with every number
  theory   say what a network of infinite width does to signals and gradients
  diagnose judge a JAX model of your own, from a Python file, which is run
  inspect  judge what a recorder wrote of a model in PyTorch, on an old JAX or on a pod
  compare  set two runs beside each other, seed by seed
  cite     print BibTeX of this version, and of the papers that a run rests on
  provenance  say what made a figure, and how to make it again

examples:
  gradlab sweep --report                                   the default grid, and its page
  gradlab sweep --depth 2 4 8 --activation tanh relu --init xavier_normal he_normal --seeds 10 --out runs/demo
  gradlab train --depth 2 10 30 --activation sigmoid relu --optimizer sgd adam --steps 200 --report
  gradlab report runs/demo --html
  gradlab check --depth 10 --activation tanh --init xavier_normal
  gradlab explain --activation sigmoid --out blackboard.tex
  gradlab theory --activation tanh --init xavier_normal
  gradlab diagnose model.py:factory
  gradlab inspect recorded.npz
  gradlab compare runs/he runs/xavier
  gradlab cite runs/demo
  gradlab provenance runs/demo/figures/rates.png

`gradlab COMMAND --help` lists the options of a command."""

#: Values of each variance in the phase diagram, between the smallest and the largest that are given.
_FINE = 41


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    The code is 0 when all is done, 1 when a check failed or no network of a grid succeeded, 2 for a request that cannot
    be met (with one message and no traceback), 130 after Ctrl-C, and 143 after SIGTERM, which batch systems send before
    they kill.

    Parameters
    ----------
    argv : sequence of str, optional
        The words of the command. None: those of the command line.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    os.environ["MPLBACKEND"] = "agg"  # figures become files, so no window may open
    with warnings.catch_warnings():
        warnings.simplefilter("default", GradlabNote)
        warnings.showwarning = _show
        with ending_by_signal():
            return _command(argv)


def _show(message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Write a warning to the standard error; a note of gradlab is one line."""
    text = (
        f"gradlab: {message}\n"
        if issubclass(category, GradlabNote)
        else warnings.formatwarning(message, category, *where[:2])
    )
    sys.stderr.write(text)


def _command(argv: list[str]) -> int:
    """Run a command; a request that cannot be met becomes one message."""
    try:
        if not argv or argv[0] in ("-h", "--help"):
            print(ABOUT)
            return 0
        if argv[0] == "--version":
            from gradlab import __version__

            print(__version__)
            return 0
        if argv[0] not in COMMANDS:
            raise unknown("command", argv[0], COMMANDS)
        return COMMANDS[argv[0]](argv[1:])
    except GradlabError as error:
        print(f"gradlab: {plain(error)}", file=sys.stderr)  # plain, because a terminal obeys control characters
        return 2
    except KeyboardInterrupt as interrupt:
        terminated = isinstance(interrupt, Terminated)
        what = "terminated" if terminated else "interrupted"
        print(f"\ngradlab: {what}; this command continues: gradlab {shlex.join(argv)}", file=sys.stderr)
        return 143 if terminated else 130
    except BrokenPipeError:  # `gradlab ... | head` stops reading early
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        what = f"{error.strerror or error}" + (f": {error.filename!r}" if error.filename else "")
        print(f"gradlab: expected to read and write files; received {what}; try another folder", file=sys.stderr)
        return 2


def _grid(command: str, description: str, kind: type[Sweep], argv: list[str]) -> int:
    """Run a command that computes a grid, and may write its page."""
    given, unset = parse_options(command, description, argv, kind, SWEEP_OPTIONS, {})
    if given["config"] is not None:
        given |= {k: v for k, v in from_file(given["config"], SWEEP_OPTIONS, kind).items() if k in unset}
    _run_files(given["import_"])
    sweep = made(kind, given, given["config"])
    out = Path("runs", _folder_name(sweep)) if given["out"] is None else path_from(given["out"], "--out")
    dry, quiet = given["dry_run"], given["quiet"]

    from gradlab.frames.files import RunFolder
    from gradlab.sweep.cluster import Jobs
    from gradlab.sweep.run import run

    frame = run(
        sweep, out=out, progress=False if quiet and not dry else None, retry_failed=given["retry_failed"], dry_run=dry,
        executor=given["executor"], workers=given["workers"], cache=given["cache"], shard=given["shard"],
        scheduler=given["scheduler"], jobs=Jobs(*(given[name] for name in ("queue", "walltime", "cores", "memory"))),
        command=f"gradlab {command} {shlex.join(argv)}", read=("network", "status"),
    )  # fmt: skip
    if dry:
        return 0
    if frame.attrs.get("complete") is False:
        print(f"shard {given['shard']}: {len(frame)} rows, in {out}")
        return 0
    networks = frame["network"].nunique()
    print(f"{networks} networks, {len(frame)} rows: {out / RunFolder.FRAME} and {out / RunFolder.TABLE}")
    if given["report"] or given["html"] or given["tex"] or given["explore"] or given["slides"]:
        _write_report(out, None, given)
    else:
        print(f"its page: gradlab report {shlex.quote(str(out))}")
    if not (frame["status"] == "ok").any():
        failure = f"all {networks} networks failed, the first with {frame['status'].iloc[0]}"
        print(
            f"gradlab: expected a network that succeeds; received none: {failure}; try other options", file=sys.stderr
        )
        return 1
    return 0


def _folder_name(sweep: Sweep) -> str:
    """Name the folder of a request without `--out`; a request for more seeds has the same name."""
    asked = {f.name: getattr(sweep, f.name) for f in dataclasses.fields(sweep) if f.name not in ("seeds", "networks")}
    name = "" if sweep.TASK == Sweep.TASK else f"{sweep.TASK}-"
    return f"{name}{file_name(Path(sweep.data).stem)}-{content_hash(asked, 8)}"


def _report(argv: list[str]) -> int:
    given, _ = parse_options("report", REPORT, argv, None, REPORT_OPTIONS, {})
    _write_report(Path(given["run"]), given["out"], given)
    return 0


def _write_report(run: Path, out: str | None, given: Mapping[str, Any]) -> None:
    from gradlab.reporting.page import EXPLORER, report

    html, tex, explore = given["html"], given["tex"], given["explore"]
    with _computing(given["cache"]):
        page = Path(report(run, out=out, html=html, tex=tex, explore=explore, slides=given["slides"]))
    print(f"report: {page}")
    if html:
        print(f"        {page.with_suffix('.html')}, the same as one file")
    if given["slides"]:
        print(f"        {page.with_name('slides.md')}, a deck for Marp, with figures for Beamer beside it")
    if explore:
        print(f"        {page.with_name(EXPLORER)}, to be explored in a browser")
    if tex:
        tables, drawn, numbers = (page.with_name(f"{name}.tex") for name in ("tables", "figures", "numbers"))
        print(f"        {tables}, {drawn} and {numbers}")


@contextlib.contextmanager
def _computing(cache: bool) -> Iterator[None]:
    """Prepare JAX for a command: check that a backend starts, and keep compiled programs."""
    from gradlab.core.backend import require_backend
    from gradlab.core.cache import kept_programs

    require_backend()
    with kept_programs(cache):
        yield


def _architecture(argv: list[str]) -> type[NetworkConfig]:
    """Return the configuration that `--architecture` names: its fields are the other options."""
    given = dict(itertools.pairwise(argv)) | dict(word.split("=", 1) for word in argv if "=" in word)
    return CONFIGS[resolve("architecture", given.get("--architecture", "mlp"), ARCHITECTURES)]


def _check(argv: list[str]) -> int:
    kind = _architecture(argv)
    given, _ = parse_options("check", CHECK, argv, kind, CHECK_OPTIONS, CHECK_DEFAULTS)
    _run_files(given["import_"])
    config = made(kind, given)

    from gradlab.core.check import check
    from gradlab.data import load
    from gradlab.networks import build

    named = given["data"] or Sweep(architecture=kind.architecture, branch=getattr(config, "branch", "dense")).data
    with _computing(given["cache"]):
        data = load(named, batch=given["batch"], loss=given["loss"], target=given["target"], dtype="float64")
        comparison = check(build(config), data.x, data.y, loss=given["loss"], key=given["key"], dtype=given["dtype"])
    return 0 if comparison.ok else 1


def _explain(argv: list[str]) -> int:
    given, _ = parse_options("explain", EXPLAIN, argv, MLPConfig, EXPLAIN_OPTIONS, EXPLAIN_DEFAULTS)
    writers = {".tex": lambda e: e.to_latex(), ".md": lambda e: e.to_markdown(), ".txt": lambda e: f"{e}\n"}
    path = None if given["out"] is None else path_from(given["out"])
    if path is not None and path.suffix not in writers:
        raise GradlabError(f"a file that ends in {', '.join(writers)}", repr(path.name), "--out blackboard.tex")
    _run_files(given["import_"])
    config = made(MLPConfig, given)
    y: Any = given["y"]
    if resolve("loss", given["loss"], LOSSES) == "softmax_cross_entropy":
        if len(y) != 1 or not y[0].is_integer():
            raise GradlabError("one label as --y", " ".join(map(str, y)) or "none", "--y 1")
        y = int(y[0])

    from gradlab.blackboard.explain import explain
    from gradlab.networks import build

    options = {name: given[name] for name in ("loss", "outputs", "key", "decimals", "digits")}
    with _computing(given["cache"]):
        explanation = explain(build(config), given["x"], y, **options)
    if path is None:
        print(explanation)
    else:
        write_text(path, writers[path.suffix](explanation))
        print(f"written: {path}")
    return 0


def _theory(argv: list[str]) -> int:
    given, _ = parse_options("theory", THEORY, argv, None, THEORY_OPTIONS, {})
    _run_files(given["import_"])
    rule = given["init"] or ("xavier_normal" if given["sigma_w2"] is None else "gaussian")
    fields = {name: given[name] for name in ("activation", "width")}
    axes = {name: (None,) if given[name] is None else given[name] for name in ("sigma_w2", "sigma_b2")}
    grid = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    configs = [MLPConfig(init=rule, **fields, **pair) for pair in grid]
    plane = min(len(set(values)) for values in axes.values()) > 1
    if given["out"] and len(configs) > 1 and not plane:
        raise GradlabError(
            "one network for maps, or two values or more of both variances for a phase diagram, with --out",
            f"{len(configs)} networks", "--sigma-w2 1 2 --sigma-b2 0 0.1",
        )  # fmt: skip

    from gradlab.theory.network import comparison, summary

    with _computing(given["cache"]):
        if len(configs) > 1:
            print(comparison(configs, q0=given["q0"]))
        else:
            text, maps_of = summary(configs[0], q0=given["q0"])
            print(text)
        if given["out"]:
            import numpy as np

            from gradlab import plots
            from gradlab.theory.phase import phase_diagram

            if plane:
                fine = {name: np.linspace(min(values), max(values), _FINE) for name, values in axes.items()}
                drawn = plots.phase_diagram(theory=phase_diagram(given["activation"], q0=given["q0"], **fine))
            else:
                drawn = plots.maps(maps_of())
            made = plots.save(drawn, given["out"], command=f"gradlab theory {shlex.join(argv)}")
            print(f"{'phases' if plane else 'maps'}: {', '.join(map(str, made))}")
        if given["explore"]:
            from gradlab.reporting.explorer_theory import explore_theory
            from gradlab.theory.network import network_mean_field

            field = network_mean_field(configs[0], q0=given["q0"])
            begin = {name: getattr(field, name) for name in ("activation", "sigma_w2", "sigma_b2")}
            print(f"page with sliders: {explore_theory(**begin, q0=given['q0'], out=given['explore'])}")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "sweep": partial(_grid, "sweep", SWEEP, Sweep), "train": partial(_grid, "train", TRAIN, TrainingSweep),
    "report": _report, "check": _check, "explain": _explain, "theory": _theory,
    "diagnose": model_commands.diagnose, "inspect": model_commands.inspect,
    "compare": paper_commands.compare, "cite": paper_commands.cite, "provenance": paper_commands.provenance,
}  # fmt: skip


def _run_files(paths: Sequence[str]) -> None:
    """Run the files of `--import`, which register names before the configurations are checked."""
    for path in map(Path, paths):
        if not path.is_file():
            raise GradlabError("a Python file for --import", f"{str(path)!r}, which is not there", "checking the path")
        try:
            runpy.run_path(str(path))
        except GradlabError:
            raise
        except Exception as error:
            failure = " ".join(f"{type(error).__name__}: {error}".split())
            raise GradlabError(f"{path} to run", failure, f"python {path}, to see where it fails") from error
