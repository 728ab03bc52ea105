"""The critical line, the points of it that can be used, and networks that are drawn there."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError
from gradlab.config import MLPConfig
from gradlab.core.initializers import initializer
from gradlab.networks.rules import hidden_rule
from gradlab.theory import critical_line, critical_point, critical_sigma_w2, critical_start, mean_field, moments

#: sigma_b2 -> sigma_w2 and q* with chi1 = 1, tanh; by quadrature, to the digits shown. The first is the point of
#: Xiao et al. 2018, (1.05, 2.01e-5).
TANH = {
    2.01e-5: (1.049996, 0.025919), 1e-4: (1.086026, None), 1e-3: (1.189190, None), 0.01: (1.424205, 0.273301),
    0.02: (1.544193, None), 0.05: (1.760955, 0.570048), 0.09: (1.947655, None), 0.1: (1.986073, 0.805799),
    0.15: (2.150475, None), 0.2: (2.285152, None), 0.25: (2.401489, None), 0.3: (2.505127, 1.461169),
    0.5: (2.843167, None), 1.0: (3.443211, None),
}  # fmt: skip


@pytest.mark.parametrize("sigma_b2", TANH)
def test_the_line_of_tanh(sigma_b2):
    sigma_w2, q_star = TANH[sigma_b2]
    point = critical_point("tanh", sigma_b2)
    assert point.sigma_w2 == pytest.approx(sigma_w2, abs=0.51e-6)
    if q_star is not None:
        assert point.q_star == pytest.approx(q_star, abs=0.51e-6)
    found = mean_field("tanh", sigma_w2=point.sigma_w2, sigma_b2=sigma_b2)
    assert found.phase == "critical" and found.q_star == pytest.approx(point.q_star, rel=1e-10)
    assert found.xi_c == found.xi_grad == np.inf


def test_small_bias_variances():
    """q* = (3 sigma_b2 / 4)^(1/3) and sigma_w2 = 1 + 2q* - 3q*^2 + (34/3) q*^3 ..., for small sigma_b2."""
    point = critical_point("tanh", 1e-9)
    q = (0.75e-9) ** (1 / 3)
    assert point.q_star == pytest.approx(q, rel=5 * q)
    assert point.sigma_w2 == pytest.approx(1 + 2 * point.q_star - 3 * point.q_star**2, abs=12 * q**3)


#: What init="critical" draws: kind, sigma_w2, sigma_b2 (Roberts, Yaida & Hanin 2022, chapter 5, for the kinds).
STARTS = {
    "identity": ("scale-invariant", 1.0, 0.0),
    "relu": ("scale-invariant", 2.0, 0.0),
    "leaky_relu": ("scale-invariant", 2 / 1.0001, 0.0),
    "tanh": ("q* = 0", 1.0, 0.0),
    "hard_tanh": ("q* = 0", 1.0, 0.0),
    "elu": ("q* = 0", 1.0, 0.0),
    "softsign": ("q* = 0", 1.0, 0.0),
    "erf": ("q* = 0", np.pi / 4, 0.0),
    "selu": ("q* = 0", 2 / (1.0507009873554805**2 * (1 + 1.6732632423543772**2)), 0.0),
    "gelu": ("half-stable", 1.98305826, 0.17292239),
    "silu": ("half-stable", 1.9880047, 0.5551432),
}


@pytest.mark.parametrize("name", STARTS)
def test_where_networks_start(name):
    kind, sigma_w2, sigma_b2 = STARTS[name]
    point = critical_start(name)
    assert point.kind == kind
    assert point.sigma_w2 == pytest.approx(sigma_w2, abs=0.51e-7)
    assert point.sigma_b2 == pytest.approx(sigma_b2, abs=0.51e-7)
    rule = initializer("critical", activation=name)
    assert rule.sigma_w2(100, 30) == pytest.approx(100 * rule.std(100, 30) ** 2) == pytest.approx(point.sigma_w2)
    assert rule.sigma_b2(100) == pytest.approx(point.sigma_b2)


def test_half_stable_points():
    """GELU: q* = (3 + sqrt 17) / 2 exactly. Swish: the sigma_b2 = 0.0555 in circulation is ten times too small."""
    assert critical_start("gelu").q_star == pytest.approx((3 + 17**0.5) / 2, rel=1e-11)
    swish = critical_start("silu")
    assert swish.q_star == pytest.approx(14.3201736, abs=0.51e-7)
    wrong = mean_field("silu", sigma_w2=swish.sigma_w2, sigma_b2=0.055514317)
    assert (wrong.q_star, wrong.chi1) == (pytest.approx(0.1201, abs=5.1e-5), pytest.approx(0.5504, abs=5.1e-5))
    # the map misses the point by -0.4996
    squares = swish.sigma_w2 * np.exp(float(moments("silu", np.log(swish.q_star)).log_phi2))
    assert squares + 0.055514317 - swish.q_star == pytest.approx(-0.4996, abs=0.51e-4)
    for name in ("gelu", "silu"):
        line = critical_line(name, q=np.array([critical_start(name).q_star]) * [0.9, 1.1])
        assert line.usable.tolist() == [False, True]


@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
def test_some_have_no_critical_start(name):
    with pytest.raises(GradlabError, match=f"{name}.*none of them"):
        critical_start(name)
    with pytest.raises(GradlabError, match="none of them"):
        gl.MLP(depth=2, width=4, activation=name, init="critical").init_params(0, np.ones((2, 3), "float32"), outputs=2)


def test_refusals_say_which_condition_fails_and_where_it_holds():
    with pytest.raises(GradlabError, match=r"no q has chi1 = 1 and V\(q\) = q; try sigma_b2=0, the nearest"):
        critical_sigma_w2("relu", 0.1)
    with pytest.raises(GradlabError, match=r"runs away, V' > 1.*sigma_b2=0\.17292239"):
        critical_sigma_w2("gelu", 0.05)
    with pytest.raises(GradlabError, match=r"runs away.*sigma_b2=0\.55514317"):
        critical_sigma_w2("silu", 0.0)
    with pytest.raises(GradlabError, match="no usable critical point"):
        critical_sigma_w2("softplus", 0.3)
    with pytest.raises(GradlabError, match="sigma_b2 to be finite and at least 0"):
        critical_sigma_w2("tanh", -0.1)
    # a sigmoid is critical where most of its units are saturated, and V' is far below 1
    point = critical_point("sigmoid", 0.0)
    assert 100 < point.sigma_w2 < 105 and point.chi_q < 0.1
    assert mean_field("sigmoid", sigma_w2=point.sigma_w2, q0=10.0).chi1 == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", ["tanh", "gelu", "erf"])
def test_points_of_the_line_are_critical(name):
    line = critical_line(name, q=np.geomspace(0.1, 30, 12))
    for w, b, q in zip(line.sigma_w2[line.usable], line.sigma_b2[line.usable], line.q_star[line.usable], strict=True):
        assert critical_sigma_w2(name, b) == pytest.approx(w, rel=1e-9)
        found = mean_field(name, sigma_w2=w, sigma_b2=b, q0=1e3)
        assert found.chi1 == pytest.approx(1, abs=1e-6) and found.q_star == pytest.approx(q, rel=1e-4)


def test_it_needs_an_activation_and_its_bias():
    with pytest.raises(GradlabError, match="an activation, on which 'critical' depends"):
        initializer("critical")
    with pytest.raises(GradlabError, match=r"sigma_b2=0\.1729"):
        hidden_rule(MLPConfig(activation="gelu", init="critical", bias=False))
    # with a bias variance of one's own: the point of the line with it
    given = hidden_rule(MLPConfig(activation="tanh", init="critical", sigma_b2=0.05))
    assert given.sigma_w2(300, 300) == pytest.approx(1.760955, abs=0.51e-6)
    own = hidden_rule(MLPConfig(activation="silu", init="critical"))
    weight, bias = own.weight(jax.random.key(0), (300, 200)), own.bias(jax.random.key(1), 300, 60_000)
    # 60,000 draws each: five standard errors of their variance
    for drawn, variance in ((weight, own.sigma_w2(300, 200) / 300), (bias, 0.5551432)):
        assert float(drawn.var()) == pytest.approx(variance, rel=5 * (2 / 60_000) ** 0.5)


@pytest.mark.slow
def test_a_sweep_over_critical_networks():
    """Each activation's own scales in one product. At fan-in = fan-out tanh is critical with Xavier's weights, ReLU
    with sqrt(2) times them, layer by layer."""
    x = np.random.default_rng(5).normal(size=(8, 16)).astype("float32")
    columns = ["log10_delta_rms", "log10_preactivation_rms"]
    sweep = gl.Sweep(
        depth=2, width=16, activation=["tanh", "relu", "gelu"], init=["critical", "xavier_normal"],
        readout="lecun_normal", seeds=2, batch=8, loss="probe", columns=columns,
    )  # fmt: skip
    frame = gl.run(sweep, data=(x, np.arange(8) % 3), progress=False)
    assert set(frame["status"]) == {"ok"}
    rows = {}
    for name in ("tanh", "relu", "gelu"):
        point = critical_start(name)
        for init in ("critical", "xavier_normal"):
            some = frame[(frame["activation"] == name) & (frame["init"] == init)]
            rows[name, init] = some[columns].to_numpy().reshape(2, 3, 2)
            assert some["sigma_w2"].to_numpy() == pytest.approx(point.sigma_w2 if init == "critical" else 1.0)
            assert some["sigma_b2"].to_numpy() == pytest.approx(point.sigma_b2 if init == "critical" else 0.0)
    gap = {name: rows[name, "critical"] - rows[name, "xavier_normal"] for name in ("tanh", "relu", "gelu")}
    assert gap["tanh"] == pytest.approx(0, abs=1e-6)
    layers = 0.5 * np.log10(2) * np.array([[1, 1], [0, 2], [0, 2]])
    assert gap["relu"] == pytest.approx(np.broadcast_to(layers, (2, 3, 2)), abs=1e-5)
    assert np.all(gap["gelu"][:, :, 1] > 0.1)


def test_a_traced_network_asks_for_its_critical_weights():
    """The first time that an activation is asked for, so that nothing of it is known yet."""
    net = gl.MLP(depth=1, width=2, activation="leaky_relu:0.3719", init="critical")
    shapes = jax.eval_shape(lambda: net.init_params(0, np.ones((2, 3), "float32"), outputs=2))
    assert jax.tree.leaves(shapes)[0].shape
