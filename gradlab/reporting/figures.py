"""The figures of a page on the disk: one place draws and saves them, and no failure there costs the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gradlab import plots
from gradlab._files import file_name
from gradlab._text import from_figure, markdown
from gradlab.plots.ground.captions import figure_of
from gradlab.reporting import words

#: Formats of every figure; the page shows the first.
FORMATS: tuple[str, ...] = ("png", "svg", "pdf")
#: What makes a figure, with what its caption says of the choice of its rows.
Make = Callable[[], tuple[Any, str]]


@dataclass(frozen=True)
class Drawn:
    """A figure on the disk: title, alternative text, path beside the page, caption, links, width in inches."""

    title: str
    alt: str
    path: str
    caption: str
    links: str
    width: float

    @property
    def name(self) -> str:
        """Of its files."""
        return PurePosixPath(self.path).stem

    @property
    def files(self) -> tuple[str, ...]:
        """Paths beside the page, one of each format."""
        return tuple(str(PurePosixPath(self.path).with_suffix(f".{kind}")) for kind in FORMATS)


@dataclass(frozen=True)
class NotDrawn:
    """A figure that could not be made, and why; it costs a line on the page."""

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
    choices: Sequence[Callable[[], Sequence[Figure]]], folder: Path, run_hash: str, command: str
) -> list[Drawn | NotDrawn]:
    """Draw figures into `folder`; whatever goes wrong with one, or with their choice, the page still comes.

    Parameters
    ----------
    choices : sequence of callable
        Each says which figures there are.
    folder : Path
        It is made where it does not exist.
    run_hash, command : str
        Written into every file.
    """
    made: list[Drawn | NotDrawn] = []
    for choose in choices:
        try:
            figures = choose()
        except Exception as error:
            made.append(NotDrawn("Figures", markdown(words.reason(error))))
        else:
            made += [_draw(figure, folder, run_hash, command) for figure in figures]
    return made


def _draw(figure: Figure, folder: Path, run_hash: str, command: str) -> Drawn | NotDrawn:
    """Draw one figure and save it."""
    import matplotlib.pyplot as plt

    before, name = set(plt.get_fignums()), file_name(figure.name)
    try:
        axes, note = figure.make()
        caption = plots.caption(axes) + from_figure(note)
        width = figure_of(axes).get_figwidth()
        folder.mkdir(parents=True, exist_ok=True)
        plots.save(figure_of(axes), folder / name, formats=FORMATS, run_hash=run_hash, command=command)
    except Exception as error:
        return NotDrawn(figure.title, markdown(words.reason(error)))
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
    links = " ".join(f"[{kind.upper()}]({folder.name}/{name}.{kind})" for kind in FORMATS[1:])
    return Drawn(figure.title, figure.title, f"{folder.name}/{name}.{FORMATS[0]}", caption, links, width)
