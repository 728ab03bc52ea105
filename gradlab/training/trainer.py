"""One training as all of its seeds share it: the network, its data on the device, its programs, and what they do."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab.config import TrainingConfig
from gradlab.core.backprop import targets
from gradlab.core.execute import device_array, once, repeatedly
from gradlab.core.keys import as_key, fold_in
from gradlab.measurement.single import bare, numbers_of
from gradlab.networks import build
from gradlab.networks.network import Network, example_shape
from gradlab.networks.resolved import resolved
from gradlab.training import program
from gradlab.training.optimizers import Recipe, decays_in_loss, numbers_in_update
from gradlab.training.plan import Plan
from gradlab.training.program import Arguments, Kind, State
from gradlab.training.rate_factors import rate_factors_of
from gradlab.training.room import Room, shapes_of
from gradlab.training.split import Split

#: Steps times parameters below which compiling a loop over steps takes longer than taking them one by one.
BRIEF = 2**21
#: Parameters that take as long as what a step costs whatever its size.
OVERHEAD = 2**14


class Step(NamedTuple):
    """The state behind a step, and its clipped gradient and update."""

    after: State
    clipped: Any
    update: Any


class Trainer:
    """A network, the way it is trained, and its data.

    Parameters
    ----------
    config : TrainingConfig
        The network and how it is trained.
    data : Split
        Training, test and measured examples.
    plan : Plan
        How long it is trained, and what is recorded.
    together : bool
        Whether several members are trained in one call: then a loop over steps is compiled, however brief it is.
    given : mapping of int to pytree, optional
        The weights that each seed starts from. None: they are drawn.
    deepest : NetworkConfig, optional
        The deepest of the networks that are trained in a row, whose beginning this one is: all of them use its programs
        but for the loop over many steps.
    examples : (Array, Array), optional
        The training examples, where another trainer has put them on the device already.
    """

    def __init__(
        self, config: TrainingConfig, data: Split, plan: Plan, together: bool = False,
        given: Mapping[int, Any] | None = None, deepest: Any = None, examples: tuple[Array, Array] | None = None,
    ):  # fmt: skip
        self.config, self.data, self.plan, self.given = config, data, plan, given
        self.net: Network = build(config.network)
        self.outputs = data.outputs
        self.shape = example_shape(self.net, data.x)
        shapes = shapes_of(resolved(self.net), self.shape, self.outputs)
        self.recipe = Recipe.of(config, plan.optimizer).within(self.net.layer(self.outputs), shapes)
        deepest = build(deepest or config.network)
        entries = sum(prod(v.shape) for v in jax.tree.leaves(shapes_of(resolved(deepest), self.shape, self.outputs)))
        self.brief = not together and plan.steps * max(entries, OVERHEAD) <= BRIEF
        self.call = once if self.brief else repeatedly
        self.room = Room(self.net, deepest, self.shape, self.outputs)
        network_of_kind = resolved(bare(deepest))
        self.kind = Kind(
            network_of_kind, data.outputs, plan.loss, plan.batch, config.dropout, decays_in_loss(config),
            plan.full_batch,
        )  # fmt: skip
        self.own_kind = self.kind._replace(resolved=resolved(bare(self.net)))
        self.depth, self.blocks = numbers_of(self.net, plan.dtype)
        self.numbers = numbers_in_update(config, plan.steps, plan.dtype) | rate_factors_of(config, plan.dtype)
        self.x, self.y = examples or self.on_device(data.x, data.y)

    def on_device(self, x: np.ndarray, y: np.ndarray) -> tuple[Array, Array]:
        """Return examples in the dtype of the training, and targets as the loss takes them."""
        return device_array(x, self.plan.dtype), targets(self.plan.loss, y, self.outputs, jnp.dtype(self.plan.dtype))

    def key(self, seed: int) -> Array:
        """Return the key of all draws of a seed."""
        return fold_in(as_key(self.plan.key), seed)

    def arguments(self, key: Array) -> Arguments:
        """Return what every step takes beside the state."""
        return Arguments(key, self.x, self.y, self.depth, self.blocks, self.numbers)

    def start(self, seed: int) -> State:
        """Return the state before the first step, with given weights or those that `gradlab.measure` draws."""
        plan = self.plan
        drawn = lambda: self.net.layer(self.outputs).init(self.key(seed), self.shape)[0]
        params = drawn() if self.given is None else self.given[seed]
        params = jax.tree.map(lambda v: device_array(v, plan.dtype), params)
        states = once(program.start(self.recipe), params, self.numbers)
        order = device_array(np.arange(len(self.x)), "int32")
        losses = device_array(np.full(plan.steps, np.nan), plan.dtype)
        return State(params, *states, device_array(0, "int32"), order, losses, device_array(False, "bool"))

    def trained(self, state: State) -> Any:
        """Return the parameters that the training is for: of schedule_free an average, of all others those it steps."""
        if self.recipe.optimizer != "schedule_free":
            return state.params
        return self.call(program.trained(self.recipe), state.opt_state, state.params)

    def gradient(self, seed: int, state: State) -> tuple[Array, Array, Any]:
        """Return order of the epoch, loss and gradient of the next step."""
        # without what belongs to an optimiser, so that all of them share the program
        state = state._replace(params=self.room.widen(state.params), clip_state=None, opt_state=None, losses=None)
        order, loss, grads = self.call(program.gradient(self.kind), state, self.arguments(self.key(seed)))
        return order, loss, self.room.narrow(grads)

    def step(self, seed: int, state: State) -> Step:
        """Return the next step, with what it is made of."""
        return Step(*self.call(program.update(self.recipe), state, self.gradient(seed, state), self.numbers))

    def advance(self, seed: int, state: State, stop: int) -> State:
        """Return the state of a seed at step `stop`, or behind the first loss that is not finite."""
        keep_going = self.plan.keep_going
        if not self.brief:
            return self.call(
                program.advance(self.own_kind, self.recipe), state, self.arguments(self.key(seed)),
                device_array(stop, "int32"), device_array(keep_going, "bool"),
            )  # fmt: skip
        for _ in range(int(state.step), stop):
            if bool(state.failed) and not keep_going:
                break
            state = self.step(seed, state).after
        return state
