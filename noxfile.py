"""Everything that must hold before a release: ``nox`` runs it all, ``nox -s lint`` a part.

Interpreters that are not there are skipped; under CI=true that is an error.
"""

import os
import shutil
from pathlib import Path

import nox

# an interpreter that is not there is skipped, never fetched
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
nox.needs_version = ">=2024.10"
nox.options.default_venv_backend = "uv|venv"
nox.options.sessions = ["lint", "types", "tests", "bare", "experiments", "reports", "docs", "notebooks"]

ROOT = Path(__file__).parent
PYTHONS = ["3.11", "3.12", "3.13"]
PINS = ("-c", str(ROOT / "constraints.txt"))


def install(session, extra=""):
    """This checkout at the pinned versions."""
    session.install(*PINS, "-e", f".[{extra}]" if extra else ".")


def scratch(session):
    """An empty folder outside the checkout."""
    folder = Path(session.create_tmp()).resolve()
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


@nox.session
def lint(session):
    """Style, layout, and the floors of the house."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session):
    """Static types of the package."""
    install(session, "lint")
    python = Path(session.bin) / ("python.exe" if os.name == "nt" else "python")
    session.run("pyright", "--pythonpath", str(python))


@nox.session(python=PYTHONS)
@nox.parametrize("bits", [32, 64])
def tests(session, bits):
    """All tests, the slow ones too; 3.11 and later Pythons get different versions of JAX."""
    install(session, "test")
    env = {"GRADLAB_TEST_X64": str(int(bits == 64)), "GRADLAB_TEST_COMPILER": "whole"}
    session.run("pytest", "-q", "-n", "2", "-m", "slow or not slow", *session.posargs, env=env)
    # what JAX is about to make of remat and custom_vjp
    newer = {**env, "JAX_REMAT3": "1", "JAX_CUSTOM_VJP3": "1"}
    session.run("pytest", "-q", "-n", "2", "-m", "slow or not slow", "tests/diagnosis/test_zoo.py", env=newer)


@nox.session(python=PYTHONS)
def bare(session):
    """The wheel alone, in an environment with nothing else, away from the checkout."""
    folder = scratch(session)
    session.install("build", "hatchling")
    session.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), silent=True)
    session.run("python", "-m", "venv", str(folder / "env"))
    place = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python = str(place / "python")
    (wheel,) = folder.glob("*.whl")
    session.run(python, "-m", "pip", "install", "-q", *PINS, str(wheel), external=True)
    session.chdir(folder)
    small = ["--depth", "2", "3", "--width", "8", "--batch", "16", "--seeds", "2"]
    gradlab = str(place / "gradlab")
    session.run(gradlab, "--help", silent=True, external=True)
    session.run(gradlab, "sweep", *small, "--out", "demo", "--report", "--html", "--tex", external=True)
    session.run(gradlab, "check", "--depth", "1", "--width", "4", silent=True, external=True)
    session.run(python, "-c", "import gradlab as gl; assert len(gl.example('depth'))", external=True)
    for name in ("frame.parquet", "frame.csv", "report.md", "report.html", "tables.tex", "provenance.json"):
        if not (folder / "demo" / name).stat().st_size:
            session.error(f"{name} is empty")


@nox.session
def experiments(session):
    """Every experiment, in seconds instead of minutes: it runs, and its page is written."""
    install(session, "test")  # models of strangers among them
    folder = scratch(session)
    for script in sorted((ROOT / "experiments").glob("*.py")):
        if "--quick" not in script.read_text():
            continue  # makes an example, not a page
        out = folder / script.stem
        session.run("python", "-W", "error", str(script), "--quick", "--out", str(out))
        if not list(out.glob("*.md")) or not list(out.glob("*.png")):
            session.error(f"{script.name} wrote no page with a figure to {out}")


@nox.session
def reports(session):
    """Committed reports: each experiment has its page, with figure, table and provenance; links lead somewhere."""
    install(session, "test")
    session.run("pytest", "-q", "-n", "0", "tests/test_house.py", "-k", "report")


@nox.session
def docs(session):
    """The site, in `docs/_build/html`; a warning is an error, and nothing is fetched while it is built."""
    install(session, "docs")
    build = ROOT / "docs" / "_build" / "html"
    session.run("sphinx-build", "-W", "--keep-going", "--fresh-env", "-b", "html", str(ROOT / "docs"), str(build))


@nox.session
def notebooks(session):
    """The lectures and their solutions: each runs as it stands, and opens as a notebook."""
    install(session, "test,lectures")
    session.run("pytest", "-q", "-n", "2", "-m", "slow or not slow", "tests/test_lectures.py")
