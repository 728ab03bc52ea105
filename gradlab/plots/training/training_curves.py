"""Loss and accuracy along the training, on the training data and on the test data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from gradlab._errors import GradlabError
from gradlab.plots.ground import words
from gradlab.plots.ground.canvas import canvas, decade_axis, draw_lines, handles, mark_failures
from gradlab.plots.ground.captions import Caption, averages, roles, sentences
from gradlab.plots.ground.decades import step_axis
from gradlab.plots.ground.facets import panels
from gradlab.plots.ground.findings import last_step
from gradlab.plots.ground.headers import label_columns, share_labels, write_headers
from gradlab.plots.ground.legends import Place, place_legend
from gradlab.plots.ground.steps import configured, initial, mark_ends, never_averaged, trained
from gradlab.plots.ground.styles import Looks
from gradlab.plots.ground.tables import chosen_band, hidden, levels, listed, matching, of_networks, require, summaries

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

#: What a panel shows, and its columns: of the training data, of the test data.
LOSS, ACCURACY = ("log10_train_loss", "log10_test_loss"), ("train_accuracy", "test_accuracy")
SETS = ("training", "test")
#: Name of what is drawn, which is one column of either set.
_SHOWN = {LOSS: "log10_loss", ACCURACY: "accuracy"}


def training_curves(
    frame: pd.DataFrame,
    *,
    x: str = "step",
    hue: str | None = None,
    row: str | Sequence[str] | None = None,
    band: Literal["ci95", "sd", "range", "seeds"] | None = None,
    ax: Any = None,
    legend: Place = True,
    title: str | None = None,
    preset: Literal["paper", "slide"] | None = None,
) -> Axes | np.ndarray:
    """Draw loss and accuracy on training and test data against the training step.

    Parameters
    ----------
    frame : DataFrame
        Of a training run, with some of `log10_train_loss`, `log10_test_loss`, `train_accuracy` and `test_accuracy`.
    hue : str, optional
        The column that gives colours; training and test data differ in the kind of line. None: the configuration.
    row : str or sequence of str, optional
        Columns with a row of panels for each of their values. All rows share their axes.
    band : {"ci95", "sd", "range", "seeds"}, optional
        As in `gradlab.summarise`. None: up to 8 seeds are thin lines with their mean, more are "ci95".
    ax : Axes or two Axes, optional
        For loss and accuracy, as far as the frame has them, row by row.
    x, legend, title, preset : optional
        As in `learning_speed`.

    Returns
    -------
    Axes, or array of two Axes, of (rows, 2) where `row` is given
        The loss in powers of ten, with its geometric mean over seeds; the accuracy with its mean.

    Examples
    --------
    >>> import gradlab as gl
    >>> sweep = gl.TrainingSweep(depth=2, width=8, steps=4, records=3, seeds=2)
    >>> loss, accuracy = gl.plots.training_curves(gl.run(sweep, progress=False))
    >>> accuracy.get_ylabel()
    'accuracy  [share]'
    """
    trained(frame, x)
    require(frame, hue)
    shown = {kind: [c for c in kind if c in frame and frame[c].notna().any()] for kind in (LOSS, ACCURACY)}
    shown = {kind: columns for kind, columns in shown.items() if columns}
    if not shown:
        raise GradlabError(f"a frame with {words.listed([*LOSS, *ACCURACY])}, or some of them", "none of them")
    band = chosen_band(frame, band)
    frame = of_networks(frame)
    facets = listed(row, frame)
    if hue is None:
        frame, distinct = configured(frame, x, facets)
        hue = distinct or "set"
    measured = frame[frame["layer"] >= 1]
    sets = [s for i, s in enumerate(SETS) if any(kind[i] in columns for kind, columns in shown.items())]
    styled = None if hue == "set" else "set"
    look = Looks(hue, styled, sets if hue == "set" else levels(frame, hue), sets if styled else [])
    hues = [] if hue == "set" else [hue]
    grid = panels(frame, facets)
    size = {"height": 2.5} if len(grid) == 1 else {"height": 0.7 + 1.2 * len(grid), "sharex": True, "sharey": "col"}
    if ax is not None:
        size = {}
    counts, failed, ended = [], [], []
    with canvas(ax, preset, len(grid), len(shown), title=title, wide=len(shown) > 1, **size) as sheet:
        for line, (header, key) in zip(sheet.axes, grid, strict=True):
            part, whole = matching(measured, key), matching(frame, key)
            where = f" ({header})" if header else ""
            for axes, (kind, columns) in zip(line, shown.items(), strict=True):
                floor = 0
                if len(part):
                    table = _long(part, kind, columns, [hue, *never_averaged(measured, x), "seed", x])
                    keys = list(dict.fromkeys([hue, "set", *never_averaged(measured, x)]))
                    means, seeds = summaries(table, [*keys, x], _SHOWN[kind], band)
                    counts.append(means.assign(panel=header, column=_SHOWN[kind]))
                    floor = draw_lines(sheet, axes, means, seeds, keys, x, look)
                marks = mark_ends(sheet, axes, part, x, hues, look)
                if kind == LOSS:
                    decade_axis(axes, floor)
                    axes.set_ylabel(words.axis(LOSS[0], frame).removeprefix("training "))
                else:
                    axes.set_ylim(-0.02, 1.02)
                    axes.set_ylabel("accuracy  [share]")
                step_axis(axes, measured[x].unique())
                axes.set_xlabel(words.axis(x))
                lost = mark_failures(sheet, axes, whole.assign(set=SETS[0]), hues, look)
            ended += [f"{mark}{where}" for mark in marks]
            failed += [f"{mark}{where}" for mark in lost]
        if len(grid) > 1:
            share_labels(sheet, words.axis(x))
            write_headers(sheet, [header for header, _ in grid], label_columns(sheet))
        place_legend(sheet, handles(look, sheet, band), legend)
        sheet.describe(
            _caption(
                measured, pd.concat(counts), x, look, band, failed, ended, [_SHOWN[kind] for kind in shown], facets
            )
        )
    return sheet.result(grid=bool(facets))


def _long(rows: pd.DataFrame, kind: tuple[str, str], columns: list[str], by: list[str]) -> pd.DataFrame:
    """Return a row for each set, network, seed and step: all layers of a network say the same."""
    by = [name for name in dict.fromkeys(by) if name != "set"]
    keep = [n for n in ("network", "status") if n in rows and n not in by]
    once = rows.drop_duplicates(by)
    made = [once[[*by, *keep]].assign(set=SETS[kind.index(c)], **{_SHOWN[kind]: once[c]}) for c in columns]
    return pd.concat(made, ignore_index=True)


def _caption(
    rows: pd.DataFrame, counts: pd.DataFrame, x: str, look: Looks, band: str, failed: list[str], ended: list[str],
    columns: list[str], facets: list[str],
) -> Caption:  # fmt: skip
    what = words.listed([name.removeprefix("log10_") for name in columns])
    keys = list(dict.fromkeys(n for n in (look.hue, "set", "network", "panel") if n in counts and n is not None))
    rows_of_set = counts[counts["set"] == counts["set"].iloc[-1]]
    parts = [
        *(last_step(rows, rows_of_set[rows_of_set["column"] == name], name, keys, x) for name in columns),
        f"{what.capitalize()} against the {words.axis(x)}{initial(rows[x])}.",
        roles(look, facets) if look.hue != "set" else "",
        averages(columns, counts, band, rows["seed"].nunique()),
        f"Setting: {words.setting(hidden(rows))}.",
        f"× on the upper edge: {'; '.join(ended)}." if ended else "",
        f"Failed, and marked × in the upper left corner: {'; '.join(failed)}." if failed else "",
    ]
    return sentences(parts)
