"""How the weights and biases of a network are drawn, as its configuration says."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from gradlab.config import NetworkConfig
from gradlab.core.initializers import Initializer, initializer

#: Where a weight stands: what it reads has the size of the data, or the width; what it gives the width, or the outputs.
WeightPlace = Literal["input", "hidden", "readout"]


def bias_std(config: NetworkConfig) -> float | None:
    """Return the standard deviation of the biases; None for the initialiser's own rule."""
    return None if config.sigma_b2 is None else config.sigma_b2**0.5


def hidden_rule(config: NetworkConfig) -> Initializer:
    """Return the initialiser of the hidden layers behind the first."""
    return for_width(_named(config), config, "hidden")


def input_rule(config: NetworkConfig, name: str | None = None) -> Initializer:
    """Return the initialiser of the weight that reads the data: `name`, or that of the hidden layers."""
    return for_width(_named(config) if name is None else initializer(name), config, "input")


def readout_rule(config: NetworkConfig) -> Initializer:
    """Return the initialiser of the readout: that of the hidden layers where no other is named."""
    if config.readout is None:
        rule = _named(config)
    else:
        sigma_b2 = config.sigma_b2 if config.bias else 0.0
        rule = initializer(config.readout, activation=config.activation, sigma_b2=sigma_b2)
    return for_width(rule, config, "readout")


def _named(config: NetworkConfig) -> Initializer:
    sigma_b2 = config.sigma_b2 if config.bias else 0.0
    return initializer(config.init, config.sigma_w2, config.std, activation=config.activation, sigma_b2=sigma_b2)


def for_width(rule: Initializer, config: NetworkConfig, place: WeightPlace) -> Initializer:
    r"""Return an initialiser whose variance follows the width as the parametrization of a network says.

    Notes
    -----
    With r the width over the base width, n the inputs and m the outputs of a weight, and v(n, m) the variance of the
    rule, the variance is :math:`v(n_0, m_0)\,r^{-p}`: that at the base width, n_0 and m_0, times a power of r. p is 0
    for a weight that reads the data, 1 for a hidden one and for the readout, but 2 for the readout of "mup" (Yang et
    al. 2022, table 3). A rule such as Xavier's, in which the inputs' and the outputs' number both count, so keeps the
    size of the first layer's signal. A bias has the variance that it has at the base width.
    """
    if config.parametrization == "standard":
        return rule
    r = config.width / config.base_width
    reads, gives = (r if place != "input" else 1.0), (r if place != "readout" else 1.0)
    power = {"input": 0, "hidden": 1, "readout": 2 if config.parametrization == "mup" else 1}[place]

    def variance(fan_in: float, fan_out: float) -> float:
        return rule.sigma_w2_rule(fan_in, fan_out) / fan_in

    def factor(fan_in: int, fan_out: int) -> float:
        """Return by what the variance of the rule has to be multiplied."""
        now = variance(fan_in, fan_out)
        return variance(fan_in / reads, fan_out / gives) * r**-power / now if now else 1.0

    return replace(
        rule,
        std=lambda n, m: rule.std(n, m) * factor(n, m) ** 0.5,
        sigma_w2_rule=lambda n, m: rule.sigma_w2_rule(n, m) * factor(n, m),
        bias_std=lambda n: rule.bias_std(n / reads),
        fingerprint=f"{rule.fingerprint} {config.parametrization} {place} {r:.17g}",
    )
