"""Axes of decades, presets, what stands on the page, and files."""

import os
import re
import subprocess
import sys
import zlib

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from gradlab import frames, plots
from gradlab._errors import GradlabError
from gradlab.plots.ground.captions import figure_of

from .synthetic import bins, healthy, learnt, printed, sick, trace

FOUR = [{"activation": a, "init": i} for a in ("sigmoid", "leaky_relu") for i in ("xavier_normal", "he_truncated")]

FIGURES = {
    "flow": lambda preset: plots.gradient_flow(healthy(16, depths=(16,)), preset=preset),
    "sick": lambda preset: plots.gradient_flow(sick(), hue="activation", style="depth", preset=preset),
    "rate": lambda preset: plots.rate_against_depth(sick(), hue="activation", preset=preset),
    "map": lambda preset: plots.heatmap(healthy(), preset=preset),
    "bins": lambda preset: plots.histograms(bins(), preset=preset),
    "printed": lambda preset: plots.autodiff(printed(), preset=preset),
    "learning": lambda preset: plots.learning_speed(learnt(FOUR), preset=preset),
    "bands": lambda preset: plots.activation_bands(learnt(FOUR[:2], depth=8), preset=preset),
    "curves": lambda preset: plots.training_curves(learnt(FOUR), preset=preset),
    "trained": lambda preset: plots.trainability(learnt(FOUR), x="activation", y="init", preset=preset),
}


#: Figures of trainings are as many again.
SLOW = ("learning", "bands", "curves", "trained")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in FIGURES]


def labels(axis):
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    return {
        t.get_text(): at for t, at in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True) if low <= at <= high
    }


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize(
    ("low", "high", "has"),
    [
        (-630, 0, {"$10^{-600}$": -600}),
        (-4, 3, {"$10^{0}$": 0}),
        (-0.7, 0.1, {"0.5": np.log10(0.5), "1": 0}),
        (-630.3, -629.8, {"$10^{-630}$": -630}),
        (np.log10(0.9963), np.log10(0.9978), {"0.997": np.log10(0.997)}),
    ],
)
def test_ticks_say_the_quantity(axis, low, high, has):
    _, ax = plt.subplots()
    ax.plot(*(([low, high], [0, 1]) if axis == "x" else ([0, 1], [low, high])))
    plots.log10_axis(ax, axis)
    found = labels(ax.yaxis if axis == "y" else ax.xaxis)
    assert len(found) >= 2
    for text, at in has.items():
        assert found[text] == pytest.approx(at, abs=1e-9)


@pytest.mark.parametrize("value", [0.0, -630.0])
def test_a_flat_line_has_ticks(value):
    _, ax = plt.subplots()
    ax.plot([1, 2], [value, value])
    plots.log10_axis(ax)
    assert labels(ax.yaxis)


def test_limits_that_a_user_sets_are_kept():
    ax = plots.gradient_flow(sick(), hue="activation", value="log10_delta_rms")
    ax.set_ylim(-100, 50)
    assert ax.get_ylim() == (-100, 50)
    assert labels(ax.yaxis)["0"] == -100  # the floor is where the axis ends


def test_lines_drawn_later_are_taken_in():
    _, ax = plt.subplots()
    plots.log10_axis(ax)
    ax.plot([1, 2], [-630, 0])
    assert "$10^{-400}$" in labels(ax.yaxis)
    with pytest.raises(GradlabError, match="axis"):
        plots.log10_axis(ax, "z")


@pytest.mark.parametrize("preset", ["paper", "slide"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_labels_do_not_overlap_and_every_axis_says_what_it_is(name, preset):
    figure = figure_of(FIGURES[name](preset))
    figure.draw_without_rendering()
    texts = [t.get_text() for t in figure.findobj(matplotlib.text.Text)]
    assert not any(re.search(r"\[1?\]", t) for t in texts)  # what has no unit is written without one
    shared = [t for t in (figure._supxlabel, figure._supylabel) if t is not None and t.get_text()]
    assert shared or all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes if ax.axison)
    assert plots.caption(figure).endswith(".")
    assert re.search(r"n = \d", plots.caption(figure))
    width, height = figure.get_size_inches()
    if preset == "slide":
        assert width / height == pytest.approx(16 / 9, rel=1e-3)
    else:
        assert width in (3.4, 7.0)
    page = figure.bbox
    shown = figure.get_tightbbox()
    assert shown.x0 >= -0.01 and shown.y0 >= -0.01
    assert shown.x1 <= width + 0.01 and shown.y1 <= height + 0.01
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert page.x0 <= box.x0 and box.x1 <= page.x1
        assert all(not box.overlaps(ax.get_window_extent()) for ax in figure.axes)
    for ax in figure.axes:
        assert ax.get_window_extent().width > 0.1 * page.width or ax.get_label() == "<colorbar>"
        for axis in (ax.xaxis, ax.yaxis):
            boxes = [t.get_window_extent() for t in axis.get_ticklabels() if t.get_text() and t.get_visible()]
            low, high = (ax.bbox.x0, ax.bbox.x1) if axis is ax.xaxis else (ax.bbox.y0, ax.bbox.y1)
            middle = lambda b, a=axis, x=ax.xaxis: (b.x0 + b.x1) / 2 if a is x else (b.y0 + b.y1) / 2
            boxes = [b for b in boxes if low - 1 <= middle(b) <= high + 1]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])


def test_fonts_of_presets():
    ax = plots.gradient_flow(frames.frame(trace(5)), value="log10_delta_rms")
    assert ax.xaxis.label.get_size() == 8 and ax.xaxis.label.get_family() == ["STIXGeneral", "DejaVu Sans"]
    ax = plots.gradient_flow(frames.frame(trace(5)), value="log10_delta_rms", preset="slide")
    assert ax.xaxis.label.get_size() == 22
    with plots.style("slide"):
        assert matplotlib.rcParams["font.size"] == 22
    assert matplotlib.rcParams["font.size"] != 22


def test_files_carry_run_command_and_caption(tmp_path):
    axes = plots.gradient_flow(healthy(depths=(4,)))
    command = "gradlab report runs/démo"
    paths = plots.save(axes, tmp_path / "flow.v1.5", run_hash="cafe0123", command=command)
    assert [p.name for p in paths] == ["flow.v1.5.png", "flow.v1.5.pdf", "flow.v1.5.svg"]
    png = Image.open(paths[0]).text
    assert png["gradlab:run"] == "cafe0123" and png["gradlab:command"] == command
    assert png["Description"] == plots.caption(axes) and "Software" not in png
    pdf = paths[1].read_bytes()
    assert b"cafe0123" in pdf.replace(b"\0", b"") and b"CreationDate" not in pdf
    streams = [zlib.decompress(s) for s in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.S)[:2]]
    assert streams and b"/FontFile2" in pdf and b"/Type3" not in pdf
    svg = paths[2].read_text(encoding="utf-8")
    assert "cafe0123" in svg and command in svg and "<dc:date>" not in svg


def test_formats_and_where_files_go(tmp_path):
    ax = plots.gradient_flow(healthy(depths=(4,)), value="log10_delta_rms")
    assert [p.name for p in plots.save(ax, tmp_path / "new" / "a.pdf")] == ["a.pdf"]
    assert [p.name for p in plots.save(ax.figure, tmp_path / "b", formats="svg")] == ["b.svg"]
    assert not list(tmp_path.rglob("*.tmp"))
    with pytest.raises(GradlabError, match="'png'"):
        plots.save(ax, tmp_path / "c", formats="pgn")
    (tmp_path / "file").write_text("")
    with pytest.raises(GradlabError, match="to be able to write"):
        plots.save(ax, tmp_path / "file" / "a", formats="png")
    with pytest.raises(GradlabError, match="a figure or its axes"):
        plots.save("figure", tmp_path / "d")


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from synthetic import sick
from gradlab import plots
assert "jax" not in sys.modules
ax = plots.gradient_flow(sick(), hue="activation", value="log10_delta_rms")
plots.save(ax, sys.argv[1], run_hash="cafe", command="x")
plots.save(plots.heatmap(sick(), x="activation"), sys.argv[1] + "map", ("svg",), run_hash="cafe", command="x")
"""


@pytest.mark.slow
def test_files_are_the_same_bytes_in_another_process_without_jax(tmp_path):
    made = []
    for salt in ("1", "2"):
        folder = tmp_path / salt
        script = SCRIPT.format(folder=os.path.dirname(__file__))
        env = {**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(["."])}
        subprocess.run([sys.executable, "-W", "error", "-c", script, str(folder / "a")], check=True, env=env)
        made.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert made[0] == made[1] and len(made[0]) == 4
