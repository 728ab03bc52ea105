"""The network as boxes: colours, numbers, arrows and the stages of a film read back."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from gradlab import frames, plots
from gradlab._errors import GradlabError
from gradlab.plots.ground import film
from gradlab.plots.ground.cells import number
from gradlab.plots.ground.zones import colour, scale

from .synthetic import healthy, learnt, trace


def halves(ax, gid):
    boxes = [p for p in ax.patches if p.get_gid() == gid]
    return {round(p.get_x() + p.get_width() / 2): p for p in boxes}


def test_boxes_have_the_colours_of_the_signal_and_of_the_delta_beside_the_last():
    frame = frames.frame(trace(5))
    ax = plots.network(frame)
    rows = frame[frame["layer"] <= 5].groupby("layer")[["log10_activation_rms", "log10_delta_rms"]].mean()
    wanted = {"forward": rows["log10_activation_rms"], "backward": rows["log10_delta_rms"] - rows["log10_delta_rms"][5]}
    norm = scale(max(np.abs(v).max() for v in wanted.values()))
    for way, values in wanted.items():
        found = halves(ax, way)
        assert sorted(found) == [1, 2, 3, 4, 5]
        for layer, box in found.items():
            np.testing.assert_allclose(box.get_facecolor(), colour(values[layer], norm), atol=0.02)
        arrows = [p for p in ax.patches if p.get_gid() == f"{way} arrow"]
        assert len(arrows) == 5  # one of them from the input, or from the loss
    assert [t.get_text() for t in ax.texts if t.get_gid() == "number"][5:] == [
        number(wanted["backward"][layer]) for layer in range(1, 6)
    ]
    assert "the delta falls by 2.52 decades on the way back, over 5 hidden layers" in plots.caption(ax)


def test_zeros_are_hatched_and_long_networks_have_dots_in_place_of_numbers():
    dead = plots.network(frames.frame(trace(6, zeros=[(s, 2) for s in range(3)])))
    assert sorted(halves(dead, "zero")) == [1, 2] and all(p.get_hatch() for p in halves(dead, "zero").values())
    assert "falls to exactly 0" in plots.caption(dead)
    grows = plots.network(frames.frame(trace(20, per_layer=0.2)))
    assert not [t for t in grows.texts if t.get_gid() == "number"]
    dotted = {layer for layer, box in halves(grows, "backward").items() if box.get_hatch()}
    assert 1 in dotted and 20 not in dotted


def test_networks_stand_below_one_another_and_steps_are_not_averaged():
    frame = healthy(depths=(4,))
    axes = plots.network(frame[frame["init"] == "he_normal"])
    assert [ax.get_title() for ax in axes] == ["sigmoid", "ReLU"]
    given = plt.subplots()[1]
    one = frame[(frame["init"] == "he_normal") & (frame["activation"] == "relu")]
    assert plots.network(one, ax=given, limit=3) is given
    with pytest.raises(GradlabError, match="one network at one step"):
        plots.network(learnt(steps=(0, 1)), row="init")
    with pytest.raises(GradlabError, match="up to 4 networks"):
        plots.network(healthy(depths=(4, 5)))
    with pytest.raises(GradlabError, match="limit"):
        plots.network(one, limit=0)


@pytest.mark.parametrize("over", ["layer", "step"])
def test_a_film_shows_a_layer_more_at_each_stage_or_a_step(tmp_path, monkeypatch, over):
    seen = []
    whole = film._WRITERS["gif"]

    def watched(figure, show, count, *rest):
        def spied(number):
            show(number)
            ax = figure.axes[0]
            seen.append((ax.get_title(), len(halves(ax, "forward")), len(halves(ax, "backward"))))

        return whole(figure, spied, count, *rest)

    monkeypatch.setitem(film._WRITERS, "gif", watched)
    frame = learnt(steps=(0, 4), depth=3) if over == "step" else frames.frame(trace(3))
    made = plots.network_film(frame, tmp_path / "a.gif", over=over, preset="paper", command="x")
    assert [p.name for p in made] == ["a.gif", "a-poster.png"]
    if over == "layer":
        assert [v[1:] for v in seen] == [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3)]
        assert seen[0][0] == "forward: layer 1" and seen[-1][0] == "backward: layer 1"
    else:
        assert seen == [("step 0", 3, 3), ("step 4", 3, 3)]
    with Image.open(made[0]) as picture:
        assert picture.n_frames == len(seen)
    assert not plt.get_fignums()


def test_films_that_cannot_be_made(tmp_path):
    with pytest.raises(GradlabError, match="one network"):
        plots.network_film(healthy(depths=(4,)), tmp_path / "a.gif")
    with pytest.raises(GradlabError, match="several steps"):
        plots.network_film(learnt(steps=(0,)), tmp_path / "a.gif", over="step")
    with pytest.raises(GradlabError, match="fps"):
        plots.network_film(learnt(steps=(0,)), tmp_path / "a.gif", fps=0)
    assert not list(tmp_path.iterdir())
