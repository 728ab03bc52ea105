"""A model from a Python file: the file is run, and a function in it says what to diagnose."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from gradlab._errors import GradlabError, unknown
from gradlab._text import plain

#: The function that is called where none is named.
DEFAULT = "factory"
#: What a factory returns.
RETURNS = ("loss_fn", "params", "batch")


def model_from(target: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Return the arguments of `gradlab.diagnose` from ``FILE.py:FACTORY``. This runs the file.

    Parameters
    ----------
    target : str
        Path of a Python file and name of a function in it, which takes no arguments.
    tell : callable
        Takes a line that says what is run, before it is.
    """
    file, name = _parts(target)
    path = Path(file)
    if not path.is_file():
        hint = "gradlab diagnose model.py:factory"
        raise GradlabError("a Python file, and a function in it", f"{file!r}, which is not there", hint)
    tell(f"running {path}, and {name}() in it")
    with _as_script(path):
        module = _run(path)
        factory = getattr(module, name, None)
        if not callable(factory):
            callables = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
            raise unknown(f"a function of {path}", name, callables or ["none"], f"gradlab diagnose {path}:FUNCTION")
        try:
            returned = factory()
        except (Exception, SystemExit) as error:
            raise _failed(f"{name}() of {path} to return", error) from error
    return _arguments(returned, f"{name}() of {path}")


def _parts(target: str) -> tuple[str, str]:
    file, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():  # a path, on Windows with a colon in it
        return target, DEFAULT
    return file, name


@contextmanager
def _as_script(path: Path) -> Iterator[None]:
    """Modules beside the file can be imported, as when Python runs it."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise GradlabError("a Python file that ends in .py", repr(str(path)), "renaming it")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module  # dataclasses look for the module they stand in
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(f"{path} to run", error) from error
    finally:
        if before is not None:
            sys.modules[path.stem] = before
    return module


def _failed(expected: str, error: BaseException) -> GradlabError:
    return GradlabError(expected, f"{type(error).__name__}: {plain(error)}", "its own traceback, which follows")


def _arguments(returned: Any, what: str) -> dict[str, Any]:
    """Return what a factory returned as keyword arguments."""
    if isinstance(returned, Mapping):
        options = dict(returned)
        missing = [name for name in RETURNS if name not in options]
        if missing or not all(isinstance(name, str) for name in options):
            received = f"a dict of {', '.join(map(str, options)) or 'nothing'}"
            raise GradlabError(f"{what} to return a dict with {', '.join(RETURNS)}", received, "adding what lacks")
        return options
    if not isinstance(returned, (tuple, list)) or len(returned) != 3:
        several = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
        hint = "return loss_fn, params, batch"
        raise GradlabError(f"{what} to return loss_fn, params, batch", f"{type(returned).__name__}{several}", hint)
    return dict(zip(RETURNS, returned, strict=True))


def users_traceback(error: BaseException) -> str:
    """Return the traceback of a user's exception, from the first line that is not gradlab's or Python's import."""
    cause = error.__cause__
    if cause is None or isinstance(cause, GradlabError):
        return ""
    skipped = (str(Path(__file__).resolve().parents[1]), "<frozen importlib")
    frame: TracebackType | None = cause.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(skipped):
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(cause), cause, frame or cause.__traceback__))
