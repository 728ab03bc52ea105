"""Singular values of Jacobians against NumPy's decomposition of what jax.jacrev gives, and far outside its range."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl
from gradlab.core.activations import activation_named
from gradlab.core.layer import Layer


def drawn(net, batch=2, features=5, outputs=3, seed=0):
    x = np.random.default_rng(seed).normal(size=(batch, features))
    return net.init_params(seed, jnp.asarray(x), outputs=outputs), x


def between(net, params, x, source, target):
    """The map from one point to another, by the plain formulas, and the value at its source."""
    phi = activation_named(net.activation).phi
    layers = [p for _, p in net.layers(params)]

    def carry(z, low, high):
        for i in range(low, high):
            z = (z if i == 0 else phi(z)) @ layers[i]["weight"] + layers[i].get("bias", 0)
        return z

    return lambda z: carry(z, source, target), carry(jnp.asarray(x), 0, source)


def singular_values(net, params, x, source, target):
    f, z = between(net, params, x, source, target)
    return np.linalg.svd(np.asarray(jax.jit(jax.vmap(jax.jacrev(f)))(z)), compute_uv=False)


POINTS = {"input": 0, "output": 5}


@pytest.mark.parametrize(
    ("activation", "width", "source", "target"),
    [
        ("tanh", 7, "input", "output"),
        pytest.param("relu", (4, 9, 9, 3), 1, 3, marks=pytest.mark.slow),
        pytest.param("gelu", 7, 1, 4, marks=pytest.mark.slow),
        pytest.param("sigmoid", (4, 9, 9, 3), 2, "output", marks=pytest.mark.slow),
    ],
)
def test_all_singular_values_are_those_of_autodiff(activation, width, source, target, x64):
    net = gl.MLP(depth=4, width=width, activation=activation, init="he_normal", sigma_b2=0.1)
    params, x = drawn(net)
    found = gl.jacobian_spectrum(net, x, params=params, from_layer=source, to_layer=target)
    wanted = singular_values(net, params, x, *(POINTS.get(p, p) for p in (source, target)))
    assert found.log10_singular_values.shape == (1, *wanted.shape) and found.shape[0] in (3, 7, 9)
    # LAPACK's are right to eps times the largest; 100 roundings
    assert np.max(np.abs(10 ** found.log10_singular_values[0] - wanted) / wanted[:, :1]) < 100 * 2.3e-16
    assert found.which == "all" and found.dtype == "float64" and found.config == net
    squares = np.mean(wanted**2, 1)
    assert 10 ** found.log10_mean_square[0] == pytest.approx(squares, rel=1e-12)
    assert found.moment_ratio[0] == pytest.approx(np.mean(wanted**4, 1) / squares**2, rel=1e-12)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.slow
def test_a_norm_belongs_to_the_jacobian(place, x64):
    """The first weight is the identity, so that the first preactivation is the input."""
    net = gl.MLP(depth=3, width=5, activation="tanh", init="he_normal", norm="layer", norm_position=place)
    params, x = drawn(net)
    params = net.with_layers(params, {"hidden_1": {"weight": np.eye(5), "bias": np.zeros(5)}})
    one = lambda v: net.apply(params, v[None])[0]
    wanted = np.linalg.svd(np.asarray(jax.vmap(jax.jacrev(one))(jnp.asarray(x))), compute_uv=False)
    for source in ("input", 1):
        found = gl.jacobian_spectrum(net, x, params=params, from_layer=source).log10_singular_values[0]
        # LAPACK's are right to eps times the largest; 100 roundings
        assert np.max(np.abs(10**found - wanted) / wanted[:, :1]) < 100 * 2.3e-16


@pytest.mark.slow
def test_lanczos_finds_the_ends_of_the_whole_spectrum(x64):
    net = gl.MLP(depth=6, width=60, activation="tanh", init="xavier_normal")
    params, x = drawn(net)
    whole = gl.jacobian_spectrum(net, x, params=params, from_layer=1, to_layer=6).log10_singular_values
    for which, wanted in (
        ("largest", whole[..., :4]),
        ("smallest", whole[..., -4:]),
        ("both", np.concatenate([whole[..., :4], whole[..., -4:]], -1)),
    ):
        found = gl.jacobian_spectrum(
            net, x, params=params, from_layer=1, to_layer=6, k=4, which=which, method="lanczos"
        )
        # residuals are 1e-6 of the value: a bound on its relative error
        assert found.log10_singular_values == pytest.approx(wanted, abs=1e-6 / np.log(10)), which
        short = gl.jacobian_spectrum(net, x, params=params, from_layer=1, to_layer=6, k=4, which=which)
        assert short.method == "full" and np.array_equal(short.log10_singular_values, wanted)


def test_of_an_orthogonal_linear_network_all_are_gain_to_the_depth(x64):
    """Saxe et al. 2013: W^T W = gain^2 in every layer."""
    net = gl.MLP(depth=100, width=32, activation="identity", init="orthogonal", gain=1.1, bias=False)
    params, x = drawn(net, features=32)
    for options in ({}, {"k": 5, "method": "lanczos"}):
        found = gl.jacobian_spectrum(net, x, params=params, to_layer=100, **options)
        assert 10 ** (found.log10_singular_values - 100 * np.log10(1.1)) == pytest.approx(1, abs=1e-12)
    assert gl.jacobian_spectrum(net, x, params=params, to_layer=100).moment_ratio == pytest.approx(1, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_spectrum_far_outside_the_range_of_floats(dtype):
    """700 sigmoid layers beside a product in long doubles, whose range ends at 1e-4932."""
    with jax.enable_x64(dtype == "float64"):
        net = gl.MLP(depth=700, width=6, activation="sigmoid", init="xavier_normal")
        params, x = drawn(net, batch=1)
        found = gl.jacobian_spectrum(net, x, params=params, from_layer=1, to_layer=700)
        layers = [{k: np.asarray(v, np.float64) for k, v in p.items()} for _, p in net.layers(params)]
    z = x @ layers[0]["weight"] + layers[0]["bias"]
    product = np.eye(6, dtype=np.longdouble)
    for p in layers[1:700]:
        e = np.exp(-np.abs(z))
        slope = (e / (1 + e) ** 2).astype(np.longdouble)
        product = product @ (slope.T * p["weight"])
        z = np.where(z >= 0, 1, e) / (1 + e) @ p["weight"] + p["bias"]
    top = np.abs(product).max()
    wanted = np.log10(top) + np.log10(np.linalg.svd((product / top).astype(np.float64), compute_uv=False)[0])
    assert wanted < -440
    # every layer rounds the slope and the product once: 700 times a few eps, all of one sign at worst
    eps = {"float32": 1.2e-7, "float64": 2.3e-16}[dtype]
    assert found.log10_singular_values[0, 0, 0] == pytest.approx(float(wanted), abs=700 * 10 * eps / np.log(10))
    assert found.resolved[0, 0, 0] and found.log10_floor[0, 0] == pytest.approx(
        float(wanted) + np.log10((20 + 10 * 699) * eps), abs=0.1
    )


def jacobi_singular_values(matrix):
    """One-sided Jacobi in long doubles, from the largest: right to a few of their roundings, relative to each value."""
    columns = np.array(matrix, np.longdouble)
    for _ in range(12):
        for i, j in itertools.combinations(range(columns.shape[1]), 2):
            a, b, c = (columns[:, p] @ columns[:, q] for p, q in ((i, i), (j, j), (i, j)))
            if c == 0:
                continue
            tau = (b - a) / (2 * c)
            t = (1 if tau >= 0 else -1) / (abs(tau) + np.sqrt(1 + tau * tau))
            cosine = 1 / np.sqrt(1 + t * t)
            columns[:, [i, j]] = columns[:, [i, j]] @ np.array([[cosine, cosine * t], [-cosine * t, cosine]])
    return np.sort(np.sqrt(np.sum(columns**2, 0)))[::-1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("width", "depth"), [(4, 20), *(pytest.param(*p, marks=pytest.mark.slow) for p in ((4, 80), (6, 30)))]
)
def test_resolved_values_are_right_to_one_per_cent(dtype, width, depth):
    """Linear, tanh and sigmoid layers in long doubles at the same weights, none of them chaotic."""
    functions = {
        "identity": (lambda z: z, np.ones_like), "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
        "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    }  # fmt: skip
    worst, counted, below = 0.0, 0, 0
    for (name, (phi, dphi)), seed in itertools.product(functions.items(), range(5)):
        with jax.enable_x64(dtype == "float64"):
            net = gl.MLP(depth=depth, width=width, activation=name, init="lecun_normal", bias=False)
            params, x = drawn(net, batch=1, features=width, seed=seed)
            params = jax.tree.map(lambda v: jnp.asarray(v, dtype), params)
            x = np.asarray(x, dtype)
            found = gl.jacobian_spectrum(net, x, params=params, from_layer=1, to_layer=depth)
            layers = [np.asarray(p["weight"], np.longdouble) for _, p in net.layers(params)][:depth]
        z, product = x.astype(np.longdouble)[0] @ layers[0], np.eye(width, dtype=np.longdouble)
        for weight in layers[1:]:
            product = product @ (dphi(z)[:, None] * weight)
            z = phi(z) @ weight
        top = np.abs(product).max()
        wanted = np.log10(jacobi_singular_values(product / top)) + np.log10(top)
        ok = found.resolved[0, 0]
        off = np.abs(10 ** (found.log10_singular_values[0, 0] - wanted).astype(float) - 1)
        worst, counted, below = max(worst, off[ok].max()), counted + ok.sum(), below + (~ok).sum()
    assert worst < 0.01 and counted >= 15 and below > 0


@pytest.mark.slow
def test_float32_and_lanczos_agree_with_float64_at_exploding_sizes():
    net = gl.MLP(depth=150, width=40, activation="relu", init="gaussian", sigma_w2=2e3, bias=False)
    params, x = drawn(net, features=40)
    low = gl.jacobian_spectrum(net, x, params=params, to_layer=150, k=1, method="lanczos").log10_singular_values
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda v: np.asarray(v, np.float64), params)
        high = gl.jacobian_spectrum(net, x, params=wide, to_layer=150).log10_singular_values
    assert high[0, 0, 0] > 200
    # 150 layers of a few roundings each, and a residual of 1e-6
    assert low == pytest.approx(high[..., :1], abs=1e-4)


@pytest.mark.slow
def test_where_nothing_passes_all_singular_values_are_zero():
    net = gl.MLP(depth=2, width=4, activation="relu", init="he_normal", bias=False)
    params, x = drawn(net, features=4)
    params = jax.tree.map(lambda w: -jnp.abs(w), params)
    found = gl.jacobian_spectrum(net, np.abs(x), params=params)
    assert np.all(np.isneginf(found.log10_singular_values)) and not found.resolved.any()
    assert np.all(
        np.isneginf(gl.jacobian_spectrum(net, np.abs(x), params=params, k=2, method="lanczos").log10_singular_values)
    )


@pytest.mark.slow
def test_weights_drawn_here_are_those_of_a_measurement():
    net = gl.MLP(depth=2, width=6, activation="tanh", init="xavier_normal")
    x = np.random.default_rng(0).normal(size=(3, 5))
    found = gl.jacobian_spectrum(net, x, seeds=2, key=7, outputs=4)
    assert found.log10_singular_values.shape == (2, 3, 4) and found.seeds == (0, 1)
    params = net.init_params(jax.random.fold_in(jax.random.key(7), 1), jnp.asarray(x), outputs=4)
    alone = gl.jacobian_spectrum(net, x, params=params)
    found, alone = (10**values for values in (found.log10_singular_values[1], alone.log10_singular_values[0]))
    # another program of the same weights: rounding of a few products of 6 terms, in parts of the largest value
    assert np.abs(found - alone).max() <= 8 * np.finfo(np.float32).eps * alone.max()


@pytest.mark.slow
def test_any_layer_has_a_jacobian(x64):
    layer = gl.serial(gl.dense(4), gl.activation("tanh"), gl.repeat(gl.serial(gl.dense(4), gl.activation("silu")), 3))
    params, _ = layer.init(jax.random.key(0), (3,))
    x = np.random.default_rng(0).normal(size=(2, 3))
    found = gl.jacobian_spectrum(layer, x, params=params)
    f = lambda v: layer.forward(params, gl.Scaled(v[None], None))[0].value()[0]
    wanted = np.linalg.svd(np.asarray(jax.vmap(jax.jacrev(f))(jnp.asarray(x))), compute_uv=False)
    assert 10 ** found.log10_singular_values[0] == pytest.approx(wanted, rel=1e-12)
    assert isinstance(layer, Layer) and found.config is None


@pytest.mark.slow
def test_the_density_has_the_moments_and_the_shape_of_the_spectrum(x64):
    net = gl.MLP(depth=4, width=120, activation="tanh", init="xavier_normal")
    params, x = drawn(net, batch=2, features=4)
    whole = 10 ** gl.jacobian_spectrum(net, x, params=params, from_layer=1, to_layer=4).log10_singular_values[0]
    probes = 20
    found = gl.jacobian_density(net, x, params=params, from_layer=1, to_layer=4, probes=probes, iterations=25)
    nodes, weights = 10 ** found.log10_singular_values[0], found.weights[0]
    assert nodes.shape == (2, probes * 25) and weights.sum(1) == pytest.approx(1, abs=1e-12)
    for power in (2, 4):
        # a Gaussian probe's quadratic form varies by sqrt(2 Var(eigenvalues) / n); the normalised one no more; 5 errors
        error = np.std(whole**power, 1) * (2 / (probes * 120)) ** 0.5
        assert np.all(np.abs(np.sum(weights * nodes**power, 1) - np.mean(whole**power, 1)) < 5 * error)
    for line in (0.3, 1.0):
        share = np.mean(whole < line, 1)
        error = (share * (1 - share) * 2 / (probes * 120)) ** 0.5
        # and a node stands for the spectrum half way to its neighbours: of 25 nodes half a weight of each probe
        assert np.all(np.abs(np.sum(weights * (nodes < line), 1) - share) < 5 * error + 0.5 / 25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 4}, "k of at most 3"),
        ({"k": 0}, "k to be an integer of at least 1"),
        ({"k": 2, "which": "both"}, "at most 1 of each end"),
        ({"which": "middle"}, "'middle'"),
        ({"method": "power"}, "'power'"),
        ({"method": "lanczos"}, "k, for method='lanczos'"),
        ({"from_layer": 5}, "from_layer to be 'input', 'output' or a hidden layer from 1 to 4"),
        ({"from_layer": 3, "to_layer": 2}, "to_layer behind from_layer"),
        ({"to_layer": "logits"}, "to_layer to be"),
    ],
)
def test_errors(options, message):
    net = gl.MLP(depth=4, width=5)
    params, x = drawn(net)
    with pytest.raises(gl.GradlabError, match=message):
        gl.jacobian_spectrum(net, x, params=params, **options)


def test_errors_of_inputs_and_networks():
    net = gl.MLP(depth=4, width=5)
    params, x = drawn(net)
    with pytest.raises(gl.GradlabError, match="finite numbers in x"):
        gl.jacobian_spectrum(net, np.full_like(x, np.nan), params=params)
    with pytest.raises(gl.GradlabError, match=r"of shape \(3, 5\)"):
        gl.jacobian_spectrum(net, x[:, :3], params=params)
    huge = jax.tree.map(lambda w: w * jnp.finfo(w.dtype).max ** 0.75, params)  # finite, its products are not
    with pytest.raises(gl.GradlabError, match="that is finite"):
        gl.jacobian_spectrum(gl.MLP(depth=4, width=5, activation="gelu"), x, params=huge)
    layer = gl.dense(3)
    with pytest.raises(gl.GradlabError, match="params, for a bare Layer"):
        gl.jacobian_spectrum(layer, x)
    with pytest.raises(gl.GradlabError, match="not an MLP"):
        gl.jacobian_spectrum(layer, x, params=layer.init(jax.random.key(0), (5,))[0], to_layer=1)
    spectrum = gl.jacobian_spectrum(net, x, params=params, k=1)
    with pytest.raises(gl.GradlabError, match="all singular values"):
        spectrum.moment_ratio  # noqa: B018
