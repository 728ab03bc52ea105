"""What was compiled or stored for a registered function is never taken for another one of the same name."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.activations import TABLE
from gradlab.core.initializers import TABLE as INITIALIZERS

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
Y = np.arange(4) % 2
SEQUENCES = np.random.default_rng(0).normal(size=(4, 3, 2)).astype("float32")
IMAGES = np.random.default_rng(0).normal(size=(4, 4, 4, 1)).astype("float32")
DELTA = ["log10_delta_rms"]

sine = (jnp.sin, jnp.cos)
tanh = (jnp.tanh, lambda z: 1 - jnp.tanh(z) ** 2)


def scaled_tanh(v):
    return lambda z: jnp.tanh(v * z), lambda z: v * (1 - jnp.tanh(v * z) ** 2)


def measured(net, x=X):
    return gl.measure(net, x, Y, seeds=1, columns=DELTA).columns["log10_delta_rms"]


NETWORKS = {
    "mlp": (gl.MLP, {"depth": 2, "width": 4}, X),
    "normed": (gl.MLP, {"depth": 2, "width": 4, "norm": "layer"}, X),
    "resnet": (gl.ResNet, {"depth": 2, "width": 4}, X),
    "rnn": (gl.RNN, {"width": 4}, SEQUENCES),
    "transformer": (gl.Transformer, {"depth": 1, "width": 4, "heads": 2}, SEQUENCES),
    "convnet": (gl.ConvNet, {"depth": 2, "width": 2}, IMAGES),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "resnet" else pytest.mark.slow) for name in NETWORKS]
)
def test_a_name_registered_again_is_measured_anew(name, forget):
    make, fields, x = NETWORKS[name]
    gl.register_activation("own", *sine)
    net = make(**fields, activation="own")
    first = measured(net, x)
    gl.register_activation("own", *tanh)
    second = measured(net, x)
    assert np.all(np.abs(first - second)[..., :-1] > 1e-3)
    gl.register_activation("own", *sine)
    assert np.array_equal(measured(net, x), first)
    if name != "resnet":  # the quick one is spared another compilation
        # the built-in tanh computes its derivative otherwise: equal to rounding
        assert second == pytest.approx(measured(make(**fields, activation="tanh"), x), abs=1e-5)


def sharpness(net):
    return gl.sharpness(net, net.init_params(0, X, Y), X, Y, loss="softmax_cross_entropy")


def losses(net):
    how = {"steps": 2, "batch": 2, "test": 0.0, "records": [2], "columns": ["weight_norm"], "progress": False}
    return gl.train(net, X, Y, **how).losses[0]


@pytest.mark.parametrize("of", [sharpness, pytest.param(losses, marks=pytest.mark.slow)])
def test_training_and_sharpness_see_the_function_of_now(of, forget):
    found = []
    for pair in (sine, tanh):
        gl.register_activation("own", *pair)
        found.append(of(gl.MLP(depth=1, width=3, activation="own")))
    assert np.all(np.abs(found[0] - found[1]) > 1e-4)


@pytest.mark.slow
def test_jacobians_and_exponents_see_the_function_of_now(forget):
    gl.register_activation("own", *sine)
    net = gl.MLP(depth=2, width=3, activation="own")
    params = net.init_params(0, X, Y)
    found = []
    for scale in (1.0, 2.0, 1.0):
        gl.register_activation("own", *scaled_tanh(scale))
        spectrum = gl.jacobian_spectrum(net, X, params=params).log10_singular_values
        circle = gl.carry_circle(net, params=params, points=5).log10_length
        found.append([np.ravel(v) for v in (spectrum, gl.lyapunov(net, X, params=params).increments, circle)])
    assert all(np.any(np.abs(one - two) > 1e-3) for one, two in zip(found[0], found[1], strict=True))
    assert all(np.array_equal(one, three) for one, three in zip(found[0], found[2], strict=True))


SLOPE = 0.1


def by_global(z):
    return jnp.where(z > 0, z, SLOPE * z)


def helper(z, s):
    return jnp.where(z > 0, z, s * z)


class Slope:
    def __init__(self, value):
        self.value = value

    def __call__(self, z):
        return helper(z, self.value)


def test_a_layer_that_reads_what_has_changed_is_compiled_anew():
    state = {"slope": 1.0}
    times = lambda x: state["slope"] * x
    layer = gl.lift(lambda key, shape: ({}, shape), lambda p, x: (times(x), x), lambda p, x, dy: (times(dy), {}))
    both = gl.serial(gl.dense(3), layer)
    params, _ = both.init(jax.random.key(0), (3,))
    found = []
    for slope in (1.0, 2.0):
        state["slope"] = slope
        found.append(gl.jacobian_spectrum(both, X[:1], params=params).log10_singular_values)
    assert found[1] - found[0] == pytest.approx(np.log10(2), abs=1e-5)


#: Ways in which a function may hold a number, each with the number.
MAKERS = {
    "default": lambda v: lambda z, v=v: helper(z, v),
    "array": lambda v: functools.partial(lambda a, z: helper(z, a), jnp.asarray(v)),
    "closed array": lambda v: (lambda a: lambda z: helper(z, a))(jnp.asarray(v)),
    "numpy": lambda v: (lambda a: lambda z: helper(z, jnp.asarray(a, z.dtype)))(np.float32(v)),
    "object": Slope,
    "function": lambda v: (lambda f: lambda z: f(z))(lambda z: helper(z, v)),
    "jitted": lambda v: jax.jit(lambda z: helper(z, v)),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_fingerprint_sees_what_a_function_computes(kind, forget):
    prints = []
    for value in (0.125, 0.25, 0.125):
        slope = lambda z, v=value: jnp.where(z > 0, 1, v).astype(z.dtype)
        gl.register_activation("own", MAKERS[kind](value), slope, kinks=(0,))
        prints.append(TABLE.fingerprint("own"))
    assert prints[0] == prints[2] != prints[1]


def test_a_global_that_changes_after_registration_counts(forget, monkeypatch):
    """Measured, and predicted, as of now; a pair that no longer fits is refused."""
    from gradlab.networks.resolved import resolved

    slope = lambda z: jnp.where(z > 0, 1.0, SLOPE).astype(z.dtype)
    gl.register_activation("own", by_global, slope, kinks=(0,))
    net = gl.MLP(depth=2, width=4, activation="own", norm="rms")
    first, print_, chi = resolved(net), TABLE.fingerprint("own"), gl.theory.mean_field("own", sigma_w2=1.0).chi1
    assert chi == pytest.approx((1 + 0.1**2) / 2, abs=1e-12)
    monkeypatch.setitem(globals(), "SLOPE", 0.5)
    assert resolved(net) != first
    assert TABLE.fingerprint("own") != print_
    assert gl.theory.mean_field("own", sigma_w2=1.0).chi1 == pytest.approx((1 + 0.5**2) / 2, abs=1e-12)
    gl.register_activation("own", by_global, lambda z: jnp.where(z > 0, 1.0, 0.5), kinks=(0,))
    monkeypatch.setitem(globals(), "SLOPE", 0.1)
    with pytest.raises(gl.GradlabError, match="derivative of phi"):
        measured(net)


@pytest.mark.slow
def test_the_same_function_registered_again_compiles_nothing(forget):
    from gradlab.networks.resolved import resolved

    keys = []
    for _ in range(2):
        gl.register_activation("own", *scaled_tanh(0.7))
        gl.register_initializer("drawn", draw_of(2.0), 2.0)
        net = gl.MLP(depth=2, width=4, activation="own", init="drawn")
        keys.append(resolved(net))
    assert keys[0] == keys[1]
    assert hash(keys[0]) == hash(keys[1])
    gl.register_initializer("drawn", draw_of(1.0), 1.0)
    assert resolved(net) != keys[0]


def draw_of(variance):
    return lambda key, shape, dtype: jax.random.normal(key, shape, dtype) * (variance / shape[0]) ** 0.5


def test_both_precisions_of_an_initialiser_are_looked_at(forget):
    """Without a warning, which would be an error here."""
    wider = lambda factor: (
        lambda key, shape, dtype: (
            jax.random.normal(key, shape, dtype) / shape[0] ** 0.5 * (factor if dtype == "float64" else 1.0)
        )
    )
    prints = []
    for factor in (1.0, 2.0, 1.0):
        gl.register_initializer("drawn", wider(factor), 1.0)
        prints.append(INITIALIZERS.fingerprint("drawn"))
    assert prints[0] == prints[2] != prints[1]


@pytest.mark.parametrize("norm", [None, "layer"])
def test_an_initialiser_registered_again_is_drawn_anew(norm, forget):
    found = []
    for variance in (1.0, 4.0):
        gl.register_initializer("drawn", draw_of(variance), variance)
        net = gl.MLP(depth=1, width=3, init="drawn", norm=norm)
        trace = gl.measure(net, X, Y, seeds=1, columns=["weight_norm"])
        found.append((INITIALIZERS.fingerprint("drawn"), np.log10(trace.columns["weight_norm"])))
    assert found[0][0] != found[1][0]
    assert found[1][1] - found[0][1] == pytest.approx(np.log10(2), abs=1e-6)


def test_a_resumed_sweep_is_computed_again(tmp_path, forget):
    gl.register_initializer("drawn", draw_of(1.0), 1.0)
    gl.register_activation("own", *scaled_tanh(1.0))
    sweep = gl.Sweep(depth=1, width=3, activation="own", init="drawn", batch=4, seeds=1, columns=DELTA)
    rows = lambda: gl.run(sweep, (X, Y), tmp_path / "run", progress=False)["log10_delta_rms"].to_numpy()
    first = rows()
    gl.register_activation("own", *scaled_tanh(3.0))
    second = rows()
    assert np.any(np.abs(first - second) > 1e-2)
    gl.register_initializer("drawn", draw_of(4.0), 4.0)
    assert np.any(np.abs(rows() - second) > 1e-2)
