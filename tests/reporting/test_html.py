"""The page as one HTML file: on a wide screen, on a phone, without a mouse, for those who do not see its figures."""

import re

from gradlab.reporting.content import Content
from gradlab.reporting.figures import Drawn
from gradlab.reporting.html import to_html
from tests.reporting.report_frames import grid, run_of


def picture(tmp_path, width):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    return to_html("# T\n\n![what it shows](a.png)\n", tmp_path, {"a.png": width})


def test_a_figure_is_as_wide_as_its_type_asks_for_and_is_enlarged_without_a_script(tmp_path):
    wide, narrow = picture(tmp_path, 7.0), picture(tmp_path, 3.4)
    assert 'class="figure" style="max-width: 63rem"' in wide and "max-width: 31rem" in narrow
    assert '<input type="checkbox" aria-label="enlarge the figure"><img alt="what it shows"' in wide
    style = wide.split("<style>")[1].split("</style>")[0]
    assert (
        ".figure input:checked + img { position: fixed" in style
        and ".figure img { display: block; width: 100%" in style
    )
    assert "<script" not in wide


def test_cells_of_many_words_are_broken_and_numbers_are_not(tmp_path):
    table = f"| a | b |\n|---|--:|\n| {'word ' * 20} | 1.0025 [0.9, 1.1] |\n"
    text = to_html(f"# T\n\n{table}", tmp_path, {})
    assert '<td class="long">word' in text and '<td style="text-align:right">1.0025' in text


def test_what_a_figure_shows_is_said_in_numbers():
    caption = "The delta falls. Marks: means."
    drawn = [
        Drawn("Flow", "Flow", f"figures/{name}.png", caption, "", 7.0) for name in ("gradient_flow", "update_ratio")
    ]
    page = Content(run_of(grid(depths=(4,)).query("activation == 'sigmoid'"))).markdown(drawn)
    flow, ratio = re.findall(r"!\[(.*)\]\(figures/", page)
    assert flow.startswith("Flow. The delta falls. Decades from the last to the first hidden layer")
    assert re.search(r"sigmoid, Xavier normal -1\.\d+\(\d+\)\.$", flow)
    assert ratio == "Flow. The delta falls."
