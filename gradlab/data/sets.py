"""Named sets of vectors: the digits, Gaussian inputs with a teacher, a circle, spirals."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import integer

#: Inputs and classes of the synthetic sets.
FEATURES, CLASSES = 64, 10
#: Spirals that lie between one another, the times each goes around, its first and last radius, its noise.
ARMS, TURNS, RADII, NOISE = 3, 3, (6.5, 0.5), 0.1
#: What each draw of a synthetic set is made from, beside the key.
_INPUTS, _COMMON, _TEACHER, _PLANE, _PLACES, _JITTER = range(6)


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise GradlabError(f"{name} to be a positive number", repr(value), f"{name}=1")


def generator(key: int, purpose: int) -> np.random.Generator:
    """Random numbers for one purpose of one key."""
    return np.random.default_rng([integer("key", key, 0), purpose])


def draw(key: int, purpose: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normals; rows of a longer draw begin with those of a shorter one."""
    return generator(key, purpose).standard_normal(shape)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Load the 1797 images of 8 x 8 that scikit-learn ships, standardised over the whole set."""
    # the file itself: importing scikit-learn takes longer than a small sweep
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise GradlabError("scikit-learn, which ships the digits", "no such package", "pip install scikit-learn")
    file = Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
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


def gaussian(batch: int, q0: float, c0: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian inputs of mean square q0 and pairwise correlation c0, labelled by a random linear teacher."""
    _positive("q0", q0)
    if not 0 <= c0 < 1:
        raise GradlabError("c0 to be at least 0 and below 1", repr(c0), "c0=0")
    common = draw(key, _COMMON, (FEATURES,))
    common /= np.sqrt((common**2).mean())
    # more than are asked for, so that the classes can be balanced
    drawn = draw(key, _INPUTS, (4 * batch, FEATURES))
    # the teacher looks at what is an example's own: else all had one label where they are alike
    y = (drawn @ draw(key, _TEACHER, (FEATURES, CLASSES))).argmax(1)
    return np.sqrt(q0) * (np.sqrt(c0) * common + np.sqrt(1 - c0) * drawn), y


def circle(batch: int, q0: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a great circle of mean square q0 in a random plane (Poole et al. 2016), labelled by angle."""
    _positive("q0", q0)
    plane, _ = np.linalg.qr(draw(key, _PLANE, (FEATURES, 2)))
    angle = 2 * np.pi * np.arange(batch) / batch
    x = np.sqrt(q0 * FEATURES) * np.stack([np.cos(angle), np.sin(angle)], 1) @ plane.T
    return x, np.arange(batch) * CLASSES // batch


def spirals(batch: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Points on three spirals that lie between one another, labelled by spiral; labels in turn.

    Spiral k has radius :math:`r = 6.5 - 6t` and angle :math:`2\pi(3t + k/3)`, with t uniform in (0, 1): the shape of
    the two spirals of Lang & Witbrock 1988. Gaussian noise of 0.1 is added (neighbouring spirals are 2/3 apart),
    and both features are divided by their expected root mean square, :math:`(15.25/2 + 0.1^2)^{1/2}`.
    """
    y = np.arange(batch) % ARMS
    t = generator(key, _PLACES).random(batch)
    outer, inner = RADII
    radius, angle = outer - (outer - inner) * t, 2 * np.pi * (TURNS * t + y / ARMS)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) + NOISE * draw(key, _JITTER, (batch, 2))
    square = (outer**2 + outer * inner + inner**2) / 3  # E r^2
    return x / np.sqrt(square / 2 + NOISE**2), y
