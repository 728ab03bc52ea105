"""The fully connected layer: forward, saved input and chain rule side by side."""

from __future__ import annotations

from gradlab.core.gradient import Site, outer, row_sum
from gradlab.core.initializers import BIAS_FOLD, Initializer, initializer
from gradlab.core.keys import fold_in
from gradlab.core.layer import Layer
from gradlab.core.scaled import Scaled, alive_exponent, by_feature, expand, for_groups, matmul, normalise, power


def dense(
    width: int,
    init: Initializer | str = "lecun_normal",
    *,
    gain: float = 1.0,
    bias: bool = True,
    bias_std: float | None = None,
) -> Layer:
    r"""Make a dense layer :math:`z = a W + b` of the last axis; other axes of an example are positions that share it.

    With the delta :math:`\delta = \partial L/\partial z` the chain rule is

    .. math:: \partial L/\partial W = a^T\delta,\quad \partial L/\partial b = \textstyle\sum_i\delta_i,\quad
              \partial L/\partial a = \delta W^T.

    Parameters
    ----------
    width : int
        Units.
    init : Initializer or str
        Distribution and variance of the weight.
    gain : float
        Factor on its standard deviation.
    bias : bool
        Whether there is a bias.
    bias_std : float, optional
        Standard deviation of a Gaussian bias. None: the initialiser's own rule.

    Notes
    -----
    Parameters are ``{"weight": (fan_in, width), "bias": (width,)}``. An optional ``"gain"`` of
    shape (group,) multiplies the product: configurations that share a draw then share the product
    with it too. The weight gradient is that of the weight times the gain.
    """
    rule = initializer(init) if isinstance(init, str) else init

    def initialise(key, shape):
        *positions, fan_in = shape
        params = {"weight": rule.weight(key, (fan_in, width), gain)}
        if bias:
            params["bias"] = rule.bias(fold_in(key, BIAS_FOLD), fan_in, width, bias_std)
        return params, (*positions, width)

    def forward(params, x):
        z = x.map(lambda a: gained(params, matmul(a, params["weight"])))
        if "bias" in params:
            z = biased(params["bias"], z)
        return for_groups(z), x

    def backward(params, saved, dy, read):
        a, delta, W = saved, normalise(dy), params["weight"]  # normalised once in a block, where the sizes are read
        gradient = {"weight": outer(a, delta)}
        if "bias" in params:
            gradient["bias"] = row_sum(delta)
        record = read(Site("dense", (), params, a, None, delta, gradient))
        return delta.map(lambda d: gained(params, matmul(d, W.T))), record

    return Layer(initialise, forward, backward)


def gained(params, z):
    """`z` times the gain of its group."""
    return z * expand(params["gain"], z) if "gain" in params else z


def biased(b, z: Scaled) -> Scaled:
    """z + b, one number for each unit (and group), in units of the power of two of z."""
    b = by_feature(b, z.mantissa)
    if z.is_plain:
        return z.map(lambda m: m + b)
    exponent = alive_exponent(z.exponent)
    # far above 1 the bias is below the rounding of z; far below 1 a signal cannot be, for the bias keeps it up
    return Scaled(z.mantissa + b * expand(power(-exponent, b.dtype), z.mantissa), exponent)
