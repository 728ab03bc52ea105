"""Losses as people write them. Beside each one the same with `tap(name, x)` at the places that a program must find.

The names of the taps are the places' own: ``blocks/up[3]``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

ZOO: dict[str, Callable[[], "Case"]] = {}


class Case(NamedTuple):
    loss: Callable[..., Any]
    params: Any
    args: tuple[Any, ...]
    tapped: Callable[..., Any]  # (params, *args, tap)
    unseen: int = 0  # products that no mark can stand behind


def case(make):
    ZOO[make.__name__] = make
    return make


def plain(_, x):
    """A tap that reads nothing."""
    return x


def normal(seed, *shape, scale=1.0):
    return scale * jax.random.normal(jax.random.key(seed), shape)


def weights(seed, *shape):
    """Of variance one over the fan-in."""
    return normal(seed, *shape, scale=float(np.prod(shape[:-1])) ** -0.5)


def flax_nnx():
    """Flax's nnx, where it runs: it asks for unstable parts of JAX that not every JAX has."""
    try:
        from flax import nnx
    except AttributeError as error:
        pytest.skip(f"this Flax does not run on this JAX: {error}")
    return nnx


def both(loss, params, args, unseen=0):
    """A loss that takes the tap itself."""
    return Case(lambda params, *args: loss(params, *args, plain), params, args, loss, unseen)


def cross_entropy(logits, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1))


def attention(q, k, v, tap, name):
    """Names as the program makes them: by the text of the einsum."""
    logits = tap(f"{name}bqhd,bkhd->bhqk:dot_general", jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5)
    found = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(logits), v)
    return found


@case
def dense():
    params = {f"layer{i}": {"kernel": weights(i, 8, 8), "bias": jnp.zeros(8)} for i in range(3)}

    def loss(params, x, tap):
        for name, layer in params.items():
            x = tap(f"{name}/tanh", jnp.tanh(tap(name, x @ layer["kernel"]) + layer["bias"]))
        return jnp.mean(x**2)

    return both(loss, params, (normal(9, 6, 8),))


@case
def convolutions():
    params = {"first": weights(0, 3, 3, 2, 4), "strided": weights(1, 3, 3, 4, 4), "up": weights(2, 2, 2, 4, 4)}
    layout = ("NHWC", "HWIO", "NHWC")

    def loss(params, x, tap):
        x = tap("first", lax.conv_general_dilated(x, params["first"], (1, 1), "SAME", dimension_numbers=layout))
        x = tap("first/relu", jax.nn.relu(x))
        x = tap("strided", lax.conv_general_dilated(x, params["strided"], (2, 2), "SAME", dimension_numbers=layout))
        return jnp.mean(tap("up", lax.conv_transpose(x, params["up"], (2, 2), "SAME", dimension_numbers=layout)) ** 2)

    return both(loss, params, (normal(9, 2, 8, 8, 2),))


def _stream(around):
    """Scanned blocks of attention and a perceptron; `around` the body stands a remat or nothing."""

    def block(h, p, tap, place):
        q, k, v = (tap(f"blocks/{n}{place}", jnp.einsum("btd,dhk->bthk", h, p[n])) for n in "qkv")
        logits = jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5
        logits = tap(f"bqhd,bkhd->bhqk:dot_general{place}", logits)
        mixed = tap(f"bhqk,bkhd->bqhd:dot_general{place}", jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(logits), v))
        h = h + tap(f"blocks/o{place}", jnp.einsum("bthk,hkd->btd", mixed, p["o"]))
        up = tap(f"blocks/up{place}", h @ p["up"])
        h = h + tap(f"blocks/down{place}", tap(f"blocks/up/gelu{place}", jax.nn.gelu(up)) @ p["down"])
        return tap(f"blocks/carry{place}", h)

    shapes = {"q": (8, 2, 4), "k": (8, 2, 4), "v": (8, 2, 4), "o": (2, 4, 8), "up": (8, 16), "down": (16, 8)}
    blocks = {n: jnp.stack([weights(10 * i + j, *s) for i in range(4)]) for j, (n, s) in enumerate(shapes.items())}
    params = {"tokens": normal(7, 11, 8), "blocks": blocks, "head": weights(8, 8, 11)}

    def loss(params, tokens):
        body = around(lambda h, p: (block(h, p, plain, ""), None))
        h, _ = lax.scan(body, params["tokens"][tokens], params["blocks"])
        return cross_entropy(h @ params["head"], tokens)

    def tapped(params, tokens, tap):
        h = tap("tokens", params["tokens"][tokens])
        for i in range(4):
            h = block(h, jax.tree.map(lambda p, i=i: p[i], params["blocks"]), tap, f"[{i}]")
        return cross_entropy(tap("head", h @ params["head"]), tokens)

    return Case(loss, params, (jax.random.randint(jax.random.key(9), (2, 5), 0, 11),), tapped)


@case
def scanned_transformer():
    return _stream(lambda body: body)


@case
def scanned_transformer_rematerialised():
    return _stream(jax.checkpoint)


@case
def scanned_transformer_products_saved():
    return _stream(lambda body: jax.checkpoint(body, policy=jax.checkpoint_policies.dots_saveable))


@case
def custom_derivative():
    @jax.custom_vjp
    def linear(x, w):
        return x @ w

    linear.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g))
    params = {f"layer{i}": {"w": weights(i, 8, 8)} for i in range(3)}

    def loss(params, x, tap):
        for name, layer in params.items():
            x = tap(f"{name}/tanh", jnp.tanh(tap(name, linear(x, layer["w"]))))
        return jnp.mean(x**2)

    return both(loss, params, (normal(9, 6, 8),), unseen=3)


@case
def kernel():
    from jax.experimental import pallas as pl

    def body(x, w, out):
        out[...] = jnp.tanh(x[...] @ w[...])

    @jax.custom_vjp
    def layer(x, w):
        return pl.pallas_call(body, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x, w)

    derivative = lambda kept, g: jax.vjp(lambda x, w: jnp.tanh(x @ w), *kept)[1](g)
    layer.defvjp(lambda x, w: (layer(x, w), (x, w)), derivative)
    params = {f"layer{i}": weights(i, 8, 8) for i in range(2)}

    def loss(params, x, tap):
        for name, w in params.items():
            x = tap(name, layer(x, w))
        return jnp.mean(x**2)

    return both(loss, params, (normal(9, 6, 8),), unseen=2)


@case
def equilibrium():
    """A fixed point by `while_loop`, its derivative by another one."""
    step = lambda w, z, x: jnp.tanh(z @ w + x)

    def solve(f, z):
        more = lambda state: (state[1] < 40) & (state[2] > 1e-6)
        again = lambda state: (f(state[0]), state[1] + 1, jnp.max(jnp.abs(f(state[0]) - state[0])))
        return lax.while_loop(more, again, (z, 0, jnp.ones((), z.dtype)))[0]

    @jax.custom_vjp
    def fixed(w, x):
        return solve(lambda z: step(w, z, x), jnp.zeros_like(x))

    def forward(w, x):
        z = fixed(w, x)
        return z, (w, x, z)

    def backward(kept, g):
        w, x, z = kept
        pull = jax.vjp(lambda z: step(w, z, x), z)[1]
        u = solve(lambda u: pull(u)[0] + g, jnp.zeros_like(z))
        return jax.vjp(lambda w, x: step(w, z, x), w, x)[1](u)

    fixed.defvjp(forward, backward)
    params = {"in": weights(0, 4, 8), "middle": 0.3 * weights(1, 8, 8), "out": weights(2, 8, 3)}

    def loss(params, x, tap):
        z = tap("middle", fixed(params["middle"], tap("in", x @ params["in"])))
        return jnp.mean(tap("out", z @ params["out"]) ** 2)

    return both(loss, params, (normal(9, 6, 4),), unseen=2)


@case
def data_parallel():
    from jax.sharding import AxisType, PartitionSpec

    mesh = jax.make_mesh((len(jax.devices()),), ("data",), axis_types=(AxisType.Auto,))
    params = {"a": weights(0, 8, 8), "b": weights(1, 8, 3)}

    def inner(params, x):
        return lax.pmean(jnp.mean(jnp.tanh(jnp.tanh(x @ params["a"]) @ params["b"]) ** 2), "data")

    specs = (PartitionSpec(), PartitionSpec("data"))

    def tapped(params, x, tap):
        hidden = tap("a/tanh", jnp.tanh(tap("a", x @ params["a"])))
        return jnp.mean(tap("b/tanh", jnp.tanh(tap("b", hidden @ params["b"]))) ** 2)

    loss = lambda params, x: jax.shard_map(inner, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())(params, x)
    return Case(loss, params, (normal(9, 8, 8),), tapped)


@case
def tensor_parallel():
    """The columns of one matrix and the rows of the next on each device; blocks in a scan."""
    from jax.sharding import AxisType, PartitionSpec

    mesh = jax.make_mesh((len(jax.devices()),), ("model",), axis_types=(AxisType.Auto,))
    params = {"up": jnp.stack([weights(i, 8, 16) for i in range(3)]), "down": jnp.stack([weights(9, 16, 8)] * 3)}

    def inner(params, x):
        body = lambda h, w: (h + lax.psum(jnp.tanh(h @ w["up"]) @ w["down"], "model"), None)
        return jnp.mean(lax.scan(body, x, params)[0] ** 2)

    specs = ({"up": PartitionSpec(None, None, "model"), "down": PartitionSpec(None, "model", None)}, PartitionSpec())

    def tapped(params, x, tap):
        for i in range(3):
            hidden = tap(f"up/tanh[{i}]", jnp.tanh(tap(f"up[{i}]", x @ params["up"][i])))
            x = x + hidden @ params["down"][i]
        return jnp.mean(x**2)

    loss = lambda params, x: jax.shard_map(inner, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())(params, x)
    return Case(loss, params, (normal(9, 6, 8),), tapped)


@case
def branches():
    params = {"a": weights(0, 8, 8), "b": weights(1, 8, 8), "c": weights(2, 8, 8)}

    def loss(params, x):
        x = lax.cond(jnp.sum(x) > 1e9, lambda x: x @ params["a"], lambda x: jnp.tanh(x @ params["b"]), x)
        return jnp.mean((x @ params["c"]) ** 2)

    def tapped(params, x, tap):
        x = tap("b/tanh", jnp.tanh(tap("b", x @ params["b"])))
        return jnp.mean(tap("c", x @ params["c"]) ** 2)

    return Case(loss, params, (normal(9, 6, 8),), tapped)


@case
def mapped_parts():
    params = {"a": weights(0, 8, 8), "b": weights(1, 8, 3)}

    def part(params, x, tap, place):
        return jnp.mean(tap(f"b{place}", jnp.tanh(tap(f"a{place}", x @ params["a"])) @ params["b"]) ** 2)

    def loss(params, x):
        return jnp.mean(lax.map(lambda part_of_x: part(params, part_of_x, plain, ""), x.reshape(4, 2, 8)))

    def tapped(params, x, tap):
        return sum(part(params, p, tap, f"[{i}]") for i, p in enumerate(x.reshape(4, 2, 8))) / 4

    return Case(loss, params, (normal(9, 8, 8),), tapped)


@case
def half_precision():
    params = [weights(i, 16, 16).astype(jnp.bfloat16) for i in range(3)]

    def loss(params, x, tap):
        for i, w in enumerate(params):
            x = tap(f"{i}/relu", jax.nn.relu(tap(f"{i}", x @ w)))
        return jnp.mean(x.astype(jnp.float32) ** 2)

    return both(loss, params, (normal(9, 8, 16).astype(jnp.bfloat16),))


@case
def attention_of_jax():
    params = {n: weights(i, 8, 2, 4) for i, n in enumerate("qkv")} | {"o": weights(3, 2, 4, 8)}

    def loss(params, x):
        q, k, v = (jnp.einsum("btd,dhk->bthk", x, params[n]) for n in "qkv")
        mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        return jnp.mean(jnp.einsum("bqhd,hdo->bqo", mixed, params["o"]) ** 2)

    def tapped(params, x, tap):
        q, k, v = (tap(n, jnp.einsum("btd,dhk->bthk", x, params[n])) for n in "qkv")
        logits = tap("vmap(BTNH,BSNH->BNTS):dot_general", jnp.einsum("bqhd,bkhd->bhqk", q, k) * 0.5)
        logits = jnp.where(jnp.tril(jnp.ones((5, 5), bool)), logits, jnp.finfo(logits.dtype).min)
        mixed = tap("vmap(BNTS,BSNH->BTNH):dot_general", jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(logits), v))
        return jnp.mean(tap("o", jnp.einsum("bqhd,hdo->bqo", mixed, params["o"])) ** 2)

    return Case(loss, params, (normal(9, 2, 5, 8),), tapped)


@case
def derived_weights():
    """A tied embedding, low-rank factors beside a matrix, weight normalisation."""
    params = {
        "tokens": {"embedding": normal(0, 11, 8)},
        "lora": {"base": weights(1, 8, 8), "a": weights(2, 8, 2), "b": weights(3, 2, 8)},
        "normed": {"direction": normal(4, 8, 8), "gain": jnp.ones(8)},
    }

    def loss(params, tokens, tap):
        lora, normed = params["lora"], params["normed"]
        x = tap("tokens", params["tokens"]["embedding"][tokens])
        x = jnp.tanh(tap("lora/base", x @ (lora["base"] + tap("lora/a", lora["a"] @ lora["b"]))))
        direction = normed["direction"] / jnp.linalg.norm(normed["direction"], axis=0)
        x = jnp.tanh(tap("normed/direction", x @ (direction * normed["gain"])))
        return cross_entropy(tap("tokens#1", x @ params["tokens"]["embedding"].T), tokens)

    return both(loss, params, (jax.random.randint(jax.random.key(9), (2, 5), 0, 11),))


@case
def experts():
    params = {"gate": weights(0, 8, 3), "up": weights(1, 3, 8, 16), "down": weights(2, 3, 16, 8)}

    def loss(params, x, tap):
        gates = tap("gate", x @ params["gate"])
        chosen = jnp.argmax(gates, -1)
        order, counts = jnp.argsort(chosen), jnp.bincount(chosen, length=3)
        hidden = tap("up/relu", jax.nn.relu(tap("up", lax.ragged_dot(x[order], params["up"], counts))))
        out = tap("down", lax.ragged_dot(hidden, params["down"], counts))
        weight = jnp.max(jax.nn.softmax(gates), -1, keepdims=True)
        return jnp.mean((x + out[jnp.argsort(order)] * weight) ** 2)

    return both(loss, params, (normal(9, 12, 8),))


@case
def linear_recurrence():
    """A scan without a product inside."""
    params = {"decay": jnp.full(8, 0.5), "in": weights(0, 4, 8), "out": weights(1, 8, 3)}

    def loss(params, x):
        step = lambda h, u: (jax.nn.sigmoid(params["decay"]) * h + u, None)
        h, _ = lax.scan(step, jnp.zeros((2, 8), x.dtype), x @ params["in"])
        return jnp.mean((h @ params["out"]) ** 2)

    def tapped(params, x, tap):
        h, inputs = jnp.zeros((2, 8), x.dtype), tap("in", x @ params["in"])
        for t in range(6):
            h = tap(f"decay/carry[{t}]", jax.nn.sigmoid(params["decay"]) * h + inputs[t])
        return jnp.mean(tap("out", h @ params["out"]) ** 2)

    return Case(loss, params, (normal(9, 6, 2, 4),), tapped)


@case
def associative_recurrence():
    params = {"decay": jnp.full(8, 0.5), "in": weights(0, 4, 8), "out": weights(1, 8, 3)}

    def loss(params, x, tap):
        inputs = tap("in", x @ params["in"])
        decay = jnp.broadcast_to(jax.nn.sigmoid(params["decay"]), inputs.shape)
        join = lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1])
        _, states = lax.associative_scan(join, (decay, inputs))
        return jnp.mean(tap("out", states @ params["out"]) ** 2)

    return both(loss, params, (normal(9, 6, 2, 4),))


@case
def physics():
    """Derivatives by the input inside the loss."""
    params = {"a": weights(0, 2, 8), "b": weights(1, 8, 1)}

    def loss(params, x):
        u = lambda z: jnp.sum(jnp.tanh(z @ params["a"]) @ params["b"])
        return jnp.mean(jax.vmap(lambda z: jnp.trace(jax.hessian(u)(z)))(x) ** 2)

    return Case(loss, params, (normal(9, 6, 2),), lambda params, x, tap: loss(params, x))


@case
def functions_of_functions():
    """One jitted block called several times, inside another jit."""

    @jax.jit
    def block(p, h):
        return h + jnp.tanh(h @ p["a"]) @ p["b"]

    params = [{"a": weights(i, 8, 12), "b": weights(9 + i, 12, 8)} for i in range(3)]

    @jax.jit
    def loss(params, x):
        for p in params:
            x = block(p, x)
        return jnp.mean(x**2)

    def tapped(params, x, tap):
        for i, p in enumerate(params):
            hidden = tap(f"{i}/a/tanh", jnp.tanh(tap(f"{i}/a", x @ p["a"])))
            x = x + tap(f"{i}/b", hidden @ p["b"])
        return jnp.mean(x**2)

    return Case(loss, params, (normal(9, 6, 8),), tapped)


@case
def named_values():
    """The user's names, in a remat that saves by name."""
    from jax.ad_checkpoint import checkpoint_name

    import gradlab as gl

    params = {f"layer{i}": weights(i, 8, 8) for i in range(3)}
    policy = jax.checkpoint_policies.save_only_these_names("before layer1")

    def body(params, x, tap):
        for name, w in params.items():
            x = jnp.tanh(tap(f"before {name}", checkpoint_name(tap(name, x @ w), f"before {name}")))
        return tap("end", gl.tap("end", x))

    loss = lambda params, x: jnp.mean(jax.checkpoint(lambda p, x: body(p, x, plain), policy=policy)(params, x) ** 2)
    return Case(loss, params, (normal(9, 6, 8),), lambda params, x, tap: jnp.mean(body(params, x, tap) ** 2))


@case
def loops_in_vmap():
    """A rematerialised scan in a remat under vmap, and a loop of fixed length."""
    params = {"a": weights(0, 8, 8), "stack": jnp.stack([weights(i, 8, 8) for i in range(3)])}

    def one(params, x):
        body = jax.checkpoint(lambda h, w: (jnp.tanh(h @ w), None))
        h = jax.checkpoint(lambda h: lax.scan(body, h, params["stack"])[0])(x)
        return lax.fori_loop(0, 2, lambda i, h: jnp.tanh(h @ params["a"]), h)

    def tapped(params, x, tap):
        for i in range(3):
            x = jnp.tanh(tap(f"stack[{i}]", x @ params["stack"][i]))
        for i in range(2):
            x = jnp.tanh(tap(f"a[{i}]", x @ params["a"]))
        return jnp.mean(x**2)

    loss = lambda params, x: jnp.mean(jax.vmap(lambda x: one(params, x))(x) ** 2)
    return Case(loss, params, (normal(9, 6, 8),), tapped)


@case
def linen_batch_norm():
    import flax.linen as nn

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x, tap=plain):
            for i in range(2):
                x = tap(f"Conv_{i}", nn.Conv(4, (3, 3), use_bias=False)(x))
                x = tap(f"Conv_{i}/relu", nn.relu(nn.BatchNorm(use_running_average=False)(x)))
            return tap("head", nn.Dense(3, use_bias=False, name="head")(x.reshape(x.shape[0], -1)))

    net, x = Net(), normal(9, 4, 6, 6, 2)
    variables = net.init(jax.random.key(0), x)

    def loss(params, x, labels, tap):
        variables_of = {"params": params, "batch_stats": variables["batch_stats"]}
        logits, _ = net.apply(variables_of, x, tap, mutable=["batch_stats"])
        return cross_entropy(logits, labels)

    return both(loss, variables["params"], (x, jnp.arange(4) % 3))


@case
def nnx_dropout():
    nnx = flax_nnx()

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.stem = nnx.Linear(6, 8, use_bias=False, rngs=rngs)
            self.norm, self.dropout = nnx.BatchNorm(8, rngs=rngs), nnx.Dropout(0.2, rngs=rngs)
            self.head = nnx.Linear(8, 3, use_bias=False, rngs=rngs)

        def __call__(self, x, tap):
            x = tap("stem/relu", nnx.relu(self.norm(tap("stem", self.stem(x)))))
            return tap("head", self.head(self.dropout(x)))

    graph, params, rest = nnx.split(Net(nnx.Rngs(0)), nnx.Param, ...)

    def loss(params, x, labels, tap):
        return cross_entropy(nnx.merge(graph, params, rest, copy=True)(x, tap), labels)

    return both(loss, params, (normal(9, 4, 6), jnp.arange(4) % 3))


@case
def equinox_vmap():
    import equinox as eqx

    net = eqx.nn.MLP(6, 3, 8, 2, activation=jax.nn.silu, use_bias=False, use_final_bias=False, key=jax.random.key(0))
    params, rest = eqx.partition(net, eqx.is_inexact_array)

    def loss(params, x, labels):
        return cross_entropy(jax.vmap(eqx.combine(params, rest))(x), labels)

    def tapped(params, x, labels, tap):
        for i, layer in enumerate(params.layers):
            x = tap(f"layers/{i}", x @ layer.weight.T)
            x = tap(f"layers/{i}/silu", jax.nn.silu(x)) if i < 2 else x
        return cross_entropy(x, labels)

    return Case(loss, params, (normal(9, 4, 6), jnp.arange(4) % 3), tapped)


@case
def haiku_lstm():
    import haiku as hk

    def forward(x):
        core = hk.LSTM(5)
        h, _ = hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))
        return hk.Linear(3, with_bias=False)(h[-1])

    net = hk.without_apply_rng(hk.transform(forward))
    x, labels = normal(9, 6, 4, 2), jnp.arange(4) % 3

    def tapped(params, x, labels, tap):
        layer, h, c = params["lstm/linear"], jnp.zeros((4, 5)), jnp.zeros((4, 5))
        for t in range(6):
            gates = tap(f"lstm/linear[{t}]", jnp.concatenate([x[t], h], -1) @ layer["w"]) + layer["b"]
            i, g, f, o = jnp.split(gates, 4, -1)
            f = tap(f"lstm/linear/sigmoid[{t}]", jax.nn.sigmoid(f + 1))
            i, g = tap(f"lstm/linear/sigmoid#1[{t}]", jax.nn.sigmoid(i)), tap(f"lstm/linear/tanh[{t}]", jnp.tanh(g))
            c = f * c + i * g
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return cross_entropy(tap("linear", h @ params["linear"]["w"]), labels)

    loss = lambda params, x, labels: cross_entropy(net.apply(params, x), labels)
    return Case(loss, net.init(jax.random.key(0), x), (x, labels), tapped)
