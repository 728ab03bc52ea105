"""Report how far a sweep is: by a bar on a terminal, by a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from gradlab._text import plain

#: Seconds between two lines where there is no terminal.
LINE_EVERY = 10.0


class Lines:
    """Write a line to the standard error, at most one in `every` seconds."""

    def __init__(self, every: float = LINE_EVERY, title: str = "gradlab sweep", unit: str = "runs"):
        self.every, self.title, self.unit = every, title, unit
        self.total = self.done = 0

    def note(self, text: str) -> None:
        """Write a text at once, on one line, because names in it may come from somebody else's folder."""
        print(f"gradlab: {plain(text)}", file=sys.stderr, flush=True)

    def start(self, total: int) -> None:
        """Begin to count up to `total` runs."""
        self.total, self.done = total, 0
        self.began = self.last = time.monotonic()

    def advance(self, runs: int) -> None:
        """Count runs that are done."""
        self.done += runs
        now = time.monotonic()
        if now - self.last >= self.every:
            self.last = now
            self.note(pace(self.done, self.total, now - self.began, self.unit))

    def stop(self) -> None:
        """End; nothing to tidy up."""


class Silent(Lines):
    """Report nothing."""

    def note(self, text: str) -> None:
        """Write nothing."""


class Bar(Lines):
    """Show a bar with rate and remaining time, by rich."""

    bar: Any = None

    def note(self, text: str) -> None:
        """Write a text, above the bar if it is shown."""
        if self.bar is None:
            super().note(text)
        else:
            self.bar.console.print(f"gradlab: {plain(text)}", markup=False, highlight=False, soft_wrap=True)

    def start(self, total: int) -> None:
        """Show the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        super().start(total)
        self.bar = Progress(
            TextColumn(self.title), BarColumn(), MofNCompleteColumn(), TextColumn(self.unit),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(elapsed_when_finished=True),
            console=Console(stderr=True),
        )  # fmt: skip
        self.line = self.bar.add_task("", total=total, rate="")
        self.bar.start()

    def advance(self, runs: int) -> None:
        """Move the bar."""
        self.done += runs
        rate = self.done / max(time.monotonic() - self.began, 1e-9)
        self.bar.update(self.line, completed=self.done, rate=f"{rate:.3g}/s")

    def stop(self) -> None:
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.stop()


def pace(done: int, total: int, seconds: float, unit: str = "runs") -> str:
    """Write a line such as ``120 of 360 runs, 12.1/s, 20 s left``."""
    rate = done / max(seconds, 1e-9)
    return f"{done} of {total} {unit}, {rate:.3g}/s, {(total - done) / max(rate, 1e-9):.0f} s left"


def reporter(show: bool | None, title: str = "gradlab sweep", unit: str = "runs") -> Lines:
    """Make the reporter: a bar on a terminal and lines elsewhere, or nothing where `show` is False."""
    kind = Silent if show is False else Bar if sys.stderr.isatty() else Lines
    return kind(title=title, unit=unit)
