r"""Central differences of a layer's own forward pass against its own backward pass: the second witness.

For a random direction v of one argument and a random cotangent u,

.. math:: \langle u, \tfrac{f(\theta+hv)-f(\theta-hv)}{2h}\rangle = \langle g, v\rangle,

with g what the backward pass makes of u. In float64 a step of eps^(1/3) balances truncation, h^2, against
rounding, eps/h: both are eps^(2/3) = 4e-11, times the function's third derivative. What a wrong
line changes is not small, so sqrt(eps) = 1.5e-8 is the line. Differences of an end-to-end loss do
not reach that far down; those of one layer do, at any depth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.core.gradient import materialise
from gradlab.core.layer import Layer
from gradlab.core.outcome import Outcome
from gradlab.core.scaled import Scaled, plain, scaled

_EPS = float(np.finfo(np.float64).eps)
#: The step, in units of the argument's rms where that is below 1.
STEP = _EPS ** (1 / 3)
#: Disagreement relative to ``|u| |f(+) - f(-)| / 2h`` from which a backward pass is wrong.
TOLERANCE = _EPS**0.5
#: Number of directions. The best one counts, so that one undeclared kink does not fail a layer.
DIRECTIONS = 3


class Difference(NamedTuple):
    """The comparison for one argument of a layer.

    Parameters
    ----------
    name : str
        Name of the parameter, or "input".
    error : float
        Relative disagreement; NaN where it was not compared.
    status : Outcome
        What became of the comparison.
    hint : str
        The likely mistake, where there is one.
    """

    name: str
    error: float
    status: Outcome
    hint: str = ""

    @property
    def ok(self) -> bool:
        """Say whether nothing speaks against the backward pass."""
        return self.status is not Outcome.COMPARED or self.error <= TOLERANCE


def names_of(tree: Any) -> list[str]:
    """Return a name for each leaf of a layer's parameters."""
    return [_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _name(path) -> str:
    return ".".join(str(getattr(k, "key", getattr(k, "idx", getattr(k, "name", k)))) for k in path) or "weight"


class _Pairs(NamedTuple):
    """Both sides of the identity for each direction, and what the noise is measured by: arrays (directions,)."""

    ours: np.ndarray
    theirs: np.ndarray
    size: np.ndarray
    top: np.ndarray
    change: np.ndarray


def differences(layer: Layer, often: bool = False) -> Callable[[Any, Scaled, np.random.Generator], list[Difference]]:
    """Return the comparison for one layer, as a function of its parameters, its input and random numbers.

    Parameters
    ----------
    layer : Layer
        The layer, by itself.
    often : bool
        Whether it pays to compile it.
    """
    compiled = jax.jit if often else lambda f: f
    forward = compiled(lambda params, x: layer.forward(params, plain(x))[0].value())
    kinks: list[float] = []

    @compiled
    def backward(params, x, u):
        def read(site):
            for entry, _ in site.entries:
                kinks.extend(entry.kinks)
            return materialise(site)

        dx, grads = layer.backward(params, layer.forward(params, scaled(x, x.ndim - 1))[1], u, read)
        return dx.value(), grads

    def compare(params: Any, x: Scaled, rng: np.random.Generator) -> list[Difference]:
        names = [*names_of(params), "input"]
        plain_x = np.asarray(x.value())
        inside = np.all(np.isfinite(plain_x)) and (np.any(plain_x) or not np.any(np.asarray(x.mantissa)))
        if not inside:
            return [Difference(n, float("nan"), Outcome.OUTSIDE) for n in names]
        u = _cotangent(np.asarray(forward(params, plain_x)).shape, rng)
        dx, grads = backward(params, plain_x, u)
        leaves, tree = jax.tree.flatten(params)
        arguments = [np.asarray(v) for v in (*leaves, plain_x)]
        f = lambda *arguments: np.asarray(forward(jax.tree.unflatten(tree, arguments[:-1]), arguments[-1]))
        rows = []
        for i, (name, gradient) in enumerate(zip(names, [*jax.tree.leaves(grads), dx], strict=True)):
            avoid = kinks if name == "input" else ()
            rows.append(_judged(name, _pairs(f, arguments, i, np.asarray(gradient), np.asarray(u.value()), avoid, rng)))
        if not rows[-1].ok:
            rows[-1] = rows[-1]._replace(hint=_mistake(leaves, np.asarray(dx), np.asarray(u.value())) or rows[-1].hint)
        return rows

    return compare


def _cotangent(shape: tuple[int, ...], rng: np.random.Generator) -> Scaled:
    """Draw a cotangent whose examples lie powers of two apart, as those of a network do."""
    return Scaled(jnp.asarray(rng.normal(size=shape)), jnp.asarray(rng.integers(-4, 5, shape[:1]), jnp.int32))


def _pairs(f, arguments, i: int, gradient, u, kinks, rng: np.random.Generator) -> _Pairs:
    """Both sides for argument i, along some directions."""
    argument = arguments[i]
    rms = float(np.sqrt(np.mean(argument**2)))
    h = STEP * (min(rms, 1) if rms > 0 else 1)
    pairs = []
    for _ in range(DIRECTIONS):
        v = rng.normal(size=argument.shape)
        for kink in kinks:  # samples off kinks
            v = np.where(np.abs(argument - kink) <= 2 * h * np.abs(v), 0, v)
        up, down = (f(*arguments[:i], argument + t * v, *arguments[i + 1 :]) for t in (h, -h))
        with np.errstate(all="ignore"):
            change = (up - down) / (2 * h)
            size = np.linalg.norm(u) * np.linalg.norm(change)
            pairs.append(
                (np.sum(gradient * v), np.sum(u * change), size, np.max(np.abs(up)) / h, np.max(np.abs(change)))
            )
    return _Pairs(*(np.array(column) for column in zip(*pairs, strict=True)))


def _judged(name: str, p: _Pairs) -> Difference:
    with np.errstate(all="ignore"):
        errors = np.abs(p.ours - p.theirs) / np.where(p.size > 0, p.size, 1)
        # a forward pass that moves less than its own rounding cannot contradict anybody
        resolved = _EPS * p.top <= 0.1 * TOLERANCE * p.change
    if not (np.all(np.isfinite(p.theirs)) and np.all(np.isfinite(p.size))):
        return Difference(name, float("nan"), Outcome.OUTSIDE)
    if np.all(p.change == 0) and np.all(p.ours == 0):
        return Difference(name, 0.0, Outcome.COMPARED)
    if not np.any(resolved):
        return Difference(name, float("nan"), Outcome.BELOW_RESOLUTION)
    errors = np.where(np.isnan(errors), np.inf, errors)[resolved]
    error = float(np.min(errors))
    return Difference(name, error, Outcome.COMPARED, "" if error <= TOLERANCE else factor_hint(p.ours, p.theirs, 1e-6))


def factor_hint(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> str:
    """Return what a constant ratio of the two arrays says."""
    square = float(np.sum(theirs * theirs))
    if not (square > 0 and np.all(np.isfinite(ours))):
        return ""
    ratio = float(np.sum(ours * theirs)) / square
    if np.max(np.abs(ours - ratio * theirs)) > tolerance * np.max(np.abs(theirs)) * max(abs(ratio), 1e-3):
        return ""
    if abs(ratio) < 1e-12:
        return "it is 0"
    if abs(ratio + 1) < tolerance:
        return "the sign is wrong"
    if abs(ratio - 1) < tolerance:  # the same, but for what is to be explained
        return ""
    near = f"1 {ratio - 1:+.0e}"
    return f"a constant factor, {near if abs(ratio - 1) < 1e-5 else f'{ratio:.6g}'}"


def _mistake(leaves, dx: np.ndarray, u: np.ndarray) -> str:
    """Return the likely mistake of a wrong cotangent of the input."""
    same = lambda a: a.shape == dx.shape and np.max(np.abs(a - dx)) <= 1e-9 * np.max(np.abs(dx))
    if same(u):
        return "phi' is missing: the cotangent goes through unchanged"
    for leaf in leaves:
        w = np.asarray(leaf)
        if w.ndim == 2 and u.shape[-1] == w.shape[0] == w.shape[1] and same(u @ w):
            return "the weight is not transposed"
    return ""
