"""`gradlab.diagnose`: which layers of anyone's JAX model starve or blow up, by what factor, why, and what helps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from jax import Array

from gradlab.diagnosis.diagnosis import Diagnosis
from gradlab.diagnosis.model import Model
from gradlab.diagnosis.problem import problem_of
from gradlab.diagnosis.rebuilt import rebuilt
from gradlab.diagnosis.rules import disagreement, judge, rules_named
from gradlab.diagnosis.trials import try_remedies


def diagnose(
    loss_fn: Any,
    params: Any = None,
    batch: Any = None,
    *,
    key: Array | int | None = None,
    repeats: int | None = None,
    init: Callable[[Array], Any] | None = None,
    batches: Sequence[Any] = (),
    has_aux: bool | None = None,
    optimizer: Any = None,
    mute: str | Sequence[str] = (),
    exact: bool = True,
    trials: bool = True,
    on_progress: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Judge the gradients of any JAX model, layer by layer, and try what helps.

    The program of the loss is read, not changed: the value and the delta (the derivative of the loss by it) of every
    matrix product, convolution and lookup, of activations behind them, of what scans carry, and of every place that
    the model names with `gradlab.tap`; and the gradient of every parameter.

    Parameters
    ----------
    loss_fn : callable
        ``loss_fn(params, batch)``, or ``loss_fn(params, *batch)`` for a tuple, or either with a key behind; it returns
        the loss, or the loss and anything else. Models of Flax (linen, nnx), Equinox, Haiku and plain arrays; one of
        gradlab's networks, with ``batch = (x, y)``. Or the frame of a training, from `gradlab.train` or of
        `gradlab.monitor_records`: it is judged over its steps, and no other argument but `mute` is looked at.
    params : pytree
        As `loss_fn` takes it; floats in it are what is differentiated by. None with `init`: its first draw.
    batch : pytree
        One batch.
    key : int or JAX key, optional
        Handed to a `loss_fn` that takes one (dropout), split anew for each sample, and to `init`.
    repeats : int, optional
        Samples, where they differ by keys or initialisations. None: 4.
    init : callable, optional
        ``init(key)`` returns new parameters: then rates are of the initialisation, with an interval.
    batches : sequence, optional
        More batches of the same shapes: then rates are of these parameters, with an interval over batches.
    has_aux : bool, optional
        Whether `loss_fn` returns two values. None: as it does.
    optimizer : optax.GradientTransformation, optional
        Whose first update is held against the size of the weights.
    mute : str or sequence of str
        Codes (``"GL005"``) or kinds (``"saturation"``) of rules that say nothing.
    exact : bool
        Whether signals and gradients are read once more in float64, which tells what is lost in the working precision
        from true zeros. Takes about as long again as the first look. Where memory is short it is one example that is
        read again, or nothing; the page says which.
    trials : bool
        Whether remedies are tried on copies of the parameters, and of one of gradlab's networks by building it with
        other options; and whether the loss is followed around the parameters: along the gradient at many learning
        rates, and along a random direction, which finds a derivative that is wrong.
    on_progress : callable, optional
        Called with a line of text before each part.

    Returns
    -------
    Diagnosis

    Raises
    ------
    GradlabError
        What cannot be differentiated: the message says what was expected. Where `loss_fn` itself fails its own
        exception is the cause.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import gradlab as gl
    >>> draw = lambda key: [0.01 * jax.random.normal(k, (64, 64)) for k in jax.random.split(key, 8)]
    >>> def loss(params, x):
    ...     for w in params:
    ...         x = jax.nn.relu(x @ w)
    ...     return jnp.mean((x - 1) ** 2)
    >>> found = gl.diagnose(loss, None, jax.random.normal(jax.random.key(0), (32, 64)), init=draw)
    >>> [finding.kind for finding in found.findings][:1]
    ['init_too_small']
    """
    if hasattr(loss_fn, "columns") and hasattr(loss_fn, "groupby"):
        from gradlab.diagnosis.overtime import diagnose_frame

        return diagnose_frame(loss_fn, mute=[mute] if isinstance(mute, str) else mute)
    muted = [mute] if isinstance(mute, str) else mute
    rules_named(muted)  # before anything is computed
    say = on_progress or (lambda text: None)
    seconds: dict[str, float] = {}
    with _timed(seconds, "look"):
        say("reading signals and gradients")
        problem = problem_of(
            loss_fn, params, batch, key=key, repeats=repeats, init=init, batches=batches, has_aux=has_aux
        )
        model = Model(problem)
        evidence = model.evidence()
    with _timed(seconds, "origin"):
        evidence = model.with_births(evidence)
    if exact:
        with _timed(seconds, "float64"):
            say("reading them again in float64")
            evidence = model.with_exact(evidence)
    with _timed(seconds, "parameters"):
        evidence = model.with_parameters(evidence, optimizer)
    refused = disagreement(evidence)
    if trials and not refused and not evidence.births:
        with _timed(seconds, "suspects"):
            say("following the loss around the parameters")
            evidence = model.with_suspects(evidence)
    findings, margins = judge(evidence, mute=muted)
    if trials and findings and not refused:
        with _timed(seconds, "remedies"):
            say("trying remedies")
            network = rebuilt(loss_fn, problem.whole(model.params), batch, key)
            findings = try_remedies(findings, evidence, model.params, model.changed, network=network)
    return Diagnosis(evidence, findings, margins, problem.name, refused, seconds)


@contextmanager
def _timed(seconds: dict[str, float], part: str):
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start
