"""The formats of floating-point numbers: the one table that measurement, diagnosis and figures read."""

from __future__ import annotations

import math
from typing import NamedTuple

from gradlab._errors import unknown


class Format(NamedTuple):
    """A format of floating-point numbers.

    Parameters
    ----------
    digits : int
        Bits behind the leading one.
    normal : int
        log2 of the smallest normal number, from which on a number has all its digits.
    largest : float
        The largest finite number.
    """

    digits: int
    normal: int
    largest: float

    @property
    def smallest(self) -> int:
        """Return log2 of the smallest positive number, which is subnormal: of one digit."""
        return self.normal - self.digits

    @property
    def beyond(self) -> int:
        """Return log2 of the first power of two above the largest number."""
        return math.frexp(self.largest)[1]


#: IEEE 754 for float32 and float16; Kalamkar et al. 2019 for bfloat16; Micikevicius et al. 2022 for the two of 8 bits.
FORMATS: dict[str, Format] = {
    "float32": Format(23, -126, (2 - 2.0**-23) * 2.0**127),
    "bfloat16": Format(7, -126, (2 - 2.0**-7) * 2.0**127),
    "float16": Format(10, -14, 65504.0),
    "float8_e4m3": Format(3, -6, 448.0),
    "float8_e5m2": Format(2, -14, 57344.0),
}
#: Formats whose numbers are held in float32 where they are computed with.
SHORT_FORMATS: tuple[str, ...] = tuple(name for name in FORMATS if name != "float32")


def held_in(dtype: str) -> str:
    """Return the dtype of the arrays that hold numbers of a format: float32 for a shorter one.

    Parameters
    ----------
    dtype : str
        "float64", or a name of `FORMATS`.
    """
    if dtype not in ("float64", *FORMATS):
        raise unknown("dtype", dtype, ("float64", *FORMATS))
    return "float32" if dtype in SHORT_FORMATS else dtype
