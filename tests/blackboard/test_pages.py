"""Formulas say what the functions compute; numbers are rounded once; LaTeX compiles to one page."""

import re
import shutil
import subprocess

import jax
import numpy as np
import pytest
from scipy.special import erf, expit, ndtr

import gradlab as gl
from gradlab._text import plain
from gradlab.blackboard.formulas import function_of
from gradlab.blackboard.numbers import printed
from gradlab.config import ACTIVATIONS as NAMES
from gradlab.core.activations import activation_named

WORDS = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh, "erf": erf, "abs": abs, "π": np.pi,
    "Φ": ndtr, "σ": expit, "max": np.maximum, "min": np.minimum,
}  # fmt: skip


def computed(text, z, a):
    """The value of a formula, read as Python."""
    either = re.fullmatch(r"(.+) where (.+), else (.+)", text)
    if either:
        inside, condition, outside = (computed(part, z, a) for part in either.groups())
        return np.where(condition, inside, outside)
    code = re.sub(r"\|z\|", "abs(z)", text.replace("·", "*").replace("−", "-").replace("²", "**2"))
    return eval(code, {"__builtins__": {}}, {**WORDS, "z": z, "a": a}) + 0 * z


@pytest.mark.parametrize("name", [*NAMES, "leaky_relu:-0.25", "elu:2.5"])
def test_a_formula_in_words_is_the_function(name):
    z = np.array([-3.1, -0.8, -0.2, 0.3, 0.9, 2.7])
    with jax.enable_x64(True):
        entry = activation_named(name)
        phi, dphi = np.asarray(entry.phi(z)), np.asarray(entry.dphi(z))
    # the constants of SELU are written with five digits
    close = dict(rtol=5e-5 if name == "selu" else 1e-12, atol=1e-14)
    np.testing.assert_allclose(computed(function_of(name).phi.text, z, phi), phi, **close)
    np.testing.assert_allclose(computed(function_of(name).slope.text, z, phi), dphi, **close)


def test_numbers_are_rounded_once_and_none_becomes_zero():
    values = np.array([[0.12345, -1.7, 3e-9], [0.0, -0.0, 12.0]])
    shown = printed(values, 4)
    assert shown.power == 0 and shown.rows == [["0.12", "-1.70", "3e-9"], ["0", "0", "12.00"]]
    assert printed(np.array([[0.5, -1.0]]), 4).rows == [["0.5", "-1.0"]]
    small = printed(np.array([[1.23456e-20, -4e-21]]), 3)
    assert (small.rows, small.power) == ([["1.23", "-0.40"]], -20)
    draw = np.random.default_rng(0)
    for _ in range(50):
        values, digits = draw.normal(size=(3, 4)) * 10.0 ** draw.integers(-30, 30), int(draw.integers(2, 7))
        shown = printed(values, digits)
        text = np.array(shown.rows)
        unit = 10.0 ** (shown.power - len(text[0, 0].partition(".")[2]))
        # half a unit of the last place, and the rounding of the test's own product
        assert np.all(np.abs(text.astype(float) * 10.0**shown.power - values) <= unit * (0.5 + 1e-6))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.slow
@pytest.mark.parametrize(("width", "x", "y"), [(2, [1.0, 0.5], [1.0]), (3, [0.3, -1.2, 2.0], [1.0, 0.0])])
@pytest.mark.parametrize("activation", ["tanh", "gelu", "selu"])
def test_latex_is_one_page_without_an_overfull_line(width, x, y, activation, tmp_path):
    net = gl.MLP(depth=1, width=width, activation=activation, init="xavier_normal", sigma_b2=0.1)
    (tmp_path / "a.tex").write_text(gl.explain(net, x, y).to_latex())
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert "(1 page," in done.stdout and "Overfull" not in done.stdout


@pytest.mark.slow
def test_a_strange_name_of_an_activation_is_shown_and_not_obeyed():
    import jax.numpy as jnp

    name = r"a_$\b<i>|#"
    gl.register_activation(name, jnp.sin, jnp.cos)
    example = gl.explain(gl.MLP(depth=1, width=2, activation=name, init="he_normal"), [1.0, 0.5], [1.0])
    assert plain(name) in str(example)
    assert r"a\_\$\textbackslash{}b\textless{}i\textgreater{}\textbar{}\#" in example.to_latex()
    assert r"\<i\>\|" in example.to_markdown() and example._repr_markdown_() == example.to_markdown()
