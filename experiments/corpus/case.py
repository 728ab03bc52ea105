"""A case of the corpus: a model as its author hands it in, what is right to say of it, and the number that shows it.

What is right was written down from physics, before any diagnosis of the model was seen. Each model carries facts:
numbers from plain `jax.value_and_grad` or from its own forward pass, with the interval in which they must lie, so that
a broken model is known to be broken, and a healthy one healthy, whatever a tool says of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True)
class Fact:
    """A number of a model, and the interval in which it lies if the case is what it claims to be."""

    name: str
    value: float
    low: float = -np.inf
    high: float = np.inf

    @property
    def holds(self) -> bool:
        """Whether it lies there; NaN lies nowhere."""
        return bool(self.low <= self.value <= self.high)


@dataclass(frozen=True)
class Model:
    """What is handed to `gl.diagnose`: ``loss(params, *batch)``, with ``options["key"]`` ``loss(params, *batch, key)``.

    Parameters
    ----------
    loss : callable
    params : pytree
    batch : tuple
    options : dict
        Keyword arguments of `gl.diagnose`.
    facts : tuple of callable
        Each takes a `Look` and gives a `Fact`.
    """

    loss: Callable[..., Any]
    params: Any
    batch: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    facts: tuple[Callable[[Look], Fact], ...] = ()

    def shows(self, *facts: Callable[[Look], Fact]) -> Model:
        """The same with facts that prove the case."""
        return replace(self, facts=(*self.facts, *facts))

    def with_options(self, **options: Any) -> Model:
        """The same with keyword arguments for `gl.diagnose`."""
        return replace(self, options={**self.options, **options})

    @property
    def arguments(self) -> tuple[Any, ...]:
        """All arguments of the loss behind the parameters."""
        return (*self.batch, *([self.options["key"]] if "key" in self.options else []))


class Look:
    """Loss and gradients of a model by plain `jax.value_and_grad`, in the model's own precision."""

    def __init__(self, model: Model):
        self.model = model

    @cached_property
    def _found(self) -> tuple[Any, Any]:
        aux = self.model.options.get("has_aux", False)
        run = jax.jit(jax.value_and_grad(self.model.loss, has_aux=aux, allow_int=True))
        value, grads = run(self.model.params, *self.model.arguments)
        return (value[0] if aux else value), grads

    @property
    def loss(self) -> float:
        """The loss."""
        return float(self._found[0])

    @cached_property
    def grads(self) -> dict[str, np.ndarray]:
        """Gradients by path, floats only."""
        return arrays(self._found[1])

    @cached_property
    def weights(self) -> dict[str, np.ndarray]:
        """Parameters by path, floats only."""
        return arrays(self.model.params)

    def grad(self, token: str) -> np.ndarray:
        """All gradients of a layer, one after another."""
        return self._chosen(self.grads, token)

    def weight(self, token: str) -> np.ndarray:
        """All parameters of a layer."""
        return self._chosen(self.weights, token)

    @staticmethod
    def _chosen(tree: dict[str, np.ndarray], token: str) -> np.ndarray:
        return np.concatenate([value.ravel() for path, value in tree.items() if within(token, path)])


def arrays(tree: Any) -> dict[str, np.ndarray]:
    """The floating leaves of a tree by path, in float64."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        re.sub(r"/value$", "", jax.tree_util.keystr(path, simple=True, separator="/")): np.asarray(leaf, np.float64)
        for path, leaf in leaves
        if hasattr(leaf, "dtype") and jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating)
    }


def within(token: str, name: str) -> bool:
    """Whether a name is that of a layer or of a part of it: ``hidden_1`` has ``hidden_1/w`` and not ``hidden_10``."""
    return re.search(rf"(?:^|[/.\[ ]){re.escape(token)}(?:$|[/.\[\]#: ])", name) is not None


def norm(token: str, low: float = -np.inf, high: float = np.inf) -> Callable[[Look], Fact]:
    """The norm of a layer's gradient."""
    return lambda look: Fact(f"|gradient of {token}|", float(np.linalg.norm(look.grad(token))), low, high)


def ratio(one: str, other: str, low: float = -np.inf, high: float = np.inf) -> Callable[[Look], Fact]:
    """The rms of one layer's gradient over another's."""

    def fact(look: Look) -> Fact:
        sizes = [float(np.sqrt(np.mean(look.grad(token) ** 2))) for token in (one, other)]
        return Fact(f"gradient of {one} / of {other}", sizes[0] / sizes[1] if sizes[1] else np.nan, low, high)

    return fact


def zeros(token: str, low: float = 1.0, high: float = 1.0) -> Callable[[Look], Fact]:
    """The share of a layer's gradient that is exactly 0."""
    return lambda look: Fact(f"zeros in the gradient of {token}", float(np.mean(look.grad(token) == 0)), low, high)


def not_finite(token: str, low: float = 1.0, high: float = np.inf) -> Callable[[Look], Fact]:
    """Entries of a layer's gradient that are NaN or infinite."""
    count = lambda look: float(np.sum(~np.isfinite(look.grad(token))))
    return lambda look: Fact(f"not finite in the gradient of {token}", count(look), low, high)


def loss_finite(wanted: bool) -> Callable[[Look], Fact]:
    """Whether the loss is a number."""
    return lambda look: Fact("the loss is finite", float(np.isfinite(look.loss)), float(wanted), float(wanted))


def measured(
    name: str, value: Callable[[Any], Any], low: float = -np.inf, high: float = np.inf
) -> Callable[[Look], Fact]:
    """A number computed from the model itself: its weights, its own forward pass."""
    return lambda look: Fact(name, float(value(look.model)), low, high)


@dataclass(frozen=True)
class Case:
    """A model with what is right to say of it.

    Parameters
    ----------
    name : str
    family : str
        The framework.
    kinds : tuple of str
        Kinds any of which is right, by `gradlab.diagnosis.findings.KINDS`; empty for a healthy model.
    layers : tuple of str
        Layers any of which may stand first in the finding; empty where the fault is of no layer.
    severity : str
        The least severity that counts as found.
    build : callable
        Gives the `Model`.
    why : str
        The physics in one sentence.
    """

    name: str
    family: str
    kinds: tuple[str, ...]
    layers: tuple[str, ...]
    severity: str
    build: Callable[[], Model]
    why: str

    @property
    def healthy(self) -> bool:
        """Whether nothing of severity warning or above may be said."""
        return not self.kinds

    def found_in(self, findings: Sequence[Any]) -> tuple[bool, bool]:
        """Whether a right kind is among the findings of a diagnosis; and whether it names a right layer first."""
        grave = SEVERITIES[SEVERITIES.index(self.severity) :]
        right = [finding for finding in findings if finding.kind in self.kinds and finding.severity in grave]
        named = [f for f in right if not self.layers or any(within(t, n) for t in self.layers for n in f.layers[:1])]
        return bool(right), bool(named)


CASES: dict[str, Case] = {}


def _case(family: str, kinds: Sequence[str], layers: Sequence[str], severity: str) -> Callable[[Any], Any]:
    def add(build: Callable[[], Model]) -> Callable[[], Model]:
        if build.__name__ in CASES:
            raise ValueError(f"two cases named {build.__name__}")
        why = " ".join((build.__doc__ or "").split())
        CASES[build.__name__] = Case(
            build.__name__, family, tuple(kinds), tuple(layers), severity, build, why
        )  # fmt: skip
        return build

    return add


def healthy(family: str) -> Callable[[Any], Any]:
    """A model of which nothing of severity warning or above may be said."""
    return _case(family, (), (), "warning")


def broken(
    family: str, kinds: Sequence[str] | str, layers: Sequence[str] | str = (), severity: str = "warning"
) -> Callable[[Any], Any]:
    """A model of which one of these kinds must be said, with one of these layers first."""
    listed = lambda names: (names,) if isinstance(names, str) else tuple(names)
    return _case(family, listed(kinds), listed(layers), severity)
