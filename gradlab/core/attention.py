r"""Self-attention with its chain rule, and the positions that it cannot see by itself."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core.dense import dense
from gradlab.core.gradient import Site, Summed
from gradlab.core.initializers import Initializer, gaussian
from gradlab.core.keys import fold_in_each
from gradlab.core.layer import Layer, prefixed
from gradlab.core.norm import rms_norm
from gradlab.core.scaled import Scaled, add, matmul, normalise, plain

#: The four products, in the order in which their keys are folded.
PRODUCTS = ("query", "key", "value", "output")
#: The norms of queries and keys, where there are any, and what each normalises.
QK_NORMS = {"query_norm": "query", "key_norm": "key"}
POSITIONS = ("learned", "sinusoidal")


def attention(
    heads: int,
    init: Initializer | str = "xavier_normal",
    *,
    causal: bool = False,
    gain: float = 1.0,
    bias: bool = True,
    bias_std: float | None = None,
    divisor: float | None = None,
    qk_norm: bool = False,
) -> Layer:
    r"""Multi-head self-attention over (batch, time, features) (Vaswani et al. 2017, section 3.2).

    In each head, with q, k, v of n features at each position,

    .. math:: S = qk^T/\sqrt n,\quad P_{ij} = e^{S_{ij}}/\textstyle\sum_l e^{S_{il}},\quad o = Pv,\quad y = oW_o + b_o,

    and back, with :math:`\bar\cdot` for :math:`\partial L/\partial\cdot`,

    .. math:: \bar v = P^T\bar o,\quad \bar P = \bar o v^T,\quad
              \bar S_{ij} = P_{ij}\bigl(\bar P_{ij} - \textstyle\sum_l P_{il}\bar P_{il}\bigr),\quad
              \bar q = \bar S k/\sqrt n,\quad \bar k = \bar S^T q/\sqrt n.

    Parameters
    ----------
    heads : int
        Number of heads; it divides the features.
    init : Initializer or str
        Of the four weights, features x features each.
    causal : bool
        Whether a position sees itself and the earlier ones alone.
    gain : float
        Factor on the weights.
    bias : bool
        Whether the products have a bias. The keys have none: it would raise all scores of a row alike, which
        the softmax does not see, and its gradient would be 0.
    bias_std : float, optional
        Standard deviation of a Gaussian bias. None: the initialiser's own rule.
    divisor : float, optional
        What stands in place of :math:`\sqrt n` below the scores. None: :math:`\sqrt n`. In the maximal update
        parametrization it grows as n (Yang et al. 2022, definition 4.1).
    qk_norm : bool
        Whether each head's queries and keys are divided by their rms, with a gain for each feature that the heads
        share: then :math:`|S_{ij}|\le\sqrt n` times the gains, however large the weights are (Henry et al. 2020,
        who have one factor in the place of the gains).

    Raises
    ------
    GradlabError
        Where the input is no sequence, one of no steps, or one whose features the heads do not divide.

    Notes
    -----
    Parameters are ``{"query", "key", "value", "output"}``, each as those of `dense`, and each is read as a
    site of a dense layer at positions; with `qk_norm` also ``{"query_norm", "key_norm"}``, as those of `rms_norm`.
    P is not kept: it is made again from q and k on the way back.

    Powers of two pass through v and y; the scores see plain values.
    """
    heads = config.positive_integer("heads", heads)
    norm = rms_norm()

    def product(width: int, bias: bool = bias) -> Layer:
        return dense(width, init, gain=gain, bias=bias, bias_std=bias_std)

    def initialise(key, shape):
        _check(shape, heads)
        keys = dict(zip(PRODUCTS, fold_in_each(key, range(len(PRODUCTS))), strict=True))
        params = {name: product(shape[-1], bias and name != "key").init(k, shape)[0] for name, k in keys.items()}
        for name in QK_NORMS if qk_norm else ():
            params[name] = norm.init(key, (*shape[:-1], shape[-1] // heads))[0]
        return params, shape

    def normalised(params, q, k):
        """Return queries and keys behind their norms, and what those saved."""
        if not qk_norm:
            return q, k, {}
        (q, of_q), (k, of_k) = (
            norm.forward(params[name], s.map(lambda m: _split(m, heads)))
            for name, s in zip(QK_NORMS, (q, k), strict=True)
        )
        return q.map(_join), k.map(_join), dict(zip(QK_NORMS, (of_q, of_k), strict=True))

    def forward(params, x):
        _check(x.mantissa.shape[-2:], heads)
        through = product(x.mantissa.shape[-1])
        q, k, v = (through.forward(params[name], x)[0] for name in ("query", "key", "value"))
        q, k, normed = normalised(params, q, k)
        p = _weights(_split(q.value(), heads), _split(k.value(), heads), causal, divisor)
        seen = matmul(p, _split(v.mantissa, heads))
        o = v.map(lambda _: _join(seen))
        y, _ = through.forward(params["output"], o)
        return y, (x, q, k, v, o, normed)

    def backward(params, saved, dy, read):
        x, q, k, v, o, normed = saved
        through = product(x.mantissa.shape[-1])
        do, output = through.backward(params["output"], o, dy, prefixed(read, "output"))
        do = normalise(do)
        dq, dk, dv = _chain_rule(q, k, v, do, heads, causal, divisor)
        record, dx, cotangents = {"output": output}, None, {"query": dq, "key": dk, "value": dv}
        for name, kept in normed.items():
            d = cotangents[QK_NORMS[name]].map(lambda m: _split(m, heads))
            d, record[name] = norm.backward(params[name], kept, d, prefixed(read, name))
            cotangents[QK_NORMS[name]] = d.map(_join)
        scores = lambda: _scores(_split(q.value(), heads), _split(k.value(), heads), causal, divisor)
        showing = {"query": lambda site: read(site._replace(scores=scores))}
        for name, d in cotangents.items():
            part, record[name] = through.backward(params[name], x, d, prefixed(showing.get(name, read), name))
            dx = normalise(part) if dx is None else add(dx, normalise(part))
        return dx, record

    return Layer(initialise, forward, backward)


def _scores(q: Array, k: Array, causal: bool, divisor: float | None) -> Array:
    """S, shape (..., heads, time, time); -inf where position i does not see position j."""
    scores = matmul(q, jnp.swapaxes(k, -1, -2)) / _divisor(q, divisor)
    if causal:
        time = jnp.arange(scores.shape[-1])
        scores = jnp.where(time[:, None] >= time, scores, -jnp.inf)
    return scores


def _weights(q: Array, k: Array, causal: bool, divisor: float | None) -> Array:
    """P, shape (..., heads, time, time): how much position i takes from position j."""
    scores = _scores(q, k, causal, divisor)
    relative = jnp.exp(scores - jnp.max(scores, -1, keepdims=True))
    return relative / jnp.sum(relative, -1, keepdims=True)


def _chain_rule(
    q: Scaled, k: Scaled, v: Scaled, do: Scaled, heads: int, causal: bool, divisor: float | None
) -> tuple[Scaled, Scaled, Scaled]:
    """Return the cotangents of q, k and v."""
    v = plain(v.value()) if do.is_plain else v
    qs, ks, vs, dos = (_split(v, heads) for v in (q.value(), k.value(), v.mantissa, do.mantissa))
    p = _weights(qs, ks, causal, divisor)
    dv = matmul(jnp.swapaxes(p, -1, -2), dos)
    dp = matmul(dos, jnp.swapaxes(vs, -1, -2))
    # twice: what rounding leaves of the mean is as large as dp, and the keys multiply it where values are alike
    for _ in range(2):
        dp = dp - jnp.sum(p * dp, -1, keepdims=True)
    ds = p * dp / _divisor(qs, divisor)
    dq, dk = matmul(ds, ks), matmul(jnp.swapaxes(ds, -1, -2), qs)
    # the scores' cotangent is a product with v, and has its power of two as well
    both = lambda d: do.map(lambda _: _join(d), lambda e: e + v.exponent)
    return both(dq), both(dk), do.map(lambda _: _join(dv))


def _divisor(q: Array, divisor: float | None) -> Array:
    """Return what the scores are divided by: the square root of the features of a head where nothing is given."""
    return jnp.sqrt(jnp.asarray(q.shape[-1], q.dtype)) if divisor is None else jnp.asarray(divisor, q.dtype)


def _split(x: Array, heads: int) -> Array:
    """(..., time, features) as (..., heads, time, features of a head)."""
    return jnp.swapaxes(x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads), -2, -3)


def _join(x: Array) -> Array:
    """Undo `_split`."""
    x = jnp.swapaxes(x, -2, -3)
    return x.reshape(*x.shape[:-2], -1)


def _check(shape: tuple[int, ...], heads: int) -> None:
    if len(shape) != 2 or shape[0] == 0:
        raise GradlabError(
            "sequences of at least one step, x of shape (batch, time, features)", f"{shape} per example",
            "x[..., None], for one feature",
        )  # fmt: skip
    if shape[1] % heads:
        divisors = [h for h in range(1, shape[1] + 1) if shape[1] % h == 0]
        near = min(divisors, key=lambda h: abs(h - heads))
        raise GradlabError("heads that divide the features", f"{heads} heads, {shape[1]} features", f"heads={near}")


def positions(kind: str = "sinusoidal") -> Layer:
    r"""Add a vector for each position to a sequence: :math:`y_t = x_t + p_t`, :math:`\bar p_t = \sum_i\bar y_{it}`.

    Parameters
    ----------
    kind : str
        "learned": a parameter ``"position"`` of shape (time, features), at first N(0, 0.02^2) (Radford et al. 2018).
        "sinusoidal": :math:`p_{t,2j} = \sin(t\,10000^{-2j/n})`, :math:`p_{t,2j+1} = \cos(t\,10000^{-2j/n})`
        (Vaswani et al. 2017, section 3.5), and no parameter.
    """
    kind = config.resolve("kind of positions", kind, POSITIONS)

    def initialise(key, shape):
        if kind == "sinusoidal":
            return {}, shape
        return {"position": gaussian(std=0.02).weight(key, shape)}, shape

    def forward(params, x):
        p = params["position"] if kind == "learned" else _waves(*x.mantissa.shape[-2:], x.mantissa.dtype)
        y = add(x, normalise(x.constant(jnp.broadcast_to(p, x.mantissa.shape))))
        return y, (x, y)

    def backward(params, saved, dy, read):
        gradient = {"position": Summed(normalise(dy))} if kind == "learned" else {}
        return dy, read(Site("positions", (), params, *saved, dy, gradient))

    return Layer(initialise, forward, backward)


def _waves(time: int, features: int, dtype) -> Array:
    angle = np.arange(time)[:, None] * 10000.0 ** (-2 * (np.arange(features) // 2) / features)
    return jnp.asarray(np.where(np.arange(features) % 2 == 0, np.sin(angle), np.cos(angle)), dtype)
