"""The clipping cliff as a figure: its surface, its descents, and where they leave it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from gradlab import plots
from gradlab._errors import GradlabError

from .test_lines import drawn, values

W, B = (4.0, 5.0, 6.0), (-3.0, -2.0)


def found():
    """A surface of known values, and two starts: one is thrown out of it unless it is clipped."""
    surface = pd.DataFrame([(w, b, -0.1 * w - b - 3) for w in W for b in B], columns=["w", "b", "log10_loss"])
    rows = []
    for start in range(2):
        for method, jump in (("unclipped", 30.0), ("clipped", 0.3)):
            steps = [
                (5.5, -2.4, -1.0),
                (5.4, -2.5, -1.1),
                (5.4, -2.5 + jump, -0.2 if method == "unclipped" else -np.inf),
            ]
            rows += [(start, method, i, w + start, b, loss) for i, (w, b, loss) in enumerate(steps)]
    paths = pd.DataFrame(rows, columns=["start", "method", "step", "w", "b", "log10_loss"])
    about = {"activation": "sigmoid", "time_steps": 50, "target": 0.7, "learning_rate": 0.3, "clip": 1.0}
    return SimpleNamespace(surface=surface, paths=paths, **about)


def test_surface_and_descents():
    left, right = plots.cliff(found())
    (mesh,) = [c for c in left.collections if hasattr(c, "get_coordinates")]
    np.testing.assert_allclose(mesh.get_array(), [[-0.1 * w - b - 3 for w in W] for b in B], rtol=1e-12)
    low, high = mesh.get_clim()
    assert high == pytest.approx(-0.4) and low == pytest.approx(-1.6)
    (thrown,), (kept,) = drawn(left, "unclipped"), drawn(left, "clipped")
    assert values(thrown).tolist() == [[5.5, -2.4], [5.4, -2.5], [5.4, 27.5]]
    assert values(kept)[-1].tolist() == [5.4, -2.2]
    assert thrown.get_linestyle() != kept.get_linestyle() and thrown.get_color() != kept.get_color()
    # the axes stay those of the surface
    assert left.get_xlim() == (3.5, 6.5) and left.get_ylim() == (-3.5, -1.5)
    (loss,) = drawn(right, "unclipped")
    assert loss.get_ydata().tolist() == [-1.0, -1.1, -0.2]
    (zero,) = drawn(right, "zero")
    assert values(zero)[:, 0].tolist() == [2]
    assert "The longest step in the plane is 30 unclipped and 0.3 clipped." in plots.caption(
        left
    ) and "n = 1 start " in plots.caption(left)
    assert [t.get_text() for t in left.figure.legends[0].get_texts()] == ["unclipped", "clipped"]


def test_starts_and_axes_that_are_given():
    _, ax = plt.subplots()
    assert plots.cliff(found(), starts=[0, 1], ax=ax) is ax
    assert len(drawn(ax, "clipped")) == 2 and len(drawn(ax, "start")) == 4
    assert "n = 2 starts" in plots.caption(ax)


def test_what_cannot_be_drawn():
    with pytest.raises(GradlabError, match="clipping_cliff"):
        plots.cliff(pd.DataFrame())
    with pytest.raises(GradlabError, match="starts among 0 … 1"):
        plots.cliff(found(), starts=[2])
    nothing = found()
    nothing.surface["log10_loss"] = np.nan
    with pytest.raises(GradlabError, match="finite somewhere"):
        plots.cliff(nothing)
