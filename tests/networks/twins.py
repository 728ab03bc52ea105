"""Forward passes written a second time, in plain jnp: what each layer shows, with room for a nudge where its delta is.

``twin(net, params, x, nudges) -> (logits, activations)``: a nudge is added where the delta of a row is taken, so that
the gradient of the loss by it is that delta.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import gradlab as gl

PHI = {"tanh": jnp.tanh, "relu": jax.nn.relu, "gelu": lambda z: jax.nn.gelu(z, approximate=False)}


def twin(net, params, x, nudges):
    """The pass of a network of any architecture."""
    passes = {
        gl.MLP: mlp, gl.ResNet: resnet, gl.ConvNet: convnet, gl.RNN: recurrent, gl.Transformer: transformer,
    }  # fmt: skip
    return passes[type(net)](net, params, x, nudges)


def nudge_shapes(net, x):
    """The shape of each layer's nudge: that of its delta."""
    if isinstance(net, gl.RNN):
        return [(len(x), 2 * net.width if net.cell == "lru" else net.width)] * x.shape[1]
    return [(*x.shape[:-1], width) for width in net.widths]


def deltas(net, params, x, y, loss):
    """Gradients of ``loss(logits, y)`` by the nudges, then (logits, activations)."""
    zeros = [jnp.zeros(shape, x.dtype) for shape in nudge_shapes(net, x)]

    def value(zeros):
        logits, seen = twin(net, params, x, zeros)
        return loss(logits, y), (logits, seen)

    return jax.grad(value, has_aux=True)(zeros)


def affine(p, x):
    """x W + b."""
    return x @ p["weight"] + p["bias"]


def normed(p, x, eps=1e-5):
    """Layer normalisation over the last axis."""
    mean = x.mean(-1, keepdims=True)
    return p["gain"] * (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps) + p["bias"]


def unstacked(run, count):
    """The copies of a run of equal blocks."""
    return [jax.tree.map(lambda v: v[i], run) for i in range(count)]  # noqa: B023


def chain(config, params):
    """The blocks of a network without a stem, each with its activation."""
    blocks = []
    for part in params[:-1]:  # a block, or a run of equal ones
        count = part[0]["weight"].shape[0] if part[0]["weight"].ndim > 2 else None
        blocks += [part] if count is None else unstacked(part, count)
    names = config.activations if len(config.activations) > 1 else config.activations * config.depth
    return [(PHI[name], *block) for name, block in zip(names, blocks, strict=True)]


def mlp(config, params, x, nudges):
    """A weight, a layer norm where there is one, the activation."""
    seen = []
    for (phi, weight, *rest), nudge in zip(chain(config, params), nudges, strict=True):
        z = affine(weight, x) + nudge
        x = phi(normed(rest[0], z) if config.norm else z)
        seen.append(x)
    return affine(params[-1][0], x), seen


def resnet(config, params, x, nudges):
    """Two activations and two weights around which the stream goes; the nudge is on the stream."""
    (stem, _), run, head = params[0], params[1], params[-1][0]
    stream, seen = affine(stem, x), []
    for (_, branch), nudge in zip(unstacked(run, config.depth), nudges, strict=True):
        _, first, _, second = branch
        a = PHI[config.activation](affine(first, PHI[config.activation](stream)))
        stream = stream + config.scale * affine(second, a) + nudge
        seen.append(a)
    return affine(head, stream), seen


def convnet(config, params, x, nudges):
    """Convolutions of images with periodic or zero edges, their mean over positions."""
    k, seen = config.kernel, []
    for (phi, weight, *_), nudge in zip(chain(config, params), nudges, strict=True):
        edges = [(0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)]
        padded = jnp.pad(x, edges, mode="wrap" if config.padding == "periodic" else "constant")
        kernel = weight["weight"].reshape(k, k, x.shape[-1], config.width)
        names = ("NHWC", "HWIO", "NHWC")
        z = jax.lax.conv_general_dilated(padded, kernel, (1, 1), "VALID", dimension_numbers=names)
        x = phi(z + weight["bias"] + nudge)
        seen.append(x)
    return affine(params[-1][-2], x.mean((1, 2))), seen


def recurrent(config, params, x, nudges):
    """A vanilla cell, whose nudge is on the preactivation; an LSTM or a GRU, whose nudge is on the state h."""
    cell, head = params[0], params[-1][0]
    if config.cell == "lru":
        return linear_recurrent(cell, head, x, nudges)
    again, sigma, seen = cell["recurrent"]["weight"], jax.nn.sigmoid, []
    h = c = jnp.zeros((len(x), config.width), x.dtype)
    for t, nudge in enumerate(nudges):
        u, fed = affine(cell["input"], x[:, t]), h @ again
        if config.cell == "rnn":
            h = PHI[config.activation](u + fed + nudge)
        elif config.cell == "lstm":
            i, f, g, o = jnp.split(u + fed, 4, -1)
            c = sigma(f) * c + sigma(i) * jnp.tanh(g)
            h = sigma(o) * jnp.tanh(c) + nudge
        else:
            (ur, uz, un), (hr, hz, hn) = jnp.split(u, 3, -1), jnp.split(fed, 3, -1)
            z = sigma(uz + hz)
            h = (1 - z) * jnp.tanh(un + sigma(ur + hr) * hn) + z * h + nudge
        seen.append(h)
    return affine(head, h), seen


def linear_recurrent(cell, head, x, nudges):
    """A linear recurrent unit in complex numbers; the nudge is on real and imaginary parts of the state."""
    nu, theta = (cell["recurrent"][name] for name in ("nu", "theta"))
    eigenvalues, gamma = jnp.exp(-jnp.exp(nu) + 1j * theta), jnp.sqrt(1 - jnp.exp(-2 * jnp.exp(nu)))
    pairs = lambda v: (lambda parts: parts[0] + 1j * parts[1])(jnp.split(v, 2, -1))
    h, seen = 0, []
    for t, nudge in enumerate(nudges):
        h = eigenvalues * h + gamma * pairs(x[:, t] @ cell["input"]["weight"]) + pairs(nudge)
        seen.append(jnp.concatenate([h.real, h.imag], -1))
    around = x[:, -1] @ cell["skip"]["weight"]
    return affine(head, affine(cell["output"], seen[-1]) + around), seen


def transformer(config, params, x, nudges):
    """Attention and two dense layers around the stream, normalised before each branch."""
    (embed, *_), run, (last, _, head, *_) = params
    time, width, heads = x.shape[1], config.width, config.heads
    even = np.arange(width) % 2 == 0
    angle = np.arange(time)[:, None] * 10000.0 ** (-2 * (np.arange(width) // 2) / width)
    stream = affine(embed, x) + jnp.asarray(np.where(even, np.sin(angle), np.cos(angle)))
    seen = []
    for ((_, (norm, attend)), (_, (second, forward))), nudge in zip(unstacked(run, config.depth), nudges, strict=True):
        a = normed(norm, stream)
        split = lambda v: v.reshape(*v.shape[:2], heads, width // heads).swapaxes(1, 2)
        key = a @ attend["key"]["weight"]
        q, k, v = split(affine(attend["query"], a)), split(key), split(affine(attend["value"], a))
        share = jax.nn.softmax(q @ k.swapaxes(-1, -2) / (width // heads) ** 0.5, -1)
        stream = stream + affine(attend["output"], (share @ v).swapaxes(1, 2).reshape(stream.shape))
        inside, _, outside = forward
        a = PHI[config.activation](affine(inside, normed(second, stream)))
        stream = stream + affine(outside, a) + nudge
        seen.append(a)
    return affine(head, normed(last, stream).mean(1)), seen
