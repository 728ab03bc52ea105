"""Exponents of a coordinate check: how fast each layer's changes grow with the width or the depth."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from gradlab._errors import GradlabError, unknown
from gradlab.networks.parametrization import UPDATE_SIZES
from gradlab.theory.width import width_exponents

#: What is fitted where nothing is asked for.
COLUMNS = ("log10_change_rms", "log10_weight_effect_rms", "log10_carried_rms")
#: Half of the smallest exponent but 0 that theory knows: an exponent this near to 0 is none.
LINE = 0.25
#: What a row of `exponents` may say.
VERDICTS = ("stable", "grows", "dies", "undetermined", "zero")
#: What describes a training in the frame of a coordinate check.
_SETTING = ("architecture", "parametrization", "optimizer", "learning_rate")


class KnownException(NamedTuple):
    """A product whose exponent is another than its parametrization promises, and why.

    Parameters
    ----------
    where : str
        Pattern for the name of its layer.
    columns : tuple of str
        Of which columns.
    update : str
        "gradient" or "entrywise": the optimisers that it is true of; empty for all of them.
    exponent : float
        What is expected.
    why : str
        The reason, as a sentence.
    """

    where: str
    columns: tuple[str, ...]
    update: str
    exponent: float
    why: str


#: Where a layer of a network in the maximal update parametrization is expected to change otherwise than its others.
EXCEPTIONS: tuple[KnownException, ...] = (
    KnownException(
        r"(^|/)(query|key)$", ("log10_weight_effect_rms",), "gradient", -0.5,
        "queries and keys are independent at first, so that what their gradients are made of adds up at random",
    ),
)  # fmt: skip


def exponents(
    frame: pd.DataFrame, over: Literal["width", "depth"] = "width", *, columns: tuple[str, ...] | list[str] = COLUMNS
) -> pd.DataFrame:
    """Fit by which power of the width, or of the depth, each layer's changes grow.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.coordinate_check`, or several of them joined.
    over : {"width", "depth"}
        What the changes are fitted against. Over the depth the blocks of a network are pooled: layers whose names
        differ in their numbers alone are one row, by the mean square.
    columns : sequence of str
        Columns to fit.

    Returns
    -------
    DataFrame
        A row for each training, step, layer and column: ``slope low high n`` over seeds, the ``expected`` exponent
        where it is known, the ``verdict`` and a ``note``. A slope is that of the straight line through log10 of all
        widths, for each seed; its interval is Student's at 95 %.

    Raises
    ------
    GradlabError
        A frame without these columns, or with one width alone.

    Notes
    -----
    ``stable``: the whole interval is nearer to 0 than to 1/2, the smallest exponent that theory knows. ``grows`` and
    ``dies``: the whole interval is beyond. ``undetermined``: it reaches across, or there is one seed. ``zero``: the
    change is exactly 0, as what is carried into the first layer is.

    What is expected over the width is 0 with "mup" for every network; for a fully connected one after the first step
    `gradlab.theory.width_exponents` says it for "standard" and "ntk" too. The known exceptions stand in
    `gradlab.frames.exponents.EXCEPTIONS`, with their reasons.

    Examples
    --------
    >>> import gradlab as gl, numpy as np
    >>> x, y = np.random.default_rng(0).normal(size=(8, 10)).astype("float32"), np.arange(8) % 2
    >>> make = lambda width: gl.MLP(depth=1, width=width, parametrization="mup")
    >>> table = gl.exponents(gl.coordinate_check(make, (x, y), widths=(256, 512, 1024), steps=1, seeds=4))
    >>> table.set_index(["layer_name", "column"])["verdict"]["readout", "log10_change_rms"]
    'stable'
    """
    if over not in ("width", "depth"):
        raise unknown("what to fit over", over, ("width", "depth"))
    for name in (over, "seed", "step", "layer_name", *columns):
        if name not in frame.columns:
            raise unknown("column", name, map(str, frame.columns))
    other = "depth" if over == "width" else "width"
    settings = [n for n in (*_SETTING, other) if n in frame.columns and not (n == other and frame[n].isna().all())]
    frame = frame if over == "width" else _pooled(frame, [*settings, over, "seed", "step"], columns)
    keys = [*settings, "step", "layer", "layer_name"]
    rows: list[dict[str, Any]] = []
    for values, group in frame.groupby(keys, sort=False, dropna=False, observed=True):
        what = dict(zip(keys, values, strict=True))
        for column in columns:
            expected, note = _expected(what, column, over)
            fit = _fit(group, over, column)
            rows.append({**what, "column": column, **fit, "expected": expected, "note": fit["note"] or note})
    return pd.DataFrame(rows).sort_values([*settings, "step", "column", "layer"], ignore_index=True, kind="stable")


def _fit(group: pd.DataFrame, over: str, column: str) -> dict[str, Any]:
    """Return the slope over seeds with its interval, and the verdict."""
    nothing = {"slope": np.nan, "low": np.nan, "high": np.nan, "n": 0, "verdict": "undetermined", "note": ""}
    if np.isneginf(group[column]).all():
        return nothing | {"verdict": "zero"}
    table = group.pivot(index="seed", columns=over, values=column).to_numpy(float)
    sizes = np.log10(np.sort(group[over].unique()).astype(float))
    if len(sizes) < 2:
        raise GradlabError(
            f"two {over}s or more", f"one {over}", f"gl.coordinate_check(make, batch, {over}s=(64, 128))"
        )
    table = table[np.isfinite(table).all(1)]
    if not len(table):
        return nothing | {"note": "a change is 0 or not finite at some width"}
    centred = sizes - sizes.mean()
    slopes = table @ centred / np.sum(centred**2)
    n, slope = len(slopes), float(slopes.mean())
    if n == 1:
        return nothing | {"slope": slope, "n": 1, "note": "one seed has no interval"}
    half = float(stdtrit(n - 1, 0.975) * slopes.std(ddof=1) / n**0.5)
    low, high = slope - half, slope + half
    verdict = "grows" if low > LINE else "dies" if high < -LINE else "undetermined"
    verdict = "stable" if low > -LINE and high < LINE else verdict
    return {"slope": slope, "low": low, "high": high, "n": n, "verdict": verdict, "note": ""}


def _expected(what: dict[str, Any], column: str, over: str) -> tuple[float, str]:
    """Return the exponent that theory expects, NaN where it is not known, and why it is an exception."""
    parametrization, optimizer = what.get("parametrization", ""), what.get("optimizer", "")
    if over != "width" or column not in COLUMNS:
        return np.nan, ""
    if parametrization == "mup":
        for one in EXCEPTIONS:
            kind = not one.update or UPDATE_SIZES.get(optimizer) == one.update
            if kind and column in one.columns and re.search(one.where, what["layer_name"]):
                return one.exponent, one.why
        return (-np.inf if column == "log10_carried_rms" and what["layer"] == 1 else 0.0), ""
    plain = what.get("architecture") == "mlp" and what["step"] == 1 and optimizer in UPDATE_SIZES
    if parametrization in ("standard", "ntk") and plain:
        known = width_exponents(parametrization, optimizer=optimizer, depth=int(what["depth"]))
        return float(known[column][what["layer"] - 1]), ""
    return np.nan, ""


def _pooled(frame: pd.DataFrame, keys: list[str], columns: Any) -> pd.DataFrame:
    """Return the rows of layers whose names differ in numbers alone as one, by the mean square."""
    names = frame["layer_name"].map(lambda name: re.sub(r"\d+", "*", name))
    order = {name: i for i, name in enumerate(dict.fromkeys(names), 1)}

    def log10_mean_square(logs: pd.Series) -> float:
        values = logs.to_numpy(float)
        top = values.max()
        return top if not np.isfinite(top) else top + 0.5 * np.log10(np.mean(10 ** (2 * (values - top))))

    grouped = frame.assign(layer_name=names).groupby([*keys, "layer_name"], sort=False, dropna=False, observed=True)
    table = grouped[list(columns)].agg(log10_mean_square).reset_index()
    return table.assign(layer=table["layer_name"].map(order))
