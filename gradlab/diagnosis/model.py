"""A model under examination: its program, compiled once, and all that is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gradlab._errors import GradlabError
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.gather import coverage_of, exact_columns, gradients_of, parameters_of, places_of, signals_of
from gradlab.diagnosis.noise import ENOUGH, signal_to_noise
from gradlab.diagnosis.nonfinite import births
from gradlab.diagnosis.one_example import OneExampleLook
from gradlab.diagnosis.precision import ExactLook
from gradlab.diagnosis.problem import Problem, Sample
from gradlab.diagnosis.program import Program
from gradlab.diagnosis.reading import FIELDS
from gradlab.diagnosis.suspects import suspects
from gradlab.diagnosis.symmetry import identical_fraction
from gradlab.diagnosis.updates import update_ratios

#: Two looks at a size that are closer than this many decades, 2 %, differ by rounding alone.
_ALIKE = 0.01


class Model:
    """A problem's program, and what it shows on the problem's samples.

    Parameters
    ----------
    problem : Problem
        The loss, with parameters and samples of its arguments.

    Raises
    ------
    GradlabError
        Where JAX cannot differentiate the loss; its exception is the cause.
    """

    def __init__(self, problem: Problem):
        self.samples, self.varied = problem.samples, problem.varied
        self._loss, self._plain = problem.loss, jax.jit(problem.loss)
        try:
            self.program = Program.of(problem.loss, *self.samples[0])
        except GradlabError:
            raise
        except Exception as error:
            raise GradlabError(
                "a loss that jax.grad can differentiate by these parameters",
                type(error).__name__,
                "jax.value_and_grad(loss_fn)(params, batch) by hand; the traceback stands with this message",
            ) from error

    @property
    def params(self) -> Any:
        """Return the parameters of the first sample."""
        return self.samples[0].params

    def evidence(self) -> Evidence:
        """Return what is seen of all samples in the working precision."""
        seen, self._grads = self._seen(self.samples)
        return seen.replace(varied=self.varied)

    def changed(self, params: Any) -> Evidence:
        """Return what is seen of the first sample with other parameters."""
        return self._seen([self.samples[0]._replace(params=params)])[0]

    def _seen(self, samples: Sequence[Sample]) -> tuple[Evidence, list[Any]]:
        program = self.program
        read = [jax.device_get(program.run(*sample)) for sample in samples]
        count = FIELDS.index("entries")
        entries = {n: sum(np.asarray(one.values[n])[..., count] for one in read) for n in read[0].values}
        places = places_of(program.sites, entries)
        leaves = jax.tree.leaves(samples[0].params)
        parameters = parameters_of(program.paths, leaves, program.states, program.depths, program.first_use, places)
        grads = [one.grads for one in read]
        evidence = Evidence(
            places=places,
            parameters=parameters,
            signals=signals_of(places, [one.values for one in read], [one.deltas for one in read]),
            gradients=gradients_of(parameters, grads, [sample.params for sample in samples]),
            losses=np.array([float(one.loss) for one in read]),
            own_losses=np.array([float(self._plain(sample.params, *sample.args)) for sample in samples]),
            coverage=coverage_of(program.sites, program.unseen, program.rules),
        )
        return evidence, grads

    def with_births(self, evidence: Evidence) -> Evidence:
        """With the origins of what is not finite, on the first sample that has such; as it is where all is finite."""
        bad = ~np.isfinite(evidence.losses)
        counts = [evidence.signals["value_not_finite"], evidence.signals["delta_not_finite"]]
        for count in (*counts, evidence.gradients["grad_not_finite"]):
            bad = bad | (np.nansum(count, axis=1) > 0)
        if not bad.any():
            return evidence
        return evidence.replace(births=births(self.program, *self.samples[int(np.argmax(bad))]))

    def with_exact(self, evidence: Evidence) -> Evidence:
        """With a second look in float64: of the first sample, and of the others where it shows something else.

        Of one example where there is no memory for the batch, and not at all where that cannot be done either.
        """
        look = ExactLook(self.program)
        if look.refused:
            return self._with_one_example(evidence, look.refused)
        better = exact_columns(evidence, [look(*self.samples[0])])
        if evidence.samples > 1 and _differs(evidence, better):
            better = exact_columns(evidence, [look(*sample) for sample in self.samples])
        signals, gradients = better
        return evidence.replace(signals=evidence.signals | signals, gradients=evidence.gradients | gradients)

    def _with_one_example(self, evidence: Evidence, short: str) -> Evidence:
        look = OneExampleLook(self._loss, self.samples[0], self.program.sites)
        better = None if look.refused else look.columns(evidence, self.samples)
        if better is None:
            why = look.refused or "its deltas are not those of the batch"
            note = f"no second look in float64: of the batch {short}; of one example, {why}"
            return evidence.replace(notes=(*evidence.notes, note))
        signals, gradients = better
        return evidence.replace(
            signals=evidence.signals | signals,
            gradients=evidence.gradients | gradients,
            notes=(*evidence.notes, f"the second look in float64 was at one example alone: of the batch {short}"),
        )

    def with_parameters(self, evidence: Evidence, optimizer: Any = None) -> Evidence:
        """With what gradients of the first sample say of units, of examples and of an optimiser's first update."""
        sample, grads, parameters, depths = self.samples[0], self._grads[0], evidence.parameters, self.program.depths
        leaves = zip(jax.tree.leaves(sample.params), jax.tree.leaves(grads), depths, strict=True)
        # units stand on the last axis (JAX, Flax, Haiku), or on the first (Equinox)
        alike = [np.fmax(identical_fraction(*leaf), identical_fraction(*leaf, features=(0,))) for leaf in leaves]
        noise = signal_to_noise(self._loss, sample.params, sample.args, depths, enough=ENOUGH)
        columns = {"identical_fraction": alike} | ({} if noise.ratios is None else {"gradient_snr": noise.ratios})
        table = {name: np.array([values[p.leaf][p.at] for p in parameters]) for name, values in columns.items()}
        # biases of several heads are matrices too, but have no units
        weights = np.array([bool(p.places) for p in parameters])
        table["identical_fraction"] = np.where(weights, table["identical_fraction"], np.nan)
        if optimizer is not None:
            table["log10_update_ratio"] = update_ratios(optimizer, parameters, grads, sample.params)
        nothing = np.full((evidence.samples - 1, len(parameters)), np.nan)
        table = {name: np.concatenate([values[None], nothing]) for name, values in table.items()}
        notes = (*evidence.notes, noise.reason) if noise.reason else evidence.notes
        return evidence.replace(gradients=evidence.gradients | table, notes=notes)

    def with_suspects(self, evidence: Evidence) -> Evidence:
        """With what is looked at where no layer is to blame: the loss around the parameters."""
        frozen = [i for i, state in enumerate(self.program.states) if state == "frozen"]
        tried = suspects(self._loss, *self.samples[0], self._grads[0], frozen=frozen)
        return evidence.replace(suspects=tried)


def _differs(evidence: Evidence, exact: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]) -> bool:
    """Return whether the second look at the first sample saw anything that the first one did not."""
    for plain, better in zip((evidence.signals, evidence.gradients), exact, strict=True):
        for name in plain.keys() & {column.removeprefix("exact_") for column in better if column.startswith("exact_")}:
            one, two = plain[name][0], better[f"exact_{name}"][0]
            with np.errstate(invalid="ignore"):
                if np.any((one != two) & ~(np.abs(one - two) < _ALIKE) & ~np.isnan(two)):
                    return True
    return False
