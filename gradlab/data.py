"""Data for measurements: named sets, arrays and users' files, checked before anything is computed."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gradlab import config
from gradlab._errors import GradlabError, unknown

#: Endings of files that `load` reads.
SUFFIXES = (".npz", ".csv", ".parquet")
#: Inputs and classes of the synthetic sets.
FEATURES, CLASSES = 64, 10


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

    Parameters
    ----------
    source : str, path or (x, y)
        "digits", "gaussian" or "circle"; a .npz, .csv or .parquet file; or two arrays.
    batch : int, optional
        Number of examples: balanced over the classes for labels, else the first ones.
        None: all (128 of a synthetic set).
    loss : str, optional
        Checked against the kind of target.
    target : str, optional
        Column (or array of an .npz) that holds the target. Files only; an .npz needs none
        if it holds `x` and `y`.
    q0, c0 : float
        For "gaussian": mean square of an input, and correlation of two examples.
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
    """
    named = False
    if isinstance(source, tuple | list) and len(source) == 2:
        (x, y), name = source, "arrays"
    elif str(source) in config.DATASETS:
        name, named = str(source), True
        x, y = {"digits": _digits, "gaussian": _gaussian, "circle": _circle}[name](batch or 128, q0, c0, key)
    elif isinstance(source, Path) or Path(str(source)).suffix in SUFFIXES:
        x, y = _from_file(Path(source), target)
        name = Path(source).stem
    elif Path(str(source)).suffix:
        raise GradlabError(f"a file that ends in {', '.join(SUFFIXES)}", repr(str(source)), "converting it to one of them")
    else:
        raise unknown("data", source, config.DATASETS, "a .npz, .csv or .parquet file")
    x, y = _checked(np.asarray(x), np.asarray(y), loss)
    if batch is not None and batch > len(x):
        raise GradlabError(f"a batch of at most {len(x)} examples, as {name} has", str(batch), f"batch={len(x)}")
    integer = np.issubdtype(y.dtype, np.integer)
    classes = int(y.max()) + 1 if integer else (1 if y.ndim == 1 else y.shape[1])
    if batch is not None and (batch < len(x) or named):
        chosen = balanced(y, batch) if integer else np.arange(batch)
        x, y = x[chosen], y[chosen]
    x = np.ascontiguousarray(x, dtype)
    y = np.ascontiguousarray(y, np.int32 if integer else dtype)
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


def _checked(x: np.ndarray, y: np.ndarray, loss: str | None) -> tuple[np.ndarray, np.ndarray]:
    if x.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        raise GradlabError("numbers", f"x of {x.dtype} and y of {y.dtype}", "encoding text columns as numbers first")
    if x.ndim != 2:
        x = x.reshape(len(x), -1) if x.ndim > 2 else x
    if x.ndim != 2 or x.size == 0:
        raise GradlabError("x of shape (examples, features)", f"shape {x.shape}", "x.reshape(len(x), -1)")
    if len(y) != len(x):
        raise GradlabError(f"one target for each of the {len(x)} examples", f"{len(y)} targets", "y of the same length")
    for what, values in (("x", x), ("y", y)):
        bad = ~np.isfinite(values)
        if bad.any():
            row = int(np.argwhere(bad)[0][0])
            raise GradlabError(
                f"finite numbers in {what}", f"{int(bad.sum())} NaN or inf, the first in example {row}",
                "dropping or filling those examples",
            )  # fmt: skip
    if y.dtype.kind in "iub":
        y = y.astype(np.int64)
        if y.ndim == 1 and y.min() < 0:
            raise GradlabError("labels from 0 upwards", f"a label of {y.min()}", "labels 0, 1, 2, ...")
        if y.ndim == 1 and y.max() >= max(1000, 2 * len(y)):
            raise GradlabError("labels that count classes from 0", f"a label of {y.max()}", "real targets as floats, with loss='mse'")
    elif loss == "softmax_cross_entropy":
        raise GradlabError("integer labels for softmax_cross_entropy", f"targets of {y.dtype}", "loss='mse'")
    return x.astype(np.float64), y


def _digits(batch: int, q0: float, c0: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """The 1797 images of 8 x 8 that scikit-learn ships, standardised over the whole set."""
    # the file itself: importing scikit-learn takes longer than a small sweep
    folder = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0])
    with gzip.open(folder / "datasets" / "data" / "digits.csv.gz") as file:
        table = np.loadtxt(file, delimiter=",")
    x, y = table[:, :-1], table[:, -1]
    spread = x.std(0)
    return np.where(spread > 0, (x - x.mean(0)) / np.where(spread > 0, spread, 1), 0.0), y.astype(np.int64)


def _gaussian(batch: int, q0: float, c0: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian inputs of mean square q0 and pairwise correlation c0, labelled by a random linear teacher."""
    if not q0 > 0 or not 0 <= c0 < 1:
        raise GradlabError("q0 > 0 and 0 <= c0 < 1", f"q0={q0}, c0={c0}", "q0=1, c0=0")
    rng = np.random.default_rng([key, 1])
    common = rng.normal(size=FEATURES)
    own = rng.normal(size=(4 * batch, FEATURES))
    x = np.sqrt(q0) * (np.sqrt(c0) * common + np.sqrt(1 - c0) * own)
    teacher = np.random.default_rng([key, 2]).normal(size=(FEATURES, CLASSES))
    # ranks instead of an argmax: every class gets the same share, also where all inputs are alike
    scores = x @ teacher[:, 0]
    y = np.argsort(np.argsort(scores)) * CLASSES // len(scores)
    return x, y


def _circle(batch: int, q0: float, c0: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """A great circle of radius sqrt(q0 * features) in a random plane (Poole et al. 2016), labelled by angle."""
    if not q0 > 0:
        raise GradlabError("q0 > 0", f"q0={q0}", "q0=1")
    rng = np.random.default_rng([key, 3])
    plane, _ = np.linalg.qr(rng.normal(size=(FEATURES, 2)))
    angle = 2 * np.pi * np.arange(batch) / batch
    x = np.sqrt(q0 * FEATURES) * (np.cos(angle)[:, None] * plane[:, 0] + np.sin(angle)[:, None] * plane[:, 1])
    return x, (np.arange(batch) * CLASSES // batch).astype(np.int64)


def _from_file(path: Path, target: str | None) -> tuple[np.ndarray, np.ndarray]:
    if not path.is_file():
        raise GradlabError("a data file", f"{str(path)!r}, which is not there", "checking the path")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return _from_arrays({k: arrays[k] for k in arrays.files}, target)
        import pandas as pd

        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except GradlabError:
        raise
    except Exception as error:
        raise GradlabError(
            f"{path.name} to be a {path.suffix} file", f"{type(error).__name__}: {str(error).splitlines()[0][:120]}",
            "the right ending for what is in it",
        ) from error  # fmt: skip
    if target is None:
        raise GradlabError("the column that holds the target", "none", f"--target {table.columns[-1]}")
    if target not in table.columns:
        raise unknown("target", target, map(str, table.columns))
    return table.drop(columns=target).to_numpy(), table[target].to_numpy()


def _from_arrays(arrays: dict[str, np.ndarray], target: str | None) -> tuple[np.ndarray, np.ndarray]:
    target = target or "y"
    if target not in arrays:
        raise unknown("target", target, arrays)
    if "x" in arrays and target != "x":
        return arrays["x"], arrays[target]
    rest = [k for k in arrays if k != target]
    if len(rest) != 1:
        raise GradlabError("an .npz with arrays x and y", f"arrays {', '.join(arrays)}", "np.savez(path, x=x, y=y)")
    return arrays[rest[0]], arrays[target]
