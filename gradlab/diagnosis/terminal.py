"""The diagnosis on one screen of a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gradlab._text import plain, shortened
from gradlab.diagnosis import words

if TYPE_CHECKING:
    from gradlab.diagnosis.diagnosis import Diagnosis

#: Rows of layers; characters of a bar and of a name.
MOST, _BAR, _NAME = 40, 10, 28
#: The three bars: what they are called, and their columns; the second stands where the first is missing.
BARS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("signal", ("log10_activation_rms",)),
    ("delta", ("log10_delta_rms",)),
    ("weight gradient", ("log10_weight_grad_norm", "log10_bias_grad_norm")),
)
_BLOCKS = " ▏▎▍▌▋▊▉█"


def text(d: Diagnosis) -> str:
    """Coverage, verdict, findings with what to try, and three bars a layer."""
    lines = [f"{d.name}: {d.coverage}", words.headline(d), words.samples(d)]
    lines += [words.rate(d.chain)] if not d.no_verdict and d.chain is not None else []
    for finding in d.findings:
        lines += ["", words.title(finding), f"  {plain(finding.evidence)}"]
        lines += [f"  layers: {words.layers(finding.layers)}"] if finding.layers else []
        lines += [f"  try: {words.remedy(remedy)}" for remedy in finding.remedies]
    if not d.of("warning") and not d.no_verdict:
        lines += ["", "how near each rule was to speaking:", *_margins(d)]
        lines += ["", "look next at:", *(f"  {what}: {came}" for what, came in words.suspects(d.evidence))]
    unknown = words.not_examined(d)
    lines += ["", *unknown] if unknown else []
    indented = lambda line: line[: len(line) - len(line.lstrip())] + plain(line)
    return "\n".join([*map(indented, lines), "", *bars(d)])


def _margins(d: Diagnosis) -> list[str]:
    """A line for each rule that looked, and one for each reason why others did not."""
    reasons: dict[str, list[str]] = {}
    lines = []
    for found in words.silent_rules(d):
        if found.silent:
            reasons.setdefault(found.silent, []).append(f"{found.rule.name} {found.rule.kind}")
        else:
            lines.append(f"  {found.rule.name} {found.rule.kind}: {words.margin(found)}")
    return [*lines, *(f"  did not look, {why}: {', '.join(rules)}" for why, rules in reasons.items())]


def bars(d: Diagnosis) -> list[str]:
    """A line for each layer, the marked ones and an even choice of the others where they are many."""
    from gradlab.diagnosis.layers import codes, columns, layer_rows, marks

    rows = layer_rows(d.evidence)
    found = columns(d.evidence, rows)
    marked = list(map(codes, marks(d, rows)))
    values = [_means(found, names, len(rows)) for _, names in BARS]
    shown = chosen(len(rows), [i for i, mark in enumerate(marked) if mark])
    width = max([5, *(min(len(plain(rows[i].name)), _NAME) for i in shown)])
    head = [f"{name:<{_BAR + 9}}" for name, _ in BARS]
    lines = [f"{'layer':<{width}}  {''.join(head)}".rstrip()]
    before = -1
    for i in shown:
        if i > before + 1:
            lines.append(f"… {words.counted(i - before - 1, 'layer')}")
        before = i
        cells = [f"{_power(v[i]):>7} {_bar(v[i], v):<{_BAR}} " for v in values]
        lines.append(f"{shortened(rows[i].name, width):<{width}}  {''.join(cells)} {marked[i]}".rstrip())
    return [*lines, *([f"… {words.counted(len(rows) - before - 1, 'layer')}"] if before + 1 < len(rows) else [])]


def chosen(count: int, marked: list[int], most: int = MOST) -> list[int]:
    """The rows that are shown: the first, the last, marked ones as far as there is room, others spread evenly."""
    if count <= most:
        return list(range(count))
    some = {0, count - 1, *marked[: most // 2]}
    even = np.unique(np.linspace(0, count - 1, most - len(some)).round().astype(int))
    return sorted(some | set(even.tolist()))


def _means(found: dict[str, np.ndarray], names: tuple[str, ...], count: int) -> np.ndarray:
    """Geometric mean over samples; the next column where the first has nothing."""
    mean = np.full(count, np.nan)
    for name in names:
        values = found.get(name, np.full((1, count), np.nan))
        mean = np.where(np.isnan(mean), values.mean(axis=0), mean)
    return mean


def _bar(value: float, values: np.ndarray) -> str:
    """A bar in decades, from the smallest of its column, which has an eighth of a character, to the largest."""
    finite = values[np.isfinite(values)]
    if math.isnan(value) or not len(finite):
        return ""
    if math.isinf(value):
        return "0" if value < 0 else "inf"
    low, high = float(finite.min()), float(finite.max())
    span = max(high - low, 1.0)  # less than a decade is no difference that fills a screen
    eighths = max(1, round(8 * _BAR * (1 - (high - value) / span)))
    return "█" * (eighths // 8) + (_BLOCKS[eighths % 8] if eighths % 8 else "")


def _power(value: float) -> str:
    from gradlab.reporting.words import power

    return "" if math.isnan(value) else power(value)
