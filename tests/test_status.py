"""The status of a row: what is written is read back, and a failure of a network is none of it."""

import pytest

from gradlab._status import Status, concerns, is_whole, read, written


def test_what_is_written_is_read_back_the_worst_first():
    said = {Status.UNMOVED: "", Status.NO_GRADIENT: "2 of 4 arrays, frozen by stop_gradient", Status.ZERO: ""}
    text = written(said)
    assert text == "no gradient: 2 of 4 arrays, frozen by stop_gradient; gradient exactly 0; no weight moved"
    assert read(text) == said
    assert written({}) == "ok" and read("ok") == {Status.OK: ""}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("ok", True), ("underflow: 50 % of the entries", True), ("no gradient; no weight moved", True),
        ("not finite: 2 entries of the weight", False), ("not finite: delta; gradient exactly 0", False),
        ("MemoryError: no gradient", False), ("diverged at step 4; no gradient", False), ("okay", False),
    ],
)  # fmt: skip
def test_which_rows_are_measured_as_they_should_be(text, whole):
    assert is_whole(text) == whole


def test_a_status_concerns_the_quantities_that_it_names():
    text = "not finite: 2 entries of the gradient; no weight moved"
    assert concerns(text, Status.NOT_FINITE) and concerns(text, Status.NOT_FINITE, "gradient")
    assert concerns(text, Status.UNMOVED)
    assert not concerns(text, Status.NOT_FINITE, "grad") and not concerns(text, Status.NOT_FINITE, "delta")
    assert not concerns(text, Status.ZERO) and not concerns("ValueError: gradient exactly 0", Status.ZERO)
