r"""Normalisation over the batch or over the features, with the gradient through mean and variance.

All three norms are :math:`y = g\circ\hat x + b`, :math:`\hat x = (x - \mu)/\sigma`,
:math:`\sigma^2 = \overline{(x-\mu)^2} + \epsilon`; they differ in what is averaged over, and the RMS
norm has :math:`\mu = 0`. With :math:`\hat g = g\circ\partial L/\partial y` and bars for the same averages

.. math::
    \partial L/\partial x = \tfrac1\sigma\bigl(\hat g - \overline{\hat g} - \hat x\,\overline{\hat g\circ\hat x}\bigr),

the middle term only where there is a mean.

*Range.* :math:`\epsilon` is added to the variance of the signal itself, whatever its power of two: a signal
far above :math:`\sqrt\epsilon` comes out with variance 1 and its scale is forgotten, one far below comes
out as :math:`(x-\mu)/\sqrt\epsilon`, as small as it came in. Both are exact at 1e-200 and at 1e200, in float32 too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from gradlab._errors import GradlabError
from gradlab.core.gradient import Site, row_sum, summed
from gradlab.core.initializers import default_dtype
from gradlab.core.layer import Layer, common_exponent
from gradlab.core.random import numpy_for, placed
from gradlab.core.scaled import (
    LOWEST,
    Scaled,
    add,
    by_feature,
    expand,
    exponent_of,
    normalise,
    plain,
    power,
    times_power,
    weight,
)


def batch_norm(*, gain: bool = True, bias: bool = True, eps: float = 1e-5) -> Layer:
    """Make a batch normalisation: each feature gets mean 0 and variance 1 over the examples and positions of the batch.

    Parameters
    ----------
    gain, bias : bool
        Whether there is a factor (1 at the start) and a shift (0 at the start) for each feature.
    eps : float
        Added to the variance, in the signal's own units; positive.

    Raises
    ------
    GradlabError
        `eps` is not positive; in the forward pass: a batch of one example.

    Notes
    -----
    The examples of a batch interact, so the exponent of the signal is one for the whole batch, and
    an example 2**125 below the largest counts as 0. Ioffe & Szegedy 2015, algorithm 1.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from gradlab.core.scaled import plain
    >>> y, _ = batch_norm(gain=False, bias=False).forward({}, plain(jnp.array([[1.0], [3.0]])))
    >>> y.mantissa.round(3).tolist()
    [[-1.0], [1.0]]
    """
    return _norm("batch_norm", _over_batch, True, gain, bias, eps)


def layer_norm(*, gain: bool = True, bias: bool = True, eps: float = 1e-5) -> Layer:
    """Make a layer normalisation: each example, at each of its positions, gets mean 0 and variance 1 over its features.

    Parameters
    ----------
    gain, bias : bool
        Whether each feature has a factor, or a summand, that is learnt.
    eps : float
        What is added to the variance, so that features that are all equal can be divided by it.

    Notes
    -----
    Ba, Kiros & Hinton 2016, eq. 3 and 4.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from gradlab.core.scaled import plain
    >>> y, _ = layer_norm(gain=False, bias=False).forward({}, plain(jnp.array([[1.0, 3.0]])))
    >>> y.mantissa.round(3).tolist()
    [[-1.0, 1.0]]
    """
    return _norm("layer_norm", _over_features, True, gain, bias, eps)


def rms_norm(*, gain: bool = True, bias: bool = False, eps: float = 1e-5) -> Layer:
    """Make an rms normalisation: each example, at each of its positions, is divided by its rms over its features.

    Parameters
    ----------
    gain, bias : bool
        Whether each feature has a factor, or a summand, that is learnt.
    eps : float
        What is added to the variance, so that features that are all equal can be divided by it.

    Notes
    -----
    Zhang & Sennrich 2019, eq. 4.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from gradlab.core.scaled import plain
    >>> y, _ = rms_norm(gain=False).forward({}, plain(jnp.array([[1.0, 7.0]])))
    >>> [round(float(v), 3) for v in y.mantissa[0]]
    [0.2, 1.4]
    """
    return _norm("rms_norm", _over_features, False, gain, bias, eps)


class _Standard(NamedTuple):
    """What the backward pass needs: x hat, and 1/sigma = inverse * 2**-power, both with axes of length 1."""

    xhat: Scaled
    inverse: Array
    power: Any


def _norm(kind: str, over: Callable, centred: bool, gain: bool, bias: bool, eps: float) -> Layer:
    if not eps > 0:
        raise GradlabError(f"eps of {kind} to be positive", f"{eps!r}", "eps=1e-5")

    def init(key, shape):
        params = {}
        if gain:
            params["gain"] = placed(numpy_for(key).ones(shape[-1:], default_dtype()))
        if bias:
            params["bias"] = placed(numpy_for(key).zeros(shape[-1:], default_dtype()))
        return params, shape

    def forward(params, x):
        x, axes = over(x)
        saved = _standardised(x, axes, centred, eps)
        return affine(params, saved.xhat), saved

    def backward(params, saved, dy, read):
        xhat = saved.xhat
        dy, axes = over(normalise(dy))
        gradient = {}
        if gain:
            gradient["gain"] = summed(dy.times(xhat), xhat.positions)
        if bias:
            gradient["bias"] = row_sum(dy)
        record = read(Site(kind, (), params, None, affine(params, xhat), dy, gradient))
        return _projected(saved, gained(params, dy), axes, centred), record

    def along(params, saved, dx):
        dx, axes = over(normalise(dx))
        return normalise(gained(params, _projected(saved, dx, axes, centred)))

    return Layer(init, forward, backward, tangent=along)


def _over_features(x: Scaled) -> tuple[Scaled, tuple[int, ...]]:
    return x, (-1,)


def _over_batch(x: Scaled) -> tuple[Scaled, tuple[int, ...]]:
    first = x.lead - 1
    if x.mantissa.shape[first] < 2:
        raise GradlabError(
            "a batch of at least 2 examples for batch_norm", f"{x.mantissa.shape[first]}",
            "more examples, or layer_norm, which needs one",
        )  # fmt: skip
    return common_exponent(x), tuple(range(first, x.mantissa.ndim - 1))


def _standardised(x: Scaled, axes: tuple[int, ...], centred: bool, eps: float) -> _Standard:
    """(x - mean) / sigma over `axes`."""
    c = x.mantissa - jnp.mean(x.mantissa, axes, keepdims=True) if centred else x.mantissa
    if x.is_plain:
        inverse = 1 / jnp.sqrt(jnp.mean(c * c, axes, keepdims=True) + eps)
        return _Standard(plain(c * inverse), inverse, None)
    # centred first and rescaled then: what is nearly constant keeps its digits, and a square of it
    top = jnp.max(jnp.abs(c), axes, keepdims=True)
    k = exponent_of(top)
    c = c * power(-k, c.dtype)
    largest = jnp.where(top == 0, LOWEST, jnp.max(expand(x.exponent, c), axes, keepdims=True) + k)
    fraction, floor = _power_of_four(eps)
    higher = jnp.maximum(largest, floor)  # sigma in units of 2**higher is of the order of 1
    gap = largest - higher
    squares = jnp.mean(c * c, axes, keepdims=True) * power(2 * gap, c.dtype)
    inverse = 1 / jnp.sqrt(squares + jnp.asarray(fraction, c.dtype) * power(2 * (floor - higher), c.dtype))
    xhat, exponent = by_example(c * inverse, gap, x.exponent)
    return _Standard(Scaled(xhat, exponent), inverse, higher)


def _projected(s: _Standard, v: Scaled, axes: tuple[int, ...], centred: bool) -> Scaled:
    """(v - mean v - xhat mean(v xhat)) / sigma: the derivative of x hat by x along v, and its own transpose."""
    # where the scale of x hat leaves the float, the term with its square is far below rounding
    xhat, mean = s.xhat.value(), lambda u: jnp.mean(u, axes, keepdims=True)
    inner = v.mantissa - xhat * mean(v.mantissa * xhat)
    if centred:
        inner = inner - mean(v.mantissa)
    inner = inner * s.inverse
    if v.is_plain:
        return plain(inner if s.power is None else times_power(inner, -s.power))
    inner, exponent = by_example(inner, -s.power, v.exponent)
    return normalise(Scaled(inner, v.exponent + exponent))


def _power_of_four(x: float) -> tuple[float, int]:
    """(f, k) with x = f 4**k and f in [1/4, 1)."""
    fraction, k = math.frexp(x)
    half = -(-k // 2)
    return math.ldexp(fraction, k - 2 * half), half


def by_example(mantissa: Array, exponent: Array, like: Array) -> tuple[Array, Array]:
    """`mantissa` times two to an `exponent` that has its axes, over one exponent an example, shaped as `like`."""
    axes = tuple(range(like.ndim, mantissa.ndim))
    top = jnp.max(exponent, axes, keepdims=True)
    return mantissa * weight(exponent - top, mantissa.dtype), jnp.broadcast_to(jnp.squeeze(top, axes), like.shape)


def gained(params: dict[str, Array], s: Scaled) -> Scaled:
    """`s` times the gain."""
    return s.map(lambda m: m * by_feature(params["gain"], m)) if "gain" in params else s


def affine(params: dict[str, Array], xhat: Scaled) -> Scaled:
    """gain * x hat + bias."""
    y = normalise(gained(params, xhat))
    if "bias" not in params:
        return y
    bias = jnp.broadcast_to(by_feature(params["bias"], y.mantissa), y.mantissa.shape)
    return add(y, normalise(y.constant(bias)))
