"""What a layer shows on the way back, and its gradient before it is multiplied out.

The gradient of a dense weight is a sum of outer products, one per example. Kept as the pair
(input, delta) it costs nothing; its norm needs only two Gram matrices,

    |sum_i a_i d_i^T|_F^2 = sum_ij <a_i, a_j> <d_i, d_j>,

B^2 (n + m) multiplications instead of B n m, and dL/dW never exists in memory. Per-example norms
are the square roots of the diagonal, |a_i| |d_i|; cosines between the gradients of two examples
are its normalised entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab.core.scaled import LOWEST, Log2, Scaled, align, as_rows, log2_norm, matmul, normalise, with_positions


@jax.tree_util.register_static
@dataclass(frozen=True)
class NotMeasured:
    """What stands in a record for a quantity that a layer cannot show.

    Parameters
    ----------
    reason : str
        Why there is no such quantity.
    """

    reason: str


class Gradient(Protocol):
    """The gradient of one parameter, however a layer keeps it; what a reader may ask of every one."""

    def product(self) -> Scaled:
        """Multiply out the sum over examples, over one power of two, with two axes behind those of the groups."""
        ...

    def materialise(self) -> Array:
        """Return the plain array, of the parameter's shape (and groups)."""
        ...

    def norm(self) -> Log2:
        """Return log2 of its Frobenius norm, of the shape of the groups."""
        ...

    def examples(self) -> tuple[Array, Scaled] | NotMeasured:
        """Return cosines between the gradients of two examples (..., batch, batch), and the size of each."""
        ...


class Site(NamedTuple):
    """What one layer shows in the backward pass: its input and output, the delta, and the gradient.

    A reader is a function that takes a site and returns what it measures of it.

    Parameters
    ----------
    kind : str
        "dense", "activation", ...
    path : tuple of str
        Names of the parts that the layer lies in, from the whole network inwards.
    params : Any
        The layer's parameters.
    x, y : Scaled or None
        Input and output, (group..., batch, features...); None where the layer does not keep it.
    dy : Scaled
        Cotangent of the output: the gradient of the *mean* loss.
    gradient : dict of str to Gradient
        The factored gradient of each parameter.
    entries : tuple of (Activation, int or None)
        The entries of an activation layer, each with the number of its groups; empty of any other layer.
    steps : Steps or None
        What a recurrent layer shows of its time steps; None of any other layer.
    scores : callable, optional
        Of the queries of an attention layer: it computes the scores (group..., batch, heads, time, time), -inf where a
        mask hides a position. None of any other layer.
    """

    kind: str
    path: tuple[str, ...]
    params: Any
    x: Scaled | None
    y: Scaled | None
    dy: Scaled
    gradient: dict[str, Gradient]
    entries: tuple[Any, ...] = ()
    steps: Any = None
    scores: Callable[[], Array] | None = None


#: Turns a site into the record that is kept of it.
Reader = Callable[[Site], Any]


class Outer(NamedTuple):
    """The weight gradient ``sum_i a_i^T d_i``, not multiplied out: input and delta of each example."""

    a: Scaled
    d: Scaled

    def product(self) -> Scaled:
        """Multiply out the sum, shape (..., fan_in, fan_out), over one power of two."""
        a, exponent = self.aligned()
        return Scaled(matmul(jnp.swapaxes(a, -1, -2), self.d.mantissa), exponent)

    def materialise(self) -> Array:
        """Return the plain array, shape (..., fan_in, fan_out)."""
        return self.product().value()

    def exponents(self) -> Array:
        """Return the exponent of each example's product; a product of two zeros has that of one zero."""
        a = self.d.constant(self.a.mantissa).exponent if self.a.is_plain else self.a.exponent
        return self.d.map(lambda d: d, lambda d: jnp.maximum(a + d, LOWEST)).exponent

    def aligned(self) -> Scaled:
        """Return the inputs times each example's own power of two, over the common exponent."""
        return align(Scaled(self.a.mantissa, self.exponents()))

    def squares(self) -> tuple[Array, Array | None]:
        """Return the squared Frobenius norm over a power of four, and that power."""
        a, exponent = self.aligned()
        batch, fan_in, fan_out = *a.shape[-2:], self.d.mantissa.shape[-1]
        if batch * (fan_in + fan_out) < fan_in * fan_out:
            # rounding may leave a sum that is exactly 0 in theory slightly below it
            return jnp.maximum(jnp.sum(_gram(a) * _gram(self.d.mantissa), (-1, -2)), 0), exponent
        return jnp.sum(matmul(jnp.swapaxes(a, -1, -2), self.d.mantissa) ** 2, (-1, -2)), exponent

    def norm(self) -> Log2:
        """Return log2 of the Frobenius norm, by whichever form is cheaper for these shapes."""
        return log2_norm(*self.squares())

    def examples(self) -> tuple[Array, Scaled]:
        """Return cosines between the gradients of two examples (..., batch, batch), and the size of each."""
        unit_a, size_a = unit_rows(self.a.mantissa)
        unit_d, size_d = unit_rows(self.d.mantissa)
        sizes, exponent = jnp.broadcast_arrays(size_a * size_d, self.exponents())
        return _gram(unit_a) * _gram(unit_d), Scaled(sizes, exponent)


class Positions(NamedTuple):
    """The gradient of a weight that each example meets at several positions (of an image, in time).

    ``sum_i sum_t a_it^T d_it``, not multiplied out; a and d of shape (..., batch, positions,
    features), with an exponent for each example and position (or None).
    """

    a: Scaled
    d: Scaled

    def flat(self) -> Outer:
        """Return the same sum over rows, whichever example they belong to."""
        return Outer(as_rows(self.a), as_rows(self.d))

    def product(self) -> Scaled:
        """Multiply out the sum, shape (..., fan_in, fan_out), over one power of two."""
        return self.flat().product()

    def materialise(self) -> Array:
        """Return the plain array, shape (..., fan_in, fan_out)."""
        return self.product().value()

    def norm(self) -> Log2:
        """Return log2 of the Frobenius norm, by whichever form is cheaper for these shapes."""
        return self.flat().norm()

    def inner(self) -> tuple[Array, Array | None]:
        """Return inner products of the gradients of two examples (..., batch, batch), and each example's exponent."""
        a, exponent = Outer(self.a, self.d).aligned()  # over the positions of one example
        d = self.d.mantissa
        (batch, positions, fan_in), fan_out = a.shape[-3:], d.shape[-1]
        multiplied_out = (batch * positions + batch**2) * fan_in * fan_out
        if (batch * positions) ** 2 * (fan_in + fan_out) < multiplied_out:
            products = _gram(as_rows(Scaled(a, None)).mantissa) * _gram(as_rows(Scaled(d, None)).mantissa)
            blocks = products.reshape(*products.shape[:-2], batch, positions, batch, positions)
            return jnp.sum(blocks, (-1, -3)), exponent
        squares = matmul(jnp.swapaxes(a, -1, -2), d)
        return _gram(squares.reshape(*squares.shape[:-2], fan_in * fan_out)), exponent

    def examples(self) -> tuple[Array, Scaled]:
        """Return cosines between the gradients of two examples (..., batch, batch), and the size of each."""
        return _cosines(*self.inner())


def _cosines(inner: Array, exponent: Array) -> tuple[Array, Scaled]:
    """Return cosines and sizes, from inner products."""
    sizes = jnp.sqrt(jnp.maximum(jnp.diagonal(inner, axis1=-2, axis2=-1), 0))
    inverse = 1 / jnp.maximum(sizes, jnp.finfo(sizes.dtype).tiny ** 0.5)
    return inner * inverse[..., None] * inverse[..., None, :], Scaled(sizes, exponent)


class KernelGradient(NamedTuple):
    """The gradient of a convolution's weight: at each tap of the kernel that of a weight at `Positions`.

    Parameters
    ----------
    x : Scaled, shape (..., batch, *space, channels)
        The input with its edges padded.
    d : Scaled, shape (..., batch, *out_space, channels)
        Delta.
    kernel, stride : tuple of int
        One number for each axis of space.

    Notes
    -----
    Taps are visited one after another, so that never more than one shifted copy of the input is in
    memory: patches would be as many copies as the kernel has taps.
    """

    x: Scaled
    d: Scaled
    kernel: tuple[int, ...]
    stride: tuple[int, ...]

    def product(self) -> Scaled:
        """Multiply out the sum, shape (..., taps * channels in, channels out), over one power of two."""
        result = self._visit(lambda tap: tap.product())
        each = jnp.moveaxis(result.mantissa, 0, -3)
        # the exponent is that of the examples, the same at each tap
        return result.map(lambda _: each.reshape(*each.shape[:-3], -1, each.shape[-1]), lambda e: e[0])

    def materialise(self) -> Array:
        """Return the plain array, shape (..., taps * channels in, channels out)."""
        return self.product().value()

    def norm(self) -> Log2:
        """Return log2 of the Frobenius norm, by whichever form is cheaper for these shapes."""
        squares, exponent = self._visit(lambda tap: tap.flat().squares())
        return log2_norm(jnp.sum(squares, 0), exponent[0])

    def examples(self) -> tuple[Array, Scaled]:
        """Return cosines between the gradients of two examples (..., batch, batch), and the size of each."""
        inner, exponent = self._visit(lambda tap: tap.inner())
        return _cosines(jnp.sum(inner, 0), exponent[0])  # exponents are those of examples, the same at each tap

    def _visit(self, one: Callable[[Positions], Any]) -> Any:
        """Apply `one` to each tap and stack the results in the order of the weight's rows."""
        x, lead = self.x.mantissa, self.d.lead
        d = with_positions(self.d)
        space = self.d.mantissa.shape[lead:-1]
        window = [(n - 1) * s + 1 for n, s in zip(space, self.stride, strict=True)]
        every = (..., *(slice(None, None, s) for s in self.stride), slice(None))

        def tap(offset):
            start = (*(jnp.int32(0),) * lead, *offset, jnp.int32(0))
            shifted = lax.dynamic_slice(x, start, (*x.shape[:lead], *window, x.shape[-1]))[every]
            return one(Positions(with_positions(Scaled(shifted, self.x.exponent)), d))

        return lax.map(tap, jnp.asarray(np.array(list(np.ndindex(*self.kernel))), jnp.int32))


class Summed(NamedTuple):
    """The gradient of a parameter so small that each example's own is written down: ``sum_i g_i``.

    `each` has the shape (..., batch, *shape of the parameter): biases, gains of a norm, the scale of a branch.
    """

    each: Scaled

    def _sum(self) -> Scaled:
        return normalise(align(self.each).map(lambda m: jnp.sum(m, self.each.lead - 1)))

    def product(self) -> Scaled:
        """Return the sum over one power of two, shape (..., 1, entries)."""
        return _as_matrix(self._sum())

    def materialise(self) -> Array:
        """Return the plain array, of the parameter's shape (and groups)."""
        return self._sum().value()

    def norm(self) -> Log2:
        """Return log2 of the Euclidean norm."""
        return _norm(self.product())

    def examples(self) -> tuple[Array, Scaled]:
        """Return cosines between the gradients of two examples (..., batch, batch), and the size of each."""
        exponent = self.each.exponent
        unit, sizes = unit_rows(self.each.mantissa.reshape(*exponent.shape, -1))
        return _gram(unit), Scaled(sizes, exponent)


class FullGradient(NamedTuple):
    """A gradient that its layer hands back multiplied out, over the cotangent's exponent."""

    array: Scaled

    def product(self) -> Scaled:
        """Return the gradient over one power of two, shape (..., 1, entries)."""
        return normalise(_as_matrix(self.array))

    def materialise(self) -> Array:
        """Return the plain array."""
        return self.array.value()

    def norm(self) -> Log2:
        """Return log2 of the Frobenius norm."""
        return _norm(self.product())

    def examples(self) -> NotMeasured:
        """Return the reason why there are none: the layer has summed over the examples."""
        return NotMeasured("the layer hands back the gradient of the whole batch, summed over its examples")


def _as_matrix(s: Scaled) -> Scaled:
    """Return all axes behind those of the groups as the second of two."""
    return Scaled(s.mantissa.reshape(*s.powers.shape, 1, -1), s.powers)


def _norm(matrix: Scaled) -> Log2:
    return log2_norm(jnp.sum(matrix.mantissa**2, (-1, -2)), matrix.exponent)


def _gram(x: Array) -> Array:
    return matmul(x, jnp.swapaxes(x, -1, -2))


def unit_rows(x: Array) -> tuple[Array, Array]:
    """Return the rows scaled to length 1 (0 where the row is 0), and their lengths."""
    top = jnp.max(jnp.abs(x), -1, keepdims=True)
    x = x / jnp.maximum(top, jnp.finfo(x.dtype).tiny)
    size = jnp.sqrt(jnp.sum(x * x, -1, keepdims=True))  # at least 1, but where the row is 0
    return x / jnp.maximum(size, 1), (size * top)[..., 0]


def outer(a: Scaled, d: Scaled) -> Outer | Positions:
    """Return the gradient of a weight with input `a` and delta `d`, of one row or several for each example.

    The exponents' axes are those of groups and examples; a plain array has no groups. What lies
    between them and the features are positions.
    """
    return Positions(with_positions(a), with_positions(d)) if d.positions else Outer(a, d)


def summed(each: Scaled, axes: tuple[int, ...]) -> Summed:
    """Return the gradient of a gain or a scale from its products, which each example has along these axes."""
    return Summed(normalise(each.map(lambda m: jnp.sum(m, axes))))


def row_sum(d: Scaled) -> Summed:
    """Return the gradient of a bias with delta `d`, of one row or several for each example."""
    return summed(d, d.positions) if d.positions else Summed(d)


def materialise(site: Site) -> dict[str, Array]:
    """Keep the arrays dL/dtheta, as training and the check need them: a reader."""
    return {name: gradient.materialise() for name, gradient in site.gradient.items()}
