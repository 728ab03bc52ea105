"""Transformers and recurrent networks in Flax linen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiments.corpus.case import Model, broken, healthy, loss_finite, measured, norm, not_finite, ratio, zeros
from experiments.corpus.linen import LINEN, classifier, gaussian, xavier
from experiments.corpus.nets import cross_entropy, images, key, sequences, tokens


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
            head = lambda name: nn.DenseGeneral(
                (self.heads, self.width // self.heads), name=name, kernel_init=self.start
            )
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
        setting = {
            "width": self.width,
            "post": self.post,
            "start": self.start,
            "dropout": self.dropout,
            "query_gain": self.query_gain,
        }
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
        u = nn.LayerNorm().apply(
            {"params": p["norm_attention"]}, model.params["embed"]["embedding"][model.batch[0][:, :-1]]
        )
        q, k = (jnp.einsum("btd,dhe->bthe", u, p[n]["kernel"]) for n in ("query", "key"))
        return nn.softmax(50 * jnp.einsum("bqhe,bkhe->bhqk", q, k) / math.sqrt(q.shape[-1])).max(-1).mean()

    return language_model(query_gain=math.sqrt(50)).shows(measured("mean largest attention weight", weight, 0.9, 1))


@broken(LINEN, ("attention_logits", "saturation", "init_too_large", "scale", "exploding"), ())
def linen_transformer_of_unit_variance() -> Model:
    """All weights N(0, 1): logits of some hundreds in attention."""
    return language_model(start=gaussian(1.0)).shows(
        measured("std of up", lambda m: m.params["block_0"]["up"]["kernel"].std(), 0.9, 1.1)
    )


def _spoil(leaf: str, layer: int, change) -> Callable[[Any], Any]:
    def edit(params):
        blocks = dict(params["blocks"])
        blocks[leaf] = jax.tree.map(lambda a: a.at[layer].set(change(a[layer])), blocks[leaf])
        return {**params, "blocks": blocks}

    return edit


@broken(LINEN, "nonfinite", ("blocks/up[5]", "blocks/up/kernel[5]"))
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
        x = jnp.concatenate(
            [jnp.broadcast_to(self.param("class", nn.initializers.zeros, (1, 1, 24)), (x.shape[0], 1, 24)), x], 1
        )
        for i in range(2):
            x, _ = Block(24, name=f"block_{i}")(x)
        return nn.Dense(10, name="head", kernel_init=nn.initializers.zeros)(nn.LayerNorm(name="norm")(x)[:, 0])


@healthy(LINEN)
def linen_vision_transformer() -> Model:
    """A head of zeros, as ViT has: at the first step only the head moves."""
    return classifier(Vision(), images(8, 8)).shows(norm("head", 1e-3), zeros("block_0/up"))
