"""Every architecture: its gradients, what is measured of it, its sweeps, and what it refuses."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import gradlab as gl
from gradlab import GradlabError
from gradlab.core.losses import plain_loss
from gradlab.networks import build
from gradlab.networks.network import weighted
from tests.networks.architectures import CLASSES, ODD, TABLE

SLOW = [pytest.param(a, marks=pytest.mark.slow) for a in ODD]
ALL = [*TABLE[:-1], pytest.param(TABLE[-1], marks=pytest.mark.slow), *SLOW]
#: max|difference| / max|gradient|: a few hundred roundings in float64.
TOLERANCE = 1e-12


def off_zero(params, seed=1):
    """Parameters moved off their initial values: a bias of 0 or a scale of 0 hides mistakes."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda v: v + jnp.asarray(0.1 * rng.normal(size=v.shape), v.dtype), params)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_gradients_equal_those_of_jax_grad(case, x64):
    x, y = case.data()
    params = off_zero(case.net.init_params(3, x, y))
    value, grads = jax.jit(lambda p: gl.backprop(case.net, p, x, y))(params)
    loss = lambda p: plain_loss("softmax_cross_entropy")(case.net.apply(p, x), y)
    if getattr(case.net, "truncate", None):
        assert abs(value - loss(params)) < 1e-12 * abs(value)
        return  # its gradient is another one, by intention; tests of `unroll` hold it against its own definition
    expected, theirs = jax.jit(jax.value_and_grad(loss))(params)
    assert abs(value - expected) < 1e-12 * abs(expected)
    assert jax.tree.structure(grads) == jax.tree.structure(theirs)
    scale = max(np.max(np.abs(g)) for g in jax.tree.leaves(theirs))
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(grads), jax.tree.leaves(theirs), strict=True):
        largest = np.max(np.abs(b), initial=0)
        # a bias before a batch norm has a gradient of 0, of which only rounding is left
        assert np.max(np.abs(a - b), initial=0) <= TOLERANCE * max(largest, 1e-3 * scale), path


def blocks(net, params):
    """The weights of each row's block, the parts of stacked runs apart."""
    found = []
    for part in params:
        leaves = [leaf["weight"] for _, leaf in weighted((), part)]
        copies = len(leaves[0]) if leaves[0].ndim > 2 else None
        found += [leaves] if copies is None else [[w[i] for w in leaves] for i in range(copies)]
    return found


@pytest.mark.parametrize("case", [pytest.param(a, marks=pytest.mark.slow) for a in (*TABLE, *ODD)], ids=str)
def test_a_row_shows_all_weights_of_its_block_as_one_vector(case, x64):
    """Norms, per-example norms and signal-to-noise against gradients of single examples, materialised."""
    if "batch" in str(case) or getattr(case.net, "truncate", None):
        pytest.skip("examples interact; or the gradient is another one by intention")
    x, y = case.data()
    trace = gl.measure(case.net, x, y, key=2, seeds=[4], dtype="float64")
    params = case.net.init_params(jax.random.fold_in(jax.random.key(2), 4), x, outputs=CLASSES)
    one = lambda p, xi, yi: plain_loss("softmax_cross_entropy")(case.net.apply(p, xi[None]), yi[None])
    each = jax.jit(jax.vmap(jax.grad(one), (None, 0, 0)))(params, x, y)
    own = [blocks(case.net, jax.tree.map(lambda v: v[i], each)) for i in range(len(x))]  # noqa: B023
    rows = [i for i, v in enumerate(trace.columns["log10_weight_grad_norm"][0]) if not np.isnan(v)]
    assert len(rows) == len(own[0])
    for row, block in zip(rows, range(len(own[0])), strict=True):
        vectors = np.stack([np.concatenate([np.ravel(w) for w in blocks_[block]]) for blocks_ in own])
        mean, count = vectors.mean(0), len(x)
        spread = np.sum((vectors - mean) ** 2) / (count - 1)
        with np.errstate(divide="ignore", invalid="ignore"):  # behind a branch whose scale is learned and starts at 0
            expected = {
                "log10_weight_grad_norm": np.log10(np.linalg.norm(mean)),
                "log10_per_example_grad_norm_rms": 0.5 * np.log10(np.mean(np.sum(vectors**2, 1))),
                "gradient_snr": count * np.sum(mean**2) / spread,
            }
        for name, value in expected.items():
            found = trace.columns[name][0][row]
            assert np.isclose(found, value, rtol=1e-9, atol=1e-9, equal_nan=True), (name, row, found, value)


@pytest.mark.slow
@pytest.mark.parametrize("scale", ["1", "learned"])
def test_the_delta_of_a_residual_block_is_the_gradient_on_its_stream(scale, x64):
    net = gl.ResNet(depth=3, width=4, branch_layers=1, activation="tanh", init="xavier_normal", branch_scale=scale)
    x, y = TABLE[1].data()
    params = net.init_params(jax.random.fold_in(jax.random.key(0), 0), x, outputs=CLASSES)
    (stem, _), run, head = params[0], params[1], params[-1][0]

    def loss(zeros):
        stream, seen = x @ stem["weight"] + stem["bias"], []
        for i, zero in enumerate(zeros):
            own, (_, branch) = jax.tree.map(lambda v: v[i], run)  # noqa: B023
            out = jnp.tanh(stream) @ branch["weight"] + branch["bias"]
            stream = stream + own.get("scale", 1.0) * out + zero
            seen.append(stream)
        return plain_loss("softmax_cross_entropy")(stream @ head["weight"] + head["bias"], y), seen

    deltas, seen = jax.grad(loss, has_aux=True)([jnp.zeros((len(x), 4))] * 3)
    trace = gl.measure(net, x, y, seeds=1, dtype="float64")
    rms = lambda v: np.log10(np.sqrt(np.mean(np.square(v))))
    found = {c: v[0][1:-1] for c, v in trace.columns.items()}
    assert np.allclose(found["log10_delta_rms"], [rms(len(x) * np.asarray(d)) for d in deltas], atol=1e-11)
    assert np.allclose(found["log10_preactivation_rms"], [rms(s) for s in seen], atol=1e-11)
    if scale == "learned":  # the identity: the gradient arrives as it left
        assert np.allclose(found["log10_delta_rms"], found["log10_delta_rms"][0], atol=1e-12)


def test_the_rows_of_a_recurrent_network_are_its_steps(x64):
    net = gl.RNN(width=4, activation="tanh", gain=0.8)
    x, y = TABLE[3].data()
    trace = gl.measure(net, x, y, seeds=1, dtype="float64", columns=["log10_delta_rms"])
    names = [info.layer_name for info in trace.layers]
    assert names == ["cell", *(f"step_{t}" for t in range(1, 6)), "readout"]
    assert trace.sigma_w2 == 0.8**2
    params = net.init_params(jax.random.fold_in(jax.random.key(0), 0), x, outputs=CLASSES)
    cell, head = params[0], params[-1][0]

    def loss(zeros):
        h = jnp.zeros((len(x), 4))
        for t, zero in enumerate(zeros):
            h = jnp.tanh(
                x[:, t] @ cell["input"]["weight"] + cell["input"]["bias"] + h @ cell["recurrent"]["weight"] + zero
            )
        return plain_loss("softmax_cross_entropy")(h @ head["weight"] + head["bias"], y)

    deltas = jax.grad(loss)([jnp.zeros((len(x), 4))] * 5)
    expected = [np.log10(len(x) * np.sqrt(np.mean(np.square(d)))) for d in deltas]
    assert np.allclose(trace.columns["log10_delta_rms"][0][1:-1], expected, atol=1e-11)
    frame = gl.frame(trace)
    assert list(frame["layer"]) == list(range(7))
    assert set(frame["depth"]) == {5}


def test_a_recurrent_weight_takes_every_initialiser():
    x, _ = TABLE[3].data()

    def weight(**options):
        params = gl.RNN(width=4, **options).init_params(0, x.astype("float32"), outputs=CLASSES)
        return np.asarray(params[0]["recurrent"]["weight"], float)

    assert np.array_equal(weight(init="identity", gain=0.5), 0.5 * np.eye(4))
    assert np.allclose(weight(init="gaussian", std=0.2), weight(init="gaussian", sigma_w2=0.16), rtol=1e-6)
    assert np.allclose(weight(init="critical"), weight(init="gaussian", sigma_w2=1.0), rtol=1e-6)


@pytest.mark.parametrize("case", [pytest.param(a, marks=pytest.mark.slow) for a in TABLE[1:3]], ids=str)
def test_a_shallow_network_measured_beside_a_deep_one_is_the_same(case):
    """One program with a trip count serves both; the draws of layer l depend on the seed and on l alone."""
    from gradlab.measurement.measure import measure_group

    x, y = case.data("float32")
    shallow = dataclasses.replace(case.net, depth=1)
    options = {"loss": "softmax_cross_entropy", "key": 0, "seeds": (0, 1)}
    together = measure_group([case.net, shallow], x, y, **options)[1]
    alone = measure_group([shallow], x, y, **options)[0]
    assert [i.layer for i in together.layers] == [i.layer for i in alone.layers]
    for name, values in alone.columns.items():
        assert np.allclose(together.columns[name], values, rtol=1e-5, atol=1e-5, equal_nan=True), name


@pytest.mark.slow
@pytest.mark.parametrize("case", [*TABLE, *ODD], ids=str)
def test_check_passes(case):
    x, y = case.data()
    if getattr(case.net, "truncate", None):
        pytest.skip("its gradient is another one than that of jax.grad, by intention")
    assert gl.check(case.net, x, y, quiet=True).ok


@pytest.mark.slow
@pytest.mark.parametrize("case", [*TABLE, *ODD], ids=str)
def test_given_weights_are_measured_as_drawn_ones(case):
    x, y = case.data("float32")
    drawn = gl.measure(case.net, x, y, seeds=[1])
    params = case.net.init_params(jax.random.fold_in(jax.random.key(0), 1), x, outputs=CLASSES)
    given = gl.measure(case.net, x, y, params=params)
    for name, values in drawn.columns.items():
        found = given.columns[name]
        if name == "log10_bias_grad_norm":
            # a bias before a batch norm has a gradient of 0; rounding leaves less of it than this part of the weight's
            least = drawn.columns["log10_weight_grad_norm"] + np.log10(64 * np.finfo(np.float32).eps)
            values, found = (np.where(v < least, -np.inf, v) for v in (values, found))
        assert np.allclose(found, values, rtol=1e-4, atol=1e-4, equal_nan=True), name


@pytest.mark.slow
def test_a_sweep_over_architectures_is_one_frame_and_resumes(tmp_path):
    sweep = gl.Sweep(
        architecture=["mlp", "resnet"], depth=[1, 3], width=6, activation="relu", init="he_normal", seeds=2,
        branch_scale=[1, "1/sqrt(L)"], data="gaussian", batch=12,
        columns=("log10_delta_rms", "log10_weight_grad_norm"),
    )  # fmt: skip
    frame = gl.run(sweep, out=tmp_path, progress=False)
    assert set(frame["status"]) == {"ok"}
    assert frame["network"].nunique() == 6
    mlp, resnet = frame[frame["architecture"] == "mlp"], frame[frame["architecture"] == "resnet"]
    assert mlp["branch_scale"].isna().all()
    assert set(resnet["branch_scale"]) == {"1", "1/sqrt(L)"}
    assert list(resnet.loc[resnet["network"] == resnet["network"].iloc[0], "layer"].unique()) == [0, 1, 2]
    net = build(dataclasses.replace(next(c for c in sweep.configs() if c.architecture == "resnet"), depth=3))
    from gradlab.data import load

    data = load("gaussian", batch=12)
    alone = gl.frame(gl.measure(net, data.x, data.y, seeds=2, columns=sweep.columns))
    rows = frame[frame["network"].astype(str) == str(alone["network"].iloc[0])]
    assert np.allclose(rows["log10_delta_rms"], alone["log10_delta_rms"], atol=1e-5)
    bytes_before = (tmp_path / "frame.parquet").read_bytes()
    for part in sorted(tmp_path.glob("parts/*"))[::2]:
        part.unlink()
    gl.run(sweep, out=tmp_path, progress=False)
    assert (tmp_path / "frame.parquet").read_bytes() == bytes_before
    again = gl.load(tmp_path).frame
    pd.testing.assert_series_equal(again["log10_delta_rms"], frame["log10_delta_rms"])
    rates = gl.rates(frame)
    assert len(rates) == 6 and rates["verdict"].notna().all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gl.ConvNet(depth=2).init_params(0, np.ones((2, 5)), outputs=2), "height, width, channels"),
        (lambda: gl.MLP(depth=2).init_params(0, np.ones((2, 5, 3)), outputs=2), "batch, features"),
        (lambda: gl.RNN(depth=9).init_params(0, np.ones((2, 5, 3)), outputs=2), "at least depth=9 time steps"),
        (lambda: gl.RNN().init_params(0, np.ones((2, 0, 3)), outputs=2), "received shape .2, 0, 3."),
        (lambda: gl.Transformer(width=10, heads=4), "heads that divide"),
        (lambda: gl.ResNet(branch_scale="big"), "branch_scale"),
        (lambda: gl.ResNet(width=(3, 4), depth=2), "one width"),
        (lambda: gl.measure(gl.ConvNet(depth=2), np.ones((4, 5), "float32"), [0, 1, 0, 1]), "height, width, channels"),
        (
            lambda: gl.measure(gl.MLP(depth=2, width=4, norm="batch"), np.ones((1, 5), "float32"), [0], loss="probe"),
            "at least 2 examples",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_told(call, words):
    with pytest.raises(GradlabError, match=words):
        call()
