"""What a figure shows, for those who do not see it: axes, lines, where they begin and end."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from matplotlib.colors import to_rgba

from gradlab._text import plain
from gradlab.plots.ground.captions import figure_of
from gradlab.plots.ground.headers import header_of
from gradlab.plots.ground.styles import NEUTRAL, shaded

#: So many lines are described in a whole figure, and so many in each panel of a figure of many panels.
_MOST, _LEAST = 16, 2
#: Marks of TeX in labels, and what is read for them; other commands are read by their name.
_SIGNS: dict[str, str] = {
    "partial": "∂", "delta": "δ", "Delta": "Δ", "sigma": "σ", "chi": "χ", "xi": "ξ", "rho": "ρ", "varphi": "φ",
    "phi": "φ", "to": "→", "rightarrow": "→", "leftarrow": "←", "times": "×", "infty": "∞",
}  # fmt: skip
#: Colours of what a legend explains for lines of every colour.
_ANY = {to_rgba(NEUTRAL), to_rgba("black")}


def alt(figure: Any) -> str:
    """Describe a figure in words, from what is drawn in it, as the alternative text of a picture on a page.

    Parameters
    ----------
    figure : Figure, Axes, array of Axes or Board
        What is described.

    Returns
    -------
    str
        For each panel its title, what is drawn against what, and for each line that has a name, in the legend or by
        a look that the legend explains, its first and last value. Of many lines some are left out, and counted.

    Examples
    --------
    >>> import gradlab as gl
    >>> frame = gl.example("depth")
    >>> axes = gl.plots.rate_against_depth(frame[frame["init"] == "he_normal"])
    >>> gl.plots.alt(axes).split(":")[0]
    'Rate [factor of the rms delta per layer] against depth [hidden layers]'
    """
    figure = figure_of(figure)
    shown = [ax for ax in figure.axes if ax.get_visible() and ax.axison and ax.get_label() != "<colorbar>"]
    known = _explained(figure)
    most = max(_LEAST, _MOST // max(len(shown), 1))
    panels = dict.fromkeys(_panel(ax, known, most) for ax in shown)
    return plain(" ".join(text for text in panels if text))


def _panel(ax: Any, known: list[tuple[str, Any]], most: int) -> str:
    across, up = _label(ax, "x"), _label(ax, "y")
    if not (across or up):
        return ""
    letter = ax.get_title(loc="left")
    head = f"{letter} " if re.fullmatch(r"\([a-z]\)", letter) else ""
    where = _plain(header_of(ax))
    quantity = ", ".join(part for part in (where, up) if part)  # the title may be the quantity
    what = f"{quantity} against {across}" if quantity and across else quantity or across
    if not where and what[:1].isascii():  # the capital of a Greek letter is another symbol
        what = f"{what[:1].upper()}{what[1:]}"
    named = _named(ax, known)
    if len(named) > most:  # theory beside a line tells less than the next line
        named = [entry for entry in named if entry[1].get_gid() == "mean" or entry[0] not in _beside(named)]
    kept = np.unique(np.linspace(0, len(named) - 1, min(most, len(named))).round().astype(int))
    described = [text for i in kept if (text := _line(ax, *named[i]))]
    more = f"; and {len(named) - len(kept)} more" if len(named) > len(kept) else ""
    filled = [c for c in ax.collections if hasattr(c, "get_coordinates") and c.get_array() is not None]
    values = np.concatenate([np.ma.compressed(np.ma.masked_invalid(c.get_array())) for c in filled]) if filled else []
    if len(values):
        described.append(f"colours from {_number(np.min(values))} to {_number(np.max(values))}")
    return f"{head}{what}{': ' if described else ''}{'; '.join(described)}{more}."


def _label(ax: Any, axis: str) -> str:
    """Return the label of an axis: its own, that of all panels, or that of the panel whose axis it shares."""
    its = getattr(ax, f"get_{axis}label")()
    for_all = getattr(ax.figure, f"_sup{axis}label", None)
    text = its or (for_all.get_text() if for_all is not None else "")
    if not text:
        beside = getattr(ax, f"get_shared_{axis}_axes")().get_siblings(ax)
        text = next((label for other in beside if (label := getattr(other, f"get_{axis}label")())), "")
    return _plain(text)


def _explained(figure: Any) -> list[tuple[str, Any]]:
    """Return the names of looks with a line that has them: of lines with a label, of bars, of legends."""
    lines: list[tuple[str, Any]] = []
    for ax in figure.axes:
        lines += [(str(line.get_label()), line) for line in ax.lines if not str(line.get_label()).startswith("_")]
        lines += [(str(c.get_label()), c.lines[0]) for c in _bars(ax) if not str(c.get_label()).startswith("_")]
    for legend in [*figure.legends, *(ax.get_legend() for ax in figure.axes)]:
        if legend is not None:
            lines += zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=False)
    return [
        (_plain(name), line) for name, line in lines if hasattr(line, "get_linestyle") and hasattr(line, "get_marker")
    ]


def _bars(ax: Any) -> list[Any]:
    return [c for c in ax.containers if getattr(c, "has_yerr", False) and c.lines[0] is not None]


def _named(ax: Any, known: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the lines, points and bars that have a name; and means that have none.

    A name is a label, shown in the legend or written at the end of the line, or that of a look that is explained.
    """
    bars = {id(c.lines[0]): str(c.get_label()) for c in _bars(ax)}
    named: list[tuple[str, Any]] = []
    for line in [*ax.lines, *(c.lines[0] for c in _bars(ax))]:
        label = bars.get(id(line), str(line.get_label()))
        bare = label.startswith(("_child", "_nolegend", "_container"))
        name = (_by_look(line, known) or _by_text(ax, line)) if bare else _plain(label.removeprefix("_"))
        if (name and name not in {other for other, _ in named}) or (not name and line.get_gid() == "mean"):
            named.append((name, line))
    return named


def _beside(named: list[tuple[str, Any]]) -> set[str]:
    """Return the names that are another line's name with something added: its theory, its hollow marks."""
    names = {name for name, _ in named}
    return {name for name in names if name.rpartition(", ")[0] in names}


def _by_look(line: Any, known: list[tuple[str, Any]]) -> str:
    """Return the name of a look: of colour and kind together, or of a colour and of a kind that any colour may have."""
    colour, kind = to_rgba(line.get_color()), _kind(line)
    both = [name for name, other in known if to_rgba(other.get_color()) == colour and _kind(other) == kind]
    if both:
        return both[0]
    explained = [(name, to_rgba(other.get_color()), _kind(other)) for name, other in known]
    of_any = [name for name, c, k in explained if c in _ANY and k == kind]
    coloured = [name for name, c, _ in explained if c not in _ANY and colour in (c, to_rgba(shaded(c)))]
    hollow = ["hollow"] if not of_any and kind[1] not in ("None", "") and _hollow(line) else []
    return ", ".join([*coloured[:1], *of_any[:1], *hollow]) if coloured else ""


def _by_text(ax: Any, line: Any) -> str:
    """Return the text in a panel that has the colour of a line, where it is the only one and no grey."""
    colour = to_rgba(line.get_color())
    texts = {_plain(text.get_text()) for text in ax.texts if to_rgba(text.get_color()) == colour}
    return texts.pop() if len(texts) == 1 and len(set(colour[:3])) > 1 else ""


def _kind(line: Any) -> tuple[Any, ...]:
    """Return what tells lines of one colour apart."""
    return str(line.get_linestyle()), str(line.get_marker()), _hollow(line)


def _hollow(line: Any) -> bool:
    face = line.get_markerfacecolor()
    return isinstance(face, str) and face in ("white", "none", "w")


def _line(ax: Any, name: str, line: Any) -> str:
    x, y = (np.asarray(v, dtype=float) for v in line.get_data())
    if x.shape != y.shape or line.get_transform() is not ax.transData:
        return ""
    keep = np.isfinite(x) & np.isfinite(y)
    if not keep.any():
        return ""
    x, y = x[keep], y[keep]
    first, last = (f"{_value(ax.yaxis, v)} at {_value(ax.xaxis, u)}" for u, v in ((x[0], y[0]), (x[-1], y[-1])))
    span = f"from {first} to {last}" if len(x) > 1 else first
    return f"{name} {span}".strip()


def _value(axis: Any, value: float) -> str:
    """Return a value as its axis says it: a power of ten where the axis is one of log10 values."""
    if type(axis.get_major_formatter()).__name__ == "Powers":
        return f"10^{value:.1f}".replace("-", "−") if abs(value) >= 4 else _number(10.0**value)
    return _number(value)


def _number(value: float) -> str:
    whole = value == int(value) and 1000 <= abs(value) < 1e7
    return (f"{value:,.0f}" if whole else f"{value:.3g}").replace("-", "−")


def _plain(text: str) -> str:
    """Return a label without the marks of TeX."""
    text = re.sub(r"\\mathrm\{([^}]*)\}", r"\1", text).replace("$", "").replace(r"\,", "").replace(r"\|", "‖")
    text = re.sub(r"\\([A-Za-z]+)(?![A-Za-z]) ?", lambda mark: _SIGNS.get(mark.group(1), mark.group(1)), text)
    text = text.replace("_{10}", "10").replace("^2", "²").replace("\\", "").replace("{", "").replace("}", "")
    return " ".join(text.split())
