"""A monitor for anyone's training loop: an optax transformation that writes down what passes through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from gradlab._errors import GradlabError
from gradlab._tree import layers_of
from gradlab.config import positive_integer
from gradlab.measurement.bins import BINS
from gradlab.monitoring.adoption import refuse_others, restored
from gradlab.monitoring.labels import Labels
from gradlab.monitoring.reading import is_wide, quantities, read
from gradlab.monitoring.replay import repeatable
from gradlab.monitoring.spread import gradient_counts


class MonitorState(NamedTuple):
    """What a monitored transformation carries: arrays, of fixed structure and shapes from step zero.

    Parameters
    ----------
    inner_state : pytree
        The state of the transformation itself, as it is without a monitor.
    seen : int32 array, shape ()
        Updates so far.
    ring : dict of str to array
        The records. ``values``, (keep, quantities, slots): what was read, of which columns are made; ``step``,
        int32 (keep,): when, -1 where nothing is, -2 where another model went on with the state; ``written``, int32
        (): how many; with histograms ``counts``, int32 (keep, layers, 104).
    labels : uint8 array
        Names of the quantities, layers and arrays, as bytes: a checkpoint says whose records it has.
    """

    inner_state: Any
    seen: Array
    ring: dict[str, Array]
    labels: Array


class Monitored(optax.GradientTransformationExtraArgs):
    """An optax transformation that is watched; it updates exactly as without."""

    def adopt(self, state: Any, params: Any) -> MonitorState:
        """Return the state of a run as this monitor's, to go on from: of a run with or without a monitor.

        Parameters
        ----------
        state : pytree
            From a checkpoint: the state of the same transformation without a monitor (with ``clip=`` that of
            ``optax.chain(clip, tx)``), then steps count from here; or with one. Either may be of dicts and lists only,
            as a checkpoint that is restored without a template is.
        params : pytree
            The parameters.

        Returns
        -------
        MonitorState
            Its `inner_state` is a state without a monitor, for a run that goes on without.

        Raises
        ------
        GradlabError
            Where the state is that of another transformation, or of other layers.

        Examples
        --------
        >>> import jax.numpy as jnp, optax
        >>> import gradlab as gl
        >>> params = {"dense": {"kernel": jnp.ones((2, 2))}}
        >>> old = optax.adam(1e-3).init(params)  # or restored from a checkpoint
        >>> tx = gl.monitored(optax.adam(1e-3))
        >>> state = tx.adopt(old, params)
        >>> updates, state = tx.update(params, state, params)
        >>> int(state.seen), len(gl.frame(gl.monitor_records(state)))
        (1, 1)
        """
        return restored(state, self.init(params))


def monitored(
    tx: optax.GradientTransformation,
    *,
    every: int = 1,
    keep: int = 128,
    histograms: bool = False,
    clip: optax.GradientTransformation | None = None,
    order: str | Sequence[str] = (),
    stacked: str | Sequence[str] = (),
    pool: str | Sequence[str] = (),
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
        Whether entries of the gradient are counted in bins too, see `gradlab.monitor_records`. Slow on a CPU.
    clip : optax.GradientTransformation, optional
        What stands before `tx`, as in ``optax.chain(clip, tx)``: then the gradient is seen before and after it,
        in columns of their own (``log10_weight_grad_norm``, ``log10_clipped_weight_grad_norm``).
    order, stacked, pool : str or sequence of str
        As in `gradlab.observe`.

    Returns
    -------
    Monitored
        An optax transformation. Its state keeps its structure and its shapes, lives in `jit`, `scan` and
        `vmap` (seeds), and calls nobody back; ``adopt`` takes over a state that was made without a monitor.

    Notes
    -----
    The state holds arrays only, the names among them, so flax and orbax save it. A checkpoint made without a monitor
    is restored with the state of `tx` as its template, or with none, and handed to ``adopt``; a run that goes on
    without one takes ``inner_state``. A state of other layers, or of another order, is refused: before the step where
    that can be known, else its frame is.

    In a recorded step what `tx` does by entry is done once more, and arrays are read; on a CPU that takes memory for up
    to six copies of the parameters. Other steps write one row. Arrays spread over devices are exchanged in recorded
    steps only: sums once and maxima once, and sums a second time where squares leave the range of their format.

    Four causes of a zero gradient look alike to a monitor. It tells a gradient that is absent (None) from one that is
    exactly 0 and from one below the normal numbers of its format; whether an exact 0 comes from a path that is cut, a
    weight that is never read, units that are dead or a value that was rounded away can be seen in the model alone.

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
    >>> print(gl.frame(gl.monitor_records(state))[names].round(2).abs().to_string(index=False, header=False))
    0 1.81 0.0 1.60
    1 1.80 0.0 1.59
    2 1.78 0.0 1.58
    """
    for link in (tx, *([] if clip is None else [clip])):
        if not (callable(getattr(link, "init", None)) and callable(getattr(link, "update", None))):
            raise GradlabError("an optax transformation", repr(link), "gl.monitored(optax.adam(1e-3))")
    every, keep = positive_integer("every", every), positive_integer("keep", keep)
    links = tuple(map(_with_extra_args, (tx,) if clip is None else (clip, tx)))
    watched = ("gradient", *(() if clip is None else ("clipped",)), "update", "weight")

    def init(params: Any) -> MonitorState:
        layers = layers_of(params, order, stacked, pool)
        states = tuple(link.init(params) for link in links)
        labels = Labels(layers, quantities(watched))
        shape = (keep, len(labels.quantities), len(layers.slots))
        wide = any(is_wide(leaf.dtype) for leaf in layers.leaves)
        ring = {"values": jnp.zeros(shape, jnp.float64 if wide else jnp.float32), "step": jnp.full(keep, -1, jnp.int32)}
        ring["written"] = jnp.zeros((), jnp.int32)
        if histograms:
            ring["counts"] = jnp.zeros((keep, len(layers.rows), BINS + 3), jnp.int32)
        inner = states[0] if clip is None else states
        return MonitorState(inner, jnp.zeros((), jnp.int32), ring, jnp.asarray(labels.encoded()))

    def chain(grads: Any, states: Any, params: Any, extra: Any) -> tuple[list[Any], list[Any]]:
        passed, new = [grads], []
        for link, its_state in zip(links, states, strict=True):
            out, its_state = link.update(passed[-1], its_state, params, **extra)
            passed.append(out)
            new.append(its_state)
        return passed[1:], new

    def update(grads: Any, state: MonitorState, params: Any = None, **extra: Any) -> tuple[Any, MonitorState]:
        layers = layers_of(grads if params is None else params, order, stacked, pool)
        states = (state.inner_state,) if clip is None else state.inner_state
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((grads, state))):
            call = lambda grads, states, params: chain(grads, states, params, extra)
            new, again = repeatable(call, grads, states, params)
        else:
            passed, new = chain(grads, states, params, extra)
            again = lambda after=None: passed
        aligned = layers.align(grads, "gradient")
        weights = (None,) * len(layers.leaves) if params is None else layers.align(params, "weight")
        labels = Labels(layers, quantities(watched))
        refuse_others(state.labels, labels)

        def record() -> dict[str, Array]:
            passing = {name: layers.align(tree, name) for name, tree in zip(watched[1:-1], again(), strict=True)}
            trees = {"gradient": aligned, **passing, "weight": weights}
            arrays = {
                "values": read(layers, trees, wide=is_wide(state.ring["values"].dtype)),
                "step": jnp.where(labels.fit(state.labels), state.seen, -2),
            }
            if "counts" in state.ring:
                arrays["counts"] = gradient_counts(layers, aligned)
            return arrays

        ring, done = _written(state.ring, record, state.seen % every == 0)
        inner = new[0] if clip is None else tuple(new)
        # after the record: new weights go into the memory of those that it reads, or those would be copied in each step
        return again(done)[-1], MonitorState(inner, state.seen + 1, ring, state.labels)

    return Monitored(init, update)


def _with_extra_args(link: Any) -> optax.GradientTransformationExtraArgs:
    if isinstance(link, optax.GradientTransformation):
        return optax.with_extra_args_support(link)
    return optax.GradientTransformationExtraArgs(link.init, link.update)  # MultiSteps is no transformation by type


def _written(
    ring: dict[str, Array], record: Callable[[], dict[str, Array]], due: Array
) -> tuple[dict[str, Array], Array]:
    """Write what `record` gives in the place of the oldest record, where one is due.

    Returned are the records, and a true bool that is known once all has been read.
    There is one condition for all that is read, and outside of it one row is written: compilers take their time for
    each condition, and copy what passes through one.
    """
    written = ring["written"]
    rows = {name: values for name, values in ring.items() if name != "written"}
    place = (written % len(ring["step"])).astype(jnp.uint32)
    kept = {name: lax.dynamic_index_in_dim(values, place, keepdims=False) for name, values in rows.items()}
    if not isinstance(due, jax.core.Tracer):
        row = record() if due else kept
    else:
        row = lax.cond(due, record, lambda: kept)
    put = lambda values, new: lax.dynamic_update_index_in_dim(values, new.astype(values.dtype), place, 0)
    rows = {name: put(values, row[name]) for name, values in rows.items()}
    done = row["step"] >= -2  # the least that stands there
    return {**rows, "written": written + jnp.asarray(due, written.dtype)}, done
