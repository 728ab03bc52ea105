"""What options take: from what a user writes to its canonical form, or an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from numbers import Integral, Real
from typing import Any, Literal

from gradlab._errors import GradlabError, unknown
from gradlab.config.bounds import MOST_MEASUREMENTS, MOST_VALUES, largest
from gradlab.config.names import resolve

#: A batch of all training examples.
ALL: Literal["all"] = "all"
#: From the name of an option and what a user wrote to its canonical form, or an error.
Check = Callable[[str, Any], Any]
#: How a norm that is left out is written in a grid, where None is the norm that an architecture has by default.
NO_NORM = "none"


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """`value` as an integer from `least` to `most` (None: the bound of the option), or an error that names it."""
    value, most = _scalar(value), largest(name) if most is None else most
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < least:
        raise GradlabError(f"{name} to be an integer of at least {least}", shown(value), f"{name}={least} or more")
    if value > most:
        raise GradlabError(f"{name} to be at most {most:,}", shown(value), f"a smaller {name}")
    return int(value)


def shown(value: Any) -> str:
    """Return a short text of a value, however long it is. Python refuses to print integers of more than 4300 digits."""
    if isinstance(value, Integral) and abs(value) >= 10**30:
        return f"about {'-' if value < 0 else ''}2^{int(value).bit_length() - 1}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def positive_integer(name: str, value: Any) -> int:
    """`value` as an integer of at least 1, or an error that names the option."""
    return integer(name, value, 1)


def batch_size(name: str, value: Any) -> int | Literal["all"]:
    """`value` as a number of examples, which may be written as text, or "all"."""
    if value == ALL:
        return ALL
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            raise GradlabError(f"{name} to be a number of examples or 'all'", shown(value), f"{name}=128") from None
    return integer(name, value, 1)


def number(name: str, value: Any, kind: str = "a positive number", usual: float | None = None) -> float:
    """`value` as a finite number of a kind; what is neither positive nor of at least 0 is checked where it is used."""
    value = _scalar(value)
    real = isinstance(value, Real) and not isinstance(value, bool) and _is_finite(value)
    in_range = {"a positive number": lambda v: v > 0, "a number of at least 0": lambda v: v >= 0}
    if not real or not in_range.get(kind, lambda _: True)(value):
        usual = (1 if kind == "a positive number" else 0) if usual is None else usual
        raise GradlabError(f"{name} to be {kind}", shown(value), f"{name}={usual}")
    return float(value)


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def boolean(name: str, value: Any) -> bool:
    """`value` as a truth value, or an error that names the option."""
    value = _scalar(value)
    if not isinstance(value, bool):
        raise GradlabError(f"{name} to be True or False", shown(value), f"{name}=True")
    return value


def _scalar(value: Any) -> Any:
    """Return a NumPy number as Python's own, so that both are written and hashed alike."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def non_negative(name: str, value: Any) -> float:
    """`value` as a finite number of at least 0, or an error that names the option."""
    return number(name, value, "a number of at least 0")


def below_1(name: str, value: Any) -> float:
    """`value` as a number of at least 0 and below 1, or an error that names the option."""
    value = non_negative(name, value)
    if value >= 1:
        raise GradlabError(f"{name} to be at least 0 and below 1", f"{value:g}", f"{name}=0.5")
    return value


def share(name: str, value: Any) -> float:
    """`value` as a number from 0 to 1, or an error that names the option."""
    value = non_negative(name, value)
    if value > 1:
        raise GradlabError(f"{name} to be at least 0 and at most 1", f"{value:g}", f"{name}=1")
    return value


def optional(check: Check) -> Check:
    """Return a check that takes None too."""
    return lambda name, value: None if value is None else check(name, value)


def one_or_each(check: Check) -> Check:
    """Return a check that takes one value for all layers, or a sequence with one for each."""
    each = lambda name, value: tuple(check(name, v) for v in many(value))
    return lambda name, value: each(name, value) if several(value) else check(name, value)


def named(kind: str, names: Sequence[str]) -> Check:
    """Return a check that takes a name of this kind, in any of its spellings."""
    return lambda name, value: resolve(kind, value, names)


def choice(*known: Any) -> Check:
    """Return a check that takes only these values."""

    def check(name: str, value: Any) -> Any:
        if value not in known:
            raise unknown(name, value, [k for k in known if k is not None])
        return value

    return check


def branch_scale(name: str, value: Any) -> float | str:
    """Return the scale of a branch as a number, or as the name of a rule; a number may be written as text."""
    if isinstance(value, str):
        spelled = value.replace(" ", "")
        if spelled in ("1/sqrt(L)", "1/L", "learned"):
            return spelled
        try:
            value = float(value)
        except ValueError:
            raise GradlabError(
                f"{name} to be a number, '1/sqrt(L)', '1/L' or 'learned'", shown(value), f"{name}='1/sqrt(L)'"
            ) from None
    return non_negative(name, value)


def norm_kind(*known: str) -> Check:
    """Return a check that takes one of these kinds of norm, or None, which may be written as "none" too."""
    check = choice(None, *known)
    return lambda name, value: check(name, None if isinstance(value, str) and value == NO_NORM else value)


def place(name: str, value: Any) -> str:
    """Return where a norm stands, "before" or "after"; "pre" and "post" are read as these."""
    return choice("before", "after")(name, _spelled(value))


def block_place(name: str, value: Any) -> str:
    """Return where a norm of a block stands: as `place`, or "peri", around the branch."""
    return choice("before", "after", "peri")(name, _spelled(value))


def _spelled(value: Any) -> Any:
    return {"pre": "before", "post": "after"}.get(value, value) if isinstance(value, str) else value


def several(value: Any) -> bool:
    """Return whether a user wrote several values: a list, a tuple, a range or an array, but not a name."""
    if isinstance(value, (str, bytes)):
        return False
    return isinstance(value, (Sequence, Iterator)) or getattr(value, "shape", ()) != ()


def many(value: Any, most: int = MOST_VALUES) -> tuple:
    """Return a coordinate of a grid as a tuple of at most `most` values; a single value is a grid of one."""
    if not several(value):
        return (value,)
    values = tuple(islice(value.tolist() if hasattr(value, "tolist") else value, most + 1))
    if len(values) > most:
        raise GradlabError(f"at most {most:,} values in one list", f"more, from {shown(values[0])} on", "fewer of them")
    return values


def seed_numbers(seeds: Any) -> Sequence[int]:
    """Numbers of the seeds: 0 ... seeds - 1 for a count; given numbers without repetition."""
    if not several(seeds):
        return range(positive_integer("seeds", seeds))
    numbers = tuple(dict.fromkeys(integer("seed", seed, 0) for seed in many(seeds, MOST_MEASUREMENTS)))
    if not numbers:
        raise GradlabError("seeds to be a count, or numbers of at least 0", "none", "seeds=5")
    return numbers
