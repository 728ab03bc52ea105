"""Theory's lines over measured ones, of the same functional, and in words what they are and where there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots import words
from gradlab.plots.canvas import Canvas
from gradlab.plots.styles import NEUTRAL, Looks
from gradlab.plots.tables import lines, matching

if TYPE_CHECKING:
    from gradlab.theory.prediction import Prediction

#: Finer than any kind of line that tells networks apart.
_DASHES = (0, (2.5, 1.5))
#: What theory gives absolutely; the rest is relative to the last hidden layer.
ABSOLUTE: tuple[str, ...] = ("log10_preactivation_rms", "log10_activation_rms", "log10_one_minus_c")


class Overlay:
    """Predictions to be drawn over a frame's lines; it gathers what the caption says.

    Parameters
    ----------
    theory : Prediction, text, or mapping of these by network
    frame : DataFrame
        A single prediction stands for all its networks: of these there must be one.
    """

    def __init__(self, theory: Any, frame: pd.DataFrame):
        if not isinstance(theory, Mapping):
            names = frame["network"].astype(str).unique()
            if len(names) != 1:
                raise GradlabError(
                    "a prediction for each network", f"one for {len(names)}", "theory=gl.predictions(sweep)"
                )
            theory = {names[0]: theory}
        for found in theory.values():
            if not (isinstance(found, str) or hasattr(found, "functional")):
                raise GradlabError("predictions", type(found).__name__, "theory=gl.predictions(sweep)")
        self.theory: Mapping[str, Prediction | str] = theory
        self.functional: dict[str, set[str]] = {}
        self.refused: dict[str, list[str]] = {}

    def draw(
        self, board: Canvas, ax: Any, rows: pd.DataFrame, means: pd.DataFrame, column: str, keys: Sequence[str], x: str,
        looks: Looks,
    ) -> None:  # fmt: skip
        """The predicted line of each network, in its colour; relative columns begin at the measured last layer."""
        from matplotlib.lines import Line2D

        for key, own in lines(rows, keys):
            name, depth = str(own["network"].iloc[0]), int(own["depth"].iloc[0])
            found = self.theory.get(name, "no prediction was given")
            if "step" in own and (own["step"] != 0).any():
                found = "theory is one of random weights, these are trained"
            if isinstance(found, str) or column not in found.columns:
                self._refuse(found if isinstance(found, str) else found.refused.get(column), column, key)
                continue
            layer = np.arange(1, depth + 1)
            at = layer if x == "layer" else depth + 1 - layer
            values = np.asarray(found.columns[column], float)[:depth]
            if column not in ABSOLUTE:
                last = matching(means, {**key, x: at[-1]})["mean"]
                values = values + (float(last.iloc[0]) if len(last) else np.nan)
            self.functional.setdefault(found.functional[column], set()).add(column)
            ax.plot(at, values, color=looks.of(key)["color"], linestyle=_DASHES, zorder=4, gid="theory")
            board.notes["theory"] = Line2D([], [], color=NEUTRAL, linestyle=_DASHES)

    def _refuse(self, why: str | None, column: str, key: Mapping[str, Any]) -> None:
        name = words.listed(words.entry(n, v) for n, v in key.items() if n != "network")
        who = f"{words.described(column)}{f' of {name}' if name else ''}"
        self.refused.setdefault(why or "theory has no curve for this column", []).append(who)

    @property
    def caption(self) -> str:
        """What the dashed lines are, and why some are not there."""
        parts = []
        for text, columns in self.functional.items():
            names = words.listed(words.described(c) for c in sorted(columns))
            anchored = "" if columns <= set(ABSOLUTE) else ", set to the measured value there"
            parts.append(f"Dashed: theory; for {names}: {text}{anchored}.")
        for why, who in self.refused.items():
            shown = who if len(who) <= 3 else [*who[:3], f"{len(who) - 3} more"]
            parts.append(f"No line of theory for {words.listed(shown)}: {why}.")
        return " ".join(parts)
