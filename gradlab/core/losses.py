r"""Losses: the value and the hand-written gradient at the output.

A loss takes `Scaled` logits of shape (group..., batch, outputs) and returns the mean over the
batch, and the cotangent of that mean, both `Scaled`: a network that explodes to 1e600 still has a
loss, and an example that its softmax classifies beyond doubt still has a cotangent of e^{-1000}.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from gradlab import config
from gradlab.core.initializers import FAMILIES
from gradlab.core.random import numpy_for, placed
from gradlab.core.scaled import LOWEST, Scaled, add, align, normalise, split

#: Beyond this gap a probability is 0 in every sense: the exponent itself would overflow.
_FAR = 2.0**28


def mean_over_batch(values: Scaled) -> Scaled:
    """Return the mean over examples of a `Scaled` of shape (group..., batch)."""
    return normalise(align(values).map(lambda m: jnp.mean(m, -1)))


def _share(dy: Scaled) -> Scaled:
    """Return the cotangent of the mean, from that of each example's loss."""
    return dy.map(lambda m: m / m.shape[-2])


def mse(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""Half the squared error summed over outputs: half of what PyTorch and Keras call so for one output.

    Theirs is the mean of the squares over outputs, :math:`2/\text{outputs}` times this one; gradients and the learning
    rates that suit them differ by the same factor.

    .. math:: L_i = \tfrac12\sum_k (o_{ik}-y_{ik})^2,\qquad \partial L_i/\partial o_{ik} = o_{ik}-y_{ik}.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, outputs)
        Outputs of the network.
    y : Array, shape (batch, outputs)
        Targets.

    Returns
    -------
    value : Scaled, shape (group...,)
        Mean over the batch.
    cotangent : Scaled
        Of that mean, by the logits.
    """
    target = normalise(logits.constant(jnp.broadcast_to(-y, logits.mantissa.shape)))
    gap = add(logits, target)
    squares = 0.5 * jnp.sum(gap.mantissa**2, -1)
    return mean_over_batch(normalise(Scaled(squares, 2 * gap.exponent))), _share(gap)


def softmax_cross_entropy(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""Cross-entropy of the softmax with integer labels.

    .. math:: L_i = -\log p_{i y_i},\qquad \partial L_i/\partial o_{ik} = p_{ik} - [k = y_i].

    The entry of the right class is written :math:`-\sum_{k\neq y_i} p_{ik}`, which does not cancel,
    and all probabilities are taken relative to the largest of the *other* classes, whose power of
    two goes to the exponent.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, classes)
        Outputs of the network.
    y : Array of int, shape (batch,)
        Labels.

    Returns
    -------
    value, cotangent : Scaled
        As for `mse`.
    """
    m = logits.mantissa
    right = y[:, None] == jnp.arange(m.shape[-1], dtype=y.dtype)
    ahead = m - jnp.sum(jnp.where(right, m, 0), -1, keepdims=True)  # of the right one, in units of 2**exponent
    best = jnp.max(jnp.where(right, -jnp.finfo(m.dtype).max, ahead), -1)  # of the wrong ones
    w = logits.map(lambda _: best).value()
    relative = jnp.where(right, 0, jnp.exp(-logits.map(lambda _: best[..., None] - ahead).value()))
    total = jnp.sum(relative, -1)
    # with S the total and u = exp(-|w|): 1 + S exp(w) is 1 + S u where w < 0, else exp(w) (S + u)
    u = jnp.exp(-jnp.abs(w))
    beyond = jnp.where(w < 0, total * u, total - 1 + u)
    small, q = _exp_of(jnp.maximum(-w, 0))
    others = relative * (small / (1 + beyond))[..., None]
    dy = jnp.where(right, -jnp.sum(others, -1, keepdims=True), others)
    value = _mean_loss(logits.map(lambda _: jnp.maximum(best, 0)), jnp.log1p(beyond), total * small, q)
    return value, _share(Scaled(dy, q))


def _exp_of(x: Array) -> tuple[Array, Array]:
    """exp(-x) for x >= 0 as a factor in (1/2, 1] and an exponent; 0 where that would leave the integers."""
    near = x < _FAR
    q, r = split(jnp.where(near, x, 0))
    return jnp.where(near, jnp.exp2(-r), 0), jnp.where(near, -q, LOWEST)


def _mean_loss(large: Scaled, log: Array, tiny: Array, exponent: Array) -> Scaled:
    """Return the mean of `large` + log(1 + t); far below 1 the logarithm is t itself, `tiny` * 2**exponent."""
    far = exponent < -60
    rest = normalise(Scaled(jnp.where(far, tiny, log), jnp.where(far, exponent, 0)))
    return mean_over_batch(add(normalise(large), rest))


def logistic(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""Logistic loss summed over outputs, for targets 0 or 1.

    .. math:: L_i = \sum_k \log(1 + e^{-s_{ik} o_{ik}}),\quad
              \partial L_i/\partial o_{ik} = -s_{ik}\,\sigma(-s_{ik} o_{ik}),\quad s = 2y - 1.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, outputs)
        Outputs of the network, one for each example.
    y : Array of 0 and 1, shape (batch, outputs)
        Labels 0 and 1.

    Returns
    -------
    value, cotangent : Scaled
        As for `mse`.
    """
    sign = 2 * y - 1
    margin = logits.map(lambda m: sign * m)
    good = margin.map(lambda m: jnp.maximum(m, 0))  # how far on the right side
    least = jnp.min(good.mantissa, -1)
    small, q = _exp_of(logits.map(lambda _: least).value())
    tiny = jnp.exp(-good.map(lambda m: m - least[..., None]).value()) * small[..., None]
    u = jnp.exp(-jnp.abs(margin.value()))
    wrong = margin.map(lambda m: jnp.sum(jnp.maximum(-m, 0), -1))
    value = _mean_loss(wrong, jnp.sum(jnp.log1p(u), -1), jnp.sum(tiny, -1), q)
    return value, _share(Scaled(-sign * tiny / (1 + u), q))


def probe(logits: Scaled, y: Array) -> tuple[Scaled, Scaled]:
    r"""Measure the Jacobian without any loss: :math:`L_i = \langle u_i, o_i\rangle`.

    The target `y` holds one unit vector u_i for each example (`core.losses.probes` draws them), and
    is the cotangent itself.

    Parameters
    ----------
    logits : Scaled, shape (group..., batch, outputs)
        Outputs of the network.
    y : Array, shape (batch, outputs)
        The unit vectors, see `probes`.

    Returns
    -------
    value, cotangent : Scaled
        As for `mse`.
    """
    products = logits.map(lambda m: jnp.sum(m * y, -1))
    return mean_over_batch(normalise(products)), _share(logits.constant(jnp.broadcast_to(y, logits.mantissa.shape)))


def probes(key: Array, batch: int, outputs: int, dtype) -> Array:
    """Draw a random unit vector for each example."""
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
    """Return the loss of that name, or an error that lists the nearest right names."""
    return TABLE[config.resolve("loss", name, config.LOSSES)]


def plain_loss(name: str) -> Callable[[Array, Array], Array]:
    """Return the textbook form of a loss on plain logits, for automatic differentiation: the reference."""
    forms = {
        "softmax_cross_entropy": lambda o, y: -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(o), y[:, None], 1)),
        "mse": lambda o, y: 0.5 * jnp.mean(jnp.sum((o - y) ** 2, -1)),
        "logistic": lambda o, y: jnp.mean(jnp.sum(jax.nn.softplus(o) - y * o, -1)),
        "probe": lambda o, y: jnp.mean(jnp.sum(o * y, -1)),
    }
    return forms[config.resolve("loss", name, config.LOSSES)]
