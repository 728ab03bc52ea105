r"""The stream of a transformer's blocks at the start: its variance, and the factors of the mean squared delta.

A block is x + A(N x), then x + F(N x). Attention A and feed-forward F are random and independent of the stream, so
variances add, and so do the parts of the delta that come through the skip and through a branch. A branch whose input
has the mean square u hands on v(u), and the delta comes back through it by w, before the norm or the tanh in front:

.. math:: K\to K+v(u),\qquad \chi = 1+w\,s,

with s the mean squared slope of what stands in front of the branch.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradlab._errors import GradlabError
from gradlab.theory.gaussian import check_variances, expectation
from gradlab.theory.residual import StreamLaw

#: What may stand in front of the branches, as `gradlab.Transformer` calls it.
NORMS, POSITIONS = ("layer", "rms", "dyt"), ("before", "peri")


def block_stream(
    activation: str,
    depth: int,
    *,
    attention: float = 1.0,
    norm: str = "layer",
    norm_position: str = "before",
    norm_scaling: bool = False,
    alpha: float = 0.5,
    sigma_1: float = 1.0,
    sigma_2: float = 1.0,
    variance: float = 1.0,
) -> StreamLaw:
    r"""Compute the stream of transformer blocks by the place and the kind of their norms.

    With :math:`v(u) = \sigma_2^2E\phi(\sigma_1\sqrt u z)^2` and
    :math:`w(u) = \sigma_1^2\sigma_2^2E\phi'(\sigma_1\sqrt uz)^2` of the feed-forward part, and `attention` in their
    place of the other one,

    - behind a norm (pre-LN) u = 1 and s = 1/K;
    - behind a norm over :math:`\sqrt l` u = 1/l and s = 1/(l K);
    - behind DyT :math:`u = E\tanh(\alpha\sqrt Kz)^2` and :math:`s = \alpha^2E\,\mathrm{sech}(\alpha\sqrt Kz)^4`;

    and behind a norm on the branch's output too (peri-LN) the branch adds 1 for v, and w is divided by v. So the
    variance of pre-LN is linear in the depth, 1 + 3L/2 for ReLU with attention and 1 + L/2 without (Xiong et al.
    2020); that of peri-LN is 1 + 2L whatever the weights; with LayerNorm scaling it is 1 + 3/2 of the harmonic number.
    For ReLU and a norm the factors multiply to :math:`K_{L+1}/K_1`, a power of the depth. With DyT they grow as
    :math:`e^{c\sqrt L}`, with the c of `dyt_stretch` (Alekseev 2026).

    Parameters
    ----------
    activation : str
        Of the feed-forward part: a name in the table.
    depth : int
        Number of blocks L.
    attention : float
        Mean square that attention hands on of positions with mean square 1: 1 where they are alike, or where there is
        one; 1/T of T unrelated positions that see each other evenly. 0: blocks without attention. The factor of the
        delta is exact for one position.
    norm : str
        "layer" and "rms", which are one in the limit of large widths, or "dyt".
    norm_position : str
        "before" or "peri".
    norm_scaling : bool
        Whether the norms of block l are multiplied by 1/sqrt(l) (LayerNorm scaling; Sun et al. 2025).
    alpha : float
        Slope of DyT.
    sigma_1, sigma_2 : float
        Square roots of fan-in times the variance of the two feed-forward weights.
    variance : float
        Mean square of the stream before the first block.

    Returns
    -------
    StreamLaw
        Variances before and behind each block, and the factor of each block, both of its branches together.

    Raises
    ------
    GradlabError
        A place, kind or number that is none.

    Examples
    --------
    >>> [round(float(block_stream("relu", 8, norm_position=place).variance[-1]), 9) for place in ("before", "peri")]
    [13.0, 17.0]
    """
    if depth < 1 or norm not in NORMS or norm_position not in POSITIONS:
        raise GradlabError(
            f"a depth of 1 or more, norm in {NORMS} and norm_position in {POSITIONS}",
            f"depth={depth}, norm={norm!r}, norm_position={norm_position!r}", "norm='layer', norm_position='before'",
        )  # fmt: skip
    check_variances("attention", attention, "at least 0")
    for name, value in (("alpha", alpha), ("sigma_1", sigma_1), ("sigma_2", sigma_2), ("variance", variance)):
        check_variances(name, value)
    branches: list[Callable[[float], tuple[float, float]]] = [
        lambda u: (attention * u, attention), lambda u: _feed_forward(activation, u, sigma_1, sigma_2)
    ]  # fmt: skip
    stream, factors = [float(variance)], []
    for block in range(1, depth + 1):
        k, factor = stream[-1], 1.0
        for branch in branches if attention else branches[1:]:
            u, slope = _in_front(norm, k, 1 / block if norm_scaling else 1.0, alpha)
            v, w = branch(u)
            if norm_position == "peri":
                v, w = _behind(norm, v, w, alpha)
            factor *= 1 + w * slope
            k += v
        stream.append(k)
        factors.append(factor)
    return StreamLaw(np.array(stream), np.array(factors))


def dyt_stretch(activation: str, *, attention: float = 1.0, alpha: float = 0.5, sigma: float = 1.0) -> float:
    r"""Compute the c of the growth :math:`e^{c\sqrt L}` of the mean squared delta over L blocks behind a DyT.

    In deep blocks the tanh is nearly a sign: :math:`K_l\approx Vl` with V what both branches add, and its mean squared
    slope is :math:`4\alpha/(3\sqrt{2\pi K})`, so that, with W the sum of both factors w at u = 1,

    .. math:: c = \frac{8\,\alpha\,W}{3\sqrt{2\pi V}}.

    A norm has 1/K in the place of that slope, and the growth is a power. In blocks that are not deep the tanh is
    linear for a part of the features: at :math:`\alpha = 1/2` the slope of ln against :math:`\sqrt L` is 0.75 from
    L = 8 to 512, where c is 0.65.

    Parameters
    ----------
    activation : str
        Of the feed-forward part: a name in the table.
    attention : float
        As in `block_stream`.
    alpha : float
        Slope of DyT.
    sigma : float
        Root of fan-in times the variance of the feed-forward weights.

    Examples
    --------
    >>> round(dyt_stretch("relu"), 4)
    0.6515
    """
    check_variances("attention", attention, "at least 0")
    check_variances("alpha", alpha)
    v, w = _feed_forward(activation, 1.0, sigma, sigma)
    return float(8 * alpha * (w + attention) / (3 * np.sqrt(2 * np.pi * (v + attention))))


def _feed_forward(activation: str, u: float, sigma_1: float, sigma_2: float) -> tuple[float, float]:
    """Compute what the feed-forward part adds for an input of mean square u, and the factor of its delta."""
    square, slope2 = _moments(activation, sigma_1**2 * u)
    return float(sigma_2**2 * square), float(sigma_1**2 * sigma_2**2 * slope2)


def _in_front(norm: str, k: float, scale2: float, alpha: float) -> tuple[float, float]:
    """Compute mean square behind the norm of a stream with variance k, and the mean squared slope of the norm."""
    if norm != "dyt":
        return scale2, scale2 / k
    square, slope2 = _moments("tanh", alpha**2 * k)
    return float(scale2 * square), float(scale2 * alpha**2 * slope2)


def _behind(norm: str, v: float, w: float, alpha: float) -> tuple[float, float]:
    """Compute what a branch with a norm behind it adds, and the factor of its delta."""
    after, slope = _in_front(norm, v, 1.0, alpha)
    return after, w * slope


def _moments(activation: str, variance: float) -> np.ndarray:
    """Compute E phi^2 and E phi'^2 over a Gaussian of this variance."""
    return expectation(activation, lambda z, u, phi, dphi: np.stack([phi * phi, dphi * dphi]), variance)
