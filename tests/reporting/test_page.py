import re
import shutil

import numpy as np
import pytest

from gradlab._errors import GradlabError
from gradlab.frames.files import Run
from gradlab.reporting.content import Content
from gradlab.reporting.html import to_html
from gradlab.reporting.page import report
from tests.reporting.report_frames import grid, run_of

pytestmark = pytest.mark.usefixtures("without_figures")


def section(page, title):
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def page(table, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradlab.reporting.figures.draw", lambda *_: [])
        return report(run_of(table), out=tmp_path_factory.mktemp("page") / "page.md").read_text()


def test_page_says_what_was_asked_and_what_was_found(page):
    assert page.startswith("# Gradients of 8 networks at initialisation\n")
    assert "all 32 measurements succeeded" in page
    assert "| depth | 4, 32 |" in section(page, "What was asked")
    assert "gain" not in section(page, "What was asked")  # it is the default
    verdicts = [line for line in section(page, "Verdicts").splitlines() if line.startswith("- ")]
    assert len(verdicts) == 4
    assert verdicts[0].startswith("- sigmoid, Xavier normal, at initialisation: **vanishing**, 0.237 [")
    assert "**steady**" in verdicts[1]
    assert "Its other depths: steady at depth 4." in verdicts[2]
    assert "**exploding**" in verdicts[3]


def test_every_network_stands_in_the_tables(page):
    rows = [line for line in section(page, "Tables").splitlines() if line.startswith("| ReLU, Xavier normal |")]
    assert rows[0] == "| ReLU, Xavier normal | steady | vanishing |"
    assert re.match(r"\| ReLU, Xavier normal \| 0\.71\(2\) \| 0\.71\(2\) \|", rows[1])
    assert "| sigmoid, Xavier normal | 32 | 0.5 → 0.5 | 1e-21 → 0.024 |" in page


def test_it_says_which_functional_and_how_to_make_it_again(page):
    assert "`log10_delta_rms`" in section(page, "How to read them")
    assert "`delta_log10_mean`" in section(page, "How to read them")
    again = section(page, "How to reproduce it")
    assert "```\ngradlab sweep --out runs/demo\n```" in again
    assert "cafe0123" in again
    assert "jax 0.10.2" in again


def test_same_run_same_bytes(table, tmp_path):
    pages = []
    for name in ("a", "b"):
        report(run_of(table), out=tmp_path / name, html=True, tex=True)
        pages.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert pages[0] == pages[1]
    assert set(pages[0]) == {"report.md", "report.html", "tables.tex", "figures.tex", "numbers.tex"}


@pytest.mark.parametrize("scale", [-4.0, 4.0])
def test_a_factor_on_the_loss_changes_no_verdict_rate_or_decades(table, page, scale, tmp_path):
    scaled = report(run_of(grid(scale=scale)), out=tmp_path).read_text()
    for title in ("### Verdict\n", "### Rate per layer toward the input\n", "### Decades over the hidden layers\n"):
        assert page.split(title)[1].split("###")[0] == scaled.split(title)[1].split("###")[0]
    strip = lambda text: [
        re.split(r"; float32 code|; in float32|\. ", line)[0] for line in section(text, "Verdicts").splitlines()
    ]
    assert strip(page) == strip(scaled)


def test_what_failed_and_what_was_zero_is_counted(table_with_failures, tmp_path):
    page = report(run_of(table_with_failures), out=tmp_path).read_text()
    assert "3 of 39 measurements failed" in page
    missing = section(page, "What is missing")
    assert r"| ELU, He normal | 9 | 3 of 3 | ValueError: no \| such thing \<b\> |" in missing
    assert "| softplus, He normal | 4 | log10_delta_rms | 1 | 0 | 16 |" in missing
    assert "1 dead" in page  # the rate says that a seed was left out


def test_a_page_without_a_single_success(table_with_failures, tmp_path):
    failed = table_with_failures[table_with_failures["activation"] == "elu"].reset_index(drop=True)
    page = report(run_of(failed), out=tmp_path).read_text()
    assert "3 of 3 measurements failed" in page
    assert "**undetermined**" in page


def test_names_from_outside_cannot_mark_up_the_page(tmp_path):
    hostile = "<script>alert(1)</script>|[x](javascript:alert(1))"
    first = grid(depths=(4,), data=hostile)
    report(run_of(first), out=tmp_path / "a.md", html=True)
    page = (tmp_path / "a.html").read_text()
    assert "<script" not in page
    assert "javascript:alert" not in re.findall(r'(?:href|src)="([^"]*)"', page)
    text = Content(
        Run(first, {"request": {"data": hostile}}, {"data": {"name": hostile, "content_hash": "1"}}, tmp_path)
    )
    assert "<script" not in to_html(text.markdown([]), tmp_path, {})


def test_html_is_one_file_that_asks_for_nothing(table, tmp_path):
    assert report(run_of(table), out=tmp_path / "page.md", html=True) == tmp_path / "page.md"
    text = (tmp_path / "page.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert not re.search(r'(?:src|href)="(?!data:)[a-z]+:', text)
    assert "width=device-width" in text
    tables = re.findall(r"^\|[-:| ]+\|$", (tmp_path / "page.md").read_text(), re.M)
    assert text.count('<div class="table w') == text.count("</table></div>") == len(tables) > 3
    assert "<title>Gradients of 8 networks at initialisation</title>" in text


def test_pictures_become_part_of_the_html(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    text = to_html('# T\n\n![a "quoted" word](a.png)\n', tmp_path, {"a.png": 7.0})
    assert 'alt="a &quot;quoted&quot; word" src="data:image/png;base64,iVBORw=="' in text
    with pytest.raises(GradlabError, match=r"pictures beside it.*b\.png"):
        to_html("![x](b.png)", tmp_path, {"b.png": 7.0})
    assert "not of this page: x" in to_html("![x](https://example.org/a.png)", tmp_path, {"b.png": 7.0})


def test_page_lies_in_the_folder_of_the_run_unless_told_otherwise(table, tmp_path):
    assert report(run_of(table, tmp_path)) == tmp_path / "report.md"
    assert report(run_of(table, tmp_path), out=tmp_path / "sub") == tmp_path / "sub" / "report.md"


def test_several_runs_are_told_apart_and_need_a_place(table, tmp_path):
    from gradlab.frames.rows import concat

    both = concat([table.assign(run="a"), table.assign(run="b")])
    one = run_of(table)
    run = Run(both, {"a": one.request, "b": one.request}, {"a": one.provenance, "b": one.provenance}, {"a": tmp_path})
    page = report(run, out=tmp_path).read_text()
    assert "sigmoid, Xavier normal, run a, at initialisation" in page
    assert "Run b:" in page
    with pytest.raises(GradlabError, match="out="):
        report(run)


def test_a_run_without_any_record_of_itself_still_has_a_page(table, tmp_path):
    page = report(Run(table, {}, {}, tmp_path)).read_text()
    assert "no record of its request" in page
    assert "no provenance" in page


def test_bad_input(table, tmp_path):
    with pytest.raises(GradlabError, match="no folder"):
        report(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(GradlabError, match=r"without sweep\.toml"):
        report(tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(GradlabError, match="to be able to write"):
        report(run_of(table), out=tmp_path / "file" / "page.md")
    with pytest.raises(GradlabError, match="frame with rows"):
        report(run_of(table.iloc[:0]), out=tmp_path)
    assert not list(tmp_path.glob("*.tmp"))


def test_a_column_that_was_not_measured_is_not_missed(table, tmp_path):
    few = table[[c for c in table if not c.startswith(("float32", "log10_w", "log10_a", "sat", "dead"))]]
    page = report(run_of(few), out=tmp_path).read_text()
    assert "float32 norm shows" not in section(page, "Verdicts")
    assert np.char.count(page, "delta rms, layer 1") == 1


@pytest.mark.slow
def test_report_of_a_swept_folder_and_of_a_damaged_one(tmp_path):
    from gradlab.config import Sweep
    from gradlab.sweep.run import run

    rng = np.random.default_rng(0)
    data = rng.normal(size=(8, 4)).astype("float32"), rng.integers(0, 3, 8)
    sweep = Sweep(depth=(2, 6), width=8, activation="sigmoid", init="xavier_normal", seeds=2, batch=8)
    run(sweep, data, out=tmp_path / "run", progress=False)
    page = report(tmp_path / "run").read_text()
    assert "sigmoid, Xavier normal, at initialisation: **vanishing**" in page
    assert "| depth | 2, 6 |" in page
    assert "no record" not in page
    shutil.copytree(tmp_path / "run", tmp_path / "damaged")
    frame = tmp_path / "damaged" / "frame.parquet"
    frame.write_bytes(frame.read_bytes()[:-100])
    with pytest.raises(GradlabError, match=r"frame\.parquet"):
        report(tmp_path / "damaged")
