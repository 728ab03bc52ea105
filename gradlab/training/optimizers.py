"""The optimisers by name, each an optax transformation whose numbers may be traced: one program for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gradlab.config import TrainingConfig
from gradlab.core.decay import NOT_DECAYED
from gradlab.training.own import OwnOptimizer


class Recipe(NamedTuple):
    """What decides the program of a step beside the network: equal recipes are compiled once.

    Parameters
    ----------
    optimizer : str or OwnOptimizer
        A name, or the user's own, which then has all its numbers in it.
    schedule : str
    warmup, steps : int
        The learning rate rises over `warmup` of `steps` steps, and then follows the schedule.
    clip : str
        clip_norm, clip_value, clip_adaptive, or empty.
    decays : bool
        Whether there is a weight decay.
    dropout : float
    """

    optimizer: str | OwnOptimizer
    schedule: str
    warmup: int
    steps: int
    clip: str
    decays: bool
    dropout: float

    @classmethod
    def of(cls, config: TrainingConfig, steps: int, optimizer: OwnOptimizer | None = None) -> Recipe:
        """The recipe of a configuration; `optimizer` stands in for the one it names."""
        clip = next((name for name in _CLIPS if getattr(config, name) is not None), "")
        return cls(
            optimizer or config.optimizer, config.schedule, config.warmup, steps, clip, config.weight_decay > 0,
            config.dropout,
        )  # fmt: skip

    @property
    def in_loss(self) -> bool:
        """Whether weight decay is a term of the loss."""
        return self.decays and self.optimizer != "adamw"


def numbers_of(config: TrainingConfig, dtype: str) -> dict[str, Array]:
    """The numbers of a configuration that a program takes as arguments."""
    values = {name: getattr(config, name) for name in config.names("number")}
    return {name: jnp.asarray(value, dtype) for name, value in values.items() if value is not None}


def clipping(recipe: Recipe, numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """What is done to the gradient before the optimiser sees it."""
    return _CLIPS[recipe.clip](numbers[recipe.clip]) if recipe.clip else optax.identity()


def optimizer(recipe: Recipe, numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """The optimiser behind the clipping.

    Notes
    -----
    SGD, momentum (Polyak 1964), Nesterov's (Sutskever et al. 2013), RMSProp (Tieleman & Hinton 2012), Adam
    (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019) are optax's, with its other numbers as they are there.
    """
    if isinstance(recipe.optimizer, OwnOptimizer):
        return recipe.optimizer.transformation
    shape = _schedule(recipe)
    # the product is rounded to the dtype of the rate, so that no float64 enters a float32 update
    rate = lambda count: numbers["learning_rate"] * jnp.asarray(shape(count), numbers["learning_rate"].dtype)
    return _OPTIMIZERS[recipe.optimizer](rate, numbers)


def _schedule(recipe: Recipe) -> Callable[[Any], Any]:
    """The learning rate over its largest value, against the step."""
    left = max(recipe.steps - recipe.warmup, 1)
    after = {
        "constant": optax.constant_schedule(1.0),
        "linear": optax.linear_schedule(1.0, 0.0, left),
        "cosine": optax.cosine_decay_schedule(1.0, left),
    }[recipe.schedule]
    if not recipe.warmup:
        return after
    # the first step is taken with 1/warmup of the rate: a step with 0 would be none
    rise = lambda count: (count + 1) / recipe.warmup
    return optax.join_schedules([rise, after], [recipe.warmup])


def rate_at(recipe: Recipe, config: TrainingConfig, step: int) -> float:
    """The learning rate of a step."""
    return float(config.learning_rate * _schedule(recipe)(step))


def stable_below(config: TrainingConfig) -> float:
    """Rate times sharpness above which steps on a parabola move away from its minimum; NaN where it is unknown.

    2 for gradient descent, 2 (1 + b) with momentum b and 2 (1 + b) / (1 + 2 b) with Nesterov's; optimisers that scale
    each entry have no such number, and clipped gradients do not grow.
    """
    if config.own or any(getattr(config, name) is not None for name in _CLIPS):
        return float("nan")
    b = config.momentum
    bounds = {"sgd": lambda: 2.0, "momentum": lambda: 2 * (1 + b), "nesterov": lambda: 2 * (1 + b) / (1 + 2 * b)}
    return bounds[config.optimizer]() if config.optimizer in bounds else float("nan")


def _decayed(params: Any) -> Any:
    """Whether each parameter decays, as in the loss: weights do, biases, gains and scales do not."""
    named = lambda path, _: getattr(path[-1], "key", None) not in NOT_DECAYED
    return jax.tree_util.tree_map_with_path(named, params)


_CLIPS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "clip_norm": optax.clip_by_global_norm,
    "clip_value": optax.clip,
    "clip_adaptive": optax.adaptive_grad_clip,
}
_OPTIMIZERS: dict[str, Callable[[Any, Mapping[str, Any]], optax.GradientTransformation]] = {
    "sgd": lambda rate, n: optax.sgd(rate),
    "momentum": lambda rate, n: optax.sgd(rate, momentum=n["momentum"]),
    "nesterov": lambda rate, n: optax.sgd(rate, momentum=n["momentum"], nesterov=True),
    "rmsprop": lambda rate, n: optax.rmsprop(rate),
    "adam": lambda rate, n: optax.adam(rate),
    "adamw": lambda rate, n: optax.adamw(rate, weight_decay=n["weight_decay"], mask=_decayed),
}
