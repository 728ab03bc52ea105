"""Trainings that share a program, in one call: seeds, and networks whose numbers alone differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gradlab.core import devices
from gradlab.core.execute import compiled_for
from gradlab.training import program
from gradlab.training.program import ARGUMENT_AXES, STATE_AXES, Arguments, State
from gradlab.training.trainer import Trainer


class Member(NamedTuple):
    """One training of a sweep.

    Parameters
    ----------
    place : int
        Which of the networks that are trained together.
    seed : int
        Number of the seed.
    """

    place: int
    seed: int


#: Members and their states -> the states at a step, or behind the first loss that is not finite.
Advance = Callable[[Mapping[Member, State], int], dict[Member, State]]


class Together:
    """The program of several members, for as many as the memory of the devices takes.

    Parameters
    ----------
    trainers : sequence of Trainer
        Of each network; all have the same kind and recipe.
    members : sequence of Member
        All that are to be trained.
    wanted : int, optional
        Members of one call at most. None: all.

    Attributes
    ----------
    size : int
        Members of one call. It is a function of the request and of the devices: of their number and their memory.
    """

    def __init__(self, trainers: Sequence[Trainer], members: Sequence[Member], wanted: int | None = None):
        self.trainers = trainers
        first = trainers[0]
        self._program = program.advance_together(first.own_kind, first.recipe, jax.local_device_count())
        example = first.start(members[0].seed)

        def compiled(size: int) -> Any:
            some = devices.filled(members, size)
            return compiled_for(self._program, *self._arguments(dict.fromkeys(some, example), some, 0))

        self.size, self._call = devices.fitting(compiled, wanted or len(members))

    def advance(self, states: Mapping[Member, State], stop: int) -> dict[Member, State]:
        """Return the states of members that share a step, at `stop` or behind the first loss that is not finite.

        Their number is at most `size`. The call is always of `size` members, so that steps that are taken again have
        the same bits. States are on the host afterwards.
        """
        some = devices.filled(list(states), self.size)
        after = jax.device_get(self._call(*self._arguments(states, some, stop)))
        by_member = {}
        for place, member in enumerate(states):
            state = jax.tree.map(
                lambda axis, leaves: jax.tree.map(lambda v: v if axis is None else v[place], leaves),  # noqa: B023
                STATE_AXES, after, is_leaf=lambda axis: axis is None,
            )  # fmt: skip
            failed = bool(state.failed) and not self.trainers[0].plan.keep_going
            behind = np.flatnonzero(~np.isfinite(state.losses))[0] + 1 if failed else stop
            by_member[member] = state._replace(step=np.int32(behind))
        return by_member

    def _arguments(self, states: Mapping[Member, State], members: Sequence[Member], stop: int) -> tuple[Any, ...]:
        """Return what the program takes, states and arguments of the members stacked."""
        given = [self.trainers[place].arguments(self.trainers[place].key(seed)) for place, seed in members]
        return (
            _stacked(STATE_AXES, [states[member] for member in members]), _stacked(ARGUMENT_AXES, given),
            np.int32(stop), np.bool_(self.trainers[0].plan.keep_going),
        )  # fmt: skip


def _stacked(axes: State | Arguments, trees: Sequence[Any]) -> Any:
    """Return trees as one, stacked along the axes of members; what they share is taken from the first."""
    fields = {
        name: getattr(trees[0], name) if axis is None else jax.tree.map(_stack, *(getattr(t, name) for t in trees))
        for name, axis in axes._asdict().items()
    }
    return type(axes)(**fields)


def _stack(*leaves: Any) -> Any:
    if jax.dtypes.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
        return jax.numpy.stack(leaves)
    return np.stack([np.asarray(leaf) for leaf in leaves])
