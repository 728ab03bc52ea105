"""Convolution over one or more axes of space: forward, saved input and chain rule side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from gradlab._errors import GradlabError, unknown
from gradlab.core.dense import biased, for_groups, gained
from gradlab.core.gradient import KernelGradient, Site, row_sum
from gradlab.core.initializers import BIAS_FOLD, Initializer, initializer
from gradlab.core.keys import fold_in
from gradlab.core.layer import Layer
from gradlab.core.scaled import PRECISION, normalise

PADDINGS = ("same", "valid", "periodic")


def conv(
    channels: int,
    kernel: int | Sequence[int] = 3,
    init: Initializer | str = "lecun_normal",
    *,
    stride: int | Sequence[int] = 1,
    padding: str = "same",
    gain: float = 1.0,
    bias: bool = True,
    bias_std: float | None = None,
) -> Layer:
    r"""Make a convolution :math:`z_p = b + \sum_k x_{sp+k} W_k` of examples (time or height, width; channels).

    With the delta :math:`\delta = \partial L/\partial z` the chain rule is

    .. math:: \partial L/\partial W_k = \sum_{i,p} x_{i,sp+k}^T\delta_{ip},\quad
              \partial L/\partial b = \sum_{i,p}\delta_{ip},\quad
              \partial L/\partial x_q = \sum_{sp+k=q}\delta_p W_k^T.

    Parameters
    ----------
    channels : int
        Channels of the output.
    kernel : int or sequence of int
        Taps along each axis of space.
    init : Initializer or str
        Distribution and variance of the weight; the taps count in both fans.
    stride : int or sequence of int
        s, along each axis of space.
    padding : str
        "same": zeros around, so that the output has ceil(n / s) positions; "valid": none;
        "periodic": as "same", with the other side of the image instead of zeros (Xiao et al. 2018).
    gain, bias, bias_std : float, bool, float or None
        As for `dense`.

    Raises
    ------
    GradlabError
        A number that is not positive, or of another number of axes than the input has; an unknown
        padding; a kernel larger than the image with padding "valid".

    Notes
    -----
    Parameters are ``{"weight": (taps * channels_in, channels), "bias": (channels,)}``, so that a weight
    is a matrix from patches to channels in every kind of layer; ``weight.reshape(*kernel, channels_in,
    channels)`` is the kernel. An even kernel reaches one position further to the right than to the left.

    Examples
    --------
    >>> import jax
    >>> params, shape = conv(8, kernel=3, stride=2).init(jax.random.key(0), (9, 9, 4))
    >>> params["weight"].shape, shape
    ((36, 8), (5, 5, 8))
    """
    rule = initializer(init) if isinstance(init, str) else init
    if padding not in PADDINGS:
        raise unknown("padding", padding, PADDINGS)

    def initialise(key, shape):
        *space, n = shape
        geometry = _geometry(tuple(space), kernel, stride, padding)
        params = {"weight": rule.kernel(key, geometry.kernel, (n, channels), gain)}
        if bias:
            fan_in = math.prod(geometry.kernel) * n
            params["bias"] = rule.bias(fold_in(key, BIAS_FOLD), fan_in, channels, bias_std)
        return params, (*geometry.out, channels)

    def geometry_of(x):
        return _geometry(x.mantissa.shape[x.lead : -1], kernel, stride, padding)

    def forward(params, x):
        geometry = geometry_of(x)
        z = x.map(lambda a: gained(params, _correlated(a, params["weight"], geometry)))
        if "bias" in params:
            z = biased(params["bias"], z)
        return for_groups(z), x

    def backward(params, saved, dy, read):
        a, delta, W, geometry = saved, normalise(dy), params["weight"], geometry_of(saved)
        edged = a.map(lambda m: _padded(m, geometry))
        gradient = {"weight": KernelGradient(edged, delta, geometry.kernel, geometry.stride)}
        if "bias" in params:
            gradient["bias"] = row_sum(delta)
        record = read(Site("conv", (), params, a, None, delta, gradient))
        return delta.map(lambda d: gained(params, _transposed(d, W, geometry))), record

    return Layer(initialise, forward, backward)


class _Geometry(NamedTuple):
    """One number (or pair) for each axis of space."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    space: tuple[int, ...]
    out: tuple[int, ...]
    periodic: bool


def _geometry(space: tuple[int, ...], kernel, stride, padding: str) -> _Geometry:
    kernel, stride = _each("kernel", kernel, space), _each("stride", stride, space)
    if padding == "valid":
        if any(k > n for k, n in zip(kernel, space, strict=True)):
            raise GradlabError(
                f"a kernel that fits into the image of {space} with padding='valid'", f"kernel {kernel}",
                "a smaller kernel, or padding='same'",
            )  # fmt: skip
        out = tuple((n - k) // s + 1 for n, k, s in zip(space, kernel, stride, strict=True))
        return _Geometry(kernel, stride, ((0, 0),) * len(space), space, out, False)
    out = tuple(-(-n // s) for n, s in zip(space, stride, strict=True))
    total = [max((o - 1) * s + k - n, 0) for o, s, k, n in zip(out, stride, kernel, space, strict=True)]
    pads = tuple((t // 2, t - t // 2) for t in total)
    return _Geometry(kernel, stride, pads, space, out, padding == "periodic")


def _each(name: str, value: int | Sequence[int], space: tuple[int, ...]) -> tuple[int, ...]:
    """Return one number for each axis of space."""
    if not space:
        raise GradlabError(
            "examples of shape (time, channels) or (height, width, channels)", "a single axis", "x[..., None]"
        )
    values = (value,) * len(space) if isinstance(value, int) else tuple(value)
    if len(values) != len(space) or any(v < 1 for v in values):
        raise GradlabError(f"{name} with a positive number for each of {len(space)} axes", f"{value}", f"{name}=3")
    return values


def _padded(x: Array, g: _Geometry) -> Array:
    """`x` with the edges that its padding gives it, zeros or the other side."""
    pads = [(0, 0)] * (x.ndim - len(g.pads) - 1) + [*g.pads, (0, 0)]
    return jnp.pad(x, pads, mode="wrap") if g.periodic else jnp.pad(x, pads)


def _convolved(x: Array, kernel: Array, strides, pads, dilation) -> Array:
    """Convolve once, whatever axes stand before those of space."""
    letters = "DHW"[-len(strides) :] if len(strides) <= 3 else "".join(map(chr, range(97, 97 + len(strides))))
    lead = x.shape[: x.ndim - len(strides) - 1]
    y = lax.conv_general_dilated(
        x.reshape(-1, *x.shape[len(lead) :]), kernel, strides, pads, lhs_dilation=dilation,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"), precision=PRECISION,
    )  # fmt: skip
    return y.reshape(*lead, *y.shape[1:])


def _correlated(x: Array, weight: Array, g: _Geometry) -> Array:
    """Compute the forward product: the weight at each patch."""
    kernel = weight.reshape(*g.kernel, x.shape[-1], weight.shape[-1])
    ones = (1,) * len(g.space)
    if g.periodic:
        return _convolved(_padded(x, g), kernel, g.stride, ((0, 0),) * len(g.space), ones)
    return _convolved(x, kernel, g.stride, g.pads, ones)


def _transposed(dy: Array, weight: Array, g: _Geometry) -> Array:
    """Compute the backward product: each delta goes back to its patch, by the reversed kernel."""
    axes = tuple(range(len(g.space)))
    kernel = jnp.flip(weight.reshape(*g.kernel, -1, weight.shape[-1]), axes)
    # on the padded image where its edges are folded back, else on the image alone
    start = [0 if g.periodic else low for low, _ in g.pads]
    size = [n + (low + high if g.periodic else 0) for n, (low, high) in zip(g.space, g.pads, strict=True)]
    pads = []
    for k, s, o, first, n in zip(g.kernel, g.stride, g.out, start, size, strict=True):
        low = k - 1 - first
        pads.append((low, n - ((o - 1) * s + 1) - low + k - 1))
    dx = _convolved(dy, jnp.swapaxes(kernel, -1, -2), (1,) * len(g.space), pads, g.stride)
    if g.periodic:
        for axis, (n, (low, _)) in enumerate(zip(g.space, g.pads, strict=True)):
            dx = _folded(dx, dx.ndim - len(g.space) - 1 + axis, n, low)
    return dx


def _folded(x: Array, axis: int, n: int, low: int) -> Array:
    """Add what lies beyond the edges to the other side: position p of the padded axis is p - low modulo n."""
    before = -low % n
    after = -(before + x.shape[axis]) % n
    x = jnp.pad(x, [(before, after) if i == axis else (0, 0) for i in range(x.ndim)])
    return jnp.sum(x.reshape(*x.shape[:axis], -1, n, *x.shape[axis + 1 :]), axis)
