"""Presets for paper and slide, colours and lines that are told apart also in grey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from gradlab._errors import unknown

#: Okabe & Ito 2008, without the yellow, which is lost on white; ordered from dark to light in turn.
COLOURS: tuple[str, ...] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 1.6, 1.2, 1.6)), (0, (8, 2, 1, 2, 1, 2)))
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "v", "P", "X")
#: Width of one column of a journal page and of a slide, in inches.
COLUMN, PAGE = 3.4, 7.0

_COMMON: dict[str, Any] = {
    "font.family": "serif",
    "font.serif": ["STIXGeneral", "DejaVu Serif"],
    "mathtext.fontset": "stix",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "figure.dpi": 120,
}
PRESETS: dict[str, dict[str, Any]] = {
    "paper": _COMMON
    | {"font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "legend.fontsize": 7, "xtick.labelsize": 7,
       "ytick.labelsize": 7, "lines.linewidth": 1.2, "lines.markersize": 3.5, "axes.linewidth": 0.6},
    "slide": _COMMON
    | {"font.size": 18, "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "mathtext.fontset": "dejavusans",
       "axes.titlesize": 19, "axes.labelsize": 18, "legend.fontsize": 15, "xtick.labelsize": 15,
       "ytick.labelsize": 15, "lines.linewidth": 2.6, "lines.markersize": 8, "axes.linewidth": 1.2},
}  # fmt: skip


@contextmanager
def looks(preset: str | None) -> Iterator[None]:
    """The settings of a preset; the user's own are back afterwards. None: "paper"."""
    name = preset or "paper"
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    with mpl.rc_context(PRESETS[name]):
        yield


def panels(ax: Any, columns: int, preset: str | None, width: float | None = None, rows: int = 1, **options: Any) -> np.ndarray:
    """The axes given, or new ones side by side in the preset's size, as an array (rows, columns)."""
    if ax is not None:
        return np.atleast_2d(np.asarray(ax, object)).reshape(rows, columns)
    if preset == "slide":
        size = (13.33, 7.5)
    else:
        wide = width or (COLUMN if columns == 1 else PAGE)
        size = (wide, rows * (2.5 if columns == 1 else 0.72 * PAGE / max(columns, 2) + 0.5))
    _, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False, **options)
    return axes


class Key:
    """Which colour, line and marker a group has: colour by `hue`, line and marker by `style`."""

    def __init__(self, table: Any, hue: str | None, style: str | None):
        self.hue, self.style = hue, style
        values = lambda name: list(dict.fromkeys(table[name])) if name else [None]
        self.hues, self.styles = values(hue), values(style)
        numbers = self.hues and all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in self.hues)
        if numbers:
            self.hues = sorted(self.hues)
        # an ordered quantity gets an ordered colour
        ramp = plt.get_cmap("cividis")(np.linspace(0.0, 0.88, max(len(self.hues), 2)))
        self.colours: Sequence[Any] = ramp if numbers and len(self.hues) > 2 else COLOURS

    def of(self, hue: Any, style: Any) -> dict[str, Any]:
        """Keywords of a line."""
        i = self.hues.index(hue) if self.hue else 0
        j = self.styles.index(style) if self.style else (i if len(self.colours) == len(COLOURS) else 0)
        return {
            "color": self.colours[i % len(self.colours)],
            "linestyle": DASHES[j % len(DASHES)],
            "marker": MARKERS[j % len(MARKERS)],
        }

    def legend(self, figure: Any, ax: Any, own: bool) -> None:
        """One legend for all panels, outside the data: below a new figure, else in the axes given."""
        from matplotlib.lines import Line2D

        entries = []
        if self.hue and (len(self.hues) > 1 or not self.style):
            entries += [(self.of(h, self.styles[0]) | ({"linestyle": "-", "marker": ""} if self.style else {}), h) for h in self.hues]
        if self.style and len(self.styles) > 1:
            entries += [(self.of(self.hues[0], s) | {"color": "0.35"}, s) for s in self.styles]
        if len(entries) < 2:
            return
        handles = [Line2D([], [], label=pretty(label), **kind) for kind, label in entries]
        if own:
            figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 6))
        else:
            ax.legend(handles=handles)


#: Names as a reader writes them.
_PRETTY = {
    "relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "selu": "SELU", "gelu": "GELU", "silu": "SiLU",
    "hard_tanh": "hard tanh", "pytorch": "PyTorch default", "standard_uniform": "standard (1986–2010)",
    "xavier_normal": "Xavier", "he_normal": "He", "lecun_normal": "LeCun",
}  # fmt: skip


def pretty(name: Any) -> str:
    """A name for a legend or a tick."""
    if isinstance(name, float) and name == int(name):
        name = int(name)
    return _PRETTY.get(name, str(name).replace("_", " ")) if isinstance(name, str) else str(name)
