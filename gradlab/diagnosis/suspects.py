r"""What is looked at where no layer is to blame: is the gradient that of the loss, and which steps lower the loss?

**Slope.** The loss is evaluated at :math:`\theta \pm h v` for a falling series of h, v along the gradient of each leaf
and a random direction in equal parts, each leaf's share as large as the leaf itself. What the gradient promises is
:math:`\langle g, \cdot\rangle` of the step that was made: of the parameters as they are stored, which may round
:math:`hv` away. The best h is that of the least error: by how much loss and promise drift apart from one h to the next
(curvature), and the rounding of the loss, over h. The wrong derivative of a function with a rule of its own shows here.

**Steps.** The loss after one step of gradient descent, over a range of learning rates: those powers of the root of 10
that move the parameters by 1e-6 to 1 of their norm.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from gradlab.diagnosis.evidence import Suspects
from gradlab.measurement.arrays import log10_norm, pooled

#: Steps of the difference, as shares of the parameters' size.
SHARES = 4.0 ** -np.arange(1, 9)
#: The shortest and the longest step of descent as log10 of a share of the parameters' norm, and how many a decade.
SHORTEST, LONGEST, EACH_DECADE = -6, 0, 2
#: Roundings of the loss, in units of its last digit, that computing it may make.
ROUNDINGS = 8


def suspects(
    loss: Callable[..., Array],
    params: Any,
    args: tuple[Any, ...],
    grads: Any,
    seed: int = 0,
    *,
    frozen: Collection[int] = (),
) -> Suspects:
    """Compare the loss around the parameters with what the gradient promises.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)``, a scalar.
    params, grads : trees of arrays of floats
        The point, and the gradient of the loss there.
    args : tuple
        What the loss takes beside the parameters: a sample.
    seed : int
        Of the random direction.
    frozen : collection of int
        Leaves, by their number, that the difference leaves where they are: the loss depends on one behind
        `stop_gradient`, and its gradient is zero.
    """
    leaves, structure = jax.tree.flatten(params)
    slopes = jax.tree.leaves(grads)
    weight, slope = (_norm(each) for each in (leaves, slopes))
    if not np.isfinite(slope):
        return Suspects(notes=(f"slope and steps: the gradient is {'zero' if slope == -np.inf else 'not finite'}",))
    entries = sum(leaf.size for leaf in leaves)
    weight = weight if np.isfinite(weight) else 0.5 * np.log10(entries)  # all zero: as if of rms 1
    rms = 10.0 ** (weight - 0.5 * np.log10(entries))
    rates = _rates(weight - slope)
    along = np.concatenate([[0.0], SHARES, -SHARES, 0 * rates])
    descent = np.concatenate([0 * along[: -len(rates)], rates * 10.0**slope])

    rays = _rays(leaves, slopes, frozen, 10.0**slope, rms, np.random.default_rng(seed))

    @jax.jit
    def run(leaves, rays, args, along, descent):
        def after(step):
            moved, promised = list(leaves), jnp.zeros((), jnp.float32)
            for numbers, ray in rays.items():
                new, gain = ray.at(leaves[numbers[0]].dtype, *step)
                promised += gain
                ends = np.cumsum([leaves[i].size for i in numbers])
                for i, part in zip(numbers, jnp.split(new, ends[:-1].tolist()), strict=True):
                    moved[i] = part.reshape(leaves[i].shape)
            return loss(structure.unflatten(moved), *args), promised

        return lax.map(after, (along, descent))

    losses, promised = run(leaves, rays, args, along.astype(np.float32), descent.astype(np.float32))
    digit = float(jnp.finfo(losses.dtype).eps)
    losses, promised = np.asarray(losses, np.float64), np.asarray(promised, np.float64) * 10.0**slope
    if not np.isfinite(losses[0]):
        return Suspects(notes=("slope and steps: the loss is not finite",))
    rounding = ROUNDINGS * digit * abs(losses[0])
    changes = losses - losses[0]
    up, down, steps = np.split(np.arange(1, len(losses)), [len(SHARES), 2 * len(SHARES)])
    # of steps so small the sum of both changes is what coarser numbers inside the model round, and little else
    bent = 2 * np.abs(changes[up] + changes[down])[-2:]
    rounding = max([rounding, *bent[np.isfinite(bent)]])
    measured, error = _slope(changes[up] - changes[down], promised[up] - promised[down], rounding)
    notes = () if np.isfinite(error) else ("slope: no step changes the loss by more than its rounding",)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(-promised[steps] > rounding, changes[steps] / promised[steps], np.nan)
    return Suspects(measured, error, tuple(zip(rates.tolist(), ratios.tolist(), strict=True)), notes)


def _norm(leaves: list[Array]) -> float:
    """log10 of the norm of all leaves together."""
    return float(pooled(np.array([log10_norm(_real(np.asarray(leaf))) for leaf in leaves], np.float64)))


def _rates(unit: float) -> np.ndarray:
    """Learning rates around 10**unit, which moves the parameters by their own norm."""
    first, last = (int(np.floor(EACH_DECADE * (unit + end))) for end in (SHORTEST, LONGEST))
    return 10.0 ** (np.arange(first, last + 1) / EACH_DECADE)


def _real(x: Any) -> Any:
    return x if x.dtype.itemsize >= 4 else x.astype(np.float32)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Ray:
    """Parameters of one format in one array, their gradient over its norm, and a direction."""

    start: Any
    unit: Any
    direction: Any

    def at(self, dtype: Any, differ: Array, descend: Array) -> tuple[Array, Array]:
        """Return the parameters after a step, and what the gradient over its norm promises of it."""
        differ, descend = (each.astype(self.start.dtype) for each in (differ, descend))
        new = (self.start + differ * self.direction - descend * self.unit).astype(dtype)
        return new, jnp.sum(self.unit * (_real(new) - self.start), dtype=jnp.float32)


def _rays(
    leaves: Sequence[Any],
    slopes: Sequence[Any],
    frozen: Collection[int],
    size: float,
    rms: float,
    rng: np.random.Generator,
) -> dict[tuple[int, ...], _Ray]:
    """Return the leaves that move, by their numbers: made on the host, in as few arrays as there are formats.

    A compiler would write a generator, two norms and a sum for each leaf.
    """
    moving = [i for i, x in enumerate(leaves) if i not in frozen and jnp.issubdtype(x.dtype, jnp.floating) and x.size]
    rays = {}
    for dtype in dict.fromkeys(leaves[i].dtype for i in moving):
        numbers = tuple(i for i in moving if leaves[i].dtype == dtype)
        starts, grads = ([_real(np.asarray(x[i])).ravel() for i in numbers] for x in (leaves, slopes))
        units = [grad / grad.dtype.type(size) for grad in grads]
        ways = [_direction(rng, *pair, rms) for pair in zip(starts, units, strict=True)]
        rays[numbers] = _Ray(*(np.concatenate(parts) for parts in (starts, units, ways)))
    return rays


def _direction(rng: np.random.Generator, leaf: np.ndarray, grad: np.ndarray, rms: float) -> np.ndarray:
    """Half along the gradient, half at random; as large as the leaf, or as all leaves are where this one is zero."""
    weight, slope = (10.0 ** float(log10_norm(x)) for x in (leaf, grad))
    chance = rng.standard_normal(leaf.shape) / leaf.size**0.5
    unit = grad / slope if slope > 0 else 0.0
    return ((weight if weight > 0 else rms * leaf.size**0.5) * (unit + chance) / 2**0.5).astype(grad.dtype)


def _slope(changes: np.ndarray, promised: np.ndarray, rounding: float) -> tuple[tuple[float, float], float]:
    """Slope by differences and by the gradient at the best of the steps, and the error of their difference."""
    measured, expected = changes / (2 * SHARES), promised / (2 * SHARES)
    gap, unsure = measured - expected, rounding / SHARES
    drift = np.abs(np.diff(gap))
    # of a loss that levels off two long steps agree with each other, and not with short ones, as far as these are
    # steps in the format of the parameters
    whole = np.abs(expected) > 0.8 * np.nanmax(np.abs(expected), initial=0.0)
    distance = np.where(whole, np.maximum(np.abs(gap[:, None] - gap) - unsure, 0), 0)
    later = np.array([np.nanmax(row[k:], initial=0.0) for k, row in enumerate(distance)])
    error = np.maximum(np.maximum(drift[:-1], drift[1:]), later[1:-1]) + unsure[1:-1]
    if not np.isfinite(error).any():
        return (np.nan, np.nan), np.nan
    best = int(np.nanargmin(error))
    slope = float(measured[best + 1]), float(expected[best + 1])
    if error[best] >= max(map(abs, slope)):
        return (np.nan, np.nan), np.nan
    return slope, float(error[best])
