"""The second look in float64 at one example, where there is not enough memory for it at the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import Array

from gradlab._formats import FORMATS
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.gather import exact_columns, signals_of
from gradlab.diagnosis.precision import ExactLook
from gradlab.diagnosis.problem import Sample
from gradlab.diagnosis.program import Program
from gradlab.diagnosis.sites import Site

#: Decades above the smallest normal number of a format from which on the working precision resolves a size.
_EDGE = 3

#: Decades by which deltas of one example and of the batch may differ from place to place.
_ALIKE = 1


class OneExampleLook:
    """The second look at the first example of the batch.

    What the working precision resolves stays as it was measured on the whole batch. Where it does not, the sizes of
    the one example stand in, times the factor that makes both equal at the smallest delta that is resolved: one
    example has its own part in the mean over a batch. Shares of gradients that formats lose are not told, because
    the gradient of one example is not that of the batch.

    Parameters
    ----------
    loss : callable
        ``loss(params, *args)``.
    sample : Sample
        Whose shapes are those of all samples.
    sites : sequence of Site
        Of the program of the whole batch.

    Attributes
    ----------
    refused : str
        Why it is not run; empty where it can be.
    """

    def __init__(self, loss: Callable[..., Array], sample: Sample, sites: Sequence[Site]):
        self.refused = ""
        args = first_example(sample.args)
        if args is None:
            self.refused = "the arrays of the batch share no first axis"
            return
        scaled = lambda params, *args: (lambda value: value * args[-1].astype(value.dtype))(loss(params, *args[:-1]))
        try:
            self._program = Program.of(scaled, sample.params, (*args, np.float32(1)))
        except Exception as error:  # the user's code, on a batch that it was not written for
            self.refused = f"the loss does not run on one example ({type(error).__name__})"
            return
        described = lambda sites: [(site.name, site.kind, site.scans) for site in sites]
        if described(self._program.sites) != described(sites):
            self.refused = "the loss of one example is another program"
            return
        self._look = ExactLook(self._program)
        self.refused = self._look.refused

    def columns(
        self, evidence: Evidence, samples: Sequence[Sample]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]] | None:
        """Return columns of places and of parameters, as `gradlab.diagnosis.gather.exact_columns` does.

        None where the example's deltas are not those of the batch where both are resolved: a norm over the batch makes
        something else of one example.
        """
        looks = []
        resolved = _resolved(evidence)
        plain = evidence.signals["log10_delta_rms"]
        for number, sample in enumerate(samples):
            args = first_example(sample.args) or ()
            seen = self._program.run(sample.params, (*args, np.float32(1)))
            signals = signals_of(evidence.places, [jax.device_get(seen.values)], [jax.device_get(seen.deltas)])
            pooled, known = signals["log10_delta_rms"][0], resolved[number]
            shift = _shift(plain[number], pooled, known)
            if known.any() and not np.median(np.abs(plain[number][known] - pooled[known] - shift)) < _ALIKE:
                return None
            looks.append(self._look(sample.params, (*args, np.float32(10**shift))))
        signals, gradients = exact_columns(evidence, looks)
        for name in ("value", "delta"):
            column = f"exact_log10_{name}_rms"
            lost = np.isneginf(evidence.signals[f"log10_{name}_rms"]) if name == "value" else ~resolved
            signals[column] = np.where(lost, signals[column], np.nan)
        gradients = {"exact_log10_grad_norm": self._norms(evidence, gradients["exact_log10_grad_norm"], resolved)}
        return signals, gradients

    def _norms(self, evidence: Evidence, exact: np.ndarray, resolved: np.ndarray) -> np.ndarray:
        """Norms of gradients behind deltas that the working precision does not resolve, continuing those it does."""
        plain = evidence.gradients["log10_grad_norm"]
        fed = [list(parameter.places) for parameter in evidence.parameters]
        # what feeds no place is not known to be resolved, and is not what others are held against either
        behind = np.stack(
            [resolved[:, at].all(axis=1) if at else np.isfinite(plain[:, i]) for i, at in enumerate(fed)], 1
        )
        held = behind & np.array([bool(at) for at in fed])
        shifts = [_shift(*row) for row in zip(plain, exact, held, strict=True)]
        return np.where(behind, np.nan, exact + np.array(shifts)[:, None])


def first_example(args: Sequence[Any]) -> tuple[Any, ...] | None:
    """Return the arguments of a loss with the first example of the batch alone, the batch being the first of them.

    None where its arrays share no first axis longer than 1. An array without axes belongs to all examples.
    """
    batch, *rest = args
    sizes = {leaf.shape[0] for leaf in jax.tree.leaves(batch) if np.ndim(leaf)}
    if len(sizes) != 1 or sizes == {1}:
        return None
    return (jax.tree.map(lambda leaf: leaf[:1] if np.ndim(leaf) else leaf, batch), *rest)


def _resolved(evidence: Evidence) -> np.ndarray:
    """Return whether each delta's size is one that the format of its place resolves."""
    return evidence.signals["log10_delta_rms"] > _smallest([p.site.dtype for p in evidence.places]) + _EDGE


def _smallest(formats: Sequence[str]) -> np.ndarray:
    """log10 of the smallest normal number of each format; that of float64 for one that is not in the table."""
    return np.array([FORMATS[name].normal if name in FORMATS else -1022 for name in formats]) * np.log10(2)


def _shift(plain: np.ndarray, pooled: np.ndarray, resolved: np.ndarray) -> float:
    """Decades from the example's numbers to the batch's, at the smallest of these that is resolved; 0 without one."""
    known = np.flatnonzero(resolved & np.isfinite(plain) & np.isfinite(pooled))
    if not len(known):
        return 0.0
    at = known[np.argmin(plain[known])]
    return float(plain[at] - pooled[at])
