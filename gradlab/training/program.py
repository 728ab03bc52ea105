"""What is compiled for a training: the hand-written gradient, the update, a loop over both, the network's outputs.

A program is kept by what decides it. Gradient and outputs take the depth as an argument and know no optimiser; an
update knows the optimiser and no network; so a sweep compiles each of them a few times, not once for each training.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from gradlab.core.backprop import run
from gradlab.core.decay import weight_decay
from gradlab.core.devices import SEEDS, mesh
from gradlab.core.dropout import Dropout
from gradlab.core.gradient import materialise
from gradlab.core.layer import Layer, serial
from gradlab.core.losses import loss_named
from gradlab.core.scaled import Scaled, scaled
from gradlab.networks.resolved import Resolved
from gradlab.networks.stack import Stack
from gradlab.training.optimizers import Recipe
from gradlab.training.rate_factors import multiplied
from gradlab.training.transformations import clipping, evaluated, optimizer

#: Folded into a seed's key for the order of the examples, and for the masks of dropout.
ORDER_FOLD, DROPOUT_FOLD = 0x6F7264, 0x64726F


class State(NamedTuple):
    """A training between two steps: of fixed structure and shapes from step zero.

    Parameters
    ----------
    params : pytree
        The weights at which the gradient of the next step is taken.
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


class Arguments(NamedTuple):
    """What every step takes beside the state.

    Parameters
    ----------
    key : JAX key
        Of the seed.
    x, y : Array
        Examples, and targets as the loss takes them.
    depth : int32 array, shape ()
        Number of hidden layers, up to those of the program.
    blocks : mapping of str to Array
        Numbers of the network's blocks.
    numbers : mapping of str to Array
        Of the configuration, see `numbers_in_update`.
    """

    key: Array
    x: Array
    y: Array
    depth: Array
    blocks: dict[str, Array]
    numbers: dict[str, Array]


#: Axes of members, which are trained in one call: a network and a seed each. The step is one for all, or each step
#: would shuffle anew; of the data they share the arrays.
STATE_AXES = State(params=0, clip_state=0, opt_state=0, step=None, order=0, losses=0, failed=0)
ARGUMENT_AXES = Arguments(key=0, x=None, y=None, depth=None, blocks=0, numbers=0)


class Kind(NamedTuple):
    """What decides the gradient's program: equal kinds are compiled once.

    Parameters
    ----------
    of : Resolved
        Of the deepest network, without what decides no program.
    outputs : int
        Number of outputs.
    loss : str
        Name of the loss.
    batch : int
        Examples in a minibatch. An epoch leaves out those that fill no batch; they are others in each epoch.
    dropout : float
        Rate.
    decays : bool
        Whether weight decay is a term of the loss.
    full_batch : bool
        Whether each step sees all examples in their order: then nothing is shuffled.
    """

    resolved: Resolved
    outputs: int
    loss: str
    batch: int
    dropout: float
    decays: bool
    full_batch: bool = False


def up_to(stack: Stack, depth: Any) -> Layer:
    """Return the first `depth` counted layers of a stack and its readout; the depth may be traced."""
    if stack.last_run is None:
        return stack.whole
    *below, run, readout = stack.whole.sequence
    return serial(*below, run._replace(layer=stack.last_run.first(depth - stack.earlier_depth)), readout)


def _gradient(kind: Kind, layer_of: Callable[[Stack], Layer], state: State, given: Arguments) -> Any:
    """Return the order of the epoch, the loss of the minibatch, and its gradient."""
    net = kind.resolved.network
    order, x, y = (state.order, given.x, given.y) if kind.full_batch else _minibatch(kind.batch, state, given)
    masks = jax.random.fold_in(jax.random.fold_in(given.key, DROPOUT_FOLD), state.step) if kind.dropout else None
    dropout = None if masks is None else Dropout(kind.dropout, masks)
    layer = layer_of(net.masked(net.stack(kind.outputs, **given.blocks), dropout))
    value, grads = run(layer, state.params, x, y, kind.loss, materialise)
    value = value.value()
    if kind.decays:
        penalty, decayed = weight_decay(state.params, 1.0)
        rate = given.numbers["decay_in_loss"]
        value, grads = value + rate * penalty, jax.tree.map(lambda g, w: g + rate * w, grads, decayed)
    return order, value, grads


def _minibatch(batch: int, state: State, given: Arguments) -> tuple[Array, Array, Array]:
    """Return the order of the epoch, and the examples of the next step with their targets."""
    count = len(state.order)
    epoch, place = state.step // (count // batch), state.step % (count // batch)
    of_epoch = jax.random.fold_in(jax.random.fold_in(given.key, ORDER_FOLD), epoch)
    fresh = lambda: jax.random.permutation(of_epoch, jnp.arange(count, dtype=jnp.int32))
    order = lax.cond(place == 0, fresh, lambda: state.order)
    rows = lax.dynamic_slice(order, (place * batch,), (batch,))
    return order, given.x[rows], given.y[rows]


def _update(recipe: Recipe, state: State, gradient: Any, numbers: Any) -> tuple[State, Any, Any]:
    """Return the next state, the clipped gradient and the update."""
    order, value, grads = gradient
    clipped, clip_state = clipping(recipe, numbers).update(grads, state.clip_state, state.params)
    updates, opt_state = optimizer(recipe, numbers, state.step).update(clipped, state.opt_state, state.params)
    if "rate_factors" in numbers:
        updates = multiplied(updates, numbers["rate_factors"])
    params = optax.apply_updates(state.params, updates)
    losses = state.losses.at[state.step].set(value.astype(state.losses.dtype))
    failed = state.failed | ~jnp.isfinite(value)
    return State(params, clip_state, opt_state, state.step + 1, order, losses, failed), clipped, updates


@functools.lru_cache(maxsize=32)
def gradient(kind: Kind) -> Any:
    """Return (state, arguments) -> order of the epoch, loss and gradient of the next step, at any depth."""

    @jax.jit
    def gradient(state: State, given: Arguments) -> Any:
        return _gradient(kind, lambda stack: up_to(stack, given.depth), state, given)

    return gradient


@functools.lru_cache(maxsize=32)
def update(recipe: Recipe) -> Any:
    """Return (state, what `gradient` returned, numbers) -> (state, clipped gradient, update) of the next step."""

    @jax.jit
    def update(state: State, gradient: Any, numbers: Any) -> tuple[State, Any, Any]:
        return _update(recipe, state, gradient, numbers)

    return update


@functools.lru_cache(maxsize=32)
def start(recipe: Recipe) -> Any:
    """Return (parameters, numbers) -> the states of clipping and optimiser before the first step."""

    @jax.jit
    def start(params: Any, numbers: Any) -> tuple[Any, Any]:
        return clipping(recipe, numbers).init(params), optimizer(recipe, numbers, 0).init(params)

    return start


@functools.lru_cache(maxsize=32)
def trained(recipe: Recipe) -> Any:
    """Return (state of the optimiser, parameters) -> parameters of the network that is trained, see `evaluated`."""

    @jax.jit
    def trained(opt_state: Any, params: Any) -> Any:
        return evaluated(recipe, opt_state, params)

    return trained


@functools.lru_cache(maxsize=32)
def advance(kind: Kind, recipe: Recipe) -> Any:
    """Return (state, arguments, stop, keep_going) -> the state at `stop`, or right behind a loss that is not finite.

    How a training is cut into calls changes no bit of it.
    """

    @jax.jit
    def advance(state: State, given: Arguments, stop: Array, keep_going: Array) -> State:
        return _loop(functools.partial(_step, kind, recipe), state, given, stop, keep_going)

    return advance


@functools.lru_cache(maxsize=32)
def advance_together(kind: Kind, recipe: Recipe, devices: int) -> Any:
    """Return the program of `advance` for several members in one call, spread over so many devices.

    States and arguments have an axis of members in front, as `STATE_AXES` and `ARGUMENT_AXES` say. Each device goes on
    while the loss of one of its own members is finite, and waits for no other; so the step that is returned is that of
    some device, and of members that failed it is another one.
    """
    step = jax.vmap(
        functools.partial(_step, kind, recipe), in_axes=(STATE_AXES, ARGUMENT_AXES), out_axes=STATE_AXES
    )  # fmt: skip

    def advance(state: State, given: Arguments, stop: Array, keep_going: Array) -> State:
        return _loop(step, state, given, stop, keep_going)

    if devices == 1:
        return jax.jit(advance)
    along = lambda axes: jax.tree.map(lambda axis: P() if axis is None else P(SEEDS), axes, is_leaf=lambda a: a is None)
    where = (along(STATE_AXES), along(ARGUMENT_AXES), P(), P())
    spread = jax.shard_map(advance, mesh=mesh(), in_specs=where, out_specs=where[0], check_vma=False)
    placed = jax.tree.map(lambda spec: NamedSharding(mesh(), spec), where, is_leaf=lambda s: isinstance(s, P))
    return jax.jit(spread, in_shardings=placed)


def _step(kind: Kind, recipe: Recipe, state: State, given: Arguments) -> State:
    """Return the state behind the next step."""
    gradient = _gradient(kind, lambda stack: stack.whole, state, given)
    return _update(recipe, state, gradient, given.numbers)[0]


def _loop(step: Callable[[State, Arguments], State], state: State, given: Arguments, stop: Array, keep_going: Array):
    """Take steps up to `stop`, or until no loss is finite."""
    go_on = lambda state: (state.step < stop) & (~state.failed.all() | keep_going)
    return lax.while_loop(go_on, lambda state: step(state, given), state)


@functools.lru_cache(maxsize=32)
def outputs_of(resolved: Resolved, outputs: int) -> Any:
    """Return (params, x, depth, blocks) -> outputs for each example, as `Scaled`, of the network without dropout."""

    @jax.jit
    def outputs_at(params: Any, x: Array, depth: Array, blocks: Any) -> Scaled:
        return up_to(resolved.network.stack(outputs, **blocks), depth).forward(params, scaled(x, x.ndim - 1))[0]

    return outputs_at


@functools.lru_cache(maxsize=8)
def mean_loss(loss: str) -> Any:
    """Return (outputs, targets) -> the mean loss, as `Scaled`."""
    return jax.jit(lambda outputs, y: loss_named(loss)(outputs, y)[0])
