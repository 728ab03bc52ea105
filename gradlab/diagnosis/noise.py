r"""Whether a gradient is more than noise: how far those of parts of a batch agree.

The batch is split into m equal parts. With :math:`g_j` the gradient of part j and :math:`\bar g` their mean,

.. math:: \mathrm{snr} = \frac{m|\bar g|^2}{\frac{1}{m-1}\sum_j|g_j - \bar g|^2}
          \approx \frac{B|g|^2}{\mathrm{tr}\,\mathrm{Cov}},

Cov the covariance over examples: the same for a loss that is a mean over examples and one that is a sum. Of pure noise
it is 1 in the mean.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab.measurement.noise import snr_of_parts

#: Parts at most: 7 degrees of freedom for each direction of the gradient.
PARTS = 8


#: Examples from which on a gradient that is worth following stands out of its noise: the noise scale of networks at the
#: start of their training is tens of examples (McCandlish et al. 2018), so fewer say little of any network.
ENOUGH = 128


class Noise(NamedTuple):
    """Signal-to-noise of each leaf, or why it was not measured.

    Parameters
    ----------
    ratios : tuple of ndarray, or None
        In the order of the leaves, of the shape of the axes that stand for layers; NaN for a gradient of zero.
    parts : int
        Into how many the batch was split.
    reason : str
        Empty where it was.
    """

    ratios: tuple[np.ndarray, ...] | None
    parts: int = 0
    reason: str = ""


def signal_to_noise(
    loss: Callable[..., Array],
    params: Any,
    args: tuple[Any, ...],
    depths: Sequence[int] | None = None,
    enough: int = 2,
) -> Noise:
    """Measure the signal-to-noise ratio of the gradient over examples, from parts of the batch.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)``, a scalar.
    params : tree of arrays of floats
        The point at which the gradients are taken.
    args : tuple
        Every array of them with axes, but for keys, is split along its first one.
    depths : sequence of int, optional
        Of each leaf how many leading axes stand for layers; none by default.
    enough : int
        Of a batch of fewer examples nothing is measured.
    """
    leaves, structure = jax.tree.flatten(args)
    split = [_is_split(leaf) for leaf in leaves]
    lengths = {leaf.shape[0] for leaf, flag in zip(leaves, split, strict=True) if flag}
    if len(lengths) != 1:
        shown = f"of lengths {', '.join(map(str, sorted(lengths)))}" if lengths else "without axes"
        return Noise(None, 0, f"the batch was not split: its arrays are {shown}")
    (length,) = lengths
    if length < 2:
        return Noise(None, 0, f"the batch was not split: it has {length} example" + "s" * (length != 1))
    if length < enough:
        why = f"of {length} examples it says little; {enough} are enough"
        return Noise(None, 0, f"the gradient's signal over noise was not measured: {why}")
    parts = min(length, PARTS)
    size = length // parts
    cut = [
        leaf[: parts * size].reshape(parts, size, *leaf.shape[1:])
        for leaf, flag in zip(leaves, split, strict=True)
        if flag
    ]
    depths = tuple(depths) if depths is not None else (0,) * len(jax.tree.leaves(params))

    def with_part(pieces):
        queue = iter(pieces)
        return structure.unflatten([next(queue) if flag else leaf for leaf, flag in zip(leaves, split, strict=True)])

    try:
        jax.eval_shape(loss, params, *with_part([piece[0] for piece in cut]))
    except Exception as error:  # the user's own function, on a batch of a shape that it was not given
        why = f"the loss does not run on {size} of its {length} examples ({type(error).__name__})"
        return Noise(None, 0, f"the batch was not split: {why}")

    gradient = jax.jit(lambda args: jax.tree.leaves(jax.grad(loss)(params, *args)))
    total, each = None, []
    for part in range(parts):  # one program of one part: that of all at once is compiled for longer than it runs
        grads = [_wide(x) for x in gradient(with_part([piece[part] for piece in cut]))]
        total = grads if total is None else [so_far + grad for so_far, grad in zip(total, grads, strict=True)]
        each.append([_norm(grad, depth) for grad, depth in zip(grads, depths, strict=True)])
    together = [_norm(grad, depth) for grad, depth in zip(total or (), depths, strict=True)]
    host = lambda norms: [np.asarray(norm, np.float64) for norm in norms]
    each = [np.stack(norms) for norms in zip(*map(host, each), strict=True)]
    return Noise(tuple(_ratio(*pair) for pair in zip(host(together), each, strict=True)), parts)


def _is_split(leaf: Any) -> bool:
    return leaf.ndim > 0 and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)


def _wide(x: Array) -> Array:
    return x if x.dtype.itemsize >= 4 else x.astype(jnp.float32)


@functools.partial(jax.jit, static_argnums=1)
def _norm(x: Array, depth: int) -> Array:
    """Largest entry and sum of squares over its square, of each layer: shape (2, layers...)."""
    x = jnp.abs(x)
    axes = tuple(range(depth, x.ndim))
    top = jnp.max(x, axes, initial=0)
    ratio = x / jnp.where(top > 0, top, 1).reshape(*top.shape, *[1] * len(axes))
    return jnp.stack([top, jnp.sum(ratio * ratio, axes)])


def _ratio(together: np.ndarray, each: np.ndarray) -> np.ndarray:
    """From the norms of the sum and of each part, all over the largest of them."""
    parts = len(each)
    top = np.max(each[:, 0], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = np.sum((each[:, 0] / top) ** 2 * each[:, 1], 0)
        mean = (together[0] / top) ** 2 * together[1] / parts  # parts * |mean|^2
        return snr_of_parts(mean, squares, parts)
