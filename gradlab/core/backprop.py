"""Loss and gradients of a network by the hand-written backward pass."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core.batch import cast, default_loss, inputs, one_hot, targets_of
from gradlab.core.decay import weight_decay as decay
from gradlab.core.dropout import Dropout
from gradlab.core.execute import device_array
from gradlab.core.gradient import Reader, materialise
from gradlab.core.layer import Layer
from gradlab.core.losses import loss_named
from gradlab.core.parameters import check_parameters, require_network
from gradlab.core.scaled import Scaled, scaled


class Network(Protocol):
    """What a network must offer: itself as one `Layer`, and how many outputs given parameters have."""

    def outputs_in(self, params: Any) -> int:
        """Number of outputs of given parameters."""
        ...

    def layer(self, outputs: int, dropout: Dropout | None = None) -> Layer:
        """Return the network with this many outputs, with masks of dropout where they are asked for."""
        ...


def targets(loss: str, y: Any, outputs: int, dtype) -> Array:
    """Targets in the form that the loss takes: integer labels, or an array (batch, outputs).

    Raises
    ------
    GradlabError
        Labels out of range, real targets for the cross-entropy, or a wrong shape.
    """
    known = not isinstance(y, jax.core.Tracer)  # inside jit, labels that are traced cannot be looked at
    values, y = y, y if isinstance(y, Array) else device_array(y)
    integer = jnp.issubdtype(y.dtype, jnp.integer)
    if integer and y.ndim == 2:
        if y.shape[1] > 1:
            raise one_hot(y.shape)
        y = y[:, 0]
    if loss == "softmax_cross_entropy" and not integer:
        raise GradlabError("integer labels for softmax_cross_entropy", f"{y.dtype} of shape {y.shape}", "loss='mse'")
    if integer and y.ndim == 1:
        low, high = (int(f(np.asarray(values))) for f in (np.min, np.max)) if known else (0, 0)
        if low < 0 or high >= max(outputs, 1):
            raise GradlabError(f"labels from 0 to {outputs - 1}", f"labels from {low} to {high}", "labels 0, 1, 2, ...")
        return y if loss == "softmax_cross_entropy" else jax.nn.one_hot(y, outputs, dtype=dtype)
    y = y.astype(dtype)
    y = y[:, None] if y.ndim == 1 else y
    if y.ndim != 2 or y.shape[1] != outputs:
        raise GradlabError(f"y of shape (batch, {outputs})", f"shape {y.shape}", "one column for each output")
    return y


def run(layer: Layer, params: Any, x: Array, y: Array, loss: str, read: Reader) -> tuple[Scaled, Any]:
    """Forward pass, loss, backward pass: the mean loss and the reader's records."""
    logits, saved = layer.forward(params, scaled(x, x.ndim - 1))
    value, dy = loss_named(loss)(logits, y)
    _, records = layer.backward(params, saved, dy, read)
    return value, records


def backprop(
    net: Network, params: Any, x: Array, y: Array, *, loss: str | None = None, weight_decay: float = 0.0,
    dropout: Dropout | None = None,
) -> tuple[Array, Any]:  # fmt: skip
    r"""Return the mean loss and its gradient by every parameter.

    Parameters
    ----------
    net : network
        The network.
    params : pytree
        From ``net.init_params``.
    x : Array, shape (batch, features), or the axes that the network reads
        Examples.
    y : Array
        Integer labels (batch,), or real targets (batch, outputs).
    loss : str, optional
        Name of the loss. By default softmax cross-entropy for integer `y`, else mean squared error.
    weight_decay : float
        Factor of half the squared weights (not biases, gains and scales), which is added to the loss.
    dropout : Dropout, optional
        Rate and key of the masks of this step. None: no dropout.

    Returns
    -------
    value : Array, shape ()
    grads : pytree like `params`
        :math:`\partial L/\partial\theta`. What lies outside the range of the dtype is 0 or inf
        here, as it must be in an array; `gradlab.measure` reads norms that stay exact.

    Examples
    --------
    >>> import jax, gradlab as gl
    >>> net, x, y = gl.MLP(depth=2, width=4), jax.numpy.ones((3, 2)), jax.numpy.array([0, 1, 1])
    >>> loss, grads = gl.backprop(net, net.init_params(0, x, y), x, y)
    >>> jax.tree.structure(grads) == jax.tree.structure(net.init_params(0, x, y))
    True
    """
    require_network(net)
    outputs = net.outputs_in(params)
    x, y, loss = _checked(x, y, loss, outputs)
    check_parameters(net, params, x.shape[1:], outputs)
    layer = net.layer(outputs, dropout)
    value, grads = run(layer, params, x, targets(loss, y, outputs, x.dtype), loss, materialise)
    if not weight_decay:
        return value.value(), grads
    penalty, of_penalty = decay(params, weight_decay)
    return value.value() + penalty, jax.tree.map(jnp.add, grads, of_penalty)


def _checked(x: Any, y: Any, loss: str | None, outputs: int) -> tuple[Array, Any, str]:
    """Data that passed the one door, and the loss; of what is traced inside jit the shapes are known alone."""
    loss = None if loss is None else config.resolve("loss", loss, config.LOSSES)
    traced = [isinstance(v, jax.core.Tracer) for v in (x, y)]
    if not traced[0]:
        checked = inputs(x)
        if not (isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.floating)):
            x = cast("x", checked, str(jax.dtypes.canonicalize_dtype(checked.dtype)))
    if not traced[1]:
        y = targets_of(y, len(x), loss, outputs)
    return jnp.asarray(x), y, loss or default_loss(y)
