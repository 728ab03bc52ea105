"""A worked example shows the numbers of jax.grad, to every digit that it prints."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.blackboard.numbers import printed
from gradlab.cli import main
from gradlab.core.losses import plain_loss

JAX_PHI = {"sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "relu": jax.nn.relu, "gelu": lambda z: jax.nn.gelu(z, False)}


def chain(params, x, phi, shifts):
    """The network in plain jax.numpy, with something added to each preactivation."""
    a = x
    for i, (leaf, shift) in enumerate(zip(params, shifts, strict=True)):
        z = a @ leaf["weight"] + leaf.get("bias", 0) + shift
        a = z if i + 1 == len(params) else phi(z)
    return a


def witness(example, activation):
    """Gradients by jax.grad in float64: by the parameters, and by each preactivation."""
    with jax.enable_x64(True):
        pick = lambda layer: {"weight": layer.weight} | ({} if layer.bias is None else {"bias": layer.bias})
        params = [jax.tree.map(jnp.asarray, pick(layer)) for layer in example.layers]
        shifts = [jnp.zeros(layer.z.shape) for layer in example.layers]
        loss = lambda params, shifts: plain_loss(example.loss)(
            chain(params, jnp.asarray(example.x), JAX_PHI[activation], shifts), jnp.asarray(example.y)
        )
        value, (grads, deltas) = jax.value_and_grad(loss, (0, 1))(params, shifts)
        return float(value), jax.tree.map(np.asarray, grads), [np.asarray(d) for d in deltas]


def rows_of(matrix, digits):
    return [" ".join(row) for row in printed(np.atleast_2d(matrix), digits).rows]


def squeezed(text):
    """A text with single spaces, and none behind an opening or before a closing bracket."""
    return " ".join(text.split()).replace("[ ", "[").replace(" ]", "]")


CASES = [
    # depth, width, inputs, examples, activation, loss, bias, digits
    (1, 2, 2, 1, "sigmoid", "mse", True, 4),
    *[
        pytest.param(*case, marks=pytest.mark.slow)
        for case in [
            (2, 3, 5, 4, "tanh", "softmax_cross_entropy", True, 6),
            (3, (4, 1, 6), 3, 2, "relu", "logistic", True, 5),
            (2, 5, 1, 6, "gelu", "mse", True, 3),
            (1, 3, 3, 1, "tanh", "softmax_cross_entropy", True, 4),
            (10, 2, 2, 3, "sigmoid", "mse", True, 4),
            (2, 4, 6, 5, "tanh", "logistic", False, 2),
        ]
    ],
]


@pytest.mark.parametrize(("depth", "width", "inputs", "examples", "activation", "loss", "bias", "digits"), CASES)
def test_every_printed_digit_is_that_of_jax_grad(
    depth, width, inputs, examples, activation, loss, bias, digits
):  # fmt: skip
    draw = np.random.default_rng(depth * 10 + inputs)
    x = draw.normal(size=(examples, inputs))
    y = draw.normal(size=(examples, 2)) if loss == "mse" else draw.integers(0, 2, examples)
    spread = {"sigma_b2": 0.3} if bias else {"bias": False}
    net = gl.MLP(depth=depth, width=width, activation=activation, init="xavier_normal", **spread)
    example = gl.explain(net, x, y, loss=loss, outputs=None if loss == "mse" else 2, key=7, digits=digits)
    value, grads, deltas = witness(example, activation)
    # both sum at most 6 products a layer in float64; half a digit in the sixth place is 1e8 times larger
    close = dict(rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(example.value, value, **close)
    text, latex = squeezed(str(example)), example.to_latex()
    for layer, grad, delta in zip(example.layers, grads, deltas, strict=True):
        mine = {"weight": layer.weight_grad, "bias": layer.bias_grad}
        for ours, theirs in [(layer.delta, delta), *((mine[name], grad[name]) for name in grad)]:
            np.testing.assert_allclose(ours, theirs, **close)
            assert rows_of(ours, digits) == rows_of(theirs, digits)
            for row in rows_of(theirs, digits):
                assert f"[{row}]" in text
                if "e" not in row:
                    assert row.replace(" ", " & ") in latex
        assert layer.bias_grad is None or bias
        with jax.enable_x64(True):
            a = layer.z if layer.activation == "identity" else JAX_PHI[activation](layer.z)
        np.testing.assert_allclose(layer.a, a, **close)


def test_a_vector_is_one_example_and_weights_can_be_rounded_or_given():
    net = gl.MLP(depth=1, width=2, activation="tanh", init="xavier_normal")
    one = gl.explain(net, [1.0, 0.5], [1.0], decimals=1)
    assert one.sizes == (2, 2, 1) and one.x.shape == (1, 2)
    assert all(np.array_equal(layer.weight, np.round(layer.weight, 1)) for layer in one.layers)
    x = np.array([[1.0, 0.5]], "float32")
    params = net.init_params(3, x, np.array([[1.0]], "float32"))
    given, drawn = gl.explain(net, x, [[1.0]], params=params), gl.explain(net, x, [[1.0]], key=3)
    assert str(given) == str(drawn) != str(one)


@pytest.mark.slow
def test_a_network_of_ones_own_layers_may_leave_out_the_last_activation():
    layer = gl.serial(gl.dense(3), gl.repeat(gl.serial(gl.activation("tanh"), gl.dense(3)), 2), gl.dense(2))
    net = gl.CustomNetwork(layer, shape=(2,))
    example = gl.explain(net, [0.3, -0.2], [1.0, 0.0])
    assert [one.activation for one in example.layers] == ["tanh", "tanh", "identity", "identity"]
    _, grads = gl.backprop(net, net.init_params(0, example.x, example.y), example.x, example.y)
    # those of `backprop` are float32, with 1.2e-7 between two numbers
    np.testing.assert_allclose(example.layers[0].weight_grad, grads[0]["weight"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("digits", [2, 4, 6])
def test_text_fits_eighty_columns(digits):
    net = gl.MLP(depth=2, width=6, activation="selu", init="he_normal", sigma_b2=0.1)
    x = np.random.default_rng(1).normal(size=(6, 6)) * 1e-3
    text = str(gl.explain(net, x, [0, 1, 2, 3, 4, 5], digits=digits))
    assert max(map(len, text.splitlines())) <= 80
    assert "10⁻" in text


@pytest.mark.parametrize(
    ("net", "x", "y", "words"),
    [
        (gl.MLP(depth=1, width=7), [1.0, 0.5], [1.0], "at most 6 units"),
        (gl.MLP(depth=11, width=2), [1.0, 0.5], [1.0], "at most 10 hidden layers"),
        (gl.MLP(depth=1, width=2), np.ones((7, 2)), np.ones((7, 1)), "at most 6 examples"),
        (gl.MLP(depth=1, width=2, norm="layer"), [1.0, 0.5], [1.0], "chain of dense layers"),
        (gl.ResNet(depth=2, width=2), [1.0, 0.5], [1.0], "chain of dense layers"),
    ],
)
@pytest.mark.slow
def test_what_does_not_fit_on_a_blackboard_is_refused(net, x, y, words):
    with pytest.raises(gl.GradlabError, match=words):
        gl.explain(net, x, y)


@pytest.mark.slow
def test_the_command_prints_and_writes(tmp_path, capsys):
    assert main(["explain", "--key", "4"]) == 0
    shown = capsys.readouterr().out
    assert "2-2-1 network" in shown and "∂L/∂W₁" in shown
    for name in ("a.txt", "a.md", "a.tex"):
        assert main(["explain", "--key", "4", "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.txt").read_text() == shown
    assert (tmp_path / "a.tex").read_text().startswith(r"\documentclass")
    assert main(["explain", "--out", "a.pdf"]) == 2
    assert main(["explain", "--y", "0.3", "--loss", "softmax_cross_entropy"]) == 2
