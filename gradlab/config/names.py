"""Built-in names, other spellings of them, and the registries that know a user's own."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

from gradlab._errors import unknown
from gradlab._formats import SHORT_FORMATS
from gradlab.config.registry import Parameter, Registry

#: Built-in names; the tables in `gradlab.core` are tested to be complete against these.
ACTIVATIONS: tuple[str, ...] = (
    "identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu",
    "softplus", "softsign", "hard_tanh", "erf",
)  # fmt: skip
#: Activations behind whose name a number may stand, as in ``leaky_relu:0.18``.
PARAMETERS: dict[str, Parameter] = {
    # a slope beyond 1 is the mirror image of one within, times a factor
    "leaky_relu": Parameter("slope below 0", 0.01, -1.0, 1.0),
    "elu": Parameter("depth of the left side", 1.0, 0.0, 100.0),
}
INITIALIZERS: tuple[str, ...] = (
    "xavier_normal", "xavier_uniform", "xavier_truncated",
    "he_normal", "he_uniform", "he_truncated",
    "lecun_normal", "lecun_uniform", "lecun_truncated",
    "orthogonal", "delta_orthogonal", "pytorch", "standard_uniform", "gaussian", "critical", "identity",
    "zeros", "constant",
)  # fmt: skip
LOSSES: tuple[str, ...] = ("softmax_cross_entropy", "mse", "logistic", "probe")
ARCHITECTURES: tuple[str, ...] = ("mlp", "resnet", "convnet", "rnn", "transformer")
DATASETS: tuple[str, ...] = (
    "digits", "gaussian", "circle", "spirals", "mnist1d", "digits_images", "digits_rows", "mnist1d_steps",
    "adding", "copying", "characters",
)  # fmt: skip
OPTIMIZERS: tuple[str, ...] = (
    "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "muon", "lion", "schedule_free", "sign",
)  # fmt: skip
SCHEDULES: tuple[str, ...] = ("constant", "linear", "cosine")
DTYPES: tuple[str, ...] = ("float32", "float64")
#: Those that a measurement takes: in a short one weights and signals are rounded on the way forward.
MEASURED_DTYPES: tuple[str, ...] = (*DTYPES, *SHORT_FORMATS)

#: Other spellings that users know, and the name each stands for.
ALIASES: dict[str, str] = {
    "glorot_normal": "xavier_normal",
    "glorot_uniform": "xavier_uniform",
    "glorot_truncated": "xavier_truncated",
    "kaiming_normal": "he_normal",
    "kaiming_uniform": "he_uniform",
    "ones": "constant",
    "linear": "identity",
    "swish": "silu",
    "cross_entropy": "softmax_cross_entropy",
}

#: What a user can add to, by `gradlab.register_activation` and `gradlab.register_initializer`. `gradlab.core` fills in
#: the built-in entries.
REGISTRIES: dict[str, Registry] = {
    "activation": Registry("activation", ACTIVATIONS, ALIASES, PARAMETERS),
    "initializer": Registry("initializer", INITIALIZERS, ALIASES),
}


def resolve(kind: str, name: str, names: Sequence[str]) -> str:
    """Return the canonical form of `name`, or raise an error that lists the nearest right names."""
    if kind in REGISTRIES:
        return REGISTRIES[kind].resolve(name)
    is_alias = isinstance(name, str) and name not in names  # "linear" is a schedule, and an alias of an activation
    canonical = ALIASES.get(name, name) if is_alias else name
    if canonical not in names:
        raise unknown(kind, name, names)
    return canonical


def one_after_another(names: Iterable[str]) -> str:
    """Names in their order, with how often each follows itself: ``tanh, relu x 2``."""
    runs = [(name, len(list(same))) for name, same in itertools.groupby(names)]
    return ", ".join(name if count == 1 else f"{name} x {count}" for name, count in runs)


def content_hash(value: Any, length: int = 12) -> str:
    """Hexadecimal SHA-256 of `value` as canonical JSON, cut to `length` digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
