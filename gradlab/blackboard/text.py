"""A worked example as plain text, in lines of at most 80 characters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gradlab._text import plain
from gradlab.blackboard.equations import Equation, Matrix, Scalar, Step, Term, backward, forward
from gradlab.blackboard.explanation import Explanation
from gradlab.blackboard.layout import facts, functions, lines, meanings, title
from gradlab.blackboard.numbers import printed, scalar

#: Longest line.
WIDTH = 80
_POWERS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: Spaces before a line of numbers that does not follow the name.
_INDENT = 4


def to_text(explanation: Explanation) -> str:
    """Write a worked example in lines of at most 80 characters."""
    head = [title(explanation), *textwrap.wrap(facts(explanation), WIDTH)]
    for name, function in functions(explanation).items():
        formulas = f"φ(z) = {function.phi.text}, φ′(z) = {function.slope.text}" if function else "one of your own"
        head += textwrap.wrap(f"φ is {plain(name)}: {formulas}.", WIDTH)
    head += [f"{meaning.text}." for meaning in meanings(explanation)]
    parts = ["\n".join(head), *_steps("Forward", forward(explanation), explanation.digits)]
    parts += _steps("Backward", backward(explanation), explanation.digits)
    return "\n\n".join(parts)


def _steps(heading: str, steps: Iterator[Step], digits: int) -> Iterator[str]:
    for step in steps:
        yield "\n".join([f"{heading}: {step.heading}", *(_equation(one, digits) for one in step.equations)])


def _equation(equation: Equation, digits: int) -> str:
    """Write the formula, then the same with numbers below it."""
    first = f"  {equation.name.text} = {equation.formula.text}"
    room = WIDTH - _INDENT
    boxes = [[_box(term, digits) for term in line] for line in _lines(equation, digits, room)]
    written = [_beside(line) for line in boxes]
    # one line of numbers may stand behind the formula
    if len(written) == 1 and len(written[0]) == 1 and len(first) + 1 + len(written[0][0]) <= WIDTH:
        return f"{first} {written[0][0]}"
    return "\n".join([first, *(" " * _INDENT + row for line in written for row in line)])


def _lines(equation: Equation, digits: int, room: int) -> Iterator[list[Term]]:
    return lines(equation, lambda term: len(_box(term, digits)[0]) + 1, room + 1, 0)


def _box(term: Term, digits: int) -> list[str]:
    """Draw a term as rows of equal length."""
    if isinstance(term, Scalar):
        number, power = scalar(term.value, digits)
        return [f"{number}{_times(power)}"]
    if not isinstance(term, Matrix):
        return [term.text]
    rows, power = printed(term.values, digits)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    drawn = [f"[{' '.join(cell.rjust(n) for cell, n in zip(row, widths, strict=True))}]" for row in rows]
    return _beside([[f"10{str(power).translate(_POWERS)} ×"], drawn]) if power else drawn


def _times(power: int) -> str:
    return f" × 10{str(power).translate(_POWERS)}" if power else ""


def _beside(boxes: list[list[str]]) -> list[str]:
    """Put boxes side by side, their middles on one line."""
    height = max(map(len, boxes))
    padded = []
    for box in boxes:
        above = (height - 1) // 2 - (len(box) - 1) // 2
        blank = " " * len(box[0])
        padded.append([blank] * above + box + [blank] * (height - above - len(box)))
    return [" ".join(row).rstrip() for row in zip(*padded, strict=True)]
