"""A figure of several panels: sizes, letters, legend, caption; roles, direct labels and alternative text."""

import matplotlib
import numpy as np
import pytest

from gradlab import plots
from gradlab._errors import GradlabError
from gradlab.plots.ground.captions import in_parts

from .synthetic import healthy

TANH = healthy(depths=(4, 16))


def filled(**options):
    board = plots.board("aab;ccd", **options)
    plots.gradient_flow(TANH[TANH["init"] == "he_normal"], value="log10_delta_rms", hue="activation", ax=board["a"])
    with board.drawing():
        board["b"].plot([1, 2], [0.0, 1.0], label="own line", **plots.role("theory"))
        board["c"].set(xlabel="x", ylabel="y")
    return board


@pytest.mark.parametrize(
    ("options", "size"),
    [({}, (7.0, 4.7)), ({"width": "column", "height": 3.0}, (3.4, 3.0)), ({"preset": "slide"}, (13.333, 7.5))],
)
def test_a_board_has_the_true_width_and_letters(options, size):
    board = plots.board("aab;ccd", **options)
    assert tuple(board.figure.get_size_inches()) == pytest.approx(size)
    assert [board[name].get_title(loc="left") for name in board] == ["(a)", "(b)", "(c)", "(d)"]
    assert len(board) == 4
    alone = plots.board("a")
    assert alone["a"].get_title(loc="left") == "" and alone.figure.get_figwidth() == 3.4


@pytest.mark.parametrize("where", ["above", "below", "right"])
def test_one_legend_has_the_lines_of_all_panels(where):
    board = filled()
    assert board["a"].get_legend() is None  # the figure's legend is the only one
    legend = board.legend(where, more=matplotlib.lines.Line2D([], []))
    names = [text.get_text() for text in legend.get_texts()]
    assert {"sigmoid", "own line", "more"} <= set(names) and len(set(names)) == len(names)
    board.figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert not any(box.overlaps(board[name].get_tightbbox()) for name in board)


def test_calls_on_a_board_have_its_preset_and_on_a_users_figure_none():
    for preset in plots.PRESETS:
        board = plots.board("ab", preset=preset)
        plots.gradient_flow(TANH[TANH["init"] == "he_normal"], value="log10_delta_rms", ax=board["a"])
        (width,) = {line.get_linewidth() for line in board["a"].lines if line.get_gid() == "mean"}
        assert width == plots.PRESETS[preset].rc["lines.linewidth"]
    _, ax = matplotlib.pyplot.subplots()
    plots.gradient_flow(TANH[TANH["init"] == "he_normal"], value="log10_delta_rms", ax=ax)
    assert {line.get_linewidth() for line in ax.lines if line.get_gid() == "mean"} == {
        matplotlib.rcParams["lines.linewidth"]
    }


def test_the_caption_names_the_panels_and_travels_with_the_figure(tmp_path):
    board = filled()
    assert board.caption.startswith("(a) From the last")
    text = board.describe("See this.", b="A line.", setting="n = 3.")
    assert text.startswith("See this. (a) From") and " (b) A line. n = 3." in text
    assert plots.caption(board.figure) == plots.caption(board["a"]) == board.caption == text
    made = board.save(tmp_path / "f", ("png", "pdf"))
    assert [p.suffix for p in made] == [".png", ".pdf"]
    assert b"See this." in made[0].read_bytes()


@pytest.mark.parametrize("wrong", ["", "ab;c", "..", "ab;"])
def test_a_layout_that_is_none_is_refused(wrong):
    with pytest.raises(GradlabError, match=r"gl\.plots\.board"):
        plots.board(wrong)


def test_names_that_are_not_there_are_refused():
    with pytest.raises(GradlabError, match="one of a; received 'b'"):
        plots.board("a")["b"]
    with pytest.raises(GradlabError, match="theory"):
        plots.role("theorem")
    with pytest.raises(GradlabError, match="one value"):
        plots.looks([])


def test_roles_keep_their_share_of_the_lines_in_every_preset():
    shares = []
    for preset in plots.PRESETS:
        with plots.style(preset):
            shares.append(plots.role("theory")["linewidth"] / matplotlib.rcParams["lines.linewidth"])
    assert shares == pytest.approx([0.7, 0.7])
    darker = plots.role("theory", "#0072B2")["color"]
    assert np.mean(darker) < np.mean(matplotlib.colors.to_rgb("#0072B2"))


def test_values_are_told_apart_without_colour():
    found = plots.looks(["a", "b", "c"])
    assert len({str(look["linestyle"]) for look in found.values()}) == 3
    assert len({look["marker"] for look in found.values()}) == 3
    assert {look["linestyle"] for look in plots.looks(["a", "b"], line=False).values()} == {"-"}


def test_labels_at_the_ends_of_lines_keep_their_order_and_do_not_overlap():
    board = plots.board("a")
    with board.drawing():
        for i, end in enumerate([1.0, 1.001, 1.002, 0.0]):
            board["a"].plot([1, 2, np.nan], [0.5, end, np.nan], label=f"line {i}", color=f"C{i}")
        board["a"].set_xlim(1, 2)  # 0 lies outside
        labels = plots.label_ends(board["a"])
    board.figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in labels]
    assert [label.get_text() for label in labels] == ["line 0", "line 1", "line 2", "line 3"]
    heights = [box.y0 for box in boxes]
    assert heights[3] < heights[0] < heights[1] < heights[2]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert labels[0].get_color() == "C0"
    with pytest.raises(GradlabError, match="lines with labels"):
        plots.label_ends(board["a"])  # they are named already


def test_the_alternative_text_has_the_numbers_of_the_lines():
    board = filled()
    with board.drawing():
        board["b"].set(xlabel="depth", ylabel="rate")
    text = plots.alt(board.figure)
    assert "(b) Rate against depth: own line from 0 at 1 to 1 at 2." in text
    assert "(a) Rms delta" in text and "$" not in text and "\\" not in text
    assert "(d)" not in text  # nothing is said of a panel without labels


def test_the_alternative_text_has_lines_named_at_their_ends_and_error_bars():
    board = plots.board("a")
    with board.drawing():
        board["a"].plot([1, 2], [3, 4], label="named")
        board["a"].plot([1, 2], [0, 0])  # without a name
        board["a"].errorbar([1, 2], [5, 6], [1, 1], label="bars")
        board["a"].set(xlabel="x", ylabel="y")
        plots.label_ends(board["a"])
    assert plots.alt(board) == "Y against x: named from 3 at 1 to 4 at 2; bars from 5 at 1 to 6 at 2."
    board["a"].plot([1, 2], [7, 8], color="#CC79A7")
    board["a"].text(2, 8, "beside it", color="#CC79A7")
    board["a"].set_ylabel(r"$\sigma_w^2$")
    assert plots.alt(board).startswith("σ_w² against x: ") and "; beside it from 7 at 1 to 8 at 2." in plots.alt(board)


def test_the_alternative_text_names_a_line_by_the_look_that_another_explains():
    board, looks = plots.board("ab"), plots.looks(["wide", "deep"], line=False)
    with board.drawing():
        for name, look in looks.items():
            board["a"].plot([], [], **look, label=name)
            board["b"].plot([1, 2], [3, 8], **look)
            board["b"].plot([1, 2], [5, 6], **plots.role("theory", look["color"]))
        board["a"].plot([], [], **plots.role("theory"), label="law")
        board["b"].axhline(7, **plots.role("threshold"))  # nothing explains it
        board["b"].set(xlabel="x", ylabel=r"$\|\partial L\,/\,\partial W\|_F^2$")
    assert plots.alt(board) == (
        "(b) ‖∂L/∂W‖_F² against x: wide from 3 at 1 to 8 at 2; wide, law from 5 at 1 to 6 at 2; "
        "deep from 3 at 1 to 8 at 2; deep, law from 5 at 1 to 6 at 2."
    )


def test_the_alternative_text_has_the_headers_of_panels_and_the_roles_of_lines():
    frame = healthy(depths=(4,))
    text = plots.alt(plots.gradient_flow(frame, value="log10_delta_rms", hue="activation", row="init"))
    for init in ("He normal", "Xavier normal"):
        assert f"{init}, rms delta ∂L/∂z [loss] against layer (1 = next to the input): sigmoid from " in text


def test_a_caption_keeps_the_sentence_that_says_what_to_see_apart_from_the_rest():
    ax = plots.gradient_flow(TANH, value="log10_delta_rms", hue="activation", row="init")[0, 0]
    lead, rest = in_parts(ax)
    assert lead.startswith("From the last to the first") and lead.endswith(".") and rest.startswith("Rms delta")
    assert plots.caption(ax) == f"{lead} {rest}"
    board = plots.board("ab")
    board.describe("It falls, e.g. by half.", setting="n = 3.", a="One.")
    assert in_parts(board) == ("It falls, e.g. by half.", "(a) One. n = 3.")


def test_of_many_lines_the_alternative_text_leaves_out_theory_first():
    board, looks = plots.board("a"), plots.looks([f"line {i}" for i in range(6)], line=False)
    with board.drawing():
        for name, look in looks.items():
            board["a"].plot([1, 2], [3, 8], **look, label=name)
            board["a"].plot([1, 2], [5, 6], **plots.role("theory", look["color"]))
        board["a"].plot([], [], **plots.role("theory"), label="law")
        board["a"].set(xlabel="x", ylabel="y")
        assert ", law" in plots.alt(board)
        for i in range(6):
            board["a"].plot([1, 2], [i, i], label=f"more {i}")
    text = plots.alt(board)
    assert ", law" not in text and all(f"line {i} from" in text for i in range(6))
