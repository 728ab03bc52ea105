"""Sizes, fonts, colours, markers and lines: what a figure looks like, and nothing of what it shows."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler

from gradlab._errors import unknown

#: Okabe & Ito 2008, told apart by the colour-blind, in an order whose neighbours differ in grey too;
#: without its yellow, which is lost on white.
COLOURS: tuple[str, ...] = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
MARKERS: tuple[str, ...] = ("o", "s", "^", "D", "P", "X", "h")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
#: For numbers: from dark to light, short of what is lost on white.
SEQUENTIAL, LIGHTEST = "cividis", 0.88
#: Centred at 0: light there, blue below and red above. Both ends are alike in grey: a sign or a name stands with them.
DIVERGING = "RdBu_r"
#: Of a colour, what is left of it for theory beside it.
_SHADE = 0.55
#: Share of white in the lightest shade of a colour.
_LIGHT = 0.55
#: What is no data: references, hatches, lines in a legend.
NEUTRAL, FAINT = "0.35", "0.6"


@dataclass(frozen=True)
class Preset:
    """The look of a figure for one medium: sizes in inches, and entries of `matplotlib.rcParams`."""

    column: float
    page: float
    height: float
    rc: dict[str, Any] = field(default_factory=dict)

    def size(self, wide: bool, height: float | None = None) -> tuple[float, float]:
        """Return width and height, of one column or of the whole page; a slide is always whole."""
        slide = self.column == self.page
        return (self.page if wide else self.column), self.height if height is None or slide else height


def _rc(size: float, small: float, line: float, **more: Any) -> dict[str, Any]:
    """Return the entries that all presets share, from a font size, a smaller one and a width of lines."""
    thin = line / 2
    tick = {
        "labelsize": small, "major.width": thin, "major.size": 5 * thin, "minor.size": 0, "direction": "out",
        "color": "black", "labelcolor": "black",
    }  # fmt: skip
    return {
        "font.size": size, "axes.labelsize": size, "axes.titlesize": size, "figure.titlesize": 1.15 * size,
        "legend.fontsize": small, "legend.title_fontsize": small, "legend.frameon": False,
        "legend.handlelength": 2.6, "legend.columnspacing": 1.4, "legend.borderaxespad": 0.2,
        "lines.linewidth": line, "lines.markersize": 2.9 * line, "lines.markeredgewidth": thin,
        "axes.linewidth": thin, "axes.labelpad": size / 2,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": False,
        "axes.prop_cycle": cycler(color=COLOURS), "axes.titleweight": "normal",
        "hatch.linewidth": thin, "patch.linewidth": thin,
        "axes.edgecolor": "black", "axes.facecolor": "white", "figure.facecolor": "white", "savefig.facecolor": "white",
        "text.color": "black", "axes.labelcolor": "black", "axes.unicode_minus": True,
        # fonts are embedded whole, so that text stays text
        "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "path",
        **{f"{a}tick.{key}": value for a in "xy" for key, value in tick.items()}, **more,
    }  # fmt: skip


#: ``paper``: a column of 3.4 or a page of 7 inches, 8 pt. ``slide``: 16:9, to be read from the last row. The width of
#: lines over the height of a figure is the same in both: 1.2 / 2.5 = 3.6 / 7.5.
PRESETS: dict[str, Preset] = {
    "paper": Preset(
        column=3.4, page=7.0, height=2.5,
        rc=_rc(8, 7, 1.2, **{
            "font.family": ["STIXGeneral", "DejaVu Sans"], "mathtext.fontset": "stix",
            "figure.dpi": 150, "savefig.dpi": 300,
        }),
    ),
    "slide": Preset(
        column=13.333, page=13.333, height=7.5,
        rc=_rc(22, 19, 3.6, **{
            "font.family": ["DejaVu Sans"], "mathtext.fontset": "dejavusans",
            "figure.dpi": 72, "savefig.dpi": 144,
        }),
    ),
}  # fmt: skip


def preset_of(name: str) -> Preset:
    """Return the preset of that name, or raise an error that lists them."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


#: Preset of a figure of ours for which none is asked.
_USUAL: ContextVar[str] = ContextVar("usual preset", default="paper")


def usual_preset() -> str:
    """Return the preset of figures for which none is asked."""
    return _USUAL.get()


@contextlib.contextmanager
def usually(name: str) -> Iterator[None]:
    """Make figures in another preset inside the block where none is asked for: a report's slides."""
    preset_of(name)
    token = _USUAL.set(name)
    try:
        yield
    finally:
        _USUAL.reset(token)


@contextlib.contextmanager
def style(name: str | None) -> Iterator[None]:
    """Set the fonts and lines of a preset for figures made inside ``with gl.plots.style("slide"):``.

    Parameters
    ----------
    name : {"paper", "slide"} or None
        None changes nothing. Afterwards `matplotlib.rcParams` are what they were.
    """
    with matplotlib.rc_context(preset_of(name).rc if name else {}):
        yield


def line_width(share: float = 1.0) -> float:
    """Return a share of the width of lines, in points: what is drawn thinner or broader stays so in every preset."""
    return share * matplotlib.rcParams["lines.linewidth"]


def marker_size(share: float = 1.0) -> float:
    """Return a share of the size of markers, in points."""
    return share * matplotlib.rcParams["lines.markersize"]


def shaded(colour: Any) -> tuple[float, ...]:
    """Return a darker colour: theory's, which is seen where it lies on what was measured."""
    return tuple(_SHADE * v for v in matplotlib.colors.to_rgb(colour))


@dataclass(frozen=True)
class Looks:
    """Colour and marker by one column, kind of line by another (else by the first too), shade by a third.

    Parameters
    ----------
    hue, style : str or None
        The columns.
    hues, styles : sequence
        Their values, in the order of the legend.
    marked : bool
        Whether markers and lines differ by `hue`: those of many layers do not, whose colours are in order.
    shade : str, optional
        The column of light and dark.
    shades : sequence
        Its values, from the lightest to the darkest.
    """

    hue: str | None
    style: str | None
    hues: Sequence[Hashable] = ()
    styles: Sequence[Hashable] = ()
    marked: bool = True
    shade: str | None = None
    shades: Sequence[Hashable] = ()

    def colour(self, value: Hashable) -> Any:
        """Return the colour of a value of `hue`: on a scale for three or more numbers, else one of its own."""
        place, n = _place(value, self.hues), len(self.hues)
        if n > 2 and all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in self.hues):
            return matplotlib.colors.to_hex(matplotlib.colormaps[SEQUENTIAL](LIGHTEST * place / (n - 1)))
        return COLOURS[place % len(COLOURS)]

    def marker(self, value: Hashable) -> str:
        """Return the marker of a value of `hue`; beyond seven the markers run against the colours."""
        if not self.marked:
            return ""
        place = _place(value, self.hues)
        return MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]

    def line(self, hue: Hashable, style: Hashable) -> Any:
        """Return the kind of line of a value of `hue` and one of `style`."""
        if not self.marked and self.style is None:
            return LINES[0]
        place = _place(hue, self.hues) if self.style is None else _place(style, self.styles)
        return LINES[place % len(LINES)]

    def tint(self, colour: Any, shade: Hashable) -> Any:
        """Return the colour as light as a value of `shade` asks; the last value has the colour itself."""
        if self.shade is None or len(self.shades) < 2:
            return colour
        white = _LIGHT * (1 - _place(shade, self.shades) / (len(self.shades) - 1))
        return matplotlib.colors.to_hex([white + (1 - white) * v for v in matplotlib.colors.to_rgb(colour)])

    def of(self, key: dict[str, Any]) -> dict[str, Any]:
        """Return colour, marker and line of the line whose coordinates are `key`."""
        hue, kind = key.get(self.hue or ""), key.get(self.style or "")
        colour = self.tint(self.colour(hue), key.get(self.shade or ""))
        return {"color": colour, "marker": self.marker(hue), "linestyle": self.line(hue, kind)}


def _place(value: Hashable, values: Sequence[Hashable]) -> int:
    """Return where the value stands; NaN is a value too."""
    same = lambda v: v == value or (v != v and value != value)
    return next((i for i, v in enumerate(values) if same(v)), 0)
