"""The page as one HTML file: on a wide screen, on a phone, without a mouse, for those who do not see its figures."""

import base64
import re

from gradlab.plots.ground.captions import Caption
from gradlab.reporting.content import Content
from gradlab.reporting.figures import Drawn
from gradlab.reporting.html import to_html
from tests.reporting.report_frames import grid, run_of


def picture(tmp_path, width):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    return to_html("# T\n\n![what it shows](a.png)\n", tmp_path, {"a.png": width})


def test_a_figure_is_as_wide_as_its_type_asks_for_and_is_enlarged_without_a_script(tmp_path):
    wide, narrow = picture(tmp_path, 7.0), picture(tmp_path, 3.4)
    assert 'class="figure wide" style="max-width: 63rem; --small: 42rem"' in wide
    assert 'class="figure" style="max-width: 31rem; --small: 20rem"' in narrow  # a phone has about 24
    assert '<input type="checkbox" aria-label="enlarge the figure"><img alt="what it shows"' in wide
    style = wide.split("<style>")[1].split("</style>")[0]
    assert (
        ".figure input:checked + img, .figure input:checked + picture img { position: fixed" in style
        and ".figure img { display: block; width: 100%" in style
    )
    assert "<script" not in wide


def test_cells_of_many_words_are_broken_and_numbers_are_not(tmp_path):
    table = f"| a | b |\n|---|--:|\n| {'word ' * 20} | 1.0025 [0.9, 1.1] |\n\nIt is 3e-40, of 95 %."
    text = to_html(f"# T\n\n{table}", tmp_path, {})
    assert '<td class="long">word' in text and '<td style="text-align:right" data-label="b">1.0025' in text
    assert "3e\N{NON-BREAKING HYPHEN}40, of 95\N{NO-BREAK SPACE}%." in text


def test_no_table_is_cut_at_the_right(tmp_path):
    """Where the screen is too narrow for a table, its rows become lines, each number behind its column's title."""

    def table(columns, cell):
        rows = [
            "| " + " | ".join(["row", *names]) + " |" for names in [[f"c{i}" for i in range(columns)], [cell] * columns]
        ]
        return "\n".join([rows[0], "|---" * (columns + 1) + "|", rows[1]])

    text = to_html(f"# T\n\n{table(2, '1.0')}\n\n{table(6, '0.9932 [0.9458, 1.0431]')}\n", tmp_path, {})
    small, large = map(int, re.findall(r'class="table w(\d+)"', text))
    # at 14.4 px a digit takes 9 px at most
    assert 6 * 23 * 9 / 16 - 12 < large < 6 * 23 and small == 24
    for width in (small, large):
        rule = text.split(f"@media (max-width: {width + 2}rem)")[1].split("@media")[0]
        assert f".w{width} td {{ display: inline-block" in rule and "content: attr(data-label)" in rule
    assert text.count('data-label="c0"') == 2 and 'data-label="row"' not in text


def test_a_phone_shows_the_panels_below_one_another(tmp_path):
    for name in ("a.png", "a_narrow.svg"):
        (tmp_path / name).write_bytes(name.encode())
    page = to_html("# T\n\n![what](a.png)\n", tmp_path, {"a.png": 7.0}, {"a.png": "a_narrow.svg", "b.png": ""})
    small, large = (base64.b64encode(name.encode()).decode() for name in ("a_narrow.svg", "a.png"))
    assert f'<picture><source media="(max-width: 40rem)" srcset="data:image/svg+xml;base64,{small}">' in page
    assert f'<img alt="what" src="data:image/png;base64,{large}"></picture></label>' in page
    assert 'class="figure stacked"' in page


def test_a_figure_opens_the_page_and_what_was_asked_stands_at_its_end():
    caption = Caption("Of 2 networks 1 vanishes.", "Marks: means.")
    forest = Drawn("Decades and verdicts", "", "figures/forest.png", caption, "", 7.0)
    page = Content(run_of(grid(depths=(4,)))).markdown([forest])
    heads = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert heads[0] == "Verdicts" and heads[-3:] == ["What was asked", "How to reproduce it", "References"]
    assert page.split("## Verdicts\n\n")[1].startswith("![Decades and verdicts")
    assert "**Of 2 networks 1 vanishes.** *Marks: means.*" in page


def test_what_a_figure_shows_is_said_in_numbers():
    caption = Caption("The delta falls.", "Marks: means.")
    drawn = [
        Drawn("Flow", "Loss against step.", f"figures/{name}.png", caption, "", 7.0)
        for name in ("gradient_flow", "update_ratio")
    ]
    page = Content(run_of(grid(depths=(4,)).query("activation == 'sigmoid'"))).markdown(drawn)
    flow, ratio = re.findall(r"!\[(.*)\]\(figures/", page)
    assert flow.startswith("Flow. The delta falls. Decades from the last to the first hidden layer")
    assert re.search(r"sigmoid, Xavier normal -1\.\d+\(\d+\)\.$", flow)
    assert ratio == "Flow. The delta falls. Loss against step."
