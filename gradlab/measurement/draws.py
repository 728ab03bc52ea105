"""Draw the weights of networks that share their draws: base draws, multiplied by the scales of each variant."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import numpy as np

from gradlab.core.initializers import BIAS_FOLD, PROBE_FOLD, READOUT_FOLD
from gradlab.core.keys import fold_in
from gradlab.core.losses import probes
from gradlab.core.random import numpy_for, placed, stacked
from gradlab.networks.stack import runs_of


class Variant(NamedTuple):
    """Hold what may differ among networks that share a product: the activation and the scales of the draws."""

    activation: str
    weight_std: tuple[float, ...]  # for each shape of a weight, hidden layers then readout
    bias_std: tuple[float, ...]


@functools.lru_cache(maxsize=64)
def draw_program(
    family: tuple, variants: tuple[Variant, ...], shapes: tuple[tuple[int, int], ...], loss: str, batch: int, dtype: str
):
    """Make the function that draws the parameters of a group, and probe vectors, from a key."""
    width, bias, weight_family, bias_family, head_family = family
    *hidden, head = shapes
    base, base_bias, base_head = weight_family.draw, bias_family.draw, head_family.draw
    stds = np.array([v.weight_std for v in variants])
    bias_stds = np.array([v.bias_std for v in variants])

    def block(key, shape, column, draw=base):
        params = {"weight": draw(key, shape, dtype), "gain": np.asarray(stds[:, column], dtype)}
        if bias:
            scale = np.asarray(bias_stds[:, column, None], dtype)
            noise = np.zeros((1, shape[1]), dtype)
            if scale.any():
                noise = base_bias(fold_in(key, BIAS_FOLD), (1, shape[1]), dtype)
            params["bias"] = numpy_for(key).multiply(scale, noise)
        return params, {}

    widths = tuple(fan_out for _, fan_out in hidden)
    constant = not isinstance(width, tuple)

    def draw(key):
        layer_key = lambda i: fold_in(key, i)
        params = [block(layer_key(1), hidden[0], 0)]
        for _, number, count in runs_of(widths):
            column = 1 if constant else number - 1
            shape = hidden[number - 1]
            if count:
                layers = range(number, number + count)
                params.append(stacked(lambda _, block_key: block(block_key, shape, column), key, layers))  # noqa: B023
            else:
                params.append(block(layer_key(number), shape, column))
        params.append(block(layer_key(READOUT_FOLD), head, -1, base_head))
        probe = probes(layer_key(PROBE_FOLD), batch, head[1], dtype) if loss == "probe" else None
        return jax.tree.map(placed, tuple(params)), probe

    return draw
