"""`gradlab.coordinate_check`: what the first steps of a training change in each layer, at several widths or depths."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.config import TrainingConfig, integer, positive_integer, seed_numbers
from gradlab.config.fields import many
from gradlab.config.networks import MLPConfig
from gradlab.core.keys import as_key, fold_in
from gradlab.diagnosis.lockstep import Lockstep, ProductChange
from gradlab.diagnosis.names import layer_of, paths_of
from gradlab.diagnosis.problem import problem_of, trained
from gradlab.networks.network import Network
from gradlab.networks.parametrization import UPDATE_SIZES, rate_factors
from gradlab.training.optimizers import Recipe, numbers_in_update
from gradlab.training.rate_factors import scale_by_leaf
from gradlab.training.transformations import optimizer as optimizer_at

WIDTHS = (64, 128, 256, 512, 1024)
#: Learning rates where none is given: small enough that the first step is linear in them.
LEARNING_RATES = {"gradient": 0.01, "entrywise": 1e-4}


class _Setting(NamedTuple):
    """How the models of a check are trained."""

    optimizer: str
    learning_rate: float
    steps: tuple[int, ...]


class _Model(NamedTuple):
    """A model at one width and seed: its loss, its parameters, its optimiser if it has its own, and what it is."""

    loss_fn: Any
    params: Any
    transformation: Any
    network: Network | None


def coordinate_check(
    make: Callable[..., Any],
    batch: Any,
    *,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    steps: int | Sequence[int] = (1, 4),
    seeds: int | Sequence[int] = 4,
    optimizer: str = "sgd",
    learning_rate: float | None = None,
    key: int = 0,
    parametrization: str | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> pd.DataFrame:
    r"""Train a model at several widths for a few steps, and measure what each weight's product has changed.

    Parameters
    ----------
    make : callable
        ``make(width)`` returns a network of gradlab's. Or it returns ``(loss_fn, params)`` of any JAX model, as
        `gradlab.diagnose` takes them, or ``(loss_fn, params, tx)`` with its own transformation of optax. Where it has
        two arguments without a default, it is called as ``make(width, seed)``; with one there is one seed of these.
    batch : pytree
        What the loss takes, of a network ``(x, y)``: one batch, which every step sees. Fewer examples than units show
        the exponents of wide networks.
    widths, depths : sequence of int, optional
        What `make` is called with; one of the two. None: widths of 64, 128, 256, 512 and 1024.
    steps : int or sequence of int
        Steps after which the changes are read.
    seeds : int or sequence of int
        Number of seeds, or their numbers: each is other weights at every width.
    optimizer : str
        Name of the optimiser, of models without their own.
    learning_rate : float, optional
        None: 0.01 for sgd and those with momentum, 0.0001 for adam and the like.
    key : int
        Base key of the seeds.
    parametrization : str, optional
        What a model of your own follows, "mup" for instance: it stands in the frame, and `gradlab.exponents` then
        knows what to expect.
    on_progress : callable, optional
        A function that is called with a line of text before each width.

    Returns
    -------
    DataFrame
        A row for each width (or depth), seed, step and product with a weight, with the columns of
        `gradlab._types.CHANGES`. `gradlab.exponents` fits their slopes, `gradlab.plots.coordinate_check` draws them.

    Raises
    ------
    GradlabError
        What `gradlab.diagnose` refuses, or models whose layers differ from width to width.

    Notes
    -----
    With z = x W the product of a weight with its input,

    .. math:: z_t - z_0 = x_t(W_t - W_0) + (x_t - x_0)W_0.

    The first part is what the update of this weight does, the second what earlier layers hand on (Haas et al. 2025).
    The check of Yang et al. 2022 looks at their sum, in which one may hide behind the other. Biases are no part of a
    product. A weight that several time steps share is one row, its changes pooled over the steps.

    Examples
    --------
    >>> import gradlab as gl, numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(8, 10)).astype("float32"), np.arange(8) % 2
    >>> make = lambda width: gl.MLP(depth=2, width=width, parametrization="mup", base_width=32)
    >>> frame = gl.coordinate_check(make, (x, y), widths=(32, 64, 128), steps=1, seeds=2)
    >>> frame.query("width == 128 and seed == 0")["layer_name"].tolist()
    ['hidden_1', 'hidden_2', 'readout']
    """
    if widths is not None and depths is not None:
        raise GradlabError("one of widths= and depths=", "both", "a check for each")
    over = "width" if depths is None else "depth"
    given = depths if depths is not None else WIDTHS if widths is None else widths
    sizes = tuple(positive_integer(over, n) for n in many(given))
    if len(set(sizes)) < 2:
        raise GradlabError(f"two {over}s or more, which a slope needs", f"{sizes}", f"{over}s=(64, 128, 256)")
    at = tuple(sorted({integer("steps", step, 1) for step in many(steps)}))
    size = UPDATE_SIZES.get(optimizer, "entrywise")
    setting = _Setting(optimizer, LEARNING_RATES[size] if learning_rate is None else learning_rate, at)
    rows: list[dict[str, Any]] = []
    for n in sizes:
        if on_progress is not None:
            on_progress(f"{over} {n}")
        programs: dict[int, _Program] = {}
        for seed, model in _models(make, n, batch, seed_numbers(seeds), key):
            floats, rest = trained(model.params)
            one = id(model.loss_fn) if not jax.tree.leaves(rest) and model.transformation is None else -1
            program = programs.get(one) if one >= 0 else None
            program = programs[one] = program or _Program.of(model, batch, setting)
            for step, changes in program.changes(jax.tree.map(jnp.asarray, floats), at):
                rows += _rows({over: n}, seed, step, model, setting, parametrization, changes)
    return pd.DataFrame(rows)


def _models(
    make: Callable[..., Any], size: int, batch: Any, seeds: Sequence[int], key: int
) -> Iterator[tuple[int, _Model]]:
    """Yield the model of each seed."""
    if _takes_two(make):
        yield from ((seed, _model(make(size, seed), batch, key, seed)) for seed in seeds)
        return
    made = make(size)
    if not isinstance(made, Network):
        seeds = seeds[:1]  # all would have the same weights
    yield from ((seed, _model(made, batch, key, seed)) for seed in seeds)


def _takes_two(make: Callable[..., Any]) -> bool:
    """Return whether a function takes a width and a seed; an argument with a default is neither."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):
        return False
    return sum(p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) > 1


def _model(made: Any, batch: Any, key: int, seed: int) -> _Model:
    if isinstance(made, Network):
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise GradlabError(
                "a batch (x, y) for a network", type(batch).__name__, "gl.coordinate_check(make, (x, y))"
            )
        return _Model(made, made.init_params(fold_in(as_key(key), seed), *batch), None, made)
    if not isinstance(made, tuple) or len(made) not in (2, 3):
        raise GradlabError(
            "make(width) to return a network, (loss_fn, params) or (loss_fn, params, tx)", type(made).__name__,
            "lambda width: gl.MLP(depth=2, width=width)",
        )  # fmt: skip
    return _Model(made[0], made[1], made[2] if len(made) == 3 else None, None)


@dataclass(frozen=True)
class _Program:
    """What is compiled once for all seeds of a model at one width.

    Parameters
    ----------
    step : callable
        ``(params, state, number) -> (params, state)``.
    start : callable
        ``params -> state`` of the optimiser.
    lockstep : Lockstep
        Reads the products.
    args : tuple
        What the loss takes beside the parameters.
    name : callable
        From a product to what its layer is called.
    """

    step: Callable[[Any, Any, Any], tuple[Any, Any]]
    start: Callable[[Any], Any]
    lockstep: Lockstep
    args: tuple[Any, ...]
    name: Callable[[ProductChange], str]

    @classmethod
    def of(cls, model: _Model, batch: Any, setting: _Setting) -> _Program:
        """Trace the loss of a model and of its products."""
        problem = problem_of(model.loss_fn, model.params, batch)
        first, args = problem.samples[0]
        lockstep = Lockstep(problem.loss, first, args)
        if not any(site.weight >= 0 for site in lockstep.sites):
            raise GradlabError(
                "a loss with products of data and parameters", "none", "gl.diagnose(loss_fn, params, batch)"
            )
        start, update = _optimizer(model, first, setting)

        @jax.jit
        def step(params: Any, state: Any, number: Any) -> tuple[Any, Any]:
            change, state = update(jax.grad(problem.loss)(params, *args), state, params, number)
            return optax.apply_updates(params, change), state

        return cls(step, start, lockstep, args, _names(model, first))

    def changes(self, params: Any, steps: Sequence[int]) -> Iterator[tuple[int, list[tuple[str, ProductChange]]]]:
        """Train, and yield the changes of all products with their names at each step that is asked for."""
        first, state = params, self.start(params)
        for number in range(steps[-1]):
            params, state = self.step(params, state, np.int32(number))
            if number + 1 in steps:
                changes = self.lockstep.changes(params, first, self.args)
                yield number + 1, [(self.name(change), change) for change in changes]


def _optimizer(model: _Model, params: Any, setting: _Setting) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return params -> state, and (gradient, state, params, step) -> (update, state)."""
    if model.transformation is not None:
        tx = model.transformation
        return tx.init, lambda grads, state, params, number: tx.update(grads, state, params)
    config = TrainingConfig(
        model.network or MLPConfig(), optimizer=setting.optimizer, learning_rate=setting.learning_rate
    )
    recipe, numbers = Recipe.of(config), numbers_in_update(config, setting.steps[-1], "float32")
    by_leaf = optax.identity()
    if model.network is None:
        recipe = recipe._replace(in_copies=(False,) * len(jax.tree.leaves(params)))
    else:
        recipe = recipe.within(model.network.layer(model.network.outputs_in(params)), params)
        by_leaf = scale_by_leaf(rate_factors(model.network, params, optimizer=setting.optimizer))

    def update(grads: Any, state: Any, params: Any, number: Any) -> tuple[Any, Any]:
        change, state = optimizer_at(recipe, numbers, number).update(grads, state, params)
        return by_leaf.update(change, optax.EmptyState())[0], state

    return optimizer_at(recipe, numbers, 0).init, update


def _names(model: _Model, params: Any) -> Callable[[ProductChange], str]:
    """Return what a product's layer is called: by the network, or by the path of its weight."""
    if model.network is None:
        steps = lambda change: "".join(f"[{i}]" for i in change.at)
        return lambda change: layer_of(change.site.parameter or change.site.name) + steps(change)
    leaves, structure = jax.tree.flatten(params)
    starts = np.cumsum([0, *(np.size(leaf) for leaf in leaves)])
    # the place of every number in one long vector: the first of a weight says which it is
    places = [
        start + np.arange(np.size(leaf)).reshape(np.shape(leaf)) for start, leaf in zip(starts, leaves, strict=False)
    ]
    named = {int(np.ravel(leaf["weight"])[0]): name for name, leaf in model.network.layers(structure.unflatten(places))}
    leaf_of = {path: i for i, path in enumerate(paths_of(params))}
    return lambda change: named[int(np.ravel(places[leaf_of[change.site.parameter]][change.at])[0])]


def _rows(
    size: dict[str, int], seed: int, step: int, model: _Model, setting: _Setting, parametrization: str | None,
    changes: Sequence[tuple[str, ProductChange]],
) -> list[dict[str, Any]]:  # fmt: skip
    net, users = model.network, model.transformation is not None
    what = {
        "architecture": "" if net is None else net.architecture,
        "parametrization": parametrization or getattr(net, "parametrization", ""),
        "optimizer": "optax" if users else setting.optimizer,
        "learning_rate": float("nan") if users else setting.learning_rate,
        **({} if net is None else {"width": getattr(net, "width", 0), "depth": net.depth or 0}),
        **size,
    }
    return [
        {**what, "seed": seed, "step": step, "layer": i, "layer_name": name, **change.values}
        for i, (name, change) in enumerate(changes, 1)
    ]
