r"""Factors per layer of normalised networks, infinitely wide: of the mean squared delta, toward the input.

Where a layer's preactivations are normalised, the backward pass divides by their scale: the weights'
variance cancels, and what is left depends on the activation alone. All factors here are those of
:math:`E|\delta|^2`; norms have the square root.
"""

from __future__ import annotations

import numpy as np

from gradlab._errors import GradlabError
from gradlab.theory.gaussian import check_variances, expectation


def batch_norm_factor(activation: str, batch: int | None = None) -> float:
    r"""Compute the factor of a layer z -> batch norm -> phi -> W.

    .. math:: \frac{E\phi'(z)^2}{\mathrm{Var}\,\phi(z)}\ge 1,\qquad z\sim N(0,1),

    whatever the weights' and the biases' variance, by the Gaussian Poincaré inequality: a batch-normalised network
    without skips explodes (Yang et al. 2019; pi/(pi-1) for ReLU). It holds for batches far above 1;
    for the identity and batches of B it is (B-2)/(B-3), from :math:`E\,1/\chi^2_{B-1}`.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    batch : int, optional
        Examples B of a batch, of 4 or more; only the identity has a law for finite batches. None: an infinite batch.

    Examples
    --------
    >>> round(batch_norm_factor("relu"), 5), batch_norm_factor("identity", batch=8)
    (1.46694, 1.2)
    """
    mean, square, slope2 = _moments(activation)
    factor = float(slope2 / (square - mean**2))
    if batch is None:
        return factor
    if activation != "identity" or batch < 4:
        raise GradlabError(
            "a batch for the identity, of 4 examples or more", f"activation={activation!r}, batch={batch}",
            "batch=None, the limit; at finite batches the factor is larger by about 2/B or more",
        )  # fmt: skip
    return (batch - 2) / (batch - 3)


def layer_norm_factor(activation: str, *, sigma_w2: float = 1.0, sigma_b2: float = 0.0) -> float:
    r"""Compute the factor of a layer z -> layer norm or RMS norm -> phi -> W, b.

    .. math:: \zeta = \frac{E\phi'(z)^2}{E\phi(z)^2 + \sigma_b^2/\sigma_w^2},\qquad z\sim N(0,1).

    Both norms are the same here, for the mean over many units of Gaussian preactivations is 0, and
    whatever one unit of them changes is of order 1/n. Without biases the weights' variance cancels; biases add to what
    the norm divides by, not to what the delta comes through.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    sigma_w2, sigma_b2 : float
        Fan-in times the weight variance of W, and the variance of b.

    Examples
    --------
    >>> round(layer_norm_factor("tanh"), 5), round(layer_norm_factor("relu"), 5)
    (1.17781, 1.0)
    """
    check_variances("sigma_w2", sigma_w2)
    check_variances("sigma_b2", sigma_b2, "at least 0")
    _, square, slope2 = _moments(activation)
    return float(slope2 / (square + sigma_b2 / sigma_w2))


def normalised_skip_factors(activation: str, depth: int, skip: float = 1.0) -> np.ndarray:
    r"""Compute the factors of layers h' = W phi(LN h) + mu h, one for each l = 1 ... L (Doshi, He & Gromov 2023).

    The stream's variance grows from layer to layer, :math:`K_{l+1} = v + \mu^2K_l` with
    :math:`K_1 = v`, and the branch weighs ever less:

    .. math:: \chi_l = \mu^2 + \zeta\,\frac{v}{K_l} = \mu^2 + \zeta\,\frac{1-\mu^2}{1-\mu^{2l}},

    for mu = 1 :math:`1 + \zeta/l`: their product grows as :math:`L^\zeta`, a power, for every variance of the
    weights, there being no biases. For mu < 1 they tend to :math:`\mu^2 + (1-\mu^2)\zeta`.

    Parameters
    ----------
    activation : str
        A name in the table; `gradlab.register_activation` adds one of your own.
    depth : int
        Number of layers L.
    skip : float
        Factor mu of the skip, from 0 (no skip) to 1.

    Returns
    -------
    ndarray, shape (depth,)
        Layer 1, next to the input, first. The product is the averaged squared partial Jacobian.

    Examples
    --------
    >>> float(np.log(normalised_skip_factors("relu", 64)).sum().round(3))  # ln 65
    4.174
    """
    if depth < 1 or not 0 <= skip <= 1:
        raise GradlabError("a depth of 1 or more and a skip from 0 to 1", f"depth={depth}, skip={skip}")
    # v / K_l as the inverse of a geometric sum, which is l at mu = 1
    weights = 1 / np.cumsum(skip ** (2 * np.arange(depth, dtype=float)))
    return skip**2 + layer_norm_factor(activation) * weights


def _moments(activation: str) -> np.ndarray:
    """Compute E phi, E phi^2 and E phi'^2 over a standard normal."""
    return expectation(activation, lambda z, u, phi, dphi: np.stack([phi, phi * phi, dphi * dphi]), 1.0)
