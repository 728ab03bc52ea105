r"""Sequences for recurrent networks and transformers: two tasks that need a long memory, and English text.

All inputs are real features, one-hot for symbols, so that a first dense product is the embedding.
"""

from __future__ import annotations

import string
from collections.abc import Callable

import numpy as np

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.data.sets import generator

#: What each draw is made from, beside the key.
_ADDING, _COPYING, _TEXT = range(10, 13)
#: Symbols of the copying task, and how many of them a sequence holds.
SYMBOLS, HELD = 8, 10
#: Characters that have a number of their own; all others share the last one.
CHARACTERS = "\n" + string.printable[:95] + "\0"
_OTHER = len(CHARACTERS) - 1
#: Outputs that each set asks for.
OUTPUTS = {"adding": 1, "copying": SYMBOLS, "characters": len(CHARACTERS)}


def adding(batch: int, length: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Make the adding problem (Hochreiter & Schmidhuber 1997, section 5.4), all sequences of one length T.

    Each step holds a value of U(-1, 1) and a marker. Two values X_1 and X_2 are marked with 1: one of the
    first ten steps, and another one of the first T/2 - 1; the first and the last step are marked with -1,
    all others with 0. The target is :math:`0.5 + (X_1 + X_2)/4`. Where the first step is the marked one,
    X_1 is 0, as in the paper.

    Returns
    -------
    x : ndarray, shape (batch, length, 2)
    y : ndarray, shape (batch,)
    """
    length = _at_least(6, batch, length)
    rng = generator(key, _ADDING)
    rows = np.arange(batch)
    value, marker = rng.uniform(-1, 1, (batch, length)), np.zeros((batch, length))
    half = length // 2 - 1
    one = rng.integers(0, min(10, half), batch)
    two = (one + rng.integers(1, half, batch)) % half  # any other of the first half
    marker[:, [0, -1]] = -1
    marker[rows, one] = marker[rows, two] = 1
    value[marker[:, 0] == 1, 0] = 0
    y = 0.5 + (value[rows, one] + value[rows, two]) / 4
    return np.stack([value, marker], -1), y


def copying(batch: int, length: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Make the memory behind the copying problem: ten symbols, a long blank, a mark; the label is the first symbol.

    In the manner of Hochreiter & Schmidhuber 1997 (section 5.2), where the first symbol of a sequence tells the
    last one; one label a sequence, so that every loss and readout takes it.

    Returns
    -------
    x : ndarray, shape (batch, length, 10)
        One-hot: eight symbols, blank, mark.
    y : ndarray of int, shape (batch,)
    """
    length = _at_least(HELD + 2, batch, length)
    symbols = generator(key, _COPYING).integers(0, SYMBOLS, (batch, HELD))
    symbols[:, 0] = np.arange(batch) % SYMBOLS  # balanced
    steps = np.full((batch, length), SYMBOLS)
    steps[:, :HELD], steps[:, -1] = symbols, SYMBOLS + 1
    return np.eye(SYMBOLS + 2)[steps], symbols[:, 0]


def characters(batch: int, length: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of the reference text that ships with Python (`pydoc_data.topics`); the label is the next character.

    Returns
    -------
    x : ndarray, shape (batch, length, 97)
        One-hot over `CHARACTERS`: newline, the printable characters of ASCII, and one for all others.
    y : ndarray of int, shape (batch,)
    """
    from pydoc_data.topics import topics

    length = _at_least(1, batch, length)
    text = "\n".join(topics[name] for name in sorted(topics))
    if length >= len(text):
        raise GradlabError(f"length below the text's {len(text)} characters", f"length={length}", "length=100")
    number = {c: i for i, c in enumerate(CHARACTERS)}
    tokens = np.array([number.get(c, _OTHER) for c in text])
    starts = generator(key, _TEXT).integers(0, len(tokens) - length, batch)
    windows = tokens[starts[:, None] + np.arange(length + 1)]
    return np.eye(len(CHARACTERS))[windows[:, :-1]], windows[:, -1]


def _at_least(least: int, batch: int, length: int) -> int:
    length = config.integer("length", length, least)
    config.check_product("steps of all sequences of a batch", config.MOST_POSITIONS, batch=batch, length=length)
    return length


#: Maker of each set: (batch, length, key) -> (x, y).
SEQUENCES: dict[str, Callable[[int, int, int], tuple[np.ndarray, np.ndarray]]] = {
    "adding": adding,
    "copying": copying,
    "characters": characters,
}
