"""Every column against a plain NumPy computation from JAX's per-example gradients, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab._types import MEASURED
from gradlab.core.activations import TABLE
from gradlab.core.backprop import targets
from gradlab.core.gradient import Outer, Site
from gradlab.core.losses import plain_loss
from gradlab.core.scaled import LOWEST, Scaled, scaled, to_numpy
from gradlab.measurement.stats import BACKWARD, FORWARD, NETWORK, OF_SEQUENCES, TRAINING, per_example, statistics
from tests import cases

BATCH = 7


#: log2 of the smallest positive number of each format, and of the first power of two above its largest.
ENDS = {"bfloat16": (-133, 128), "float16": (-24, 16), "float8_e4m3": (-9, 9), "float8_e5m2": (-16, 16)}


def shares(signal, values):
    """Shares of the entries that are not 0 below and above what each format holds."""
    size = np.abs(values[values != 0])
    below = {f"{signal}_below_{name}": np.mean(size < 2.0**low) for name, (low, _) in ENDS.items()}
    return below | {f"{signal}_above_{name}": np.mean(size >= 2.0**high) for name, (_, high) in ENDS.items()}


def reference(net, params, x, y, loss):
    """All columns, each of shape (layers,), from textbook formulas and automatic differentiation."""
    entry = TABLE[net.activation]
    layers = [p for _, p in net.layers(params)]
    outputs = layers[-1]["weight"].shape[1]
    y = targets(loss, y, outputs, jnp.float64)

    def forward(layers, x, shifts=None):
        zs, activations, a = [], [], x
        for i, p in enumerate(layers):
            z = a @ p["weight"] + (p.get("bias", 0)) + (0 if shifts is None else shifts[i])
            a = entry.phi(z) if i < len(layers) - 1 else z
            zs.append(z)
            activations.append(a)
        return a, zs, activations

    one = lambda layers, x, y: plain_loss(loss)(forward(layers, x[None])[0], y[None])
    grads = jax.jit(jax.vmap(jax.grad(one), (None, 0, 0)))(layers, x, y)  # of each example's own loss
    _, zs, activations = forward(layers, x)
    shifts = [jnp.zeros_like(z) for z in zs]
    deltas = jax.jit(jax.grad(lambda s: BATCH * plain_loss(loss)(forward(layers, x, s)[0], y)))(shifts)
    mean_loss = float(plain_loss(loss)(forward(layers, x)[0], y))

    rows = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, (z, a, d, g) in enumerate(zip(zs, activations, deltas, grads, strict=True)):
            z, a, d = np.asarray(z), np.asarray(a), np.asarray(d)
            phi = entry if i < len(layers) - 1 else TABLE["identity"]
            flat = np.asarray(g["weight"]).reshape(BATCH, -1)
            norms = np.linalg.norm(flat, axis=1)
            mean = flat.mean(0)
            cosines = [
                flat[j] @ flat[k] / norms[j] / norms[k]
                for j in range(BATCH)
                for k in range(j)
                if norms[j] > 0 and norms[k] > 0
            ]
            alive = np.linalg.norm(d, axis=1) > 0
            pairs = [(z[j], z[j + 1]) for j in range(0, BATCH - 1, 2)]
            seen = [(one, two) for one, two in pairs if np.any(one) and np.any(two)]
            gaps = [1 - one @ two / np.linalg.norm(one) / np.linalg.norm(two) for one, two in seen]
            low, high = phi.limits or (np.nan, np.nan)
            margin = 0.01 * (high - low)
            row = {
                "log10_delta_rms": np.log10(np.sqrt(np.mean(d**2))),
                "delta_log10_mean": np.mean(np.log10(np.sqrt(np.mean(d[alive] ** 2, 1)))),
                "log10_weight_grad_norm": np.log10(np.linalg.norm(mean)),
                "log10_weight_grad_mean_abs": np.log10(np.mean(np.abs(mean))),
                "log10_weight_grad_max_abs": np.log10(np.max(np.abs(mean))),
                "log10_activation_rms": np.log10(np.sqrt(np.mean(a**2))),
                "activation_mean_over_rms": a.mean() / np.sqrt(np.mean(a**2)),
                "activation_p98_over_rms": np.quantile(a, 0.98) / np.sqrt(np.mean(a**2)),
                "log10_preactivation_rms": np.log10(np.sqrt(np.mean(z**2))),
                "log10_one_minus_c": np.log10(np.mean(gaps)),
                "zero_pair_fraction": 1 - len(seen) / len(pairs),
                "saturated_fraction": np.mean((a < low + margin) | (a > high - margin)) if phi.limits else np.nan,
                "dead_fraction": np.mean(np.all(np.asarray(phi.dphi(jnp.asarray(z))) == 0, 0)),
                "weight_norm": np.linalg.norm(layers[i]["weight"]),
                "float32_zero_fraction": np.mean(np.abs(d[d != 0]) / BATCH < 2.0**-126),
                "log10_per_example_grad_norm_rms": np.log10(np.sqrt(np.mean(norms**2))),
                "gradient_cosine_mean": np.mean(cosines),
                "gradient_snr": BATCH * mean @ mean / np.sum(flat.var(0, ddof=1)),
                "inverse_noise_scale": mean @ mean / np.sum(flat.var(0, ddof=1)) - 1 / BATCH,
                "zero_example_fraction": 1 - alive.mean(),
                "log10_abs_loss": np.log10(abs(mean_loss)),
                "loss_sign": np.sign(mean_loss),
            }
            for signal, values in {"activation": a, "delta": d / BATCH, "weight_grad": mean}.items():
                row |= shares(signal, values)
            if "bias" in g:
                row["log10_bias_grad_norm"] = np.log10(np.linalg.norm(np.asarray(g["bias"]).mean(0)))
            rows.append(row)
    return {name: np.array([r[name] for r in rows]) for name in rows[0]}


CASES = (
    cases.Case(3, 8, "hard_tanh", "he_uniform", "logistic", (("gain", 2.0),)),
    cases.Case(5, (4, 9, 9, 9, 2), "gelu", "he_normal", "mse", (("sigma_b2", 0.1),)),
    cases.Case(3, 12, "relu", "he_normal", "softmax_cross_entropy", (("bias", False),)),
    cases.Case(2, 3, "tanh", "orthogonal", "probe"),
)


@pytest.mark.parametrize("case", [CASES[0], *(pytest.param(c, marks=pytest.mark.slow) for c in CASES[1:])], ids=str)
def test_every_column_equals_its_definition(case, x64):
    x, y = cases.data(case.loss, batch=BATCH)
    if case.activation == "relu":
        x[-1] = 0  # this example's deltas are exactly 0 in every hidden layer
    params = case.net.init_params(2, x, outputs=cases.OUTPUTS)
    if case.activation == "relu":
        params[0][0]["weight"] = params[0][0]["weight"].at[:, 3].set(0.0)  # a dead unit
    want_y = y
    if case.loss == "probe":  # the vectors that measure draws
        from gradlab.core.initializers import PROBE_FOLD
        from gradlab.core.losses import probes

        want_y = probes(jax.random.fold_in(jax.random.key(0), PROBE_FOLD), BATCH, cases.OUTPUTS, "float64")
    every = [c for c in MEASURED if c not in (*TRAINING, *OF_SEQUENCES)]  # those have a test of their own
    trace = gl.measure(case.net, x, y, loss=case.loss, params=params, key=0, columns=every)
    want = reference(case.net, params, jnp.asarray(x), want_y, case.loss)
    expected = set(every) - (set() if case.net.bias else {"log10_bias_grad_norm"})
    assert set(trace.columns) == expected
    for name in expected:
        got = trace.columns[name][0]
        assert got == pytest.approx(want[name], rel=1e-11, abs=1e-11, nan_ok=name == "saturated_fraction"), name
    if case.activation == "relu":
        assert np.all(want["zero_example_fraction"][:-1] > 0.1)
        assert want["dead_fraction"][0] > 0
    assert trace.dtype == "float64"
    assert not trace.drawn


def test_columns_are_sorted_into_those_of_each_pass():
    assert {*FORWARD, *BACKWARD, *NETWORK, *TRAINING} == set(MEASURED)


def _site(a, d, exponent):
    a, d = scaled(jnp.asarray(a)), Scaled(jnp.asarray(d), jnp.full(len(d), exponent, jnp.int32))
    params = {"weight": jnp.ones((a.mantissa.shape[1], d.mantissa.shape[1]))}
    return Site("dense", (), params, a, None, d, {"weight": Outer(a, d)})


@pytest.mark.parametrize("exponent", [-6000, 0, 6000])
@pytest.mark.parametrize(
    "columns", [BACKWARD, ("log10_weight_grad_norm",), ("log10_per_example_grad_norm_rms", "log10_weight_grad_norm")]
)
def test_sizes_far_outside_the_range_of_doubles(exponent, columns, x64):
    """A power of two on the cotangent shifts every logarithm by as much, and nothing else."""
    rng = np.random.default_rng(0)
    a, d = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    here = statistics(columns)(_site(a, d, 0)).columns()
    there = statistics(columns)(_site(a, d, exponent)).columns()
    for name, value in here.items():
        if name == "float32_zero_fraction":
            assert there[name] == (1.0 if exponent < 0 else 0.0)
        elif "_below_" in name or "_above_" in name:
            assert there[name] == (exponent < 0 if "_below_" in name else exponent > 0) or exponent == 0
        elif "log10" in name:
            assert there[name] - value == pytest.approx(exponent * np.log10(2), abs=1e-11)
        else:
            assert there[name] == pytest.approx(value, rel=1e-13)
    if "log10_weight_grad_norm" in here:
        assert here["log10_weight_grad_norm"] == pytest.approx(np.log10(np.linalg.norm(a.T @ d)), abs=1e-12)


def test_a_true_zero_is_minus_infinity_and_is_counted(x64):
    d = np.zeros((4, 3))
    site = _site(np.ones((4, 2)), d, 0)
    site = site._replace(dy=Scaled(site.dy.mantissa, jnp.full(4, LOWEST, jnp.int32)))
    site.gradient["weight"] = Outer(site.x, site.dy)
    with np.errstate(divide="ignore"):
        row = statistics(BACKWARD)(site).columns()
    assert row["log10_delta_rms"] == row["log10_weight_grad_norm"] == row["delta_log10_mean"] == -np.inf
    assert row["zero_example_fraction"] == 1
    assert row["float32_zero_fraction"] == 0
    assert np.isnan(row["gradient_cosine_mean"])


def test_one_zero_example_among_others_is_left_out_and_counted(x64):
    rng = np.random.default_rng(1)
    d = rng.normal(size=(4, 3))
    d[2] = 0
    site = _site(np.ones((4, 2)), d, 0)
    row = statistics(BACKWARD)(site).columns()
    assert row["zero_example_fraction"] == 0.25
    alive = d[[0, 1, 3]]
    assert row["delta_log10_mean"] == pytest.approx(np.mean(np.log10(4 * np.sqrt(np.mean(alive**2, 1)))))
    unit = alive / np.linalg.norm(alive, axis=1, keepdims=True)
    assert row["gradient_cosine_mean"] == pytest.approx((np.sum(unit @ unit.T) - 3) / 6)


def test_the_share_that_float32_holds_as_zero(x64):
    d = np.ldexp(1.0, [[-100, -125, -126], [-127, -130, 0]])
    d[1, 2] = 0
    site = _site(np.ones((2, 2)), d, 0)
    row = statistics(("float32_zero_fraction",))(site._replace(dy=scaled(jnp.asarray(d)))).columns()
    assert row["float32_zero_fraction"] == pytest.approx(2 / 5)


def test_the_shares_that_the_formats_do_not_hold(x64):
    """Whatever their exponents, entries are sorted exactly: those at an end are held, zeros count nowhere."""
    for exponent in (-800, 0, 800):
        for name, (low, high) in ENDS.items():
            d = np.ldexp([[1.0, 0.999, -1.0], [1.0, 0.999, 0.0]], [[low, low, high], [high, high, 0]])
            mantissa, shift = jnp.asarray(np.ldexp(d, exponent)), jnp.full(2, -exponent, jnp.int32)
            columns = [f"delta_{side}_{name}" for side in ("below", "above")]
            site = _site(np.ones((2, 2)), d, 0)._replace(dy=Scaled(mantissa, shift))
            row = statistics(columns)(site).columns()
            assert [row[c] for c in columns] == [1 / 5, 2 / 5]
    nothing = statistics(columns)(site._replace(dy=scaled(jnp.zeros((2, 3))))).columns()
    assert all(np.isnan(nothing[c]) for c in columns)


def test_per_example_norms_and_cosines(x64):
    rng = np.random.default_rng(0)
    a, d = rng.normal(size=(5, 4)), rng.normal(size=(5, 3))
    record = to_numpy(per_example(_site(a, d, 0)))
    flat = np.einsum("bi,bj->bij", a, 5 * d).reshape(5, -1)  # of each example's loss: B times its share of the mean
    norms = np.linalg.norm(flat, axis=1)
    assert 10.0 ** record["norms"] == pytest.approx(norms)
    assert record["cosines"] == pytest.approx(flat @ flat.T / np.outer(norms, norms))
    assert per_example(Site("activation", (), {}, None, None, None, {})) == {}


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e25])
def test_the_norm_of_weights_whose_squares_leave_the_range(size):
    net = gl.MLP(depth=3, width=8, activation="relu", init="he_normal")
    x = np.ones((4, 3), np.float32)
    params = jax.tree.map(lambda v: v * v.dtype.type(size), net.init_params(0, x, outputs=2))
    found = gl.measure(net, x, loss="probe", params=params, columns=["weight_norm"]).columns["weight_norm"][0]
    exact = [np.linalg.norm(np.asarray(layer["weight"], np.float64)) for _, layer in net.layers(params)]
    np.testing.assert_allclose(found, exact, rtol=1e-6)
