"""A run that somebody else made is data: whatever its names and notes say, the page says it and does nothing."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from gradlab.frames.files import Run
from gradlab.reporting.html import to_html
from gradlab.reporting.origin import Origin
from gradlab.reporting.page import report
from tests.reporting.report_frames import grid, run_of

#: What was tried, and more of its kind: pictures, links, headings, fences, markup, entities, macros, formulas.
HOSTILE = [
    "q](../../../secret.png) ![z",
    "![x](/etc/secret.png)",
    "[click](https://evil.example)",
    "<https://evil.example> <img src=x onerror=alert(1)> <script>alert(1)</script>",
    "a\n# Heading\n\n![x](secret.png)",
    "--> ]]> </title><script>alert(1)</script>",
    "a\r\n\r\n---\r\n",
    "`code` ``` more ``````",
    "a | b | c\\",
    "&lt;b&gt; &#91;x&#93;(y)",
    "\\](x) \\![y](z) \\\\](w)",
    "x/../../../../victim/thesis",
    "$\\frac{1}{0}$ $ \\$ $$",
    "\\input{x} \\immediate\\write18{touch y} % ^^5c }{ #1 ~",
    "- item", "1. item", "+ x", "=====", "| --- |", "    indented", "*[x]* _y_ **z**", "[x]: secret.png", "",
    "a\0b\u202egnp.exe\u200b\x1b[31m", "\ud800", "漢字 🎉 e\u0301", "x" * 5000, " ", "nan", "=cmd()", "www.evil.org",
]  # fmt: skip
TEXT = ["activation", "init", "loss", "data", "dtype", "status", "layer_name", "architecture", "norm"]


def crafted(value, columns=TEXT, depths=False):
    """A run of a good frame in which every text is hostile, and so are its request and its provenance."""
    table = (
        grid(depths=(4, 9) if depths else (4,))
        .query("activation != 'tanh' and init != 'he_normal'")
        .assign(norm="layer")
    )
    named = value.encode("utf-8", "replace").decode()  # a Parquet file holds no half of a pair
    for name in columns:
        first = table[name].astype(str).iloc[0]
        table[name] = pd.Categorical([named if v == first else v for v in table[name].astype(str)])
    if "layer_name" in columns:
        table["layer_name"] = pd.Categorical([f"{named}{i}" for i in table["layer"]])
    run = run_of(table)
    request = {"request": {**run.request["request"], "data": named, named or "x": [named], "activation": [named]}}
    provenance = {
        "hash": value, "command": f"gradlab\n```\n{value}\n````", "commit": value, "backend": value,
        "data": {"name": value, "content_hash": "ab12"}, "versions": {value: value},
    }  # fmt: skip
    return Run(table, request, provenance, run.path)


def tokens(text):
    """All tokens of a page, those inside its lines too."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        found += [token, *(token.children or ())]
    return found


class Tags(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def plain_page(tmp_path_factory):
    """The same page of a run that is not hostile."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradlab.reporting.figures.draw", lambda *_: [])
        return report(crafted("mish"), out=folder, html=True, tex=True).read_text()


def kinds(text, *types):
    return [t.type for t in tokens(text) if t.type in types]


#: A third of them at once, the rest before a release.
SOME = [pytest.param(v, marks=pytest.mark.slow) if i % 3 else v for i, v in enumerate(HOSTILE)]


@pytest.mark.parametrize("value", SOME, ids=lambda v: ascii(v)[:30])
def test_a_crafted_run_gives_the_page_of_a_plain_one(value, tmp_path, plain_page, without_figures):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG secret")
    page = report(crafted(value), out=tmp_path / "a" / "b" / "c", html=True, tex=True)
    text = page.read_text(encoding="utf-8")
    assert not kinds(text, "image", "link_open", "html_inline", "html_block", "code_inline_open", "hr", "s_open")
    blocks = ("heading_open", "fence", "code_block", "bullet_list_open", "ordered_list_open", "blockquote_open")
    cells = ("table_open", "tr_open", "th_open", "td_open")
    assert kinds(text, *blocks, *cells) == kinds(plain_page, *blocks, *cells)
    assert not re.search("[\0\x1b\u202e\u200b\ud800]", text)
    tags = Tags(page.with_suffix(".html").read_text()).found
    assert {tag for tag, _ in tags} <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "ul", "li", "strong", "em",
        "code", "pre", "div", "label", "input", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert not any(name.startswith("on") or name in ("href", "src") for _, attrs in tags for name in attrs)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "secret.png"]

    check_tex(page)


def check_tex(page):
    """No command in the TeX but those that gradlab writes."""
    allowed = (
        r"\\(begin|end)\{(tabular|(table|figure)\*?)\}|\\(centering|small|footnotesize|textbf|ifdim|else|fi|setlength|tabcolsep|caption|label|toprule|midrule)\b"
        r"|\\(bottomrule|multicolumn|cmidrule|includegraphics|linewidth|belowcaptionskip)\b"
        r"|\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|textquotedbl"
        r"|textasciigrave|ldots)\{\}"
        r"|\\ensuremath\{(-|\^2|\\[a-z]+|-?[\d.()]+\\times10\^\{-?\d+\})\}|\\[{}&%$#_]|\\\\|\\newcommand\{\\gradlab[A-Za-z]+\}"
        r"|\\abovecaptionskip"
    )  # fmt: skip
    for name in ("tables.tex", "numbers.tex", "figures.tex"):
        text = page.with_name(name).read_text(encoding="utf-8")
        for line in text.splitlines():
            comment = line.startswith("% ")
            assert not comment or re.fullmatch(
                r"% (Made by gradlab from run unknown[.;]|No configuration is known).*", line
            )
        rest = re.sub(allowed, "", "\n".join(line for line in text.splitlines() if not line.startswith("%")))
        assert "\\" not in rest and "%" not in rest and "$" not in rest, rest
        assert text.count("{") - text.count("\\{") == text.count("}") - text.count("\\}")
        assert all(ord(c) < 0x180 for c in text)


@pytest.mark.slow
@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: ascii(v)[:30])
def test_figures_of_a_crafted_run_stay_in_their_folder_and_are_drawn(value, tmp_path):
    victim = tmp_path / "victim" / "thesis.pdf"
    victim.parent.mkdir()
    victim.write_text("mine")
    page = report(crafted(value, ["activation", "init"], depths=True), out=tmp_path / "a" / "b" / "c" / "d", html=True)
    text = page.read_text(encoding="utf-8")
    assert "Not drawn" not in text
    shown = [t.attrs["src"] for t in tokens(text) if t.type == "image"]
    assert shown and all(re.fullmatch(r"figures/[a-z0-9_-]+\.png", source) for source in shown)
    stems = {p.stem.removesuffix("_narrow") for p in (page.parent / "figures").iterdir()}
    assert stems == {Path(s).stem for s in shown}
    for picture in (page.parent / "figures").glob("*.svg"):
        for element in ElementTree.parse(picture).iter():
            assert element.tag.rpartition("}")[2] not in ("script", "a", "foreignObject")
            assert all(v.startswith(("#", "data:image/png")) for k, v in element.items() if k.endswith("}href"))
    assert victim.read_text() == "mine" and [p.name for p in victim.parent.iterdir()] == ["thesis.pdf"]


@pytest.mark.parametrize("value", ["x/../../../../victim/thesis $\\frac{1}{0}$ 漢字 🎉 --> <script>"])
def test_a_crafted_name_is_drawn_and_written_inside_the_folder(value, tmp_path):
    test_figures_of_a_crafted_run_stay_in_their_folder_and_are_drawn(value, tmp_path)


@pytest.mark.parametrize("name", ["a$b$c", "漢字", "x_y*z", "[a](b)", "<i>", "🎉", "a\\b", "https://x.y", "&lt;"])
def test_a_name_stands_on_the_page_as_it_is(name, tmp_path, without_figures):
    page = report(crafted(name, ["activation"]), out=tmp_path)
    shown = ["".join(child.content for child in t.children) for t in tokens(page.read_text()) if t.type == "inline"]
    assert f"{name}, Xavier normal, norm layer" in shown


def test_only_pictures_of_the_page_itself_are_embedded(tmp_path):
    for name in ("mine.png", "secret.png"):
        (tmp_path / name).write_bytes(b"\x89PNG " + name.encode())
    page = "# T\n\n![a](mine.png) ![b](secret.png) ![c](../secret.png) [d](secret.png) [e](mine.svg) [f](https://x.y)\n"
    tags = Tags(to_html(page, tmp_path, {"mine.png": 7.0, "mine.svg": 7.0})).found
    assert len([attrs for tag, attrs in tags if tag == "img"]) == 1
    assert [attrs.get("href") for tag, attrs in tags if tag == "a"] == [None, "mine.svg", None]


def test_a_folder_of_figures_that_leads_elsewhere_is_refused(tmp_path):
    (tmp_path / "run").mkdir(), (tmp_path / "victim").mkdir()
    (tmp_path / "run" / "figures").symlink_to(tmp_path / "victim", target_is_directory=True)
    with pytest.raises(Exception, match="leads to"):
        report(crafted("mish"), out=tmp_path / "run")
    assert not list((tmp_path / "victim").iterdir())


ODD = [3, "text", [1], True, 1e308, {"a": 1}, [{"b": [2]}], None, "", [[[]]]]
GOOD = {
    "hash": "cafe0123", "command": "gradlab", "data": {"name": "digits", "content_hash": "ab12"}, "commit": "a" * 40,
    "backend": "cpu", "versions": {"jax": "0.10"},
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_note_of_another_type_is_left_out_and_named(name):
    for value in ODD:
        origin = Origin.of("", {}, {**GOOD, name: value})
        left_out = name not in origin.noted and value is not None
        assert (f"another form: {name}." in origin.reproduction()) == left_out
        assert left_out or value is None or type(value) is type(GOOD[name])
    assert "no provenance" in Origin.of("", {}, {}).reproduction()


@pytest.mark.parametrize("value", ODD, ids=ascii)
def test_a_request_of_another_type_costs_a_line_and_never_the_page(value, without_figures, tmp_path):
    asked = {"depth": [4], "activation": ["relu"]}
    requests = [{"request": value}, {"request": asked, "task": value}, {"task": {"name": value}}, value]
    requests += [{"request": {**asked, name: value}} for name in ("depth", "seeds", "data", "batch", "odd")]
    for request in requests:
        assert "|" in (told := Origin.of("", request, {}).request_table()) or "no record" in told
    table = grid(depths=(4,)).query("activation == 'sigmoid'")
    page = report(Run(table, {"request": value}, {"versions": value, "data": value}, tmp_path)).read_text()
    assert "## What was asked" in page and "Not made" not in page


def test_a_request_of_many_values_is_cut_short():
    told = Origin.of("", {"request": {"depth": list(range(1, 20_001))}}, {}).request_table()
    assert "… (20000 values)" in told and len(told) < 500


def test_no_file_that_a_request_names_is_opened(tmp_path, without_figures, monkeypatch):
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b,label\n1,2,0\n3,4,1\n")

    def opened(*_):
        raise AssertionError("the report opened a file that the request names")

    monkeypatch.setattr("gradlab.data.loading.from_file", opened)
    table = grid(depths=(4,)).query("activation == 'tanh'")
    asked = {
        "depth": [4],
        "activation": ["tanh"],
        "init": ["he_normal"],
        "batch": 2,
        "data": str(secret),
        "target": "label",
    }
    page = report(Run(table, {"request": asked}, {}, tmp_path / "run")).read_text()
    assert "inputs of mean square 1" in page


@pytest.mark.slow
def test_theory_takes_what_is_noted_of_the_inputs(tmp_path, without_figures):
    table = grid(depths=(4,)).query("activation == 'tanh'")
    asked = {"depth": [4], "activation": ["tanh"], "init": ["he_normal"], "batch": 2, "data": "gone.csv"}
    noted = {"features": 2, "mean_squares": [2.5, 12.5]}
    page = report(Run(table, {"request": asked}, {"inputs": noted}, tmp_path / "run")).read_text()
    assert "by 2 quantiles of their mean squares" in page


def test_what_theory_needs_of_the_inputs_is_noted_in_the_run(tmp_path):
    import numpy as np

    import gradlab as gl

    x = np.array([[1.0, 1.0, 2.0], [0.0, 3.0, 0.0]])
    sweep = gl.Sweep(
        depth=1, width=2, activation="tanh", init="he_normal", seeds=1, batch=2, columns=["log10_delta_rms"]
    )
    gl.run(sweep, (x, np.array([0, 1])), out=tmp_path, progress=False)
    noted = gl.load(tmp_path).provenance["inputs"]
    assert noted["features"] == 3 and np.allclose(noted["mean_squares"], [2.0, 3.0])
