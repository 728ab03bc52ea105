r"""How the first step of a training grows with the width: the exponents of what each layer of a plain network changes.

A weight of n inputs whose update is aligned with its input changes its product by n times the size of an entry; what an
earlier layer changes passes the hidden weights as it is, and adds up in the readout (Yang & Hu 2021; Yang et al. 2022).
"""

from __future__ import annotations

import math

import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.config.networks import PARAMETRIZATIONS
from gradlab.networks.parametrization import UPDATE_SIZES, factor


def width_exponents(
    parametrization: str = "standard", *, optimizer: str = "sgd", depth: int = 1
) -> dict[str, np.ndarray]:
    r"""Return the exponents a of what one step changes, of which each grows as :math:`n^a` with the width n.

    Parameters
    ----------
    parametrization : {"standard", "mup", "ntk"}
        How weights and rates follow the width.
    optimizer : str
        Name of the optimiser; only whether an update is as large as the gradient counts.
    depth : int
        Hidden layers.

    Returns
    -------
    dict of str to ndarray, shape (depth + 1,)
        Of each hidden layer and the readout, by the names of the columns of `gradlab.coordinate_check`: the change of
        the product, the part of its own weight, the part that is carried from earlier layers (-inf in the first).

    Notes
    -----
    For a network without norms and skips, a batch much smaller than the width, and a rate so small that the change is
    small against the signal: where the hidden layers of a wide network change by more than that, the readout changes
    faster. The gradient on a hidden layer is as large as a weight of the readout. With c the exponent of the rate and o
    that of the readout's standard deviation, the part of the own weight is

    ==================  ==========  ==========  ==========
    ..                  first       hidden      readout
    ==================  ==========  ==========  ==========
    sgd and the like    c + o       c + o + 1   c + 1
    adam and the like   c           c + 1       c + 1
    ==================  ==========  ==========  ==========

    A hidden layer carries the change below as it is, the readout that of the last hidden layer times
    :math:`n^{1+o}`, because it is aligned with the weights of the readout.

    Examples
    --------
    >>> from gradlab.theory import width_exponents
    >>> width_exponents("standard", depth=1)["log10_change_rms"].tolist()
    [-0.5, 1.0]
    >>> width_exponents("mup", depth=3)["log10_change_rms"].tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    if parametrization not in PARAMETRIZATIONS:
        raise unknown("parametrization", parametrization, PARAMETRIZATIONS)
    if optimizer not in UPDATE_SIZES:
        raise GradlabError(f"an optimiser of {', '.join(UPDATE_SIZES)}", repr(optimizer), "optimizer='adam'")
    if depth < 1:
        raise GradlabError("a depth of 1 or more", repr(depth), "depth=2")
    size = UPDATE_SIZES[optimizer]
    rate = lambda inputs, outputs: math.log(factor(parametrization, size, math.e**inputs, math.e**outputs))
    readout = -1.0 if parametrization == "mup" else -0.5
    delta = readout if size == "gradient" else 0.0
    effects = [rate(0, 1) + delta, *[rate(1, 1) + delta + 1] * (depth - 1), rate(1, 0) + 1]
    change, carried = [effects[0]], [-math.inf]
    for effect in effects[1:]:
        last = len(change) == depth
        carried.append(change[-1] + (1 + readout if last else 0))
        change.append(max(effect, carried[-1]))
    values = {"log10_change_rms": change, "log10_weight_effect_rms": effects, "log10_carried_rms": carried}
    return {name: np.array(value) + 0.0 for name, value in values.items()}
