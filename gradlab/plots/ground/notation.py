"""The user's own letters on the axes of all figures."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from gradlab._errors import GradlabError, unknown

#: What can have a letter of the user's own -> the letters that gradlab sets, in TeX.
SYMBOLS: dict[str, str] = {
    "delta": r"\partial L\,/\,\partial z",
    "weight_gradient": r"\partial L\,/\,\partial W",
    "bias_gradient": r"\partial L\,/\,\partial b",
    "preactivation": "z", "activation": "a", "weight": "W", "bias": "b", "loss": "L", "correlation": "c",
    "sigma_w2": r"\sigma_w^2", "sigma_b2": r"\sigma_b^2", "chi1": r"\chi_1",
}  # fmt: skip
#: Words of an axis behind which a letter of the user's own may stand; gradlab sets none there.
COUNTED: tuple[str, ...] = ("layer", "depth", "width")
#: Symbols that are not taken apart.
_WHOLE: tuple[str, ...] = ("sigma_w2", "sigma_b2", "chi1")
_LETTERS: ContextVar[dict[str, str]] = ContextVar("letters", default={})  # noqa: B039  (it is never changed, only replaced)


@contextlib.contextmanager
def notation(**letters: str) -> Iterator[None]:
    r"""Set your own letters on every axis of the figures that are drawn inside the block.

    Parameters
    ----------
    **letters : str
        A symbol in TeX, without dollars, for each quantity: ``delta``, ``weight_gradient``, ``bias_gradient``,
        ``preactivation``, ``activation``, ``weight``, ``bias``, ``loss``, ``correlation``, ``sigma_w2``, ``sigma_b2``
        and ``chi1`` replace what gradlab writes; ``layer``, ``depth`` and ``width`` put a letter behind the word. Give
        those in which your paper differs.

    Raises
    ------
    GradlabError
        If there is no such quantity, or matplotlib cannot set the symbol.

    Examples
    --------
    >>> import gradlab as gl
    >>> frame = gl.example("depth").query("depth == 8 and init == 'he_normal'")
    >>> with gl.plots.notation(delta=r"\delta^{(\ell)}", layer=r"\ell"):
    ...     _, axes, _ = gl.plots.gradient_flow(frame)
    >>> print(axes.get_ylabel())
    rms delta $\delta^{(\ell)}$  [nat]
    """
    for name, symbol in letters.items():
        if name not in (*SYMBOLS, *COUNTED):
            raise unknown("quantity with a letter", name, (*SYMBOLS, *COUNTED))
        if not isinstance(symbol, str) or not symbol or "$" in symbol or not _can_be_set(symbol):
            raise GradlabError(
                f"{name}= as a symbol in TeX, without dollars", repr(symbol), r'delta=r"\delta^{(\ell)}"'
            )
    token = _LETTERS.set({**_LETTERS.get(), **letters})
    try:
        yield
    finally:
        _LETTERS.reset(token)


def _can_be_set(symbol: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(f"${symbol}$")
    except (ValueError, RuntimeError):
        return False
    return True


def with_letters(text: str) -> str:
    """Return the label of an axis with the letters of the user's notation."""
    letters = _LETTERS.get()
    if not letters:
        return text
    parts = re.split(r"(?<!\\)\$", text)  # every other part is a formula
    for i, part in enumerate(parts):
        parts[i] = _formula(part, letters) if i % 2 else _counted(part, letters)
    return "$".join(parts)


def _formula(text: str, letters: dict[str, str]) -> str:
    """Replace symbols, the longest first; a letter inside a command, such as the a of alpha, is none."""
    symbols = {SYMBOLS[name]: symbol for name, symbol in letters.items() if name in SYMBOLS}
    # a variance keeps its letters as a whole, also where the letter of the weight or the bias is replaced
    whole = sorted({s for s in (*symbols, *map(SYMBOLS.get, _WHOLE)) if s.startswith("\\")}, key=len, reverse=True)
    single = [symbol for symbol in symbols if not symbol.startswith("\\")]
    parts = [*(rf"{re.escape(s)}(?![A-Za-z])" for s in whole), r"\\[A-Za-z]+"]
    parts += [rf"(?<![A-Za-z]){s}(?![A-Za-z])" for s in single]
    return re.sub("|".join(parts), lambda m: symbols.get(m[0], m[0]), text)


def _counted(text: str, letters: dict[str, str]) -> str:
    """Put a letter behind the first of the words that has one, where the axis begins with it."""
    for word in COUNTED:
        if word in letters and re.match(rf"{word}\b", text):
            return f"{word} ${letters[word]}$" + text[len(word) :]
    return text


def set_letters(axes: Iterable[Any], figure: Any = None) -> None:
    """Give the labels of axes, and those that a figure has for all its axes, the letters of the user's notation."""
    if not _LETTERS.get():
        return
    for ax in axes:
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_label_text(with_letters(axis.get_label_text()))
    shared = () if figure is None else (figure.get_supxlabel(), figure.get_supylabel())
    for text in figure.texts if any(shared) else ():
        if text.get_text() in shared:
            text.set_text(with_letters(text.get_text()))
