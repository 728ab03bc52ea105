"""Moving profiles: a picture for each value, the same limits in all, files that open and say where they come from."""

import numpy as np
import pytest
from matplotlib import animation as mpl_animation
from matplotlib import pyplot as plt
from PIL import Image

import gradlab as gl
from gradlab import frames, plots
from gradlab._errors import GradlabError

from .synthetic import failed, healthy, learnt, trace
from .test_lines import drawn, hidden

TWO = ({"activation": "tanh"}, {"activation": "relu"})


@pytest.fixture
def seen(monkeypatch):
    """Limits, title and lines of the axes each time a frame is written."""
    shown = []
    savefig = plt.Figure.savefig

    def watched(figure, *args, **options):
        (ax,) = figure.axes
        lines = [np.column_stack(line.get_data()) for line in drawn(ax, "mean")]
        place = np.round(ax.get_position().bounds, 12).tolist()
        shown.append(((ax.get_xlim(), ax.get_ylim(), place), ax.get_title(), lines, ax))
        return savefig(figure, *args, **options)

    monkeypatch.setattr(plt.Figure, "savefig", watched)
    return shown


def test_a_gif_over_the_training(tmp_path, seen):
    steps = (0, 1, 8, 64)
    frame = learnt(TWO, steps)
    made = plots.animate(frame, tmp_path / "new" / "steps.gif", run_hash="cafe", command="x y", preset="paper", fps=2)
    assert [p.name for p in made] == ["steps.gif", "steps-poster.png"]
    with Image.open(made[0]) as picture:
        text = picture.info["comment"].decode()
        durations = [(picture.seek(number), picture.info["duration"])[1] for number in range(picture.n_frames)]
        assert durations == [500, 500, 500, 1500] and picture.info["loop"] == 0
    assert "gradlab:run=cafe" in text and "gradlab:command=x y" in text and "4 frames over step" in text
    with Image.open(made[1]) as poster:
        assert poster.text["gradlab:run"] == "cafe" and "n = 3 seeds" in poster.text["Description"]
    assert len({str(limits) for limits, *_ in seen}) == 1
    (_, (low, high), _), *_ = seen[0]
    delta = hidden(frame)["log10_delta_rms"]
    assert low < delta.min() and delta.max() < high
    assert [title for _, title, *_ in seen] == [f"step {s}" for s in (*steps, steps[-1])]  # two networks: no loss
    for step, (_, _, lines, _) in zip(steps, seen, strict=False):
        rows = hidden(frame[frame["step"] == step])
        table = frames.summarise(rows, ["activation", "layer"], "log10_delta_rms")
        for line, (_, wanted) in zip(lines, table.groupby("activation", observed=True, sort=False), strict=True):
            np.testing.assert_array_equal(line, wanted.sort_values("layer")[["layer", "mean"]])
    assert not plt.get_fignums() and not list(tmp_path.rglob("*.tmp"))


def test_numbered_pages_over_depth(tmp_path, seen):
    made = plots.animate(healthy(depths=(4, 16)), tmp_path / "d.v2.pdf", over="depth", preset="paper", run_hash="cafe")
    assert [p.name for p in made] == ["d.v2-001.pdf", "d.v2-002.pdf", "d.v2-poster.png"]
    assert all(p.read_bytes().startswith(b"%PDF") for p in made[:2])
    assert b"cafe" in made[0].read_bytes().replace(b"\0", b"")
    assert [title for _, title, *_ in seen] == ["depth 4", "depth 16", "depth 16"]
    assert [len(lines) for _, _, lines, _ in seen[:2]] == [4, 4]
    assert [int(lines[0][:, 0].max()) for _, _, lines, _ in seen[:2]] == [4, 16]


@pytest.mark.slow
def test_over_a_variance_colours_are_those_of_what_else_differs(tmp_path, seen):
    made = []
    for w in (0.5, 1.0, 4.0):
        for name in ("tanh", "relu"):
            one = trace(6, 2, np.log10(w), activation=name, init="gaussian", sigma_w2=w)
            made.append(frames.frame(one).assign(sigma_w2=w))
    plots.animate(frames.concat(made), tmp_path / "w.gif", over="sigma_w2", preset="paper")
    assert [title for _, title, *_ in seen][:3] == [rf"$\sigma_w^2$ = {w}" for w in ("0.5", "1", "4")]
    assert len({str(limits) for limits, *_ in seen}) == 1 and all(len(lines) == 2 for _, _, lines, _ in seen)


@pytest.mark.slow
def test_over_names_the_axes_stand_still_under_titles_of_other_heights(tmp_path, seen):
    plots.animate(
        learnt(({"activation": "elu"}, {"activation": "sigmoid"}), (0,)), tmp_path / "n.gif", over="activation"
    )
    assert [title for _, title, *_ in seen] == ["ELU", "sigmoid", "sigmoid"]
    assert len({str(limits) for limits, *_ in seen}) == 1
    assert not seen[-1][-1].get_autoscale_on()


@pytest.mark.slow
def test_layer_by_layer_as_the_signal_travels(tmp_path, seen):
    frame = frames.frame([trace(2), trace(3)])
    plots.animate(frame, tmp_path / "l.gif", over="layer", x="layer", hue="depth", preset="paper")
    back = [[line[:, 0].tolist() for line in lines] for _, _, lines, _ in seen]
    assert back[:3] == [[[2], [3]], [[1, 2], [2, 3]], [[1, 2], [1, 2, 3]]]
    assert seen[0][1] == "1 layer from the loss" and len(seen) == 4
    seen.clear()
    plots.animate(frame, tmp_path / "f.gif", over="layer", value="log10_activation_rms", hue="depth", preset="paper")
    assert [line[:, 0].tolist() for line in seen[0][2]] == [[1], [1]] and seen[1][1] == "2 layers from the input"


def test_zeros_and_failures_are_there_in_their_frames_alone(tmp_path, monkeypatch):
    frame = learnt(steps=(0, 1))
    frame.loc[(frame["layer"] <= 2) & (frame["step"] == 1), "log10_delta_rms"] = -np.inf
    frame["status"] = frame["status"].astype(object)
    frame.loc[(frame["step"] == 1) & (frame["seed"] == 2), "status"] = "diverged at step 1"
    frame = frames.concat([frame, failed(depth=4, activation="gelu")])
    marks = []
    savefig = plt.Figure.savefig

    def watched(figure, *args, **options):
        (ax,) = figure.axes
        marks.append((len(drawn(ax, "zero")), len(drawn(ax, "failed")), ax.get_yticklabels()[0].get_text()))
        return savefig(figure, *args, **options)

    monkeypatch.setattr(plt.Figure, "savefig", watched)
    plots.animate(frame, tmp_path / "z.gif", preset="paper")
    # in the corner what was never measured, at step 1 the training that diverged there
    assert marks == [(0, 1, "0"), (1, 1, "0"), (1, 1, "0")]


@pytest.mark.skipif(not mpl_animation.FFMpegWriter.isAvailable(), reason="needs ffmpeg")
def test_an_mp4(tmp_path):
    made = plots.animate(learnt(steps=(0, 1)), tmp_path / "a.mp4", preset="paper")
    assert b"ftyp" in made[0].read_bytes()[:16]


def test_an_mp4_without_ffmpeg_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(mpl_animation.FFMpegWriter, "isAvailable", lambda: False)
    with pytest.raises(GradlabError, match=r"ffmpeg.*a\.gif"):
        plots.animate(learnt(steps=(0, 1)), tmp_path / "a.mp4")


def test_an_mp4_is_written_frame_by_frame(tmp_path, monkeypatch):
    """What is handed to ffmpeg, where there is none to hand it to."""
    grabbed = []

    class Writer:
        isAvailable = staticmethod(lambda: True)

        def __init__(self, fps, metadata, extra_args):
            grabbed.append((fps, metadata["comment"], extra_args))

        def saving(self, figure, path, dpi):
            self.figure, self.path = figure, path
            return self

        def __enter__(self):
            return self

        def __exit__(self, *error):
            with open(self.path, "wb") as file:
                file.write(b"film")

        def grab_frame(self):
            grabbed.append(self.figure.axes[0].get_title())

    monkeypatch.setattr(mpl_animation, "FFMpegWriter", Writer)
    made = plots.animate(learnt(steps=(0, 1)), tmp_path / "a.mp4", preset="paper", run_hash="cafe")
    assert grabbed[0] == (4.0, f"gradlab:version={gl.__version__}; gradlab:run=cafe", ["-f", "mp4"])
    assert grabbed[1:] == ["step 0, training loss 2", "step 1, training loss 1.9"]
    assert made[0].read_bytes() == b"film"


def test_what_cannot_be_animated(tmp_path):
    frame = learnt(steps=(0, 1))
    path = tmp_path / "a.gif"
    with pytest.raises(GradlabError, match="'webm'"):
        plots.animate(frame, tmp_path / "a.webm")
    with pytest.raises(GradlabError, match="ending of the file"):
        plots.animate(frame, tmp_path / "a")
    with pytest.raises(GradlabError, match="rows"):
        plots.animate(frame[:0], path)
    with pytest.raises(GradlabError, match="'steps'"):
        plots.animate(frame, path, over="steps")
    with pytest.raises(GradlabError, match="several values of step"):
        plots.animate(frame[frame["step"] == 0], path)
    with pytest.raises(GradlabError, match="one step"):
        plots.animate(frame, path, over="depth")
    with pytest.raises(GradlabError, match="fps"):
        plots.animate(frame, path, fps=0)
    with pytest.raises(GradlabError, match="'from_loss'"):
        plots.animate(frame, path, x="fromloss")
    with pytest.raises(GradlabError, match="'log10_delta_rms'"):
        plots.animate(frame, path, value="log10_delta")
    (tmp_path / "file").write_text("")
    with pytest.raises(GradlabError, match="to be able to write"):
        plots.animate(frame, tmp_path / "file" / "a.gif", preset="paper")
    assert not plt.get_fignums() and not list(tmp_path.glob("*.gif"))


def test_another_models_layers_and_the_same_bytes_each_time(tmp_path):
    frame = learnt(steps=(0, 1))[["seed", "step", "layer", "log10_delta_rms"]]
    made = [plots.animate(frame, tmp_path / name / "a.gif", preset="paper")[0] for name in "ab"]
    assert made[0].read_bytes() == made[1].read_bytes()
    with Image.open(made[0]) as picture:
        assert picture.n_frames == 2
