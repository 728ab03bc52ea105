"""Data for measurements: named sets, arrays and users' files, checked before anything is computed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradlab import config
from gradlab._errors import GradlabError, unknown
from gradlab._formats import held_in
from gradlab.core.batch import batch_of, cast
from gradlab.data.files import SUFFIXES, from_file
from gradlab.data.labels import is_text, numbered
from gradlab.data.mnist1d import EXAMPLES, STEPS, TEMPLATES, mnist1d
from gradlab.data.sequences import OUTPUTS, SEQUENCES
from gradlab.data.sets import ARMS, circle, digits, gaussian, spirals

#: Examples of a synthetic set where no number is asked for.
BATCH = 128
#: Of the spirals.
_SPIRALS = 1000
#: Of the digits, the shape of one example.
_DIGITS = {"digits": (64,), "digits_images": (8, 8, 1), "digits_rows": (8, 8)}
#: Of MNIST-1D.
_MNIST1D = {"mnist1d": (STEPS,), "mnist1d_steps": (STEPS, 1)}
#: Outputs of sets whose batches need not hold every class.
_OUTPUTS = {**OUTPUTS, "spirals": ARMS, **dict.fromkeys(_MNIST1D, len(TEMPLATES))}


@dataclass(frozen=True)
class Data:
    """A batch of examples.

    Parameters
    ----------
    x : ndarray, shape (batch, features), (batch, time, features) or (batch, height, width, channels)
        Examples, one in each row.
    y : ndarray
        Integer labels (batch,), or real targets (batch,) or (batch, outputs).
    name : str
        What the frame calls it.
    classes : int
        Number of outputs that the targets ask for.
    content_hash : str
        Of the arrays: the same content gives the same results.
    labels : tuple of str
        Names of the classes 0, 1, 2, ..., where the targets were text.
    """

    x: np.ndarray
    y: np.ndarray
    name: str
    classes: int
    content_hash: str
    labels: tuple[str, ...] = ()


def load(
    source: Any,
    *,
    batch: int | None = None,
    loss: str | None = None,
    target: str | None = None,
    q0: float = 1.0,
    c0: float = 0.0,
    length: int | None = None,
    key: int = 0,
    dtype: str = "float32",
) -> Data:
    """Load a checked batch from a named set, a file, or arrays.

    "digits" are the 1797 images that scikit-learn ships, standardised over the whole set; "gaussian"
    has 64 features and the labels of a random linear teacher; "circle" is a great circle in a random
    plane of 64 dimensions, labelled by angle; "spirals" are three in a plane; "mnist1d" are digits of one
    dimension, made here, see `gradlab.data.mnist1d`. "digits_images" are the digits as (8, 8, 1), "digits_rows" as
    sequences of 8 rows, "mnist1d_steps" are sequences of 40 steps. "adding", "copying" and "characters" are
    sequences, see `gradlab.data.sequences`.
    Arrays and files are taken as they are.

    Parameters
    ----------
    source : str, path or (x, y)
        One of those names; a .npz, .csv or .parquet file; or two arrays.
    batch : int, optional
        Number of examples: balanced over the classes for labels, else the first ones.
        None: all (1000 spirals, 5000 of MNIST-1D, 128 of another synthetic set).
    loss : str, optional
        Checked against the kind of target.
    target : str, optional
        Column (or array of an .npz) that holds the target. Files only; an .npz needs none
        if it holds `x` and `y`. Text names classes, which are numbered in the order of the alphabet.
    q0 : float
        For "gaussian" and "circle": mean square of an input.
    c0 : float
        For "gaussian": correlation of two inputs.
    length : int, optional
        For "adding", "copying" and "characters": steps of a sequence, 100 where none are asked for.
    key : int
        For the synthetic sets.
    dtype : str
        Of the examples; the measurement takes the same.

    Returns
    -------
    Data

    Raises
    ------
    GradlabError
        Unknown set or column, a file that is missing or not what its name says, a header in which a name stands
        twice, NaN or inf, labels out of range, shapes that do not match, more examples asked for than there are, or
        a target that the loss cannot take.

    Examples
    --------
    >>> load("digits", batch=20).y
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
          dtype=int32)
    """
    batch = None if batch is None else config.positive_integer("batch", batch)
    dtype = held_in(config.resolve("dtype", dtype, config.MEASURED_DTYPES))
    loss = None if loss is None else config.resolve("loss", loss, config.LOSSES)
    name, kind = _named(source)
    if target is not None and kind != "file":
        raise GradlabError("target= only for a file", f"target={target!r} with {name}", "leaving it out")
    if length is not None and kind not in SEQUENCES:
        raise GradlabError(
            f"length= only for {', '.join(SEQUENCES)}", f"length={length!r} with {name}", "leaving it out"
        )
    if kind == "gaussian":
        x, y = gaussian(batch or BATCH, q0, c0, key)
    elif kind == "circle":
        x, y = circle(batch or BATCH, q0, key)
    elif kind == "spirals":
        x, y = spirals(batch or _SPIRALS, key)
    elif kind in _MNIST1D:
        x, y = mnist1d(max(batch or 0, EXAMPLES), key)
        x = x.reshape(len(x), *_MNIST1D[kind])
    elif kind in SEQUENCES:
        x, y = SEQUENCES[kind](batch or BATCH, 100 if length is None else length, key)
    elif kind in _DIGITS:
        x, y = digits()
        x = x.reshape(len(x), *_DIGITS[kind])
    elif kind == "file":
        x, y = from_file(Path(source), target)
    else:
        x, y = source
    labels: tuple[str, ...] = ()
    if is_text(y):
        y, labels = numbered(y, f"column {target!r}" if kind == "file" and target else "y")
    known = _OUTPUTS.get(kind)  # a batch need not hold every class
    x, y, _, classes = batch_of(x, y, loss, known)
    if batch is not None and batch > len(x):
        raise GradlabError(f"a batch of at most {len(x)} examples, as {name} has", str(batch), f"batch={len(x)}")
    classified = y.dtype.kind == "i"
    if kind == "gaussian" or (batch is not None and batch < len(x)):
        count = batch or BATCH
        chosen = balanced(y, count) if classified else np.arange(count)
        x, y = x[chosen], y[chosen]
    x, y = cast("x", x, dtype), y.astype(np.int32) if classified else cast("y", y, dtype)
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(repr((array.shape, str(array.dtype))).encode() + array.tobytes())
    return Data(x, y, name, classes, digest.hexdigest()[:16], labels)


def balanced(y: np.ndarray, batch: int) -> np.ndarray:
    """Choose examples so that all classes are equally frequent: the classes in turn, each in the order of the data.

    Parameters
    ----------
    y : ndarray of int
        Labels.
    batch : int
        How many examples to choose.
    """
    turn = np.empty(len(y), int)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        turn[members] = np.arange(len(members))
    return np.lexsort((y, turn))[:batch]


def _named(source: Any) -> tuple[str, str]:
    """Return what the frame calls a source, and its kind: "arrays", "file", or the name of a set."""
    if isinstance(source, (tuple, list)):
        if len(source) != 2:
            raise GradlabError("two arrays (x, y)", f"{len(source)}", "data=(x, y)")
        return "arrays", "arrays"
    if not isinstance(source, (str, os.PathLike)):
        raise GradlabError("the name of a data set, a file, or (x, y)", type(source).__name__, "data=(x, y)")
    if source in config.DATASETS:
        return str(source), str(source)
    path = Path(source)
    if path.suffix.lower() in SUFFIXES:
        return path.stem, "file"
    if path.suffix or path.exists() or isinstance(source, Path):
        raise GradlabError(
            f"a file whose name ends in {', '.join(SUFFIXES)}", repr(str(source)), "converting it to one of them"
        )
    raise unknown("data", source, config.DATASETS, "a .npz, .csv or .parquet file")
