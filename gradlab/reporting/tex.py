"""Tables in booktabs, figures and numbers as macros, for papers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from gradlab import _text
from gradlab.reporting import words

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
#: Inches of a column of two.
_COLUMN = 3.5
#: Characters of a row that such a column holds, and a page.
_CHARACTERS, _MOST_CHARACTERS = 40, 95
_SPELT = {"σ_w²": "SigmaW", "σ_b²": "SigmaB", ".": "Point", "-": "Minus", "+": "Plus"}


def table(cells: pd.DataFrame, caption: str, label: str, *, over: str = "", align: str = "r") -> str:
    """Write a frame as a booktabs table; its index is the first column.

    Parameters
    ----------
    cells : DataFrame
        Of text and numbers.
    caption : str
        Plain text.
    label : str
        For ``\\ref``.
    over : str
        What all columns but the first are, in a line above their names.
    align : str
        A letter for each column but the first, or one for all of them: "l" for words, "r" for numbers.
    """
    names = [_text.tex(name) for name in (cells.index.name or "", *cells.columns)]
    rows = [[_text.tex(cell) for cell in (index, *row)] for index, *row in cells.itertuples()]
    count = cells.shape[1]
    above = rf" & \multicolumn{{{count}}}{{c}}{{{_text.tex(over)}}} \\"
    head = [above, rf"\cmidrule(lr){{2-{count + 1}}}"] if over else []
    texts = [(cells.index.name or "", *cells.columns), *(tuple(row) for row in cells.itertuples())]
    long = sum(max(len(str(row[i])) for row in texts) + 1 for i in range(count + 1))
    # over both columns where there are two; where there is one, the star changes nothing
    place = "table" if long <= _CHARACTERS else "table*"
    letters = align if len(align) == count else align * count
    size = r"\small" if long <= _MOST_CHARACTERS else r"\footnotesize"
    lines = [
        rf"\begin{{{place}}}[t]", rf"\centering{size}\setlength{{\tabcolsep}}{{4pt}}",
        # the classes leave no room below a caption, because they expect it under a figure
        r"\setlength{\belowcaptionskip}{\abovecaptionskip}",
        rf"\caption{{{_text.tex(caption)}}}", rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{letters}}}", r"\toprule", *head, " & ".join(names) + r" \\", r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows), r"\bottomrule", r"\end{tabular}", rf"\end{{{place}}}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def figure(path: str, title: str, caption: tuple[str, str], label: str, width: float) -> str:
    """Write a figure with its caption; one that is wider than a column stands over both columns, where there are two.

    Parameters
    ----------
    path : str
        Of the PDF, beside the file.
    title : str
        Plain text, for the list of figures.
    caption : (str, str)
        Plain text: what there is to see, which stands in bold, and the rest.
    label : str
        For ``\\ref``.
    width : float
        Of the figure, in inches.
    """
    place = "figure*" if width > _COLUMN else "figure"
    see, rest = map(_text.tex, caption)
    text = f"\\textbf{{{see}}} {rest}" if rest else see
    # as wide as it was drawn, so that its type has its size, unless the line is shorter
    size = rf"\ifdim\linewidth<{width:g}in\linewidth\else{width:g}in\fi"
    lines = [
        rf"\begin{{{place}}}[t]", r"\centering", rf"\includegraphics[width={size}]{{{path}}}",
        rf"\caption[{{{_text.tex(title)}}}]{{{text}}}", rf"\label{{{label}}}", rf"\end{{{place}}}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def macro_name(*parts: Any) -> str:
    """Return a legal macro name: letters only, digits spelt out, ``gradlab`` in front."""
    text = " ".join(str(part) for part in parts)
    for symbol, spelt in _SPELT.items():
        text = text.replace(symbol, f" {spelt} ")
    text = re.sub(r"\d", lambda m: f" {_DIGITS[int(m.group())]} ", text)
    chunks = re.findall(r"[A-Za-z]+", text)
    return "gradlab" + "".join(chunk[0].upper() + chunk[1:] for chunk in chunks)


def macros(rates: pd.DataFrame, labels: Sequence[str], evidence: Sequence[words.Float32]) -> Iterator[tuple[str, str]]:
    """Yield name and value of each macro: verdict, rate, decades, ratio and what float32 shows. Names are unique.

    Parameters
    ----------
    rates : DataFrame
        From `gradlab.rates`.
    labels : sequence of str
        The configurations in words.
    evidence : sequence of Float32
        One for each row.
    """
    taken: set[str] = set()
    for label, row, seen in zip(labels, rates.to_dict("records"), evidence, strict=True):
        stem = macro_name(label, "depth", row["depth"])
        while stem in taken:  # names that differ in other characters than letters and digits
            stem += "Again"
        taken.add(stem)
        for name, value in _values(row, seen):
            yield stem + name, _text.tex(value)


def _values(row: Mapping[str, Any], seen: words.Float32) -> Iterator[tuple[str, str]]:
    yield "Verdict", str(row["verdict"])
    yield "Rate", words.paren(row["rate"], row["low"], row["high"])
    yield "RateLow", words.paren(row["low"])
    yield "RateHigh", words.paren(row["high"])
    yield "Decades", words.paren(row["decades"], row["decades_low"], row["decades_high"])
    yield "Ratio", words.power(row["decades"])
    yield "Seeds", str(row["n_seeds"])
    for name, layers in (
        ("NormZeroFromDepth", seen.norm_zero),
        ("NormOverflowFromDepth", seen.norm_inf),
        ("GradientZeroFromDepth", seen.gradient_zero),
    ):
        if layers:
            yield name, str(seen.from_depth(layers))
