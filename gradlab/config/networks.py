"""Frozen configurations of networks, one for each architecture."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from gradlab._errors import GradlabError
from gradlab.config.fields import FIELDS


@dataclass(frozen=True)
class MLPConfig:
    """A fully connected network: `depth` hidden layers, then a linear readout.

    Parameters
    ----------
    depth : int
        Number of hidden layers L.
    width : int or sequence of int
        Units of each hidden layer.
    activation : str
        Name in the table of activations.
    init : str
        Name in the table of initialisers: distribution and variance rule.
    gain : float
        Factor on the standard deviation of the hidden weights (sigma_w2 = gain**2 * base).
    sigma_w2 : float, optional
        Fan-in times the weight variance, for ``init="gaussian"``.
    std : float, optional
        Absolute standard deviation of the weights, for ``init="gaussian"``.
    sigma_b2 : float, optional
        Variance of the hidden biases. None: the initialiser's own (0, but for "pytorch").
    bias : bool
        Whether hidden layers and readout have a bias.
    readout : str, optional
        Initialiser of the readout, with gain 1. None: the same as `init`.
    """

    architecture: ClassVar[str] = "mlp"

    depth: int = 10
    width: int | tuple[int, ...] = 128
    activation: str = "relu"
    init: str = "he_normal"
    gain: float = 1.0
    sigma_w2: float | None = None
    std: float | None = None
    sigma_b2: float | None = None
    bias: bool = True
    readout: str | None = None

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)
        for name, check in FIELDS.items():
            if name != "architecture":
                put(name, check(getattr(self, name)))
        if isinstance(self.width, tuple):
            if len(self.width) != self.depth:
                raise GradlabError(
                    f"one width for each of the {self.depth} hidden layers",
                    f"{len(self.width)} widths", "a single number, or depth=len(width)",
                )  # fmt: skip
            if len(set(self.width)) == 1:
                put("width", self.width[0])
        if self.sigma_b2 and not self.bias:
            raise GradlabError("bias=True where sigma_b2 > 0", "bias=False", "sigma_b2=0 or bias=True")
        given = sum(v is not None for v in (self.sigma_w2, self.std))
        if self.init == "gaussian" and given != 1:
            raise GradlabError(
                "init='gaussian' with one of sigma_w2= and std=",
                f"sigma_w2={self.sigma_w2}, std={self.std}", "sigma_w2=1.0",
            )  # fmt: skip
        if self.init != "gaussian" and given:
            raise GradlabError(
                "sigma_w2= or std= only with init='gaussian'", f"init={self.init!r}",
                "init='gaussian', or gain= to scale another initialiser",
            )  # fmt: skip

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each of the hidden layers."""
        return self.width if isinstance(self.width, tuple) else (self.width,) * self.depth

    def as_dict(self) -> dict[str, Any]:
        """All fields, with the architecture, as plain values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"architecture": self.architecture, **fields}

    def changed(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}

    def label(self) -> str:
        """A short description for progress lines and messages: ``mlp depth=50 tanh xavier_normal``."""
        rest = {k: v for k, v in self.changed().items() if k not in ("depth", "activation", "init")}
        extra = "".join(f" {k}={v}" for k, v in rest.items())
        return f"{self.architecture} depth={self.depth} {self.activation} {self.init}{extra}"
