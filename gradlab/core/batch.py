"""The one door for data: inputs and targets as a user has them, checked, in the form that all else takes.

Whatever reads data passes here first: `gradlab.data.load`, and every function that takes x and y. What is wrong ends
in an error, what can be read in two ways in an error or a note. It needs NumPy alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gradlab import config
from gradlab._errors import GradlabError, note
from gradlab._formats import FORMATS, SHORT_FORMATS, held_in

#: From this label on, a label is a number (a year, a price) unless there are at least half as many examples.
_LARGE = 1000
#: Where each label that occurs does so this often, few classes can be missing from the data.
_OFTEN = 4
#: So many times more classes than labels that occur are not believed, where few can be missing.
_SPARSE = 10


class Batch(NamedTuple):
    """Examples as they are measured or trained on.

    Parameters
    ----------
    x : ndarray, shape (examples, features...)
        Real floats.
    y : ndarray
        Integer labels (examples,), or real targets (examples,) or (examples, outputs).
    loss : str
        Name of the loss.
    outputs : int
        Outputs that a network needs for them.
    """

    x: np.ndarray
    y: np.ndarray
    loss: str
    outputs: int


def batch_of(x: Any, y: Any = None, loss: str | None = None, outputs: int | None = None) -> Batch:
    """Check inputs and targets together.

    Parameters
    ----------
    x : array, shape (examples, features...)
        Examples, one in each row.
    y : array, optional
        Labels or real targets; only ``loss="probe"`` needs none.
    loss : str, optional
        None: softmax cross-entropy for labels, else mean squared error.
    outputs : int, optional
        Outputs of the network, where they are known: labels then need not show how many classes there are.

    Raises
    ------
    GradlabError
        What is no array of finite numbers, shapes that do not match, labels that are no labels, targets that the
        loss does not take.
    """
    loss = None if loss is None else config.resolve("loss", loss, config.LOSSES)
    x = inputs(x)
    if y is None:
        if loss != "probe":
            raise GradlabError("targets y", "none", "loss='probe', which needs no targets")
        return Batch(x, np.zeros(len(x), np.int64), loss, outputs or 1)
    y = targets_of(y, len(x), loss, outputs)
    return Batch(x, y, loss or default_loss(y), outputs or outputs_of(y))


def inputs(x: Any, name: str = "x") -> np.ndarray:
    """`x` as an array of finite real floats, shape (examples, features...)."""
    x = _numbers(name, x)
    if x.ndim < 2 or x.size == 0:
        hint = f"{name}.reshape(len({name}), -1)"
        raise GradlabError(f"{name} of shape (examples, features)", f"shape {x.shape}", hint)
    _check_finite(name, x)
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def targets_of(y: Any, examples: int, loss: str | None = None, outputs: int | None = None) -> np.ndarray:
    """`y` as integer labels (examples,) or as real targets, for so many examples; parameters as for `batch_of`."""
    y = _numbers("y", y)
    if y.ndim not in (1, 2) or len(y) != examples or y.size == 0:
        raise GradlabError(
            f"one target for each of the {examples} examples, shape ({examples},) or ({examples}, outputs)",
            f"y of shape {y.shape}", "an x and a y that belong together",
        )  # fmt: skip
    _check_finite("y", y)
    if y.dtype.kind in "iub":
        return _labels(y, outputs)
    if loss == "softmax_cross_entropy":
        whole = (y.ndim == 1 or y.shape[1] == 1) and bool((y == np.round(y)).all())
        raise GradlabError(
            "integer labels for softmax_cross_entropy", f"targets of {y.dtype} of shape {y.shape}",
            "y.astype(int), or loss='mse'" if whole else "loss='mse'",
        )  # fmt: skip
    if loss == "logistic" and not ((y >= 0) & (y <= 1)).all():
        raise GradlabError("targets from 0 to 1 for logistic", f"{y.min():.4g} to {y.max():.4g}", "loss='mse'")
    return y


def outputs_of(y: np.ndarray) -> int:
    """Number of outputs that checked targets ask for: classes of labels, columns of real targets."""
    if y.dtype.kind in "iu":
        return int(y.max()) + 1
    return 1 if y.ndim == 1 else y.shape[1]


def default_loss(y: Any) -> str:
    """Softmax cross-entropy for integer targets, mean squared error for real ones."""
    return "softmax_cross_entropy" if np.issubdtype(np.dtype(y.dtype), np.integer) else "mse"


def one_hot(shape: tuple[int, ...]) -> GradlabError:
    """Return the error for integers with several columns, which may be labels or real targets."""
    return GradlabError(
        "one integer label for each example", f"an integer y of shape {shape}",
        "y.argmax(1) if it is one-hot, else y.astype(float) as real targets",
    )  # fmt: skip


def cast(name: str, values: np.ndarray, dtype: str) -> np.ndarray:
    """Checked numbers in arrays for another precision, or an error where one of them is beyond its range."""
    with np.errstate(over="ignore", under="ignore"):
        array = np.ascontiguousarray(values, held_in(dtype))
    beyond = dtype in SHORT_FORMATS and np.abs(array).max(initial=0) > FORMATS[dtype].largest
    if beyond or not np.isfinite(array).all():
        received = f"a value of {values.flat[np.abs(values).argmax()]:.4g}"
        raise GradlabError(f"{name} within the range of {dtype}", received, "dtype='float64', or rescaling it")
    return array


def _numbers(name: str, values: Any) -> np.ndarray:
    if isinstance(values, (str, bytes)) or values is None:
        raise GradlabError(f"{name} as an array of numbers", config.shown(values), f"{name} as a NumPy array")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise GradlabError(f"{name} as one array of numbers", str(error).splitlines()[0], "np.stack") from error
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        hint = "encoding it as numbers first"
        if name == "y" and array.dtype.kind in "UO":
            hint = "np.unique(y, return_inverse=True)[1], which numbers the classes"
        raise GradlabError(f"numbers in {name}", f"an array of {array.dtype}", hint)
    return array


def _check_finite(name: str, values: np.ndarray) -> None:
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return
    bad = ~np.isfinite(values.reshape(len(values), -1) if values.ndim > 1 else values)
    place = tuple(int(i) for i in np.argwhere(bad)[0])
    where = f"the first in example {place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
    received = f"{int(bad.sum())} NaN or inf, {where}"
    raise GradlabError(f"finite numbers in {name}", received, "dropping or filling those examples")


def _labels(y: np.ndarray, outputs: int | None) -> np.ndarray:
    """Labels of classes, counted from 0."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise one_hot(y.shape)
    y = y.reshape(len(y)).astype(np.int64)
    low, high = int(y.min()), int(y.max())
    if low < 0:
        raise GradlabError("labels from 0 upwards", f"a label of {low}", "labels 0, 1, 2, ...")
    if outputs is not None:
        if high >= outputs:
            hint = "labels 0, 1, 2, ..., or parameters for more outputs"
            raise GradlabError(f"labels from 0 to {outputs - 1}", f"labels from {low} to {high}", hint)
        return y
    classes = np.unique(y)
    # a few classes may be missing from a small file; a year, a price or a code is no label
    complete = len(y) >= _OFTEN * len(classes)
    if high >= max(_LARGE, 2 * len(y)) or (complete and high + 1 > max(100, _SPARSE * len(classes))):
        raise GradlabError(
            "labels that count classes from 0", f"a label of {high}, and {len(classes)} different ones",
            "y as floats, with loss='mse', or np.unique(y, return_inverse=True)[1] for classes",
        )  # fmt: skip
    if complete and low == 1 and len(classes) == high:
        note(f"the labels are 1 to {high}: class 0 has no example, and the network {high + 1} outputs; try y - 1")
    return y
