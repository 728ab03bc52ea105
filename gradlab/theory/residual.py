r"""Residual networks, infinitely wide: factors of the mean squared delta per block, toward the input.

A skip adds 1 to whatever the branch does. So a residual network never vanishes, but it may explode:
a branch of unit size doubles the mean square in every block. Scales of :math:`1/\sqrt L` keep it
within e.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradlab._errors import GradlabError
from gradlab.theory.gaussian import check_variances, expectation


def residual_factor(scale: float | np.ndarray, chi: float = 1.0) -> float | np.ndarray:
    r"""The factor of a block x + a F(x): :math:`1 + a^2\chi`, chi that of the branch alone.

    Exact at every width, with biases of any variance, for a linear branch x W and for a branch of two layers,
    relu(x W) V, with chi = 1 (He, then LeCun); for one-layer branches up to O(1/n), because gates persist from block to
    block. For a = 1 the product is :math:`2^L`, for :math:`a^2 = 1/L` at most :math:`e^\chi` (Hanin &
    Rolnick 2018; Zhang, Dauphin & Ma 2019), for a = 0 the block is the identity (Bachlechner et al. 2020).

    Parameters
    ----------
    scale : float or array
        a, of one block or of each.
    chi : float

    Examples
    --------
    >>> round(residual_factor(50**-0.5) ** 50, 4)
    2.6916
    """
    check_variances("chi", chi, "at least 0")
    return 1 + np.asarray(scale, np.float64) ** 2 * chi if np.ndim(scale) else 1 + float(scale) ** 2 * chi


def fixup_gain(blocks: int, layers: int = 2) -> float:
    r"""The gain of Fixup's branches (Zhang, Dauphin & Ma 2019): :math:`L^{-1/(2m-2)}` on all but their last layers.

    The last layer of each branch, of m, starts at 0, so that the network is the identity and the gradients by those
    layers are the only ones. Each of the L is the gain to the power m - 1 as large as without, so the sum of their
    squares, and with it what one step of gradient descent does to the output, is the same for every L.

    Parameters
    ----------
    blocks : int
        L.
    layers : int
        m, 2 or more.

    Examples
    --------
    >>> fixup_gain(100), round(fixup_gain(100, layers=3), 4)
    (0.1, 0.3162)
    """
    if blocks < 1 or layers < 2:
        raise GradlabError("a block or more, of two layers or more", f"blocks={blocks}, layers={layers}")
    return float(blocks ** (-1 / (2 * layers - 2)))


def residual_log_variance(scales: Sequence[float], width: int) -> float:
    r"""Var ln|.|^2 over initialisations to first order, :math:`\frac4n\sum_l a_l^2` (Hanin & Rolnick 2018).

    Of blocks without biases. Bounded where the sum of the squared scales is: no
    fluctuations that grow with depth.

    Parameters
    ----------
    scales : sequence of float
        a_l of each block; small ones, for it is the first order in a^2.
    width : int
        n.

    Examples
    --------
    >>> round(residual_log_variance([0.1] * 100, 128), 12)
    0.03125
    """
    if width < 1:
        raise GradlabError("a width of 1 or more", repr(width))
    return float(4 / width * np.sum(np.asarray(scales, np.float64) ** 2))


@dataclass(frozen=True)
class StreamLaw:
    """What the stream of a residual network carries, block by block.

    Parameters
    ----------
    variance : ndarray, shape (L + 1,)
        Mean square per unit before block 1 ... L, and after the last.
    factor : ndarray, shape (L,)
        Of the mean squared delta through block 1 ... L, toward the input.
    """

    variance: np.ndarray
    factor: np.ndarray

    @property
    def log_growth(self) -> float:
        """ln of the product of the factors."""
        return float(np.sum(np.log(self.factor)))


def reduced_residual(
    activation: str, depth: int, sigma_w2: float = 1.0, *, sigma_b2: float = 0.0, scale: float = 1.0,
    variance: float = 1.0,
) -> StreamLaw:  # fmt: skip
    r"""The recursion of blocks x + a phi(x W + b), without a second matrix (Yang & Schoenholz 2017).

    .. math:: K_{l+1} = K_l + a^2E\phi(\sqrt{q_l}z)^2,\qquad \chi_l = 1 + a^2\sigma_w^2E\phi'(\sqrt{q_l}z)^2,
              \qquad q_l = \sigma_w^2K_l + \sigma_b^2.

    With tanh ln of the product grows as :math:`A\sqrt L`, :math:`A = \frac43\sqrt{2/\pi}\,\sigma_w`, not
    exponentially; but so slowly that at L = 400 the local slope is still 4 % off. ReLU gives
    :math:`(1 + a^2\sigma_w^2/2)^L`.

    Parameters
    ----------
    activation : str
    depth : int
        L.
    sigma_w2, sigma_b2 : float
    scale : float
        a.
    variance : float
        Mean square of the input.

    Examples
    --------
    >>> round(reduced_residual("tanh", 50).log_growth, 3)
    7.216
    """
    _check_depth(depth)
    check_variances("sigma_w2", sigma_w2)
    check_variances("sigma_b2", sigma_b2, "at least 0")
    check_variances("variance", variance)
    stream, factors = [float(variance)], []
    for _ in range(depth):
        square, slope2 = expectation(
            activation, lambda z, u, phi, dphi: np.stack([phi * phi, dphi * dphi]), sigma_w2 * stream[-1] + sigma_b2
        )
        factors.append(1 + scale**2 * sigma_w2 * slope2)
        stream.append(stream[-1] + scale**2 * square)
    return StreamLaw(np.array(stream), np.array(factors))


def pre_norm(
    activation: str, depth: int, sigma_1: float = 1.0, sigma_2: float = 1.0, *, sigma_b2: float = 0.0
) -> StreamLaw:
    r"""Feed-forward blocks x + phi(LN(x) W_1 + b_1) W_2 + b_2, the norm inside the branch (Xiong et al. 2020).

    With :math:`h\sim N(0, \sigma_1^2+\sigma_b^2)`, :math:`v = \sigma_2^2E\phi(h)^2+\sigma_b^2` and
    :math:`w = \sigma_1^2\sigma_2^2E\phi'(h)^2`, both 1/2 for ReLU with LeCun weights and no biases, and an input of
    mean square 1,

    .. math:: K_l = 1 + (l-1)v,\qquad \chi_l = 1 + w/K_l.

    The delta after block l is the final norm's, :math:`1/K_{L+1}`, times the factors above it: for
    ReLU :math:`(1 + l/2)^{-1}`, so weight gradients of block l fall as :math:`(1+l/2)^{-1/2}`, those
    of the last block as :math:`L^{-1/2}`. A branch that ends in batch norm has v = 1: its share of
    the variance is 1/(l+1) (De & Smith 2020).

    Parameters
    ----------
    activation : str
    depth : int
        Blocks L.
    sigma_1, sigma_2 : float
        Roots of fan-in times the variances of the two weights.
    sigma_b2 : float
        Variance of the biases of both.

    Examples
    --------
    >>> law = pre_norm("relu", 64)
    >>> round(float(law.variance[-1]), 12), round(float(pre_norm_gradients(law)[-1]), 4)
    (33.0, 0.1741)
    """
    _check_depth(depth)
    v, w = _branch(activation, sigma_1, sigma_2, sigma_b2)
    stream = 1 + v * np.arange(depth + 1)
    return StreamLaw(stream, 1 + w / stream[:-1])


def pre_norm_gradients(law: StreamLaw) -> np.ndarray:
    """Root mean square over initialisations of the delta after each block, that above the final norm being 1.

    The gradient by W_2 of block l is proportional to it. Shape (L,), block 1 first.
    """
    above = np.append(np.cumprod(law.factor[:0:-1])[::-1], 1.0)
    return np.sqrt(above / law.variance[-1])


def post_norm_factor(activation: str, sigma_1: float = 1.0, sigma_2: float = 1.0, *, sigma_b2: float = 0.0) -> float:
    r"""The factor of blocks LN(x + phi(x W_1 + b_1) W_2 + b_2), the norm behind the sum: :math:`(1+w)/(1+v)`.

    v and w as in `pre_norm`. Exactly 1 for ReLU without biases: what the norm takes away the branch has added, so
    feed-forward blocks do not vanish with depth. What biases add the norm takes away all the same.

    Examples
    --------
    >>> round(post_norm_factor("relu"), 12)
    1.0
    """
    v, w = _branch(activation, sigma_1, sigma_2, sigma_b2)
    return float((1 + w) / (1 + v))


def _branch(activation: str, sigma_1: float, sigma_2: float, sigma_b2: float) -> tuple[float, float]:
    """Variance of a two-layer branch for an input of mean square 1, and the factor of its delta."""
    check_variances("sigma_1", sigma_1)
    check_variances("sigma_2", sigma_2)
    check_variances("sigma_b2", sigma_b2, "at least 0")
    both = lambda z, u, phi, dphi: np.stack([phi * phi, dphi * dphi])
    square, slope2 = expectation(activation, both, sigma_1**2 + sigma_b2)
    return float(sigma_2**2 * square + sigma_b2), float(sigma_1**2 * sigma_2**2 * slope2)


def _check_depth(depth: int) -> None:
    if depth < 1:
        raise GradlabError("a depth of 1 or more", repr(depth))
