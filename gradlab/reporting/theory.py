"""What mean field says of a run's networks, beside what was measured of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.config import NetworkConfig, Sweep
from gradlab.frames.predictions import BACKWARD, against_theory, predictions
from gradlab.frames.rows import network_hash
from gradlab.reporting import tables, words
from gradlab.sweep.grid import from_values

#: Examples whose mean squares stand for those of the batch.
_EXAMPLES = 8


def section(
    frames: Sequence[pd.DataFrame], rates: pd.DataFrame, labels: Sequence[str], requests: Mapping[str, Any]
) -> str:
    """Measured rate, predicted rate, ratio and interval of each configuration's deepest network; markdown.

    Parameters
    ----------
    frames, rates, labels
        As in `gradlab.reporting.tables`.
    requests : mapping
        What each run was asked for: there the configurations stand.

    Returns
    -------
    str
        Empty where no network's configuration is known.
    """
    shown = tables.deepest(rates, labels)
    expected, begun = _expected([str(rates["network"].iloc[i]) for i in shown], requests)
    if not expected:
        return ""
    rows, refused = [], {}
    for i in shown:
        row = against_theory(frames[i], expected).iloc[0]
        if row["refused"]:
            refused.setdefault(row["refused"], []).append(labels[i])
        rows.append((row, {"configuration": labels[i], "depth": row["depth"], **_cells(row)}))
    table = tables.markdown(pd.DataFrame([cells for _, cells in rows]).set_index("configuration"))
    level = f"{100 * rows[0][0]['level']:g} %"
    parts = [table, f"Measured over predicted, with the {level} interval over seeds of the measured rate. {begun}"]
    told: dict[str, list[str]] = {}
    for row, cells in rows:
        if row["functional"]:
            told.setdefault(f"`{row['column']}`: {row['functional']}", []).append(cells["configuration"])
    for text, names in told.items():
        who = "" if len(told) == 1 else f" ({words.escape('; '.join(names))})"
        parts.append(f"Both rates are of {text}{who}.")
    for why, names in refused.items():
        parts.append(f"No prediction for {words.escape('; '.join(names))}: {words.escape(why)}.")
    return "\n\n".join(parts)


def _cells(row: pd.Series) -> dict[str, str]:
    known = np.isfinite(row["predicted"]) and np.isfinite(row["ratio"])
    interval = f"[{row['ratio_low']:.4f}, {row['ratio_high']:.4f}]" if known and np.isfinite(row["ratio_low"]) else "–"
    return {
        "measured rate": words.paren(row["rate"], row["low"], row["high"]),
        "predicted rate": f"{row['predicted']:.4g}" if np.isfinite(row["predicted"]) else "–",
        "measured / predicted": f"{row['ratio']:.4f}" if known else "–",
        "its interval": interval,
    }


def _expected(names: Sequence[str], requests: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Predictions of these networks as far as their configurations are known, and a sentence on their inputs."""
    found: dict[str, Any] = {}
    begun = {}
    for request in requests.values():
        asked = request.get("request", request)
        if not asked:
            continue
        try:
            sweep = from_values(asked)
        except (GradlabError, TypeError, ValueError):  # of another version, or made by hand
            continue
        configs = {network_hash(config): config for config in sweep.configs()}
        wanted = [name for name in names if name in configs and name not in found]
        if wanted:
            squares, features, text = _inputs(sweep)
            begun[text] = None
            found |= {name: _prediction(configs[name], squares, features) for name in wanted}
    return found, " ".join(begun)


@functools.lru_cache(maxsize=512)
def _prediction(config: NetworkConfig, squares: tuple[float, ...], features: int | None) -> Any:
    """What theory expects of a network whose inputs have these mean squares."""
    if features is None:
        found = predictions(config, q0=squares[0], columns=BACKWARD)
    else:
        x = np.sqrt(np.array(squares))[:, None] * np.ones(features)
        found = predictions(config, x, columns=BACKWARD)
    return next(iter(found.values()))


def _inputs(sweep: Sweep) -> tuple[tuple[float, ...], int | None, str]:
    """Mean squares of examples, their features, and what they are."""
    from gradlab.data import load

    names = ("batch", "loss", "target", "length", "q0", "c0", "key", "dtype")
    try:
        x = np.asarray(load(sweep.data, **{name: getattr(sweep, name) for name in names}).x, float)
    except GradlabError:
        return (1.0,), None, "The inputs are not at hand: predictions are for inputs of mean square 1."
    square = np.sort(np.mean(x.reshape(len(x), -1) ** 2, axis=1))
    # the middle of each eighth: all that a prediction of the rate knows of the inputs is how their mean squares lie
    count = min(_EXAMPLES, len(square))
    places = ((np.arange(count) + 0.5) * len(square) / count).astype(int)
    text = f"Predictions are for the run's inputs, by {words.counted(count, 'quantile')} of their mean squares."
    return tuple(map(float, square[places])), int(np.prod(x.shape[1:])), text
