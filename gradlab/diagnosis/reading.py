r"""What is kept of one array: a short vector of numbers, and vectors of parts make one of the whole.

A sum of squares in float32 is lost below 1e-19 and above 1e19. So all sums are of entries over the largest one, which
stands beside them. Each sum costs a compiler time at every site, so there are few.

Pairs of examples are neighbours on the first axis that is not one of units, two by two, each example in one pair:

.. math:: 1 - c = \frac{\sum |x_{2i} - x_{2i+1}|^2}{\sum |x_{2i}|^2 + |x_{2i+1}|^2}.

From differences nothing cancels where examples have become alike, and of deltas the same number is 1 - their cosine.
"""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab.core.activations import TABLE
from gradlab.diagnosis.sites import Site

Role = Literal["value", "delta"]

#: What the vector holds. ``top``: the largest absolute entry. Over it, of all entries: ``squares`` and ``sum``; of
#: pairs of examples: ``apart``, squares of their differences, and ``paired``, squares of both. Counts: ``zeros``,
#: ``not_finite``, ``entries``; units that are 0 everywhere (``still``), all ``units``; entries near a limit of the
#: activation (``near_limit``), entries of an activation that has limits (``limited``).
FIELDS: tuple[str, ...] = (
    "top", "squares", "apart", "paired", "sum",
    "zeros", "not_finite", "entries", "still", "units", "near_limit", "limited",
)  # fmt: skip
#: Of these the first grows by maximum, the next by the square of the largest entry, one with it, all others are counts.
_SQUARES, _SUM = slice(1, 4), 4

#: Share of the range within which an activation counts as saturated.
SATURATION = 0.01
#: Activations that JAX calls otherwise than gradlab's table does, or that are not in it.
_OTHERS: dict[str, tuple[float, float]] = {"logistic": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0)}


def limits_of(function: str) -> tuple[float, float] | None:
    """Lower and upper limit of an activation, where both are finite."""
    return TABLE[function].limits if function in TABLE.names else _OTHERS.get(function)


def read(x: Array, site: Site, role: Role) -> Array:
    """Read one array.

    Parameters
    ----------
    x : Array
        Of floats, of any format and shape.
    site : Site
        Where it is from: ``features`` are the axes of its units, ``function`` tells an activation's limits.
    role : {"value", "delta"}

    Returns
    -------
    Array, shape (len(FIELDS),)
        Of float32, of float64 for an array of that. What is not finite is counted, and left out of all else.
    """
    x = x.astype(jnp.float64 if x.dtype.itemsize == 8 else jnp.float32)
    count = lambda which: jnp.sum(which, dtype=jnp.int32).astype(x.dtype)  # a float stops counting at 2**24
    number = lambda n: jnp.asarray(n, x.dtype)
    features = tuple(axis for axis in site.features if axis < x.ndim)
    others = tuple(axis for axis in range(x.ndim) if axis not in features)
    finite = jnp.isfinite(x)
    kept = jnp.where(finite, x, 0)
    tops = jnp.max(jnp.abs(kept), others, initial=0)  # of each unit, or of the array
    top = jnp.max(tops, initial=0)
    scale = _scale(top)
    ratio = kept / scale
    rest = scale / jnp.where(top > 0, top, 1)
    squares = jnp.sum(ratio * ratio)
    found = dict.fromkeys(FIELDS, number(0)) | {
        "top": top,
        "squares": squares * rest**2,
        "zeros": count(x == 0),
        "not_finite": count(~finite),
        "entries": number(x.size),
    }
    if features:
        found |= {"still": count(tops == 0), "units": number(tops.size)}
    if x.ndim > 1 and others and x.shape[others[0]] > 1:
        found |= {name: v * rest**2 for name, v in _pairs(ratio, others[0], squares).items()}
    if role == "value":
        found["sum"] = jnp.sum(ratio) * rest
        if limits := limits_of(site.function):
            low, high = limits
            margin = SATURATION * (high - low)
            found |= {"near_limit": count((x < low + margin) | (x > high - margin)), "limited": number(x.size)}
    return jnp.stack([found[name] for name in FIELDS])


def _scale(top: Array) -> Array:
    """The power of two next to a number, and 1 for 0: what is divided by it keeps all its digits."""
    about = jnp.finfo(top.dtype)
    below_overflow = jnp.minimum(top, jnp.asarray(2.0 ** (about.maxexp - 2), top.dtype))
    return lax.reduce_precision(jnp.where(top > 0, below_overflow, 1), about.nexp, 0)


def _pairs(x: Array, axis: int, squares: Array) -> dict[str, Array]:
    """Sum of squares of the differences of pairs of examples, and of both; `squares` is that of all."""
    half, odd = divmod(x.shape[axis], 2)
    if odd:
        x = lax.slice_in_dim(x, 0, 2 * half, axis=axis)
        squares = jnp.sum(x * x)
    x = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :])
    one, two = (lax.index_in_dim(x, i, axis + 1, keepdims=False) for i in (0, 1))
    return {"apart": jnp.sum((one - two) ** 2), "paired": squares}


def merge(a: Array, b: Array) -> Array:
    """The vector of two parts, along the last axis; units count once in each part."""
    top = jnp.maximum(a[..., :1], b[..., :1])
    safe = jnp.where(top > 0, top, 1)
    u, v = a[..., :1] / safe, b[..., :1] / safe
    squares = a[..., _SQUARES] * u**2 + b[..., _SQUARES] * v**2
    sums = a[..., _SUM : _SUM + 1] * u + b[..., _SUM : _SUM + 1] * v
    return jnp.concatenate([top, squares, sums, a[..., _SUM + 1 :] + b[..., _SUM + 1 :]], -1)


def columns(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """What the vectors say, in float64.

    Parameters
    ----------
    vectors : ndarray, shape (..., len(FIELDS))

    Returns
    -------
    dict of str to ndarray, shape (...)
        ``log10_rms``, ``mean_over_rms``, ``log10_max``, ``zero_fraction``, ``not_finite``, ``dead_fraction`` (units
        that are 0 everywhere), ``saturated_fraction``, ``log10_one_minus_c``, ``cosine`` (of pairs: c itself). NaN
        where there is nothing that they could be of; log10 of a true zero is -inf.
    """
    v = dict(zip(FIELDS, np.moveaxis(np.asarray(vectors, np.float64), -1, 0), strict=True))
    finite = v["entries"] - v["not_finite"]
    with np.errstate(divide="ignore", invalid="ignore"):
        some = np.where(finite > 0, 0.0, np.nan)
        alive = np.where(v["top"] > 0, v["squares"], np.nan)
        gap = np.where(v["paired"] > 0, v["apart"] / v["paired"], np.nan)
        log10_max = np.log10(v["top"]) + some
        return {
            "log10_rms": log10_max + np.where(v["top"] > 0, 0.5 * np.log10(v["squares"] / finite), 0),
            "mean_over_rms": v["sum"] / np.sqrt(alive * finite),
            "log10_max": log10_max,
            "zero_fraction": v["zeros"] / v["entries"],
            "not_finite": np.where(v["entries"] > 0, v["not_finite"], np.nan),
            "dead_fraction": v["still"] / v["units"],
            "saturated_fraction": v["near_limit"] / v["limited"],
            "log10_one_minus_c": np.log10(gap),
            "cosine": 1 - gap,
        }
