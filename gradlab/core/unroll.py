r"""A recurrent network is depth in time: one cell applied at every step of a sequence, and its way back.

Forward is one loop over the steps, backward one loop in the opposite direction. The cotangent of the
state is `Scaled` and renormalised at every step, so that after 2,000 steps at a spectral radius of 0.5
it is as precise as after one. The loop leaves the deltas of all steps, each with an exponent of its
own; what the steps share is read afterwards, once: the gradient of a weight is the sum over steps of
input times delta, the same `Positions` that an image's positions make.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core.dense import dense
from gradlab.core.gradient import Gradient, Positions, Site, row_sum
from gradlab.core.layer import Layer
from gradlab.core.scaled import Scaled, add, align, matmul, normalise, plain, with_positions

RETURNS = ("last", "all")


class Cell(NamedTuple):
    """One step of a recurrent network, forward and backward side by side.

    A state is one array (group..., batch, parts, units) whose first part is the output h; an LSTM has
    two parts, h and c. The input enters by a dense product ``u = x W + b`` of all steps at once, before
    the loop; a step sees u alone.

    Parameters
    ----------
    kind : str
        "rnn", "lstm", "gru", ...
    units, parts, drives : int
        Units; parts of the state; features of u.
    init : callable
        ``(key, features) -> {"input": {"weight", "bias"}, "recurrent": {"weight"}}``, or other recurrent parameters.
    forward : callable
        ``(recurrent, before: Scaled, u: Scaled) -> (after: Scaled, kept: Scaled)``, `recurrent` the
        parameters of that name, `kept` what the way back needs.
    backward : callable
        ``(recurrent, before: Scaled, kept, dafter: Scaled) -> (dbefore, dstate, d)``, all `Scaled`: the
        cotangents of the state before, of the state after with all its paths joined, and of u.
    shown : callable
        ``(dstate, d) -> Scaled``: the delta that a step shows as its own.
    through : callable
        ``(kept, d) -> Scaled``: the delta of the recurrent product, from that of u.
    homogeneous : bool
        Whether powers of two pass through a step: the state then carries exponents.
    gradient : callable, optional
        ``(recurrent, before, kept, dstate) -> dict of Gradient``: the gradients of the recurrent parameters from the
        signals of all time steps. None: that of a weight which multiplies the state before.
    """

    kind: str
    units: int
    parts: int
    drives: int
    init: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    shown: Callable[[Scaled, Scaled], Scaled]
    through: Callable[[Scaled, Scaled], Scaled]
    homogeneous: bool = False
    gradient: Callable[..., dict[str, Gradient]] | None = None


class Steps(NamedTuple):
    """What the site of a recurrent weight shows beside x, y and dy.

    Parameters
    ----------
    cell : Cell
        The cell that made these steps.
    kept : Scaled, shape (group..., batch, time, features)
        What the cell keeps of each step: preactivations.
    dstate : Scaled, shape (group..., batch, time, parts, units)
        Cotangent of the state after each step; part 1 of an LSTM is the path through its cell c.
    """

    cell: Cell
    kept: Scaled
    dstate: Scaled


def unroll(cell: Cell, *, returns: str = "last", truncate: int | None = None) -> Layer:
    r"""Apply a cell to all time steps of a sequence (batch, time, features), from a state of zeros.

    .. math:: s_t = f(s_{t-1}, x_t W + b),\qquad
              \partial L/\partial\theta = \textstyle\sum_t (\partial s_t/\partial\theta)^T\,\partial L/\partial s_t.

    Parameters
    ----------
    cell : Cell
        `rnn_cell`, `lstm_cell`, `gru_cell`, or one's own.
    returns : str
        "last": the output of the last step (batch, units). "all": that of every step (batch, time, units).
    truncate : int, optional
        Length k of the pieces of a truncated backward pass. Steps 1 ... k, k + 1 ... 2k, ... are pieces,
        counted from the first step; the state that one piece hands to the next counts as a constant, as in
        training on one piece after another. None: the exact gradient.

    Raises
    ------
    GradlabError
        Where the input is no sequence, or one of no steps.

    Notes
    -----
    The reader sees two sites. ("input",), of kind "dense", is the product with the input; its `dy` covers
    all steps of an example. ("recurrent",), of kind "recurrent", has the time axis in `x` (state before),
    `y` (output), and `dy` (the step's delta, as the cell defines it), with exponents (group..., batch,
    time), and `Steps` in `steps`.

    A signal has one exponent for each example: in the cotangent that goes *on to the layer below*, steps
    that lie 2**125 below the largest of their example are 0. Deltas and gradients are not touched by that.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> from gradlab.core.recurrent import rnn_cell
    >>> layer = unroll(rnn_cell(3))
    >>> params, shape = layer.init(jax.random.key(0), (5, 2))
    >>> shape, layer.forward(params, plain(jnp.ones((4, 5, 2))))[0].mantissa.shape
    ((3,), (4, 3))
    """
    returns = config.resolve("returns", returns, RETURNS)
    truncate = None if truncate is None else config.positive_integer("truncate", truncate)
    project = dense(cell.drives)

    def init(key, shape):
        time, features = _sequence(shape)
        return cell.init(key, features), (cell.units,) if returns == "last" else (time, cell.units)

    @jax.jit  # the loop is compiled in any case; so is then what stands around it
    def forward(params, x):
        *lead, _, _ = x.mantissa.shape
        _sequence(x.mantissa.shape[len(lead) :])
        seen = x if cell.homogeneous else plain(x.value())
        u, _ = project.forward(params["input"], _time_first(seen))
        start = _zeros((*u.mantissa.shape[1:-1], cell.parts, cell.units), u)

        def step(before, u):
            after, kept = cell.forward(params["recurrent"], before, u)
            return after, (after, kept)

        last, (states, kept) = lax.scan(step, start, u)
        y = _output(last) if returns == "last" else _together(_batch_first(_output(states)))
        return y if cell.homogeneous else x.constant(y.mantissa), (x, states, kept)

    @jax.jit
    def way_back(params, saved, dy):
        x, states, kept = saved
        start = _zeros(states.mantissa.shape[1:], states)
        before = jax.tree.map(lambda one, all: jnp.concatenate([one[None], all[:-1]]), start, states)
        if returns == "last":
            dstate, dys = normalise(_first_part(dy, cell.parts)), None
        else:
            dys = normalise(_time_first(dy))
            dstate = _zeros(states.mantissa.shape[1:], dys)

        def step(dafter, at):
            dy, before, kept, number = at
            dafter = dafter if dy is None else add(dafter, _first_part(dy, cell.parts))
            dbefore, dstate, d = cell.backward(params["recurrent"], before, kept, dafter)
            if truncate:
                dbefore = dbefore.map(lambda m: jnp.where(number % truncate == 0, 0, m))
            return normalise(dbefore), (dstate, d)

        numbers = jnp.arange(states.mantissa.shape[0], dtype=jnp.int32)
        _, (dstates, d) = lax.scan(step, dstate, (dys, before, kept, numbers), reverse=True)
        dx = normalise(d.map(lambda m: matmul(m, params["input"]["weight"].T)))
        of_input = InputStep(_rows(_time_first(x)), _rows(d), _together(_rows(d)))
        outputs = map(_output, (before, states))
        outputs = (s if cell.homogeneous else d.constant(s.mantissa) for s in outputs)
        recurrent = RecurrentStep(
            *(_rows(s) for s in (*outputs, cell.shown(dstates, d), cell.through(kept, d))),
            _batch_first(kept), _batch_first(dstates, 3),
        )  # fmt: skip
        return _together(_batch_first(dx)), of_input, recurrent

    def backward(params, saved, dy, read):
        dx, of_input, recurrent = way_back(params, saved, dy)
        return dx, {
            "input": _read_input(params["input"], saved[0], of_input, read),
            "recurrent": _read_recurrent(params["recurrent"], cell, recurrent, read),
        }

    return Layer(init, forward, backward)


class InputStep(NamedTuple):
    """The product with the input at all time steps: its inputs, its deltas, and these over one exponent per example."""

    x: Scaled
    d: Scaled
    dy: Scaled


class RecurrentStep(NamedTuple):
    """The recurrent product at all time steps: what its site shows."""

    before: Scaled
    after: Scaled
    dy: Scaled
    d: Scaled
    kept: Scaled
    dstate: Scaled


def _read_input(params: Any, x: Scaled, step: InputStep, read: Callable) -> Any:
    gradient: dict[str, Any] = {"weight": Positions(step.x, step.d)}
    if "bias" in params:
        gradient["bias"] = row_sum(step.dy)
    return read(Site("dense", ("input",), params, x, None, step.dy, gradient))


def _read_recurrent(params: Any, cell: Cell, step: RecurrentStep, read: Callable) -> Any:
    if cell.gradient is None:
        gradient: dict[str, Any] = {"weight": Positions(step.before, step.d)}
    else:
        gradient = cell.gradient(params, step.before, step.kept, step.dstate)
    steps = Steps(cell, step.kept, step.dstate)
    return read(Site("recurrent", ("recurrent",), params, step.before, step.after, step.dy, gradient, steps=steps))


def _sequence(shape: tuple[int, ...]) -> tuple[int, int]:
    """Steps and features of one example."""
    if len(shape) != 2:
        raise GradlabError(
            "sequences, x of shape (batch, time, features)", f"{shape} per example", "x[..., None], for one feature"
        )
    if shape[0] == 0:
        raise GradlabError("at least one time step", f"{shape} per example, (time, features)", "longer sequences")
    return shape


def _zeros(shape: tuple[int, ...], like: Scaled) -> Scaled:
    """Return a state of zeros, with exponents if `like` has them."""
    return normalise(like.constant(jnp.zeros(shape, like.mantissa.dtype), len(shape) - 2))


def _output(state: Scaled) -> Scaled:
    """Part 0 of a state."""
    return state.map(lambda m: m[..., 0, :])


def _first_part(dh: Scaled, parts: int) -> Scaled:
    """Return the cotangent of a state of which only the output is used."""
    rest = jnp.zeros((*dh.mantissa.shape[:-1], parts - 1, dh.mantissa.shape[-1]), dh.mantissa.dtype)
    return Scaled(jnp.concatenate([dh.mantissa[..., None, :], rest], -2), dh.exponent)


def _time_first(s: Scaled) -> Scaled:
    """(group..., batch, time, features) as (time, group..., batch, features), each step with its example's exponent."""
    return with_positions(s).map(lambda m: jnp.moveaxis(m, -2, 0), lambda e: jnp.moveaxis(e, -1, 0))


def _batch_first(s: Scaled, axes: int = 2) -> Scaled:
    """Move the time axis from the front to before the last `axes` of an example, and to the end of the exponents."""
    return s.map(lambda m: jnp.moveaxis(m, 0, -axes), lambda e: jnp.moveaxis(e, 0, -1))


def _rows(s: Scaled) -> Scaled:
    """Steps as positions of their example, normalised."""
    return normalise(_batch_first(s))


def _together(s: Scaled) -> Scaled:
    """Exponents (..., batch, time) as one for each example."""
    return normalise(align(s))
