"""One wrong line in core, and the check is red: edits of the real source, each tried on a network of depth 3."""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests import cases

CORE = Path(__file__).parents[2] / "gradlab" / "core"


class Edit(NamedTuple):
    """`old`, which stands in gradlab/core/`file` exactly once, becomes `new`.

    It is seen on a network with this activation and loss, or on this one of `LAYERS`.
    """

    file: str
    old: str
    new: str
    activation: str = "tanh"
    loss: str = "softmax_cross_entropy"
    layer: str = ""

    def __str__(self):
        return f"{self.file}: {self.new.strip()}"


DX = "return delta.map(lambda d: gained(params, matmul(d, W.T))), record"
DELTA = "return dy.map(lambda d: d * slope(entry, z))"
SHARE = "return dy.map(lambda m: m / m.shape[-2])"
OUTER = "return Scaled(matmul(jnp.swapaxes(a, -1, -2), self.d.mantissa), exponent)"
FAST = (
    Edit("dense", DX, "return delta.map(lambda d: -gained(params, matmul(d, W.T))), record"),
    Edit("dense", DX, "return delta.map(lambda d: gained(params, matmul(d, W))), record"),
    Edit("dense", DX, "return delta.map(lambda d: 0.999 * gained(params, matmul(d, W.T))), record"),
    Edit("activations", DELTA, "return dy"),
)
EDITS = (
    *FAST,
    # dense.py
    Edit("dense", '{"weight": outer(a, delta)}', '{"weight": outer(delta, a)}'),
    Edit("dense", 'gradient["bias"] = row_sum(delta)', 'gradient["bias"] = row_sum(a)'),
    Edit("dense", "return delta.map(", "return a.map(lambda _: delta.mantissa).map("),
    Edit("dense", "power(-exponent, b.dtype)", "power(exponent, b.dtype)"),
    Edit("dense", 'biased(params["bias"], z)', 'biased(-params["bias"], z)'),
    Edit("dense", "return for_groups(z), x\n", "return for_groups(z), x.map(lambda m: 2 * m)\n"),
    # activations.py
    Edit("activations", DELTA, "return dy.map(lambda d: -d * slope(entry, z))"),
    Edit("activations", DELTA, "return dy.map(lambda d: 0.999 * d * slope(entry, z))"),
    Edit("activations", DELTA, "return Scaled(dy.mantissa * slope(entry, z), z.exponent)"),
    Edit("activations", "return e / (1 + e) ** 2", "return e / (1 + e)", "sigmoid"),
    Edit("activations", "return 4 * e / (1 + e) ** 2", "return 2 * e / (1 + e) ** 2"),
    Edit("activations", "return (z > 0).astype(z.dtype)", "return (z < 0).astype(z.dtype)", "relu"),
    Edit("activations", "jnp.where(z > 0, 1, alpha * jnp.exp", "jnp.where(z > 0, 1, -alpha * jnp.exp", "elu"),
    Edit("activations", "return scale * jnp.where(z > 0, 1,", "return jnp.where(z > 0, 1,", "selu"),
    Edit("activations", "1 / (1 + jnp.abs(z)) ** 2", "1 / (1 + jnp.abs(z))", "softsign"),
    Edit("activations", "2 / np.pi**0.5 * jnp.exp(-z * z)", "2 / np.pi * jnp.exp(-z * z)", "erf"),
    Edit("activations", "_normal_cdf(z) + z * _normal_density(z)", "_normal_cdf(z) - z * _normal_density(z)", "gelu"),
    Edit("activations", "_sigmoid(z) + z * _dsigmoid(z)", "_sigmoid(z)", "silu"),
    Edit("activations", "(jnp.abs(z) < 1)", "(jnp.abs(z) < 0.5)", "hard_tanh"),
    Edit("activations", "jnp.where(z > 0, 1, slope)", "jnp.where(z > 0, 1, 0)", "leaky_relu"),
    Edit("activations", '"softplus", _softplus, _sigmoid', '"softplus", _softplus, _dsigmoid', "softplus"),
    Edit("activations", "z.mantissa if entry.homogeneous else z.value()", "z.mantissa"),
    # losses.py
    Edit("losses", SHARE, "return dy.map(lambda m: m / m.shape[-1])"),
    Edit("losses", SHARE, "return dy.map(lambda m: -m / m.shape[-2])"),
    Edit(
        "losses",
        "jnp.broadcast_to(-y, logits.mantissa.shape)",
        "jnp.broadcast_to(y, logits.mantissa.shape)",
        loss="mse",
    ),
    Edit("losses", "squares = 0.5 * jnp.sum", "squares = 1.0 * jnp.sum", loss="mse"),
    Edit("losses", "jnp.where(right, -jnp.sum(others", "jnp.where(right, jnp.sum(others"),
    Edit("losses", "jnp.exp2(-r), 0)", "jnp.exp2(r), 0)"),
    Edit("losses", "return value, _share(Scaled(dy, q))", "return value, _share(Scaled(dy, -q))"),
    Edit("losses", "Scaled(-sign * tiny", "Scaled(sign * tiny", loss="logistic"),
    Edit("losses", "sign = 2 * y - 1", "sign = 1 - 2 * y", loss="logistic"),
    Edit("losses", "u = jnp.exp(-jnp.abs(margin.value()))", "u = jnp.exp(-margin.value())", loss="logistic"),
    Edit(
        "losses",
        "_share(logits.constant(jnp.broadcast_to(y,",
        "_share(logits.constant(jnp.broadcast_to(-y,",
        loss="probe",
    ),
    # layer.py
    Edit("layer", "lambda turn: n - 1 - turn", "lambda turn: turn"),
    Edit("layer", "return lax.fori_loop(0, n, body", "return lax.fori_loop(1, n, body"),
    Edit("layer", "pick(saved, i),", "pick(saved, i - 1),"),
    Edit("layer", "backward(pick(params, i),", "backward(pick(params, 0),"),
    Edit("layer", "in reversed(list(zip(sequence, params", "in (list(zip(sequence, params"),
    Edit("layer", "return dy, tuple(reversed(records))", "return dy, tuple(records)"),
    # gradient.py
    Edit("gradient", OUTER, "return Scaled(matmul(jnp.swapaxes(self.d.mantissa, -1, -2), a), exponent)"),
    Edit("gradient", OUTER, "return Scaled(-matmul(jnp.swapaxes(a, -1, -2), self.d.mantissa), exponent)"),
    Edit("gradient", "align(Scaled(self.a.mantissa, self.exponents()))", "align(self.a)"),
    Edit("gradient", "jnp.maximum(a + d, LOWEST)", "jnp.maximum(a - d, LOWEST)"),
    Edit("gradient", "jnp.sum(m, self.each.lead - 1)", "jnp.mean(m, self.each.lead - 1)"),
    # scaled.py
    Edit("scaled", "LOWEST, s.exponent + k)", "LOWEST, s.exponent - k)"),
    Edit("scaled", "expand(_power(-k, top.dtype)", "expand(_power(k, top.dtype)"),
    Edit(
        "scaled",
        "mantissa = s.mantissa * expand(weight(s.exponent - top,",
        "mantissa = s.mantissa * expand(weight(top - s.exponent,",
    ),
    Edit("scaled", "_power(k - half, x.dtype)", "_power(half, x.dtype)"),
    Edit("scaled", "(k + bias).astype(kind)", "(k + bias + 1).astype(kind)"),
    Edit("scaled", "1.4426950408889634", "1.4427"),
)
#: Name -> (a copy's core -> the layer), and the shape of one example. Square, with two features at the least.
LAYERS = {
    "residual": (lambda core: core("residual").residual(core("dense").dense(3), 0.5), (3,)),
    "rezero": (lambda core: core("residual").residual(core("dense").dense(3), "learned"), (3,)),
    "batch_norm": (lambda core: core("norm").batch_norm(), (3,)),
    "layer_norm": (lambda core: core("norm").layer_norm(), (4,)),
    "dyt": (lambda core: core("dyt").dyt(), (4,)),
    "conv": (lambda core: core("conv").conv(2, 3), (5, 2)),
    "torus": (lambda core: core("conv").conv(2, 3, padding="periodic"), (5, 2)),
    "rnn": (lambda core: core("unroll").unroll(core("recurrent").rnn_cell(3)), (4, 3)),
    "lstm": (lambda core: core("unroll").unroll(core("recurrent").lstm_cell(3)), (4, 3)),
    "gru": (lambda core: core("unroll").unroll(core("recurrent").gru_cell(3)), (4, 3)),
    "lru": (lambda core: core("linear_recurrent").lru(2, 3), (4, 3)),
    "attention": (lambda core: core("attention").attention(2), (5, 4)),
}
OF_LAYERS = tuple(
    Edit(file, old, new, layer=layer)
    for file, layer, old, new in (
        ("residual", "residual", "return add(delta, through) if skip", "return through if skip"),
        ("residual", "residual", "inner, times_number(s, delta), prefixed", "inner, delta, prefixed"),
        ("residual", "rezero", "delta.times(f)", "delta.times(y)"),
        ("residual", "residual", "y = add(x, y) if skip", "y = add(f, y) if skip"),
        ("norm", "batch_norm", "v.mantissa - xhat * mean(v.mantissa * xhat)", "v.mantissa"),
        ("norm", "layer_norm", "inner = inner - mean(v.mantissa)", "inner = inner + 0"),
        ("norm", "layer_norm", "dy.times(xhat)", "dy.times(dy)"),
        ("norm", "batch_norm", 'gradient["bias"] = row_sum(dy)', 'gradient["bias"] = row_sum(xhat)'),
        ("norm", "batch_norm", "by_example(inner, -s.power,", "by_example(inner, s.power,"),
        ("norm", "layer_norm", "squares + jnp.asarray(fraction", "squares + 0 * jnp.asarray(fraction"),
        ("dyt", "dyt", "delta.times(x)", "delta.times(t)"),
        ("dyt", "dyt", "dy.times(t)", "dy.times(x)"),
        ("dyt", "dyt", "4 * fraction / (1 + e) ** 2", "4 * fraction / (1 + e)"),
        ("conv", "conv", "kernel = jnp.flip(weight.reshape(*g.kernel, -1, weight.shape[-1]), axes)",
         "kernel = weight.reshape(*g.kernel, -1, weight.shape[-1])"),
        ("conv", "conv", "jnp.swapaxes(kernel, -1, -2)", "kernel"),
        ("conv", "conv", "low = k - 1 - first", "low = k - 1"),
        ("conv", "torus", "before = -low % n", "before = low % n"),
        ("conv", "conv", 'gradient["bias"] = row_sum(delta)', 'gradient["bias"] = row_sum(a)'),
        ("conv", "torus", "edged = a.map(", "edged = delta.map(lambda _: a.mantissa).map("),
        ("recurrent", "rnn", 'matmul(d.mantissa, recurrent["weight"].T)', 'matmul(d.mantissa, recurrent["weight"])'),
        ("recurrent", "lstm", "dc = dc + dh * o * _TANH.dphi(c)", "dc = dc + dh * o"),
        ("recurrent", "lstm", "df = dc * c_before * ", "df = dc * c * "),
        ("recurrent", "lstm", "dc * f], -2)", "dc], -2)"),
        ("recurrent", "gru", "dz = dh * (h - jnp.tanh(an))", "dz = dh * (jnp.tanh(an) - h)"),
        ("recurrent", "gru", "[dr, dz, r * dn]", "[dr, dz, dn]"),
        ("linear_recurrent", "lru", "(-radius if back else radius)", "radius"),
        ("linear_recurrent", "lru", "rate * jnp.exp(-2 * rate) /", "rate * jnp.exp(-rate) /"),
        ("linear_recurrent", "lru", "return b * c - a * d", "return a * d - b * c"),
        ("linear_recurrent", "lru", "return add(dx, normalise(around))", "return dx"),
        ("unroll", "rnn", "[one[None], all[:-1]]", "[all[:1], all[:-1]]"),
        ("unroll", "rnn", "numbers), reverse=True)", "numbers), reverse=False)"),
        ("attention", "attention", "jnp.sum(p * dp, -1, keepdims=True)", "jnp.sum(dp, -1, keepdims=True)"),
        ("attention", "attention", "matmul(jnp.swapaxes(p, -1, -2), dos)", "matmul(p, dos)"),
        ("attention", "attention", "matmul(jnp.swapaxes(ds, -1, -2), qs)", "matmul(ds, qs)"),
        ("attention", "attention", "ds = p * dp / _divisor(qs, divisor)", "ds = p * dp"),
        ("attention", "attention", "lambda e: e + v.exponent", "lambda e: e"),
    )
)  # fmt: skip


@contextlib.contextmanager
def fresh(edit: Edit | None):
    """Another copy of gradlab with this edit; the one that was there comes back afterwards."""
    mine = lambda name: name == "gradlab" or name.startswith("gradlab.")
    before = {name: module for name, module in sys.modules.items() if mine(name)}
    for name in before:
        del sys.modules[name]

    class Edited(importlib.machinery.SourceFileLoader):
        def get_code(self, fullname):
            source = Path(self.path).read_text()
            assert source.count(edit.old) == 1
            return compile(source.replace(edit.old, edit.new), self.path, "exec")

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if edit is None or name != f"gradlab.core.{edit.file}":
                return None
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            spec.loader = Edited(name, spec.origin)
            return spec

    sys.meta_path.insert(0, Finder)
    try:
        yield importlib.import_module("gradlab")
    finally:
        sys.meta_path.remove(Finder)
        for name in [n for n in sys.modules if mine(n)]:
            del sys.modules[name]
        sys.modules.update(before)


def passes(edit: Edit | None, activation="tanh", loss="softmax_cross_entropy", layer="") -> bool:
    """Whether the check is green. Square everywhere, so that a transposed weight has no wrong shape."""
    x, y = cases.data(loss, features=5, outputs=5)
    with fresh(edit) as gl:
        net = gl.MLP(depth=3, width=5, activation=activation, init="lecun_normal", sigma_b2=0.1)
        try:
            if layer:
                build, shape = LAYERS[layer]
                x = np.random.default_rng(0).normal(size=(6, *shape))
                return gl.check(build(lambda name: importlib.import_module(f"gradlab.core.{name}")), x, quiet=True).ok
            return gl.check(net, x, y, loss=loss, quiet=True).ok
        except ValueError as error:
            if type(error).__name__ != "GradlabError":  # the fresh copy has a class of its own
                raise
            return False


@pytest.mark.parametrize("edit", [*EDITS, *OF_LAYERS], ids=str)
def test_each_edit_is_of_a_line_that_exists(edit):
    assert (CORE / f"{edit.file}.py").read_text().count(edit.old) == 1
    assert edit.old != edit.new


def test_there_are_enough_of_them_and_they_differ():
    assert len({*EDITS, *OF_LAYERS}) == len(EDITS) + len(OF_LAYERS) >= 60
    assert {e.file for e in EDITS} == {"dense", "activations", "losses", "layer", "gradient", "scaled"}
    assert {e.file for e in OF_LAYERS} == {
        "residual", "norm", "dyt", "conv", "recurrent", "linear_recurrent", "unroll", "attention"
    }  # fmt: skip


@pytest.mark.slow
def test_a_fresh_copy_without_an_edit_passes_and_leaves_no_trace():
    before = sys.modules.get("gradlab")
    assert passes(None)
    assert sys.modules.get("gradlab") is before


@pytest.mark.parametrize("edit", FAST, ids=str)
def test_the_four_classical_mistakes_are_caught(edit):
    assert not passes(edit, edit.activation, edit.loss)


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS, ids=str)
def test_every_edit_turns_the_check_red(edit):
    assert not passes(edit, edit.activation, edit.loss)


@pytest.mark.slow
@pytest.mark.parametrize("edit", OF_LAYERS, ids=str)
def test_every_edit_of_a_layer_turns_its_check_red(edit):
    assert not passes(edit, layer=edit.layer)


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_without_the_edit_the_layer_is_green(layer):
    assert passes(None, layer=layer)


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "loss"), sorted({(e.activation, e.loss) for e in EDITS}))
def test_without_the_edit_it_is_green(activation, loss):
    assert passes(None, activation, loss)
