"""One of gradlab's networks with other options: built and drawn anew, and measured as the given one was."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from jax import Array

from gradlab.core.keys import as_key
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.model import Model
from gradlab.diagnosis.problem import problem_of


class Network(Protocol):
    """What a network offers that can be built with other options."""

    def options(self) -> dict[str, Any]:
        """Return its options by name; empty where it has none."""
        ...

    def with_options(self, **changes: Any) -> Network:
        """Return the same network with other options."""
        ...

    def outputs_in(self, params: Any) -> int:
        """Return the number of outputs of given parameters."""
        ...

    def init_params(self, key: Any, x: Any, *, outputs: int) -> Any:
        """Draw parameters."""
        ...


class Rebuilt:
    """A network that can be built with other options.

    Parameters
    ----------
    network : Network
        The network with its options as they were given.
    params : pytree
        The given parameters, from which the number of outputs is read.
    batch : (x, y)
        The examples that each built network is measured on.
    key : JAX key or int, optional
        Of the draw. None: 0.

    Attributes
    ----------
    options : dict
        Those of the given network, and ``architecture``.
    """

    def __init__(self, network: Network, params: Any, batch: tuple[Any, Any], key: Array | int | None = None):
        self._network, self._batch, self._key = network, batch, as_key(0 if key is None else key)
        self._outputs = network.outputs_in(params)
        self._measured: dict[Any, Evidence] = {}
        self.options = {"architecture": network.architecture, **network.options()}

    def evidence(self, changes: Mapping[str, Any]) -> Evidence:
        """Return what is measured with other options; several findings that ask for the same are answered once.

        Raises
        ------
        GradlabError
            Options that do not go together, or that do not fit the data.
        """
        asked = tuple(sorted(changes.items()))
        if asked not in self._measured:
            network = self._network.with_options(**changes)
            params = network.init_params(self._key, self._batch[0], outputs=self._outputs)
            self._measured[asked] = Model(problem_of(network, params, self._batch)).evidence()
        return self._measured[asked]


def rebuilt(network: Any, params: Any, batch: Any, key: Array | int | None = None) -> Rebuilt | None:
    """Return the network as one that can be built anew; None for any other model."""
    offers = all(hasattr(network, name) for name in ("options", "with_options", "init_params"))
    return Rebuilt(network, params, batch, key) if offers and network.options() else None
