"""Escape text for pages, papers and figures, so that a name, a note or a command is shown and never obeyed.

Names of activations, columns, data and layers, commands and notes may come from a stranger's folder. Everything that
writes Markdown, LaTeX, figures or the data of a script escapes them here; HTML is made from the Markdown.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from gradlab._errors import GradlabError

#: The mark in place of a character that cannot be shown.
REPLACED = "\N{REPLACEMENT CHARACTER}"
#: Marks that change the direction of writing or are invisible: with them one name looks like another.
_HIDDEN = frozenset("\u061c\u200b\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff") | frozenset(
    chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x2070), *range(0xE0000, 0xE0080))
)
#: Largest number of characters in a name that a user gives to an activation or an initialiser.
LONGEST_NAME = 100
#: Largest number of characters of a name in a figure; the middle of a longer one is left out.
_LONGEST_IN_FIGURE = 120

_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}", "–": "--", "—": "---", "…": r"\ldots{}",
    "σ": r"\ensuremath{\sigma}", "χ": r"\ensuremath{\chi}", "ξ": r"\ensuremath{\xi}", "∂": r"\ensuremath{\partial}",
    "δ": r"\ensuremath{\delta}", "φ": r"\ensuremath{\varphi}", "²": r"\ensuremath{^2}", "−": r"\ensuremath{-}",
    "→": r"\ensuremath{\rightarrow}", "±": r"\ensuremath{\pm}", "×": r"\ensuremath{\times}", "‖": r"\ensuremath{\|}",
    "≤": r"\ensuremath{\le}", "≥": r"\ensuremath{\ge}", "∞": r"\ensuremath{\infty}", "·": r"\ensuremath{\cdot}",
    "₁": r"\ensuremath{_1}",
}  # fmt: skip
#: What JSON in a script of HTML must not contain as it stands: the end of the script, and JavaScript's ends of lines.
_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_POWER = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?(?:\(\d+\))?)e(-?\d+)")


def hidden(text: str) -> list[str]:
    """List the characters of a text that are not shown, or that change how the rest is shown."""
    return [c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _HIDDEN]


def plain(text: Any) -> str:
    """Put a text on one line, with a mark in place of each character that cannot be shown."""
    line = " ".join(str(text).split())
    return "".join(REPLACED if c in lost else c for c in line) if (lost := set(hidden(line))) else line


def shortened(text: Any, most: int) -> str:
    """Put a text on one line of at most `most` characters, without its middle if it is longer.

    The middle goes because the beginning of a layer's name says in which part of the model it is, and the end which
    layer it is.
    """
    line = plain(text)
    if len(line) <= most:
        return line
    head = (most - 1) // 3
    return f"{line[:head]}…{line[len(line) - (most - 1 - head) :]}"


def markdown(text: Any) -> str:
    """Escape a text so that Markdown shows it as it is, on one line, also in a table and at the beginning of a line.

    Examples
    --------
    >>> print(markdown("![z](x.png) <b> a_b 1 | 2 https://x.y"))
    !\\[z\\](x.png) \\<b\\> a_b 1 \\| 2 https\\://x.y
    """
    line = re.sub(r"[\\`*\[\]<>|~$]|(?<!\w)_|_(?!\w)|(?<=_)_|&(?=#?\w)|(?<!\w)#|#$", r"\\\g<0>", plain(text))
    # Some renderers make links of addresses by themselves.
    line = re.sub(r":(?=//)", r"\\:", line)
    line = re.sub(r"\bwww\.", lambda match: match.group()[:-1] + r"\.", line, flags=re.IGNORECASE)
    # These characters would begin a list, draw a rule, or make a heading of the line before.
    line = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", line)
    return re.sub(r"^(?:[-+](?=\s|$)|[-=](?=[-=\s]*$))", r"\\\g<0>", line)


def fenced(text: Any) -> str:
    """Make a block of code in Markdown, fenced by more backticks than the text has in a row."""
    lines = [plain(line) if hidden(line) else line for line in str(text).split("\n")]
    fence = "`" * (max([2, *map(len, re.findall("`+", str(text)))]) + 1)
    return "\n".join((fence, *lines, fence))


def code(text: Any) -> str:
    """Mark a text as code within a line of Markdown; not for use in a table."""
    line = plain(text)
    ticks = "`" * (max([0, *map(len, re.findall("`+", line))]) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{space}{line}{space}{ticks}" if line else ""


def tex(text: Any) -> str:
    """Escape a text for LaTeX, also as a cell of a table; ``4e-20`` becomes a power of ten.

    A character that LaTeX cannot print stands as its number.

    Examples
    --------
    >>> print(tex("50 % of a_b, 4e-20"))
    50 \\% of a\\_b, \\ensuremath{4\\times10^{-20}}
    """
    known = lambda c: _TEX.get(c, c if ord(c) < 0x180 else f"[U+{ord(c):04X}]")
    line = "".join(map(known, plain(text)))
    line = _POWER.sub(r"\\ensuremath{\1\\times10^{\2}}", line)
    # Behind a line break of a table LaTeX would take a bracket or a star for options of the break.
    line = re.sub(r"^[\[*]", r"{\g<0>}", line)
    # a hyphen before a number is a minus sign
    return re.sub(r"(?<![\w.{^])-(?=\d)", r"\\ensuremath{-}", line)


def script(json: str) -> str:
    """Return JSON as it may stand in a script of a page: no name in it can end the script."""
    return json.translate(str.maketrans(_SCRIPT))


def spreadsheet(text: Any) -> str:
    """Escape a name for a CSV file: an apostrophe keeps a spreadsheet from taking it for a formula."""
    line = plain(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def figure(text: Any) -> str:
    """Escape a text for a figure: a dollar begins no formula, and the middle of a very long text is left out."""
    line = plain(text)
    if len(line) > _LONGEST_IN_FIGURE:
        line = f"{line[:80]} … {line[-35:]}"
    return line.replace("$", r"\$")


def from_figure(text: str) -> str:
    """Turn the text of a figure back into plain text, for captions."""
    return text.replace(r"\$", "$")


def is_hash(text: Any) -> bool:
    """Say whether something is a hash as gradlab writes it: hexadecimal digits only."""
    return isinstance(text, str) and re.fullmatch(r"[0-9a-f]{4,64}", text) is not None


def check_name(kind: str, name: Any) -> None:
    """Refuse a name that a figure, a list or a command line would not show as it is.

    Parameters
    ----------
    kind : str
        The kind of thing that is named, for the message.
    name : str
        The name. It may hold letters of every language, digits and signs, but no characters that are not shown, and no
        spaces at its ends.
    """
    if not isinstance(name, str) or not name:
        received = "an empty text" if name == "" else type(name).__name__
        raise GradlabError(f"the name of an {kind} to be text", received, f'"my_{kind}"')
    if hidden(name) or plain(name) != name:
        raise GradlabError(f"a name of an {kind} that shows what is in it", ascii(name), f'"my_{kind}"')
    if len(name) > LONGEST_NAME:
        received = f"{len(name)}, in {name[:20]!a}…"
        raise GradlabError(f"at most {LONGEST_NAME} characters in the name of an {kind}", received, "a shorter name")
