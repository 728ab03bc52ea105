"""Recurrent layers: truncation, what the sites show, laws in closed form, and 2,000 steps in float32."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gradlab._errors import GradlabError
from gradlab.core.gradient import Positions, materialise
from gradlab.core.recurrent import gru_cell, lstm_cell, rnn_cell
from gradlab.core.scaled import Scaled, plain, scaled
from gradlab.core.unroll import unroll

CELLS = {
    "rnn": lambda n, **o: rnn_cell(n, **o),
    "lstm": lambda n, **o: lstm_cell(n, **o),
    "gru": lambda n, **o: gru_cell(n, **o),
}
#: What compiles several loops.
SLOW = pytest.mark.slow


def drawn(layer, shape, batch=3, seed=0):
    """Parameters off their initial values, and an input."""
    params, _ = layer.init(jax.random.key(seed), shape)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(lambda v: v + jnp.asarray(0.2 * rng.normal(size=v.shape), v.dtype), params)
    return params, jnp.asarray(rng.normal(size=(batch, *shape)))


def sites(layer, params, x, dy):
    """Each site of a backward pass by its path, and the cotangent of the input."""
    found = {}
    _, saved = layer.forward(params, scaled(x, x.ndim - 1))
    dx, _ = layer.backward(params, saved, dy, lambda site: found.update({site.path: site}))
    return dx, found


def log10_rms(s):
    """log10 of the root mean square over batch and units, in float64, for each step."""
    m, e = np.asarray(s.mantissa, float), np.asarray(s.exponent, float)
    top = e.max(0)
    squares = np.mean(m**2, -1) * np.exp2(np.maximum(2 * (e - top), -1000))
    with np.errstate(divide="ignore"):
        return 0.5 * np.log10(np.mean(squares, 0)) + top * math.log10(2)


def by_pieces(cell, truncate, returns):
    """The same steps in a plain loop; the state is held constant where a piece ends."""

    def f(params, x):
        state = plain(jnp.zeros((len(x), cell.parts, cell.units)))
        outputs = []
        for t in range(x.shape[1]):
            if t and t % truncate == 0:
                state = lax.stop_gradient(state)
            u = x[:, t] @ params["input"]["weight"] + params["input"]["bias"]
            state, _ = cell.forward(params["recurrent"], state, plain(u))
            outputs.append(state.mantissa[:, 0])
        return outputs[-1] if returns == "last" else jnp.stack(outputs, 1)

    return f


@pytest.mark.parametrize(
    ("kind", "truncate", "returns"),
    [("rnn", 3, "last"), pytest.param("lstm", 2, "all", marks=SLOW), pytest.param("gru", 1, "all", marks=SLOW)],
)
def test_truncated_backward_is_autodiff_with_the_state_held_constant_between_pieces(kind, truncate, returns, x64):
    """Five steps: the last piece is shorter than the others."""
    cell = CELLS[kind](4)
    layer = unroll(cell, returns=returns, truncate=truncate)
    params, x = drawn(layer, (5, 3))
    reference = by_pieces(cell, truncate, returns)

    @jax.jit
    def both(params, x, dy):
        _, saved = layer.forward(params, scaled(x, 2))
        dx, grads = layer.backward(params, saved, scaled(dy, dy.ndim - 1), materialise)
        return (grads, dx.value()), jax.vjp(reference, params, x)[1](dy)

    dy = jnp.asarray(np.random.default_rng(9).normal(size=jax.eval_shape(reference, params, x).shape))
    ours, theirs = both(params, x, dy)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.max(np.abs(a - b)) <= 1e-12 * np.max(np.abs(b))
    if returns == "last":  # nothing comes through the cut
        assert not np.any(ours[1][:, :3]) and np.all(ours[1][:, 3:] != 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param("rnn", marks=SLOW), "lstm", pytest.param("gru", marks=SLOW)])
def test_the_recurrent_site_shows_each_step(kind, x64):
    """Beside plain autodiff: a small push on the state (or preactivation) of each step."""
    cell = CELLS[kind](3)
    layer = unroll(cell)
    params, x = drawn(layer, (3, 2))
    rng = np.random.default_rng(3)
    dy = jnp.asarray(rng.normal(size=(3, 3)))

    @jax.jit
    def pushed(push, push_state):
        state = plain(jnp.zeros((3, cell.parts, 3)))
        for t in range(3):
            u = x[:, t] @ params["input"]["weight"] + params["input"]["bias"] + push[:, t]
            state, _ = cell.forward(params["recurrent"], state, plain(u))
            state = plain(state.mantissa + push_state[:, t])
        return jnp.sum(dy * state.mantissa[:, 0])

    by_drive, by_state = jax.grad(pushed, (0, 1))(jnp.zeros((3, 3, cell.drives)), jnp.zeros((3, 3, cell.parts, 3)))
    _, found = sites(layer, params, x, scaled(dy))
    site = found[("recurrent",)]
    assert site.kind == "recurrent" and isinstance(site.gradient["weight"], Positions)
    assert site.dy.exponent.shape == (3, 3) and site.x.mantissa.shape == site.y.mantissa.shape == (3, 3, 3)
    shown = by_drive if kind == "rnn" else by_state[:, :, 0]
    assert np.asarray(site.dy.value()) == pytest.approx(np.asarray(shown), rel=1e-12, abs=1e-14)
    if kind == "lstm":  # the path through the cell: what h makes of c counts as well
        dh, dc = by_state[:, :, 0], by_state[:, :, 1]
        ao = site.steps.kept.mantissa[..., 9:]
        f, i, g = (fn(site.steps.kept.mantissa[..., s]) for fn, s in (
            (jax.nn.sigmoid, slice(3, 6)), (jax.nn.sigmoid, slice(0, 3)), (jnp.tanh, slice(6, 9))
        ))  # fmt: skip
        c = jnp.zeros((3, 3))
        for t in range(3):
            c = f[:, t] * c + i[:, t] * g[:, t]
            total = dc[:, t] + dh[:, t] * jax.nn.sigmoid(ao[:, t]) * (1 - jnp.tanh(c) ** 2)
            ours = site.steps.dstate.value()[:, t, 1]
            assert np.asarray(ours) == pytest.approx(np.asarray(total), rel=1e-12, abs=1e-14)
    assert np.asarray(found[("input",)].gradient["weight"].d.value()) == pytest.approx(
        np.asarray(by_drive), rel=1e-12, abs=1e-14
    )


def test_an_orthogonal_linear_network_shrinks_by_its_radius_exactly(x64):
    """|dL/dh_0| = rho^T |dL/dh_T|: 10^-602 for rho = 1/2 and T = 2000, far below the range of a double."""
    steps, rho = 2000, 0.5
    layer = unroll(rnn_cell(6, "identity", gain=rho))
    params, _ = layer.init(jax.random.key(0), (steps, 1))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, steps, 1)))
    _, found = sites(layer, params, x, scaled(jnp.asarray(np.random.default_rng(1).normal(size=(2, 6)))))
    sizes = log10_rms(found[("recurrent",)].dy)
    expected = sizes[-1] + np.arange(steps)[::-1] * math.log10(rho)
    assert np.max(np.abs(sizes - expected)) <= 1e-12 * abs(expected[0])


def test_a_matrix_that_is_not_normal_grows_before_it_shrinks(x64):
    """W = [[a, b], [0, a]]: W^t = a^t [[1, b t/a], [0, 1]] (Pascanu et al. 2013: the radius bounds the limit alone)."""
    a, b, steps = 0.9, 2.0, 44
    layer = unroll(rnn_cell(2, "identity", bias=False))
    params = {"input": {"weight": jnp.zeros((1, 2))}, "recurrent": {"weight": jnp.asarray([[a, b], [0.0, a]])}}
    _, found = sites(layer, params, jnp.zeros((1, steps + 1, 1)), scaled(jnp.asarray([[0.3, -0.7]])))
    dy = np.asarray(found[("recurrent",)].dy.value())[0]
    for t in range(steps + 1):
        power = a**t * np.array([[1, b * t / a], [0, 1]])
        assert dy[steps - t] == pytest.approx(np.array([0.3, -0.7]) @ power.T, rel=1e-10)


@pytest.mark.parametrize("forget_bias", [1.0, 0.0, math.log(99)], ids=["1", "0", "chrono"])
def test_the_path_through_the_cell_of_an_lstm(forget_bias, x64):
    """sigma(b_f)^T where the weights are small; with b_f = ln(T - 1) it is (1 - 1/T)^T = 0.366 (Tallec & Ollivier)."""
    steps = 100
    layer = unroll(lstm_cell(3, forget_bias=forget_bias))
    params, _ = layer.init(jax.random.key(0), (steps + 1, 2))
    for part in params.values():
        part["weight"] = 0 * part["weight"]
    _, found = sites(layer, params, jnp.ones((1, steps + 1, 2)), scaled(jnp.ones((1, 3))))
    dc = np.asarray(found[("recurrent",)].steps.dstate.value())[0, :, 1]
    law = (1 / (1 + math.exp(-forget_bias))) ** steps
    assert dc[0] / dc[-1] == pytest.approx(law, rel=1e-12)
    if forget_bias > 1:
        assert law == pytest.approx((1 - 1 / steps) ** steps, rel=1e-12)


@SLOW
def test_the_radius_bounds_a_tanh_network_and_identity_keeps_the_gradient(x64):
    """|delta| shrinks by at least gamma |W|_2 a step, gamma = 1; with W = 1 and open ReLUs it does not change."""
    steps = 50
    layer = unroll(rnn_cell(5, "tanh", gain=0.7))
    params, x = drawn(layer, (steps, 2))
    norm = float(jnp.linalg.norm(params["recurrent"]["weight"], 2))
    _, found = sites(layer, params, x, scaled(jnp.ones((3, 5))))
    dh = np.linalg.norm(np.asarray(found[("recurrent",)].steps.dstate.value())[:, :, 0], axis=-1)
    assert np.all(dh[:, 0] <= norm ** (steps - 1) * dh[:, -1] * (1 + 1e-12))

    irnn = unroll(rnn_cell(5, "relu", recurrent_init="identity"))
    params, _ = irnn.init(jax.random.key(0), (steps, 2))
    params["input"]["bias"] = params["input"]["bias"] + 9.0
    _, found = sites(irnn, params, x, scaled(jnp.ones((3, 5))))
    assert np.all(np.asarray(found[("recurrent",)].dy.value()) == 1)


def test_a_forward_signal_outside_the_range_of_a_float():
    """Powers of two pass through a ReLU network: at a radius of 1.5 the state grows to 10^352 and is still there."""
    steps = 2000
    layer = unroll(rnn_cell(4, "relu", recurrent_init="identity", gain=1.5, bias=False))
    weights = {"input": jnp.ones((1, 4)), "recurrent": 1.5 * jnp.eye(4)}
    params = {name: {"weight": w.astype("float32")} for name, w in weights.items()}
    x = jnp.zeros((1, steps, 1), "float32").at[0, 0].set(1.0)
    y, _ = layer.forward(params, scaled(x, 2))
    got = np.log10(float(y.mantissa[0, 0])) + float(y.exponent[0]) * math.log10(2)
    assert got == pytest.approx((steps - 1) * math.log10(1.5), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("radius", [0.5, 1.5])
def test_two_thousand_steps_in_float32(kind, radius):
    """The deltas of all steps, beside a backward pass in float64 through the same saved forward signal."""
    steps, units = 2000, 32
    layer = unroll(CELLS[kind](units, gain=radius, recurrent_init="orthogonal"))
    params, _ = layer.init(jax.random.key(0), (steps, 2))
    params = jax.tree.map(lambda v: v.astype("float32"), params)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(4, steps, 2)), "float32")
    dy = rng.normal(size=(4, units))
    _, saved = layer.forward(params, scaled(x, 2))

    def deltas(params, saved, dy):
        found = {}
        layer.backward(params, saved, scaled(dy), lambda site: found.update({site.path: site}))
        site = found[("recurrent",)]
        return log10_rms(site.dy), log10_rms(Scaled(site.steps.dstate.mantissa[..., -1, :], site.steps.dstate.exponent))

    ours = deltas(params, saved, jnp.asarray(dy, "float32"))
    with jax.enable_x64(True):
        real = lambda v: jnp.asarray(np.asarray(v), "float64" if v.dtype == jnp.float32 else v.dtype)
        theirs = deltas(*jax.tree.map(real, (params, saved)), jnp.asarray(dy.astype("float32").astype("float64")))
    for one, two in zip(ours, theirs, strict=True):
        assert np.all(np.isfinite(one))
        assert np.max(np.abs(one - two)) <= 1e-3


def test_five_thousand_steps_make_no_gram_of_all_steps():
    """Norms and cosines take whichever form is cheaper: never (batch * time)^2 numbers at T = 5000, B = 32, n = 64."""
    batch, steps, units = 32, 5000, 64
    signal = lambda n: Scaled(
        jax.ShapeDtypeStruct((batch, steps, n), jnp.float32), jax.ShapeDtypeStruct((batch, steps), jnp.int32)
    )
    program = jax.make_jaxpr(lambda a, d: (Positions(a, d).norm(), Positions(a, d).examples()))(
        signal(units), signal(4 * units)
    )
    sizes = [math.prod(v.aval.shape) for equation in program.eqns for v in equation.outvars]
    assert max(sizes) <= batch * steps * 4 * units


@pytest.mark.parametrize("kind", CELLS)
def test_each_gate_has_a_draw_of_its_own(kind, x64):
    cell = CELLS[kind](8, gain=0.7)
    params = cell.init(jax.random.key(0), 5)
    gates = np.split(np.asarray(params["recurrent"]["weight"]), cell.drives // 8, 1)
    for w in gates:
        assert np.max(np.abs(w @ w.T - 0.49 * np.eye(8))) <= 1e-13
    assert len({w.tobytes() for w in gates}) == len(gates)
    if kind == "lstm":
        assert params["input"]["bias"].tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16


def test_bad_input_is_told():
    layer = unroll(rnn_cell(2))
    params, _ = layer.init(jax.random.key(0), (4, 3))
    for attempt, told in (
        (lambda: layer.forward(params, plain(jnp.zeros((2, 0, 3)))), "at least one time step"),
        (lambda: layer.init(jax.random.key(0), (0, 3)), "at least one time step"),
        (lambda: layer.init(jax.random.key(0), (4, 2, 3)), "time, features"),
        (lambda: layer.init(jax.random.key(0), (3,)), "time, features"),
        (lambda: unroll(rnn_cell(2), returns="first"), "last, all"),
        (lambda: unroll(rnn_cell(2), truncate=0), "truncate"),
        (lambda: rnn_cell(2, recurrent_init="identiti"), "identity"),
        (lambda: rnn_cell(2, "tanhh"), "tanh"),
    ):
        with pytest.raises(GradlabError, match=told):
            attempt()
