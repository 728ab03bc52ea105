"""An optimiser that the user made in optax: known by what it computes, named by a label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from gradlab._errors import GradlabError
from gradlab.config import OPTIMIZERS
from gradlab.core.fingerprint import digest, operations


@dataclass(frozen=True)
class OptaxOptimizer:
    """A transformation of optax that a user made. Equal where label and content are.

    Parameters
    ----------
    label : str
        What the frame calls it.
    fingerprint : str
        A hash of what it does with the parameters of the network.
    transformation : optax.GradientTransformation
        The transformation itself; equality does not look at it.
    """

    label: str
    fingerprint: str
    transformation: Any = field(compare=False)


def optax_optimizer(transformation: Any, label: str | None, params: Any) -> OptaxOptimizer:
    """Return a transformation with its label and a hash of what it computes.

    Parameters
    ----------
    transformation : optax.GradientTransformation
        What the user made.
    label : str, optional
        None: "optax" with the first digits of a hash of what it does, alike for all networks.
    params : pytree of arrays or of jax.ShapeDtypeStruct
        Of the network.

    Raises
    ------
    GradlabError
        What is no transformation, or a label that names one of gradlab's optimisers or cannot be printed.
    """
    if not all(callable(getattr(transformation, name, None)) for name in ("init", "update")):
        raise GradlabError("an optimiser's name, or an optax transformation", repr(transformation), "optimizer='adam'")
    if label is None:
        some = {"weight": jnp.ones((2, 3), "float32"), "bias": jnp.ones(3, "float32")}
        label = f"optax {_content(transformation, ({'dense': some},))[:6]}"
    if not isinstance(label, str) or not label.strip() or not label.isprintable():
        raise GradlabError("a label of printable characters", repr(label), "label='my optimiser'")
    if label in OPTIMIZERS:
        raise GradlabError("a label that is no optimiser of gradlab's", repr(label), f"label='optax {label}'")
    return OptaxOptimizer(label, _content(transformation, params), transformation)


def _content(transformation: Any, params: Any) -> str:
    """Return a hash of the operations of both functions with their constants: rates, schedules, what is decayed."""

    def step(params: Any) -> Any:
        state = transformation.init(params)
        return state, transformation.update(params, state, params)

    wide = any(leaf.dtype == "float64" for leaf in jax.tree.leaves(params))
    with jax.enable_x64(wide):
        return digest(str(jax.tree.structure(params)), operations(step, params))
