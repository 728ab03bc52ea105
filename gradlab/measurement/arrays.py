r"""Plain statistics of any real array: sizes as log10, exact where the square of an entry leaves the range.

.. math:: \log_{10}|x| = \log_{10} m + \tfrac12\log_{10}\sum_i (x_i/m)^2, \qquad m = \max_i |x_i|

The sum of squares itself is taken first, and is enough wherever it lies well within the range of the dtype: one
pass over the array instead of two. Arrays of 16 bits are summed in float32. The functions work on JAX arrays,
inside `jit`, `vmap` and with arrays spread over devices, and on NumPy arrays, there in the array's own precision.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab._errors import GradlabError
from gradlab.core.scaled import PRECISION


class Size(NamedTuple):
    """Hold log10 of the norm of an array (-inf for a true zero) and the number of its entries that are not finite."""

    log10_norm: Any
    not_finite: Any


def log10_norm(x: Any) -> Any:
    """Compute log10 of the Euclidean norm over all entries.

    Parameters
    ----------
    x : array
        An array of real floats, of any shape: NumPy's, JAX's or PyTorch's.

    Returns
    -------
    scalar array
        float64 for float64, otherwise float32. -inf where all entries are zero; NaN where an entry is NaN; inf where
        one is infinite. JAX takes numbers below the smallest normal float for zeros, because XLA flushes them; NumPy
        does not.

    Raises
    ------
    GradlabError
        If `x` is no array of real floats.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.full(1000, 1e-19, np.float32)
    >>> print(f"{np.linalg.norm(x):.1f}, {log10_norm(x):.1f}")
    0.0, -17.5
    """
    return size(x).log10_norm


def log10_rms(x: Any) -> Any:
    """Compute log10 of the root mean square over all entries; see `log10_norm`."""
    count = max(int(np.size(x)), 1)
    return log10_norm(x) - np.float32(0.5 * np.log10(count))


def size(x: Any) -> Size:
    """Compute the norm, and count the entries that are not finite; see `log10_norm`."""
    x = real(x)
    if isinstance(x, np.ndarray):
        with np.errstate(divide="ignore", invalid="ignore"):
            return _scaled(x, np)
    if x.size == 0:
        return Size(jnp.asarray(-jnp.inf, x.dtype), jnp.asarray(0, jnp.int32))
    return _size(x)


@jax.jit
def _size(x: Array) -> Size:
    axes = tuple(range(x.ndim))
    squares = lax.dot_general(x, x, ((axes, axes), ((), ())), precision=PRECISION)
    # Squares below the smallest normal float are lost. Above this floor they sum to less than a rounding error.
    floor = x.size * float(jnp.finfo(x.dtype).tiny) / float(jnp.finfo(x.dtype).eps)
    safe = (squares > jnp.asarray(floor, x.dtype)) & jnp.isfinite(squares)
    plain = lambda x, squares: Size(_half_log10(squares, jnp), jnp.asarray(0, jnp.int32))
    return lax.cond(safe, plain, lambda x, squares: _scaled(x, jnp), x, squares)


def _half_log10(squares: Any, xp: Any) -> Any:
    return xp.log10(squares) * xp.asarray(0.5, squares.dtype)


def _scaled(x: Any, xp: Any) -> Size:
    """Compute the norm from the entries divided by the largest of them."""
    top = xp.max(xp.abs(x)) if x.size else xp.asarray(0, x.dtype)
    usable = xp.isfinite(top) & (top > 0)
    ratio = x / xp.where(usable, top, xp.asarray(1, x.dtype))
    squares = xp.sum(xp.where(usable, ratio * ratio, xp.zeros_like(ratio)))
    # Where the largest entry is 0, inf or NaN, its log10 is the result.
    norm = xp.log10(top) + _half_log10(xp.where(usable, squares, xp.asarray(1, x.dtype)), xp)
    return Size(norm, xp.sum(~xp.isfinite(x), dtype=xp.int32))


def over_size(x: Any, log10_size: Any) -> Any:
    """Divide an array by a size that is given as its log10, without leaving the range of floats.

    Parameters
    ----------
    x : array
        The array to divide.
    log10_size : scalar array
        log10 of the size, for instance `log10_rms` of the layer that `x` belongs to. Where the size is 0, so is the
        result.
    """
    x = real(x)
    xp = np if isinstance(x, np.ndarray) else jnp
    top = xp.max(xp.abs(x)) if x.size else xp.asarray(0, x.dtype)
    usable = xp.isfinite(top) & (top > 0)
    safe = xp.where(usable, top, xp.asarray(1, x.dtype))
    factor = xp.asarray(10, x.dtype) ** (xp.log10(safe) - xp.asarray(log10_size, x.dtype))
    return xp.where(usable, x / safe * factor, xp.zeros_like(x))


def pooled(log10_norms: Any, axis: int = -1) -> Any:
    """Compute log10 of the norm of several arrays together, from log10 of the norm of each."""
    xp = np if isinstance(log10_norms, np.ndarray) else jnp
    top = xp.max(log10_norms, axis, keepdims=True)
    usable = xp.isfinite(top)
    gap = log10_norms - xp.where(usable, top, xp.asarray(0, log10_norms.dtype))
    squares = xp.sum(xp.where(usable, xp.asarray(10, gap.dtype) ** (2 * gap), xp.ones_like(gap)), axis, keepdims=True)
    together = xp.where(usable, top + _half_log10(squares, xp), top)
    return xp.squeeze(together, axis)


def real(x: Any) -> np.ndarray | Array:
    """Return the array as floats of 32 bits or more. A JAX array remains one, any other becomes NumPy's.

    Raises
    ------
    GradlabError
        If `x` holds complex numbers, or is no array of floats.
    """
    if not isinstance(x, jax.Array):
        x = to_numpy(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise GradlabError("a real array of floats", str(x.dtype), "the gradients of floating-point parameters")
    return x if jnp.finfo(x.dtype).bits >= 32 else x.astype(np.float32)


def to_numpy(x: Any) -> np.ndarray:
    """Convert the array of any library to NumPy's."""
    if hasattr(x, "detach"):  # an array of PyTorch: NumPy reads none on a device, and no bfloat16
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    return np.asarray(x)
