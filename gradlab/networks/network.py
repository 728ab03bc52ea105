"""What every network offers: parameters for given data, the plain forward pass, and itself as one layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import fields
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import Array

from gradlab._errors import GradlabError, unknown
from gradlab.config import positive_integer
from gradlab.config.architectures import CONFIGS
from gradlab.config.networks import lacking
from gradlab.core.batch import inputs, outputs_of, targets_of
from gradlab.core.dropout import Dropout
from gradlab.core.keys import as_key
from gradlab.core.layer import Layer, walk
from gradlab.core.parameters import check_parameters, outputs_in
from gradlab.core.scaled import plain
from gradlab.networks.given import Layers, with_layers
from gradlab.networks.stack import Stack


class Network(ABC):
    """What a configuration of an architecture becomes with layers behind it; its fields are the configuration's."""

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return how many axes one example may have: 1 for features, 2 for sequences, 3 for images."""
        return (1,)

    #: What a measured layer is called, with its number behind.
    layer_name: ClassVar[str] = "hidden"
    #: Whether a shallower network is the beginning of a deeper one.
    nests: ClassVar[bool] = True

    def numbers(self) -> dict[str, float]:
        """Return numbers of the blocks that a compiled program takes as arguments: keyword arguments of `stack`."""
        return {}

    #: Number of outputs, of a network that has it from its layers; None where the data decide.
    outputs: ClassVar[int | None] = None

    def outputs_in(self, params: Any) -> int:
        """Return the number of outputs of given parameters."""
        return outputs_in(params)

    def outputs_for(self, classes: int) -> int:
        """Return the number of outputs for data with so many classes or columns."""
        return classes

    def parts(self, params: Any, tree: Any) -> tuple[Any, ...]:
        """Return the layers, or repeated layers, of a tree that is laid out as the parameters are."""
        return tree

    @abstractmethod
    def stack(self, outputs: int) -> Stack:
        """Return the layers of the network with this many outputs, cut where a measurement needs it."""

    def masked(self, stack: Stack, dropout: Dropout | None) -> Stack:
        """Return a stack of the network with its masks of dropout, or as it is for None."""
        return stack if dropout is None else stack._replace(whole=dropout.within(stack.whole))

    def layer(self, outputs: int, dropout: Dropout | None = None) -> Layer:
        """Return the network as one `Layer` with this many outputs; with its masks where `dropout` is given."""
        return self.masked(self.stack(outputs), dropout).whole

    def layers(self, params: Any) -> list[tuple[str, dict[str, Array]]]:
        """Return name and parameters of each layer that has a weight, from input to readout, unstacked.

        Weights of one block that have no name of their own are numbered: ``run/1/1``, ``run/1/2``.
        """
        walked = walk(self.layer(self.outputs_in(params)), params)
        weights = [(path, leaf) for path, _, (tree,) in walked for path, leaf in weighted(path, tree)]
        names = [self.name_of(path, i, len(weights)) for i, (path, _) in enumerate(weights, 1)]
        return [(name, leaf) for name, (_, leaf) in zip(_told_apart(names), weights, strict=True)]

    def with_layers(self, params: Any, layers: Layers) -> Any:
        """Return parameters with arrays of one's own in some layers: the inverse of `layers`.

        Parameters
        ----------
        params : pytree
            From `init_params`, or trained: what is not named stays, gains of norms and scales of branches too.
        layers : mapping of str to mapping, or sequence of pairs
            By the names that `layers` gives: ``{"hidden_1": {"weight": ..., "bias": ...}, ...}``. A weight has the
            shape (inputs, outputs).

        Returns
        -------
        pytree like `params`
            A copy.

        Raises
        ------
        GradlabError
            A layer or a parameter that the network has not got, or an array of another shape.

        Examples
        --------
        >>> import gradlab as gl, numpy as np
        >>> net, x = gl.MLP(depth=2, width=3), np.ones((4, 2), "float32")
        >>> params = net.with_layers(net.init_params(0, x, outputs=1), {"hidden_2": {"weight": np.eye(3)}})
        >>> dict(net.layers(params))["hidden_2"]["weight"].tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        """
        return with_layers(self, params, layers)

    def options(self) -> dict[str, Any]:
        """Return its options by name; empty for a network of a user's own layers, which has none."""
        return {name: getattr(self, name) for name in self.names()}

    def with_options(self, **changes: Any) -> Network:
        """Return the same network with other options.

        Parameters
        ----------
        **changes
            By name. With ``architecture=`` it becomes another kind of network, and keeps the options that both have.

        Returns
        -------
        Network

        Raises
        ------
        GradlabError
            An option that this kind of network does not have, or a value that it does not take.

        Examples
        --------
        >>> import gradlab as gl
        >>> net = gl.MLP(depth=20, activation="sigmoid", init="xavier_normal")
        >>> net.with_options(activation="relu", init="he_normal")
        MLP(depth=20)
        >>> net.with_options(architecture="resnet", branch_scale="1/L")
        ResNet(depth=20, activation='sigmoid', init='xavier_normal', branch_scale='1/L')
        """
        from gradlab.networks import build

        options = self.options()
        if not options:
            raise GradlabError("a network with options", repr(self), "gl.MLP, gl.ResNet and the like have them")
        architecture = changes.pop("architecture", self.architecture)
        if architecture not in CONFIGS:
            raise unknown("architecture", architecture, tuple(CONFIGS))
        kind = CONFIGS[architecture]
        values = {name: value for name, value in options.items() if name in kind.names()} | changes
        known = {one.name: one.default for one in fields(kind)} | values
        absent = lacking(kind.needs(), known)
        return build(kind(**{name: value for name, value in values.items() if name not in absent - {*changes}}))

    def name_of(self, path: tuple[str, ...], number: int, count: int) -> str:
        """Return the name of the layer at `path`, which is the `number`-th of `count` from the input."""
        return "readout" if number == count else "/".join(path)

    def init_params(self, key: Array | int, x: Any, y: Any = None, *, outputs: int | None = None) -> Any:
        """Draw parameters for data of these shapes.

        Parameters
        ----------
        key : JAX key or int
            What the draws begin from: another key gives other weights.
        x : Array, shape (batch, features), or the axes that the network reads
            Examples, of which only the shape counts.
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
        if not isinstance(x, jax.core.Tracer):
            x = inputs(x)
        shape = example_shape(self, x)
        if self.outputs is None and outputs is None and (y is None or isinstance(y, jax.core.Tracer)):
            received = "neither" if y is None else "a y that is traced inside jit"
            raise GradlabError("targets y, or outputs=", received, "net.init_params(key, x, y), or outputs=10")
        if outputs is None and (self.outputs is None or y is not None):
            outputs = outputs_of(targets_of(y, len(x)))
        outputs = self.outputs_for(positive_integer("outputs", self.outputs if outputs is None else outputs))
        return self.layer(outputs).init(as_key(key), shape)[0]

    def apply(self, params: Any, x: Array) -> Array:
        """Return the logits of the plain forward pass, shape (batch, outputs). JAX can differentiate it."""
        outputs = self.outputs_in(params)
        if not isinstance(x, jax.core.Tracer):
            inputs(x)
        check_parameters(self, params, example_shape(self, x), outputs)
        return self.layer(outputs).forward(params, plain(jnp.asarray(x)))[0].value()


def _told_apart(names: list[str]) -> list[str]:
    """Return names that occur once as they are, and the others with a number behind."""
    several, seen = Counter(names), Counter()
    names_found = []
    for name in names:
        seen[name] += 1
        names_found.append(f"{name}/{seen[name]}" if several[name] > 1 else name)
    return names_found


#: What one example looks like, by the number of its axes.
_KINDS = {1: "(batch, features)", 2: "(batch, time, features)", 3: "(batch, height, width, channels)"}


def example_shape(net: Network, x: Array) -> tuple[int, ...]:
    """Return the shape of one example, or raise an error that says what the network reads."""
    if jnp.ndim(x) - 1 not in net.ranks:
        wanted = " or ".join(_KINDS[rank] for rank in net.ranks)
        hint = "x.reshape(len(x), -1)" if net.ranks == (1,) else "data that have these axes, or another architecture"
        raise GradlabError(f"x of shape {wanted} for {type(net).__name__}", f"shape {jnp.shape(x)}", hint)
    shape, wanted = tuple(jnp.shape(x)[1:]), getattr(net, "shape", None)
    if wanted is not None and shape != wanted:
        raise GradlabError(f"examples of shape {wanted}, for which {net} was made", f"{shape}", "another network")
    return shape


def weighted(path: tuple[str, ...], tree: Any) -> list[tuple[tuple[str, ...], dict[str, Array]]]:
    """Return the parameters of all layers with a weight in a tree, each with its path."""
    if isinstance(tree, dict):
        if "weight" in tree:
            return [(path, tree)]
        return [leaves for name, part in tree.items() for leaves in weighted((*path, name), part)]
    if isinstance(tree, (tuple, list)):
        return [leaves for part in tree for leaves in weighted(path, part)]
    return []
