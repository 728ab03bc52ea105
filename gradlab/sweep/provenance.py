"""Provenance of a folder's rows, in ``provenance.json``: command, versions, times."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from gradlab.config import Sweep
from gradlab.sweep.request import Request

_PACKAGES = ("gradlab-jax", "jax", "jaxlib", "numpy", "pandas", "pyarrow")


class Session:
    """Record one call of a sweep, from its start until it ends or is stopped.

    Parameters
    ----------
    request : Request
        The request.
    before : mapping
        The provenance that the folder already has.
    command : str
        The command that starts the sweep again.
    x : array, optional
        The inputs. What theory needs to know of them is recorded, so that a report reads only files of the run.
    """

    def __init__(self, request: Request, before: dict[str, Any], command: str, x: Any = None):
        self.request, self.command, self.computed = request, command, 0
        self.inputs = None if x is None else inputs(x)
        sessions = before.get("sessions")
        self.earlier = [s for s in sessions if isinstance(s, dict)] if isinstance(sessions, list) else []
        self.began, self.start = datetime.now(UTC), time.monotonic()
        self.surroundings = {"versions": versions(), "platform": surroundings(), "commit": commit()}

    def report(self) -> dict[str, Any]:
        """Return the provenance of the folder, with the parts that this session has `computed` so far."""
        wall = round(time.monotonic() - self.start, 3)
        session = {
            "started": self.began.isoformat(timespec="seconds"),
            "wall_time_s": wall,
            "parts_computed": self.computed,
            "command": self.command,
            **self.surroundings,
        }
        return {
            "hash": self.request.hash,
            "command": self.command,
            **self.surroundings,
            "backend": backend(),
            "dtype": self.request.sweep.dtype,
            "matmul_precision": matmul_precision(),
            "data": dict(self.request.data),
            "inputs": self.inputs,
            "wall_time_s": round(wall + sum(map(_seconds, self.earlier)), 3),
            "sessions": [*self.earlier, session],
        }


def inputs(x: Any) -> dict[str, Any]:
    """Return the number of features of inputs, and quantiles of the mean squares of the examples."""
    from gradlab.frames.predictions import quantiles

    flat = np.asarray(x, float).reshape(len(x), -1)
    return {"features": flat.shape[1], "mean_squares": quantiles(np.mean(flat**2, axis=1)).tolist()}


def _seconds(session: dict[str, Any]) -> float:
    """Return how long an earlier session took; 0 where its record does not say so."""
    wall = session.get("wall_time_s")
    return wall if isinstance(wall, (int, float)) and math.isfinite(wall) else 0.0


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide the numbers."""
    packages = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return packages


def surroundings() -> dict[str, Any]:
    """Return system and processor, but no name of a host or a user."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def backend() -> str | None:
    """Return the backend of JAX, if JAX was used in this process."""
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    devices = jax.local_devices()
    count = f" × {len(devices)}" if len(devices) > 1 else ""  # the seeds are spread over them
    return f"{jax.default_backend()} ({devices[0].device_kind}){count}"


def matmul_precision() -> str | None:
    """Return the precision of products as JAX names it, if JAX was used in this process."""
    if "jax" not in sys.modules:
        return None
    from gradlab.core.scaled import PRECISION

    return PRECISION


def commit() -> str | None:
    """Return the commit of gradlab's checkout, ``-dirty`` where files were changed; None for an installed package."""
    package = Path(__file__).resolve().parents[1]
    if not (package.parent / ".git").exists():
        return None
    git = ["git", "-C", str(package.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout.strip() or None
    except (OSError, subprocess.SubprocessError):
        return None


def call(sweep: Sweep, out: str | os.PathLike[str] | None, named: bool) -> str:
    """Write the Python call that repeats a sweep; data that are not `named` stand as arrays."""
    request = sweep if named else dataclasses.replace(sweep, data=None)
    rest = ("" if named else ", data=(x, y)") + ("" if out is None else f", out={os.fspath(out)!r}")
    return f"gl.run(gl.{request!r}{rest})"
