"""A user's loss, parameters and data as one pure function of arrays, and the samples that it is read on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab._errors import GradlabError
from gradlab.config import positive_integer
from gradlab.core.keys import as_key, fold_in_each
from gradlab.core.losses import plain_loss

#: Samples where they differ by keys or by initialisations and the user did not say how many: the least for which the
#: interval of a mean is about as wide as the spread (Student's t at 95 %, 3 degrees of freedom: 3.2 / sqrt(4)).
REPEATS = 4
#: Names by which a loss takes a key of random numbers as a keyword.
KEYWORDS = ("key", "rng", "rngs", "dropout_key", "dropout_rng")


class Sample(NamedTuple):
    """Parameters, and what else the loss takes; arrays only."""

    params: Any
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Problem:
    """A loss and the samples it is read on.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)``: a scalar. Pure; what is no array was closed over.
    samples : tuple of Sample
        Of the same shapes.
    varied : str
        ``batches``, ``keys``, ``initialisations``, or empty with one sample.
    name : str
        What the user's function is called.
    whole : callable
        From a sample's parameters to those that the user gave, with what is no array of floats put back.
    """

    loss: Callable[..., Array]
    samples: tuple[Sample, ...]
    varied: str
    name: str
    whole: Callable[[Any], Any]


def problem_of(
    loss_fn: Any,
    params: Any,
    batch: Any,
    *,
    key: Array | int | None = None,
    repeats: int | None = None,
    init: Callable[[Array], Any] | None = None,
    batches: Sequence[Any] = (),
    has_aux: bool | None = None,
) -> Problem:
    """Check what a user handed in and make one problem of it; the arguments are those of `gradlab.diagnose`.

    Raises
    ------
    GradlabError
        What cannot be judged: no function, no floats among the parameters, a loss that is no real scalar, a call that
        fails (the user's own exception is its cause).
    """
    if hasattr(loss_fn, "apply") and hasattr(loss_fn, "init_params"):
        loss_fn = _loss_of_network(loss_fn, batch)
    if not callable(loss_fn):
        raise GradlabError("a function loss_fn(params, batch)", repr(loss_fn), "gl.diagnose(loss_fn, params, batch)")
    if repeats is not None:
        repeats = positive_integer("repeats", repeats)
    if init is not None and not callable(init):
        raise GradlabError("init to be a function of a key that returns parameters", repr(init), "init=model.init")
    if init is not None and batches:
        raise GradlabError("either init= or batches=", "both", "one of them: samples differ in one thing")
    base = as_key(0 if key is None else key)
    if params is None and init is not None:
        params = init(base)
    float_part, rest = trained(params)
    if not jax.tree.leaves(float_part):
        raise GradlabError(
            "parameters with arrays of floats", _described(params), "the arrays that jax.grad would differentiate by"
        )
    shared, constant = _split(batch, _is_array)
    calls = _callings(loss_fn, params, batch, base if key is not None else None)
    call, result = _first_that_runs(calls, _joined(float_part, rest), batch, base)

    def loss(float_part, arrays, *keys):
        whole = _joined(arrays, constant)
        return call(_joined(float_part, rest), whole, *keys).loss

    keyed = call.takes_key
    _check_result(result, has_aux, _name_of(loss_fn))

    count = repeats or (REPEATS if init is not None or (keyed and not batches) else 1)
    keys = fold_in_each(base, range(count))
    if init is not None:
        drawn = [trained(init(k))[0] for k in keys]
        samples = [Sample(p, (shared, *([k] if keyed else []))) for p, k in zip(drawn, keys, strict=True)]
        varied = "initialisations"
    elif batches:
        others = [_split(other, _is_array)[0] for other in batches]
        keys = fold_in_each(base, range(1 + len(others)))
        parts = zip([shared, *others], keys, strict=True)
        samples = [Sample(float_part, (part, *([k] if keyed else []))) for part, k in parts]
        varied = "batches"
    else:
        if count > 1 and not keyed:
            hint = "init= for new weights, batches= for other data, or a loss_fn(params, batch, key)"
            raise GradlabError("samples that differ, for repeats=", f"repeats={count} of the same numbers", hint)
        samples = [Sample(float_part, (shared, *([k] if keyed else []))) for k in keys]
        varied = "keys"
    _check_alike(samples, varied)
    samples = [Sample(*jax.tree.map(_on_device, tuple(sample))) for sample in samples]
    return Problem(
        loss, tuple(samples), varied if len(samples) > 1 else "", _name_of(loss_fn), lambda part: _joined(part, rest)
    )


class _Result(NamedTuple):
    loss: Any
    aux: bool


@dataclass(frozen=True)
class _Call:
    """How the user's function is called: with the batch as one argument or spread, with a key or without."""

    function: Callable[..., Any]
    spread: bool
    takes_key: bool
    keyword: str

    def __call__(self, params: Any, batch: Any, *keys: Any) -> _Result:
        args = tuple(batch) if self.spread else (batch,)
        if self.keyword:
            returned = self.function(params, *args, **{self.keyword: keys[0]})
        else:
            returned = self.function(params, *args, *(keys if self.takes_key else ()))
        if isinstance(returned, tuple) and len(returned) == 2:
            return _Result(returned[0], True)
        return _Result(returned, False)


def _callings(function: Callable[..., Any], params: Any, batch: Any, key: Array | None) -> list[_Call]:
    """Return the ways to call that the function's signature takes, the likeliest first."""
    parts = isinstance(batch, (tuple, list))
    spreads = [False, True] if parts else [False]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return [_Call(function, spread, key is not None, "") for spread in spreads]
    if parts and inspect.Parameter.VAR_POSITIONAL in [p.kind for p in signature.parameters.values()]:
        spreads = [True, False]
    calls: list[_Call] = []
    for spread in spreads:
        args = (params, *batch) if spread else (params, batch)
        named = next((k for k in KEYWORDS if k in signature.parameters), "")
        if key is not None and named and _binds(signature, *args, **{named: key}):
            calls.append(_Call(function, spread, True, named))
        elif key is not None and _binds(signature, *args, key) and not _binds(signature, *args):
            calls.append(_Call(function, spread, True, ""))
    for spread in spreads:
        if _binds(signature, params, *(batch if spread else (batch,))):
            calls.append(_Call(function, spread, False, ""))
    if batch is None and _binds(signature, params):
        calls.insert(0, _NoBatch(function, False, False, ""))
    if calls:
        return calls
    name = _name_of(function)
    several = f", or {name}(params, {', '.join('abcdefgh'[: len(batch)])})" if parts and len(batch) < 9 else ""
    hint = "key=0 for a loss that takes a key" if key is None else "functools.partial for what else it takes"
    raise GradlabError(f"a function that is called {name}(params, batch){several}", f"{name}{signature}", hint)


def _first_that_runs(calls: Sequence[_Call], params: Any, batch: Any, key: Array) -> tuple[_Call, _Result]:
    """Return the first way to call that does not fail, and what it returns; where all fail, what the first one raised.

    A batch of one array in a tuple can be meant either way, and only the function knows.
    """
    failures = []
    for call in calls:
        try:
            return call, _tried(call, params, batch, *([key] if call.takes_key else []))
        except GradlabError as error:
            failures.append(error)
    raise failures[0]


class _NoBatch(_Call):
    """A loss of the parameters alone."""

    def __call__(self, params: Any, batch: Any, *keys: Any) -> _Result:
        return _Call(lambda p: self.function(p), True, False, "")(params, ())


def _binds(signature: inspect.Signature, *args: Any, **kwargs: Any) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True


def _tried(call: _Call, params: Any, batch: Any, *keys: Any) -> Any:
    """Shapes of what the loss returns; the user's exception stands below one line of ours."""
    float_part, rest = trained(params)
    arrays, constant = _split(batch, _is_array)
    aux = []

    def run(float_part, arrays, *keys):
        result = call(_joined(float_part, rest), _joined(arrays, constant), *keys)
        aux.append(result.aux)
        if not isinstance(result.loss, (jax.Array, np.ndarray, np.generic, float, int)):
            received, hint = _described(result.loss), "the loss alone"
            raise GradlabError(f"{_name_of(call.function)} to return a number, or (number, more)", received, hint)
        return result.loss

    try:
        return _Result(jax.eval_shape(run, float_part, arrays, *keys), aux[0])
    except GradlabError:
        raise
    except Exception as error:
        raise GradlabError(
            "a loss that runs on these parameters and this batch",
            f"{type(error).__name__} from the function itself",
            "loss_fn(params, batch) by hand; its own traceback stands with this message",
        ) from error


def _check_result(result: _Result, has_aux: bool | None, name: str) -> None:
    loss = result.loss
    if has_aux and not result.aux:
        raise GradlabError(f"{name} to return (loss, aux), for has_aux=True", _described(loss), "without has_aux")
    if has_aux is False and result.aux:
        raise GradlabError(f"{name} to return the loss alone, for has_aux=False", "two values", "has_aux=True")
    if loss.shape != ():
        hint = "its mean: jnp.mean(loss)"
        raise GradlabError(f"{name} to return one number", f"an array of shape {loss.shape}", hint)
    if not jnp.issubdtype(loss.dtype, jnp.floating):
        raise GradlabError(f"{name} to return a real float", f"{loss.dtype}", "a loss that can be differentiated")


def _check_alike(samples: Sequence[Sample], varied: str) -> None:
    """Raise where samples differ in structure, for one program reads them all."""
    first, *others = (jax.tree.flatten(tuple(sample)) for sample in samples)
    shapes = lambda leaves: [jnp.shape(leaf) for leaf in leaves]
    for i, (leaves, structure) in enumerate(others, 1):
        if structure != first[1] or shapes(leaves) != shapes(first[0]):
            changed = [f"{b} for {a}" for a, b in zip(shapes(first[0]), shapes(leaves), strict=False) if a != b]
            received = f"number {i} with {', '.join(changed[:3]) or 'another structure'}"
            raise GradlabError(f"{varied} of the same structure and shapes", received, "as many examples in each")


def _loss_of_network(net: Any, batch: Any) -> Callable[..., Array]:
    """Return the loss of one of gradlab's networks: cross-entropy for integer labels, else half the squared error."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        hint = "gl.diagnose(net, params, (x, y))"
        raise GradlabError("a batch (x, y) for a network of gradlab", _described(batch), hint)
    labels = np.issubdtype(np.asarray(batch[1]).dtype, np.integer)
    value = plain_loss("softmax_cross_entropy" if labels else "mse")

    def loss(params, batch):
        x, y = batch
        outputs = net.apply(params, x)
        y = jnp.asarray(y)
        return value(outputs, y if labels else y.reshape(outputs.shape).astype(outputs.dtype))

    return loss


def trained(params: Any) -> tuple[Any, Any]:
    """Return the leaves that training changes, None in place of the others; and the other way round.

    Those are the floats, but not the statistics that some libraries keep beside them: the other collections of linen's
    variables, the variables of nnx that are no `Param`.
    """
    leaves, structure = jax.tree.flatten(params)
    flags = [_is_float(leaf) for leaf in leaves]
    nnx = sys.modules.get("flax.nnx")
    if isinstance(params, Mapping) and isinstance(params.get("params"), Mapping):
        paths = [path for path, _ in jax.tree.leaves_with_path(params)]
        flags = [flag and getattr(path[0], "key", "") == "params" for flag, path in zip(flags, paths, strict=True)]
    elif nnx is not None:
        is_variable = lambda node: isinstance(node, nnx.Variable)
        nodes = jax.tree.leaves(params, is_leaf=is_variable)
        other = [is_variable(node) and not isinstance(node, nnx.Param) for node in nodes for _ in jax.tree.leaves(node)]
        flags = [flag and not beside for flag, beside in zip(flags, other, strict=True)]
    return (
        structure.unflatten([leaf if flag else None for leaf, flag in zip(leaves, flags, strict=True)]),
        structure.unflatten([None if flag else leaf for leaf, flag in zip(leaves, flags, strict=True)]),
    )


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic))


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, float) or (_is_array(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact))


def _split(tree: Any, wanted: Callable[[Any], bool]) -> tuple[Any, Any]:
    """Return a tree with the wanted leaves, None in place of the others; and the other way round."""
    return (
        jax.tree.map(lambda leaf: leaf if wanted(leaf) else None, tree),
        jax.tree.map(lambda leaf: None if wanted(leaf) else leaf, tree),
    )


def _joined(part: Any, rest: Any) -> Any:
    return jax.tree.map(lambda a, b: b if a is None else a, part, rest, is_leaf=lambda leaf: leaf is None)


def _on_device(leaf: Any) -> Array:
    return leaf if isinstance(leaf, jax.Array) else jax.device_put(np.asarray(leaf))


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _described(tree: Any) -> str:
    """Return a tree in a few words."""
    leaves = jax.tree.leaves(tree)
    if len(leaves) == 1 and leaves[0] is tree:
        shape = f" of shape {tree.shape}" if hasattr(tree, "shape") else ""
        return f"{getattr(tree, 'dtype', type(tree).__name__)}{shape}"
    kinds = sorted({str(getattr(leaf, "dtype", type(leaf).__name__)) for leaf in leaves})
    return f"{type(tree).__name__} with {len(leaves)} leaves{': ' + ', '.join(kinds[:4]) if kinds else ''}"
