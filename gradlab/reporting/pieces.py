"""Labels of axes as pieces of text, plain, raised or lowered, which a page can set without a formula language."""

from __future__ import annotations

import re

from gradlab.plots.ground import words

#: What matplotlib's formulas call signs that every font of a screen has.
_SIGNS: dict[str, str] = {
    r"\partial": "∂", r"\Delta": "Δ", r"\sigma": "σ", r"\chi": "χ", r"\|": "‖", r"\,": "\N{THIN SPACE}",
}  # fmt: skip
#: A part that is raised or lowered: one sign, or several in braces.
_MOVED = re.compile(r"([\^_])(?:\{([^{}]*)\}|(.))")


def pieces(formula: str) -> list[list[str]]:
    r"""Split a label with formulas into pieces of text, each with "", "sup" or "sub".

    Parameters
    ----------
    formula : str
        A label as matplotlib takes it; formulas stand between dollars.

    Returns
    -------
    list of [text, kind]

    Examples
    --------
    >>> pieces(r"bias $\sigma_b^2$")
    [['bias σ', ''], ['b', 'sub'], ['2', 'sup']]
    """
    made: list[list[str]] = []
    for place, part in enumerate(formula.split("$")):
        if place % 2 == 0:
            made.append([part, ""])
            continue
        for name, sign in _SIGNS.items():  # the space after a name ends it and is not set
            part = part.replace(f"{name} ", sign).replace(name, sign)
        end = 0
        for match in _MOVED.finditer(part):
            made.append([part[end : match.start()], ""])
            made.append([match[2] or match[3], "sup" if match[1] == "^" else "sub"])
            end = match.end()
        made.append([part[end:], ""])
    return _joined([piece for piece in made if piece[0]])


def label(column: str, frame=None) -> list[list[str]]:
    """Return the label of an axis in pieces; a column that gradlab does not know stands as it is called."""
    known = column in words.QUANTITIES or column in words.COORDINATES
    text = words.axis(column, frame)
    return pieces(text) if known else [[text, ""]]


def _joined(parts: list[list[str]]) -> list[list[str]]:
    """Join neighbours of one kind."""
    made: list[list[str]] = []
    for text, kind in parts:
        if made and made[-1][1] == kind:
            made[-1][0] += text
        else:
            made.append([text, kind])
    return made
