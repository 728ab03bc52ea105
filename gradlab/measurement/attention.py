r"""What is measured of sequences alone: how alike positions are, and how sharp attention is.

With the unit vectors :math:`u_i` of the T positions of one example, and :math:`\bar u` their mean, the mean over pairs

.. math:: \frac{2}{T(T-1)}\sum_{i<j}(1 - u_i\cdot u_j) = \frac{1}{T-1}\sum_i|u_i-\bar u|^2

is a sum of squares, so that nothing cancels where all positions have become one vector (rank collapse: Dong et al.
2021).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from gradlab.core.gradient import Site, unit_rows
from gradlab.core.scaled import Scaled
from gradlab.measurement.kept import Pairs

#: Columns of the gradients of an attention layer, by the names of its weights.
OF_WEIGHTS: dict[str, str] = {name: f"log10_{name}_grad_norm" for name in ("query", "key", "value")}
#: Columns of the scores of an attention layer.
OF_SCORES: tuple[str, ...] = ("attention_logit_max", "attention_entropy")
#: Column of a signal that has positions.
TOKENS = "log10_one_minus_token_c"


def token_pairs(s: Scaled) -> Pairs:
    """Compute 1 - c of the positions of each example, as a mean over its pairs of which neither is exactly 0.

    Parameters
    ----------
    s : Scaled, shape (group..., batch, positions..., features)
        A signal; a power of two of an example does not change its correlations.

    Returns
    -------
    Pairs
        A value for each example: NaN where it is below the rounding of the signals.
    """
    lead, features = s.lead, s.mantissa.shape[-1]
    unit, size = unit_rows(s.mantissa.reshape(*s.mantissa.shape[:lead], -1, features))
    alive = size > 0
    count = jnp.sum(alive.astype(unit.dtype), -1)
    mean = jnp.sum(unit, -2) / jnp.maximum(count, 1)[..., None]
    across = jnp.where(alive[..., None], unit - mean[..., None, :], 0)
    value = jnp.sum(across * across, (-1, -2)) / jnp.maximum(count - 1, 1)
    hidden = value < 0.5 * (256 * jnp.finfo(value.dtype).eps) ** 2  # as of pairs of examples: a few hundred roundings
    return Pairs(jnp.where(hidden, jnp.nan, value), jnp.zeros(value.shape, jnp.int32), count > 1)


def attention_values(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """Read the gradient of one weight of an attention layer, and at its queries the scores."""
    kept: dict[str, Any] = {}
    column = OF_WEIGHTS.get(site.path[-1] if site.path else "")
    if column in wanted:
        kept[column] = site.gradient["weight"].norm()
    if site.scores is not None and wanted.intersection(OF_SCORES):
        scores = site.scores()
        kept |= {name: v for name, v in _of_scores(scores, site.dy.lead - 1).items() if name in wanted}
    return kept


def _of_scores(scores: Array, groups: int) -> dict[str, Array]:
    """Return the largest score and the mean entropy of a row; what a mask hides is -inf."""
    axes = tuple(range(groups, scores.ndim))
    seen = scores > -jnp.inf
    relative = jnp.where(seen, scores - jnp.max(scores, -1, keepdims=True), 0)
    terms = jnp.where(seen, jnp.exp(relative), 0)
    total = jnp.sum(terms, -1)
    entropy = jnp.log(total) - jnp.sum(terms * relative, -1) / total
    return {"attention_logit_max": jnp.max(scores, axes), "attention_entropy": jnp.mean(entropy, axes[:-1])}
