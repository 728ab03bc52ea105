"""Names of classes as labels 0, 1, 2, ..., in the order of the alphabet."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gradlab._errors import GradlabError, note

#: Text that is a number with a decimal comma.
_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
#: Text that is a number.
_NUMBER = re.compile(r"\s*[+-]?\d*\.?\d+([eE][+-]?\d+)?\s*")
#: Classes that a note spells out.
_SHOWN = 12


def is_text(values: Any) -> bool:
    """Return whether an array, a list or a column holds text."""
    dtype = getattr(values, "dtype", None)
    if dtype is None and isinstance(values, (list, tuple)):
        return bool(values) and all(isinstance(v, str) for v in values)
    if getattr(dtype, "kind", "") == "U":
        return True
    return getattr(dtype, "kind", "") == "O" and any(isinstance(v, str) for v in np.ravel(np.asarray(values)))


def decimal_comma(values: Any) -> str:
    """Return a hint where some of the text is numbers with a decimal comma; else an empty text."""
    some = next((v for v in values if isinstance(v, str) and _COMMA.fullmatch(v)), None)
    return "" if some is None else f"decimal points instead of decimal commas: {some.strip().replace(',', '.')}"


def numbered(values: Any, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels of the classes that text names, and the names: label i is the i-th name.

    Parameters
    ----------
    values : array of str, shape (examples,) or (examples, 1)
        Labels as text; their order in the alphabet gives the numbers.
    name : str
        What a message calls them.

    Raises
    ------
    GradlabError
        Text that is missing, that is numbers with decimal commas, or that is another one for most examples.
    """
    values = np.asarray(values, object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise GradlabError(f"one class for each example in {name}", f"text of shape {values.shape}", "one column")
    comma = decimal_comma(values)
    if comma:
        raise GradlabError(f"numbers or names of classes in {name}", f"such as {values[0]!r}", comma)
    missing = [i for i, v in enumerate(values) if not isinstance(v, str)]
    if missing:
        received = f"{len(missing)} examples without one, the first is example {missing[0]}"
        raise GradlabError(f"a class for each example in {name}", received, "dropping or filling those examples")
    if all(_NUMBER.fullmatch(v) for v in values):
        received = f"text that is numbers, such as {values[0]!r}"
        raise GradlabError(f"numbers in {name}, or names of classes", received, f"{name}.astype(float)")
    names, labels = np.unique(values.astype(str), return_inverse=True)
    if len(names) > max(2, len(values) // 2):
        received = f"{len(names)} different texts for {len(values)} examples"
        raise GradlabError(f"names of classes in {name}", received, "another column as the target")
    shown = ", ".join(f"{text} = {i}" for i, text in enumerate(names[:_SHOWN]))
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    note(f"{name} names classes: {shown}{more}")
    return labels.astype(np.int64), tuple(map(str, names))
