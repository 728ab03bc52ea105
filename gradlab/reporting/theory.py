"""What mean field says of a run's networks, beside what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._text import markdown
from gradlab.config import DATASETS, Sweep
from gradlab.frames.predictions import BACKWARD, against_theory, predictions
from gradlab.frames.rows import network_hash
from gradlab.reporting import tables, words
from gradlab.reporting.origin import Origin
from gradlab.sweep.grid import from_values
from gradlab.sweep.provenance import inputs

#: Examples of a data set that are made again for a run that does not say what its inputs were.
_MOST_EXAMPLES = 10_000


def section(
    frames: Sequence[pd.DataFrame], rates: pd.DataFrame, labels: Sequence[str], origins: Sequence[Origin]
) -> str:
    """Measured rate, predicted rate, ratio and interval of every network; markdown.

    The deepest network of each configuration has a row of its own, the ratios of all stand against depth.

    Parameters
    ----------
    frames, rates, labels
        As in `gradlab.reporting.tables`.
    origins : sequence of Origin
        What each run says of itself: there the configurations stand, and what is known of the inputs.

    Returns
    -------
    str
        Empty where no network's configuration is known.
    """
    expected, begun = _expected(frames, rates, origins)
    if not expected:
        return ""
    found = [against_theory(own, expected).iloc[0] for own in frames]
    shown = tables.deepest(rates, labels)
    rows = [{"configuration": labels[i], "depth": found[i]["depth"], **_cells(found[i])} for i in shown]
    level = f"{100 * found[0]['level']:g} %"
    parts = [tables.markdown(pd.DataFrame(rows).set_index("configuration"))]
    parts.append(
        f"Measured over predicted, with the {level} interval over seeds of the measured rate. {begun} Finite width: by "
        "the term M/n; or, where theory has none, by the variances that each seed had."
    )
    if rates["depth"].nunique() > 1:
        all_depths = tables.against_depth(
            rates.assign(place=range(len(rates))), labels, lambda r: _ratio(found[r["place"]])
        )
        parts += [f"Measured over predicted at every depth, with its {level} interval:", tables.markdown(all_depths)]
    told: dict[str, list[str]] = {}
    refused: dict[str, list[str]] = {}
    for row, label in zip(found, labels, strict=True):
        if row["refused"]:
            refused.setdefault(row["refused"], []).append(label)
        else:
            told.setdefault(f"`{row['column']}`: {row['functional']}", []).append(label)
    for text, names in told.items():
        parts.append(f"Both rates are of {text}{f' ({_who(names, labels)})' if len(told) > 1 else ''}.")
    for why, names in refused.items():
        parts.append(f"No prediction for {_who(names, labels)}: {markdown(why)}.")
    return "\n\n".join(parts)


def _who(names: Sequence[str], labels: Sequence[str]) -> str:
    """The configurations that something is true of, with a remark where it is not of all their networks."""
    own = dict.fromkeys(names)
    some = {name for name in own if list(names).count(name) < list(labels).count(name)}
    return markdown("; ".join(f"{name} at some depths" if name in some else name for name in own))


def _ratio(row: pd.Series) -> str:
    """``1.002 [0.998, 1.006]``."""
    if not np.isfinite(row["ratio"]):
        return "–"
    interval = f" [{row['ratio_low']:.4f}, {row['ratio_high']:.4f}]" if np.isfinite(row["ratio_low"]) else ""
    return f"{row['ratio']:.4f}{interval}"


def _cells(row: pd.Series) -> dict[str, str]:
    ratio, _, interval = _ratio(row).partition(" ")
    return {
        "measured rate": words.paren(row["rate"], row["low"], row["high"]),
        "predicted rate": f"{row['predicted']:.4g}" if np.isfinite(row["predicted"]) else "–",
        "measured / predicted": ratio,
        "its interval": interval or "–",
        "finite width": {"M/n": "M/n", "measured q": "measured variances", "none": "no term"}.get(row["basis"], "–"),
    }


def _expected(
    frames: Sequence[pd.DataFrame], rates: pd.DataFrame, origins: Sequence[Origin]
) -> tuple[dict[str, Any], str]:
    """Predictions of the networks as far as their configurations are known, and a sentence on their inputs."""
    found: dict[str, Any] = {}
    begun = {}
    of: dict[str, pd.DataFrame] = {}
    for name, own in zip(map(str, rates["network"]), frames, strict=True):
        of.setdefault(name, own)  # the first of its steps
    for origin in origins:
        if not origin.asked:
            continue
        try:
            sweep = from_values(origin.asked)
        except Exception:  # of another version, or made by hand
            continue
        wanted = [c for c in sweep.configs() if network_hash(c) in of and network_hash(c) not in found]
        if wanted:
            options, text = _inputs(sweep, origin.noted.get("inputs"))
            begun[text] = None
            for config in wanted:
                found |= predictions(config, frame=of[network_hash(config)], columns=BACKWARD, **options)
    return found, " ".join(begun)


def _inputs(sweep: Sweep, noted: Mapping[str, Any] | None) -> tuple[dict[str, Any], str]:
    """Inputs with the mean squares of the run's own, as an option of `predictions`, and what they are.

    No file that a request names is opened: a run may come from somebody else.
    """
    if noted is None and sweep.data in DATASETS and sweep.batch <= _MOST_EXAMPLES:
        from gradlab.data import load

        names = ("batch", "loss", "target", "length", "q0", "c0", "key", "dtype")
        try:
            noted = inputs(load(sweep.data, **{name: getattr(sweep, name) for name in names}).x)
        except GradlabError:
            noted = None
    if noted is None:
        return {"q0": 1.0}, "The inputs are not at hand: predictions are for inputs of mean square 1."
    # all that a prediction of the rate knows of the inputs is how their mean squares lie
    square = np.asarray(noted["mean_squares"], float)
    text = f"Predictions are for the run's inputs, by {words.counted(len(square), 'quantile')} of their mean squares."
    return {"x": np.sqrt(square)[:, None] * np.ones(noted["features"])}, text
