"""Networks in a shorter format: what a forward pass in bfloat16, float16 or float8 keeps of its numbers.

Numbers stay in float32 arrays and are rounded to the nearest number of the format, subnormal ones included, so that a
`Scaled` may lie anywhere. Whatever a layer computes within itself it computes in float32, as the products of
accelerators do; its output is rounded.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._formats import Format
from gradlab.core.layer import Layer
from gradlab.core.scaled import Scaled, alive_exponent, expand, normalise, octaves, plain, times_power


def rounded(s: Scaled, form: Format) -> Scaled:
    """Round to the nearest numbers of a format, of two as near the one whose last bit is 0.

    Parameters
    ----------
    s : Scaled
        The numbers.
    form : Format
        The format. What lies beyond its largest number becomes infinite.

    Returns
    -------
    Scaled
        Normalised.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from gradlab._formats import FORMATS
    >>> x = jnp.array([0.1, 2.0**-25, 1e5])
    >>> rounded(plain(x), FORMATS["float16"]).value().tolist()
    [0.0999755859375, 0.0, inf]
    """
    m = s.mantissa
    shift = jnp.broadcast_to(expand(alive_exponent(s.powers), m), m.shape)
    # the distance between neighbours is 2**unit: relative to a normal number, the same for all subnormal ones
    unit = jnp.maximum(octaves(m) + shift - 1, form.normal) - form.digits
    steps = jnp.round(times_power(m, shift - unit))
    fraction, top = jnp.frexp(jnp.abs(steps))
    top = top + unit
    beyond = (top > form.beyond) | ((top == form.beyond) & (fraction > form.largest / 2.0**form.beyond))
    kept = jnp.where(beyond & (steps != 0), jnp.inf * jnp.sign(m), times_power(steps, unit - shift))
    return normalise(s.map(lambda _: jnp.where(jnp.isfinite(m), kept, m)))


def rounded_array(x: Array, form: Format) -> Array:
    """Return an array with its numbers rounded to a format."""
    return rounded(plain(x), form).value()


def in_format(layer: Layer, form: Format) -> Layer:
    """Return a layer, or a whole network of them, whose signals are rounded on the way forward.

    Parameters
    ----------
    layer : Layer
        The layer. Of a combinator each layer within is rounded, and the sum of a residual block.
    form : Format
        The format.

    Returns
    -------
    Layer
        With the parameters and records of `layer`. The way back is that of `layer` at the rounded signals: deltas and
        gradients are not rounded, and the derivative of rounding counts as 1.
    """
    inner = layer
    if layer.rebuilt is not None:
        inner = layer.rebuilt(lambda part, _: in_format(part, form))
        if layer.sequence or layer.copies:
            return inner

    def forward(params: Any, x: Scaled) -> tuple[Scaled, Any]:
        y, saved = inner.forward(params, x)
        return rounded(y, form), saved

    def backward(params: Any, saved: Any, dy: Scaled, read: Any) -> tuple[Scaled, Any]:
        seen = lambda site: site if site.y is None else site._replace(y=rounded(site.y, form))
        return inner.backward(params, saved, dy, lambda site: read(seen(site)))

    return layer._replace(forward=forward, backward=backward, rebuilt=None)


def in_format_params(params: Any, form: Format) -> Any:
    """Return parameters with their numbers rounded to a format."""
    return jax.tree.map(lambda v: rounded_array(v, form), params)
