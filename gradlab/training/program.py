"""The compiled steps of a training: hand-written gradient, clipping, optimiser, the new parameters."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from gradlab.config import NetworkConfig
from gradlab.config.custom import CustomConfig
from gradlab.core.backprop import backprop, targets
from gradlab.core.decay import weight_decay
from gradlab.core.dropout import Dropout
from gradlab.core.losses import loss_named
from gradlab.core.scaled import Scaled, scaled
from gradlab.measurement.arrays import log10_norm, pooled
from gradlab.networks.network import weighted
from gradlab.networks.resolved import Resolved, resolved
from gradlab.training.optimizers import Recipe, clipping, optimizer

#: Folded into a seed's key for the order of the examples, and for the masks of dropout.
ORDER_FOLD, DROPOUT_FOLD = 0x6F7264, 0x64726F
#: Fields of a network that are of no account once its weights are drawn.


class State(NamedTuple):
    """A training between two steps: of fixed structure and shapes from step zero.

    Parameters
    ----------
    params : pytree
    clip_state, opt_state : pytree
        Of optax.
    step : int32 array, shape ()
        Updates so far.
    order : int32 array, shape (examples,)
        The examples in the order of this epoch.
    losses : float array, shape (steps,)
        Loss of the minibatch of each step, NaN of those to come.
    failed : bool array, shape ()
        Whether a loss was not finite.
    """

    params: Any
    clip_state: Any
    opt_state: Any
    step: Array
    order: Array
    losses: Array
    failed: Array


#: Which arrays of a state several seeds have their own of. The step is one for all, or each step would shuffle anew.
OF_SEEDS = State(params=0, clip_state=0, opt_state=0, step=None, order=0, losses=0, failed=0)


class Sizes(NamedTuple):
    """What one step did, as log10 of norms, one for each layer with a weight, from input to readout."""

    clipped_weight: Array
    clipped_bias: Array
    weight_update: Array
    bias_update: Array
    weight: Array


class Programs(NamedTuple):
    """The programs of one kind of training.

    Parameters
    ----------
    start : callable
        (params, order of the examples, numbers) -> State.
    advance : callable
        (state, key, x, y, numbers, stop, patient) -> State: steps until `stop`, or until a loss is not finite and
        one is not patient. How a training is cut into calls changes no bit of it.
    advance_all : callable
        The same of several seeds in one call: states and keys have an axis of seeds in front, but for the step, which
        they share. It goes on while the loss of one of them is finite.
    observe : callable
        (state, key, x, y, numbers) -> (State, Sizes): one step, looked at.
    gradient : callable
        (state, key, x, y, numbers) -> the gradient of one step.
    """

    start: Any
    advance: Any
    advance_all: Any
    observe: Any
    gradient: Any


def bare(config: NetworkConfig) -> Resolved:
    """The network without what only decides the draw of the weights, so that equal programs are compiled once."""
    if isinstance(config, CustomConfig):
        return resolved(config)
    return resolved(type(config)(**{name: getattr(config, name) for name in config.names("number", "program")}))


@functools.lru_cache(maxsize=32)
def programs(of: Resolved, outputs: int, loss: str, recipe: Recipe, batch: int) -> Programs:
    """The compiled steps of a network under a recipe.

    Parameters
    ----------
    of : Resolved
        From `bare`.
    outputs : int
    loss : str
    recipe : Recipe
    batch : int
        Examples in a minibatch. An epoch leaves out those that fill no batch; they are others in each epoch.
    """
    net = of.network

    def gradient(state: State, key: Array, x: Array, y: Array, numbers: Any) -> tuple[Array, Any]:
        place = state.step % (len(state.order) // batch)
        rows = lax.dynamic_slice(state.order, (place * batch,), (batch,))
        masks = jax.random.fold_in(jax.random.fold_in(key, DROPOUT_FOLD), state.step)
        dropout = Dropout(recipe.dropout, masks) if recipe.dropout else None
        value, grads = backprop(net, state.params, x[rows], y[rows], loss=loss, dropout=dropout)
        if recipe.in_loss:
            penalty, own = weight_decay(state.params, 1.0)
            rate = numbers["weight_decay"]
            value, grads = value + rate * penalty, jax.tree.map(lambda g, w: g + rate * w, grads, own)
        return value, grads

    def shuffled(state: State, key: Array) -> State:
        """The order of a new epoch where one begins."""
        count = len(state.order)
        epoch, place = state.step // (count // batch), state.step % (count // batch)
        of_epoch = jax.random.fold_in(jax.random.fold_in(key, ORDER_FOLD), epoch)
        fresh = lambda: jax.random.permutation(of_epoch, jnp.arange(count, dtype=jnp.int32))
        return state._replace(order=lax.cond(place == 0, fresh, lambda: state.order))

    def step(state: State, key: Array, x: Array, y: Array, numbers: Any) -> tuple[State, Any, Any]:
        state = shuffled(state, key)
        value, grads = gradient(state, key, x, y, numbers)
        clipped, clip_state = clipping(recipe, numbers).update(grads, state.clip_state, state.params)
        updates, opt_state = optimizer(recipe, numbers).update(clipped, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        losses = state.losses.at[state.step].set(value.astype(state.losses.dtype))
        failed = state.failed | ~jnp.isfinite(value)
        return State(params, clip_state, opt_state, state.step + 1, state.order, losses, failed), clipped, updates

    @jax.jit
    def start(params: Any, order: Array, numbers: Any) -> State:
        dtype = jax.tree.leaves(params)[0].dtype
        first, second = (make(recipe, numbers).init(params) for make in (clipping, optimizer))
        losses = jnp.full(recipe.steps, jnp.nan, dtype)
        return State(params, first, second, jnp.int32(0), order, losses, jnp.asarray(False))

    @jax.jit
    def advance(state: State, key: Array, x: Array, y: Array, numbers: Any, stop: Array, patient: Array) -> State:
        go_on = lambda state: (state.step < stop) & (~state.failed | patient)
        return lax.while_loop(go_on, lambda state: step(state, key, x, y, numbers)[0], state)

    @jax.jit
    def advance_all(state: State, key: Array, x: Array, y: Array, numbers: Any, stop: Array, patient: Array) -> State:
        go_on = lambda state: (state.step < stop) & (~state.failed.all() | patient)
        of_one = lambda state, key: step(state, key, x, y, numbers)[0]
        of_all = jax.vmap(of_one, in_axes=(OF_SEEDS, 0), out_axes=OF_SEEDS)
        return lax.while_loop(go_on, lambda state: of_all(state, key), state)

    @jax.jit
    def observe(state: State, key: Array, x: Array, y: Array, numbers: Any) -> tuple[State, Sizes]:
        after, clipped, updates = step(state, key, x, y, numbers)
        params = net.parts(state.params, state.params)
        size = lambda tree, kind: layer_sizes(params, net.parts(state.params, tree), kind)
        sizes = size(clipped, "weight"), size(clipped, "bias"), size(updates, "weight"), size(updates, "bias")
        return after, Sizes(*sizes, size(state.params, "weight"))

    @jax.jit
    def gradient_alone(state: State, key: Array, x: Array, y: Array, numbers: Any) -> Any:
        return gradient(shuffled(state, key), key, x, y, numbers)[1]

    return Programs(start, advance, advance_all, observe, gradient_alone)


@functools.lru_cache(maxsize=32)
def draw(of: Resolved, shape: tuple[int, ...], outputs: int) -> Any:
    """key -> parameters, those that ``net.init_params`` draws."""
    return jax.jit(lambda key: of.network.layer(outputs).init(key, shape)[0])


@functools.lru_cache(maxsize=32)
def judge(of: Resolved, outputs: int, loss: str) -> Any:
    """(params, x, y) -> (loss as `Scaled`, accuracy): of the network without dropout and weight decay."""
    net = of.network

    @jax.jit
    def judged(params: Any, x: Array, y: Array) -> tuple[Scaled, Array]:
        logits, _ = net.layer(outputs).forward(params, scaled(x, x.ndim - 1))
        value, _ = loss_named(loss)(logits, targets(loss, y, outputs, x.dtype))
        if not jnp.issubdtype(y.dtype, jnp.integer):
            return value, jnp.asarray(jnp.nan, x.dtype)
        # of one output the label is the side of the middle that it lies on
        answer = jnp.argmax(logits.mantissa, -1) if outputs > 1 else logits.value()[:, 0] > _middle(loss)
        return value, jnp.mean(answer == y, dtype=x.dtype)

    return judged


def _middle(loss: str) -> float:
    """Where an output has no preference: 0 for a logit, 1/2 for a value."""
    return 0.5 if loss == "mse" else 0.0


def layer_sizes(params: Any, tree: Any, kind: str) -> Array:
    """log10 norm of a tree's weights, or biases, layer by layer; NaN where a layer has none.

    Parameters
    ----------
    params : tuple of pytrees
        The parts of a network: of a run of equal blocks the arrays are stacked, and a block is a layer.
    tree : pytree like `params`
    kind : {"weight", "bias"}
    """
    return jnp.concatenate([_part_sizes(part, of, kind) for part, of in zip(params, tree, strict=True)])


def _part_sizes(part: Any, tree: Any, kind: str) -> Array:
    leaves = by_layer(part, tree)
    if not leaves:
        return jnp.zeros(0)
    found = [jax.vmap(log10_norm)(leaf) for name, leaf in leaves if name == kind]
    _, like = leaves[0]
    return pooled(jnp.stack(found, -1)) if found else jnp.full(len(like), jnp.nan, like.dtype)


def by_layer(part: Any, tree: Any) -> list[tuple[str, Array]]:
    """The arrays of a tree with their names, each as a row for each layer; none where no layer has a weight.

    Parameters
    ----------
    part : pytree
        One of a network's parts: a layer, or a run of equal blocks, whose arrays are stacked.
    tree : pytree like `part`
    """
    weights = [layer["weight"] for _, layer in weighted((), part)]
    if not weights:
        return []
    count = len(weights[0]) if weights[0].ndim > 2 else 1
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(getattr(path[-1], "key", ""), leaf.reshape(count, -1)) for path, leaf in leaves]
