"""The command line: parses and delegates.

Options are the fields of the configurations, so that the two cannot drift apart. Nothing heavy is
imported before a command is known to be well-formed: ``--help`` is instant.
"""

from __future__ import annotations

import dataclasses
import runpy
import shlex
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, arg

from gradlab._errors import GradlabError, unknown
from gradlab.config import GRID, MLPConfig, Sweep, content_hash

ABOUT = """\
gradlab: how gradients travel through deep networks.

usage: gradlab COMMAND [options]        (python -m gradlab is the same)

  sweep    measure a grid of networks on many seeds; resumes where it was stopped
  report   write the page of a run: verdicts, tables, figures
  check    compare the hand-written backward pass with automatic differentiation

examples:
  gradlab sweep --report                                   the default grid, and its page
  gradlab sweep --depth 2 4 8 --activation tanh relu --init xavier_normal he_normal --seeds 10 --out runs/demo
  gradlab report runs/demo --html
  gradlab check --depth 10 --activation tanh --init xavier_normal

`gradlab COMMAND --help` lists the options of a command."""

EXAMPLES = {
    "sweep": """\
Measure a grid of networks on many seeds and keep the rows in a folder.

examples:
  gradlab sweep --report
  gradlab sweep --depth 2 4 8 --width 128 --activation tanh relu --init xavier_normal he_normal --seeds 10
  gradlab sweep --data mine.csv --target label --batch 64 --out runs/mine
  gradlab sweep --config sweep.toml --seeds 20       (options win over the file)
  gradlab sweep --import mish.py --activation mish   (mish.py calls gl.register_activation)

The same command started again computes only what is missing.""",
    "report": """\
Write the page of a run: what was asked, a verdict for each network, tables, figures.

examples:
  gradlab report runs/demo
  gradlab report runs/demo --html --tex""",
    "check": """\
Compare the hand-written backward pass with jax.grad and with finite differences; exit code 1 if they disagree.

examples:
  gradlab check --depth 10 --activation tanh --init xavier_normal
  gradlab check --import mish.py --activation mish --dtype float32""",
}


@dataclass(frozen=True)
class SweepCommand:
    """Options of ``gradlab sweep``."""

    sweep: OmitArgPrefixes[Sweep] = field(default_factory=Sweep)
    out: Path | None = None
    """Folder for the rows. By default runs/ and a hash of the request."""
    report: bool = False
    """Write the page as well."""
    html: bool = False
    """With --report: the page also as one self-contained HTML file."""
    tex: bool = False
    """With --report: tables and numbers for LaTeX too."""
    dry_run: bool = False
    """Say what would be computed, and stop."""
    retry_failed: bool = False
    """Compute networks again that failed."""
    executor: Literal["local", "dask"] = "local"
    """Where to compute."""
    workers: int = 1
    """Processes, with --executor dask."""
    quiet: bool = False
    """Print only where the results are."""
    config: Path | None = None
    """TOML file with any of these options; the command line wins."""
    import_: Annotated[tuple[Path, ...], arg(name="import")] = ()
    """Python files that register activations or initialisers."""


@dataclass(frozen=True)
class ReportCommand:
    """Options of ``gradlab report``."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a sweep."""
    out: Path | None = None
    """Folder for the page. By default the run's own."""
    html: bool = False
    """Also one self-contained HTML file."""
    tex: bool = False
    """Also tables and numbers for LaTeX."""


@dataclass(frozen=True)
class CheckCommand:
    """Options of ``gradlab check``."""

    net: OmitArgPrefixes[MLPConfig] = field(default_factory=lambda: MLPConfig(depth=3, width=16))
    data: str = "digits"
    """Name of a data set, or a file."""
    target: str | None = None
    """Column that holds the target, for a file."""
    batch: int = 16
    """Examples."""
    loss: str | None = None
    """Name of the loss. By default the one that suits the targets."""
    dtype: Literal["float64", "float32"] = "float64"
    """Precision of the comparison."""
    key: int = 0
    """Key of the weights."""
    import_: Annotated[tuple[Path, ...], arg(name="import")] = ()
    """Python files that register activations or initialisers."""


COMMANDS: dict[str, type] = {"sweep": SweepCommand, "report": ReportCommand, "check": CheckCommand}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0 done, 1 a check failed, 2 a request that cannot be met (one message, no traceback), 130 interrupted.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
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
        if not {"-h", "--help"} & set(argv):
            _run_imports(argv)
        command = _parsed(argv[0], argv[1:])
        return {"sweep": _sweep, "report": _report, "check": _check}[argv[0]](command, argv)
    except GradlabError as error:
        print(f"gradlab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ngradlab: interrupted; to go on: gradlab {shlex.join(argv)}", file=sys.stderr)
        return 130
    except OSError as error:
        reason = error.strerror or str(error)
        name = f" {error.filename!r}" if error.filename else ""
        print(f"gradlab: expected to read and write files; received {reason}{name}; try another folder", file=sys.stderr)
        return 2


def _run_imports(argv: Sequence[str]) -> None:
    """Run the files of --import first: they make names known that the options are checked against."""
    for i, word in enumerate(argv):
        if word.startswith("--import="):
            _run_file(Path(word.partition("=")[2]))
        elif word == "--import":
            for name in argv[i + 1 :]:
                if name.startswith("-"):
                    break
                _run_file(Path(name))


def _run_file(path: Path) -> None:
    if not path.is_file():
        raise GradlabError("a Python file for --import", f"{str(path)!r}, which is not there", "checking the path")
    try:
        runpy.run_path(str(path))
    except GradlabError:
        raise
    except Exception as error:
        raise GradlabError(
            f"{path.name} to run", f"{type(error).__name__}: {error}", f"python {path}, to see where it fails"
        ) from error


def _parsed(name: str, argv: list[str]) -> Any:
    kind = COMMANDS[name]
    default = _from_file(argv) if name == "sweep" else None
    more = {} if default is None else {"default": default}
    return tyro.cli(kind, args=argv, prog=f"gradlab {name}", description=EXAMPLES[name], **more)


def _from_file(argv: list[str]) -> SweepCommand | None:
    """The options of --config FILE.toml, as defaults for the command line."""
    path = next((b for a, b in zip(argv, argv[1:], strict=False) if a == "--config"), None)
    path = next((a.partition("=")[2] for a in argv if a.startswith("--config=")), path)
    if path is None:
        return None
    try:
        values = tomllib.loads(Path(path).read_text())
    except FileNotFoundError:
        raise GradlabError("a TOML file for --config", f"{path!r}, which is not there", "checking the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GradlabError(f"{path} to be TOML", str(error), 'lines like  depth = [2, 4, 8]') from None
    values = {k.replace("-", "_"): v for k, v in values.items()}
    of_sweep = {f.name for f in dataclasses.fields(Sweep)}
    of_command = {f.name for f in dataclasses.fields(SweepCommand)} - {"sweep", "config", "import_"}
    for key in values:
        if key not in of_sweep | of_command:
            raise unknown("option", key, sorted(of_sweep | of_command))
    grid = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in of_sweep}
    rest = {k: Path(v) if k == "out" else v for k, v in values.items() if k in of_command}
    return SweepCommand(sweep=Sweep(**grid), **rest)


def _sweep(command: SweepCommand, argv: list[str]) -> int:
    from gradlab.sweep.run import run

    sweep = command.sweep
    out = command.out or Path("runs") / _folder_name(sweep)
    frame = run(
        sweep, out=out, progress=False if command.quiet else None, retry_failed=command.retry_failed,
        dry_run=command.dry_run, executor=command.executor, workers=command.workers,
        command=f"gradlab {shlex.join(argv)}",
    )  # fmt: skip
    if command.dry_run:
        return 0
    networks = frame["network"].nunique()
    print(f"{networks} networks, {len(frame)} rows: {out / 'frame.parquet'} and {out / 'frame.csv'}")
    if command.report:
        _write_report(out, None, command.html, command.tex)
    else:
        print(f"to see them: gradlab report {out}")
    return 0


def _folder_name(sweep: Sweep) -> str:
    """A name for a request that was given none: a file's name or the data set's, and a hash of the grid."""
    data = Path(sweep.data).stem
    asked = {name: getattr(sweep, name) for name in (*GRID, "batch", "loss", "data", "dtype", "key")}
    return f"{data}-{content_hash(asked, 8)}"


def _report(command: ReportCommand, argv: list[str]) -> int:
    _write_report(command.run, command.out, command.html, command.tex)
    return 0


def _write_report(run: Path, out: Path | None, html: bool, tex: bool) -> None:
    from gradlab.reporting.page import report

    page = Path(report(run, out=out, html=html, tex=tex))
    print(f"report: {page}")
    if html:
        print(f"        {page.with_suffix('.html')}")


def _check(command: CheckCommand, argv: list[str]) -> int:
    from gradlab.core.check import check
    from gradlab.data import load
    from gradlab.networks import build

    data = load(command.data, batch=command.batch, loss=command.loss, target=command.target, dtype="float64")
    result = check(build(command.net), data.x, data.y, loss=command.loss, key=command.key, dtype=command.dtype)
    return 0 if result.ok else 1
