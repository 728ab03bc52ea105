"""A deck has one slide for each figure, its claim as the title, and nothing overflows at 16:9."""

import json
import re

import pytest

import gradlab as gl
from gradlab.frames.files import Run
from gradlab.plots.ground.captions import Caption
from gradlab.reporting.figures import Drawn, NotDrawn
from gradlab.reporting.slides import deck
from tests.browser import Browser, needs_browser
from tests.reporting.slide_show import lay_out, sections


def test_a_deck_has_a_slide_for_each_drawn_figure_and_notes_that_nothing_ends():
    hostile = "x --> <script>alert(1)</script> --!> \x1b[31m"
    drawn = [
        Drawn("Rates", "a | b <i>", "slides/rate.png", Caption("The rate is 0.5.", hostile), "", 13.3),
        NotDrawn("Lost", "no rows"),
    ]
    text = deck("Title", "Summary.", drawn, hostile, "gradlab report runs/demo --slides")
    slides, _ = sections(text)
    assert len(slides) == 2 and "Lost" not in text
    assert slides[1].strip().split("\n\n")[0] == "# The rate is 0.5."
    assert "For Beamer: slides/rate.pdf" in text and "gradlab report runs/demo --slides" in text
    # outside the comments, which end where ours end, nothing of the command is left
    assert text.count("-->") == 2 == text.count("<!--") and "--!>" not in text and "\x1b" not in text
    assert "script" not in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("name", ["networks", "training"])
def test_no_slide_overflows(name, table, tmp_path):
    frame = table if name == "networks" else gl.example("training")
    page = gl.report(Run(frame, {}, {"command": "gradlab sweep"}, tmp_path), slides=True)
    made = page.with_name("slides.md")
    slides, _ = sections(made.read_text())
    pictures = re.findall(r"\]\((slides/\w+)\.png\)", made.read_text())
    assert len(slides) == len(pictures) + 1 > 3
    for path in pictures:
        assert all((tmp_path / f"{path}.{kind}").stat().st_size > 1000 for kind in ("png", "svg", "pdf"))
    script = """JSON.stringify([...document.querySelectorAll('section')].map(s => {
        const box = s.getBoundingClientRect();
        const inner = [...s.querySelectorAll('h1, p, img')].map(e => e.getBoundingClientRect());
        const within = inner.every(i => i.right <= box.right && i.bottom <= box.bottom && i.left >= box.left);
        const picture = s.querySelector('img');
        const shown = picture ? picture.naturalWidth > 0 && picture.clientHeight > 450 : true;
        return [s.scrollHeight <= 720, s.scrollWidth <= 1280, within, shown]; }))"""
    with Browser(1280, 720) as browser:
        browser.open(lay_out(made))
        assert json.loads(browser(script)) == [[True] * 4] * len(slides)
