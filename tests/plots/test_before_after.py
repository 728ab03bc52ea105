"""Two runs, seed by seed: differences and their interval read back from the axes."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from gradlab import frames, plots
from gradlab._errors import GradlabError

from .synthetic import healthy, learnt, trace
from .test_lines import drawn


def two(seeds=3, shift=0.5):
    """Two runs that differ by a known factor for each seed and layer, though seeds lie far apart."""
    frame = frames.frame([trace(5, seeds, init=init) for init in ("xavier_normal", "he_normal")])
    after = frame["init"] == "he_normal"
    frame["log10_delta_rms"] += 3.0 * frame["seed"]
    frame.loc[after, "log10_delta_rms"] += shift * frame["layer"] + 0.01 * frame["seed"]
    return frame


def test_differences_are_those_of_each_seed_and_their_interval_knows_the_pairs():
    above, below = plots.before_after(two())
    seeds = drawn(below, "seed")
    layer = np.arange(1, 6)
    assert len(seeds) == 3
    for seed, line in enumerate(seeds):
        np.testing.assert_allclose(line.get_ydata(), 0.5 * layer + 0.01 * seed, atol=1e-12)
    (mean,) = drawn(below, "mean")
    np.testing.assert_allclose(mean.get_ydata(), 0.5 * layer + 0.01)
    (band,) = [c for c in below.collections if c.get_gid() == "interval"]
    at_first = [y for x, y in band.get_paths()[0].vertices if x == 1]
    # t of 2 degrees of freedom times 0.01 over the root of 3: the seeds' own spread, 3 decades, is not in it
    assert max(at_first) - min(at_first) == pytest.approx(2 * 4.302652729749464 * 0.01 / 3**0.5)
    assert len(drawn(above, "mean")) == 2
    text = plots.caption(above)
    assert text.startswith(f"With He normal the rms delta is {10**2.51:.3g} times that") and "at layer 5" in text
    assert "excludes none in 5 of 5 layers" in text and "3 pairs" in text


def test_steps_of_a_training_and_columns_that_are_no_logarithms():
    frame = learnt(steps=(0, 16))
    _, below = plots.before_after(frame, hue="step", value="activation_p98_over_rms")
    (mean,) = drawn(below, "mean")
    np.testing.assert_allclose(mean.get_ydata(), 0, atol=1e-12)
    assert below.get_ylabel() == "difference" and below.get_title() == "step 16 − step 0"
    panels = plt.subplots(2, 1)[1]
    panels[1].set_title("mine")
    assert plots.before_after(frame, hue="step", ax=panels)[1] is panels[1]
    assert panels[1].get_title() == "mine" and panels[1].get_title("right") == ""
    assert panels[1].get_ylabel() == "step 16 / step 0"
    said = plots.caption(panels[0])  # the axes may stand side by side
    assert "First axes:" in said and "Second axes:" in said and "Above" not in said and "Below" not in said
    assert "Above:" in plots.caption(below) and "Below:" in plots.caption(below)


def test_what_has_no_pairs_is_refused():
    with pytest.raises(GradlabError, match="two values"):
        plots.before_after(frames.frame(trace(5)))
    with pytest.raises(GradlabError, match="which differ in activation"):
        plots.before_after(healthy(depths=(4,)), hue="init")
    frame = two()
    frame.loc[frame["init"] == "he_normal", "seed"] += 10
    with pytest.raises(GradlabError, match="none in common"):
        plots.before_after(frame)
