"""Data for measurements: named sets, arrays and users' files, checked before anything is computed."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gradlab import config
from gradlab._errors import GradlabError, unknown

if TYPE_CHECKING:
    import pandas as pd

#: Endings of files that `load` reads.
SUFFIXES = (".npz", ".csv", ".parquet")
#: Inputs and classes of the synthetic sets.
FEATURES, CLASSES = 64, 10
#: Examples of a synthetic set where no number is asked for.
BATCH = 128
#: What each draw of a synthetic set is made from, beside the key.
_INPUTS, _COMMON, _TEACHER, _PLANE = range(4)


@dataclass(frozen=True)
class Data:
    """A batch of examples.

    Parameters
    ----------
    x : ndarray, shape (batch, features)
    y : ndarray
        Integer labels (batch,), or real targets (batch,) or (batch, outputs).
    name : str
        What the frame calls it.
    classes : int
        Number of outputs that the targets ask for.
    content_hash : str
        Of the arrays: the same content gives the same results.
    """

    x: np.ndarray
    y: np.ndarray
    name: str
    classes: int
    content_hash: str


def load(
    source: Any,
    *,
    batch: int | None = None,
    loss: str | None = None,
    target: str | None = None,
    q0: float = 1.0,
    c0: float = 0.0,
    key: int = 0,
    dtype: str = "float32",
) -> Data:
    """A checked batch from a named set, a file, or arrays.

    "digits" are the 1797 images that scikit-learn ships, standardised over the whole set; "gaussian"
    has 64 features and the labels of a random linear teacher; "circle" is a great circle in a random
    plane of 64 dimensions, labelled by angle. Arrays and files are taken as they are.

    Parameters
    ----------
    source : str, path or (x, y)
        One of those names; a .npz, .csv or .parquet file; or two arrays.
    batch : int, optional
        Number of examples: balanced over the classes for labels, else the first ones.
        None: all (128 of a synthetic set).
    loss : str, optional
        Checked against the kind of target.
    target : str, optional
        Column (or array of an .npz) that holds the target. Files only; an .npz needs none
        if it holds `x` and `y`.
    q0 : float
        For "gaussian" and "circle": mean square of an input.
    c0 : float
        For "gaussian": correlation of two inputs.
    key : int
        For the synthetic sets.
    dtype : str

    Returns
    -------
    Data

    Raises
    ------
    GradlabError
        Unknown set or column, a file that is missing or not what its name says, NaN or inf, labels
        out of range, shapes that do not match, more examples asked for than there are, or a target
        that the loss cannot take.

    Examples
    --------
    >>> load("digits", batch=20).y
    array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
          dtype=int32)
    """
    batch = None if batch is None else config.positive_integer("batch", batch)
    dtype = config.resolve("dtype", dtype, config.DTYPES)
    loss = None if loss is None else config.resolve("loss", loss, config.LOSSES)
    name, kind = _named(source)
    if target is not None and kind != "file":
        raise GradlabError("target= only for a file", f"target={target!r} with {name}", "leaving it out")
    if kind == "gaussian":
        x, y = _gaussian(batch or BATCH, q0, c0, key)
    elif kind == "circle":
        x, y = _circle(batch or BATCH, q0, key)
    elif kind == "digits":
        x, y = _digits()
    elif kind == "file":
        x, y = _from_file(Path(source), target)
    else:
        x, y = source
    x, y = _checked(x, y, loss)
    if batch is not None and batch > len(x):
        raise GradlabError(f"a batch of at most {len(x)} examples, as {name} has", str(batch), f"batch={len(x)}")
    labels = y.dtype.kind == "i"
    classes = int(y.max()) + 1 if labels else (1 if y.ndim == 1 else y.shape[1])
    if kind == "gaussian" or (batch is not None and batch < len(x)):
        count = batch or BATCH
        chosen = balanced(y, count) if labels else np.arange(count)
        x, y = x[chosen], y[chosen]
    x, y = _as_dtype("x", x, dtype), y.astype(np.int32) if labels else _as_dtype("y", y, dtype)
    digest = hashlib.sha256()
    for array in (x, y):
        digest.update(repr((array.shape, str(array.dtype))).encode() + array.tobytes())
    return Data(x, y, name, classes, digest.hexdigest()[:16])


def balanced(y: np.ndarray, batch: int) -> np.ndarray:
    """Indices of `batch` examples, the classes in turn, each class in the order of the data."""
    turn = np.empty(len(y), int)
    for label in np.unique(y):
        members = np.flatnonzero(y == label)
        turn[members] = np.arange(len(members))
    return np.lexsort((y, turn))[:batch]


def _named(source: Any) -> tuple[str, str]:
    """What the frame calls a source, and its kind: "arrays", "file", or the name of a set."""
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


def _array(what: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
    except (TypeError, ValueError) as error:
        raise GradlabError(f"{what} as one array of numbers", str(error).splitlines()[0], "np.stack") from error


def _checked(x: Any, y: Any, loss: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (examples, features) as float64, and integer labels or real targets as int64 or float64."""
    x, y = _array("x", x), _array("y", y)
    for what, values in (("x", x), ("y", y)):
        if values.dtype.kind not in "fiub":
            raise GradlabError(f"numbers in {what}", f"an array of {values.dtype}", "encoding it as numbers first")
    if x.ndim < 2 or x.size == 0:
        raise GradlabError("x of shape (examples, features)", f"shape {x.shape}", "x.reshape(len(x), -1)")
    x = x.reshape(len(x), -1)
    if y.ndim not in (1, 2) or len(y) != len(x):
        raise GradlabError(
            f"one target for each of the {len(x)} examples, shape ({len(x)},) or ({len(x)}, outputs)",
            f"y of shape {y.shape}", "an x and a y that belong together",
        )  # fmt: skip
    for what, values in (("x", x), ("y", y)):
        bad = ~np.isfinite(values)
        if bad.any():
            place = tuple(int(i) for i in np.argwhere(bad)[0])
            where = f"the first in example {place[0]}" + (f", column {place[1]}" if len(place) > 1 else "")
            raise GradlabError(
                f"finite numbers in {what}",
                f"{int(bad.sum())} NaN or inf, {where}",
                "dropping or filling those examples",
            )
    if y.dtype.kind in "iub":
        return x.astype(np.float64), _labels(y)
    if loss == "softmax_cross_entropy":
        whole = y.ndim == 1 and bool((y == np.round(y)).all())
        raise GradlabError(
            "integer labels for softmax_cross_entropy", f"targets of {y.dtype}",
            "y.astype(int), or loss='mse'" if whole else "loss='mse'",
        )  # fmt: skip
    if loss == "logistic" and not ((y >= 0) & (y <= 1)).all():
        raise GradlabError("targets from 0 to 1 for logistic", f"{y.min():.4g} to {y.max():.4g}", "loss='mse'")
    return x.astype(np.float64), y.astype(np.float64)


def _labels(y: np.ndarray) -> np.ndarray:
    """Labels of classes, counted from 0."""
    if y.ndim == 2 and y.shape[1] > 1:
        raise GradlabError(
            "one integer label for each example", f"an integer y of shape {y.shape}",
            "y.argmax(1) if it is one-hot, else y.astype(float) as real targets",
        )  # fmt: skip
    y = y.reshape(len(y))
    if y.min() < 0:
        raise GradlabError("labels from 0 upwards", f"a label of {y.min()}", "labels 0, 1, 2, ...")
    # a few classes may be missing from a small file; a year or a price is no label
    if y.max() >= max(1000, 2 * len(y)):
        raise GradlabError("labels that count classes from 0", f"a label of {y.max()}", "y as floats, with loss='mse'")
    return y.astype(np.int64)


def _as_dtype(what: str, values: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        cast = np.ascontiguousarray(values, dtype)
    if not np.isfinite(cast).all():
        received = f"a value of {values.flat[np.abs(values).argmax()]:.4g}"
        raise GradlabError(f"{what} within the range of {dtype}", received, "dtype='float64', or rescaling it")
    return cast


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise GradlabError(f"{name} to be a positive number", repr(value), f"{name}=1")


def _draw(key: int, purpose: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normals; rows of a longer draw begin with those of a shorter one."""
    if isinstance(key, bool) or int(key) != key or key < 0:
        raise GradlabError("key to be an integer of at least 0", repr(key), "key=0")
    return np.random.default_rng([int(key), purpose]).standard_normal(shape)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1797 images of 8 x 8 that scikit-learn ships, standardised over the whole set."""
    # the file itself: importing scikit-learn takes longer than a small sweep
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise GradlabError("scikit-learn, which ships the digits", "no such package", "pip install scikit-learn")
    file = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    if file.is_file():
        with gzip.open(file) as lines:
            table = np.loadtxt(lines, delimiter=",")
        x, y = table[:, :-1], table[:, -1]
    else:
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()
        x, y = bunch.data, bunch.target
    spread = x.std(0)
    constant = spread == 0
    return np.where(constant, 0.0, (x - x.mean(0)) / np.where(constant, 1, spread)), y.astype(np.int64)


def _gaussian(batch: int, q0: float, c0: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian inputs of mean square q0 and pairwise correlation c0, labelled by a random linear teacher."""
    _positive("q0", q0)
    if not 0 <= c0 < 1:
        raise GradlabError("c0 to be at least 0 and below 1", repr(c0), "c0=0")
    common = _draw(key, _COMMON, (FEATURES,))
    common /= np.sqrt((common**2).mean())
    # more than are asked for, so that the classes can be balanced
    own = _draw(key, _INPUTS, (4 * batch, FEATURES))
    # the teacher looks at what is an example's own: else all had one label where they are alike
    y = (own @ _draw(key, _TEACHER, (FEATURES, CLASSES))).argmax(1)
    return np.sqrt(q0) * (np.sqrt(c0) * common + np.sqrt(1 - c0) * own), y


def _circle(batch: int, q0: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """A great circle of mean square q0 in a random plane (Poole et al. 2016), labelled by angle."""
    _positive("q0", q0)
    plane, _ = np.linalg.qr(_draw(key, _PLANE, (FEATURES, 2)))
    angle = 2 * np.pi * np.arange(batch) / batch
    x = np.sqrt(q0 * FEATURES) * np.stack([np.cos(angle), np.sin(angle)], 1) @ plane.T
    return x, np.arange(batch) * CLASSES // batch


def _from_file(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():
        received = f"{str(path)!r}, which is {'a folder' if path.is_dir() else 'not there'}"
        raise GradlabError("a data file", received, "checking the path")
    try:
        path.open("rb").close()
    except OSError as error:
        raise GradlabError(f"to read {path}", error.strerror or type(error).__name__, "another file") from error
    return _from_npz(path, target) if path.suffix.lower() == ".npz" else _from_table(path, target)


def _not_what_it_says(path: Path, error: Exception) -> NoReturn:
    told = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}" if str(error) else type(error).__name__
    raise GradlabError(
        f"{path.name} to be a {path.suffix} file", f"something else ({told})", "the right ending for what is in it"
    ) from error


def _no_target(target: str, names: Iterable[Any]) -> GradlabError:
    return unknown("target", target, map(str, names))


def _from_table(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    try:
        table = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except Exception as error:  # each reader has its own
        _not_what_it_says(path, error)
    columns = [str(name) for name in table.columns]
    if target is None:
        raise GradlabError(
            "the column that holds the target", f"none of {', '.join(columns)}", f"target={columns[-1]!r}"
        )
    if target not in columns:
        raise _no_target(target, columns)
    table.columns = columns
    if not columns[1:] or not len(table):
        raise GradlabError(
            "rows with a target and features", f"a table of {len(table)} x {len(columns)}", "another file"
        )
    x = np.stack([_column(path, name, table[name]) for name in columns if name != target], 1)
    return x, _column(path, target, table[target])


def _column(path: Path, name: str, column: pd.Series) -> np.ndarray:
    """A column as plain numbers; what is missing becomes NaN, which is found later."""
    import pandas as pd

    kinds = pd.api.types
    if not (kinds.is_numeric_dtype(column) or kinds.is_bool_dtype(column)) or kinds.is_complex_dtype(column):
        held = f"{column.dtype}" + (f", such as {column.iloc[0]!r}" if len(column) else "")
        raise GradlabError(f"numbers in column {name!r} of {path.name}", held, "encoding them as numbers first")
    if column.isna().any():
        return column.to_numpy(dtype=float, na_value=np.nan)
    return np.asarray(column.to_numpy(dtype=getattr(column.dtype, "numpy_dtype", None)))


def _from_npz(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # text, a single array, pickled objects: each has its own
        _not_what_it_says(path, error)
    target = target or "y"
    if target not in arrays:
        raise _no_target(target, arrays)
    rest = [name for name in arrays if name != target]
    if "x" not in rest and len(rest) != 1:
        raise GradlabError("an .npz with arrays x and y", f"arrays {', '.join(arrays)}", "np.savez(path, x=x, y=y)")
    return arrays["x" if "x" in rest else rest[0]], arrays[target]
