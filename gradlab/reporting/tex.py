"""Tables in booktabs and numbers as macros, for papers."""

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
_SPELT = {"σ_w²": "SigmaW", "σ_b²": "SigmaB", ".": "Point", "-": "Minus", "+": "Plus"}


def table(cells: pd.DataFrame, caption: str, label: str, *, over: str = "", align: str = "r") -> str:
    """A frame as a booktabs table; its index is the first column.

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
    align : {"l", "r"}
        Of all columns but the first: words to the left, numbers to the right.
    """
    names = [_text.tex(name) for name in (cells.index.name or "", *cells.columns)]
    rows = [[_text.tex(cell) for cell in (index, *row)] for index, *row in cells.itertuples()]
    count = cells.shape[1]
    above = rf" & \multicolumn{{{count}}}{{c}}{{{_text.tex(over)}}} \\"
    head = [above, rf"\cmidrule(lr){{2-{count + 1}}}"] if over else []
    lines = [
        r"\begin{table}[t]", r"\centering\small\setlength{\tabcolsep}{4pt}",
        # the classes leave no room below a caption, because they expect it under a figure
        r"\setlength{\belowcaptionskip}{\abovecaptionskip}",
        rf"\caption{{{_text.tex(caption)}}}", rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{l{align * count}}}", r"\toprule", *head, " & ".join(names) + r" \\", r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows), r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def figure(path: str, title: str, caption: str, label: str, width: float) -> str:
    """A figure with its caption; one that is wider than a column has the width of the line.

    Parameters
    ----------
    path : str
        Of the PDF, beside the file.
    title, caption : str
        Plain text.
    label : str
        For ``\\ref``.
    width : float
        Of the figure, in inches.
    """
    size = r"[width=\linewidth]" if width > _COLUMN else ""
    lines = [
        r"\begin{figure}[t]", r"\centering", rf"\includegraphics{size}{{{path}}}",
        rf"\caption[{{{_text.tex(title)}}}]{{{_text.tex(caption)}}}", rf"\label{{{label}}}", r"\end{figure}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def macro_name(*parts: Any) -> str:
    """A legal macro name: letters only, digits spelt out, ``gradlab`` in front."""
    text = " ".join(str(part) for part in parts)
    for symbol, spelt in _SPELT.items():
        text = text.replace(symbol, f" {spelt} ")
    text = re.sub(r"\d", lambda m: f" {_DIGITS[int(m.group())]} ", text)
    chunks = re.findall(r"[A-Za-z]+", text)
    return "gradlab" + "".join(chunk[0].upper() + chunk[1:] for chunk in chunks)


def macros(rates: pd.DataFrame, labels: Sequence[str], evidence: Sequence[words.Float32]) -> Iterator[tuple[str, str]]:
    """Name and value of each macro, names unique: rate, decades, verdict, ratio and what float32 shows.

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
