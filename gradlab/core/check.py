r"""The hand-written backward pass against two witnesses: automatic differentiation, and central differences.

*Against* `jax.grad`: per layer and parameter, max|difference| / max|gradient|; element by element it would be
meaningless, for an entry may be 0 by cancellation. Two correct evaluations of a gradient differ by
rounding: a product of n terms by about sqrt(n) eps, and 2L products stand in a row. For L = 50 and
n = 64 that is 2 * 50 * 8 = 800 eps, 1.8e-13 in float64 and 9.5e-5 in float32; the tolerances are
1e-12 and 1e-4, in proportion to 2 L sqrt(n) where a network is deeper or wider.

That holds for gradients that keep what rounding leaves of their terms. Where the terms cancel, as in the gradient of
the queries of an attention whose values are alike, two correct evaluations differ by more. Where a row disagrees,
that is measured: `jax.grad` in float32 beside `jax.grad` in float64 shows the rounding errors of this very gradient,
and those in float64 are 2^-29 of them. Both evaluations have some, and the largest of many entries is a matter of
chance, so that 16 times as much is allowed. Where that is beyond 5e-10 (0.05 in float32), an error of 1e-9 would hide
in it, and the row is not compared.

*Against differences*: `core.differences`, each layer by itself and in float64 whatever the dtype asked for, and
the whole loss along one random direction where it moves by more than 1e-6 of itself.

A gradient that leaves the range of the dtype is 0 or inf in `jax.grad`. Such a row is *not compared*; it did not pass.
Nor is one that is truly zero, as of a bias before a batch norm: both witnesses hold what rounding leaves of its terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.core import differences as fd
from gradlab.core.batch import cast, inputs
from gradlab.core.case import Case, case_of
from gradlab.core.comparison import (
    TOLERANCE,
    Check,
    Row,
    error_of,
    mistake,
    out_of_range,
    same_shape,
)
from gradlab.core.gradient import materialise
from gradlab.core.keys import as_key
from gradlab.core.layer import walk
from gradlab.core.losses import loss_named, plain_loss
from gradlab.core.outcome import Outcome
from gradlab.core.parameters import require_network
from gradlab.core.scaled import Scaled, plain, scaled

#: Layers of one kind, from which on it pays to compile their comparison.
_OFTEN = 8
#: What rounding leaves of a sum that is truly zero, in eps times the largest gradient of the same layer: sqrt(n) for
#: n = 4096 terms.
ROUNDING = 64
#: Share of a gradient that rounding may be, where its terms cancel, for it to be compared: half of the smallest error
#: that must be found in float64.
CANCELLED = {"float64": 5e-10, "float32": 0.05}
#: Two evaluations differ by this many times the rounding error of one of them at most.
ALIKE = 16
#: A rounding in float64 over one in float32.
_FINER = float(np.finfo(np.float64).eps / np.finfo(np.float32).eps)
#: The loss must move by this share of itself, or its differences see nothing.
RESOLUTION = 1e-6


def check(
    net: Any,
    x: Any,
    y: Any = None,
    *,
    loss: str | None = None,
    key: Array | int = 0,
    dtype: str = "float64",
    params: Any = None,
    quiet: bool = False,
) -> Check:
    """Every gradient of the hand-written backward pass against `jax.grad` and central differences.

    Parameters
    ----------
    net : network or Layer
        A bare `Layer` is checked with a random cotangent, or with `loss` where `y` is given.
    x : array, shape (batch, features...)
        Examples; a handful is enough, for the check is in float64.
    y : array, optional
        Targets; may be left out for a `Layer` and for ``loss="probe"``.
    loss : str, optional
        By default softmax cross-entropy for integer `y`, else mean squared error.
    key : int or JAX key
        Of the weights and of the random directions.
    dtype : str
        "float64" or "float32": that of the comparison with `jax.grad`.
    params : pytree, optional
        Given weights, instead of a draw.
    quiet : bool
        Do not print the table.

    Returns
    -------
    Check
        `.ok`, `.rows`, and a table as its string.

    Examples
    --------
    >>> import numpy as np, gradlab as gl
    >>> x, y = np.random.default_rng(0).normal(size=(8, 4)), np.arange(8) % 3
    >>> gl.check(gl.MLP(depth=2, width=5, activation="tanh"), x, y, quiet=True).ok
    True
    """
    dtype = config.resolve("dtype", dtype, config.DTYPES)
    require_network(net, or_layer=True)
    x = cast("x", inputs(x), dtype)
    key = as_key(key)
    with jax.enable_x64(dtype == "float64"):
        case = case_of(net, x, y, loss, key, params, dtype)
        rows, run = _against_autodiff(case)
    with jax.enable_x64(True):
        rows = _with_differences(case, rows, run if dtype == "float64" else None)
    made = Check(tuple(rows), case.tolerance, case.title, dtype)
    if not quiet:
        print(made)
    return made


def _seed(case: Case, logits: Scaled) -> tuple[Scaled, Scaled]:
    """Mean loss and its cotangent; for a bare layer that of one random linear function of its output."""
    if case.loss is not None:
        return loss_named(case.loss)(logits, case.y)
    return plain(jnp.sum(case.y * logits.value())), Scaled(jnp.asarray(case.y), jnp.zeros_like(logits.exponent))


def _plain_value(case: Case, params: Any, x: Array) -> Array:
    """Compute the loss by the plain forward pass and the textbook formula."""
    logits = case.layer.forward(params, plain(x))[0].value()
    if case.loss is not None:
        return plain_loss(case.loss)(logits, case.y)
    return jnp.sum(case.y * logits)


def program(case: Case) -> Callable[[Any, Any], tuple[Any, Any]]:
    """(params, x) -> ours and theirs, each (loss, gradients by the parameters, gradient by x): one compilation."""

    def ours(params, x):
        logits, saved = case.layer.forward(params, scaled(x, x.ndim - 1))
        value, dy = _seed(case, logits)
        dx, grads = case.layer.backward(params, saved, dy, materialise)
        return value.value(), grads, dx.value()

    def theirs(params, x):
        value, (grads, dx) = jax.value_and_grad(lambda p, x: _plain_value(case, p, x), (0, 1))(params, x)
        return value, grads, dx

    return jax.jit(lambda params, x: (ours(params, x), theirs(params, x)))


def _against_autodiff(case: Case) -> tuple[list[Row], Any]:
    run = program(case)
    try:
        ours, theirs = run(case.params, case.x)
    except GradlabError:
        raise
    except Exception as error:  # whatever a stranger's code may raise
        raise GradlabError(
            "a backward pass that runs", f"{type(error).__name__}: {error}", "looking at the shapes in it"
        ) from error
    pairs = [(name, a, b) for (name, a), (_, b) in zip(_named(case, ours[1]), _named(case, theirs[1]), strict=True)]
    largest: dict[str, float] = {}
    for (layer, parameter), a, b in pairs:
        same_shape(f"{layer} {parameter}", a, b)
        largest[layer] = max(largest.get(layer, 0.0), _size(b))
    same_shape("the input", ours[2], theirs[2])
    truth: list[Any] = []
    rough: list[Any] = []

    def reference():
        """Compute the gradients by `jax.grad` in float64, for the case that two results in float32 disagree."""
        if not truth:
            with jax.enable_x64(True):
                exact = case.cast(jnp.float64)
                truth.append(program(exact)(exact.params, exact.x)[1])
        return truth[0]

    def single():
        """Compute the gradients by `jax.grad` in float32, which shows how rounding moves each of them."""
        if not rough:
            with jax.enable_x64(False), np.errstate(over="ignore"):
                single = case.cast(jnp.float32)
                rough.append(program(single)(single.params, single.x)[1])
        return rough[0]

    def rounding(part: Callable[[Any], Any]) -> float:
        """Return the rounding error of a gradient in the dtype of the comparison, over its largest entry."""
        if case.dtype == "float32":
            return error_of(part(theirs), part(reference()))
        return error_of(part(single()), part(theirs)) * _FINER

    def compare(name: tuple[str, str], part: Callable[[Any], Any], beside: float = 0.0) -> Row:
        return _row(case, name, part(ours), part(theirs), lambda: part(reference()), lambda: rounding(part), beside)

    rows = [compare(("loss", "value"), lambda result: result[0])]
    rows += [
        compare(name, lambda result, i=i: _named(case, result[1])[i][1], largest[name[0]])
        for i, (name, *_) in enumerate(pairs)
    ]
    return [*rows, compare(("x", "input"), lambda result: result[2])], run


def _size(x: Any) -> float:
    return float(np.max(np.abs(np.asarray(x)), initial=0.0))


def _row(case: Case, name: tuple[str, str], ours: Any, theirs: Any, reference, rounding, beside: float = 0.0) -> Row:
    """`beside` is the largest gradient of the layer that the parameter belongs to."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    scale = _size(theirs)
    reason = out_of_range(theirs, case.dtype, case.tolerance)
    if reason:
        return Row(*name, scale=scale, autodiff=Outcome.OUT_OF_RANGE, detail=reason)
    error = error_of(ours, theirs)
    if error <= case.tolerance:
        return Row(*name, error, scale, Outcome.COMPARED)
    if case.dtype == "float32" and error_of(ours, reference()) <= case.tolerance:
        # cotangents above this layer left the range, though the product with a large input did not
        return Row(*name, scale=scale, autodiff=Outcome.LOST_DIGITS)
    left = lambda array, dtype: _size(array) <= ROUNDING * float(np.finfo(dtype).eps) * beside
    if left(ours, case.dtype) and left(theirs if case.dtype == "float64" else reference(), "float64"):
        return Row(*name, scale=scale, autodiff=Outcome.ROUNDING)
    allowed = ALIKE * rounding()
    if error <= allowed <= CANCELLED[case.dtype]:
        return Row(*name, error, scale, Outcome.COMPARED)
    if error <= allowed:
        return Row(*name, scale=scale, autodiff=Outcome.CANCELLED, detail=f", rounding may be {allowed:.0e} of it")
    return Row(*name, error, scale, Outcome.COMPARED, ok=False, hint=mistake(ours, theirs, case.tolerance, len(case.x)))


def _named(case: Case, tree: Any) -> list[tuple[tuple[str, str], Any]]:
    """((layer, parameter), array) for every leaf, layers unstacked, from input to output."""
    if jax.tree.structure(tree) != jax.tree.structure(case.params):
        raise GradlabError(
            "gradients in a tree like the parameters",
            f"{jax.tree.structure(tree)}",
            f"{jax.tree.structure(case.params)}",
        )
    parts = walk(case.layer, tree)
    labels = _labels(case, parts)
    named = []
    for label, (_, _, (subtree,)) in zip(labels, parts, strict=True):
        named += [
            ((label, name), leaf) for name, leaf in zip(fd.names_of(subtree), jax.tree.leaves(subtree), strict=True)
        ]
    return named


def _labels(case: Case, parts) -> list[str]:
    """Names of the walked layers: the network's own, where it has one for each layer with parameters."""
    owners = [bool(jax.tree.leaves(tree)) for *_, (tree, *_) in parts]
    if sum(owners) != len(case.names) or not owners[0]:
        return [".".join(path) or "layer" for path, *_ in parts]
    positions = np.cumsum(owners) - 1
    return [case.names[i] for i in positions]


# --- second witness: central differences --------------------------------------------------------


def _with_differences(case: Case, rows: list[Row], run: Any) -> list[Row]:
    """Add the comparison of each layer by itself, rows for signals, and one for the whole loss."""
    case = case.cast(jnp.float64)
    parts = walk(case.layer, case.params)
    labels = _labels(case, parts)
    ids = [id(layer) for _, layer, _ in parts]
    often = {i: ids.count(i) >= _OFTEN for i in set(ids)}
    compare = {id(p): fd.differences(p, often[id(p)]) for _, p, _ in parts}
    forward = {id(p): jax.jit(p.forward) if often[id(p)] else p.forward for _, p, _ in parts}
    by_name = {(r.layer, r.parameter): r for r in rows}
    ordered = [r for r in rows if r.layer == "loss"]
    signal = scaled(jnp.asarray(case.x), case.x.ndim - 1)
    for label, (_, layer, (params,)) in zip(labels, parts, strict=True):
        try:
            compared = compare[id(layer)](params, signal, case.rng)
        except (TypeError, ValueError) as error:
            raise GradlabError(
                f"a backward pass of {label} that runs", str(error), "gradients shaped like the parameters"
            ) from error
        for one in compared:
            name = one.name
            if name == "input" and not jax.tree.leaves(params):
                name = "activation"
            row = by_name.get((label, name), Row(label, name))
            ordered.append(
                replace(
                    row, difference=one.error, differences=one.status, ok=row.ok and one.ok,
                    hint="; ".join(dict.fromkeys(h for h in (row.hint, one.hint) if h)),
                )
            )  # fmt: skip
        signal = forward[id(layer)](params, signal)[0]
    ordered += [r for r in rows if r.layer == "x"]
    if case.loss is not None:
        ordered.append(_cotangent_row(case, signal))
    ordered.append(_whole(case, run or program(case)))
    return ordered


def _cotangent_row(case: Case, logits: Scaled) -> Row:
    """Compare the loss's hand-written cotangent with `jax.grad` of its textbook form, at these logits."""
    outputs = logits.value()
    ours = _seed(case, logits)[1].value()
    theirs = jax.grad(lambda o: plain_loss(case.loss)(o, case.y))(outputs)
    reason = out_of_range(theirs, "float64", TOLERANCE["float64"])
    if reason or not np.all(np.isfinite(np.asarray(outputs))):
        why = Outcome.OUT_OF_RANGE if reason else Outcome.LOGITS
        return Row("loss", "cotangent", autodiff=why, detail=reason)
    error, scale = error_of(ours, theirs), float(jnp.max(jnp.abs(theirs)))
    ok = error <= TOLERANCE["float64"]
    return Row(
        "loss",
        "cotangent",
        error,
        scale,
        Outcome.COMPARED,
        ok=ok,
        hint="" if ok else mistake(np.asarray(ours), np.asarray(theirs), case.tolerance, len(case.x)),
    )


def _whole(case: Case, run: Any) -> Row:
    """Compare the slope of the loss along one random direction, at two step sizes that judge each other."""
    (_, *grads), _ = run(case.params, case.x)
    leaves, tree = jax.tree.flatten((case.params, case.x))
    leaves = [np.asarray(v) for v in leaves]
    v = [case.rng.normal(size=a.shape) * (np.sqrt(np.mean(a**2)) or 1) for a in leaves]

    def value(t):
        moved = jax.tree.unflatten(tree, [jnp.asarray(a + t * d) for a, d in zip(leaves, v, strict=True)])
        return float(run(*moved)[1][0])

    slope = float(sum(np.sum(np.asarray(g) * d) for g, d in zip(jax.tree.leaves(tuple(grads)), v, strict=True)))
    here, up, down = value(0.0), value(fd.STEP), value(-fd.STEP)
    name = ("network", "direction")
    small = fd.STEP / 4
    coarse, fine = (up - down) / (2 * fd.STEP), (value(small) - value(-small)) / (2 * small)
    if not all(map(math.isfinite, (slope, here, coarse, fine))):
        return Row(*name, differences=Outcome.OUTSIDE)
    # truncation and kinks on the way show as a gap between the two steps, a kink at the point itself as one between
    # its two sides; rounding is eps |L| / h
    doubt = abs(coarse - fine) + 4 * np.finfo(float).eps * abs(here) / fd.STEP
    sides = abs(up + down - 2 * here) / fd.STEP
    size = max(abs(fine), abs(slope))
    if size <= RESOLUTION * abs(here) or max(doubt, sides) > 1e-3 * size:
        return Row(*name, differences=Outcome.BELOW_RESOLUTION)
    error = abs(slope - fine) / size
    ok = abs(slope - fine) <= 10 * doubt + fd.TOLERANCE * abs(fine)
    return Row(
        *name,
        difference=error,
        differences=Outcome.COMPARED,
        ok=ok,
        hint="" if ok else f"ratio {slope / fine:.6g}" if fine else "",
    )
