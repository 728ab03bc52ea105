"""Draw and save the figures of a page; no failure there costs the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gradlab import plots
from gradlab._files import file_name
from gradlab._text import from_figure, markdown, shortened
from gradlab.plots.ground.captions import Caption, figure_of, in_parts, sentences
from gradlab.plots.ground.stacked import stack
from gradlab.reporting import words

#: Formats of every figure; the page shows the first.
FORMATS: tuple[str, ...] = ("png", "svg", "pdf")
#: End of the name of the file of a figure for a narrow screen.
NARROW = "_narrow.svg"
#: Characters of what an alternative text says of the lines of a figure.
LONGEST_ALT = 1500
#: What makes a figure, with what its caption says of the choice of its rows.
Make = Callable[[], tuple[Any, str]]


@dataclass(frozen=True)
class Drawn:
    """A figure on the disk.

    Parameters
    ----------
    title : str
        What stands over the figure on the page.
    alt : str
        What is drawn in it, in numbers.
    path : str
        Of its first format, beside the page.
    caption : Caption
        The sentence that says what there is to see, and the rest.
    links : str
        To its other formats, in Markdown.
    width : float
        In inches.
    narrow : str
        Path of the same figure for a narrow screen, its panels one below another; empty where it has one column.
    """

    title: str
    alt: str
    path: str
    caption: Caption
    links: str
    width: float
    narrow: str = ""

    @property
    def name(self) -> str:
        """Name of the files, without an ending."""
        return PurePosixPath(self.path).stem

    @property
    def files(self) -> tuple[str, ...]:
        """Paths beside the page, one of each format."""
        return tuple(str(PurePosixPath(self.path).with_suffix(f".{kind}")) for kind in FORMATS)


@dataclass(frozen=True)
class NotDrawn:
    """A figure that could not be made, and why: a line on the page."""

    title: str
    why: str
    files: tuple[str, ...] = ()
    width: float = 0.0


@dataclass(frozen=True)
class Figure:
    """A figure to be drawn: the name of its files, its title, and what makes it."""

    name: str
    title: str
    make: Make


def draw(
    choices: Sequence[Callable[[], Sequence[Figure]]], folder: Path, run_hash: str, command: str, narrow: bool = False
) -> list[Drawn | NotDrawn]:
    """Draw figures into `folder`; whatever goes wrong with one, or with their choice, there is a page.

    Parameters
    ----------
    choices : sequence of callable
        Each says which figures there are.
    folder : Path
        It is made where it does not exist.
    run_hash, command : str
        Written into every file.
    narrow : bool
        Draw those of several columns for a narrow screen too.
    """
    drawn: list[Drawn | NotDrawn] = []
    for choose in choices:
        try:
            figures = choose()
        except Exception as error:
            drawn.append(NotDrawn("Figures", markdown(words.reason(error))))
        else:
            drawn += [_draw(figure, folder, run_hash, command, narrow) for figure in figures]
    return drawn


def _draw(figure: Figure, folder: Path, run_hash: str, command: str, narrow: bool) -> Drawn | NotDrawn:
    """Draw one figure and save it."""
    import matplotlib.pyplot as plt

    before, name = set(plt.get_fignums()), file_name(figure.name)
    try:
        axes, note = figure.make()
        lead, rest = in_parts(axes)
        caption = sentences([lead, rest, from_figure(note).strip()])
        width, alt = figure_of(axes).get_figwidth(), shortened(plots.alt(axes), LONGEST_ALT)
        folder.mkdir(parents=True, exist_ok=True)
        with plt.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
            figure_of(axes).set_layout_engine(None)  # what made it has laid it out
        plots.save(figure_of(axes), folder / name, formats=FORMATS, run_hash=run_hash, command=command)
        small = narrow and stack(figure_of(axes))
        if small:
            plots.save(figure_of(axes), folder / f"{name}{NARROW}", run_hash=run_hash, command=command)
    except Exception as error:
        return NotDrawn(figure.title, markdown(words.reason(error)))
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
    links = " ".join(f"[{kind.upper()}]({folder.name}/{name}.{kind})" for kind in FORMATS[1:])
    return Drawn(
        figure.title,
        alt,
        f"{folder.name}/{name}.{FORMATS[0]}",
        caption,
        links,
        width,
        f"{folder.name}/{name}{NARROW}" if small else "",
    )
