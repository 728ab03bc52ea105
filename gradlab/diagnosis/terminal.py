"""The diagnosis on one screen of a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradlab._status import Status, concerns
from gradlab._text import plain, shortened
from gradlab.diagnosis import words

if TYPE_CHECKING:
    from gradlab.diagnosis.diagnosis import Diagnosis
    from gradlab.diagnosis.findings import Finding
    from gradlab.diagnosis.layers import LayerRow

#: Rows of layers; characters of a bar and of a name.
MOST, _BAR, _NAME = 40, 10, 36
#: The three bars: what they are called, their columns, of which a later one stands where an earlier is missing, and the
#: word by which a status calls them not finite.
BARS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("signal", ("log10_activation_rms",), "value"),
    ("delta", ("log10_delta_rms",), "delta"),
    ("weight gradient", ("log10_weight_grad_norm", "log10_bias_grad_norm"), "gradient"),
)
_BLOCKS = " ▏▎▍▌▋▊▉█"


def text(d: Diagnosis) -> str:
    """Coverage, verdict, findings with what to try, and three bars a layer."""
    lines = [f"{d.name}: {d.coverage}", words.headline(d), words.samples(d)]
    lines += [words.rate(d.chain)] if not d.no_verdict and d.chain is not None else []
    for finding in d.findings:
        lines += ["", words.title(finding), f"  {words.sentence(finding.evidence)}"]
        lines += [f"  layers: {words.layers(finding.layers)}"] if finding.layers else []
        lines += [f"  try: {words.remedy(remedy)}" for remedy in finding.remedies]
    if not d.at_least("warning") and not d.no_verdict:
        lines += ["", "how near each rule was to speaking:", *_margins(d)]
        lines += ["", "look next at:", *(f"  {what}: {came}" for what, came in words.suspects(d.evidence))]
    unknown = words.not_examined(d)
    lines += ["", *unknown] if unknown else []
    lines += ["", cost] if (cost := words.cost(d)) else []
    indented = lambda line: line[: len(line) - len(line.lstrip())] + plain(line)
    return "\n".join([*map(indented, lines), "", *bars(d)])


def _margins(d: Diagnosis) -> list[str]:
    """Return a line for each rule that looked, and one for each reason why others did not."""
    reasons: dict[str, list[str]] = {}
    lines = []
    for margin in words.silent_rules(d):
        if margin.silent:
            reasons.setdefault(margin.silent, []).append(f"{margin.rule.name} {margin.rule.kind}")
        else:
            lines.append(f"  {margin.rule.name} {margin.rule.kind}: {words.margin(margin)}")
    return [*lines, *(f"  did not look, {why}: {', '.join(rules)}" for why, rules in reasons.items())]


def bars(d: Diagnosis) -> list[str]:
    """Return a line for each layer, or for some where they are many."""
    from gradlab.diagnosis.layers import codes, columns, layer_rows, marks, statuses

    rows = layer_rows(d.evidence)
    table = columns(d.evidence, rows)
    findings = marks(d, rows)
    marked = list(map(codes, findings))
    values = [_means(table, names, len(rows)) for _, names, _ in BARS]
    notes = statuses(d.evidence, rows)
    broken = lambda i, word: any(concerns(text, Status.NOT_FINITE, word) for text in notes[:, i])
    shown = chosen(d, rows, findings)
    width = max([5, *(min(len(plain(rows[i].name)), _NAME) for i in shown)])
    head = [f"{name:<{_BAR + 9}}" for name, *_ in BARS]
    lines = [f"{'layer':<{width}}  {''.join(head)}".rstrip()]
    for i in shown:
        texts = ["NaN" if broken(i, bar[2]) else _power(v[i]) for v, bar in zip(values, BARS, strict=True)]
        cells = [f"{text:>7} {_bar(v[i], v):<{_BAR}} " for v, text in zip(values, texts, strict=True)]
        lines.append(f"{shortened(rows[i].name, width):<{width}}  {''.join(cells)} {marked[i]}".rstrip())
    some = some_of(len(rows), MOST)
    return [*lines, some] if some else lines


def chosen(d: Diagnosis, rows: Sequence[LayerRow], marked: Sequence[Sequence[Finding]], most: int = MOST) -> list[int]:
    """Return the rows that are shown: all, or the first, the last, the main chain's and marked ones, evenly thinned."""
    if len(rows) <= most:
        return list(range(len(rows)))
    chain = set(d.chain.places) if d.chain is not None else set()
    alike = [i for i, row in enumerate(rows) if row.place in chain]
    thinned = lambda among, count: {
        among[i] for i in np.linspace(0, len(among) - 1, min(count, len(among))).round().astype(int)
    }
    shown = {0, len(rows) - 1} | thinned(alike, 2 * most // 3)
    grave = [i for i, among in enumerate(marked) if i not in shown and any(f.severity != "info" for f in among)]
    return sorted(shown | thinned(grave, most - len(shown)))


def some_of(count: int, most: int) -> str:
    """Return a note that not all layers are shown; empty where they are."""
    shown = "the first, the last, those of the main chain and with findings"
    return f"Of {count} layers these are shown: {shown}; .frame has all." if count > most else ""


def _means(table: dict[str, np.ndarray], names: tuple[str, ...], count: int) -> np.ndarray:
    """Geometric mean over samples; the next column where the first has nothing."""
    mean = np.full(count, np.nan)
    for name in names:
        values = table.get(name, np.full((1, count), np.nan))
        mean = np.where(np.isnan(mean), values.mean(axis=0), mean)
    return mean


def _bar(value: float, values: np.ndarray) -> str:
    """Return a bar in decades, from the smallest of its column, which has an eighth of a character, to the largest."""
    finite = values[np.isfinite(values)]
    if not math.isfinite(value):
        return ""
    low, high = float(finite.min()), float(finite.max())
    span = max(high - low, 1.0)  # less than a decade is no difference that fills a screen
    eighths = max(1, round(8 * _BAR * (1 - (high - value) / span)))
    return "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")


def _power(value: float) -> str:
    from gradlab.reporting.words import power

    return "" if math.isnan(value) else power(value)
