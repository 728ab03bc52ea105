"""The rate per layer against depth."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradlab.frames.summaries import rates
from gradlab.plots.captions import count, describe
from gradlab.plots.flow import _groups, chosen
from gradlab.plots.style import Key, looks, panels


def rate_against_depth(
    frame: Any, *, hue: str | None = None, style: str | None = None, ax: Any = None, preset: str | None = None
) -> Any:
    """Factor of the rms delta per layer toward the input, against depth, with its interval over seeds.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`; `gradlab.rates` of it is what is drawn.
    hue, style : str, optional
        Coordinates that choose colour, and line with marker.
    ax : Axes, optional
    preset : {"paper", "slide"}, optional

    Returns
    -------
    Axes
    """
    hue, style = chosen(frame, hue, style) if hue or style else _differing(frame)
    table = rates(frame[frame["layer"] >= 1])
    # a coordinate that the caller made from others stands in the frame alone
    for name in (hue, style):
        if name and name not in table:
            table[name] = table["network"].map(frame.drop_duplicates("network").set_index("network")[name])
    with looks(preset):
        axes = panels(ax, 1, preset)[0, 0]
        key = Key(frame, hue, style)
        axes.axhline(1.0, color="0.45", linewidth=0.8, zorder=1)
        by = [n for n in dict.fromkeys((hue, style)) if n]
        for group, rows in _groups(table, by):
            kind = key.of(group.get(hue) if hue else None, group.get(style) if style else None)
            rows = rows.sort_values("depth")
            x, mean = rows["depth"].to_numpy(float), rows["rate"].to_numpy(float)
            error = np.abs(np.stack([mean - rows["low"], rows["high"] - mean]))
            axes.errorbar(x, mean, np.nan_to_num(error), capsize=2, elinewidth=0.8, gid="rate", **kind)
        axes.set_xscale("log", base=2)
        depths = sorted(set(table["depth"]))
        axes.set_xticks(depths, [str(d) for d in depths])
        axes.minorticks_off()
        axes.set_xlabel("depth (hidden layers)")
        axes.set_ylabel("rate (factor of the rms delta per layer)")
        axes.set_ylim(bottom=0)
        key.legend(axes.figure, axes, ax is None)
        used = table["n_seeds"][table["n_seeds"] > 0]
        lost = int(table["n_zero"].sum() + table["n_failed"].sum())
        text = f"Points: geometric mean over {count(used) if len(used) else 'no finite seed'}; bars: 95 % t-interval in the log. Grey line: a delta that keeps its size."
        describe(axes, text + (f" {lost} seeds had a delta that is zero or not finite and are left out." if lost else ""))
    return axes


def _differing(frame: Any) -> tuple[str | None, str | None]:
    names = [n for n in ("activation", "init", "sigma_w2", "gain") if n in frame and frame[n].nunique() > 1]
    if len(names) > 2 and names[2] == "sigma_w2":
        names = names[:2]
    return tuple((*names, None, None)[:2])  # type: ignore[return-value]
