"""The optimisers by name, each an optax transformation whose numbers may be traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from gradlab.config import TrainingConfig
from gradlab.core.decay import NOT_DECAYED
from gradlab.core.execute import device_array
from gradlab.training.optax_optimizer import OptaxOptimizer
from gradlab.training.preconditioner import B1


class Recipe(NamedTuple):
    """What decides the program of an update: equal recipes are compiled once. All else are `numbers_in_update` it.

    Parameters
    ----------
    optimizer : str or OptaxOptimizer
        sgd, momentum, rmsprop or adam; or the user's own, which has all its numbers in it.
    clip : str
        clip_norm, clip_value, clip_adaptive, or empty.
    """

    optimizer: str | OptaxOptimizer
    clip: str

    @classmethod
    def of(cls, config: TrainingConfig, users: OptaxOptimizer | None = None) -> Recipe:
        """Return the recipe of a configuration; `own` replaces the optimiser that it names."""
        return cls(users or _SAME_PROGRAM.get(config.optimizer, config.optimizer), _clip(config))


def numbers_in_update(config: TrainingConfig, steps: int, dtype: str) -> dict[str, Array]:
    """Return the numbers that compiled updates take as arguments, the learning rate of every step among them."""
    values = {
        "rates": np.zeros(steps + 1) if config.optimizer_fingerprint else rates(config, steps),
        "momentum": config.momentum,
        "clip": getattr(config, _clip(config)) if _clip(config) else 0.0,
        "decay_in_update": config.weight_decay if config.optimizer == "adamw" else 0.0,
        "decay_in_loss": config.weight_decay if decays_in_loss(config) else 0.0,
    }
    return {
        "nesterov": device_array(config.optimizer == "nesterov"),
        **{name: device_array(value, dtype) for name, value in values.items()},
    }


def decays_in_loss(config: TrainingConfig) -> bool:
    """Return whether weight decay is a term of the loss."""
    return bool(config.weight_decay) and config.optimizer != "adamw"


def shared_program(config: TrainingConfig) -> tuple:
    """Return what networks of one structure and depth must have in common to be trained by one program."""
    return (*Recipe.of(config), config.dropout, decays_in_loss(config))


def clipping(recipe: Recipe, numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Return what is done to the gradient before the optimiser sees it."""
    return _CLIPS[recipe.clip](numbers["clip"]) if recipe.clip else optax.identity()


def optimizer(recipe: Recipe, numbers: Mapping[str, Any], step: Any) -> optax.GradientTransformation:
    """Return the optimiser behind the clipping, at a step.

    Notes
    -----
    SGD, momentum (Polyak 1964), Nesterov's (Sutskever et al. 2013), RMSProp (Tieleman & Hinton 2012), Adam
    (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019) compute what optax's do, with its other numbers.
    """
    if isinstance(recipe.optimizer, OptaxOptimizer):
        return recipe.optimizer.transformation
    return optax.chain(_OPTIMIZERS[recipe.optimizer](numbers), optax.scale_by_learning_rate(numbers["rates"][step]))


def rates(config: TrainingConfig, steps: int) -> np.ndarray:
    """Return the learning rate of each step, and of the one behind the last."""
    step = np.arange(steps + 1)
    share = np.clip((step - config.warmup) / max(steps - config.warmup, 1), 0, 1)
    falling = {
        "constant": np.ones(steps + 1), "linear": 1 - share, "cosine": (1 + np.cos(np.pi * share)) / 2,
    }[config.schedule]  # fmt: skip
    # the first step is taken with 1/warmup of the rate: a step with 0 would be none
    return config.learning_rate * np.where(step < config.warmup, (step + 1) / max(config.warmup, 1), falling)


def stable_below(config: TrainingConfig) -> float:
    """Rate times sharpness above which steps on a parabola move away from its minimum; NaN where it is unknown.

    2 for gradient descent, 2 (1 + b) with momentum b and 2 (1 + b) / (1 + 2 b) with Nesterov's; 2 for RMSProp, and for
    Adam 2 (1 + b) / (1 - b), because its moving average takes 1 - b of each gradient: 38 (Cohen et al. 2022). Where
    steps differ from entry to entry (`is_preconditioned`) it is of the preconditioned sharpness. Clipped gradients do
    not grow.
    """
    if config.optimizer_fingerprint or _clip(config):
        return float("nan")
    b = config.momentum
    of_adam = 2 * (1 + B1) / (1 - B1)
    bounds = {
        "sgd": 2.0, "momentum": 2 * (1 + b), "nesterov": 2 * (1 + b) / (1 + 2 * b),
        "rmsprop": 2.0, "adam": of_adam, "adamw": of_adam,
    }  # fmt: skip
    return bounds.get(config.optimizer, float("nan"))


def _clip(config: TrainingConfig) -> str:
    """Return the field that says how gradients are clipped; empty where they are not."""
    return next((name for name in _CLIPS if getattr(config, name) is not None), "")


def _decayed(params: Any) -> Any:
    """Return whether each parameter decays, as in the loss: weights do; biases, gains and scales do not."""
    named = lambda path, _: getattr(path[-1], "key", None) not in NOT_DECAYED
    return jax.tree_util.tree_map_with_path(named, params)


def _momentum(numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """optax's `trace`, where a number decides between Polyak's and Nesterov's."""

    def update(grads, trace, params=None):
        del params
        ahead = lambda grads, trace: jax.tree.map(lambda g, t: g + numbers["momentum"] * t, grads, trace)
        trace = ahead(grads, trace)
        pick = lambda n, t: jnp.where(numbers["nesterov"], n, t)
        return jax.tree.map(pick, ahead(grads, trace), trace), trace

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update)


_CLIPS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "clip_norm": optax.clip_by_global_norm,
    "clip_value": optax.clip,
    "clip_adaptive": optax.adaptive_grad_clip,
}
#: Optimisers that another one's program computes too, with other numbers.
_SAME_PROGRAM = {"nesterov": "momentum", "adamw": "adam"}
_OPTIMIZERS: dict[str, Callable[[Mapping[str, Any]], optax.GradientTransformation]] = {
    "sgd": lambda n: optax.identity(),
    "momentum": _momentum,
    "rmsprop": lambda n: optax.scale_by_rms(),
    "adam": lambda n: optax.chain(
        optax.scale_by_adam(), optax.add_decayed_weights(n["decay_in_update"], mask=_decayed)
    ),
}
