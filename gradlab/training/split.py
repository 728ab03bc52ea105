"""The data of a training: what is trained on, what is kept apart, and the batch that statistics are taken on."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import ALL
from gradlab.core.batch import batch_of
from gradlab.data.loading import balanced

#: Below this many examples of each class a split is drawn without regard to the classes.
_FEW = 2


class Split(NamedTuple):
    """Data in three roles.

    Parameters
    ----------
    x, y : ndarray
        Examples to train on.
    test_x, test_y : ndarray
        Examples kept apart, of which there may be none.
    measured_x, measured_y : ndarray
        A batch of the first, balanced over the classes, for statistics.
    outputs : int
        Number of outputs that the targets ask for.
    name : str
        What the frame calls the data.
    """

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    measured_x: np.ndarray
    measured_y: np.ndarray
    outputs: int
    name: str


def split(
    x: Any, y: Any, test: Any, batch: int | Literal["all"], outputs: int, name: str, key: int
) -> Split:  # fmt: skip
    """Divide data into training, test and measured examples.

    Parameters
    ----------
    x, y : array
        All examples.
    test : float or (x, y)
        Share that is kept apart, drawn by `key` and balanced over the classes; or the examples.
    batch : int or "all"
        Examples in a minibatch, and in the batch for statistics. "all": those to train on, in their order.
    outputs : int
        Number of outputs that the targets ask for.
    name : str
        What the frame calls the data.
    key : int
        Of the draw.

    Raises
    ------
    GradlabError
        Where a minibatch would be larger than what is left to train on.
    """
    x, y = np.asarray(x), np.asarray(y)
    if isinstance(test, tuple):
        test_batch = batch_of(*test, outputs=outputs)
        test_x, test_y = test_batch.x, test_batch.y
        if test_x.shape[1:] != x.shape[1:] or test_y.dtype.kind != y.dtype.kind:
            received = f"x of shape {test_x.shape}, y of {test_y.dtype}"
            raise GradlabError(f"test data like those to train on, of shape {x.shape[1:]} each", received, "test=0.2")
    else:
        mine, kept = _chosen(y, test, key)
        x, y, test_x, test_y = x[mine], y[mine], x[kept], y[kept]
    if batch == ALL:
        return Split(x, y, test_x, test_y, x, y, outputs, name)
    if batch > len(x):
        raise GradlabError(f"a batch of at most the {len(x)} examples to train on", str(batch), f"batch={len(x)}")
    labels = y.dtype.kind in "iu" and y.ndim == 1
    measured = balanced(y, batch) if labels else np.arange(batch)
    return Split(x, y, test_x, test_y, x[measured], y[measured], outputs, name)


def _chosen(y: np.ndarray, share: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the examples to train on, and of those to test on."""
    from sklearn.model_selection import train_test_split

    if not 0 <= share < 1:
        raise GradlabError("test to be a share of at least 0 and below 1, or (x, y)", f"{share!r}", "test=0.2")
    everything, count = np.arange(len(y)), round(share * len(y))
    if not count:
        return everything, everything[:0]
    if count >= len(y):
        raise GradlabError("examples left to train on", f"test={share:g} of {len(y)}", "test=0.2")
    classes = y.dtype.kind in "iu" and y.ndim == 1 and np.bincount(y)[np.unique(y)].min() >= _FEW
    enough = classes and min(count, len(y) - count) >= len(np.unique(y))
    mine, kept = train_test_split(everything, test_size=count, random_state=key, stratify=y if enough else None)
    return np.sort(mine), np.sort(kept)
