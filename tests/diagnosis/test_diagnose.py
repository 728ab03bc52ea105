"""Whole diagnoses: of networks whose fate is known by theory, and of what must change nothing."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradlab as gl

KEY = jax.random.key


def cross_entropy(logits, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1).mean()


def network(phi, depth):
    """The loss of a fully connected network with biases, its parameters a plain dict."""

    def loss(params, batch):
        x, y = batch
        for i in range(1, depth + 1):
            x = phi(x @ params[f"layer_{i}"]["w"] + params[f"layer_{i}"]["b"])
        return cross_entropy(x @ params["readout"]["w"] + params["readout"]["b"], y)

    return loss


def drawing(std, depth, width=128, features=64):
    """A way to draw its parameters, with a standard deviation for each fan-in and fan-out."""
    sizes = [features, *[width] * depth, 10]
    names = [*(f"layer_{i}" for i in range(1, depth + 1)), "readout"]

    def init(key):
        keys = jax.random.split(key, depth + 1)
        pairs = zip(names, keys, sizes[:-1], sizes[1:], strict=True)
        return {n: {"w": std(i, o) * jax.random.normal(k, (i, o)), "b": jnp.zeros(o)} for n, k, i, o in pairs}

    return init


def data(examples=128, features=64):
    return jax.random.normal(KEY(5), (examples, features)), jax.random.randint(KEY(6), (examples,), 0, 10)


xavier = lambda i, o: (2 / (i + o)) ** 0.5
he = lambda i, o: (2 / i) ** 0.5


@pytest.fixture(scope="module")
def healthy():
    return gl.diagnose(network(jax.nn.relu, 5), drawing(he, 5, 64)(KEY(1)), data(32))


def test_a_healthy_network_is_healthy_and_says_how_near_each_rule_was(healthy):
    assert healthy.healthy, str(healthy)
    assert str(healthy.coverage) == "6 of 6 products seen"
    asked = {margin.rule.name for margin in healthy.margins}
    assert asked == {rule.name for rule in type(healthy.margins[0].rule)}
    looked = [margin for margin in healthy.margins if not margin.silent]
    assert len(looked) >= 12 and all(np.isfinite([m.value, m.line]).all() for m in looked)


def test_the_frame_goes_through_the_houses_own_tools(healthy):
    table = gl.summarise(healthy.frame, by=["layer"])
    assert (table["column"] == "log10_delta_rms").sum() == 6
    names = [f"layer_{i}" for i in range(1, 6)]
    assert healthy.frame["layer_name"].tolist() == [*names, "readout"]


@pytest.mark.parametrize("factor", [1e-4, 1e4])
def test_another_unit_of_the_loss_changes_no_verdict(healthy, factor):
    loss = network(jax.nn.relu, 5)
    found = gl.diagnose(lambda p, b: factor * loss(p, b), drawing(he, 5, 64)(KEY(1)), data(32))
    kinds = lambda d: [f.kind for f in d.findings if f.severity != "info"]
    assert kinds(found) == kinds(healthy)
    # products of floats round anew, 24 bits of them over six layers
    for column in ("log10_delta_rms", "log10_weight_grad_norm"):
        moved = found.frame[column] - healthy.frame[column]
        np.testing.assert_allclose(moved, np.log10(factor), atol=1e-5)


def test_a_muted_rule_says_nothing_and_a_wrong_name_is_told_before_anything_runs():
    never = lambda p, b: pytest.fail("it was run")
    with pytest.raises(gl.GradlabError, match="GL999"):
        gl.diagnose(never, {"w": jnp.ones(3)}, None, mute="GL999")


@pytest.mark.slow
def test_small_weights_are_found_though_the_gradients_of_the_weights_look_healthy():
    """ReLU, N(0, 0.01**2), width 128: signal and delta times 0.01 sqrt(128 / 2) = 0.08 a layer."""
    found = gl.diagnose(network(jax.nn.relu, 10), None, data(), init=drawing(lambda i, o: 0.01, 10))
    (finding,) = [f for f in found.findings if f.severity != "info"]
    assert finding.kind == "init_too_small" and "would look healthy" in finding.evidence
    assert found.rate.value == pytest.approx(0.080, abs=0.002)
    remedy = finding.remedies[0]
    assert remedy.factor == pytest.approx(12.5, rel=0.02) and "He" in remedy.text
    assert remedy.outcomes[0].after == pytest.approx(1.00, abs=0.03)
    norms = found.frame.groupby("layer")["log10_weight_grad_norm"].mean()
    assert abs(norms.iloc[0] - norms.iloc[-2]) < 0.3  # what a look at these alone would judge by


@pytest.mark.slow
def test_a_hundred_layers_of_sigmoid():
    """Xavier, width 128: theory's rate is 0.236, and float32 loses the first layers."""
    params = drawing(xavier, 100)(KEY(1))
    loss = network(jax.nn.sigmoid, 100)
    x, y = data()
    found = gl.diagnose(loss, params, (x, y))
    kinds = {f.kind: f for f in found.findings}
    assert {"vanishing", "underflow"} <= kinds.keys()
    assert found.rate.value == pytest.approx(0.236, abs=0.005)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda w: jnp.asarray(np.asarray(w), "float64"), (params, x))
        exact = jax.jit(jax.grad(loss))(wide[0], (wide[1], y))
    norms = [np.log10(np.linalg.norm(exact[f"layer_{i}"]["w"])) for i in range(1, 101)]
    assert found.frame["log10_weight_grad_norm"].iloc[:100].to_numpy() == pytest.approx(norms, abs=1e-6)
    assert norms[0] == pytest.approx(-63, abs=1.5)
    plain = jax.jit(jax.grad(loss))(params, (x, y))
    held = [i for i in range(1, 101) if np.any(np.asarray(plain[f"layer_{i}"]["w"]))]
    told = re.search(r"holds nothing below layer_(\d+)", kinds["underflow"].evidence)
    assert told and abs(int(told[1]) - min(held)) <= 1


def blocks(plant, remat):
    """A transformer of 24 blocks that a scan walks, with something planted in the eighth."""
    nn = pytest.importorskip("flax.linen")

    class Block(nn.Module):
        @nn.compact
        def __call__(self, h, number):
            h = h + nn.MultiHeadDotProductAttention(2, name="attention")(nn.LayerNorm(name="ln1")(h))
            h = h + nn.Dense(8, name="down")(nn.gelu(nn.Dense(16, name="up")(nn.LayerNorm(name="ln2")(h))))
            return plant(h, number == 7), None

    class Net(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            h = nn.Embed(11, 8, name="tokens")(tokens)
            block = nn.remat(Block, prevent_cse=False) if remat else Block
            stack = nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, length=24)
            h, _ = stack(name="blocks")(h, jnp.arange(24))
            return nn.Dense(11, name="head")(nn.LayerNorm(name="ln")(h))

    net, tokens = Net(), jax.random.randint(KEY(1), (4, 6), 0, 11)
    loss = lambda params, tokens: cross_entropy(net.apply(params, tokens[:, :-1]), tokens[:, 1:])
    return loss, net.init(KEY(0), tokens[:, :-1]), tokens


PLANTS = {
    "forward": (lambda h, here: h + 1e-3 * jnp.log(jnp.where(here, -1 - h**2, 1 + h**2)), "log"),
    "backward": (lambda h, here: h + jnp.sqrt(jnp.where(here, 0 * h, 1 + h**2)), "sqrt"),
}


@pytest.mark.slow
@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("direction", PLANTS)
def test_what_is_planted_in_one_block_of_a_scanned_transformer_is_named(direction, remat):
    plant, operation = PLANTS[direction]
    found = gl.diagnose(*blocks(plant, remat), exact=False)
    (first, *_) = found.evidence.births
    assert (first.direction, first.primitive) == (direction, operation)
    assert first.place.endswith("[7]") and "test_diagnose.py" in first.source
    assert ("loss" in first.reaches) == (direction == "forward")
    finding = found.findings[0]
    assert finding.kind == "nonfinite" and finding.severity == "error" and operation in finding.evidence
    assert any("[7]" in layer for layer in finding.layers)
    assert not found.healthy


@pytest.mark.slow
@pytest.mark.parametrize("remat", [False, True])
def test_a_scanned_transformer_has_24_named_layers_and_is_healthy(remat):
    found = gl.diagnose(*blocks(lambda h, here: h, remat))
    assert found.healthy, str(found)
    layers = [place.name for place in found.evidence.places if place.site.name == "blocks/up"]
    assert layers == [f"blocks/up[{i}]" for i in range(24)]


def kinds(loss, params, batch):
    return [f.kind for f in gl.diagnose(loss, params, batch, exact=False).findings if f.severity != "info"]


@pytest.mark.slow
@pytest.mark.parametrize(("std", "expected"), [(he, []), (lambda i, o: 0.01, ["init_too_small"])])
def test_no_verdict_depends_on_the_batch_the_mean_or_the_scale_of_inputs(std, expected):
    loss, params = network(jax.nn.relu, 5), drawing(std, 5, 64)(KEY(1))
    assert kinds(loss, params, data(32)) == expected
    assert kinds(loss, params, data(512)) == expected
    assert kinds(lambda p, b: 32 * loss(p, b), params, data(32)) == expected  # the sum over the batch
    x, y = data(32)
    first = {**params["layer_1"], "w": params["layer_1"]["w"] / 1000}
    assert kinds(loss, {**params, "layer_1": first}, (1000 * x, y)) == expected


@pytest.mark.slow
def test_a_network_of_gradlab_is_judged_too():
    x, y = data(64)
    net = gl.MLP(depth=20, width=64, activation="sigmoid", init="xavier_normal")
    found = gl.diagnose(net, net.init_params(0, x, y), (x, y), exact=False)
    assert "vanishing" in [f.kind for f in found.findings]
    healthy = gl.MLP(depth=5, width=64, activation="relu", init="he_normal")
    assert gl.diagnose(healthy, healthy.init_params(0, x, y), (x, y), exact=False).healthy
