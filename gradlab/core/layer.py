"""Layers as values, and the combinators that make networks of them.

A layer is three pure functions, written side by side:

    params, out_shape = init(key, in_shape)
    y, saved          = forward(params, x)
    dx, record        = backward(params, saved, dy, read)      # the chain rule, by hand

Shapes leave out the batch. Signals are `Scaled`, so that forward and backward stay exact outside
the range of floats; with plain signals (`core.scaled.plain`) the same forward pass is an ordinary
JAX function. A combinator is a layer too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gradlab.core.gradient import FullGradient, Reader, Site, materialise
from gradlab.core.keys import fold_in
from gradlab.core.random import stacked
from gradlab.core.scaled import Scaled, align, normalise, plain


def _no_copies(n: Any) -> Layer:
    raise TypeError(f"the first {n} copies of a layer that is no `repeat`")


class Layer(NamedTuple):
    """A layer: how its parameters are drawn, its forward pass, and its backward pass, which is written by hand.

    `lift` makes one from functions on plain arrays. All layers here are linear in the delta, so one backward pass
    serves losses of every scale.

    Parameters
    ----------
    init : callable
        ``(key, in_shape) -> (params, out_shape)``.
    forward : callable
        ``(params, x: Scaled) -> (y: Scaled, saved)``; `saved` is what `backward` needs.
    backward : callable
        ``(params, saved, dy: Scaled, read) -> (dx: Scaled, record)``; linear in `dy`.
        `record` is what `read` made of the layer's `Site`.
    parts : callable, optional
        Of a combinator that hands the signal from one layer to the next: ``(tree) -> [(name, layer,
        subtree), ...]`` for a tree like its parameters, in the order of the signal. With it
        `gradlab.check` looks at each layer by itself.
    tangent : callable, optional
        ``(params, saved, dx: Scaled) -> dy: Scaled``, for the function `tangent`. None: the transpose of
        `backward` as it stands.
    sequence : tuple of Part
        Of `serial` its parts; empty of any other layer.
    copies : int
        Of `repeat` the number of its copies, along the leading axis of parameters and records; 0 of any other layer.
    first : callable
        Of `repeat`: ``n -> Layer``, its first n copies. Any other layer refuses.
    rebuilt : callable, optional
        Of a combinator: ``change -> Layer``, itself with ``change(layer, number)`` in place of each layer that it is
        made of; the number is that of a copy of `repeat`, else None.
    mask : (int, int), optional
        (n, i) where a network that is trained with dropout has a mask behind this layer, the i-th of n in its block.
    """

    init: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    parts: Callable[[Any], list[tuple[str, Layer, Any]]] | None = None
    tangent: Callable[[Any, Any, Scaled], Scaled] | None = None
    sequence: tuple[Part, ...] = ()
    copies: int = 0
    first: Callable[[Any], Layer] = _no_copies
    rebuilt: Callable[[Callable[[Layer, Any], Layer]], Layer] | None = None
    mask: tuple[int, int] | None = None


def lift(init: Callable, forward: Callable, chain_rule: Callable, kind: str = "layer") -> Layer:
    """Make a layer of your own from three functions on plain arrays: draw, compute forward, apply the chain rule.

    Parameters
    ----------
    init : callable
        ``(key, in_shape) -> (params, out_shape)``, `params` a dict of arrays.
    forward : callable
        ``(params, x) -> (y, saved)`` on arrays of shape ``(batch, *in_shape)``.
    chain_rule : callable
        ``(params, saved, dy) -> (dx, gradients)``, `gradients` a dict like `params`,
        summed over the batch.
    kind : str
        Name in reports.

    Notes
    -----
    `gradlab.CustomNetwork` makes a network of layers, `gradlab.check` compares it with automatic differentiation.
    Arrays are scaled by a power of two on the way, so that they stay in the range of float32; because the gradient is
    summed over the batch, all examples share this power.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> double = lift(lambda key, shape: ({}, shape), lambda p, x: (2 * x, ()), lambda p, s, dy: (2 * dy, {}))
    """

    def forward_(params, x):
        y, saved = forward(params, x.value())
        return x.constant(y), (saved, x)

    def backward_(params, saved, dy, read):
        saved, x = saved
        shared = common_exponent(dy)
        dx, gradients = chain_rule(params, saved, shared.mantissa)
        of_all = lambda g: shared.map(lambda _: g, lambda e: e[..., 0])
        whole = {name: FullGradient(of_all(g)) for name, g in gradients.items()}
        record = read(Site(kind, (), params, x, None, dy, whole))
        return normalise(shared.map(lambda _: dx)), record

    layer = Layer(init, forward_, backward_)
    return layer._replace(tangent=lambda params, saved, dx: tangent(layer, params, saved, common_exponent(dx)))


def common_exponent(s: Scaled) -> Scaled:
    """Return the same numbers with one exponent for the whole batch: where examples are summed or interact."""
    return align(s).map(lambda m: m, lambda e: jnp.broadcast_to(e[..., None], s.exponent.shape))


def tangent(layer: Layer, params: Any, saved: Any, dx: Scaled) -> Scaled:
    """Return the derivative of a layer's output along `dx`: the Jacobian-vector product dy = J dx.

    The backward pass is linear in the cotangent, dx = Jᵀ dy, so its transpose is J: the forward
    derivative is derived from the hand-written chain rule, and no layer has a second one that could differ.
    Combinators hand the tangent on from layer to layer, each example over its own power of two.

    Parameters
    ----------
    layer : Layer
        The layer.
    params, saved : Any
        As for `backward`.
    dx : Scaled, shape (batch, *in_shape)
        Direction at the input of each example.

    Returns
    -------
    Scaled, shape (batch, *out_shape)
        Normalised.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> double = lift(lambda key, shape: ({}, shape), lambda p, x: (2 * x, ()), lambda p, s, dy: (2 * dy, {}))
    >>> _, saved = double.forward({}, plain(jnp.ones((1, 2))))
    >>> tangent(double, {}, saved, plain(jnp.asarray([[3.0, 4.0]]))).value().tolist()
    [[6.0, 8.0]]
    """
    if layer.tangent is not None:
        return layer.tangent(params, saved, dx)
    y = jax.eval_shape(lambda x: layer.forward(params, plain(x))[0].mantissa, dx.mantissa)
    pull = lambda dy: layer.backward(params, saved, plain(dy), lambda site: None)[0].mantissa
    (dy,) = jax.linear_transpose(pull, y)(dx.mantissa)
    return normalise(Scaled(dy, dx.exponent))


def prefixed(read: Reader, name: str) -> Reader:
    """Return `read` with `name` put in front of the path of every site."""
    return lambda site: read(site._replace(path=(name, *site.path)))


class Part(NamedTuple):
    """A layer of a `serial`, with a name of its own.

    Parameters
    ----------
    name : str
        In paths.
    layer : Layer
        The layer itself.
    fold : int, optional
        The number that is folded into the key from which the layer draws. None: the key as it is. Two parts that draw
        need different numbers.
    """

    name: str
    layer: Layer
    fold: int | None = None


def serial(*layers: Layer | Part) -> Layer:
    """Put one layer after another.

    Parameters
    ----------
    *layers : Layer or Part
        From input to output. A layer that is no `Part` has its position as name and as fold.

    Examples
    --------
    >>> from gradlab.core.dense import dense
    >>> [part.name for part in serial(dense(4), Part("readout", dense(2), fold=7)).sequence]
    ['0', 'readout']
    """
    sequence = tuple(p if isinstance(p, Part) else Part(str(i), p, i) for i, p in enumerate(layers))

    def init(key, shape):
        params = []
        for _, layer, fold in sequence:
            p, shape = layer.init(key if fold is None else fold_in(key, fold), shape)
            params.append(p)
        return tuple(params), shape

    def forward(params, x):
        saved = []
        for part, p in zip(sequence, params, strict=True):
            x, s = part.layer.forward(p, x)
            saved.append(s)
        return x, tuple(saved)

    def backward(params, saved, dy, read):
        records = []
        for part, p, s in reversed(list(zip(sequence, params, saved, strict=True))):
            dy, record = part.layer.backward(p, s, dy, prefixed(read, part.name))
            records.append(record)
        return dy, tuple(reversed(records))

    def along(params, saved, dx):
        for part, p, s in zip(sequence, params, saved, strict=True):
            dx = tangent(part.layer, p, s, dx)
        return dx

    parts = lambda tree: [(part.name, part.layer, subtree) for part, subtree in zip(sequence, tree, strict=True)]
    rebuilt = lambda change: serial(*(part._replace(layer=change(part.layer, None)) for part in sequence))
    return Layer(init, forward, backward, parts, along, sequence, rebuilt=rebuilt)


def repeat(layer: Layer | Callable[[Any], Layer], depth: int, start: int = 0) -> Layer:
    """Repeat a layer `depth` times, each copy with its own parameters, stacked along a leading axis.

    Parameters
    ----------
    layer : Layer or callable
        The layer; or a function from the number of a copy, which may be traced, to that copy, where copies differ in
        more than their parameters: in the mask of a dropout, or the scale of a branch.
    depth : int
        How many copies.
    start : int
        Number of the first copy. Copy i draws from the key folded with ``start + i``.

    Notes
    -----
    Forward and backward are one loop each, so compile time does not grow with the depth; `read` is
    applied inside the loop, so what it does not keep is never stored.

    The field `first` gives the layer of the first n copies, of which n may be traced: because the loop is our own, one
    compiled program serves every depth (automatic differentiation cannot differentiate a loop of unknown length).
    Its parameters, and what it saves, are those of all copies; records and saved signals of the others are zero.
    """

    copy = layer if callable(layer) else (lambda i: layer)
    numbers = range(start, start + depth)
    pick = lambda tree, i: jax.tree.map(lambda v: lax.dynamic_index_in_dim(v, i, 0, False), tree)

    def init(key, shape):
        return stacked(lambda i, key: copy(i).init(key, shape)[0], key, numbers), shape

    def through(n, number, step, signal):
        """Return the signal after n turns of ``step(signal, number(turn))``, and what each turn leaves."""
        left = jax.eval_shape(step, signal, jnp.int32(0))[1]

        def body(turn, carry):
            signal, buffers = carry
            i = number(turn)
            signal, left = step(signal, i)
            return signal, jax.tree.map(lambda b, v: lax.dynamic_update_index_in_dim(b, v, i, 0), buffers, left)

        return lax.fori_loop(0, n, body, (signal, jax.tree.map(lambda v: jnp.zeros((depth, *v.shape), v.dtype), left)))

    def first(n):
        def forward(params, x):
            return through(n, lambda turn: turn, lambda x, i: copy(start + i).forward(pick(params, i), x), x)

        def backward(params, saved, dy, read):
            step = lambda dy, i: copy(start + i).backward(pick(params, i), pick(saved, i), dy, read)
            return through(n, lambda turn: n - 1 - turn, step, dy)

        return Layer(init, forward, backward)

    def forward(params, x):
        # automatic differentiation goes back through a scan, and takes from it what each copy saved
        return lax.scan(lambda x, ip: copy(ip[0]).forward(ip[1], x), x, (jnp.asarray(numbers), params), length=depth)

    def parts(tree):
        return [(str(n), copy(n), jax.tree.map(lambda v: v[i], tree)) for i, n in enumerate(numbers)]  # noqa: B023

    def along(params, saved, dx):
        step = lambda dx, ips: (tangent(copy(ips[0]), *ips[1:], dx), None)
        return lax.scan(step, dx, (jnp.asarray(numbers), params, saved), length=depth)[0]

    rebuilt = lambda change: repeat(lambda i: change(copy(i), i), depth, start)
    return Layer(init, forward, first(depth).backward, parts, along, copies=depth, first=first, rebuilt=rebuilt)


def in_copies(layer: Layer, params: Any) -> Any:
    """Return for each array of a layer's parameters whether its first axis counts the copies of a `repeat`.

    Parameters
    ----------
    layer : Layer
        The layer.
    params : pytree
        Its parameters, or their shapes.

    Examples
    --------
    >>> from gradlab.core.dense import dense
    >>> layer = serial(dense(2), repeat(dense(2, bias=False), 3))
    >>> in_copies(layer, layer.init(jax.random.key(0), (2,))[0])
    ({'bias': False, 'weight': False}, {'weight': True})
    """
    if not layer.sequence:
        return jax.tree.map(lambda _: layer.copies > 0, params)
    return tuple(in_copies(part.layer, p) for part, p in zip(layer.sequence, params, strict=True))


def walk(layer: Layer, *trees: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Layer, tuple[Any, ...]]]:
    """Return the layers that a combinator is made of, in the order of the signal, each with its part of every tree."""
    if layer.parts is None:
        return [(path, layer, trees)]
    parts = []
    for same in zip(*(layer.parts(tree) for tree in trees), strict=True):
        name, part, _ = same[0]
        parts += walk(part, *(subtree for *_, subtree in same), path=(*path, name))
    return parts


def hand_written(layer: Layer) -> Callable[[Any, Array], Array]:
    """Return a layer as an ordinary JAX function whose reverse derivative is the hand-written one.

    Parameters
    ----------
    layer : Layer
        Any layer or network's stack.

    Returns
    -------
    callable
        ``f(params, x) -> y`` on plain arrays, with a `jax.custom_vjp`: it can be differentiated,
        jitted and vmapped.

    Examples
    --------
    >>> import jax
    >>> from gradlab.core.dense import dense
    >>> layer = dense(3)
    >>> params, _ = layer.init(jax.random.key(0), (2,))
    >>> jax.grad(lambda p: hand_written(layer)(p, jax.numpy.ones((4, 2))).sum())(params)["bias"].tolist()
    [4.0, 4.0, 4.0]
    """

    @jax.custom_vjp
    def f(params, x):
        return layer.forward(params, plain(x))[0].value()

    def forward(params, x):
        y, saved = layer.forward(params, plain(x))
        return y.value(), (params, saved)

    def backward(kept, dy):
        params, saved = kept
        dx, grads = layer.backward(params, saved, plain(dy), materialise)
        return grads, dx.value()

    f.defvjp(forward, backward)
    return f
