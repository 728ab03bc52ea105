"""The page of a diagnosis: Markdown, and one HTML file with the figure inside."""

from __future__ import annotations

import base64
import math
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gradlab import _text
from gradlab.diagnosis import words
from gradlab.diagnosis.findings import Finding, Outcome
from gradlab.diagnosis.layers import codes, columns, layer_rows, marks, statuses
from gradlab.diagnosis.terminal import chosen, some_of
from gradlab.reporting.tables import markdown as table
from gradlab.reporting.words import power

if TYPE_CHECKING:
    from gradlab.diagnosis.diagnosis import Diagnosis

#: Rows of the table of layers.
_MOST = 60
#: Name of the figure's files beside a page.
NAME = "layers"
_COLUMNS: dict[str, str] = {
    "signal, rms": "log10_activation_rms", "delta, rms": "log10_delta_rms",
    "weight gradient, norm": "log10_weight_grad_norm", "bias gradient, norm": "log10_bias_grad_norm",
}  # fmt: skip
_SHARES: dict[str, str] = {"dead units": "dead_fraction", "saturated": "saturated_fraction"}


@dataclass(frozen=True)
class Figure:
    """The figure beside a page: its files with its width in inches, its whole caption, and what is to be seen in it.

    The last, which is the caption's first sentence, is the alternative text.
    """

    files: dict[str, float]
    caption: str
    alt: str


def markdown(d: Diagnosis, figure: Figure | None = None) -> str:
    """Return the page, with the figure beside it if there is one."""
    text = _text.markdown
    parts = [f"# Diagnosis of {text(d.name)}", f"**{text(words.headline(d))}** {text(d.coverage)}."]
    summary = [words.samples(d)]
    summary += [words.rate(d.chain)] if not d.no_verdict and d.chain is not None else []
    parts.append(" ".join(map(text, summary)))
    if figure is not None:
        parts += [f"![{text(figure.alt)}]({NAME}.png)", f"*{text(figure.caption)}*"]
    if d.findings:
        parts += ["## Findings", *(part for finding in d.findings for part in _finding(finding))]
    some = some_of(len(layer_rows(d.evidence)), _MOST)
    parts += ["## Layers", table(layer_table(d)), text(f"{_LAYERS} {some}" if some else _LAYERS)]
    parts += ["## How near each other rule was to speaking", table(margin_table(d))]
    parts += [
        "## Where to look next",
        _SUSPECTS,
        table(_frame(words.suspects(d.evidence), ("where", "what came of it"))),
    ]
    unknown = words.not_examined(d)
    parts += [
        "## What was not examined",
        "\n".join(f"- {text(line)}" for line in unknown or ["Nothing that is known of."]),
    ]
    if cost := words.cost(d):
        parts.append(text(cost))
    return "\n\n".join(parts) + "\n"


_SUSPECTS = (
    "A model whose layers are healthy may still not learn. These come next; what can be tried without knowing the task "
    "was tried."
)
_LAYERS = (
    "From the input to the loss; geometric means over the samples. Signal, delta and weight gradient stand side by "
    "side because weight gradients alone do not see weights that are too small. Deltas and gradients are of the loss "
    "as it is."
)


def _finding(finding: Finding) -> list[str]:
    text = _text.markdown
    parts = [f"### {text(words.title(finding))}", text(words.sentence(finding.evidence))]
    if finding.layers:
        parts.append(f"Layers: {text(words.layers(finding.layers, 12))}.")
    if finding.remedies:
        parts.append(table(remedy_table(finding)))
    return parts


def remedy_table(finding: Finding) -> pd.DataFrame:
    """Return what to change: a row for each number before, as predicted, and after; or why it was not tried."""
    rows = []
    for remedy in finding.remedies:
        for outcome in remedy.outcomes or (Outcome("–", math.nan, math.nan, math.nan),):
            after = words.number(outcome.after) if remedy.tried else words.untried(remedy)
            rows.append(
                (remedy.text, outcome.what, words.number(outcome.before), words.number(outcome.predicted), after)
            )
    return _frame(rows, ("remedy", "of what", "before", "predicted", "after"))


def margin_table(d: Diagnosis) -> pd.DataFrame:
    """Return the rules that said nothing: how near, or why they could not look."""
    rows = [(f"{m.rule.name} {m.rule.kind}", m.rule.value, words.margin(m)) for m in words.silent_rules(d)]
    return _frame(rows, ("rule", "what it says", "nearest value"))


def layer_table(d: Diagnosis) -> pd.DataFrame:
    """Return the layers in numbers; of very many some."""
    rows = layer_rows(d.evidence)
    values_of, marked = columns(d.evidence, rows), marks(d, rows)
    notes = statuses(d.evidence, rows)
    mean = lambda name, i: float(values_of[name][:, i].mean()) if name in values_of else np.nan
    made = []
    for i in chosen(d, rows, marked, _MOST):
        cells = {title: _power(mean(name, i)) for title, name in _COLUMNS.items()}
        cells |= {title: _share(mean(name, i)) for title, name in _SHARES.items()}
        status = next((str(note) for note in notes[:, i] if note != "ok"), "")
        made.append({"layer": rows[i].name, **cells, "note": ", ".join(n for n in (codes(marked[i]), status) if n)})
    made = pd.DataFrame(made).fillna("").set_index("layer")
    return made.loc[:, [name for name in made if (made[name] != "").any()]]


def _power(log10: float) -> str:
    return "" if np.isnan(log10) else power(log10)


def _share(value: float) -> str:
    return "" if np.isnan(value) else words.share(value)


def _frame(rows: list[tuple[str, ...]], names: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(names)).set_index(names[0])


def html(d: Diagnosis) -> str:
    """Return the page as one self-contained HTML file."""
    from gradlab.reporting.html import to_html

    with tempfile.TemporaryDirectory() as folder:
        figure = draw(d, Path(folder))
        return to_html(markdown(d, figure), Path(folder), figure.files)


def draw(d: Diagnosis, folder: Path) -> Figure:
    """Write the figure's files into a folder."""
    import matplotlib.pyplot as plt

    from gradlab import plots
    from gradlab.plots.ground.captions import figure_of, in_parts

    drawn = figure_of(plots.diagnosis(d))
    try:
        made = plots.save(drawn, folder / NAME, ("png", "svg"))
        caption = in_parts(drawn)
        return Figure({path.name: drawn.get_figwidth() for path in made}, caption.text, caption.lead)
    finally:
        plt.close(drawn)


def fragment(d: Diagnosis) -> str:
    """Return the page as a part of a notebook."""
    from markdown_it import MarkdownIt

    with tempfile.TemporaryDirectory() as folder:
        alt = escape(draw(d, Path(folder)).alt, quote=True)
        picture = base64.b64encode((Path(folder) / f"{NAME}.png").read_bytes()).decode()
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown(d))
    return f'{body}<img alt="{alt}" style="max-width: 56rem; width: 100%" src="data:image/png;base64,{picture}">'
