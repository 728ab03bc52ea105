r"""The clipping cliff: the loss of a recurrent unit over its two parameters, and gradient descent at its wall.

A unit that is applied to itself many times has two states that it may end in. Where it changes from one to the other
the loss is a wall, whose gradient throws the parameters far away unless it is clipped (Pascanu, Mikolov & Bengio 2013).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jax import Array, lax

from gradlab._errors import GradlabError
from gradlab.config import positive_integer
from gradlab.config.fields import number
from gradlab.core.layer import hand_written
from gradlab.core.recurrent import rnn_cell
from gradlab.core.unroll import unroll

#: The two ways of descent, in this order.
METHODS: tuple[str, ...] = ("unclipped", "clipped")


@dataclass(frozen=True)
class Cliff:
    """The loss of one recurrent unit over (w, b), and descents on it.

    Parameters
    ----------
    surface : DataFrame
        A row for each point of the grid: ``w b log10_loss log10_grad_norm``; -inf where they are 0.
    paths : DataFrame
        A row for each start, method ("unclipped", "clipped") and step: ``start method step w b log10_loss
        log10_grad_norm``, the norm before clipping; step 0 is the start itself.
    activation : str
        Name of the activation.
    time_steps : int
        How often the unit is applied, T.
    target, learning_rate, clip : float
        As for `clipping_cliff`.
    """

    surface: pd.DataFrame
    paths: pd.DataFrame
    activation: str
    time_steps: int
    target: float
    learning_rate: float
    clip: float


def clipping_cliff(
    w: Sequence[float],
    b: Sequence[float],
    starts: Sequence[tuple[float, float]],
    *,
    activation: str = "sigmoid",
    time_steps: int = 50,
    target: float = 0.7,
    learning_rate: float = 0.3,
    clip: float = 1.0,
    updates: int = 500,
) -> Cliff:
    r"""Compute loss and gradient of one recurrent unit over its parameters, and descents with and without clipping.

    .. math:: h_t = \varphi(w\,h_{t-1} + b),\quad h_0 = 0,\qquad L(w, b) = (h_T - \text{target})^2.

    Gradients are those of the hand-written pass through time, in float64; clipping is optax's, by the global norm.
    After Pascanu, Mikolov & Bengio 2013, figure 6.

    Parameters
    ----------
    w, b : sequence of float
        The recurrent weight and the bias, for the grid of the surface.
    starts : sequence of (float, float)
        Where descents begin, (w, b) each.
    activation : str
        Name of the activation. Only one that saturates gives a wall.
    time_steps : int
        T, how often the unit is applied.
    target : float
        What the state should be after the last step.
    learning_rate, clip : float
        No clipped step is longer than their product.
    updates : int
        Steps of descent.

    Returns
    -------
    Cliff
        For `gradlab.plots.cliff`.

    Examples
    --------
    >>> import gradlab as gl
    >>> found = gl.clipping_cliff([4.0, 6.0], [-3.0, -2.0], [(6.0, -2.0)], updates=150)
    >>> longest = found.paths.groupby("method")[["w", "b"]].agg(lambda x: x.diff().abs().max()).max(axis=1)
    >>> bool(longest["clipped"] <= 0.3), bool(longest["unclipped"] > 3)
    (True, True)
    """
    across, along = _grid("w", w), _grid("b", b)
    begin = np.asarray(starts, float)
    if begin.ndim != 2 or begin.shape[-1] != 2 or not len(begin) or not np.all(np.isfinite(begin)):
        raise GradlabError("starts, pairs (w, b) of finite numbers", f"shape {begin.shape}", "starts=[(6.0, -2.0)]")
    time_steps, updates = positive_integer("time_steps", time_steps), positive_integer("updates", updates)
    learning_rate, clip = number("learning_rate", learning_rate), number("clip", clip)
    target = number("target", target, "a finite number")
    with jax.enable_x64(True):
        slope = jax.value_and_grad(_loss(activation, time_steps, target))
        points = np.stack(np.meshgrid(across, along, indexing="ij"), -1).reshape(-1, 2)
        surface = {"w": points[:, 0], "b": points[:, 1], **_logs(*jax.jit(jax.vmap(slope))(jnp.asarray(points)))}
        plain = optax.sgd(learning_rate)
        chains = (plain, optax.chain(optax.clip_by_global_norm(clip), plain))
        walk = lambda tx: jax.jit(jax.vmap(functools.partial(_descend, slope, tx, updates)))(jnp.asarray(begin))
        paths = [_path(method, *walk(tx)) for method, tx in zip(METHODS, chains, strict=True)]
    return Cliff(
        pd.DataFrame(surface), pd.concat(paths, ignore_index=True), activation, time_steps, target, learning_rate, clip
    )  # fmt: skip


def _grid(name: str, values: Any) -> np.ndarray:
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < 2 or not np.all(np.isfinite(values)):
        raise GradlabError(f"{name}, two finite numbers or more", f"shape {values.shape}", f"{name}=[1.0, 2.0]")
    return values


def _loss(activation: str, time_steps: int, target: float) -> Callable[[Array], Array]:
    """Return the loss of (w, b), whose derivative is the hand-written one."""
    unit = hand_written(unroll(rnn_cell(1, activation)))
    silence = jnp.zeros((1, time_steps, 1))

    def loss(point: Array) -> Array:
        w, b = point
        fed = {"weight": jnp.zeros((1, 1)), "bias": b[None]}
        return (unit({"input": fed, "recurrent": {"weight": w[None, None]}}, silence)[0, 0] - target) ** 2

    return loss


def _descend(
    slope: Callable[[Array], tuple[Array, Array]], tx: optax.GradientTransformation, updates: int, start: Array
) -> tuple[Array, Array, Array]:
    """Return points, losses and gradients along one descent, with its start and its end."""

    def update(carry, _):
        point, state = carry
        value, gradient = slope(point)
        change, state = tx.update(gradient, state, point)
        return (optax.apply_updates(point, change), state), (point, value, gradient)

    _, seen = lax.scan(update, (start, tx.init(start)), length=updates + 1)
    return seen


def _path(method: str, points: Array, values: Array, gradients: Array) -> pd.DataFrame:
    starts, steps, _ = points.shape
    at = np.asarray(points).reshape(-1, 2)
    return pd.DataFrame(
        {
            "start": np.repeat(np.arange(starts), steps),
            "method": method,
            "step": np.tile(np.arange(steps), starts),
            "w": at[:, 0],
            "b": at[:, 1],
            **_logs(values.reshape(-1), gradients.reshape(-1, 2)),
        }
    )


def _logs(values: Any, gradients: Any) -> dict[str, np.ndarray]:
    with np.errstate(divide="ignore"):
        return {
            "log10_loss": np.log10(np.asarray(values)),
            "log10_grad_norm": np.log10(np.hypot(*np.asarray(gradients).T)),
        }
