"""What every network offers: parameters for given data, the plain forward pass, and itself as one layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._errors import GradlabError
from gradlab.config import MLPConfig
from gradlab.core.layer import Layer, walk
from gradlab.core.scaled import plain


class Network(ABC):
    """A configuration that builds a stack of layers. Networks with equal configurations are equal.

    Parameters
    ----------
    **fields
        Those of the configuration.

    Attributes
    ----------
    config : MLPConfig
        The fields, checked.
    """

    __slots__ = ("config",)
    config: MLPConfig
    Config: ClassVar[type[MLPConfig]]

    def __init__(self, **fields: Any):
        object.__setattr__(self, "config", self.Config(**fields))

    @classmethod
    def of(cls, config: MLPConfig) -> Self:
        """The network of a configuration."""
        net = cls.__new__(cls)
        object.__setattr__(net, "config", config)
        return net

    def __setattr__(self, name, value):
        raise AttributeError("a network is immutable; make another one")

    def __eq__(self, other):
        return isinstance(other, Network) and self.config == other.config

    def __hash__(self):
        return hash(self.config)

    def __repr__(self):
        fields = ", ".join(f"{k}={v!r}" for k, v in self.config.changed().items())
        return f"{type(self).__name__}({fields})"

    @abstractmethod
    def layer(self, outputs: int) -> Layer:
        """The network as one `Layer`, with this many outputs."""

    def layers(self, params: Any) -> list[tuple[str, dict[str, Array]]]:
        """Name and parameters of each layer that has a weight, from input to readout, unstacked."""
        found = [p for *_, (p,) in walk(self.layer(outputs_in(params)), params) if "weight" in p]
        names = [*(f"hidden_{i}" for i in range(1, len(found))), "readout"]
        return list(zip(names, found, strict=True))

    def init(self, key: Array | int, x: Array, y: Array | None = None, *, outputs: int | None = None) -> Any:
        """Parameters for data of these shapes.

        Parameters
        ----------
        key : JAX key or int
        x : Array, shape (batch, features)
        y : Array, optional
            Targets, from which the number of outputs is read: classes, or columns.
        outputs : int, optional
            Number of outputs, instead of `y`.

        Returns
        -------
        params : pytree of arrays
            Draws of layer l depend on the key, l and its shape alone, so a deeper network
            begins with the same layers.
        """
        return self.layer(outputs or outputs_of(y)).init(as_key(key), features_of(x))[0]

    def apply(self, params: Any, x: Array) -> Array:
        """The plain forward pass: logits of shape (batch, outputs). Differentiable by JAX."""
        check_input(params, x)
        return self.layer(outputs_in(params)).forward(params, plain(jnp.asarray(x)))[0].value()


def as_key(key: Array | int) -> Array:
    """A JAX key from an integer; a key as it is."""
    return jax.random.key(key) if isinstance(key, int) else key


def outputs_of(y: Array | None) -> int:
    """Number of outputs that targets ask for: classes of integer labels, columns of real ones."""
    if y is None:
        raise GradlabError("targets y, or outputs=", "neither", "net.init(key, x, y)")
    y = jnp.asarray(y)
    if jnp.issubdtype(y.dtype, jnp.integer):
        return int(jnp.max(y)) + 1
    return 1 if y.ndim == 1 else y.shape[-1]


def features_of(x: Array) -> tuple[int, ...]:
    """Shape of one example."""
    if jnp.ndim(x) != 2:
        raise GradlabError("x of shape (batch, features)", f"shape {jnp.shape(x)}", "x.reshape(len(x), -1)")
    return tuple(jnp.shape(x)[1:])


def outputs_in(params: Any) -> int:
    """Number of outputs of given parameters."""
    return params[-1][0]["weight"].shape[-1]


def check_input(params: Any, x: Array) -> None:
    """Raise if `x` does not fit the first layer."""
    wanted = params[0][0]["weight"].shape[0]
    (got,) = features_of(x)
    if got != wanted:
        raise GradlabError(
            f"x with {wanted} features, as the first layer has", f"{got}", "net.init(key, x, y) with this x"
        )
