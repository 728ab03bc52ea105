"""The optimisers by name, and the clipping before them: transformations of optax whose numbers may be traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gradlab.core.decay import NOT_DECAYED
from gradlab.training.optax_optimizer import OptaxOptimizer
from gradlab.training.optimizers import Recipe

#: From parameters to a transformation for them.
Made = Callable[[Any], optax.GradientTransformation]


def clipping(recipe: Recipe, numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Return what is done to the gradient before the optimiser sees it."""
    if recipe.clip == "clip_adaptive":
        return _adaptive(numbers["clip"], recipe)
    return _CLIPS[recipe.clip](numbers["clip"]) if recipe.clip else optax.identity()


def optimizer(recipe: Recipe, numbers: Mapping[str, Any], step: Any) -> optax.GradientTransformation:
    """Return the optimiser behind the clipping, at a step.

    Notes
    -----
    SGD, momentum (Polyak 1964), Nesterov's (Sutskever et al. 2013), RMSProp (Tieleman & Hinton 2012), Adam
    (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019), Muon (Jordan et al. 2024), Lion (Chen et al. 2023),
    schedule-free AdamW (Defazio et al. 2024) and the sign of the gradient (Bernstein et al. 2018) compute what optax's
    do, with its other numbers.
    """
    if isinstance(recipe.optimizer, OptaxOptimizer):
        return recipe.optimizer.transformation
    rate = numbers["rates"][step]
    if recipe.optimizer == "muon":
        return _muon(rate, numbers["decay_in_update"], recipe)
    if recipe.optimizer == "schedule_free":
        return _schedule_free(rate, numbers["decay_in_update"])
    return optax.chain(_DIRECTIONS[recipe.optimizer](numbers), optax.scale_by_learning_rate(rate))


def evaluated(recipe: Recipe, opt_state: Any, params: Any) -> Any:
    """Return the parameters of the network that is trained, which are those of the gradient but for schedule_free.

    Parameters
    ----------
    recipe : Recipe
        Of the training.
    opt_state : pytree
        The optimiser's.
    params : pytree
        Those at which gradients are taken.
    """
    return optax.contrib.schedule_free_eval_params(opt_state, params) if recipe.optimizer == "schedule_free" else params


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


def _muon(rate: Any, decay: Any, recipe: Recipe) -> optax.GradientTransformation:
    """optax's Muon, each layer's matrix by itself; what is no matrix goes to its Adam, at the same rate."""

    def matrix(array: Any, in_copies: bool) -> Any:
        # the arrays of equal blocks are stacked: optax would take their biases for a matrix, and no weight for one
        is_matrix = array.ndim - in_copies == 2
        return optax.contrib.MuonDimensionNumbers(int(in_copies), 1 + in_copies) if is_matrix else None

    def made(params: Any) -> optax.GradientTransformation:
        axes = jax.tree.map(matrix, params, _of_arrays(recipe, params))
        return optax.contrib.muon(rate, weight_decay=decay, muon_weight_dimension_numbers=axes)

    return _for_params(made)


def _schedule_free(rate: Any, decay: Any) -> optax.GradientTransformation:
    """optax's schedule-free AdamW, whose decay spares what no other optimiser here decays either."""
    adamw = optax.chain(
        optax.scale_by_rms(decay=0.999, eps=1e-8, eps_in_sqrt=False, bias_correction=True),
        optax.add_decayed_weights(decay, mask=_decayed),
        optax.scale_by_learning_rate(rate),
    )
    return optax.contrib.schedule_free(adamw, learning_rate=rate, b1=0.9)


def _adaptive(largest: Any, recipe: Recipe) -> optax.GradientTransformation:
    """optax's clipping by the norm of each unit, each layer's arrays by themselves."""
    one = optax.adaptive_grad_clip(largest)

    def update(grads, state, params):
        clip = lambda g, p: one.update(g, state, p)[0]
        each = lambda g, p, in_copies: jax.vmap(clip)(g, p) if in_copies else clip(g, p)
        return jax.tree.map(each, grads, params, _of_arrays(recipe, params)), state

    return optax.GradientTransformation(one.init, update)


def _of_arrays(recipe: Recipe, params: Any) -> Any:
    """Return whether the first axis of each array counts equal blocks, as a tree like the parameters."""
    return jax.tree.unflatten(jax.tree.structure(params), recipe.in_copies)


def _for_params(made: Made) -> optax.GradientTransformation:
    """Return a transformation that is made for the parameters it meets."""
    update = lambda grads, state, params: made(params).update(grads, state, params)
    return optax.GradientTransformation(lambda params: made(params).init(params), update)


_CLIPS: dict[str, Callable[[Any], optax.GradientTransformation]] = {
    "clip_norm": optax.clip_by_global_norm,
    "clip_value": optax.clip,
}
#: What is then multiplied by the learning rate.
_DIRECTIONS: dict[str, Callable[[Mapping[str, Any]], optax.GradientTransformation]] = {
    "sgd": lambda n: optax.identity(),
    "momentum": _momentum,
    "rmsprop": lambda n: optax.scale_by_rms(),
    "adam": lambda n: _decaying(optax.scale_by_adam(), n),
    "lion": lambda n: _decaying(optax.scale_by_lion(), n),
    "sign": lambda n: optax.scale_by_sign(),
}


def _decaying(direction: optax.GradientTransformation, numbers: Mapping[str, Any]) -> optax.GradientTransformation:
    """Return a direction to which the weights are added, times their decay."""
    return optax.chain(direction, optax.add_decayed_weights(numbers["decay_in_update"], mask=_decayed))
