"""Predicted rates of a run's networks beside measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._text import markdown
from gradlab.config import DATASETS, Sweep
from gradlab.frames.predictions import predict_all
from gradlab.frames.rows import network_hash
from gradlab.frames.summaries import BACKWARD
from gradlab.frames.summaries import rates as rates_of
from gradlab.reporting import tables, words
from gradlab.reporting.origin import Origin
from gradlab.sweep.grid import from_values
from gradlab.sweep.provenance import inputs

#: What a rate is of, by the column that it was measured in.
POOLED = "all examples pooled"
MEANS: dict[str, str] = {"log10_delta_rms": POOLED, "delta_log10_mean": "each example by itself"}
#: Examples of a data set that are made again for a run that does not say what its inputs were.
_MOST_EXAMPLES = 10_000


@dataclass(frozen=True)
class Beside:
    """The page's tables of measured and predicted rates.

    Parameters
    ----------
    deepest : DataFrame
        A row for the deepest network of each configuration, with the letter of its note.
    all_depths : DataFrame or None
        Measured over predicted against depth, where there are several; a letter where the note is another.
    notes : mapping of str to str
        Letter -> what a rate is of, or why there is no prediction.
    text : str
        What the columns are.
    level : str
        Of the intervals.
    """

    deepest: pd.DataFrame
    all_depths: pd.DataFrame | None
    notes: Mapping[str, str]
    text: str
    level: str

    def markdown(self) -> str:
        """Write the section of the page."""
        parts = [tables.markdown(self.deepest), self.text]
        if self.all_depths is not None:
            parts.append(
                f"Measured over predicted at every depth; in parentheses half the width of its {self.level} interval:"
            )
            parts.append(tables.markdown(self.all_depths))
        parts.append("\n".join(f"- *{letter}*: {markdown(note)}." for letter, note in self.notes.items()))
        return "\n\n".join(parts)


def beside(
    frames: Sequence[pd.DataFrame], rates: pd.DataFrame, labels: Sequence[str], origins: Sequence[Origin]
) -> Beside | None:
    """Compare measured and predicted rates of all networks; None where no configuration is known.

    Parameters
    ----------
    frames, rates, labels
        As in `gradlab.reporting.tables`.
    origins : sequence of Origin
        What each run says of itself: there the configurations stand, and what is known of the inputs.
    """
    expected, begun = predictions(frames, rates, origins)
    if not expected:
        return None
    compared = rates_of(pd.concat(frames, ignore_index=True), theory=expected).to_dict("records")
    shown = tables.deepest(rates, labels)
    texts = [_note(row) for row in compared]
    order = dict.fromkeys(texts[i] for i in (*shown, *range(len(texts))))
    letters = {text: _letter(place) for place, text in enumerate(order)}
    means = {MEANS.get(compared[i]["column"], compared[i]["column"]) for i in shown if not compared[i]["refused"]}
    measured = f"measured rate, {next(iter(means))}" if len(means) == 1 else "measured rate"
    first = lambda i: {"configuration": labels[i], "depth": compared[i]["depth"]}
    rows = [{**first(i), **_cells(compared[i], measured), "note": letters[texts[i]]} for i in shown]
    usual = {labels[i]: texts[i] for i in shown}
    other = lambda i: "" if texts[i] == usual[labels[i]] else f" {letters[texts[i]]}"
    several = rates["depth"].nunique() > 1
    short = lambda row: words.paren(row["ratio"], row["ratio_low"], row["ratio_high"])
    cell = lambda row: short(compared[row["place"]]) + other(row["place"])
    all_depths = tables.against_depth(rates.assign(place=range(len(rates))), labels, cell) if several else None
    level = f"{100 * compared[0]['level']:g} %"
    pooled = "" if means <= {POOLED} else (
        " The tables above pool all examples, so that the largest deltas count most; here each example counts alike."
    )  # fmt: skip
    text = (
        f"Measured over predicted, with the {level} interval over seeds of the measured rate.{pooled} {begun} Finite "
        "width: by the term M/n; or, where theory has none, by the variances that each seed had. The notes say what "
        "both rates are of, or why there is no prediction."
    )
    notes = {letter: note for note, letter in letters.items()}
    return Beside(pd.DataFrame(rows).set_index("configuration"), all_depths, notes, text, level)


def _note(row: Mapping[str, Any]) -> str:
    """Say what both rates are, or why there is no prediction."""
    if row["refused"]:
        return f"no prediction: {row['refused']}"
    return f"{MEANS.get(row['column'], row['column'])} ({row['column']}): {row['functional']}"


def _letter(place: int) -> str:
    """Return the letter of a note: a, b, …, z, aa, ab, …"""
    return (_letter(place // 26 - 1) if place >= 26 else "") + chr(ord("a") + place % 26)


def _ratio(row: Mapping[str, Any]) -> str:
    """Write a ratio with its interval: ``1.002 [0.998, 1.006]``."""
    if not np.isfinite(row["ratio"]):
        return "–"
    interval = f" [{row['ratio_low']:.4f}, {row['ratio_high']:.4f}]" if np.isfinite(row["ratio_low"]) else ""
    return f"{row['ratio']:.4f}{interval}"


def _cells(row: Mapping[str, Any], measured: str) -> dict[str, str]:
    ratio, _, interval = _ratio(row).partition(" ")
    return {
        measured: words.paren(row["rate"], row["low"], row["high"]),
        "predicted rate": f"{row['predicted']:.4g}" if np.isfinite(row["predicted"]) else "–",
        "measured / predicted": ratio,
        "its interval": interval or "–",
        "finite width": {"M/n": "M/n", "measured q": "measured variances", "none": "no term"}.get(row["basis"], "–"),
    }


def predictions(
    frames: Sequence[pd.DataFrame], rates: pd.DataFrame, origins: Sequence[Origin]
) -> tuple[dict[str, Any], str]:
    """Predict the networks whose configurations are known; return a sentence on their inputs, too."""
    predicted: dict[str, Any] = {}
    begun = {}
    frame_of: dict[str, pd.DataFrame] = {}
    for name, rows in zip(map(str, rates["network"]), frames, strict=True):
        frame_of.setdefault(name, rows)  # the first of its steps
    for origin in origins:
        if not origin.asked:
            continue
        try:
            sweep = from_values(origin.asked)
        except Exception:  # of another version, or made by hand
            continue
        wanted = [c for c in sweep.configs() if network_hash(c) in frame_of and network_hash(c) not in predicted]
        if wanted:
            options, text = _inputs(sweep, origin.noted.get("inputs"))
            begun[text] = None
            for config in wanted:
                predicted |= predict_all(config, frame=frame_of[network_hash(config)], columns=BACKWARD, **options)
    return predicted, " ".join(begun)


def _inputs(sweep: Sweep, noted: Mapping[str, Any] | None) -> tuple[dict[str, Any], str]:
    """Return inputs with the mean squares of the run's, as an option of `predict_all`, and a sentence on them.

    No file that a request names is opened: a run may come from somebody else.
    """
    is_few = isinstance(sweep.batch, int) and sweep.batch <= _MOST_EXAMPLES
    if noted is None and sweep.data in DATASETS and is_few:
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
