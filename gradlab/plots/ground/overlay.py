"""Theory's lines over measured ones, of the same functional, and in words what they are and where there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.frames.predictions import NOT_PREDICTED, TRAINED, counterpart
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import Canvas
from gradlab.plots.ground.styles import Looks, shaded
from gradlab.plots.ground.tables import lines, matching
from gradlab.theory.refusal import Refusal

if TYPE_CHECKING:
    from gradlab.theory.prediction import Prediction

#: Finer than any kind of line that tells networks apart.
_DASHES = (0, (2.5, 1.5))
#: Networks that a caption names before it counts them.
_NAMED = 3
#: Why a line is not drawn beside a mean of another kind.
_OTHER_MEAN = (
    "its line is a geometric mean over seeds, theory's a root mean square, and over these seeds the two are more than "
    "0.05 decades apart"
)
#: Decades by which a geometric mean over seeds and a root mean square may differ in a figure: the width of a line.
_APART = 0.05
#: What theory gives absolutely; the rest is relative to the last hidden layer.
ABSOLUTE: tuple[str, ...] = ("log10_preactivation_rms", "log10_activation_rms", "log10_one_minus_c")


class Overlay:
    """Predictions to be drawn over a frame's lines; it gathers what the caption says.

    Parameters
    ----------
    theory : Prediction, Refusal, or mapping of these by network
        What theory expects of the networks.
    frame : DataFrame
        A single prediction stands for all its networks: of these there must be one.
    """

    def __init__(self, theory: Any, frame: pd.DataFrame):
        if not isinstance(theory, Mapping):
            names = frame["network"].astype(str).unique()
            if len(names) != 1:
                raise GradlabError(
                    "a prediction for each network", f"one for {len(names)}", "theory=gl.predict_all(sweep)"
                )
            theory = {names[0]: theory}
        for prediction in theory.values():
            if not (isinstance(prediction, Refusal) or hasattr(prediction, "functional")):
                raise GradlabError("predictions", type(prediction).__name__, "theory=gl.predict_all(sweep)")
        self.theory: Mapping[str, Prediction | Refusal] = theory
        self.networks = frame["network"].nunique()
        # text -> column -> networks of which it is true
        self.functional: dict[str, dict[str, list[str]]] = {}
        self.refused: dict[str, dict[str, list[str]]] = {}

    def draw(
        self, sheet: Canvas, ax: Any, rows: pd.DataFrame, means: pd.DataFrame, column: str, keys: Sequence[str], x: str,
        looks: Looks,
    ) -> None:  # fmt: skip
        """Draw the predicted line of each network in its colour; relative columns begin at the measured last layer."""
        from matplotlib.lines import Line2D

        for key, line in lines(rows, keys):
            name, depth = str(line["network"].iloc[0]), int(line["depth"].iloc[0])
            values, text = predicted_line(self.theory.get(name, NOT_PREDICTED), line, column)
            if values is None:
                _note(self.refused, text, column, key)
                continue
            layer = np.arange(1, depth + 1)
            at = layer if x == "layer" else depth + 1 - layer
            if column not in ABSOLUTE:
                last = matching(means, {**key, x: at[-1]})["mean"]
                values = values + (float(last.iloc[0]) if len(last) else np.nan)
            _note(self.functional, text, column, key)
            colour = shaded(looks.of(key)["color"])
            ax.plot(at, values, color=colour, linestyle=_DASHES, zorder=4, gid="theory")
            sheet.notes["theory"] = Line2D([], [], color="black", linestyle=_DASHES)

    @property
    def caption(self) -> str:
        """Say what the dashed lines are, and why some are not there."""
        parts = []
        for text, columns in self.functional.items():
            anchored = "" if set(columns) <= set(ABSOLUTE) else ", set to the measured value there"
            parts.append(f"Dashed, darker: theory; for {self._named(columns)}: {text}{anchored}.")
        parts += [f"No line of theory for {self._named(columns)}: {why}." for why, columns in self.refused.items()]
        return " ".join(parts)

    def _named(self, columns: Mapping[str, list[str]]) -> str:
        """Name the columns, and the networks where it is not all of them."""
        parts = []
        for column, names in columns.items():
            shown = names if len(names) <= _NAMED else [*names[:_NAMED], f"{len(names) - _NAMED} more"]
            whose = "" if len(names) == self.networks else f" ({words.listed(shown)})"
            parts.append(f"{words.described(column)}{whose}")
        return words.listed(parts)


def predicted_line(prediction: Prediction | Refusal, line: pd.DataFrame, column: str) -> tuple[np.ndarray | None, str]:
    """Return what theory expects of a column in each hidden layer of one network, and which mean that is.

    Parameters
    ----------
    found : Prediction or Refusal
        What theory says of the network.
    own : DataFrame
        The network's rows in hidden layers, of all seeds and one step.
    column : str
        A measured column. Those that are not in `ABSOLUTE` are relative to the last hidden layer, whose value is 0.

    Returns
    -------
    values : ndarray of shape (depth,), or None
        None where theory has no line.
    text : str
        Which mean the line is, or why there is none.
    """
    depth = int(line["depth"].iloc[0])
    if "step" in line and (line["step"] != 0).any():
        prediction = TRAINED
    same = counterpart(column, int(line["batch"].iloc[0]) if "batch" in line else 0) or column
    if isinstance(prediction, Refusal) or same not in prediction.columns:
        why = prediction if isinstance(prediction, Refusal) else prediction.refused.get(same)
        return None, str(why or "theory has no curve for this column")
    if same != "delta_log10_mean" and _apart(line, column, depth) > _APART:
        return None, _OTHER_MEAN
    return np.asarray(prediction.columns[same], float)[:depth], prediction.functional[same]


def _apart(line: pd.DataFrame, column: str, depth: int) -> float:
    """Return the decades between theory's mean over seeds and the geometric mean that is drawn, in the worst layer."""
    table = line.pivot_table(index="seed", columns="layer", values=column, observed=True).to_numpy(float)
    table = table[np.isfinite(table).all(1)]
    if len(table) < 2:
        return 0.0
    power = 1 if column == "log10_one_minus_c" else 2
    logs = power * np.log(10) * (table - table.mean(0))
    gaps = (np.logaddexp.reduce(logs, axis=0) - np.log(len(table))) / (power * np.log(10))
    if column not in ABSOLUTE:
        gaps = gaps - gaps[-1]
    return float(np.abs(gaps[:depth]).max())


def _note(into: dict[str, dict[str, list[str]]], text: str, column: str, key: Mapping[str, Any]) -> None:
    """Remember that a text is true of a column of the network with these coordinates."""
    name = " ".join(words.entry(n, v) for n, v in key.items() if n != "network")
    into.setdefault(text, {}).setdefault(column, []).append(name)
