import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gradlab._errors import GradlabError
from gradlab.config import content_hash
from gradlab.reporting.experiment import MOST_ROWS, Experiment
from gradlab.reporting.experiment_words import Caption, Words
from gradlab.reporting.findings import Finding

CAPTIONS = {
    "line": Caption(
        "It rises by {rise:g}.", {"a": "The line, in {colour}.", "b": "The same."}, "n = 1.", "Depth {depth}."
    ),
    "points": Caption("Points stand on it."),
}  # fmt: skip
SAID = Words(
    "A line", "It rises by {rise:g} over {depth} layers.", "As it is.", CAPTIONS,
    (("more than {rise:g}", "before the run"), ("less than 1", "after a look at one seed")), "a line",
)  # fmt: skip
LINE = pd.DataFrame({"layer": [1, 2, 3], "rate": [1 / 3, 0.1 + 0.2, -np.inf], "claim": [True, None, False]})


def draw(tables, marker="o"):
    """Two figures; the points are those of the table."""
    made = {}
    for name, style in (("line", "-"), ("points", marker)):
        made[name], axes = plt.subplots(figsize=(2, 1))
        axes.plot(tables["line"]["layer"], tables["line"]["rate"].clip(lower=0), style, label="measured")
        axes.set(xlabel="layer", ylabel=f"rate of {name}")
    return made


def show(tables):
    """The table of the page; the third row is nearest to its line."""
    return tables["line"].assign(margin=[2.0, 1.0, -0.5]).set_index("layer")


def tell(tables):
    """The slope of the line."""
    return {"rise": tables["line"]["rate"][0]}


def experiment(said=SAID, **changes):
    """The experiment, of other words or other functions."""
    return Experiment(**{"name": "line", "said": said, "draw": draw, "show": show, "tell": tell, **changes})


def publish(folder, **changes):
    """Its page, of a claim that is false."""
    own = {"finding": Finding.of({"it rises": False}), "setting": {"depth": 3}, "numbers": {"colour": "blue"}}
    made = experiment(**changes).publish(folder, {"line": LINE}, **own)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a page."""
    return publish(tmp_path_factory.mktemp("page")).parent


@pytest.fixture
def page(folder, tmp_path):
    """A page to be changed."""
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "README.md"


def files(folder, *but):
    """The bytes of the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in but}


def test_a_page_carries_its_hash_in_its_figures_and_beside_them(folder):
    """The file itself says what was run and how to run it again."""
    about = json.loads((folder / "provenance.json").read_text())
    assert about["hash"] == content_hash({"depth": 3})
    assert {f"{name}.{kind}" for name in CAPTIONS for kind in ("png", "svg", "pdf")} <= set(files(folder))
    with Image.open(folder / "points.png") as image:
        assert image.text["gradlab:run"] == about["hash"]
        assert image.text["gradlab:command"] == "python experiments/line.py"
        assert image.text["Description"] == "Points stand on it."
        assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-3)  # PNG counts whole pixels per metre


def test_a_page_shows_what_its_claim_is_and_what_was_fixed_when(folder):
    text = (folder / "README.md").read_text()
    assert "**Not held**" in text and "A case is a line." in text
    assert "It rises by 0.333333 over 3 layers." in text
    assert "**It rises by 0.333333.** *(a) The line, in blue. (b) The same. n = 1. Depth 3.*" in text
    assert "| more than 0.333333 | before the run |\n| less than 1 | after a look at one seed |" in text
    spoken = "Rate of line against layer: measured from 0.333 at 1 to 0 at 3."
    assert text.index(f"![It rises by 0.333333. {spoken}](line.png)") < text.index("**It rises")
    assert "Rate of points against layer: measured from 0.333 at 1 to 0 at 3.](points.png)" in text  # of each its own
    assert "margin" not in text


def test_figures_are_drawn_from_the_tables_that_were_written(page):
    """What the files hold is what is drawn: a number that is changed there moves the line."""
    before = files(page.parent)
    assert experiment().redraw(page.parent) == page
    assert files(page.parent) == before
    seen = {}
    experiment(draw=lambda tables: seen.update(tables) or draw(tables)).redraw(page.parent)
    pd.testing.assert_frame_equal(seen["line"], LINE, check_exact=True)
    (page.parent / "line.csv").write_text("layer,rate,claim\n1,0.5,true\n2,0.6,open\n3,0.7,false\n")
    experiment().redraw(page.parent)
    assert "It rises by 0.5 over 3 layers." in page.read_text() and "**Not held**" in page.read_text()
    assert files(page.parent)["points.svg"] != before["points.svg"]


def test_sentences_are_written_anew_around_the_numbers_of_the_run(page):
    before, others = page.read_text(), files(page.parent, "README.md")
    assert experiment().reword(page.parent) == page
    assert page.read_text() == before
    said = Words("A line", "It falls by {rise:.2f}.", "As it is.", CAPTIONS, SAID.fixed, "a line")
    experiment(said).reword(page.parent)
    assert page.read_text() == before.replace("It rises by 0.333333 over 3 layers.", "It falls by 0.33.")
    assert files(page.parent, "README.md") == others
    with pytest.raises(GradlabError, match="fall"):
        experiment(Words("A line", "It falls by {fall}.", "", CAPTIONS)).reword(page.parent)


def test_of_a_long_table_the_rows_nearest_to_a_line_stand_first_and_the_rest_is_folded(page):
    n = MOST_ROWS + 3
    distances = np.r_[np.arange(n - 2, dtype=float), np.nan, -1.0]  # the last straddles, the one before has no interval
    long = pd.DataFrame({"case": [f"case {i}" for i in range(n)], "margin": distances}).set_index("case")
    experiment(show=lambda _: long.assign(cell=range(n))).reword(page.parent)
    shown, folded = page.read_text().split("<details>")
    rows = lambda text: [
        int(line.split()[2]) for line in text.splitlines() if line.startswith("| case ") and "cell" not in line
    ]
    assert rows(shown) == [n - 1, *range(MOST_ROWS - 1)]
    assert rows(folded) == [n - 4, n - 3, n - 2]
    assert f"The {MOST_ROWS} rows nearest to a line of the claim; 3 more are folded." in shown
    assert "[line.csv](line.csv)" in folded.split("</details>")[1]


def test_what_is_rounded_to_0_has_no_sign(page):
    cells = ["-0.00 [-0.02, −0.0]", "-0.01", "1e-0.5", "-0.0(3)"]
    experiment(show=lambda _: pd.DataFrame({"cell": cells}, index=pd.Index(range(4), name="case"))).reword(page.parent)
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [row.split(" | ")[1].strip(" |").replace("\\", "") for row in rows] == [
        "0.00 [-0.02, 0.0]", "-0.01", "1e-0.5", "0.0(3)",
    ]  # fmt: skip


def test_a_figure_without_a_caption_is_refused(tmp_path):
    with pytest.raises(GradlabError, match="line, points"):
        publish(tmp_path, draw=lambda tables: {"line": draw(tables)["line"]})
    plt.close("all")
    with pytest.raises(GradlabError, match="a caption for each figure"):
        Words("A line", "", "", {})
    with pytest.raises(GradlabError, match="when the line '5 %' was fixed"):
        Words("A line", "", "", CAPTIONS, (("5 %", "sometime"),))


def test_a_folder_without_a_page_is_named(tmp_path):
    with pytest.raises(GradlabError, match="the page of an experiment"):
        experiment().reword(tmp_path)
    (tmp_path / "provenance.json").write_text('{"finding": "held"}')
    with pytest.raises(GradlabError, match="another version"):
        experiment().redraw(tmp_path)


@pytest.mark.parametrize(("option", "anew"), [("--words", False), ("--redraw", True)])
def test_the_command_line_writes_anew_and_measures_nothing(page, monkeypatch, capsys, option, anew):
    monkeypatch.setattr("sys.argv", ["line.py", option, "--out", str(page.parent)])
    other = experiment(draw=lambda tables: draw(tables, "x"))
    before = files(page.parent)
    with pytest.raises(SystemExit, match="0"):
        other.options("Draw a line.", __file__)
    assert capsys.readouterr().out == f"{page}\n"
    assert (files(page.parent)["points.png"] != before["points.png"]) == anew
    assert not plt.get_fignums()
    monkeypatch.setattr("sys.argv", ["line.py", "--quick"])
    asked = other.options("Draw a line.", __file__)
    assert asked.quick and asked.out.parts[-2:] == ("reports", "line")
