"""The user's own letters stand on the axes, and nowhere longer than the block."""

import matplotlib.pyplot as plt
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.plots.ground.notation import SYMBOLS, with_letters
from gradlab.plots.ground.words import QUANTITIES

OWN = {"delta": r"\delta^{(\ell)}", "activation": "x", "weight": "w", "layer": r"\ell"}


def labels(axes):
    """Of three panels, and the one below all of them."""
    return [ax.get_ylabel() for ax in axes] + [axes[0].figure.get_supxlabel()]


def test_labels_of_a_figure():
    frame = gl.example("depth").query("depth == 8 and init == 'he_normal'")
    try:
        before = labels(gl.plots.gradient_flow(frame, hue="activation"))
        with gl.plots.notation(**OWN):
            own = labels(gl.plots.gradient_flow(frame, hue="activation"))
            with gl.plots.notation(layer="k"):
                assert labels(gl.plots.gradient_flow(frame, hue="activation"))[-1].startswith("layer $k$ (1 =")
            mine, axes = plt.subplots(1, 3)
            gl.plots.gradient_flow(frame, hue="activation", ax=axes)
            assert axes[1].get_ylabel().startswith(r"rms delta $\delta^{(\ell)}$")
            mine.canvas.draw()  # matplotlib can set it
        assert labels(gl.plots.gradient_flow(frame, hue="activation")) == before
    finally:
        plt.close("all")
    assert own[0].startswith("rms activation $x$") and own[1].startswith(r"rms delta $\delta^{(\ell)}$  [")
    assert own[2].startswith(r"weight grad. $\|\partial L\,/\,\partial w\|_F$")
    assert own[3] == r"layer $\ell$ (1 = next to the input)"


def test_symbols_are_found_in_the_labels_of_the_columns():
    """A label that spelled a symbol in another way would keep its old letter without a word."""
    text = " ".join(label for label, _ in QUANTITIES.values())
    for name in ("delta", "weight_gradient", "bias_gradient", "preactivation", "activation", "weight", "correlation"):
        with gl.plots.notation(**{name: "q"}):
            assert with_letters(text) != text, name


def test_letters_inside_commands_and_words_stay():
    with gl.plots.notation(activation="x", bias="y", sigma_w2="s", width="n", correlation="k"):
        assert with_letters(r"a bar $\alpha a_{ab} \sigma_w^2 \sigma_b^2$") == r"a bar $\alpha x_{ab} s \sigma_b^2$"
        assert with_letters("width [units], widths") == "width $n$ [units], widths"
    assert with_letters(r"$a$") == "$a$"


@pytest.mark.parametrize("wrong", [{"gradient": "g"}, {"delta": "$d$"}, {"delta": ""}, {"delta": r"\notacommand{"}])
def test_what_is_no_symbol_is_refused(wrong):
    with pytest.raises(GradlabError), gl.plots.notation(**wrong):
        pass


def test_a_block_that_fails_leaves_the_letters_as_they_were():
    with pytest.raises(ZeroDivisionError), gl.plots.notation(delta="d"):
        raise ZeroDivisionError
    assert with_letters(f"${SYMBOLS['delta']}$") == f"${SYMBOLS['delta']}$"
