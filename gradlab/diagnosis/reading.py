r"""What is kept of one array: a short vector of numbers, and vectors of parts make one of the whole.

A sum of squares in float32 is lost below 1e-19 and above 1e19. So all sums are of entries over a power of two
near the largest one, which stands beside them. A sum of its own costs a compiler time at every site, so all are taken
in one loop.

Pairs of examples are neighbours on the first axis that is not one of units, two by two, each example in one pair:

.. math:: 1 - c = \frac{\sum |x_{2i} - x_{2i+1}|^2}{\sum |x_{2i}|^2 + |x_{2i+1}|^2}.

From differences nothing cancels where examples have become alike, and of deltas the same number is 1 - their cosine.
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab.core.activations import TABLE
from gradlab.diagnosis.sites import Site

Role = Literal["value", "delta"]

#: What the vector holds. ``top``: the largest absolute entry. Of all entries, over a
#: power of two, see `_inverse`: ``squares`` and ``sum``; of pairs of examples: ``apart``, squares of their differences,
#: and ``paired``, squares of both. Counts: ``zeros``, ``not_finite``, ``entries``; of an activation units that are 0
#: everywhere (``still``), all ``units``; entries near a limit of the activation (``near_limit``), entries of an
#: activation that has limits (``limited``).
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
        Whether the array is a signal or a derivative of the loss: only a signal has limits and pairs of examples.

    Returns
    -------
    Array, shape (len(FIELDS),)
        Of float32, of float64 for an array of that. What is not finite is counted, and left out of all else.
    """
    features = tuple(axis for axis in site.features if axis < x.ndim)
    value = role == "value"
    return _read(x, features, value and site.kind == "activation", value, limits_of(site.function) if value else None)


@functools.partial(jax.jit, static_argnums=(1, 2, 3, 4))  # traced once for all sites that are alike
def _read(x: Array, features: tuple[int, ...], by_unit: bool, value: bool, limits: tuple[float, float] | None) -> Array:
    x = x.astype(jnp.float64 if x.dtype.itemsize == 8 else jnp.float32)
    number = lambda n: jnp.asarray(n, x.dtype)
    others = tuple(axis for axis in range(x.ndim) if axis not in features)
    by_unit = bool(features) and by_unit
    finite = jnp.isfinite(x)
    kept = jnp.where(finite, x, 0)
    tops = jnp.max(jnp.abs(kept), others if by_unit else None, initial=0)  # of each unit, or of the array
    top = jnp.max(tops, initial=0)
    ratio = kept * _inverse(top)
    terms = {"squares": ratio * ratio, "zeros": x == 0, "not_finite": ~finite}
    fields = dict.fromkeys(FIELDS, number(0)) | {"top": top, "entries": number(x.size)}
    if value:
        terms["sum"] = ratio
    if limits is not None:
        low, high = limits
        margin = SATURATION * (high - low)
        terms["near_limit"] = (x < low + margin) | (x > high - margin)
        fields["limited"] = number(x.size)
    paired = x.ndim > 1 and others and x.shape[others[0]] > 1
    if paired and x.shape[others[0]] % 2 == 0:
        terms["apart"] = _apart(ratio, others[0])
    fields |= _sums(terms)
    if paired:
        fields["apart"], fields["paired"] = _pairs(ratio, others[0], fields)
    if by_unit:
        fields |= {"still": jnp.sum(tops == 0, dtype=jnp.int32).astype(x.dtype), "units": number(tops.size)}
    return jnp.stack([fields[name] for name in FIELDS])


def _sums(terms: dict[str, Array]) -> dict[str, Array]:
    """Sums over all entries of several arrays of one shape, in one loop: compilers write one program for it.

    What is no float is counted, in integers, for a float stops counting at 2**24.
    """
    floats = terms["squares"].dtype
    arrays = [v if v.dtype == floats else v.astype(jnp.int32) for v in terms.values()]
    zeros = [np.zeros((), v.dtype) for v in arrays]
    add = lambda left, right: tuple(a + b for a, b in zip(left, right, strict=True))
    sums = lax.reduce(tuple(arrays), tuple(zeros), add, tuple(range(arrays[0].ndim)))
    return {name: v.astype(floats) for name, v in zip(terms, sums, strict=True)}


def _apart(x: Array, axis: int) -> Array:
    """Squares of the differences of each example from its partner; of an even number of them."""
    pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
    return ((pairs - lax.rev(pairs, (axis + 1,))) ** 2).reshape(x.shape)


def _pairs(x: Array, axis: int, fields: dict[str, Array]) -> tuple[Array, Array]:
    """Sum of squares of the differences of pairs of examples, and of both; the last of an odd number has none."""
    if x.shape[axis] % 2 == 0:
        return fields["apart"] / 2, fields["squares"]
    x = lax.slice_in_dim(x, 0, x.shape[axis] - 1, axis=axis)
    sums = _sums({"squares": x * x, "apart": _apart(x, axis)})
    return sums["apart"] / 2, sums["squares"]


def _inverse(top: Array) -> Array:
    """1 / s, s the power of two with top in [2s, 4s), by the bits of the exponent's field.

    Products with a power of two are exact, so differences of entries stay so; and 1 / s is a normal number for each
    normal top.
    """
    kind, digits, most = (jnp.uint64, 52, 2046) if top.dtype.itemsize == 8 else (jnp.uint32, 23, 254)
    field = lax.bitcast_convert_type(top, kind) >> kind(digits)
    field = jnp.minimum(kind(most + 1) - field, kind(most))
    return lax.bitcast_convert_type(field << kind(digits), top.dtype)


def _scale(top: np.ndarray) -> np.ndarray:
    """log10 of the power of two that `_inverse` is one over."""
    return (np.frexp(top)[1] - 2) * np.log10(2)


def merge(a: Array, b: Array) -> Array:
    """Return the vector of two parts, along the last axis; units count once in each part."""
    top = jnp.maximum(a[..., :1], b[..., :1])
    u, v = (_inverse(top) / _inverse(part[..., :1]) for part in (a, b))
    squares = a[..., _SQUARES] * u**2 + b[..., _SQUARES] * v**2
    sums = a[..., _SUM : _SUM + 1] * u + b[..., _SUM : _SUM + 1] * v
    return jnp.concatenate([top, squares, sums, a[..., _SUM + 1 :] + b[..., _SUM + 1 :]], -1)


def columns(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the vectors say, in float64.

    Parameters
    ----------
    vectors : ndarray, shape (..., len(FIELDS))
        What `read` returned, of one array or of several.

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
            "log10_rms": np.where(v["top"] > 0, _scale(v["top"]) + 0.5 * np.log10(v["squares"] / finite), log10_max),
            "mean_over_rms": v["sum"] / np.sqrt(alive * finite),
            "log10_max": log10_max,
            "zero_fraction": v["zeros"] / v["entries"],
            "not_finite": np.where(v["entries"] > 0, v["not_finite"], np.nan),
            "dead_fraction": v["still"] / v["units"],
            "saturated_fraction": v["near_limit"] / v["limited"],
            "log10_one_minus_c": np.log10(gap),
            "cosine": 1 - gap,
        }
