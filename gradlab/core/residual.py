"""Residual blocks: the signal goes around a layer as well as through it."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from gradlab._errors import GradlabError
from gradlab.core.gradient import Site, summed
from gradlab.core.initializers import default_dtype
from gradlab.core.layer import Layer, prefixed, tangent
from gradlab.core.random import numpy_for, placed
from gradlab.core.scaled import Scaled, add, for_groups, normalise, times_number

#: The scale that is a parameter, 0 at the start.
LEARNED = "learned"


def residual(layer: Layer, scale: float | Array | str = 1.0, skip: bool = True) -> Layer:
    r"""Add the input of a layer to its output, :math:`y = x + s F(x)`.

    With :math:`\delta = \partial L/\partial y` and J the Jacobian of the branch F the chain rule is

    .. math:: \partial L/\partial x = \delta + s J^T\delta,\qquad \partial L/\partial s = \langle\delta, F(x)\rangle.

    Parameters
    ----------
    layer : Layer
        The branch F; its output has the shape of its input.
    scale : float, Array or str
        s: a number (1, 1/sqrt(L), 1/L), an array with one for each group, or ``"learned"``: a
        parameter that starts at 0, so that the block starts as the identity (ReZero: Bachlechner et
        al. 2020; SkipInit: De & Smith 2020).
    skip : bool
        False leaves the input out, y = s F(x): for a network that is the same in everything but its skips.

    Raises
    ------
    GradlabError
        The branch changes the shape, or `scale` is neither a number nor "learned".

    Notes
    -----
    Parameters are ``(own, branch)`` with `own` either ``{}`` or ``{"scale": ()}``. The block's site
    shows the stream: its input, its output, and the cotangent at its output. Sums run over the
    larger of two powers of two, so that a branch far below the stream, or a stream far below the
    branch, is as exact as its dtype.

    Examples
    --------
    >>> import jax
    >>> from gradlab.core.dense import dense
    >>> params, shape = residual(dense(3), scale="learned").init(jax.random.key(0), (3,))
    >>> params[0], shape
    ({'scale': Array(0., dtype=float32)}, (3,))
    """
    learned = isinstance(scale, str)
    if learned and scale != LEARNED:
        raise GradlabError(f"scale to be a number or {LEARNED!r}", repr(scale), "scale=1.0")

    def init(key, shape):
        branch, out = layer.init(key, shape)
        if tuple(out) != tuple(shape):
            raise GradlabError(
                f"a branch that keeps the shape {tuple(shape)} of its input", f"{tuple(out)}",
                "a last layer in the branch that is as wide as the stream",
            )  # fmt: skip
        return ({"scale": placed(numpy_for(key).zeros((), default_dtype()))} if learned else {}, branch), shape

    def forward(params, x):
        scales, branch = params
        f, saved = layer.forward(branch, x)
        x = _like(x, f)
        y = times_number(scales.get("scale", scale), f)
        y = add(x, y) if skip else y
        return y, (x, y, f if learned else None, saved)

    def backward(params, saved, dy, read):
        scales, branch = params
        x, y, f, inner = saved
        delta, s = normalise(dy), scales.get("scale", scale)
        gradient = {"scale": summed(delta.times(f), (*f.positions, -1))} if learned else {}
        record = read(Site("residual", (), scales, x, y, delta, gradient))
        through, branch_record = layer.backward(branch, inner, times_number(s, delta), prefixed(read, "branch"))
        return add(delta, through) if skip else through, (record, branch_record)

    def along(params, saved, dx):
        scales, branch = params
        *_, inner = saved
        through = tangent(layer, branch, inner, dx)
        dy = times_number(scales.get("scale", scale), through)
        return add(_like(normalise(dx), through), dy) if skip else dy

    return Layer(
        init, forward, backward, tangent=along, rebuilt=lambda change: residual(change(layer, None), scale, skip)
    )


def _like(x: Scaled, f: Scaled) -> Scaled:
    """Return an input that all groups share, once for each group."""
    return for_groups(x.map(lambda m: jnp.broadcast_to(m, f.mantissa.shape)))
