"""What a diagnosis says, in sentences: plain text, which pages and terminals escape as theirs needs it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gradlab.diagnosis.evidence import Evidence, Suspects
from gradlab.diagnosis.findings import SEVERITIES, Finding, Margin, Outcome, Remedy, Rule
from gradlab.diagnosis.sites import Unseen
from gradlab.measurement.slope import interval_text

if TYPE_CHECKING:
    from gradlab.diagnosis.chains import Chain
    from gradlab.diagnosis.diagnosis import Diagnosis

#: Layers that a sentence names before it counts the rest.
NAMED = 5
#: By how much the drop of the loss may differ from the promised one, as a share of it, where a learning rate is small
#: enough; the share below which it is not.
_CLOSE, _HALF = 0.1, 0.5


def headline(d: Diagnosis) -> str:
    """Return the verdict in one line."""
    if d.no_verdict:
        return f"No verdict: {d.no_verdict}"
    counts = [(s, sum(f.severity == s for f in d.findings)) for s in reversed(SEVERITIES)]
    graver = listed([counted(n, s) for s, n in counts if n and s != "info"])
    infos = counted(dict(counts)["info"], "note") if dict(counts)["info"] else ""
    if not graver:
        looked = sum(not margin.silent for margin in d.margins)
        whole = "" if d.coverage.seen == d.coverage.products else " as far as it was seen"
        said = f"Healthy{whole}: {counted(looked, 'rule')} looked and found nothing wrong"
    else:
        said = graver
    return f"{said}{', and ' + infos if infos else ''}."


def samples(d: Diagnosis) -> str:
    """Return how many samples there are, and whether numbers have an interval."""
    if d.evidence.samples == 1:
        return f"One sample: no number has an interval; {d.more} would give one."
    what = d.evidence.varied or "kinds"
    return f"{d.evidence.samples} samples, of different {what}: intervals are 95 % over them."


def rate(chain: Chain | None) -> str:
    """Return what each layer of the main chain does to delta and signal; empty where there is no chain."""
    if chain is None:
        return ""
    factor = lambda interval: interval_text(interval.value, interval.low, interval.high)
    parts = [f"the delta by {factor(chain.delta)} on the way to the input"] if chain.delta else []
    parts += [f"the signal by {factor(chain.value)} on the way to the loss"] if chain.value else []
    each = "layer" if chain.along == "layers" else "step"
    return f"{chain.part}, {counted(len(chain.places), each)}: each multiplies {listed(parts)}." if parts else ""


def layers(names: Sequence[str], most: int = NAMED) -> str:
    """Return the first names, and how many more there are.

    Where there are more than `most`, names that differ in one number are one entry: ``blocks/up[0…22, 24]``.
    """
    names = list(names)
    if len(names) <= most:
        return ", ".join(names)
    left, shown = list(dict.fromkeys(names)), []
    while left and len(shown) < most:
        text, group = _group(left)
        shown.append(text)
        left = [name for name in left if name not in group]
    return ", ".join(shown) + (f" and {len(left)} more" if left else "")


def _group(names: Sequence[str]) -> tuple[str, set[str]]:
    """Return the first name with all that differ from it in one of its numbers: as one text, and which they are."""
    parts = re.split(r"(\d+)", names[0])
    best, text = {names[0]}, names[0]
    for at in range(1, len(parts), 2):
        before, behind = "".join(parts[:at]), "".join(parts[at + 1 :])
        pattern = re.compile(rf"{re.escape(before)}(\d+){re.escape(behind)}")
        numbers = {name: match[1] for name in names if (match := pattern.fullmatch(name))}
        if len(numbers) > len(best):
            inside = _ranges(sorted(numbers.values(), key=int))
            best, text = set(numbers), before + (inside if before.endswith("[") else f"{{{inside}}}") + behind
    return text, best


def _ranges(numbers: Sequence[str]) -> str:
    """``0…22, 24`` of numbers in order."""
    runs: list[list[str]] = []
    for n in numbers:
        if runs and int(n) == int(runs[-1][-1]) + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(f"{run[0]}…{run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)


def listed(words: Sequence[str]) -> str:
    """Join words: ``a``, ``a and b``, ``a, b and c``."""
    words = [w for w in words if w]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def counted(n: int, noun: str) -> str:
    """``1 layer``, ``2 layers``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def number(value: float) -> str:
    """Return a number in short; a dash where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return f"{value:.3g}"


def share(value: float) -> str:
    """``12.5 %``; a dash where there is none."""
    return "–" if math.isnan(value) else f"{100 * value:.3g} %"


def title(finding: Finding) -> str:
    """``GL001 vanishing, error: the gradient vanishes towards the input``."""
    return f"{finding.rule.name} {finding.kind}, {finding.severity}: {finding.rule.value}"


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def outcome(one: Outcome) -> str:
    """``factor per layer: 0.08 before, 1 predicted, 1 after``."""
    shown = [("before", one.before), ("predicted", one.predicted), ("after", one.after)]
    return f"{one.what}: " + ", ".join(f"{number(v)} {word}" for word, v in shown if not math.isnan(v))


def remedy(one: Remedy) -> str:
    """Return what to do, and what became of it."""
    numbers = list(map(outcome, one.outcomes))
    return f"{one.text} ({'; '.join(numbers if one.tried else [*numbers, untried(one)])})"


def untried(one: Remedy) -> str:
    """Say that a remedy was not tried, and why."""
    return f"not tried: {one.not_tried}" if one.not_tried else "not tried"


def margin(one: Margin) -> str:
    """Return how near a rule was to speaking, or why it could not look."""
    if one.silent:
        return f"did not look: {one.silent}"
    if math.isnan(one.value):
        return "nothing of the kind"
    if one.value == one.line == 0:
        return f"no {one.unit or 'such thing'}"
    unit = f" {one.unit}" if one.unit else ""
    where = f" at {one.layer}" if one.layer else ""
    return f"{number(one.value)}{unit}{where}; the line is {number(one.line)}"


def silent_rules(d: Diagnosis) -> list[Margin]:
    """Margins of the rules that said nothing, in the order of their codes; a muted rule has none."""
    spoke = {finding.rule for finding in d.findings}
    known = {m.rule: m for m in d.margins}
    return [known.get(rule, Margin(rule, silent="it was not asked")) for rule in Rule if rule not in spoke]


def unseen(place: Unseen) -> str:
    """Return a place that could not be looked into."""
    where = f" ({place.source})" if place.source else ""
    return f"{counted(place.products, 'product')} inside {place.why} {place.name}".rstrip() + where


def not_examined(d: Diagnosis) -> list[str]:
    """Return what the diagnosis does not know, a line each."""
    lines = [f"Not looked into: {unseen(place)}." for place in d.coverage.unseen]
    notes = [*d.evidence.notes, *(d.evidence.suspects.notes if d.evidence.suspects is not None else ())]
    return [*lines, *map(sentence, notes)]


def cost(d: Diagnosis) -> str:
    """Return what each part took; empty where nothing was timed."""
    parts = [f"{name} {seconds:.1f} s" for name, seconds in d.seconds.items()]
    return f"It took: {', '.join(parts)}." if parts else ""


def suspects(seen: Evidence) -> list[tuple[str, str]]:
    """Return what to look at next where no layer is to blame, and what came of it where it was tried."""
    tried = seen.suspects
    rows = [
        ("learning rate", "not tried" if tried is None or not tried.steps else _steps(tried.steps)),
        ("wiring: is it the gradient of the loss?", "not tried" if tried is None else _slope(tried)),
        ("the optimiser's epsilon", _epsilon(seen)),
        ("data and labels", "not tried: look at inputs beside their labels, at their scale, at shuffled labels"),
        ("the loss", "not tried: logits or probabilities, mean or sum, which axis, which target"),
    ]  # fmt: skip
    return rows


def _slope(tried: Suspects) -> str:
    """Return the derivative of the loss along a random direction, by a finite difference and by the gradient."""
    (difference, gradient), error = tried.slope, tried.slope_error
    if math.isnan(difference) or math.isnan(gradient):
        return "tried, and not resolved: the finite difference drowns in rounding"
    both = f"{number(difference)} by a finite difference, {number(gradient)} by the gradient"
    agree = abs(difference - gradient) <= error
    end = "they agree" if agree else f"rounding and curvature explain {number(error)} of the difference"
    return f"tried, the slope of the loss along a random direction: {both}; {end}"


def _steps(steps: Sequence[tuple[float, float]]) -> str:
    """Describe the drop of the loss in one step of plain gradient descent, over what the gradient promises."""
    good = [rate for rate, drop in steps if abs(drop - 1) <= _CLOSE]
    if not good:
        return "tried, one step of plain gradient descent: at no rate does the loss fall as the gradient promises"
    largest = max(good)  # below it the drop may drown in rounding
    bad = [rate for rate, drop in steps if rate > largest and not drop >= _HALF]
    rises = [rate for rate, drop in steps if rate > largest and not drop >= 0]
    said = [
        f"the loss falls as the gradient promises up to a rate of {number(largest)}",
        f"by less than half of that from {number(min(bad))} on" if bad else "",
        f"and rises from {number(min(rises))} on" if rises else "",
    ]
    return f"tried, one step of plain gradient descent: {', '.join(s for s in said if s)}"


def _epsilon(seen: Evidence) -> str:
    below = seen.gradient("below_adam_fraction")
    known = [i for i in range(below.shape[1]) if not np.isnan(below[:, i]).all()]
    if not known:
        return "not tried"
    most, path = max((float(np.nanmean(below[:, i])), seen.parameters[i].path) for i in known)
    return f"tried: at most {share(most)} of a gradient's entries lie below Adam's 1e-8 ({path})"
