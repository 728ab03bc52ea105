"""What attention and feed-forward branches make of Gram matrices of positions: shapes (examples, time, time)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradlab.theory.closed_forms import closed_form
from gradlab.theory.gaussian import expectation

#: Draws of queries and keys times positions, and the fewest draws.
DRAWN_POSITIONS, LEAST_DRAWS = 4096, 32
#: Terms of the Hermite series of an activation that has no closed form for two inputs.
_TERMS = 40
#: The angle at which closed forms stand for that of two equal positions.
_LEAST_ANGLE = 1e-7


@dataclass(frozen=True)
class AttentionDraws:
    """Hold draws of attention over one input: shapes (examples, draws, time, time).

    `signal` is the branch's input G, `p` the softmax weights, `queries` and `keys` the products over a head's features
    of the drawn queries and keys.
    """

    signal: np.ndarray
    p: np.ndarray
    queries: np.ndarray
    keys: np.ndarray
    sigma: tuple[float, float]

    @classmethod
    def of(cls, rng: np.random.Generator, signal: np.ndarray, net: Any, sigma: tuple[float, float]) -> AttentionDraws:
        """Draw queries and keys of a network's heads, with sigma_w2 and sigma_b2 of their weights."""
        features, (w, b) = net.width // net.heads, sigma
        q, k = (_gaussian(rng, w * signal + bias, features) for bias in (b, 0.0))  # keys have no bias
        scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(features)
        if net.causal:
            scores = np.where(np.tri(scores.shape[-1]) > 0, scores, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        products = (v @ np.swapaxes(v, -1, -2) / features for v in (q, k))
        return cls(signal, p / p.sum(-1, keepdims=True), *products, sigma)

    def output(self) -> np.ndarray:
        """Return the Gram matrix of the output."""
        w, b = self.sigma
        return w * (w * self._seen().mean(1) + b) + b

    def entropy(self) -> float:
        """Return the mean entropy of the weights."""
        return float(-np.mean(np.sum(self.p * np.log(np.where(self.p > 0, self.p, 1)), -1)))

    def back(self, d: np.ndarray) -> tuple[np.ndarray, list[float]]:
        """Return the Gram matrix of the gradient by the input, from that by the output; and what the weights get."""
        parts = self._parts(d)
        return self.sigma[0] * sum(parts), [float(np.mean(np.sum(part * self.signal, (-1, -2)))) for part in parts]

    def _seen(self) -> np.ndarray:
        return self.p @ self.signal[:, None] @ np.swapaxes(self.p, -1, -2)

    def _parts(self, d: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the Gram matrices of the gradients by queries, keys and values."""
        (w, _), p, pt = self.sigma, self.p, np.swapaxes(self.p, -1, -2)
        d = np.broadcast_to(d, self.signal.shape)[:, None]
        turn = lambda v: np.swapaxes(v, -1, -2)
        signal, seen = self.signal[:, None], self._seen()
        row = p @ signal
        # values of two positions, centred by the weights of rows t and u: G_ij - row_tj - row_ui + seen_tu
        cross = ((p @ self.keys) * row) @ pt
        queries = d * (p @ (self.keys * signal) @ pt - cross - turn(cross) + (p @ self.keys @ pt) * seen)
        both = d * self.queries
        cross = pt @ (row * (both @ p))
        keys = (pt @ both @ p) * signal - cross - turn(cross) + pt @ (both * seen) @ p
        return w * w * queries.mean(1), w * w * keys.mean(1), w * (pt @ d @ p).mean(1)


def _gaussian(rng: np.random.Generator, covariance: np.ndarray, features: int) -> np.ndarray:
    """Draw features that are independent, each Gaussian over positions with this covariance."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    positions = covariance.shape[-1]
    draws = max(DRAWN_POSITIONS // positions, LEAST_DRAWS)
    return root[:, None] @ rng.normal(size=(len(covariance), draws, positions, features))


def kernels(entry: Any, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return E phi phi and E phi' phi' of each pair of positions, for an entry of the table of activations."""
    size = diagonal(covariance)
    unique, where = np.unique(np.round(size, 12), return_inverse=True)
    where = where.reshape(size.shape)
    root = np.sqrt(size[:, :, None] * size[:, None, :])
    c = np.clip(covariance / root, -1, 1)
    known = closed_form(entry)
    if known is not None and known.pair is not None:
        one, two = np.broadcast_arrays(size[:, :, None], size[:, None, :])
        square = known.single(size)[0]
        at = known.pair(one, two, np.maximum(np.arccos(c), _LEAST_ANGLE))
        product = 0.5 * (square[:, :, None] + square[:, None, :]) - root * (1 - c) * at[0]
        return product, at[1]
    coefficients = expectation(entry, _hermite, unique)  # (2, terms, variances)
    squares = expectation(entry, lambda z, u, phi, dphi: np.stack([phi * phi, dphi * dphi]), unique)
    rest = np.sqrt(np.maximum(squares - np.sum(coefficients**2, 1), 0))  # what the series leaves out, at c = 1
    terms = np.concatenate([coefficients, rest[:, None]], 1)[:, :, where]
    powers = c[None] ** np.arange(_TERMS + 1)[:, None, None, None]
    return tuple(np.einsum("kea,keb,keab->eab", term, term, powers) for term in terms)


def _hermite(z: np.ndarray, u: np.ndarray, phi: np.ndarray, dphi: np.ndarray) -> np.ndarray:
    """Multiply phi and phi' by the orthonormal Hermite polynomials."""
    polynomials = [np.ones_like(z), z]
    for k in range(1, _TERMS - 1):
        polynomials.append((z * polynomials[k] - np.sqrt(k) * polynomials[k - 1]) / np.sqrt(k + 1))
    return np.stack([[f * one for one in polynomials] for f in (phi, dphi)])


def diagonal(gram: np.ndarray) -> np.ndarray:
    """Return the mean squares of the positions."""
    return np.diagonal(gram, axis1=-2, axis2=-1)
