"""Two runs beside each other: pairs of seeds, what was changed, text and figure."""

import re

import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab import GradlabError, cli
from gradlab.frames.paired import pairs
from gradlab.frames.rates_by_seed import log10_rates


def parts():
    frame = gl.example("depth")
    return frame[frame["init"] == "he_normal"], frame[frame["init"] == "xavier_normal"]


def test_differences_are_those_of_each_seed():
    he, xavier = parts()
    made = pairs(he, xavier)
    assert made.between == ("init", "sigma_w2") and made.alone == (0, 0) and made.table["paired"].all()
    row = made.table.query("activation == 'tanh' and depth == 8").iloc[0]
    one, two = (log10_rates(f).query("activation == 'tanh' and depth == 8").set_index("seed") for f in (he, xavier))
    gaps = (two["log10_rate"] - one["log10_rate"]).to_numpy()
    half = 4.302652729911275 * gaps.std(ddof=1) / 3**0.5  # Student's t with 2 degrees of freedom, 97.5 %
    # two routines for that quantile agree to ten digits
    assert row["n"] == 3
    np.testing.assert_allclose(np.log10(row[["ratio", "ratio_low", "ratio_high"]].astype(float)),
                               gaps.mean() + half * np.array([0, -1, 1]), rtol=1e-10)  # fmt: skip
    assert row["difference"] == pytest.approx(7 * gaps.mean(), rel=1e-12)
    assert row["rate_after"] / row["rate_before"] == pytest.approx(row["ratio"], rel=1e-12)


def test_xavier_beside_he_is_the_root_of_one_half():
    """Equal widths, ReLU, no bias, a loss linear in the outputs: every delta carries one factor for each layer above.

    Roundings of float32 are 6e-8 for each of 15 factors; the 14th root of their product stays below 1e-6.
    """
    sweep = lambda init: gl.Sweep(depth=15, width=16, activation="relu", init=init, loss="probe", seeds=2, batch=16)
    he, xavier = (gl.run(sweep(f"{name}_normal"), progress=False) for name in ("he", "xavier"))
    (row,) = gl.compare(he, xavier).networks.to_dict("records")
    for name in ("ratio", "ratio_low", "ratio_high"):
        assert row[name] == pytest.approx(0.5**0.5, abs=1e-6)
    assert row["difference"] == pytest.approx(-7 * np.log10(2), abs=1e-5)


def test_without_common_seeds_the_intervals_are_welchs():
    he, xavier = parts()
    other = xavier.assign(seed=xavier["seed"] + 10)
    comparison = gl.compare(he, other)
    assert not comparison.paired and "Not paired" in str(comparison) and "Welch" in comparison.markdown()
    row = comparison.networks.query("activation == 'tanh' and depth == 8").iloc[0]
    one, two = (log10_rates(f).query("activation == 'tanh' and depth == 8")["decades"] for f in (he, xavier))
    from scipy.stats import ttest_ind

    test = ttest_ind(two, one, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose([row["difference_low"], row["difference_high"]], [test.low, test.high], rtol=1e-9)


def test_networks_without_a_counterpart_are_counted():
    he, xavier = parts()
    comparison = gl.compare(he, xavier[xavier["depth"] < 32])
    assert len(comparison.networks) == 6 and "3 networks of the first run have no counterpart" in str(comparison)
    cross = pd.Series([("relu", 2), ("tanh", 8)]), pd.Series([("relu", 8), ("tanh", 2)])
    parts_of = [f[pd.Series(zip(f["activation"], f["depth"], strict=True), f.index).isin(c)]
                for f, c in zip((he, xavier), cross, strict=True)]  # fmt: skip
    with pytest.raises(GradlabError, match="none in common"):
        pairs(*parts_of)
    with pytest.raises(GradlabError, match="several, which differ in init"):
        pairs(gl.example("depth").query("depth == 8"), he.assign(init="orthogonal", sigma_w2=3.0).query("depth == 8"))


def test_a_delta_that_is_zero_makes_no_ratio():
    he, xavier = parts()
    dead = xavier.copy()
    dead.loc[(dead["layer"] == 1) & (dead["seed"] == dead["seed"].min()), "log10_delta_rms"] = -np.inf
    assert gl.compare(he, dead).networks["ratio"].isna().all()


def test_text_fits_and_says_what_was_changed():
    text = str(gl.compare(*parts()))
    assert max(map(len, text.splitlines())) <= 80
    assert "init He normal -> Xavier normal" in text and re.search(r"ReLU, depth 32 .*0\.704\(7\)", text)
    page = gl.compare(*parts()).markdown()
    assert "| network: init | He normal | Xavier normal |" in page and page.startswith("# after beside before\n")


def test_the_figure_draws_the_networks_that_differ_most():
    import matplotlib.pyplot as plt

    try:
        above, below = gl.compare(*parts()).figure()

        first = np.array([line.get_ydata()[0] for line in below.lines if len(line.get_ydata()) == 32])
        # ReLU, 32 layers: 4.7 decades, Xavier after He
        assert len(first) == 4 and -5 < first.min() < first.max() < -4.5
        entries = [text.get_text() for text in above.figure.legends[0].get_texts()]
        assert entries[:2] == ["run before", "run after"]
        with pytest.raises(GradlabError, match="a row of the table"):
            gl.compare(*parts()).figure(99)
    finally:
        plt.close("all")


@pytest.mark.slow
def test_two_folders_by_the_command(tmp_path, capsys):
    sweep = lambda **more: gl.Sweep(depth=3, width=4, activation="relu", data="gaussian", batch=4, **more)
    gl.run(sweep(init="he_normal", seeds=2), out=tmp_path / "he")
    gl.run(sweep(init="he_normal", seeds=2, key=1), out=tmp_path / "keyed")
    gl.run(sweep(init="xavier_normal", seeds=3), out=tmp_path / "xavier")
    capsys.readouterr()
    he, keyed, xavier = (str(tmp_path / name) for name in ("he", "keyed", "xavier"))
    page = tmp_path / "page.md"
    assert cli.main(["compare", he, xavier, "--out", str(page), "--figure", str(tmp_path / "f.png")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("before: he\nafter: xavier\n") and "request: seeds 2 -> 3" in text and "Paired" in text
    assert page.read_text().startswith("# xavier beside he\n") and (tmp_path / "f.png").stat().st_size
    assert cli.main(["compare", he, keyed]) == 0
    assert "different keys" in capsys.readouterr().out
    assert cli.main(["compare", he, str(tmp_path / "none")]) == 2
    both = gl.load([he, xavier])
    with pytest.raises(GradlabError, match="several runs in one"):
        gl.compare(both, he)
    assert isinstance(gl.compare(gl.load(he), xavier).changes, pd.DataFrame)
