r"""Cosine between the gradients of a ReLU network at two inputs, layer by layer.

The deltas of two inputs agree where the gates of both are open. With He weights, no bias, and c_l the
correlation of the preactivations of layer l, a layer multiplies the cosine of the two deltas by the
arc-cosine kernel of order 0, and the forward signal moves by that of order 1 (Cho & Saul 2009):

.. math:: \kappa_0(c) = 1-\frac{\arccos c}{\pi},\qquad
          \kappa_1(c) = \frac{\sqrt{1-c^2}+(\pi-\arccos c)\,c}{\pi}.

Where a branch that carries the share s of the variance is added to a skip, both become
:math:`1 - s + s\kappa_0` and :math:`(1-s)c + s\kappa_1`. The three laws of Balduzzi et al. 2017 are
the product for c = 0 in *every* layer, kappa_0 = 1/2: :math:`2^{-L}` (s = 1),
:math:`(3/4)^L` (s = 1/2) and about :math:`L^{-1/2}` (:math:`s_l = 1/(l+1)`, a normalised branch).
In a plain network c_l tends to 1 instead, and the product falls as :math:`L^{-3}` only; c = 0 needs
units that are centred over the batch. Centring takes from a ReLU branch 1/pi of its mean square, so
that what a norm before each branch sees of the stream is :math:`K_l = 1 + (l-1)(1-1/\pi)`, not l; with
:math:`s_l = 1/(K_l+1)` the third law becomes :math:`L^{-\pi/(2\pi-2)}`, a power of -0.73.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradlab._errors import GradlabError


def kappa0(c: np.ndarray) -> np.ndarray:
    """Compute E 2 phi'(u) phi'(v) of ReLU, u and v standard normal with correlation c: the share of equal gates."""
    return 1 - np.arccos(np.clip(c, -1, 1)) / np.pi


def kappa1(c: np.ndarray) -> np.ndarray:
    """Compute E 2 phi(u) phi(v) of ReLU: the correlation of the next layer's preactivations."""
    c = np.clip(c, -1, 1)
    return (np.sqrt((1 - c) * (1 + c)) + (np.pi - np.arccos(c)) * c) / np.pi


def gradient_correlation(
    c: float | np.ndarray, depth: int, *, share: float | Sequence[float] = 1.0, centred: bool = False
) -> np.ndarray:
    r"""Compute the cosine between the deltas of two inputs in each layer of a wide He-initialised ReLU network.

    The network has no biases: they would bring inputs nearer to each other than kappa_1 does. Where units are centred,
    biases change nothing.

    Parameters
    ----------
    c : float or array
        Correlation of the two inputs, in [-1, 1].
    depth : int
        Number of hidden layers, or of blocks, L.
    share : float or sequence of float
        Share of the variance that comes out of the branch, for each block: 1 without a skip,
        :math:`a^2/(1+a^2)` for a skip plus a branch of scale a.
    centred : bool
        Each unit is centred over the batch in every layer (batch normalisation): the correlation
        stays what it was, -1/(B-1) on average over a batch of B.

    Returns
    -------
    ndarray, shape (depth, ...)
        Layers 1 ... L; behind them the axes of `c`. The cosine of the input gradients is that of layer 1.

    Examples
    --------
    >>> [float(gradient_correlation(0.0, 10, centred=c)[0].round(4)) for c in (False, True)]
    [0.0337, 0.001]
    """
    c = np.asarray(c, np.float64)
    shares = np.broadcast_to(np.asarray(share, np.float64), (depth,)) if depth >= 1 else ()
    if depth < 1 or np.any(np.abs(c) > 1) or np.any((np.asarray(shares) < 0) | (np.asarray(shares) > 1)):
        raise GradlabError(
            "a depth of 1 or more, correlations within ±1, shares from 0 to 1", f"depth={depth}, share={share}, c={c}"
        )
    kept = np.empty((depth, *c.shape))
    for i, s in enumerate(shares):
        kept[i] = 1 - s + s * kappa0(c)
        if not centred:
            c = (1 - s) * c + s * kappa1(c)
    return np.cumprod(kept[::-1], axis=0)[::-1]
