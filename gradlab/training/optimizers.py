"""What a configuration says of an update: its recipe, its numbers, the learning rate of each step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from gradlab.config import TrainingConfig
from gradlab.config.training import WEIGHT_DECAYS
from gradlab.core.execute import device_array
from gradlab.core.layer import Layer, in_copies
from gradlab.training.optax_optimizer import OptaxOptimizer
from gradlab.training.preconditioner import B1

#: Fields that say how gradients are clipped.
_CLIPS = ("clip_norm", "clip_value", "clip_adaptive")
#: Optimisers that another one's program computes too, with other numbers.
_SAME_PROGRAM = {"nesterov": "momentum", "adamw": "adam"}


class Recipe(NamedTuple):
    """What decides the program of an update: equal recipes are compiled once. All else are `numbers_in_update` it.

    Parameters
    ----------
    optimizer : str or OptaxOptimizer
        A name, of those that one program computes the first; or the user's own, which has all its numbers in it.
    clip : str
        clip_norm, clip_value, clip_adaptive, or empty.
    in_copies : tuple of bool
        Of each array of the parameters, whether its first axis counts equal blocks; empty where it is of no account.
    """

    optimizer: str | OptaxOptimizer
    clip: str
    in_copies: tuple[bool, ...] = ()

    @classmethod
    def of(cls, config: TrainingConfig, users: OptaxOptimizer | None = None) -> Recipe:
        """Return the recipe of a configuration, as far as it knows no network.

        Parameters
        ----------
        config : TrainingConfig
            The configuration.
        users : OptaxOptimizer, optional
            What replaces the optimiser that it names.
        """
        return cls(users or _SAME_PROGRAM.get(config.optimizer, config.optimizer), _clip(config))

    def within(self, layer: Layer, params: Any) -> Recipe:
        """Return the recipe for a network, where it treats each layer's arrays by themselves.

        Parameters
        ----------
        layer : Layer
            The network.
        params : pytree
            Its parameters, or their shapes.
        """
        if self.optimizer != "muon" and self.clip != "clip_adaptive":
            return self  # the same program for all networks
        return self._replace(in_copies=tuple(jax.tree.leaves(in_copies(layer, params))))


def numbers_in_update(config: TrainingConfig, steps: int, dtype: str) -> dict[str, Array]:
    """Return the numbers that compiled updates take as arguments, the learning rate of every step among them."""
    values = {
        "rates": np.zeros(steps + 1) if config.optimizer_fingerprint else rates(config, steps),
        "momentum": config.momentum,
        "clip": getattr(config, _clip(config)) if _clip(config) else 0.0,
        "decay_in_update": config.weight_decay if config.optimizer in WEIGHT_DECAYS else 0.0,
        "decay_in_loss": config.weight_decay if decays_in_loss(config) else 0.0,
    }
    return {
        "nesterov": device_array(config.optimizer == "nesterov"),
        **{name: device_array(value, dtype) for name, value in values.items()},
    }


def decays_in_loss(config: TrainingConfig) -> bool:
    """Return whether weight decay is a term of the loss."""
    return bool(config.weight_decay) and config.optimizer not in WEIGHT_DECAYS


def shared_program(config: TrainingConfig) -> tuple:
    """Return what networks of one structure and depth must have in common to be trained by one program."""
    return (*Recipe.of(config), config.dropout, decays_in_loss(config))


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
