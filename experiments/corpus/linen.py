"""Models in Flax linen: modules applied with parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.corpus.case import Model, broken, healthy, loss_finite, measured, norm, not_finite, ratio, zeros
from experiments.corpus.nets import blobs, cross_entropy, images, key, mse, normal, sequences, tokens

LINEN = "linen"
he, lecun, xavier, gaussian = nn.initializers.he_normal(), nn.initializers.lecun_normal(), nn.initializers.xavier_normal(), nn.initializers.normal


class MLP(nn.Module):
    """Dense layers ``Dense_0 …`` and a readout."""

    depth: int
    phi: Callable[..., Any] = nn.relu
    start: Callable[..., Any] = he
    width: int = 64
    outputs: int = 10

    @nn.compact
    def __call__(self, x):
        """Logits."""
        for _ in range(self.depth):
            x = self.phi(nn.Dense(self.width, kernel_init=self.start)(x))
        return nn.Dense(self.outputs, name="head")(x)


def dense(*numbers: int) -> tuple[str, ...]:
    """Names of linen's dense layers."""
    return tuple(f"Dense_{n}" for n in numbers)


def classifier(module: nn.Module, data: Any = None, edit: Callable[[Any], Any] = lambda p: p) -> Model:
    """A module's cross-entropy, parameters as the tree of its variables."""
    x, y = data or blobs()
    variables = edit(module.init(key(0), x)["params"])
    return Model(lambda p, x, y: cross_entropy(module.apply({"params": p}, x), y), variables, (x, y))


@healthy(LINEN)
def linen_relu_he_8() -> Model:
    """Dense layers with He's weights."""
    return classifier(MLP(8)).shows(ratio("Dense_1", "Dense_7", 0.1, 10))


@broken(LINEN, "vanishing", dense(0, 1, 2, 3))
def linen_sigmoid_8() -> Model:
    """Eight sigmoid layers with Xavier's weights."""
    return classifier(MLP(8, nn.sigmoid, xavier)).shows(ratio("Dense_1", "Dense_7", 0, 1e-3))


@broken(LINEN, "init_too_small", (*dense(*range(10)), "head"))
def linen_relu_hundredth_10() -> Model:
    """N(0, 0.01²): 0.08 per layer."""
    return classifier(MLP(10, nn.relu, gaussian(0.01), 128)).shows(norm("head/kernel", 0, 1e-7))


@broken(LINEN, ("init_too_large", "exploding"), (*dense(*range(12)), "head"))
def linen_relu_he_doubled_12() -> Model:
    """Twice He's deviation: a factor 2 per layer."""
    init = nn.initializers.variance_scaling(8.0, "fan_in", "normal")
    return classifier(MLP(12, nn.relu, init)).shows(measured("loss", lambda m: m.loss(m.params, *m.batch), 1e3))


@broken(LINEN, "symmetric", dense(1))
def linen_constant_init() -> Model:
    """A constant initialiser in the second of three layers, and equal weights behind it."""

    def edit(params):
        full = lambda name, value: {**params[name], "kernel": jnp.full_like(params[name]["kernel"], value)}
        return {**params, "Dense_1": full("Dense_1", 0.05), "Dense_2": full("Dense_2", 0.05)}

    return classifier(MLP(3), edit=edit).shows(norm("Dense_1/kernel", 1e-6))


@broken(LINEN, ("dead_layer", "dead"), dense(2))
def linen_dead_layer() -> Model:
    """A bias of −30 in the third layer."""
    edit = lambda p: {**p, "Dense_2": {**p["Dense_2"], "bias": p["Dense_2"]["bias"] - 30}}
    return classifier(MLP(5), edit=edit).shows(zeros("Dense_2"), zeros("Dense_0"))


class CNN(nn.Module):
    """Convolutions with batch norm, as in the documentation."""

    phi: Callable[..., Any] = nn.relu
    shift: float = 0.0

    @nn.compact
    def __call__(self, x):
        """Logits."""
        for i, features in enumerate((8, 16, 16)):
            x = nn.Conv(features, (3, 3), strides=1 if i == 0 else 2, kernel_init=he)(x)
            x = self.phi(nn.BatchNorm(use_running_average=False, bias_init=nn.initializers.constant(self.shift))(x))
        return nn.Dense(10, name="head")(x.mean((1, 2)))


def with_statistics(module: nn.Module, data: Any) -> Model:
    """A module with batch statistics, which its loss hands out."""
    x, y = data
    variables = module.init(key(0), x)

    def loss(p, x, y):
        logits, new = module.apply({"params": p, "batch_stats": variables["batch_stats"]}, x, mutable=["batch_stats"])
        return cross_entropy(logits, y), new

    return Model(loss, variables["params"], (x, y)).with_options(has_aux=True)


@healthy(LINEN)
def linen_cnn_with_batch_norm() -> Model:
    """Biases before a batch norm have no gradient but rounding, and need none."""
    return with_statistics(CNN(), images(16, 8)).shows(ratio("Conv_0/kernel", "Conv_2/kernel", 0.1, 30), norm("Conv_1/bias", 0, 1e-4))


@broken(LINEN, ("dead", "dead_layer"), ("Conv_0", "Conv_1", "Conv_2", "BatchNorm_0", "BatchNorm_1", "BatchNorm_2"))
def linen_batch_norm_shifted_into_death() -> Model:
    """The shift behind each batch norm starts at −8: no unit is on."""
    return with_statistics(CNN(shift=-8.0), images(16, 8)).shows(zeros("Conv_0/kernel"), zeros("Conv_2/kernel"))


class ResNet(nn.Module):
    """Pre-activated residual blocks with batch norm."""

    blocks: int = 4

    @nn.compact
    def __call__(self, x):
        """Logits."""
        norm = lambda: nn.BatchNorm(use_running_average=False)
        x = nn.Conv(16, (3, 3), kernel_init=he, name="stem")(x)
        for _ in range(self.blocks):
            h = nn.Conv(16, (3, 3), kernel_init=he, use_bias=False)(nn.relu(norm()(x)))
            x = x + nn.Conv(16, (3, 3), kernel_init=he, use_bias=False)(nn.relu(norm()(h)))
        return nn.Dense(10, name="head")(nn.relu(norm()(x)).mean((1, 2)))


@healthy(LINEN)
def linen_resnet() -> Model:
    """A residual network with batch norm at its start."""
    return with_statistics(ResNet(), images(16, 6)).shows(ratio("Conv_0", "Conv_6", 0.05, 20))


class Block(nn.Module):
    """A transformer's block, its norms before or after the sum."""

    width: int
    post: bool = False
    start: Callable[..., Any] = xavier
    heads: int = 2
    dropout: float = 0.0
    query_gain: float = 1.0

    @nn.compact
    def __call__(self, h, _=None):
        """The stream behind it."""
        drop = lambda x: nn.Dropout(self.dropout, deterministic=False)(x) if self.dropout else x

        def attend(u):
            head = lambda name: nn.DenseGeneral((self.heads, self.width // self.heads), name=name, kernel_init=self.start)
            q, k, v = (head(name)(u) for name in ("query", "key", "value"))
            q, k = self.query_gain * q, self.query_gain * k
            a = nn.dot_product_attention(q, k, v)
            return nn.DenseGeneral(self.width, axis=(-2, -1), name="out", kernel_init=self.start)(a)

        def feed(u):
            up = nn.gelu(nn.Dense(4 * self.width, name="up", kernel_init=self.start)(u))
            return nn.Dense(self.width, name="down", kernel_init=self.start)(up)

        for name, branch in (("norm_attention", attend), ("norm_mlp", feed)):
            normed = nn.LayerNorm(name=name)
            h = normed(h + drop(branch(h))) if self.post else h + drop(branch(normed(h)))
        return h, None


class LM(nn.Module):
    """Blocks over embedded tokens, unrolled or scanned, with or without remat."""

    depth: int = 4
    width: int = 24
    post: bool = False
    scanned: bool = False
    remat: bool = False
    start: Callable[..., Any] = xavier
    dropout: float = 0.0
    query_gain: float = 1.0
    embed: float = 1.0

    @nn.compact
    def __call__(self, t):
        """Logits of the next token."""
        h = nn.Embed(32, self.width, name="embed", embedding_init=gaussian(self.embed))(t)
        kind = nn.remat(Block, prevent_cse=False) if self.remat else Block
        setting = {"width": self.width, "post": self.post, "start": self.start, "dropout": self.dropout, "query_gain": self.query_gain}
        if self.scanned:
            axes = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}, "length": self.depth}
            h, _ = nn.scan(kind, **axes)(**setting, name="blocks")(h, None)
        else:
            for i in range(self.depth):
                h, _ = kind(**setting, name=f"block_{i}")(h, None)
        return nn.Dense(32, name="head")(h if self.post else nn.LayerNorm(name="norm")(h))


def language_model(edit: Callable[[Any], Any] = lambda p: p, **setting: Any) -> Model:
    """The cross-entropy of the next token."""
    module, t = LM(**setting), tokens()
    params = edit(module.init({"params": key(0), "dropout": key(1)}, t[:, :-1])["params"])
    if setting.get("dropout"):
        loss = lambda p, t, key: cross_entropy(module.apply({"params": p}, t[:, :-1], rngs={"dropout": key}), t[:, 1:])
        return Model(loss, params, (t,)).with_options(key=key(2))
    return Model(lambda p, t: cross_entropy(module.apply({"params": p}, t[:, :-1]), t[:, 1:]), params, (t,))


@healthy(LINEN)
def linen_pre_norm_transformer() -> Model:
    """Norms before the branches."""
    return language_model().shows(ratio("block_0/up", "block_3/up", 0.1, 10))


@healthy(LINEN)
def linen_post_norm_transformer() -> Model:
    """Norms behind the sums: the delta grows by less than half a decade over four blocks."""
    return language_model(post=True).shows(ratio("block_0/up", "block_3/up", 0.05, 20))


@healthy(LINEN)
def linen_scanned_transformer_with_remat() -> Model:
    """Eight blocks in a scan, recomputed on the way back."""
    return language_model(depth=8, scanned=True, remat=True).shows(norm("blocks/up", 1e-4))


@healthy(LINEN)
def linen_transformer_of_gpt2() -> Model:
    """GPT-2's start: N(0, 0.02²) for everything, pre-LN; small branches on a stream that the embedding carries."""
    return language_model(start=gaussian(0.02), embed=0.02).shows(ratio("block_0/up", "block_3/up", 0.05, 20))


@healthy(LINEN)
def linen_transformer_with_dropout() -> Model:
    """Dropout by the key that is given."""
    return language_model(depth=2, dropout=0.1).shows(ratio("block_0/up", "block_1/up", 0.1, 10))


@broken(LINEN, ("attention_logits", "saturation", "init_too_large"), ())
def linen_attention_times_50() -> Model:
    """Queries and keys seven times too large each: logits 50 times, a softmax that passes nothing."""


    def weight(model: Model) -> float:
        p = model.params["block_0"]
        u = nn.LayerNorm().apply({"params": p["norm_attention"]}, model.params["embed"]["embedding"][model.batch[0][:, :-1]])
        q, k = (jnp.einsum("btd,dhe->bthe", u, p[n]["kernel"]) for n in ("query", "key"))
        return nn.softmax(50 * jnp.einsum("bqhe,bkhe->bhqk", q, k) / math.sqrt(q.shape[-1])).max(-1).mean()

    return language_model(query_gain=math.sqrt(50)).shows(measured("mean largest attention weight", weight, 0.9, 1))


@broken(LINEN, ("attention_logits", "saturation", "init_too_large", "scale", "exploding"), ())
def linen_transformer_of_unit_variance() -> Model:
    """All weights N(0, 1): logits of some hundreds in attention."""
    return language_model(start=gaussian(1.0)).shows(measured("std of up", lambda m: m.params["block_0"]["up"]["kernel"].std(), 0.9, 1.1))


def _spoil(leaf: str, layer: int, change) -> Callable[[Any], Any]:
    def edit(params):
        blocks = dict(params["blocks"])
        blocks[leaf] = jax.tree.map(lambda a: a.at[layer].set(change(a[layer])), blocks[leaf])
        return {**params, "blocks": blocks}

    return edit


@broken(LINEN, "nonfinite", ("blocks/up[5]", "blocks/norm_mlp[5]", "blocks/up/kernel[5]", "blocks/up/bias[5]"))
def linen_nan_in_block_5() -> Model:
    """One weight of block 5 of a scanned transformer is NaN."""
    edit = _spoil("up", 5, lambda a: a.at[(0,) * a.ndim].set(jnp.nan))
    return language_model(edit, depth=8, scanned=True, remat=True).shows(loss_finite(False), not_finite("blocks/up"))


class Recurrent(nn.Module):
    """A cell over time, and a readout of its last state."""

    cell: Any

    @nn.compact
    def __call__(self, x):
        """Logits."""
        return nn.Dense(2, name="head")(nn.RNN(self.cell, name="recurrent")(x)[:, -1])


def _lstm(bias: float, steps: int) -> Model:
    cell = nn.LSTMCell(24, name="cell")
    def edit(params):
        found = jax.tree.map(lambda a: a, params)
        (inner,) = [v for n, v in found.items() if n != "head"]
        inner = inner.get("cell", inner)
        inner["hf"]["bias"] = jnp.full_like(inner["hf"]["bias"], bias)
        return found

    return classifier(Recurrent(cell), sequences(16, steps), edit)


def by_first_input(low: float, high: float):
    """The gradient by the first input over that by the last."""
    by_x = lambda m: jax.grad(lambda x: m.loss(m.params, x, *m.batch[1:]))(m.batch[0])
    share = lambda m: (g := by_x(m), jnp.linalg.norm(g[:, 0]) / jnp.linalg.norm(g[:, -1]))[1]
    return measured("gradient by the first input / by the last", share, low, high)


@healthy(LINEN)
def linen_lstm_forget_bias_1() -> Model:
    """An LSTM whose forget gates start open, over twelve steps."""
    return _lstm(1.0, 12).shows(by_first_input(1e-3, 10))


@healthy(LINEN)
def linen_gru() -> Model:
    """A GRU over ten steps."""
    return classifier(Recurrent(nn.GRUCell(24, name="cell")), sequences(16, 10)).shows(by_first_input(1e-3, 10))


@broken(LINEN, ("vanishing", "saturation"), ("cell", "recurrent", "hf", "hi", "hg", "ho", "if", "ii", "ig", "io"))
def linen_lstm_that_forgets() -> Model:
    """Forget gates at −6, thirty steps: nothing of the first ones is left."""
    return _lstm(-6.0, 30).shows(by_first_input(0, 1e-8))


class Vision(nn.Module):
    """Patches, a token of the class, positions: a small ViT."""

    @nn.compact
    def __call__(self, x):
        """Logits."""
        x = nn.Conv(24, (2, 2), strides=2, name="patches")(x).reshape(x.shape[0], -1, 24)
        x = x + self.param("positions", gaussian(0.02), (1, x.shape[1], 24))
        x = jnp.concatenate([jnp.broadcast_to(self.param("class", nn.initializers.zeros, (1, 1, 24)), (x.shape[0], 1, 24)), x], 1)
        for i in range(2):
            x, _ = Block(24, name=f"block_{i}")(x)
        return nn.Dense(10, name="head", kernel_init=nn.initializers.zeros)(nn.LayerNorm(name="norm")(x)[:, 0])


@healthy(LINEN)
def linen_vision_transformer() -> Model:
    """A head of zeros, as ViT has: at the first step only the head moves."""
    return classifier(Vision(), images(8, 8)).shows(norm("head", 1e-3), zeros("block_0/up"))


class Groups(nn.Module):
    """ReLU behind layer and group norms."""

    @nn.compact
    def __call__(self, x):
        """Logits."""
        x = nn.relu(nn.GroupNorm(4)(nn.Conv(16, (3, 3))(x)))
        x = nn.relu(nn.GroupNorm(4)(nn.Conv(16, (3, 3))(x))).mean((1, 2))
        for _ in range(3):
            x = nn.relu(nn.LayerNorm()(nn.Dense(48)(x)))
        return nn.Dense(10, name="head")(x)


@healthy(LINEN)
def linen_relu_after_layer_norm() -> Model:
    """Norms centre the units: each is off for half of the examples, none for all."""
    return classifier(Groups(), images(16, 6)).shows(ratio("Dense_0/kernel", "Dense_2/kernel", 0.1, 10))


@healthy(LINEN)
def linen_bfloat16() -> Model:
    """Products in bfloat16."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(4):
                x = nn.relu(nn.Dense(48, dtype=jnp.bfloat16, kernel_init=he)(x))
            return nn.Dense(10, name="head")(x)

    return classifier(Net()).shows(ratio("Dense_0", "Dense_3", 0.1, 10))


class TwoHeads(nn.Module):
    """A head for a value that no loss looks at."""

    @nn.compact
    def __call__(self, x):
        """Logits and value."""
        h = nn.relu(nn.Dense(48, name="body", kernel_init=he)(x))
        return nn.Dense(10, name="policy")(h), nn.Dense(1, name="value")(h)


@broken(LINEN, "disconnected", ("value",))
def linen_head_without_a_loss() -> Model:
    """The value head is forgotten in the loss."""
    module, (x, y) = TwoHeads(), blobs()
    loss = lambda p, x, y: cross_entropy(module.apply({"params": p}, x)[0], y)
    return Model(loss, module.init(key(0), x)["params"], (x, y)).shows(zeros("value"), norm("body", 1e-3))


@broken(LINEN, "init_too_small", tuple(f"Conv_{i}" for i in range(16)))
def linen_convolutions_of_hundredths() -> Model:
    """N(0, 0.01²) in sixteen convolutions of 32 channels: 0.12 per layer."""

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(16):
                x = nn.relu(nn.Conv(32, (3, 3), kernel_init=gaussian(0.01))(x))
            return nn.Dense(10, name="head")(x.mean((1, 2)))

    return classifier(Net(), images(4, 5)).shows(norm("head/kernel", 0, 1e-8))


@healthy(LINEN)
def linen_regression_with_has_aux() -> Model:
    """A regression that hands out its predictions."""
    module, (x, _) = MLP(2, nn.tanh, lecun, outputs=1), blobs()
    y = jnp.sin(x @ normal(5, 16, 1) / 4)
    loss = lambda p, x, y: (mse(out := module.apply(p, x), y), out)
    return Model(loss, module.init(key(0), x), (x, y)).with_options(has_aux=True).shows(ratio("Dense_0", "head", 0.05, 10))
