"""A network of a user's own layers: measured, trained and checked as the built-in ones are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradlab._errors import GradlabError
from gradlab.config import ARCHITECTURES, shown
from gradlab.config.custom import CustomConfig
from gradlab.core.dropout import Dropout
from gradlab.core.fingerprint import digest, operations
from gradlab.core.gradient import Site, materialise
from gradlab.core.layer import Layer, Part, serial
from gradlab.core.parameters import HINT
from gradlab.core.scaled import plain
from gradlab.networks.network import Network, weighted
from gradlab.networks.stack import Stack


@dataclass(frozen=True, init=False, repr=False)
class CustomNetwork(CustomConfig, Network):
    """A network made of a layer: of `gradlab.serial` and the other combinators, of layers by `gradlab.lift`.

    Parameters
    ----------
    layer : Layer
        From the input to the logits. Its parameters are those of the network.
    shape : sequence of int
        Of one example, without the batch: ``x.shape[1:]``.
    name : str
        What the frame calls its architecture.

    Raises
    ------
    GradlabError
        A layer that does not take such examples, or does not end in one axis of outputs; fewer than two layers with a
        weight; a weight that is no matrix; a name that is built in.

    Notes
    -----
    A row of the frame begins at each layer that has a parameter ``"weight"``, and holds the layers without one that
    follow; the last one is the readout. A residual branch, and each copy of a `repeat`, is one row with all that is in
    it. What stands below the first weight, or right below a `repeat`, belongs to no row.

    `gradlab.Sweep` and `gradlab.TrainingSweep` take them as ``networks=``. A folder of theirs can be read and reported
    anywhere; to be continued it needs the networks, made anew by the same code.

    Two networks of one `shape` and `name` are equal where what JAX traces of their `init`, `forward` and `backward`
    is, with all constants; names of layers are of no account. A layer that later computes something else, because it
    reads what has changed since, is refused where the network is used.

    Examples
    --------
    >>> import gradlab as gl, numpy as np
    >>> layer = gl.serial(gl.dense(8), gl.activation("tanh"), gl.dense(8), gl.activation("tanh"), gl.dense(2))
    >>> net, x, y = gl.CustomNetwork(layer, shape=(4,)), np.ones((6, 4), "float32"), np.arange(6) % 2
    >>> gl.frame(gl.measure(net, x, y, seeds=1))["layer_name"].tolist()
    ['hidden_1', 'hidden_2', 'readout']
    """

    def __init__(self, layer: Layer, shape: Sequence[int], *, name: str = "custom"):
        super().__init__(*_facts(layer, tuple(int(n) for n in shape), name))

    def __repr__(self):
        return f"CustomNetwork({self.label()})"

    @property
    def ranks(self) -> tuple[int, ...]:
        """Return how many axes one example has."""
        return (len(self.shape),)

    def outputs_in(self, params: Any) -> int:
        """Return the number of outputs, which its layers have."""
        if not weighted((), params):
            raise GradlabError("params, the parameters of the network", shown(params), HINT)
        return self.outputs

    def outputs_for(self, classes: int) -> int:
        """Return the number of outputs, which may be more than the data have classes."""
        if classes > self.outputs:
            raise GradlabError(
                f"data with at most {self.outputs} classes or columns, the outputs of {self}", f"{classes}",
                f"a last layer with {classes} outputs",
            )  # fmt: skip
        return self.outputs

    def masked(self, stack: Stack, dropout: Dropout | None) -> Stack:
        """Return the stack as it is, for a user's layers have no places for masks; refuse dropout."""
        if dropout is not None:
            raise GradlabError(
                "dropout as a layer of the network", "dropout= with layers of your own", "gl.dropout(rate, key)"
            )
        return stack

    def stack(self, outputs: int) -> Stack:
        """Return the layer itself."""
        self.outputs_for(outputs)
        return Stack(_sequence(self.given))

    def rows(self, params: Any, tree: Any) -> list[Row]:
        """Return the rows of a tree that is laid out as the parameters are: of the parameters, or of records."""
        return _rows(_sequence(self.given), params, tree)

    def parts(self, params: Any, tree: Any) -> tuple[Any, ...]:
        """Return the parts of such a tree: layers with a weight, or repeated layers."""
        return tuple(row.tree for row in self.rows(params, tree))

    def shapes(self) -> Any:
        """Return shapes and dtypes of the parameters."""
        return _shapes(_sequence(self.given), self.shape)[0]

    def check_unchanged(self) -> None:
        """Raise if the layers compute something else than when the network was made."""
        if _content(_sequence(self.given), self.shape) != self.fingerprint:
            raise GradlabError(
                f"the layers of {self} to compute what they did when it was made", "something else",
                "gl.CustomNetwork(layer, ...) anew",
            )  # fmt: skip


class Row(NamedTuple):
    """One row of the frame, or one for each of `copies` equal ones (0: one)."""

    tree: Any
    copies: int


def _sequence(layer: Layer) -> Layer:
    """Return a layer as a `serial`."""
    return layer if layer.sequence else serial(Part("layer", layer))


def _units(layer: Layer, params: Any, tree: Any) -> Iterator[tuple[Layer, Any, Any]]:
    """Yield the layers of a sequence of sequences, in the order of the signal."""
    if not layer.sequence:
        yield layer, params, tree
        return
    for part, its_params, subtree in zip(layer.sequence, params, tree, strict=True):
        yield from _units(part.layer, its_params, subtree)


def _rows(layer: Layer, params: Any, tree: Any) -> list[Row]:
    rows: list[Row] = []
    for part, its_params, subtree in _units(layer, params, tree):
        if weighted((), its_params):
            rows.append(Row(subtree if part.copies else (subtree,), part.copies))
        elif rows and not rows[-1].copies and not part.copies:
            rows[-1] = Row((*rows[-1].tree, subtree), 0)
    return rows


def _shapes(layer: Layer, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...]]:
    """Return the shapes of the parameters, and the shape of one example's output."""
    kept: list[Any] = []

    def init(key):
        params, out = layer.init(key, shape)
        kept.append(tuple(out))
        return params

    return jax.eval_shape(init, jax.random.key(0)), kept[0]


def _content(layer: Layer, shape: tuple[int, ...]) -> str:
    """Return a hash of what a layer draws and computes."""
    x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)

    def both(params, x):
        y, saved = layer.forward(params, plain(x))
        return y.mantissa, layer.backward(params, saved, plain(jnp.ones_like(y.mantissa)), materialise)

    with jax.enable_x64(False):
        params, _ = _shapes(layer, shape)
        draw = operations(lambda key: layer.init(key, shape)[0], jax.random.key(0))
        return digest(shape, draw, operations(both, params, x))


def _facts(layer: Layer, shape: tuple[int, ...], name: str) -> tuple:
    """Return the fields of the configuration, and raise where the layer is not one that can be measured."""
    if not isinstance(layer, Layer):
        raise GradlabError("a Layer", type(layer).__name__, "gl.serial(gl.dense(8), ..., gl.dense(outputs))")
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or name in ARCHITECTURES:
        raise GradlabError("a name of printable characters that is no built-in architecture", repr(name), "'custom'")
    layer = _sequence(layer)
    names: list[str] = []

    def look(site: Site) -> dict[str, Any]:
        names.extend(entry.name for entry, _ in site.entries)
        return {}

    def forward(params, x):
        y, saved = layer.forward(params, plain(x))
        layer.backward(params, saved, plain(y.mantissa), look)
        return y.mantissa

    try:
        with jax.enable_x64(False):
            params, out = _shapes(layer, shape)
            y = jax.eval_shape(forward, params, jax.ShapeDtypeStruct((2, *shape), jnp.float32))
    except GradlabError:  # a layer's own says more
        raise
    except (TypeError, ValueError, IndexError) as error:
        raise GradlabError(f"a layer that takes examples of shape {shape}", str(error), "shape=x.shape[1:]") from error
    if len(out) != 1 or y.shape != (2, *out):
        raise GradlabError("a layer that ends in one axis of outputs", f"shape {y.shape[1:]}", "gl.dense(outputs)")
    rows = _rows(layer, params, params)
    for row in rows:
        for _, leaves in weighted((), row.tree):
            if len(leaves["weight"].shape) != 2 + bool(row.copies):
                raise GradlabError(
                    "parameters called 'weight' of shape (inputs, outputs)", f"{leaves['weight'].shape}",
                    "another name for what is no matrix, such as 'scale'",
                )  # fmt: skip
    depth = sum(max(row.copies, 1) for row in rows) - 1
    if depth < 1:
        raise GradlabError(
            "a hidden layer and a readout: two layers or more with a parameter called 'weight'",
            f"{depth + 1}", "gl.serial(gl.dense(8), gl.activation('tanh'), gl.dense(outputs))",
        )  # fmt: skip
    known = dict.fromkeys(n for n in reversed(names) if n != "identity")
    width = weighted((), rows[0].tree)[0][1]["weight"].shape[-1]
    return (name, _content(layer, shape), shape, out[0], depth, width, "+".join(known) or "own", layer)
