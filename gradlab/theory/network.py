"""What theory asks of a network: that it is a plain fully connected one, and the variances of its draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import one_after_another
from gradlab.networks.mlp import hidden_rule, readout_rule
from gradlab.theory.critical import critical_sigma_w2
from gradlab.theory.maps import MeanFieldMaps, mean_field_maps
from gradlab.theory.meanfield import MeanField, mean_field


def mean_field_of(net: Any, *, q0: float = 1.0) -> MeanField:
    """The mean field of a network's inner hidden layers: fan-in and fan-out as wide as the first layer.

    Parameters
    ----------
    net : MLP
    q0 : float
        Mean square of an input.

    Examples
    --------
    >>> import gradlab as gl
    >>> round(mean_field_of(gl.MLP(depth=5, activation="tanh", init="he_normal")).chi1, 5)
    1.10553
    """
    config = getattr(net, "config", net)
    check_plain(config)
    sigma_w2, sigma_b2 = scales(config, np.full(2, config.widths[0]), None)
    return mean_field(config.activation, sigma_w2=sigma_w2[0], sigma_b2=sigma_b2[0], q0=q0)


def summary(net: Any, *, q0: float = 1.0) -> tuple[str, Callable[[], MeanFieldMaps]]:
    """`mean_field_of` as text, with the critical sigma_w2 beside it, and what makes the arrays of its maps."""
    config = getattr(net, "config", net)
    found = mean_field_of(config, q0=q0)
    try:
        told = f"critical at this sigma_b2: sigma_w2 = {critical_sigma_w2(config.activation, found.sigma_b2):.7g}"
    except GradlabError as error:
        told = f"not critical at this sigma_b2 for any sigma_w2: {error.received}; try {error.hint}"
    sigmas = {"sigma_w2": found.sigma_w2, "sigma_b2": found.sigma_b2}
    draw = lambda: mean_field_maps(config.activation, **sigmas, q0=q0)
    return f"{config.init}: {found}\n  {told}", draw


def check_plain(config: Any) -> None:
    """An error unless this is a fully connected network without normalisation."""
    if getattr(config, "architecture", None) != "mlp":
        raise GradlabError(
            "a fully connected network",
            f"{getattr(config, 'architecture', None) or type(config).__name__}",
            "gl.MLP(...); gl.theory has laws of its own for residual, normalised and recurrent networks",
        )
    if getattr(config, "norm", None) is not None:
        raise GradlabError(
            "a network without normalisation", f"norm={config.norm!r}",
            "norm=None; normalised layers have one factor per layer, see gl.theory",
        )  # fmt: skip
    if len(config.activations) > 1:
        raise GradlabError(
            "one activation for all layers", one_after_another(config.activations), "activation='tanh', for instance"
        )
    if config.init in ("zeros", "constant") or config.gain == 0:
        received = f"init={config.init!r}" if config.gain else "gain=0"
        raise GradlabError("weights that are drawn: theory is about their mean", received, "init='xavier_normal'")


def scales(config: Any, sizes: np.ndarray, outputs: int | None) -> tuple[np.ndarray, np.ndarray]:
    """sigma_w2 and sigma_b2 of each hidden layer, then of the readout: NaN where that asks for unknown outputs."""
    rule, head = hidden_rule(config), readout_rule(config)
    rules = [(rule, config.gain, n, m) for n, m in itertools.pairwise(sizes)]
    rules.append((head, 1.0, sizes[-1], outputs or 1))
    sigma_w2 = np.array([r.sigma_w2(int(n), int(m), gain) for r, gain, n, m in rules])
    if outputs is None and head.sigma_w2(int(sizes[-1]), 1) != head.sigma_w2(int(sizes[-1]), 2):
        sigma_w2[-1] = np.nan
    own = [r.sigma_b2(int(n)) if config.sigma_b2 is None else config.sigma_b2 for r, _, n, _ in rules]
    return sigma_w2, np.array(own if config.bias else [0.0] * len(own), float)
