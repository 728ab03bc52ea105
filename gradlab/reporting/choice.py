"""Choose the figures of a page and their rows; the caption names what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab import plots
from gradlab.plots.ground.facets import MOST_COLUMNS, MOST_LINES, MOST_ROWS, Arrangement, arrange, factors
from gradlab.plots.ground.styles import usual_preset
from gradlab.plots.ground.tables import of_networks as own_width
from gradlab.plots.ground.tables import some_layers
from gradlab.plots.layers.forest import row_height, row_name
from gradlab.plots.layers.gradient_flow import SIGNALS
from gradlab.plots.training.sharpness import VALUES as CURVATURE
from gradlab.plots.training.training_curves import ACCURACY, LOSS
from gradlab.reporting import tables, words
from gradlab.reporting.figures import Figure

#: Title of the figure that opens a page.
OPENING = "Decades and verdicts"
#: Figures whose numbers are each network's decades.
OF_DECADES = ("forest", "gradient_flow", "rate_against_depth", "heatmap")
#: The two ends of a training.
ENDS = ("first step", "last step")
#: Steps have an axis, or are light and dark.
_STEPS = ("step",)
#: The score of trainings, in words.
_LOSS = "the loss at the end"
#: Inches that the rows of a forest plot may take on a page; on a slide its type is larger, so that fewer rows fit.
HEIGHT_OF_A_FOREST = {"paper": 6.8, "slide": 1.5}
#: Most rows and columns of panels, and most lines of one panel.
_PANEL_ROWS, _PANEL_COLUMNS = {"paper": MOST_ROWS, "slide": 1}, {"paper": MOST_COLUMNS, "slide": 2}
_PANEL_LINES = {"paper": MOST_LINES, "slide": 4}


def opening(rates: pd.DataFrame) -> list[Figure]:
    """Return the figure that opens a page: the decades of every network, with the zones of the verdicts."""
    return [Figure("forest", OPENING, lambda: _forest(rates))] if rates["rate"].notna().any() else []


def of_networks(frame: pd.DataFrame, rates: pd.DataFrame, labels: Sequence[str]) -> list[Figure]:
    """List the figures of networks, for trainings at their first and at their last step.

    Parameters
    ----------
    frame, rates : DataFrame
        The rows of a run, and its rates as `gradlab.rates` returns them.
    labels : sequence of str
        The configuration of each row of `rates`, in words.

    Returns
    -------
    list of Figure
        Empty where nothing was measured; without those of decades where no delta was.
    """
    judged = bool(rates["rate"].notna().any())
    if not judged and ("log10_delta_rms" in frame or not any(column in frame for column in SIGNALS)):
        return []
    frame = with_decades(frame, rates, labels)
    measured = frame[frame["layer"] >= 1]
    lost = _failures(frame)
    figures = [Figure("gradient_flow", "Signal, delta and weight gradient by layer", lambda: _flow(measured, lost))]
    if judged and rates["depth"].nunique() > 1:
        figures.append(Figure("rate_against_depth", "Rate against depth", lambda: _rates(measured, lost)))
        if rates["depth"].nunique() < len(rates["network"].unique()):
            figures.append(Figure("heatmap", "First over last delta", lambda: _map(measured, lost)))
    return figures


def of_training(frame: pd.DataFrame) -> list[Figure]:
    """List the figures along a training: loss and accuracy, and how fast each layer learns.

    Parameters
    ----------
    frame : DataFrame
        All steps.

    Returns
    -------
    list of Figure
        Empty where there is one step, or nothing was measured.
    """
    measured = frame[(frame["layer"] >= 1) | (frame["layer_name"] == "cell")]  # a recurrent one has the weights
    if frame["step"].nunique() < 2 or measured.empty:
        return []
    known = lambda *columns: [c for c in columns if c in measured and measured[c].notna().any()]
    figures = []
    if known(*LOSS, *ACCURACY):
        figures.append(Figure("training_curves", "Loss and accuracy", lambda: _curves(measured)))
    if known(*CURVATURE) and known(LOSS[0]) and "sharpness_threshold" in measured:
        figures.append(Figure("sharpness", "Loss and sharpness", lambda: _sharpness(measured)))
    speed, ratio = plots.learning_speed, plots.update_ratio
    for column in known("log10_weight_grad_norm", "log10_delta_rms")[:1]:
        make = lambda column=column: _layers(measured, speed, value=column)
        draw = lambda column=column: _layers(measured, plots.layer_map, lines=False, value=column)
        figures.append(Figure("layer_map", "Gradient of each layer, step by step", draw))
        figures.append(Figure("learning_speed", "How fast each layer learns", make))
    if known("log10_update_ratio"):
        figures.append(Figure("update_ratio", "Updates over weights", lambda: _layers(measured, ratio)))
    return figures


def with_decades(frame: pd.DataFrame, rates: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Return the frame with two more columns, decades and configuration, and with the end of the training."""
    names = tables.keys(frame)
    facts = rates[[*names, "decades"]].assign(configuration=list(labels))
    plain = {name: object for name in names if isinstance(frame[name].dtype, pd.CategoricalDtype)}
    merged = frame[names].astype(plain).merge(facts.astype(plain), on=names, how="left")
    frame = frame.assign(decades=merged["decades"].to_numpy(), configuration=merged["configuration"].to_numpy())
    frame = with_ends(frame)
    # what is held in a figure is decided by what the training led to
    return frame.assign(final=frame["decades"].where(frame["end"] == ENDS[1]) if "end" in frame else frame["decades"])


def with_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the column `end`, first or last step, where there are several steps."""
    if frame["step"].nunique() < 2:
        return frame
    others = [name for name in tables.keys(frame) if name != "step"]
    first = frame["step"] == frame.groupby(others, observed=True, dropna=False)["step"].transform("min")
    ends = pd.Categorical(np.where(first, *ENDS), categories=ENDS)
    return frame.assign(end=ends)


def _failures(frame: pd.DataFrame) -> str:
    """Return a sentence on networks that failed before anything was measured."""
    failed = frame.loc[frame["layer"] < 1, ["configuration", "seed"]].drop_duplicates()
    seeds = failed["configuration"].astype(str).value_counts(sort=False)
    names = "; ".join(f"{count} seeds of {name}" for name, count in seeds.items())
    return f"Not drawn, because nothing of them could be measured: {names}." if names else ""


def _deepest(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the rows of the deepest networks, and a sentence that says so where there are others."""
    if rows["depth"].nunique() < 2:
        return rows, ""
    others, _ = factors(own_width(rows), ("depth", *_STEPS))
    groups = rows.groupby(others, observed=True, dropna=False)["depth"] if others else rows["depth"]
    rows = rows.loc[rows["depth"] == (groups.transform("max") if others else groups.max()), :]
    depths = words.listed([str(depth) for depth in sorted(rows["depth"].unique())])
    return rows, f"Only the deepest network of each configuration is drawn, of {depths} layers."


def _forest(rates: pd.DataFrame) -> tuple[Any, str]:
    """Draw all networks, of trainings the deepest; of very many as many as a page holds, evenly spaced."""
    table, which = rates, ""
    if rates["step"].nunique() > 1:
        table, which = _deepest(rates)
        table = with_ends(table).drop(columns="step")
    shade = "end" if "end" in table else "depth"
    names, _ = factors(table, (shade, *_STEPS))
    if names:
        last = table.sort_values(shade).groupby(names, observed=True, dropna=False).tail(1)
        last = last.dropna(subset="decades").sort_values("decades")
        heights = [row_height(row_name(key), table[shade].nunique()) for key in last[names].to_dict("records")]
        most = max(int(HEIGHT_OF_A_FOREST[usual_preset()] / max(heights)), 1)
        if len(last) > most:
            kept = last.iloc[np.linspace(0, len(last) - 1, most).round().astype(int)]
            note = f"{most} of {len(last)} configurations are drawn, evenly spaced in the order of "
            which = _note(which, f"{note}their decades, with both ends.").strip()
            table = _rows_of(table, kept, names)
    return plots.forest(table, row=names, shade=shade if table[shade].nunique() > 1 else None), _note(which)


def _rows_of(table: pd.DataFrame, kept: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows whose coordinates are kept."""
    wanted = set(kept[list(names)].astype(str).itertuples(index=False, name=None))
    mask = [key in wanted for key in table[list(names)].astype(str).itertuples(index=False, name=None)]
    return table.loc[mask]


def _flow(measured: pd.DataFrame, lost: str) -> tuple[Any, str]:
    rows, which = _deepest(measured)
    chosen = arrange(rows, score="final", what="the decades", most=_most(columns=1), without=_STEPS, shade="end")
    looks = {"hue": chosen.hue, "style": chosen.style, "shade": chosen.shade, "row": chosen.row}
    axes = plots.gradient_flow(chosen.frame, band=_band(chosen), **looks)
    return axes, _note(which, chosen.note, lost)


def _rates(measured: pd.DataFrame, lost: str) -> tuple[Any, str]:
    chosen = arrange(measured, score="final", what="the decades", most=_most(), without=("depth", *_STEPS), shade="end")
    looks = {"hue": chosen.hue, "style": chosen.style, "shade": chosen.shade, "row": chosen.row, "col": chosen.col}
    axes = plots.rate_against_depth(chosen.frame, band=_band(chosen), **looks)
    return axes, _note(chosen.note, lost)


def _map(measured: pd.DataFrame, lost: str) -> tuple[Any, str]:
    rows, which = measured, ""
    if "end" in measured:
        rows, which = measured[measured["end"] == ENDS[1]], "At the last step of each training."
    chosen = arrange(
        rows, score="final", what="the decades", most=_most(12, 4, slide_lines=8), without=("depth", *_STEPS),
        first=("init",), kinds=1,
    )  # fmt: skip
    axes = plots.heatmap(chosen.frame, x="depth", y=chosen.hue or "init", row=chosen.row, col=chosen.col)
    return axes, _note(which, chosen.note, lost)


def _curves(measured: pd.DataFrame) -> tuple[Any, str]:
    rows, which, score = _of_steps(measured)
    sets = sum(any(c in rows and rows[c].notna().any() for c in pair) for pair in zip(LOSS, ACCURACY, strict=True))
    chosen = arrange(
        rows, **score, most=_most(MOST_LINES // max(sets, 1), columns=1), without=_STEPS, kinds=1
    )  # fmt: skip
    axes = plots.training_curves(chosen.frame, hue=chosen.hue, row=chosen.row, band=_band(chosen))
    return axes, _note(which, chosen.note)


def _sharpness(measured: pd.DataFrame) -> tuple[Any, str]:
    rows, which, score = _of_steps(measured)
    chosen = arrange(rows, **score, most=_most(rows=1, columns=1), without=_STEPS, kinds=1)
    axes = plots.sharpness(chosen.frame, hue=chosen.hue, band=_band(chosen))
    return axes, _note(which, chosen.note)


def _layers(measured: pd.DataFrame, figure: Callable[..., Any], lines: bool = True, **options: Any) -> tuple[Any, str]:
    rows, which, score = _of_steps(measured)
    chosen = arrange(rows, **score, most=_most(1), without=_STEPS)
    inner = chosen.frame[(chosen.frame["layer"] >= 1) & (chosen.frame["layer_name"] != "readout")]
    if lines and inner["layer"].nunique() > MOST_LINES:
        options["layers"] = layers = some_layers(inner, None, MOST_LINES)
        which = f"{which} Layers {words.listed(list(map(str, layers)))} of {inner['layer'].nunique()}."
    axes = figure(chosen.frame, row=chosen.row, col=chosen.col, **options)
    return axes, _note(which, chosen.note)


def _of_steps(measured: pd.DataFrame) -> tuple[pd.DataFrame, str, dict[str, str]]:
    """Return the deepest networks with their score: the loss at the end of the training, where it is known."""
    rows, which = _deepest(measured)
    for column in (*reversed(LOSS), "log10_delta_rms"):
        if column in rows and np.isfinite(rows[column]).any():
            finite = rows[np.isfinite(rows[column])]
            last = finite.sort_values("step").groupby("network", observed=True)[column].last()
            rows = rows.assign(final=rows["network"].map(last).astype(float))
            what = "the delta" if column.endswith("rms") else _LOSS
            return rows, which, {"score": "final", "what": what}
    return rows, which, {}


def _band(chosen: Arrangement) -> str | None:
    """Choose the band: single seeds where there is one line, else the range of few seeds."""
    single = chosen.hue is None and chosen.shade is None
    few = chosen.frame["seed"].nunique() <= 8
    return None if single or not few else "range"


def _most(
    lines: int = MOST_LINES, rows: int = MOST_ROWS, columns: int = MOST_COLUMNS, slide_lines: int | None = None
) -> tuple[int, int, int]:
    """Return how many lines of a panel, and rows and columns of panels, a figure may have on a page or a slide."""
    now = usual_preset()
    if slide_lines is not None and now == "slide":
        lines = min(lines, slide_lines)
    else:
        lines = min(lines, _PANEL_LINES[now]) if now == "slide" else lines
    return lines, min(rows, _PANEL_ROWS[now]), min(columns, _PANEL_COLUMNS[now])


def _note(*parts: str) -> str:
    return "".join(f" {part}" for part in parts if part)
