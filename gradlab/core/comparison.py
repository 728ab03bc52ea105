"""Results of a check: one row for each gradient, whether it agrees, and the table that is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradlab._errors import GradlabError
from gradlab.core import differences as fd
from gradlab.core.outcome import Outcome

#: Largest max|difference| / max|gradient| at 2 * 50 products of 64 terms, by dtype.
TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
REFERENCE_ROUNDINGS = 2 * 50 * 64**0.5
_NAN = float("nan")


@dataclass(frozen=True)
class Row:
    """One gradient, and what the two witnesses say about it.

    Parameters
    ----------
    layer, parameter : str
        The rows "input", "activation" and "cotangent" belong to signals, not to parameters.
    error : float
        max|ours - jax.grad| / max|jax.grad|; NaN where it was not compared.
    scale : float
        max|jax.grad|.
    autodiff : Outcome
        What became of the comparison with `jax.grad`; NOT_GIVEN where it does not give this gradient.
    difference : float
        Disagreement with central differences; NaN where it was not compared.
    differences : Outcome
        What became of the comparison with central differences.
    ok : bool
        Whether no witness disagrees.
    hint : str
        The likely mistake; empty where there is none.
    detail : str
        More about why it was not compared with `jax.grad`.
    """

    layer: str
    parameter: str
    error: float = _NAN
    scale: float = _NAN
    autodiff: Outcome = Outcome.NOT_GIVEN
    difference: float = _NAN
    differences: Outcome = Outcome.NOT_GIVEN
    ok: bool = True
    hint: str = ""
    detail: str = ""

    @property
    def not_compared(self) -> str:
        """Say why the gradient was not compared with `jax.grad`; empty where it was, or where there is none."""
        if self.autodiff in (Outcome.COMPARED, Outcome.NOT_GIVEN):
            return ""
        return f"not compared: {self.autodiff}{self.detail}"


@dataclass(frozen=True)
class Check:
    """What `check` found: one row for each gradient.

    Parameters
    ----------
    rows : tuple of Row
        One for each array that was compared.
    tolerance : float
        Of the comparison with `jax.grad`.
    title : str
        What was compared.
    dtype : str
        The dtype of the hand-written pass.
    """

    rows: tuple[Row, ...]
    tolerance: float
    title: str
    dtype: str

    @property
    def failures(self) -> tuple[Row, ...]:
        """Return the rows in which a witness disagrees."""
        return tuple(r for r in self.rows if not r.ok)

    @property
    def compared(self) -> int:
        """Number of rows that were compared with `jax.grad`."""
        return sum(r.autodiff is Outcome.COMPARED for r in self.rows)

    @property
    def ok(self) -> bool:
        """No witness disagrees, and at least one was heard."""
        heard = any(Outcome.COMPARED in (r.autodiff, r.differences) for r in self.rows)
        return heard and not self.failures

    @property
    def max_error(self) -> float:
        """Return the largest error against `jax.grad` among the rows that were compared."""
        return max((r.error for r in self.rows if r.autodiff is Outcome.COMPARED), default=_NAN)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return _table(self)


def error_of(ours: Any, theirs: Any) -> float:
    """max|ours - theirs| / max|theirs|."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    scale = np.max(np.abs(theirs), initial=0.0)
    gap = np.max(np.abs(ours - theirs), initial=0.0)
    return float(gap if scale == 0 else gap / scale)


def out_of_range(theirs: Any, dtype: str, tolerance: float) -> str:
    """Say how an array of gradients left the range, so that it is no reference; empty where it did not.

    An entry below the smallest normal number is 0 or has lost digits; where the largest is not 1/tolerance above
    that, the loss shows in the comparison.
    """
    theirs = np.abs(np.asarray(theirs))
    if not np.all(np.isfinite(theirs)):
        return " (not finite)"
    top = np.max(theirs, initial=0.0)
    if top == 0:
        return " (0)"
    if top < np.finfo(dtype).tiny / tolerance:
        return " (near subnormal)"
    return ""


def same_shape(name: str, ours: Any, theirs: Any) -> None:
    """Raise if two gradients of one thing have different shapes."""
    if np.shape(ours) != np.shape(theirs):
        raise GradlabError(f"a gradient of shape {np.shape(theirs)} for {name}", f"{np.shape(ours)}")


def mistake(ours: np.ndarray, theirs: np.ndarray, tolerance: float, batch: int) -> str:
    """Return what the two arrays have in common, as a hint at the likely mistake."""
    tolerance *= 100
    if not np.all(np.isfinite(ours)):
        return "it is not finite"
    hint = fd.factor_hint(ours.astype(float), theirs.astype(float), tolerance)
    for factor, words in (
        (batch, "the mean over the batch is missing"),
        (1 / batch, "the mean over the batch is taken twice"),
    ):
        if batch > 1 and error_of(ours, factor * theirs.astype(float)) <= tolerance:
            return f"{hint}: {words}"
    if not hint and ours.ndim == 2 and ours.shape[0] == ours.shape[1] and error_of(ours.T, theirs) <= tolerance:
        return "equal after a transpose"
    return hint


#: Rows of a table, from which on the middle is left out.
_SHOWN = 40


def _table(check: Check) -> str:
    rows = check.rows
    kept = set(range(len(rows)))
    if len(rows) > _SHOWN:
        worst = sorted(range(len(rows)), key=lambda i: -(rows[i].error if rows[i].error == rows[i].error else -1))[:5]
        failed = [i for i, r in enumerate(rows) if not r.ok][:_SHOWN]
        kept = {*range(8), *range(len(rows) - 8, len(rows)), *worst, *failed}
    widths = [max(12, 2 + max(map(len, names))) for names in zip(*((r.layer, r.parameter) for r in rows), strict=True)]
    named = f"{'':2}{'layer':<{widths[0]}}{'parameter':<{widths[1]}}"
    lines = [check.title, f"{named}{'max|g|':>10}{'vs jax.grad':>14}{'vs differences':>17}"]
    skipped = 0
    for i, row in enumerate(rows):
        if i not in kept:
            skipped += 1
            continue
        if skipped:
            lines.append(f"  ... {skipped} rows more, none of them worse")
            skipped = 0
        lines.append(_line(row, *widths))
    passed = "ok" if check.ok else f"WRONG in {len(check.failures)} of {len(rows)} rows"
    if not check.ok and not check.failures:
        passed = "nothing could be compared"
    by_itself = [r for r in check.failures if r.differences is Outcome.COMPARED and r.layer != "network"]
    if by_itself:
        lines.append(f"look at {by_itself[-1].layer} {by_itself[-1].parameter} first: it is wrong by itself")
    lines.append(
        f"{passed}: max error {check.max_error:.1e} against jax.grad (tolerance {check.tolerance:.1e}, "
        f"{check.compared} rows compared), differences to {fd.TOLERANCE:.1e}"
    )
    return "\n".join(lines)


def _line(row: Row, layer: int, parameter: int) -> str:
    scale = "" if row.scale != row.scale else f"{row.scale:.1e}"
    error = f"{row.error:.1e}" if row.autodiff is Outcome.COMPARED else ""
    difference = f"{row.difference:.1e}" if row.differences is Outcome.COMPARED else row.differences
    mark = "  " if row.ok else "! "
    notes = [note for note in (row.not_compared, row.hint) if note]
    names = f"{mark}{row.layer:<{layer}}{row.parameter:<{parameter}}"
    return f"{names}{scale:>10}{error:>14}{difference:>17}  {'; '.join(notes)}".rstrip()
