"""The figures of a page, drawn from the frame."""

import pytest

from gradlab.frames.summaries import rates
from gradlab.reporting.choice import of_networks
from gradlab.reporting.figures import draw


@pytest.mark.slow
def test_captions_say_which_networks_are_not_drawn(table, table_with_failures, tmp_path):
    """A failed cell has no point in a figure, so its caption names it."""
    made = {}
    for name, frame in (("whole", table), ("failures", table_with_failures)):
        found = rates(frame)
        labels = [f"{row.activation}, {row.init}, depth {row.depth}" for row in found.itertuples()]
        choose = lambda frame=frame, found=found, labels=labels: of_networks(frame, found, labels)
        made[name] = draw([choose], tmp_path / name, "cafe0123", "gradlab report runs/demo")
    assert all("Not drawn" not in drawn.caption for drawn in made["whole"])
    note = "Not drawn, because nothing of them could be measured: 3 seeds of elu, he_normal, depth 9."
    assert made["failures"]
    assert all(drawn.caption.endswith(note) for drawn in made["failures"])
    assert (tmp_path / "failures" / "gradient_flow.png").exists()
