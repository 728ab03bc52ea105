"""Names in a figure: characters that its fonts have no glyph for stand as their numbers."""

from __future__ import annotations

import functools
import re

import matplotlib

from gradlab import _text


def drawable(text: str) -> str:
    r"""Return text that the fonts in force can draw, with nothing in it that begins a formula.

    Examples
    --------
    >>> drawable("tanh"), drawable("\u6f22\u5b57")
    ('tanh', '[U+6F22 U+5B57]')
    """
    line = _text.figure(text)
    if line.isascii():
        return line
    known = _glyphs(tuple(matplotlib.rcParams["font.family"]))
    lacking = "".join(sorted({c for c in line if ord(c) not in known}))
    numbers = lambda missing: "[" + " ".join(f"U+{ord(c):04X}" for c in missing.group()) + "]"
    return re.sub(f"[{re.escape(lacking)}]+", numbers, line) if lacking else line


@functools.lru_cache
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    """Return the characters that any of these fonts has."""
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    missing: set[int] = set()
    for family in families:
        try:
            path = fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:  # not on this machine
            continue
        missing.update(get_font(path).get_charmap())
    return frozenset(missing)
