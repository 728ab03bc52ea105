"""The figures of a page, drawn from the frame."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure as Canvas

from gradlab.frames.summaries import rates
from gradlab.reporting.choice import of_networks
from gradlab.reporting.figures import FORMATS, Figure, draw


def test_a_figure_is_drawn_once_for_each_format(tmp_path, monkeypatch):
    """What made it has laid it out; matplotlib would measure all its texts again for each file."""
    draws, real = [], Canvas.draw
    monkeypatch.setattr(Canvas, "draw", lambda self, renderer: (draws.append(self), real(self, renderer)))
    make = lambda: (plt.subplots(figsize=(2, 1), layout="constrained")[1], "")
    (made,) = draw([lambda: [Figure("one", "One", make)]], tmp_path / "figures", "cafe0123", "gradlab report runs/demo")
    assert len(draws) == len(FORMATS) == 3
    assert all((tmp_path / path).exists() for path in made.files) and not plt.get_fignums()


@pytest.mark.slow
def test_captions_say_which_networks_are_not_drawn(table, table_with_failures, tmp_path):
    """A failed cell has no point in a figure, so its caption names it."""
    made = {}
    for name, frame in (("whole", table), ("failures", table_with_failures)):
        found = rates(frame)
        labels = [f"{row.activation}, {row.init}, depth {row.depth}" for row in found.itertuples()]
        choose = lambda frame=frame, found=found, labels=labels: of_networks(frame, found, labels)
        made[name] = draw([choose], tmp_path / name, "cafe0123", "gradlab report runs/demo")
    assert all("Not drawn" not in drawn.caption.text for drawn in made["whole"])
    note = "Not drawn, because nothing of them could be measured: 3 seeds of elu, he_normal, depth 9."
    assert made["failures"]
    assert all(drawn.caption.text.endswith(note) for drawn in made["failures"])
    assert (tmp_path / "failures" / "gradient_flow.png").exists()
