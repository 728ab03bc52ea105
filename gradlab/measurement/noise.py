r"""Signal and noise of a gradient: one formula for gradients of single examples and for those of parts of a batch.

With n gradients :math:`g_j` of parts of b examples each, their mean :math:`\bar g`, and B = nb,

.. math:: \mathrm{snr} = \frac{n|\bar g|^2}{\frac{1}{n-1}\sum_j|g_j - \bar g|^2}
          = \frac{B|\bar g|^2}{\mathrm{tr}\,\Sigma},

where :math:`\mathrm{tr}\,\Sigma` is the unbiased trace of the covariance over examples. The square of the mean holds
noise too, :math:`E|\bar g|^2 = |G|^2 + \mathrm{tr}\,\Sigma/B`. Without it

.. math:: \frac{|G|^2}{\mathrm{tr}\,\Sigma} = \frac{\mathrm{snr} - 1}{B},

which is 1 over the simple noise scale (McCandlish et al. 2018, appendix A.1, with batches of b and of B examples). In
the mean neither of the two depends on B. Their ratio is a few percent too large where few examples and few directions
make the trace. Of a gradient that is noise alone it is 0 in the mean, so it is often below 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def snr_of_parts(mean: Any, squares: Any, parts: int) -> np.ndarray:
    """Compute the signal-to-noise ratio of a gradient from the sizes of the gradients of its parts.

    Parameters
    ----------
    mean : array
        The square of the norm of their mean, times their number.
    squares : array
        The sum of the squares of their norms.
    parts : int
        Their number.

    Returns
    -------
    ndarray
        NaN where all are 0, infinite where all are equal.
    """
    spread = (squares - mean) / max(parts - 1, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, mean / spread, np.where(mean > 0, np.inf, np.nan))


def inverse_noise_scale(ratio: Any, examples: Any) -> np.ndarray:
    """Return 1 over the simple noise scale, in examples, from the signal-to-noise ratio; NaN of a single example.

    Parameters
    ----------
    ratio : array
        From `snr_of_parts`.
    examples : int or array
        How many examples all parts have together.
    """
    return np.where(np.asarray(examples) > 1, (np.asarray(ratio) - 1) / np.maximum(examples, 1), np.nan)
