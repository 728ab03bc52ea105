r"""Residual networks of infinite width: factors of the mean squared delta per block, toward the input.

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
    r"""Compute the factor of a block x + a F(x): :math:`1 + a^2\chi`, where chi is the factor of the branch alone.

    Exact at every width, with biases of any variance, for a linear branch x W and for a branch of two layers,
    relu(x W) V, with chi = 1 (He, then LeCun); for one-layer branches up to O(1/n), because gates persist from block to
    block. For a = 1 the product is :math:`2^L`, for :math:`a^2 = 1/L` at most :math:`e^\chi` (Hanin &
    Rolnick 2018; Zhang, Dauphin & Ma 2019), for a = 0 the block is the identity (Bachlechner et al. 2020).

    Parameters
    ----------
    scale : float or array
        Factor a of the branch: of one block, or of each.
    chi : float
        Factor of the mean squared delta through the branch alone; 1 for He or LeCun weights as above.

    Examples
    --------
    >>> round(residual_factor(50**-0.5) ** 50, 4)
    2.6916
    """
    check_variances("chi", chi, "at least 0")
    return 1 + np.asarray(scale, np.float64) ** 2 * chi if np.ndim(scale) else 1 + float(scale) ** 2 * chi


def fixup_gain(depth: int, layers: int = 2) -> float:
    r"""Compute the gain of Fixup's branches, :math:`L^{-1/(2m-2)}` (Zhang, Dauphin & Ma 2019).

    It multiplies the weights of all layers of a branch but the last.

    The last layer of each branch, of m, starts at 0, so that the network is the identity and the gradients by those
    layers are the only ones. Each of the L is the gain to the power m - 1 as large as without, so the sum of their
    squares, and with it what one step of gradient descent does to the output, is the same for every L.

    Parameters
    ----------
    depth : int
        Number of blocks L.
    layers : int
        Layers m of each branch, 2 or more.

    Examples
    --------
    >>> fixup_gain(100), round(fixup_gain(100, layers=3), 4)
    (0.1, 0.3162)
    """
    if depth < 1 or layers < 2:
        raise GradlabError("a block or more, of two layers or more", f"depth={depth}, layers={layers}")
    return float(depth ** (-1 / (2 * layers - 2)))


def residual_log_variance(scales: Sequence[float], width: int) -> float:
    r"""Compute Var ln|.|^2 over initialisations to first order, :math:`\frac4n\sum_l a_l^2` (Hanin & Rolnick 2018).

    It holds for blocks without biases. Where the sum of the squared scales is bounded, so are the fluctuations,
    whatever the depth.

    Parameters
    ----------
    scales : sequence of float
        Factor a_l of each branch. They should be small, because this is the first order in a^2.
    width : int
        Units n of the stream.

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
    """Hold the variance of the stream of a residual network and the factors of its delta, block by block.

    Parameters
    ----------
    variance : ndarray, shape (L + 1,)
        Mean square per unit before block 1 ... L, and after the last.
    factor : ndarray, shape (L,)
        Factors of the mean squared delta through block 1 ... L, toward the input.
    """

    variance: np.ndarray
    factor: np.ndarray

    @property
    def log_growth(self) -> float:
        """Return ln of the product of the factors."""
        return float(np.sum(np.log(self.factor)))


def reduced_residual(
    activation: str, depth: int, sigma_w2: float = 1.0, *, sigma_b2: float = 0.0, scale: float = 1.0,
    variance: float = 1.0,
) -> StreamLaw:  # fmt: skip
    r"""Compute the recursion of blocks x + a phi(x W + b), without a second matrix (Yang & Schoenholz 2017).

    .. math:: K_{l+1} = K_l + a^2E\phi(\sqrt{q_l}z)^2,\qquad \chi_l = 1 + a^2\sigma_w^2E\phi'(\sqrt{q_l}z)^2,
              \qquad q_l = \sigma_w^2K_l + \sigma_b^2.

    With tanh ln of the product grows as :math:`A\sqrt L`, :math:`A = \frac43\sqrt{2/\pi}\,\sigma_w`, not
    exponentially; but so slowly that at L = 400 the local slope is still 4 % off. ReLU gives
    :math:`(1 + a^2\sigma_w^2/2)^L`.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    depth : int
        Number of blocks L.
    sigma_w2, sigma_b2 : float
        Fan-in times the variance of the weights W, and the variance of the biases b.
    scale : float
        Factor a of the branch.
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
    r"""Compute the stream of feed-forward blocks x + phi(LN(x) W_1 + b_1) W_2 + b_2 (Xiong et al. 2020).

    The norm is inside the branch.

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
        A name in the table; `gradlab.register_activation` adds one of your own.
    depth : int
        Number of blocks L.
    sigma_1, sigma_2 : float
        Square roots of fan-in times the variance, of W_1 and of W_2.
    sigma_b2 : float
        Variance of the biases b_1 and b_2.

    Examples
    --------
    >>> stream = pre_norm("relu", 64)
    >>> round(float(stream.variance[-1]), 12), round(float(pre_norm_gradients(stream)[-1]), 4)
    (33.0, 0.1741)
    """
    _check_depth(depth)
    v, w = _branch(activation, sigma_1, sigma_2, sigma_b2)
    stream = 1 + v * np.arange(depth + 1)
    return StreamLaw(stream, 1 + w / stream[:-1])


def pre_norm_gradients(stream: StreamLaw) -> np.ndarray:
    """Compute the rms over initialisations of the delta after each block, relative to the delta above the final norm.

    The gradient by W_2 of block l is proportional to it.

    Parameters
    ----------
    stream : StreamLaw
        From `pre_norm`.

    Returns
    -------
    ndarray, shape (L,)
        Block 1, next to the input, first.
    """
    above = np.append(np.cumprod(stream.factor[:0:-1])[::-1], 1.0)
    return np.sqrt(above / stream.variance[-1])


def post_norm_factor(activation: str, sigma_1: float = 1.0, sigma_2: float = 1.0, *, sigma_b2: float = 0.0) -> float:
    r"""Compute the factor of blocks LN(x + phi(x W_1 + b_1) W_2 + b_2), with the norm behind the sum.

    It is :math:`(1+w)/(1+v)`, with v and w of `pre_norm`. For ReLU without biases it is exactly 1: the norm divides by
    what the branch has added, so feed-forward blocks do not vanish with depth. With biases the norm also divides by
    what the biases add, and the factor is below 1.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    sigma_1, sigma_2 : float
        Square roots of fan-in times the variance, of W_1 and of W_2.
    sigma_b2 : float
        Variance of the biases b_1 and b_2.

    Examples
    --------
    >>> round(post_norm_factor("relu"), 12)
    1.0
    """
    v, w = _branch(activation, sigma_1, sigma_2, sigma_b2)
    return float((1 + w) / (1 + v))


def _branch(activation: str, sigma_1: float, sigma_2: float, sigma_b2: float) -> tuple[float, float]:
    """Compute the variance of a two-layer branch for an input of mean square 1, and the factor of its delta."""
    check_variances("sigma_1", sigma_1)
    check_variances("sigma_2", sigma_2)
    check_variances("sigma_b2", sigma_b2, "at least 0")
    both = lambda z, u, phi, dphi: np.stack([phi * phi, dphi * dphi])
    square, slope2 = expectation(activation, both, sigma_1**2 + sigma_b2)
    return float(sigma_2**2 * square + sigma_b2), float(sigma_1**2 * sigma_2**2 * slope2)


def _check_depth(depth: int) -> None:
    if depth < 1:
        raise GradlabError("a depth of 1 or more", repr(depth))
