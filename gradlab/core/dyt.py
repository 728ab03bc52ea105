r"""DyT, which stands where a norm stands and squashes instead: no statistics, one slope for all features."""

from __future__ import annotations

import jax.numpy as jnp

from gradlab._errors import GradlabError
from gradlab.core.gradient import Site, row_sum, summed
from gradlab.core.initializers import default_dtype
from gradlab.core.layer import Layer
from gradlab.core.norm import affine, by_example, gained
from gradlab.core.random import numpy_for, placed
from gradlab.core.scaled import LOWEST, Scaled, expand, normalise, power, split, times_number

#: Below 2**_LINEAR a tanh is its argument: what is left out is u**3/3, below the rounding of float64.
_LINEAR = -30
#: Beyond this argument the slope counts as that of this argument, e**-2097152: exponents must fit an integer.
_FARTHEST = 2.0**20


def dyt(alpha: float = 0.5, *, gain: bool = True, bias: bool = True) -> Layer:
    r"""Make a dynamic tanh, :math:`y = \gamma\circ\tanh(\alpha x)+\beta`, which replaces a norm (Zhu et al. 2025).

    With :math:`\delta = \gamma\circ\partial L/\partial y\circ\mathrm{sech}^2(\alpha x)` the chain rule is

    .. math:: \partial L/\partial x = \alpha\,\delta,\qquad \partial L/\partial\alpha = \langle\delta, x\rangle,

    and gain and bias have the gradients that they have in a norm.

    Parameters
    ----------
    alpha : float
        The slope at the start, one number for all features; it is learnt. Positive.
    gain, bias : bool
        Whether each feature has a factor (1 at the start), or a summand (0 at the start), that is learnt.

    Raises
    ------
    GradlabError
        `alpha` is not positive.

    Notes
    -----
    A norm divides by the scale of the signal, DyT does not see it: a signal far below 1 comes out as
    :math:`\alpha x`, as small as it came in, one far above 1 as its sign. Both, and the slope
    :math:`\mathrm{sech}^2`, are kept outside the range of a float.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from gradlab.core.scaled import plain
    >>> layer = dyt()
    >>> params, _ = layer.init(jax.random.key(0), (2,))
    >>> layer.forward(params, plain(jnp.array([[2.0, -2.0]])))[0].mantissa.round(4).tolist()
    [[0.7616000175476074, -0.7616000175476074]]
    """
    if not alpha > 0:
        raise GradlabError("alpha of dyt to be positive", f"{alpha!r}", "alpha=0.5")

    def init(key, shape):
        make, dtype = numpy_for(key), default_dtype()
        params = {"alpha": placed(make.full((), alpha, dtype))}
        if gain:
            params["gain"] = placed(make.ones(shape[-1:], dtype))
        if bias:
            params["bias"] = placed(make.zeros(shape[-1:], dtype))
        return params, shape

    def forward(params, x):
        return affine(params, _tanh(times_number(params["alpha"], x))), x

    def backward(params, x, dy, read):
        u, dy = times_number(params["alpha"], x), normalise(dy)
        t = _tanh(u)
        delta = _times_slope(gained(params, dy), u)
        gradient = {"alpha": summed(delta.times(x), (*x.positions, -1))}
        if gain:
            gradient["gain"] = summed(dy.times(t), t.positions)
        if bias:
            gradient["bias"] = row_sum(dy)
        record = read(Site("dyt", (), params, x, affine(params, t), dy, gradient))
        return times_number(params["alpha"], delta), record

    def along(params, x, dx):
        slope = times_number(params["alpha"], _times_slope(normalise(dx), times_number(params["alpha"], x)))
        return normalise(gained(params, slope))

    return Layer(init, forward, backward, tangent=along)


def _tanh(u: Scaled) -> Scaled:
    """Tanh of u; where all of an example is small, u itself over its own power of two."""
    if u.is_plain:
        return u.map(jnp.tanh)
    small = u.exponent < _LINEAR
    mantissa = jnp.where(expand(small, u.mantissa), u.mantissa, jnp.tanh(u.value()))
    return normalise(Scaled(mantissa, jnp.where(small, u.exponent, 0)))


def _times_slope(d: Scaled, u: Scaled) -> Scaled:
    """`d` times sech(u)**2 = 4 e / (1 + e)**2, e = exp(-2|u|), whose power of two is kept."""
    size = jnp.abs(u.value())
    if d.is_plain:
        e = jnp.exp(-2 * size)
        return d.map(lambda m: m * (4 * e / (1 + e) ** 2))
    lower, rest = split(2 * jnp.minimum(size, _FARTHEST))
    fraction = jnp.exp2(-rest)
    e = fraction * power(-lower, fraction.dtype)
    product = d.mantissa * (4 * fraction / (1 + e) ** 2)
    # an entry that is 0 sets no scale
    product, exponent = by_example(product, jnp.where(product == 0, LOWEST, -lower), d.exponent)
    return normalise(Scaled(product, jnp.maximum(d.exponent + exponent, LOWEST)))
