"""The page of a training: what is learnt, how fast, and the networks before and after it."""

import re

import numpy as np
import pytest

from gradlab.frames.rows import concat
from gradlab.plots.ground.captions import Caption
from gradlab.reporting import tables
from gradlab.reporting.choice import of_training
from gradlab.reporting.figures import Drawn, draw
from gradlab.reporting.page import report
from tests.plots.synthetic import curved, learnt
from tests.reporting.report_frames import grid, run_of

TWO = [{"activation": "tanh", "init": "xavier_normal"}, {"activation": "sigmoid", "init": "xavier_normal"}]


def trained():
    """Two networks over five steps; one seed of one of them diverges at step 2."""
    frame = learnt(TWO, steps=(0, 1, 2, 8, 64))
    ill = (frame["activation"] == "sigmoid") & (frame["seed"] == 1)
    frame = frame[~ill | (frame["step"] <= 2)]
    frame["status"] = frame["status"].astype(object)
    frame.loc[ill & (frame["step"] == 2), "status"] = "diverged at step 2"
    return concat([frame])


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page, with figures that are named and not drawn."""
    drawn = lambda figure, *_: Drawn(figure.title, figure.title, f"figures/{figure.name}.png", Caption(""), "", 3.4)
    monkeypatch.setattr("gradlab.reporting.figures._draw", drawn)
    return report(run_of(trained()), out=tmp_path / "page.md").read_text()


def test_first_and_last_step_of_each_seed():
    ends = tables.ends(trained())
    steps = ends.groupby(["activation", "seed"], observed=True)["step"].unique().map(sorted).to_dict()
    assert steps.pop(("sigmoid", 1)) == [0, 2]
    assert set(map(tuple, steps.values())) == {(0, 64)}
    assert tables.ends(grid()).equals(grid())


def test_the_page_has_both_ends_and_what_was_learnt(page):
    assert page.startswith("# Gradients of 2 networks along their training\n")
    assert "Of 2 networks, each with 3 seeds, at the first and at the last step of their training:" in page
    for step in (0, 64):
        assert f"| tanh, Xavier normal, step {step} | vanishing |" in page
    assert page.split("## Verdicts\n")[1].startswith("\n![Decades and verdicts. ")
    assert "step 8" not in page and "step 1:" not in page
    learnt_table = page.split("### Loss and accuracy\n")[2].split("\n#")[0]
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in learnt_table.splitlines() if "tep" in line}
    # 10^(0.3 - 0.1 log10(65) + mean of 0, 0.01, 0.02) = 1.345; 0.9 - 0.8/65 - 0.01 = 0.878, its t-interval 0.025
    assert rows["tanh, Xavier normal, step 64"][2:] == ["1.3", "1.7", "0.986", "0.88(2)", "3 |"]
    assert rows["sigmoid, Xavier normal, step 2"][-1] == "1 |"
    assert "| sigmoid, Xavier normal, step 2 | 4 | 1 of 1 | diverged at step 2 |" in page
    names = re.findall(r"\(figures/(\w+)\.png\)", page)
    assert names == ["forest", "training_curves", "layer_map", "learning_speed", "update_ratio", "gradient_flow"]


def test_a_training_with_a_sharpness_has_its_figure():
    frame = curved()
    titles = [figure.title for figure in of_training(frame)]
    assert titles[:2] == ["Loss and accuracy", "Loss and sharpness"]
    assert "Loss and sharpness" not in [figure.title for figure in of_training(frame.drop(columns="sharpness"))]
    axes, _ = next(figure for figure in of_training(frame) if figure.name == "sharpness").make()
    assert axes[1].get_ylabel() == "sharpness"


@pytest.mark.slow
def test_figures_of_a_training_are_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("gradlab.reporting.figures.FORMATS", ("png",))
    made = draw([lambda: of_training(trained())], tmp_path / "figures", "cafe0123", "gradlab report runs/demo")
    names = ("training_curves", "layer_map", "learning_speed", "update_ratio")
    assert [d.path for d in made] == [f"figures/{n}.png" for n in names]
    assert all((tmp_path / d.path).exists() for d in made)
    assert "diverged at step 2" in made[0].caption.text


def test_figures_show_what_there_is():
    names = lambda frame: [figure.name for figure in of_training(frame)]
    assert names(grid()) == []
    frame = learnt(TWO, steps=(0, 1)).drop(columns=["log10_train_loss", "log10_test_loss", "train_accuracy"])
    frame = frame.drop(columns="test_accuracy").assign(log10_update_ratio=np.nan)
    assert names(frame) == ["layer_map", "learning_speed"]
