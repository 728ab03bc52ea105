"""What a diagnosis hands back: findings, the margins of rules that were silent, and all the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlab._errors import unknown
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.findings import SEVERITIES, Finding, Margin, Severity
from gradlab.diagnosis.sites import Coverage

if TYPE_CHECKING:
    import pandas as pd

    from gradlab.diagnosis.chains import Chain
    from gradlab.measurement.slope import Rate


class Unhealthy(AssertionError):
    """A model has findings that a test does not accept; the message is the page of the diagnosis."""


@dataclass(frozen=True)
class Diagnosis:
    """What was found in a model.

    Parameters
    ----------
    evidence : Evidence
        All that was measured.
    findings : tuple of Finding
        The gravest first.
    margins : tuple of Margin
        Of each rule that said nothing: how near it was, or why it could not look.
    name : str
        What the user's function is called.
    no_verdict : str
        Why nothing is judged; empty where it is.
    seconds : mapping of str to float
        What each part took: ``look``, ``float64``, ``suspects``, ``remedies``.
    more : str
        How to get more than one sample, and so intervals.

    Examples
    --------
    >>> import jax, jax.numpy as jnp
    >>> import gradlab as gl
    >>> params = {"up": jnp.eye(8), "down": jnp.eye(8)}
    >>> loss = lambda p, x: jnp.mean((x @ p["up"] @ p["down"] - 1) ** 2)
    >>> found = gl.diagnose(loss, params, jax.random.normal(jax.random.key(0), (16, 8)))
    >>> str(found.coverage)
    '2 of 2 products seen'
    """

    evidence: Evidence
    findings: tuple[Finding, ...]
    margins: tuple[Margin, ...]
    name: str = "loss_fn"
    no_verdict: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    more: str = "repeats=8, batches= or init="

    @property
    def healthy(self) -> bool:
        """Return whether there is a verdict, and nothing of severity ``warning`` or above."""
        return not self.no_verdict and not self.at_least("warning")

    def at_least(self, severity: Severity) -> tuple[Finding, ...]:
        """Return the findings of this severity and above."""
        if severity not in SEVERITIES:
            raise unknown("severity", severity, SEVERITIES)
        grave = SEVERITIES[SEVERITIES.index(severity) :]
        return tuple(finding for finding in self.findings if finding.severity in grave)

    @property
    def coverage(self) -> Coverage:
        """Return what was seen of the model, and what was not."""
        return self.evidence.coverage

    @cached_property
    def chain(self) -> Chain | None:
        """Return the chain that stands for the model, over depth or over time; None without one."""
        from gradlab.diagnosis.chains import main_chain

        return main_chain(self.evidence)

    @property
    def rate(self) -> Rate | None:
        """Return the factor of the delta per layer towards the input along the main chain, with its interval."""
        return None if self.chain is None else self.chain.delta

    def rows(self) -> dict[str, np.ndarray]:
        """Coordinates and columns of the frame's rows."""
        from gradlab.diagnosis.layers import frame_rows

        return frame_rows(self.evidence)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Return the tidy frame: a row for each sample (``seed``) and layer, which every plot and `summarise` read.

        Deltas and gradients are of the loss as it is given, so a mean over the batch stands in them. A layer without
        an activation hands on what it computes: there `log10_activation_rms` is `log10_preactivation_rms`.
        """
        from gradlab.frames.rows import frame

        return frame(self)

    @cached_property
    def marks(self) -> pd.DataFrame:
        """Return a row for each layer of the frame and finding that names it: `layer`, `rule`, `kind`, `severity`."""
        import pandas as pd

        from gradlab.diagnosis.layers import layer_rows, marks

        by_row = marks(self, layer_rows(self.evidence))
        rows = [(i, f.rule.name, f.kind, f.severity) for i, findings in enumerate(by_row, 1) for f in findings]
        return pd.DataFrame(rows, columns=["layer", "rule", "kind", "severity"]).drop_duplicates(["layer", "rule"])

    def to_markdown(self) -> str:
        """Return the page: coverage, findings with their remedies, layers, margins, what was not examined."""
        from gradlab.diagnosis.page import markdown

        return markdown(self)

    def to_html(self) -> str:
        """Return the page as one HTML file, the figure inside."""
        from gradlab.diagnosis.page import html

        return html(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as JSON can hold it: sizes as log10, what is not finite as text or null."""
        from gradlab.diagnosis.stored import to_dict

        return to_dict(self)

    def _repr_html_(self) -> str:
        from gradlab.diagnosis.page import fragment

        return fragment(self)

    def __str__(self) -> str:
        from gradlab.diagnosis.terminal import text

        return text(self)

    def __repr__(self) -> str:
        listed = ", ".join(f"{f.rule.name} {f.kind}" for f in self.findings) or "nothing found"
        return f"<Diagnosis of {self.name}: {'no verdict' if self.no_verdict else listed}>"

    def raise_if(self, severity: Severity = "error") -> None:
        """Raise `Unhealthy` where there are findings of this severity or above, or no verdict."""
        if self.no_verdict or self.at_least(severity):
            raise Unhealthy(str(self))


def assert_healthy(*args: Any, baseline: Any = None, **options: Any) -> Diagnosis:
    """Diagnose a model in a test, and fail where something is found.

    Parameters
    ----------
    *args, **options : optional
        The arguments of `gradlab.diagnose`.
    baseline : path or dict, optional
        What `Diagnosis.to_dict` gave earlier, or its JSON file: then only what is worse than that fails.

    Returns
    -------
    Diagnosis
        Where all is well.

    Raises
    ------
    AssertionError
        With the page of the diagnosis.
    """
    from gradlab.diagnosis.baseline import Baseline
    from gradlab.diagnosis.diagnose import diagnose

    known = None if baseline is None else Baseline.of(baseline)  # before the model is run
    diagnosis = diagnose(*args, **options)
    if known is None:
        diagnosis.raise_if("warning")
    elif worse := known.worse(diagnosis):
        raise Unhealthy("\n".join([f"worse than the baseline: {'; '.join(worse)}", str(diagnosis)]))
    return diagnosis
