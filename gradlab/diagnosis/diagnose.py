"""`gradlab.diagnose`: which layers of anyone's JAX model starve or blow up, by what factor, why, and what helps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax import Array

from gradlab._errors import GradlabError
from gradlab.diagnosis.diagnosis import Diagnosis
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.gather import coverage_of, gradients_of, parameters_of, places_of, signals_of
from gradlab.diagnosis.problem import Problem, Sample, problem_of
from gradlab.diagnosis.program import Program
from gradlab.diagnosis.reading import FIELDS
from gradlab.diagnosis.rules import disagreement, judge
from gradlab.diagnosis.updates import update_ratios


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
    say = on_progress or (lambda text: None)
    seconds: dict[str, float] = {}
    with _timed(seconds, "look"):
        say("reading the program of the loss")
        problem = problem_of(
            loss_fn, params, batch, key=key, repeats=repeats, init=init, batches=batches, has_aux=has_aux
        )
        look = Look(problem)
        evidence = look.at(problem.samples)
    with _timed(seconds, "parameters"):
        evidence = look.with_parameters(evidence, optimizer)
    refused = disagreement(evidence)
    findings, margins = judge(evidence, mute=[mute] if isinstance(mute, str) else mute)
    return Diagnosis(evidence, findings, margins, problem.name, refused, seconds)


class Look:
    """A problem's program, compiled once, and what it reads on samples.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        first = problem.samples[0]
        try:
            self.program = Program.of(problem.loss, first.params, first.args)
        except GradlabError:
            raise
        except Exception as error:
            raise GradlabError(
                "a loss that jax.grad can differentiate by these parameters",
                f"{type(error).__name__}",
                "jax.value_and_grad(loss_fn)(params, batch) by hand; the traceback stands with this message",
            ) from error
        self.plain = jax.jit(problem.loss)
        self.grads: list[Any] = []

    @property
    def params(self) -> Any:
        """The parameters of the first sample."""
        return self.problem.samples[0].params

    def at(self, samples: Sequence[Sample]) -> Evidence:
        """What is seen on samples, in the working precision."""
        read = [jax.device_get(self.program.run(sample.params, sample.args)) for sample in samples]
        own = [float(self.plain(sample.params, *sample.args)) for sample in samples]
        program, first = self.program, read[0]
        count = FIELDS.index("entries")
        taken = {n: sum(np.asarray(found.values[n])[..., count] for found in read) for n in first.values}
        places = places_of(program.sites, taken)
        leaves = jax.tree.leaves(samples[0].params)
        parameters = parameters_of(program.paths, leaves, program.states, program.depths, program.first_use, places)
        self.grads = [found.grads for found in read]
        return Evidence(
            places=places,
            parameters=parameters,
            signals=signals_of(places, [found.values for found in read], [found.deltas for found in read]),
            gradients=gradients_of(parameters, self.grads, [sample.params for sample in samples]),
            losses=np.array([float(found.loss) for found in read]),
            own_losses=np.array(own),
            coverage=coverage_of(program.sites, program.unseen),
            varied=self.problem.varied if len(samples) > 1 else "",
        )

    def changed(self, params: Any) -> Evidence:
        """What is seen on the first sample's data with other parameters."""
        return self.at([Sample(params, self.problem.samples[0].args)])

    def with_parameters(self, evidence: Evidence, optimizer: Any) -> Evidence:
        """With what the gradients of the first sample say of units, of examples and of an optimiser."""
        sample, grads, parameters = self.problem.samples[0], self.grads[0], evidence.parameters
        found: dict[str, np.ndarray] = {}
        if optimizer is not None:
            found["log10_update_ratio"] = update_ratios(optimizer, parameters, grads, sample.params)
        nothing = np.full((evidence.samples - 1, len(parameters)), np.nan)
        found = {name: np.concatenate([values[None], nothing]) for name, values in found.items()}
        return evidence.replace(gradients=evidence.gradients | found)


@contextmanager
def _timed(seconds: dict[str, float], part: str):
    start = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - start
