"""A monitor for anyone's training loop: an optax transformation that writes down what passes through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jax import Array, lax

from gradlab._errors import GradlabError
from gradlab._tree import Layers, layers_of
from gradlab.config import positive_integer
from gradlab.diagnosis.observation import layer_columns, rows_of
from gradlab.diagnosis.replay import recorded
from gradlab.diagnosis.spread import gradient_counts
from gradlab.frames.histograms import bin_table
from gradlab.frames.rows import concat, frame
from gradlab.measurement.bins import BINS


class MonitorState(NamedTuple):
    """What a monitored transformation carries: of fixed structure and shapes from step zero.

    Parameters
    ----------
    inner_state : pytree
        The state of the transformation itself, as it is without a monitor.
    seen : int32 array, shape ()
        Updates so far.
    wait : int32 array, shape ()
        Updates until the next record.
    ring : dict of str to float32 array, shape (keep, layers)
        Columns of the frame.
    ring_step : int32 array, shape (keep,)
        The step each entry was written at; -1 where none was.
    ring_counts : int32 array, shape (keep, layers, 104), or None
        Bin counts, where histograms were asked for.
    layers : Layers
        Names and order of the layers; no arrays.
    """

    inner_state: Any
    seen: Array
    wait: Array
    ring: dict[str, Array]
    ring_step: Array
    ring_counts: Array | None
    layers: Layers

    def rows(self) -> dict[str, np.ndarray]:
        """Coordinates and columns of the frame's rows: the steps kept, oldest first."""
        steps, at = self.kept()
        seeds = np.arange(len(at))[:, None]
        columns = {name: self.of_seeds(values)[seeds, at] for name, values in self.ring.items()}
        return rows_of(self.layers, columns, steps)

    def kept(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps that were written down, and their places in the ring, both (seeds, steps)."""
        steps = np.asarray(self.ring_step).reshape(-1, np.shape(self.ring_step)[-1])
        at = np.argsort(steps, axis=1)[:, int((steps[0] < 0).sum()) :]
        return np.take_along_axis(steps, at, 1), at

    def of_seeds(self, values: Array) -> np.ndarray:
        """An array of the ring with an axis of seeds in front, also where there was no `vmap`."""
        return np.asarray(values)[None] if np.ndim(self.seen) == 0 else np.asarray(values)


class Monitored(optax.GradientTransformationExtraArgs):
    """An optax transformation that is watched; it updates exactly as without."""

    def adopt(self, state: Any, params: Any) -> MonitorState:
        """The state of a run that was not monitored, under the monitor.

        Parameters
        ----------
        state : pytree
            State of the same transformation without a monitor, for instance from a checkpoint. With ``clip=``
            that of ``optax.chain(clip, tx)``.
        params : pytree
            The parameters.

        Returns
        -------
        MonitorState
            Steps count from here. Its `inner_state` is again a state without a monitor.

        Examples
        --------
        >>> import jax.numpy as jnp, optax
        >>> import gradlab as gl
        >>> params = {"dense": {"kernel": jnp.ones((2, 2))}}
        >>> old = optax.adam(1e-3).init(params)  # or restored from a checkpoint
        >>> tx = gl.monitored(optax.adam(1e-3))
        >>> state = tx.adopt(old, params)
        >>> updates, state = tx.update(params, state, params)
        >>> int(state.seen), len(gl.monitor_frame(state))
        (1, 1)
        """
        fresh = self.init(params)
        about = lambda tree: (jax.tree.structure(tree), [np.shape(leaf) for leaf in jax.tree.leaves(tree)])
        if about(state) != about(fresh.inner_state):
            hint = "the optimiser and the parameters that the checkpoint was made with"
            raise GradlabError(f"a state like {about(fresh.inner_state)}", str(about(state)), hint)
        return fresh._replace(inner_state=state)


def monitored(
    tx: optax.GradientTransformation,
    *,
    every: int = 1,
    keep: int = 128,
    histograms: bool = False,
    clip: optax.GradientTransformation | None = None,
    order: str | Sequence[str] = (),
    stacked: str | Sequence[str] = (),
) -> Monitored:
    """Watch an optax transformation: norms of each layer's gradient, clipped gradient, update and weight.

    It sees what enters `tx` (the gradient) and what leaves it (the update), so wrap the whole chain: a link at
    the head of a chain would see gradients only, one at its end updates only.

    Parameters
    ----------
    tx : optax.GradientTransformation
        Any; `optax.MultiSteps` too. Inside `MultiSteps` a step is one of its updates, around it one of its
        mini-steps, in which updates are truly zero until the last.
    every : int
        Steps from one record to the next; the first update is step 0.
    keep : int
        Records kept; the oldest go first.
    histograms : bool
        Whether entries of the gradient are counted in bins too, see `gradlab.monitor_histograms`. Slow on a CPU.
    clip : optax.GradientTransformation, optional
        What stands before `tx`, as in ``optax.chain(clip, tx)``: then the gradient is seen before and after it,
        in columns of their own (``log10_weight_grad_norm``, ``log10_clipped_weight_grad_norm``).
    order, stacked : str or sequence of str
        As in `gradlab.observe`.

    Returns
    -------
    Monitored
        An optax transformation. Its state keeps its structure and its shapes, lives in `jit`, `scan` and
        `vmap` (seeds), and calls nobody back; ``adopt`` takes over a state that was made without a monitor.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, optax
    >>> import gradlab as gl
    >>> params = {"dense": {"kernel": jnp.ones((4, 4)), "bias": jnp.zeros(4)}}
    >>> tx = gl.monitored(optax.sgd(0.1), clip=optax.clip_by_global_norm(1.0))
    >>> def step(carry, _):
    ...     params, state = carry
    ...     grads = jax.grad(lambda p: 8 * jnp.sum(p["dense"]["kernel"] ** 2))(params)
    ...     updates, state = tx.update(grads, state, params)
    ...     return (optax.apply_updates(params, updates), state), None
    >>> (params, state), _ = jax.lax.scan(step, (params, tx.init(params)), length=3)
    >>> names = ["step", "log10_weight_grad_norm", "log10_clipped_weight_grad_norm", "log10_update_ratio"]
    >>> print(gl.monitor_frame(state)[names].round(2).abs().to_string(index=False, header=False))
    0 1.81 0.0 1.60
    1 1.80 0.0 1.59
    2 1.78 0.0 1.58
    """
    for link in (tx, *([] if clip is None else [clip])):
        if not (callable(getattr(link, "init", None)) and callable(getattr(link, "update", None))):
            raise GradlabError("an optax transformation", repr(link), "gl.monitored(optax.adam(1e-3))")
    every, keep = positive_integer("every", every), positive_integer("keep", keep)
    watched = ("gradient", *(() if clip is None else ("clipped",)), "update", "weight")
    links = tuple(map(_with_extra_args, (tx,) if clip is None else (clip, tx)))

    def init(params: Any) -> MonitorState:
        layers = layers_of(params, order, stacked)
        states = tuple(link.init(params) for link in links)
        aligned = layers.align(params, "parameters")
        width = len(layers.rows)
        names = jax.eval_shape(lambda leaves: layer_columns(layers, dict.fromkeys(watched, leaves)), aligned)
        return MonitorState(
            inner_state=states[0] if clip is None else states,
            seen=jnp.zeros((), jnp.int32),
            wait=jnp.zeros((), jnp.int32),
            ring={name: jnp.full((keep, width), jnp.nan, jnp.float32) for name in names},
            ring_step=jnp.full(keep, -1, jnp.int32),
            ring_counts=jnp.zeros((keep, width, BINS + 3), jnp.int32) if histograms else None,
            layers=layers,
        )

    def update(grads: Any, state: MonitorState, params: Any = None, **extra: Any) -> tuple[Any, MonitorState]:
        def chain(grads: Any, states: Any, params: Any) -> tuple[list[Any], list[Any]]:
            passed, new = [grads], []
            for link, own in zip(links, states, strict=True):
                out, own = link.update(passed[-1], own, params, **extra)
                passed.append(out)
                new.append(own)
            return passed[1:], new

        states = (state.inner_state,) if clip is None else state.inner_state
        passed, new, replays = recorded(chain, grads, states, params)
        layers = state.layers
        trees = {name: layers.align(tree, name) for name, tree in zip(watched, [grads, *replays], strict=False)}
        trees["weight"] = (None,) * len(layers.leaves) if params is None else layers.align(params, "weight")
        due = state.wait == 0
        ring = _written((state.ring, state.ring_step, state.ring_counts), trees, layers, state.seen, every, due)
        inner = new[0] if clip is None else tuple(new)
        wait = jnp.where(due, every - 1, state.wait - 1)
        return passed[-1], MonitorState(inner, state.seen + 1, wait, *ring, layers)

    return Monitored(init, update)


def _with_extra_args(link: Any) -> optax.GradientTransformationExtraArgs:
    if isinstance(link, optax.GradientTransformation):
        return optax.with_extra_args_support(link)
    return optax.GradientTransformationExtraArgs(link.init, link.update)  # MultiSteps is no transformation by type


def _written(ring: Any, trees: dict[str, Any], layers: Layers, seen: Array, every: int, due: Any) -> Any:
    """The ring with one more entry, in the place of the oldest; as it was where none is due."""
    columns, steps, counts = ring
    found = layer_columns(layers, trees, due)
    place = seen // every % len(steps)
    put = lambda values, new: values.at[place].set(jnp.where(due, new.astype(values.dtype), values[place]))
    columns = {name: put(values, found[name]) for name, values in columns.items()}
    if counts is not None:
        count = lambda grads: gradient_counts(layers, grads, found["log10_weight_grad_norm"])
        kept = lambda grads: counts[place]
        counts = counts.at[place].set(lax.cond(due, count, kept, trees["gradient"]))
    return columns, put(steps, seen), counts


def monitor_frame(opt_state: Any) -> pd.DataFrame:
    """The tidy frame of the steps that a monitor has kept.

    Parameters
    ----------
    opt_state : pytree
        The state of a `gradlab.monitored` transformation, or anything that holds one or several: of a chain, of
        `optax.MultiSteps`, of a training state.

    Returns
    -------
    DataFrame
        One row per step and layer (and seed, behind `vmap`), as `gradlab.frame` gives it. Of the layer's weights and
        biases: norms of the gradient as it came in, of the gradient after clipping where ``clip=`` was given, and of
        the update; the weight's norm and the update's over it, NaN where the loop passes no parameters to ``update``.
    """
    states = [state for state in _states(opt_state) if (np.asarray(state.ring_step) >= 0).any()]
    if not states:
        raise GradlabError("a monitor that has seen an update", "none", "monitor_frame after a call of tx.update")
    return concat([frame(state) for state in states])


def monitor_histograms(opt_state: Any) -> pd.DataFrame:
    """The second table: counts of the entries of each layer's weight gradient, over their own rms.

    Parameters
    ----------
    opt_state : pytree
        As for `gradlab.monitor_frame`, of a monitor with ``histograms=True``.

    Returns
    -------
    DataFrame
        One row per seed, step, layer and bin, with the bins of `gradlab.histograms`: `signal` ("weight_grad"),
        `seed`, `step`, `layer`, `layer_name`, `bin`, `left`, `right`, `count`. A gradient that is not finite
        has no counts.
    """
    tables = []
    for state in _states(opt_state):
        if state.ring_counts is None:
            raise GradlabError("a monitor with histograms", "one without", "gl.monitored(tx, histograms=True)")
        steps, at = state.kept()
        counts = state.of_seeds(state.ring_counts)
        tables += [
            bin_table(counts[seed, place, number - 1]).assign(seed=seed, step=step, layer=number, layer_name=name)
            for seed in range(len(at))
            for step, place in zip(steps[seed], at[seed], strict=True)
            for number, name in enumerate(state.layers.names, 1)
        ]
    if not tables:
        raise GradlabError("a monitor that has seen an update", "none", "monitor_histograms after tx.update")
    names = ["signal", "seed", "step", "layer", "layer_name", "bin", "left", "right", "count"]
    return pd.concat(tables, ignore_index=True).assign(signal="weight_grad").reindex(columns=names)


def _states(opt_state: Any) -> list[MonitorState]:
    """The monitors in a tree."""
    ours = lambda node: isinstance(node, MonitorState)
    states = [node for node in jax.tree.leaves(opt_state, is_leaf=ours) if ours(node)]
    if not states:
        raise GradlabError("a state with a monitor in it", type(opt_state).__name__, "gl.monitored(tx).init(params)")
    return states
