"""The second look against a gradient in float64: whatever formats a model names, through loops, branches and rules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gradlab.diagnosis import precision, reading
from gradlab.diagnosis.precision import ExactLook, columns
from gradlab.diagnosis.program import Program


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def looked(loss, params, *args):
    program = Program.of(loss, params, args)
    return program, ExactLook(program)(params, args)


def log10_norm(vectors):
    entries = np.asarray(vectors)[..., precision.EXACT_FIELDS.index("entries")]
    return columns(vectors)["log10_rms"] + 0.5 * np.log10(entries)


@jax.custom_vjp
def halved(x):
    return x * 1


halved.defvjp(lambda x: (x * 1, None), lambda _, d: (d / 2,))


def everything(dtype):
    """A loss that names a format wherever one can be named."""

    def loss(p, x, labels, key):
        h = x.astype(dtype) @ p["in"].astype(dtype)
        h = lax.reduce_precision(h, 8, 7) if dtype != "float64" else h
        keep = jax.random.uniform(key, h.shape, jnp.float32) < 0.75
        h = jnp.where(keep, h, jnp.zeros((), dtype))

        def block(h, w):
            z = lax.dot_general(h, w.astype(dtype), (((1,), (0,)), ((), ())), preferred_element_type=dtype)
            return h + halved(jax.nn.relu(z)), jnp.sum(z)

        h, _ = lax.scan(jax.checkpoint(block), h, p["blocks"])
        h = lax.cond(jnp.sum(h) > 0, jnp.tanh, jnp.sin, h)
        h = lax.fori_loop(0, 2, lambda i, h: h * jnp.asarray(0.5, dtype), h)
        h = jnp.cumsum(h, -1) * jnp.arange(1, 9).astype(dtype)
        h = lax.conv_general_dilated(h[:, None], p["kernel"].astype(dtype), (1,), "SAME")[:, 0]
        logits = h.astype("float64" if dtype == "float64" else "float32") @ p["out"].astype(
            "float64" if dtype == "float64" else "float32"
        )
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels])

    return loss


@pytest.fixture(scope="module")
def model():
    params = {"in": normal(6, 8), "blocks": normal(3, 8, 8, seed=1) / 3, "kernel": normal(1, 1, 3, seed=2)}
    params |= {"out": normal(8, 4, seed=3)}
    args = jnp.asarray(normal(10, 6, seed=4)), jnp.asarray(np.arange(10) % 4), jax.random.key(3)
    return jax.tree.map(jnp.asarray, params), args


@pytest.mark.slow
def test_every_operation_in_float64(model):
    params, args = model
    program, exact = looked(everything("bfloat16"), params, *args)
    with jax.enable_x64(True):
        wide = lambda tree: jax.tree.map(lambda x: jnp.asarray(np.asarray(x), "float64"), tree)
        value, grads = jax.jit(jax.value_and_grad(everything("float64")))(wide(params), wide(args[0]), *args[1:])
    assert exact.loss == pytest.approx(float(value), rel=1e-12)
    for path, found, grad, depth in zip(
        program.paths, exact.leaves, jax.tree.leaves(grads), program.depths, strict=True
    ):
        norms = np.log10(np.linalg.norm(np.asarray(grad).reshape(*grad.shape[:depth], -1), axis=-1))
        assert log10_norm(found) == pytest.approx(norms, abs=1e-10), path
    assert exact.leaves[program.paths.index("blocks")].shape == (3, len(precision.EXACT_FIELDS))


def chain(p, x):
    return jnp.mean(lax.scan(lambda h, w: (jax.nn.sigmoid(h @ w), None), x, p)[0])


@pytest.fixture(scope="module")
def vanishing():
    """80 layers whose deltas fall by most of a decade each: beyond float32, not beyond float64."""
    params, x = jnp.asarray(normal(80, 4, 4) / 2), jnp.asarray(normal(5, 4, seed=99))
    program, exact = looked(chain, params, x)
    with jax.enable_x64(True):
        wide = lambda x: jnp.asarray(np.asarray(x), "float64")
        grads = jax.jit(jax.grad(chain))(wide(params), wide(x))
    return program, exact, program.run(params, (x,)), np.asarray(grads)


def test_what_underflows_is_told_from_what_is_zero(vanishing):
    program, exact, plain, grads = vanishing
    norms = np.log10(np.linalg.norm(grads.reshape(80, -1), axis=1))
    assert log10_norm(exact.leaves[0]) == pytest.approx(norms, abs=1e-10)
    product = next(site.number for site in program.sites if site.kind == "product")
    found = columns(exact.sites[product, "delta"])
    assert reading.columns(np.asarray(plain.deltas[product]))["zero_fraction"][0] == 1
    assert -90 < found["log10_rms"][0] < -50 and found["zero_fraction"].max() == 0


def test_shares_lost_are_those_of_the_gradient_itself(vanishing):
    _, exact, _, grads = vanishing
    smallest = {"float32": 2.0**-149, "bfloat16": 2.0**-133, "float16": 2.0**-24, "float8_e4m3": 2.0**-9}
    for name, number in smallest.items():
        shares = np.mean(np.abs(grads) < number, axis=(1, 2))
        assert columns(exact.leaves[0])[f"lost_{name}"].tolist() == shares.tolist()
        assert 0 < shares.mean() <= 1


def test_true_zeros_are_zeros():
    loss = lambda p, x: jnp.sum(jax.nn.relu(x @ p["a"] - 100) @ p["b"]) + jnp.sum(x)
    params = {"a": jnp.asarray(normal(4, 3)), "b": jnp.ones((3, 2)), "n": jnp.arange(2)}
    program, exact = looked(loss, params, jnp.asarray(normal(5, 4)))
    for name in ("a", "b"):
        found = columns(exact.leaves[program.paths.index(name)])
        assert found["log10_rms"] == -np.inf and found["zero_fraction"] == 1
        assert np.isnan(found["lost_float32"])
    assert np.isnan(exact.leaves[program.paths.index("n")]).all()


@pytest.mark.parametrize(("value", "log10"), [(1e-30, -60), (1e30, 60), (1e-20, -40)])
def test_squares_beyond_the_range_of_float32(value, log10):
    _, exact = looked(lambda p, x: jnp.sum(jnp.square(x * p)), jnp.ones(1), jnp.full(1, value))
    # value is that of float32 nearby
    assert np.log10(exact.loss) == pytest.approx(log10, abs=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize(
    "of_bits",
    [
        lambda x: lax.nextafter(x, jnp.full_like(x, 2)) - x,
        lambda x: lax.bitcast_convert_type(x, "uint32" if x.dtype == "float32" else "uint16").astype(x.dtype),
    ],
    ids=["next number", "bits"],
)
def test_what_depends_on_bits_sees_those_of_the_models_own_format(of_bits, dtype):
    """The number after 1 and the bits of a half are others in float64, so these operations keep their format."""
    x = jnp.asarray([0.5, 1.0], dtype)
    loss = lambda p, x: jnp.sum(p * lax.stop_gradient(of_bits(x)))
    _, exact = looked(loss, jnp.ones(2, dtype), x)
    expected = np.asarray(of_bits(x), "float64")
    assert exact.loss == expected.sum()
    assert columns(exact.leaves[0])["log10_max"] == pytest.approx(np.log10(expected.max()), abs=1e-12)


def test_memory_is_asked_before(monkeypatch):
    program = Program.of(chain, jnp.ones((30, 4, 4)), (jnp.ones((5, 4)),))
    # 480 entries of the weights, those of their gradient, 30 times 20 of what is kept of the layers, of 8 bytes
    need = precision.memory_of(program.gradient)
    assert 8 * (2 * 480 + 600) < need < 8 * 10 * 600
    assert ExactLook(program).refused == ""
    monkeypatch.setattr(precision, "free_memory", lambda: 1.5 * need)
    assert "GB that are free" in ExactLook(program).refused


def test_decades_below_the_smallest_number():
    assert precision.decades_below(-50.0, "float32") == pytest.approx(50 - 149 * np.log10(2))
    assert precision.decades_below(0.0, "float16") < 0


@pytest.mark.slow
def test_a_hundred_layers_of_sigmoid_in_float32():
    """Xavier, width 128: 10**-63 at the first layer; float32 keeps nothing of the first 44."""
    rng = np.random.default_rng(0)
    xavier = lambda i, o: jnp.asarray((rng.normal(size=(i, o)) * np.sqrt(2 / (i + o))).astype("float32"))
    params = {f"layer{i:03d}": xavier(64 if i == 0 else 128, 128) for i in range(100)} | {"out": xavier(128, 10)}

    def loss(p, x, y):
        for i in range(100):
            x = jax.nn.sigmoid(x @ p[f"layer{i:03d}"])
        return -jnp.mean(jax.nn.log_softmax(x @ p["out"])[jnp.arange(64), y])

    x, y = jnp.asarray(rng.normal(size=(64, 64)).astype("float32")), jnp.asarray(rng.integers(0, 10, 64))
    program, exact = looked(loss, params, x, y)
    norms = np.array([log10_norm(leaf) for leaf in exact.leaves])
    assert norms[0] == pytest.approx(-63, abs=1.5)
    steps = np.diff(
        [columns(exact.sites[s.number, "delta"])["log10_rms"] for s in program.sites if s.kind == "product"]
    )
    assert 10 ** -np.mean(steps[10:90]) == pytest.approx(0.236, abs=0.005)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda w: jnp.asarray(np.asarray(w), "float64"), (params, x))
        grads = jax.jit(jax.grad(loss))(*wide, y)
    assert norms == pytest.approx([np.log10(np.linalg.norm(g)) for g in jax.tree.leaves(grads)], abs=1e-8)
    # the layers of which float32 holds nothing are those in whose gradient nothing is as large as its smallest number
    smallest = np.array([np.abs(g).max() < 2.0**-149 for g in jax.tree.leaves(grads)])
    lost = np.array([columns(leaf)["lost_float32"] for leaf in exact.leaves])
    assert (lost == 1).tolist() == smallest.tolist() and 25 < smallest.sum() < 45
