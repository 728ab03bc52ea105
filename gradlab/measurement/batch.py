"""The data of a measurement as arrays on the device, checked once."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._formats import FORMATS, SHORT_FORMATS, Format, held_in
from gradlab.core.backprop import targets
from gradlab.core.batch import batch_of, cast
from gradlab.core.execute import device_array
from gradlab.core.initializers import PROBE_FOLD
from gradlab.core.keys import as_key, fold_in
from gradlab.core.losses import probes
from gradlab.core.parameters import check_parameters
from gradlab.networks.network import Network, example_shape, weighted


class DeviceBatch(NamedTuple):
    """Hold the data that every network of a measurement sees.

    Parameters
    ----------
    x : Array, shape (batch, features...)
        The inputs.
    y : Array or None
        The targets in the form that the loss takes. None: each seed draws probe vectors of its own.
    loss : str
        Name of the loss.
    outputs : int
        Number of the network's outputs.
    dtype : str
        "float32" or "float64", or a short format to which weights and signals are rounded.
    name : str
        Name of the data in the frame.
    """

    x: Array
    y: Any
    loss: str
    outputs: int
    dtype: str
    name: str = "arrays"

    @classmethod
    def of(
        cls, x: Any, y: Any, loss: str | None, dtype: str, outputs: int | None = None, name: str = "arrays"
    ) -> DeviceBatch:
        """Check data and put them on the device. For float64 call it inside `jax.enable_x64`.

        Parameters
        ----------
        x, y : arrays
            As for `gradlab.measure`.
        loss : str or None
            As for `gradlab.measure`.
        dtype : str
            As for `gradlab.measure`.
        outputs : int, optional
            Number of outputs; give it where the targets do not show every class.
        name : str
            Name of the data in the frame.
        """
        batch = batch_of(x, y, loss, outputs)
        x = device_array(cast("x", batch.x, dtype))
        y = None if batch.loss == "probe" else targets(batch.loss, batch.y, batch.outputs, jnp.dtype(held_in(dtype)))
        return cls(x, y, batch.loss, batch.outputs, dtype, name)

    @property
    def held(self) -> str:
        """Return the dtype of arrays that hold numbers of `dtype`."""
        return held_in(self.dtype)

    @property
    def form(self) -> Format | None:
        """Return the short format that weights and signals are rounded to, if there is one."""
        return FORMATS[self.dtype] if self.dtype in SHORT_FORMATS else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of one example."""
        return tuple(self.x.shape[1:])

    def signals(self, params: Any) -> int:
        """Count the entries of all signals of one pass through layers with these parameters."""
        positions = len(self.x) * math.prod(self.shape[:-1])
        sizes = (leaf["weight"].shape for _, leaf in weighted((), params))
        return positions * sum(math.prod(shape[:-2]) * shape[-1] for shape in sizes)

    def with_params(self, net: Network, params: Any, key: Array | int) -> tuple[Any, DeviceBatch]:
        """Check given parameters and convert them to the batch's dtype; return them, and the batch with its targets."""
        check_parameters(net, params, example_shape(net, self.x), self.outputs)
        params = jax.tree.map(lambda v: device_array(v, self.held), params)
        if self.y is not None:
            return params, self
        probe = probes(fold_in(as_key(key), PROBE_FOLD), len(self.x), self.outputs, self.held)
        return params, self._replace(y=probe)
