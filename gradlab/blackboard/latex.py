"""A worked example as LaTeX, and as Markdown with formulas in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gradlab._text import markdown, tex
from gradlab.blackboard.equations import Equation, Matrix, Scalar, Step, Term, backward, forward
from gradlab.blackboard.explanation import Explanation
from gradlab.blackboard.layout import facts, functions, lines, meanings, title
from gradlab.blackboard.numbers import printed, scalar

#: Digits that fit in a line of 17 cm in a font of 10 points.
ROOM = 90
_DOCUMENT = r"""\documentclass[10pt,a4paper]{article}
\usepackage{amsmath}
\DeclareTextSymbolDefault{\textquotedbl}{T1}
\usepackage[margin=2cm]{geometry}
\setlength{\parindent}{0pt}
\setlength{\arraycolsep}{3pt}
\pagestyle{empty}
\begin{document}
%s
\end{document}
"""


def to_latex(explanation: Explanation, document: bool = True) -> str:
    """Write a worked example as LaTeX: a whole document, or its body."""
    parts = [rf"\textbf{{{title(explanation)}}}\par\smallskip", *_head(explanation, tex)]
    for heading, steps in (("Forward", forward(explanation)), ("Backward", backward(explanation))):
        for step in steps:
            rows = _aligned(step, explanation.digits)
            parts.append(
                "\n".join([
                    rf"\medskip\textit{{{heading}: {step.heading}}}\par\nopagebreak\smallskip",
                    rf"$\begin{{aligned}}{rows}\end{{aligned}}$\par",
                ])
            )  # fmt: skip
    body = "\n\n".join(parts)
    return _DOCUMENT % body if document else body + "\n"


def to_markdown(explanation: Explanation) -> str:
    """Write a worked example as Markdown; each step is one block of formulas."""
    parts = [f"## {title(explanation)}", *_head(explanation, markdown)]
    for heading, steps in (("Forward", forward(explanation)), ("Backward", backward(explanation))):
        for step in steps:
            rows = _aligned(step, explanation.digits)
            parts += [
                f"**{heading}: {step.heading}**",
                f"$$\n\\begin{{aligned}}{rows}\\end{{aligned}}\n$$",
            ]
    return "\n\n".join(parts) + "\n"


def _head(explanation: Explanation, escape) -> Iterator[str]:
    """Yield the sentences on the loss and on the activations."""
    # single letters of the sentence are formulas
    yield re.sub(r"\b(L|o)\b(?= is| the)", r"$\1$", escape(facts(explanation)))
    for name, function in functions(explanation).items():
        formulas = rf"$\varphi(z) = {function.phi.tex}$, $\varphi'(z) = {function.slope.tex}$" if function else ""
        yield rf"$\varphi$ is {escape(name)}: {formulas or 'one of your own'}."
    for meaning in meanings(explanation):
        yield f"{meaning.tex}."


def _aligned(step: Step, digits: int) -> str:
    return "\n" + " \\\\[2pt]\n".join(_equation(one, digits) for one in step.equations) + "\n"


def _equation(equation: Equation, digits: int) -> str:
    """Write one equation, in as many lines as it needs."""
    begun = len(equation.name.text) + len(equation.formula.text) + 3
    first, *rest = lines(equation, lambda term: _width(term, digits), ROOM, begun)
    written = [f"{equation.name.tex} &= {equation.formula.tex} {_terms(first, digits)}"]
    # a line that begins with a sign stands at the place of the equals signs
    written += [f"&{_terms(line, digits)}" for line in rest]
    return " \\\\\n".join(written)


def _terms(line: list[Term], digits: int) -> str:
    return " ".join(_term(term, digits) for term in line)


def _term(term: Term, digits: int) -> str:
    if isinstance(term, Scalar):
        number, power = scalar(term.value, digits)
        return _number(number) + (rf" \cdot 10^{{{power}}}" if power else "")
    if not isinstance(term, Matrix):
        return term.tex
    rows, power = printed(term.values, digits)
    cells = r" \\ ".join(" & ".join(map(_number, row)) for row in rows)
    before = rf"10^{{{power}}} \cdot " if power else ""
    columns = "r" * len(rows[0])
    return rf"{before}\left(\begin{{array}}{{{columns}}}{cells}\end{{array}}\right)"


def _number(text: str) -> str:
    """Write a number; ``3e-7`` becomes a power of ten."""
    mantissa, _, power = text.partition("e")
    return rf"{mantissa}\cdot10^{{{power}}}" if power else text


def _width(term: Term, digits: int) -> float:
    """Return the width of a term in digits, with the gap behind it."""
    if isinstance(term, Scalar):
        return 10
    if not isinstance(term, Matrix):
        return len(term.text) + 1
    rows, power = printed(term.values, digits)
    columns = zip(*rows, strict=True)
    return sum(max(map(len, column)) + 1.2 for column in columns) + 2 + (5 if power else 0)
