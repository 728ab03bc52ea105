"""The waterfall of local factors: bars, sums and intervals read back from the axes."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError

from .synthetic import healthy, trace
from .test_lines import drawn


def bars(ax):
    """Begin and end of each bar by its layer."""
    boxes = [p for p in ax.patches if p.get_gid() in ("shrinks", "grows")]
    return {round(p.get_x() + p.get_width() / 2): (p.get_y(), p.get_y() + p.get_height()) for p in boxes}


def test_bars_are_the_steps_of_the_delta_and_end_at_its_whole_change():
    frame = frames.frame(trace(6, seeds=4, per_layer=-0.4, noise=0.3))
    ax = plots.local_factors(frame)
    delta = frame[frame["layer"] <= 6].pivot(index="seed", columns="layer", values="log10_delta_rms")
    steps = (delta - delta.shift(-1, axis=1)).dropna(axis=1)
    for layer, (begin, end) in bars(ax).items():
        assert end - begin == pytest.approx(steps[layer].mean())
        assert end == pytest.approx((delta[layer] - delta[6]).mean())
    (sticks,) = [c for c in ax.collections if c.get_gid() == "interval"]
    lengths = {round(s[0, 0]): s[1, 1] - s[0, 1] for s in sticks.get_segments()}
    half = 3.182446305284263 * steps.std(ddof=1) / 2  # t of 3 degrees of freedom, over the root of 4
    assert lengths == pytest.approx((2 * half).to_dict())
    most = steps.mean().abs().idxmax()
    (label,) = [t for t in ax.texts if t.get_gid() == "largest"]
    assert label.get_text() == f"×{10 ** steps.mean()[most]:.3g}" and label.xy[0] == most + 0.4
    assert f"most at layer {most}" in plots.caption(ax)


def test_what_grows_is_dotted_and_zeros_stand_at_the_floor():
    grows = plots.local_factors(frames.frame(trace(5, per_layer=0.2)))
    assert all(p.get_hatch() for p in grows.patches if p.get_gid() == "grows") and len(bars(grows)) == 4
    dead = plots.local_factors(frames.frame(trace(6, zeros=[(s, 2) for s in range(3)])))
    assert sorted(bars(dead)) == [3, 4, 5]
    (zero,) = drawn(dead, "zero")
    assert list(zero.get_xdata()) == [2]  # of two zeros, layers 1 and 2, there is no ratio
    assert "exactly 0" in plots.caption(dead)


def test_panels_and_what_is_refused():
    frame = healthy(depths=(4,))
    axes = plots.local_factors(frame[frame["init"] == "he_normal"])
    assert len(axes) == 2 and axes[0].get_ylim() == axes[1].get_ylim()
    _, given = plt.subplots()
    one = frame[(frame["init"] == "he_normal") & (frame["activation"] == "relu")]
    assert plots.local_factors(one, ax=given) is given
    with pytest.raises(GradlabError, match="one row for each layer and seed"):
        plots.local_factors(frame, col="init")
    with pytest.raises(GradlabError, match="up to 4 networks"):
        plots.local_factors(healthy(depths=(4, 5)))
    with pytest.raises(GradlabError, match="ci95"):
        plots.local_factors(one, band="seeds")
    with pytest.raises(GradlabError, match="two hidden layers"):
        plots.local_factors(frames.frame(trace(1)))
    assert np.isfinite(given.get_ylim()).all()
