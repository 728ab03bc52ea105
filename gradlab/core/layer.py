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

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from gradlab.core.gradient import Reader, Site, Whole, materialise
from gradlab.core.scaled import Scaled, align, normalise, plain


class Layer(NamedTuple):
    """A layer: `init`, `forward` and the hand-written `backward`.

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
    sequence : tuple of (str, Layer)
        Of `serial` its parts with their names; empty of any other layer.
    copies : int
        Of `repeat` the number of its copies, along the leading axis of parameters and records; 0 of any other layer.
    """

    init: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    parts: Callable[[Any], list[tuple[str, Layer, Any]]] | None = None
    tangent: Callable[[Any, Any, Scaled], Scaled] | None = None
    sequence: tuple[tuple[str, Layer], ...] = ()
    copies: int = 0


def lift(init: Callable, forward: Callable, chain_rule: Callable, kind: str = "layer") -> Layer:
    """A layer from functions on plain arrays: the way to write one's own.

    Parameters
    ----------
    init : callable
        ``(key, in_shape) -> (params, out_shape)``, `params` a dict of arrays.
    forward : callable
        ``(params, x) -> (y, saved)`` on arrays of shape (batch, *in_shape).
    chain_rule : callable
        ``(params, saved, dy) -> (dx, gradients)``, `gradients` a dict like `params`,
        summed over the batch.
    kind : str
        Name in reports.

    Notes
    -----
    A gradient that is summed over the batch needs one exponent for all examples. `gradlab.CustomNetwork` makes a
    network of layers, `gradlab.check` compares them with automatic differentiation.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> double = lift(lambda key, shape: ({}, shape), lambda p, x: (2 * x, ()), lambda p, s, dy: (2 * dy, {}))
    """

    def forward_(params, x):
        y, saved = forward(params, x.value())
        exponent = None if x.exponent is None else jnp.zeros_like(x.exponent)
        return Scaled(y, exponent), (saved, x)

    def backward_(params, saved, dy, read):
        saved, x = saved
        shared = common_exponent(dy)
        dx, gradients = chain_rule(params, saved, shared.mantissa)
        exponent = None if shared.exponent is None else shared.exponent[..., 0]
        whole = {name: Whole(Scaled(g, exponent)) for name, g in gradients.items()}
        record = read(Site(kind, (), params, x, None, dy, whole))
        return normalise(Scaled(dx, shared.exponent)), record

    layer = Layer(init, forward_, backward_)
    return layer._replace(tangent=lambda params, saved, dx: tangent(layer, params, saved, common_exponent(dx)))


def common_exponent(s: Scaled) -> Scaled:
    """The same numbers with one exponent for the whole batch: where examples are summed or interact."""
    if s.exponent is None:
        return s
    mantissa, exponent = align(s)
    return Scaled(mantissa, jnp.broadcast_to(exponent[..., None], s.exponent.shape))


def tangent(layer: Layer, params: Any, saved: Any, dx: Scaled) -> Scaled:
    """The derivative of a layer's output along `dx`: the Jacobian-vector product dy = J dx.

    The backward pass is linear in the cotangent, dx = Jᵀ dy, so its transpose is J: the forward
    derivative is derived from the hand-written chain rule, and no layer has a second one that could differ.
    Combinators hand the tangent on from layer to layer, each example over its own power of two.

    Parameters
    ----------
    layer : Layer
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


def below(read: Reader, name: str) -> Reader:
    """`read`, with `name` in front of the path of every site."""
    return lambda site: read(site._replace(path=(name, *site.path)))


def serial(*layers: Layer, names: Sequence[str] | None = None, folds: Sequence[int | None] | None = None) -> Layer:
    """One layer after another.

    Parameters
    ----------
    *layers : Layer
        From input to output.
    names : sequence of str, optional
        Names of the parts in paths; by default their positions.
    folds : sequence of int or None, optional
        The number that is folded into the key for each part; None hands the key on as it is.
        By default the positions.
    """
    names = tuple(names or (str(i) for i in range(len(layers))))
    folds = tuple(range(len(layers))) if folds is None else tuple(folds)

    def init(key, shape):
        params = []
        for layer, fold in zip(layers, folds, strict=True):
            p, shape = layer.init(key if fold is None else jax.random.fold_in(key, fold), shape)
            params.append(p)
        return tuple(params), shape

    def forward(params, x):
        saved = []
        for layer, p in zip(layers, params, strict=True):
            x, s = layer.forward(p, x)
            saved.append(s)
        return x, tuple(saved)

    def backward(params, saved, dy, read):
        records = []
        for layer, p, s, name in reversed(list(zip(layers, params, saved, names, strict=True))):
            dy, record = layer.backward(p, s, dy, below(read, name))
            records.append(record)
        return dy, tuple(reversed(records))

    def along(params, saved, dx):
        for layer, p, s in zip(layers, params, saved, strict=True):
            dx = tangent(layer, p, s, dx)
        return dx

    parts = lambda tree: list(zip(names, layers, tree, strict=True))
    return Layer(init, forward, backward, parts, along, tuple(zip(names, layers, strict=True)))


def repeat(layer: Layer | Callable[[Any], Layer], depth: int, first: int = 0) -> Layer:
    """`depth` copies of a layer with parameters of their own, stacked along a leading axis.

    Forward and backward are one loop each, so compile time does not grow with the depth; `read` is
    applied inside the loop, so what it does not keep is never stored. Copy i draws from the key
    folded with ``first + i``. Copies that differ in more than their parameters (in the mask of a
    dropout, the scale of a branch) come from a function of that number, which may be traced.

    The backward pass takes one argument more than a layer's: ``enter``, the number of copies below
    the point where the cotangent enters. It may be traced: because the loop is our own, one
    compiled program serves every depth (automatic differentiation cannot differentiate a loop of
    unknown length). Records of the copies above are zero. The forward pass takes ``leave``, the number
    of copies that the signal goes through.
    """

    copy = layer if callable(layer) else (lambda i: layer)
    numbers = range(first, first + depth)

    def init(key, shape):
        one = lambda i: copy(i).init(jax.random.fold_in(key, i), shape)[0]
        # one copy after another: all at once would hold every copy's temporaries in memory
        return lax.map(one, jnp.asarray(numbers)), shape

    pick = lambda tree, i: jax.tree.map(lambda v: lax.dynamic_index_in_dim(v, i, 0, False), tree)
    put = lambda room, tree, i: jax.tree.map(lambda b, v: lax.dynamic_update_index_in_dim(b, v, i, 0), room, tree)
    room = lambda tree: jax.tree.map(lambda v: jnp.zeros((depth, *v.shape), v.dtype), tree)

    def forward(params, x, leave=None):
        if leave is None:
            return lax.scan(
                lambda x, ip: copy(ip[0]).forward(ip[1], x), x, (jnp.asarray(numbers), params), length=depth
            )

        def step(x, i):
            return copy(first + i).forward(pick(params, i), x)

        def body(i, carry):
            x, buffers = carry
            x, saved = step(x, i)
            return x, put(buffers, saved, i)

        return lax.fori_loop(0, leave, body, (x, room(jax.eval_shape(step, x, jnp.int32(0))[1])))

    def backward(params, saved, dy, read, enter=depth):
        def step(dy, p, s, i):
            return copy(first + i).backward(p, s, dy, read)

        one = jax.tree.map(lambda v: jax.ShapeDtypeStruct(v.shape[1:], v.dtype), (params, saved))
        record = jax.eval_shape(step, dy, *one, jnp.int32(0))[1]

        def body(turn, carry):
            dy, buffers = carry
            i = enter - 1 - turn
            dy, record = step(dy, pick(params, i), pick(saved, i), i)
            return dy, put(buffers, record, i)

        return lax.fori_loop(0, enter, body, (dy, room(record)))

    def parts(tree):
        return [(str(n), copy(n), jax.tree.map(lambda v: v[i], tree)) for i, n in enumerate(numbers)]  # noqa: B023

    def along(params, saved, dx):
        step = lambda dx, ips: (tangent(copy(ips[0]), *ips[1:], dx), None)
        return lax.scan(step, dx, (jnp.asarray(numbers), params, saved), length=depth)[0]

    return Layer(init, forward, backward, parts, along, copies=depth)


def walk(layer: Layer, *trees: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Layer, tuple[Any, ...]]]:
    """The layers that a combinator is made of, in the order of the signal, each with its part of every tree."""
    if layer.parts is None:
        return [(path, layer, trees)]
    found = []
    for same in zip(*(layer.parts(tree) for tree in trees), strict=True):
        name, part, _ = same[0]
        found += walk(part, *(subtree for *_, subtree in same), path=(*path, name))
    return found


def hand_written(layer: Layer) -> Callable[[Any, Array], Array]:
    """A layer as an ordinary JAX function whose reverse derivative is the hand-written one.

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
