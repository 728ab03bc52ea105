import io
import sys

import pytest

from gradlab import _progress as progress
from gradlab._progress import Bar, Lines, Silent, pace, reporter


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that is turned by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_terminal_has_a_bar_and_a_file_has_lines(monkeypatch):
    assert type(reporter(None)) is Lines
    assert type(reporter(False)) is Silent
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert type(reporter(None)) is Bar
    assert type(reporter(False)) is Silent


def test_lines_are_few_and_say_rate_and_remaining_time(clock, capsys):
    report = Lines(every=10)
    report.start(100)
    for _ in range(25):
        clock[0] += 1
        report.advance(2)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["gradlab: 20 of 100 runs, 2/s, 40 s left", "gradlab: 40 of 100 runs, 2/s, 30 s left"]


def test_silence_is_silent(clock, capsys):
    report = Silent()
    report.start(1)
    clock[0] += 1000
    report.advance(1)
    report.note("a")
    report.stop()
    assert capsys.readouterr() == ("", "")


def test_the_bar_says_rate_and_notes_stand_above_it(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    report = Bar()
    report.note("before")
    report.start(40)
    clock[0] += 2
    report.advance(10)
    report.note("part [x] is damaged")
    report.advance(30)
    report.stop()
    said = sys.stderr.getvalue()
    assert "gradlab: before" in said
    assert "part [x] is damaged" in said
    assert "40/40" in said
    assert "20/s" in said


def test_a_bar_that_never_started_stops():
    Bar().stop()


def test_pace():
    assert pace(120, 360, 10.0) == "120 of 360 runs, 12/s, 20 s left"
