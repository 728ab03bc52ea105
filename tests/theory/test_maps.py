"""The maps as arrays and as a figure; the command that prints and draws them."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

import gradlab as gl
from gradlab import cli
from gradlab._errors import GradlabError
from gradlab.theory import mean_field, mean_field_maps


def drawn(ax, gid):
    (line,) = [line for line in ax.lines if line.get_gid() == gid]
    return line.get_xdata(), line.get_ydata()


def test_curves_go_through_the_fixed_points():
    found = mean_field_maps("tanh", sigma_w2=2.0, sigma_b2=0.05)
    theory = mean_field("tanh", sigma_w2=2.0, sigma_b2=0.05)
    assert found.theory == theory
    # linear interpolation between 121 points: 1e-4
    assert np.interp(theory.q_star, found.q, found.variance) == pytest.approx(theory.q_star, abs=1e-4)
    assert np.interp(theory.q_star, found.q, found.chi) == pytest.approx(theory.chi1, abs=1e-3)
    assert np.interp(theory.c_star, found.c, found.correlation) == pytest.approx(theory.c_star, abs=1e-4)
    assert found.correlation[-1] == 1
    slope = (1 - found.correlation[-2]) / (1 - found.c[-2])
    assert theory.chi_c < slope < theory.chi1
    assert found.path[0] == pytest.approx(2.05)
    assert found.path[1] == pytest.approx(np.interp(2.05, found.q, found.variance), abs=1e-4)


def test_a_figure_says_what_the_record_says():
    found = mean_field_maps("tanh", sigma_w2=2.0)
    before = dict(matplotlib.rcParams)
    one, two, three = gl.plots.maps(found)
    assert drawn(one, "map")[1] == pytest.approx(found.variance)
    assert drawn(two, "map")[1] == pytest.approx(found.correlation)
    assert drawn(three, "map")[1] == pytest.approx(found.chi)
    assert drawn(one, "fixed point") == ([found.theory.q_star], [found.theory.q_star])
    x, y = drawn(two, "slope")
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(found.theory.chi1)
    # the cobweb steps from layer to layer
    assert set(np.round(drawn(one, "cobweb")[0], 12)) == set(np.round(found.path, 12))
    assert dict(matplotlib.rcParams) == before
    plt.close(one.figure)


def test_a_figure_on_given_axes_and_without_a_correlation_map():
    figure, axes = plt.subplots(1, 3)
    gl.plots.maps(mean_field_maps("relu", sigma_w2=1.0), ax=axes)
    # the angles' map has no scale (Cho & Saul 2009): two inputs at right angles come out with 1/pi
    (line,) = [a for a in axes[1].lines if a.get_gid() == "map"]
    assert line.get_ydata()[0] == pytest.approx(1 / np.pi, rel=1e-6) and line.get_ydata()[-1] == 1
    assert axes[1].get_title() == "$c^* = 1$" and "q* = 0" in gl.plots.caption(figure)
    plt.close(figure)
    with pytest.raises(GradlabError, match="mean_field_maps"):
        gl.plots.maps(mean_field("relu", sigma_w2=1.0))


def test_as_the_variance_shrinks_a_smooth_activation_is_straight():
    found = mean_field_maps("tanh", sigma_w2=1.0)
    assert found.theory.q_star == 0
    np.testing.assert_allclose(found.correlation, found.c, atol=1e-8)
    chaotic = mean_field_maps("tanh", sigma_w2=2.0)
    assert chaotic.q_of_map == chaotic.theory.q_star and chaotic.correlation[-1] == 1


def test_the_command(tmp_path, capsys):
    out = tmp_path / "maps.png"
    words = ["theory", "--activation", "tanh", "--init", "he_normal", "--sigma-b2", "0.05", "--out", str(out)]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    point = mean_field("tanh", sigma_w2=2.0, sigma_b2=0.05)
    for number in (point.q_star, point.chi1, point.xi_c, gl.theory.critical_sigma_w2("tanh", 0.05)):
        assert f"{number:.6g}" in said
    assert out.stat().st_size > 10_000 and "maps.png" in said


def test_the_command_at_a_grid_of_both_variances(tmp_path, capsys):
    out = tmp_path / "phases.png"
    words = ["theory", "--activation", "tanh", "--sigma-w2", "1", "2.5", "--sigma-b2", "0.05", "0.5"]
    assert cli.main([*words, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines() if line.strip().startswith(("1 ", "2.5 "))]
    assert [row[:2] for row in rows] == [["1", "0.05"], ["1", "0.5"], ["2.5", "0.05"], ["2.5", "0.5"]]
    for row in rows:
        point = mean_field("tanh", sigma_w2=float(row[0]), sigma_b2=float(row[1]))
        assert row[2] == f"{point.q_star:.6g}" and row[4] == f"{point.chi1:.6g}" and row[9] == point.phase
    for b in (0.05, 0.5):
        assert f"critical at sigma_b2 = {b:g}: sigma_w2 = {gl.theory.critical_sigma_w2('tanh', b):.7g}" in said
    assert out.stat().st_size > 10_000 and "phases: " in said
    # biases alone, of an initialiser
    assert cli.main(["theory", "--activation", "relu", "--init", "he_normal", "--sigma-b2", "0", "0.5"]) == 0
    assert "grows for ever" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sigma-w2", "1", "2", "--out", "x.png"], "two values or more of both variances"),
        (["--sigma-w2", "-1"], "sigma_w2 to be a positive number"),
        (["--activation", "tanhh"], "'tanhh'"),
        (["--init", "he_normal", "--sigma-w2", "2"], "init='gaussian'"),
        (["--activation", "softplus", "--init", "critical"], "none of them"),
    ],
)
def test_requests_that_cannot_be_met(words, said, capsys):
    assert cli.main(["theory", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.strip().splitlines()) == 1
