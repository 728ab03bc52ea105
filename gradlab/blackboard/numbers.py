"""Numbers of a matrix as they are written by hand: equally many decimals, and one power of ten for all."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

import numpy as np

#: Where the largest entry lies between these, no power of ten is written before the matrix.
PLAIN = 0.01, 1e4


class Printed(NamedTuple):
    """Hold the text of each entry, to be multiplied by ten to the power `power`."""

    rows: list[list[str]]
    power: int


def printed(values: np.ndarray, digits: int) -> Printed:
    """Write a matrix of finite numbers.

    Parameters
    ----------
    values : ndarray, shape (rows, columns)
        The numbers. Each is rounded once, from its exact value.
    digits : int
        Significant digits of the largest. All entries have as many decimals as the largest, and fewer where that loses
        nothing. An entry that is not 0 but would be written as 0 is written with its own power of ten: ``3e-7``.
    """
    top = float(np.max(np.abs(values)))
    if top == 0:
        return Printed([["0"] * values.shape[1] for _ in range(values.shape[0])], 0)
    leading = math.floor(math.log10(top))
    power = 0 if PLAIN[0] <= top < PLAIN[1] else leading
    decimals = max(digits - 1 - (leading - power), 0)
    exact = [[Decimal(float(v)).scaleb(-power) for v in row] for row in values]
    while decimals and all(_loses_nothing(v, decimals - 1, power) for row in exact for v in row):
        decimals -= 1
    return Printed([[_entry(v, decimals) for v in row] for row in exact], power)


def _rounded(value: Decimal, decimals: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)


def _loses_nothing(value: Decimal, decimals: int, power: int) -> bool:
    """Say whether so many decimals give back the very double."""
    return float(_rounded(value, decimals).scaleb(power)) == float(value.scaleb(power))


def _entry(value: Decimal, decimals: int) -> str:
    if value == 0:
        return "0"
    short = _rounded(value, decimals)
    return f"{short:f}" if short else f"{value:.0e}"


def scalar(value: float, digits: int) -> tuple[str, int]:
    """Return one number and its power of ten."""
    rows, power = printed(np.array([[value]]), digits)
    return rows[0][0], power
