"""What both layouts share: the head of a worked example, and lines that end before they are too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gradlab.blackboard.equations import Equation, Term
from gradlab.blackboard.explanation import Explanation
from gradlab.blackboard.formulas import LOSSES, MEANINGS, Function, Written, function_of

#: The equals sign that begins each side of an equation.
EQUALS = Written("=", "=")
#: The sign that begins a line in which a product goes on.
DOT = Written("·", r"\cdot")


def title(explanation: Explanation) -> str:
    """Return what the example is of."""
    sizes = "-".join(map(str, explanation.sizes))
    return f"Forward and backward pass of a {sizes} network"


def facts(explanation: Explanation) -> str:
    """Say which loss and how many examples there are, and how matrices are to be read."""
    examples = len(explanation.x)
    many = "One example" if examples == 1 else f"{examples} examples, one in each row"
    words = LOSSES[explanation.loss].words
    return f"{many}. L is the {words}, o the output of the last layer. Weights have the shape (inputs, units)."


def functions(explanation: Explanation) -> dict[str, Function | None]:
    """Return the activations that are used, by name; None for one that is not built in."""
    names = dict.fromkeys(layer.activation for layer in explanation.layers)
    return {name: function_of(name) for name in names if name != "identity"}


def meanings(explanation: Explanation) -> list[Written]:
    """Return what the letters stand for that occur in formulas of this example."""
    used = [part.text for function in functions(explanation).values() if function for part in function]
    used += [guess.text] if (guess := LOSSES[explanation.loss].guess) else []
    return [meaning for letter, meaning in MEANINGS.items() if any(letter in text for text in used)]


def lines(equation: Equation, width: Callable[[Term], float], room: float, begun: float) -> Iterator[list[Term]]:
    """Yield the sides of an equation as lines, broken before a sign where they are too long.

    Parameters
    ----------
    equation : Equation
        The equation, of which the sides with numbers are laid out.
    width : callable
        Width of a term with the gap behind it.
    room : float
        Width of a line.
    begun : float
        Width of what stands in the first line already.
    """
    line: list[Term] = []
    filled = begun
    for piece in _pieces(equation.sides):
        needed = sum(map(width, piece))
        if line and filled + needed > room:
            yield line
            line, filled = [], 0.0
            if not isinstance(piece[0], Written):  # a product goes on
                line, filled = [DOT], width(DOT)
        line += piece
        filled += needed
    yield line


def _pieces(sides: Sequence[Sequence[Term]]) -> Iterator[list[Term]]:
    """Yield what must stay in one line: a sign with what follows it."""
    for side in sides:
        piece: list[Term] = [EQUALS]
        for term in side:
            follows = isinstance(piece[-1], Written)
            closes = isinstance(term, Written) and term.text.startswith(")")
            if not follows and not closes:
                yield piece
                piece = []
            piece.append(term)
        yield piece
