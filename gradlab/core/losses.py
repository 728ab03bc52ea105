r"""Losses: the value and the hand-written gradient at the output.

A loss takes `Scaled` logits of shape (group..., batch, outputs) and returns the mean over the
batch, and the cotangent of that mean, both `Scaled`: a network that explodes to 1e600 still has a
loss, and an example that its softmax classifies beyond doubt still has a cotangent of e^{-1000}.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from gradlab import config
from gradlab.core.initializers import FAMILIES
from gradlab.core.random import numpy_for, placed
from gradlab.core.scaled import LOWEST, Scaled, add, align, expand, normalise, power, split

#: Beyond this gap a probability is 0 in every sense: the exponent itself would overflow.
_FAR = 2.0**28


def mean_over_batch(values: Scaled) -> Scaled:
    """The mean over examples of a `Scaled` of shape (group..., batch)."""
    if values.exponent is None:
        return Scaled(jnp.mean(values.mantissa, -1), None)
    mantissa, exponent = align(values)
    return normalise(Scaled(jnp.mean(mantissa, -1), exponent))


def _share(dy: Scaled) -> Scaled:
    """The cotangent of the mean, from that of each example's loss."""
    return normalise(Scaled(dy.mantissa / dy.mantissa.shape[-2], dy.exponent))


def _with_unit(logits: Scaled, y: Array) -> tuple[Array, Array, Array | None]:
    """Logits and plain targets over one common exponent: at least 0, but where all of an example's targets are 0."""
    if logits.exponent is None:
        return logits.mantissa, y, None
    common = jnp.where(jnp.any(y != 0, -1), jnp.maximum(logits.exponent, 0), logits.exponent)
    shrink = power(logits.exponent - common, y.dtype)
    alive = logits.exponent - common > -125
    m = logits.mantissa * expand(jnp.where(alive, shrink, 0), logits.mantissa)
    unit = jnp.where(common < 125, power(-jnp.maximum(common, 0), y.dtype), 0)
    return m, y * expand(unit, logits.mantissa), common


def mse(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""Half the squared error summed over outputs: half of what PyTorch and Keras call so for one output.

    Theirs is the mean of the squares over outputs, :math:`2/\text{outputs}` times this one; gradients and the learning
    rates that suit them differ by the same factor.

    .. math:: L_i = \tfrac12\sum_k (o_{ik}-y_{ik})^2,\qquad \partial L_i/\partial o_{ik} = o_{ik}-y_{ik}.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, outputs)
    y : Array, shape (batch, outputs)

    Returns
    -------
    value : Scaled, shape (group...,)
        Mean over the batch.
    cotangent : Scaled
        Of that mean, by the logits.
    """
    m, target, exponent = _with_unit(logits, y)
    gap = normalise(Scaled(m - target, exponent))
    squares = 0.5 * jnp.sum(gap.mantissa**2, -1)
    value = mean_over_batch(normalise(Scaled(squares, None if exponent is None else 2 * gap.exponent)))
    return value, _share(gap)


def softmax_cross_entropy(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""Cross-entropy of the softmax with integer labels.

    .. math:: L_i = -\log p_{i y_i},\qquad \partial L_i/\partial o_{ik} = p_{ik} - [k = y_i].

    The entry of the right class is written :math:`-\sum_{k\neq y_i} p_{ik}`, which does not cancel,
    and all probabilities are taken relative to the largest of the *other* classes, whose power of
    two goes to the exponent.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, classes)
    y : Array of int, shape (batch,)

    Returns
    -------
    value, cotangent : Scaled
        As for `mse`.
    """
    m, e = logits
    dtype = m.dtype
    classes = jnp.arange(m.shape[-1], dtype=y.dtype)
    right = y[:, None] == classes
    top = jnp.max(m, -1, keepdims=True)
    raw = top - m  # gap to the largest logit, in units of 2**e
    gap = Scaled(raw, e).value()
    is_top = classes == jnp.argmax(m, -1).astype(y.dtype)[..., None]

    # the largest of the others: its probability relative to the top one is exp(-second)
    second = jnp.min(jnp.where(is_top, jnp.inf, gap), -1)
    far = ~(second < _FAR)
    q, r = split(jnp.where(far, 0, second))
    tail = jnp.sum(jnp.where(is_top, 0, jnp.exp(-_minus(gap, second))), -1) * jnp.exp2(-r)
    tail = jnp.where(far, 0, tail)  # sum over the others of exp(-gap), times 2**q
    log_z = jnp.log1p(tail * _exp2_of(-q, dtype))

    # cotangent: relative to the largest of the classes that are not the right one
    wrong = jnp.min(jnp.where(right, jnp.inf, gap), -1)
    lost = ~(wrong < _FAR)
    qw, rw = split(jnp.where(lost, 0, wrong))
    others = jnp.where(right, 0, jnp.exp(-_minus(gap, wrong) - log_z[..., None])) * jnp.exp2(-rw)[..., None]
    others = jnp.where(lost[..., None], 0, others)
    dy = jnp.where(right, -jnp.sum(others, -1, keepdims=True), others)

    gap_right = jnp.sum(jnp.where(right, raw, 0), -1)
    if e is None:
        return Scaled(jnp.mean(gap_right + log_z), None) if m.ndim == 2 else Scaled(
            jnp.mean(gap_right + log_z, -1), None
        ), _share(Scaled(dy * _exp2_of(-qw, dtype)[..., None], None))
    # log(1 + t) = t far below the resolution of the dtype, where t itself needs an exponent
    tiny = q > 60
    log_part = normalise(Scaled(jnp.where(tiny, tail, log_z), jnp.where(tiny, -q, 0)))
    value = mean_over_batch(add(normalise(Scaled(gap_right, e)), log_part))
    return value, _share(Scaled(dy, -qw))


def _minus(gap: Array, base: Array) -> Array:
    """``gap - base``, where inf - inf is inf."""
    base = base[..., None]
    return jnp.where(jnp.isfinite(gap), gap - jnp.where(jnp.isfinite(base), base, 0), jnp.inf)


def _exp2_of(k: Array, dtype) -> Array:
    """2**k for integers k <= 0, 0 far down."""
    return jnp.where(k > -125, power(k, dtype), 0)


def logistic(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""Logistic loss summed over outputs, for targets 0 or 1.

    .. math:: L_i = \sum_k \log(1 + e^{-s_{ik} o_{ik}}),\quad
              \partial L_i/\partial o_{ik} = -s_{ik}\,\sigma(-s_{ik} o_{ik}),\quad s = 2y - 1.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, outputs)
    y : Array of 0 and 1, shape (batch, outputs)

    Returns
    -------
    value, cotangent : Scaled
        As for `mse`.
    """
    m, e = logits
    dtype = m.dtype
    sign = 2 * y - 1
    margin = Scaled(sign * m, e).value()
    good = jnp.maximum(margin, 0)  # how far on the right side
    least = jnp.min(good, -1)
    far = ~(least < _FAR)
    q, r = split(jnp.where(far, 0, least))
    # exp(-|margin|) relative to 2**-q
    small = jnp.where(far[..., None], 0, jnp.exp(-_minus(good, least)) * jnp.exp2(-r)[..., None])
    dy = -sign * small / (1 + jnp.exp(-jnp.abs(margin)))

    wrong = jnp.sum(jnp.maximum(-sign * m, 0), -1)  # in units of 2**e
    if e is None:
        value = jnp.mean(wrong + jnp.sum(jnp.log1p(jnp.exp(-jnp.abs(margin))), -1), -1)
        return Scaled(value, None), _share(Scaled(dy * _exp2_of(-q, dtype)[..., None], None))
    tiny = q > 60
    logs = jnp.where(tiny[..., None], small, jnp.log1p(jnp.exp(-jnp.abs(margin))))
    log_part = normalise(Scaled(jnp.sum(logs, -1), jnp.where(tiny, -q, 0)))
    value = mean_over_batch(add(normalise(Scaled(wrong, e)), log_part))
    return value, _share(Scaled(dy, -q))


def probe(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""The action of the Jacobian apart from any loss: :math:`L_i = \langle u_i, o_i\rangle`.

    The target `y` holds one unit vector u_i for each example (`core.losses.probes` draws them), and
    is the cotangent itself.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, outputs)
    y : Array, shape (batch, outputs)

    Returns
    -------
    value, cotangent : Scaled
        As for `mse`.
    """
    products = jnp.sum(logits.mantissa * y, -1)
    value = mean_over_batch(normalise(Scaled(products, logits.exponent)))
    exponent = None if logits.exponent is None else jnp.zeros_like(logits.exponent)
    return value, _share(Scaled(jnp.broadcast_to(y, logits.mantissa.shape), exponent))


def probes(key: Array, batch: int, outputs: int, dtype) -> Array:
    """One random unit vector for each example."""
    u = FAMILIES["normal"].draw(key, (batch, outputs), dtype)
    return placed(u / numpy_for(key).linalg.norm(u, axis=-1, keepdims=True))


#: The table. Names are those of `gradlab.config.LOSSES`.
TABLE: dict[str, Callable[[Scaled, Array], tuple[Scaled, Scaled]]] = {
    "softmax_cross_entropy": softmax_cross_entropy,
    "mse": mse,
    "logistic": logistic,
    "probe": probe,
}


def loss_named(name: str) -> Callable[[Scaled, Array], tuple[Scaled, Scaled]]:
    """The loss of that name, or an error that lists the nearest right names."""
    return TABLE[config.resolve("loss", name, config.LOSSES)]


def plain_loss(name: str) -> Callable[[Array, Array], Array]:
    """The textbook form of a loss on plain logits, for automatic differentiation: the reference."""
    import jax

    forms = {
        "softmax_cross_entropy": lambda o, y: -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(o), y[:, None], 1)),
        "mse": lambda o, y: 0.5 * jnp.mean(jnp.sum((o - y) ** 2, -1)),
        "logistic": lambda o, y: jnp.mean(jnp.sum(jax.nn.softplus(o) - y * o, -1)),
        "probe": lambda o, y: jnp.mean(jnp.sum(o * y, -1)),
    }
    return forms[config.resolve("loss", name, config.LOSSES)]


__all__ = [
    "LOWEST",
    "TABLE",
    "logistic",
    "loss_named",
    "mse",
    "plain_loss",
    "probe",
    "probes",
    "softmax_cross_entropy",
]
