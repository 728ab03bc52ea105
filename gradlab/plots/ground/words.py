"""What axes, legends and captions call things: the column's name in the frame, the field's name in a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab._formats import FORMATS, SHORT_FORMATS
from gradlab.config import REGISTRIES
from gradlab.plots.ground.glyphs import drawable

NAMES: dict[str, str] = {
    "relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "selu": "SELU", "gelu": "GELU", "silu": "SiLU",
    "hard_tanh": "hard tanh", "pytorch": "PyTorch default", "standard_uniform": "standard uniform",
    "gaussian": "Gaussian", "dyt": "DyT", "mup": "muP", "ntk": "NTK",
    "softmax_cross_entropy": "cross-entropy", "mse": "mean squared error", "mlp": "MLP",
    "sgd": "SGD", "nesterov": "Nesterov", "rmsprop": "RMSProp", "adam": "Adam", "adamw": "AdamW",
    "muon": "Muon", "lion": "Lion", "schedule_free": "schedule-free AdamW", "sign": "sign of the gradient",
    **{
        f"{short}_{kind}": f"{long} {kind}"
        for short, long in (("xavier", "Xavier"), ("he", "He"), ("lecun", "LeCun"))
        for kind in ("normal", "uniform", "truncated")
    },
}  # fmt: skip

#: Coordinates as they stand on an axis, with their unit.
COORDINATES: dict[str, str] = {
    "layer": "layer (1 = next to the input)",
    "from_loss": "layers from the loss (1 = last hidden)",
    "depth": "depth [hidden layers]",
    "width": "width [units]",
    "batch": "batch [examples]",
    "init": "initialiser",
    "step": "training step",
    "epoch": "epoch",
    "gain": "gain (factor on the std of the weights)",
    "sigma_w2": r"$\sigma_w^2$ (fan-in × weight variance)",
    "sigma_b2": r"$\sigma_b^2$ (bias variance)",
    "std": "standard deviation of the weights",
    "optimizer": "optimiser",
    "learning_rate": "learning rate (the largest of its schedule)",
    "momentum": "momentum",
    "weight_decay": "weight decay",
    "dropout": "dropout rate  [share]",
    "clip_norm": "gradients are clipped to this norm",
}

#: Coordinates inside a sentence, a legend or a header; others stand as their column is called.
SHORT: dict[str, str] = {
    "init": "initialiser", "optimizer": "optimiser", "sigma_w2": "σ_w²", "sigma_b2": "σ_b²", "std": "std of weights",
    "set": "training or test data", "end": "step", "dtype": "precision", "clip_norm": "norm clipped at",
    "clip_value": "entries clipped at", "clip_adaptive": "clipped adaptively at",
}  # fmt: skip
#: Texts that need the name of their coordinate: "before" alone says nothing.
_PREFIXED: tuple[str, ...] = (
    "readout", "norm", "norm_position", "branch", "branch_scale", "padding", "schedule", "run",
)  # fmt: skip
#: What no value of a coordinate means.
_NONE: dict[str, str] = {
    "readout": "readout as the rest", "norm": "no norm", "clip_norm": "no clipping by norm",
    "clip_value": "no clipping by value", "clip_adaptive": "no adaptive clipping", "truncate": "not truncated",
}  # fmt: skip

#: Columns as they stand on an axis and in a caption; ``{loss}`` becomes the unit of the loss.
QUANTITIES: dict[str, tuple[str, str]] = {
    "log10_activation_rms": ("rms activation $a$", "rms activation (forward signal)"),
    "log10_preactivation_rms": ("rms preactivation $z$", "rms preactivation (forward signal)"),
    "log10_delta_rms": (
        r"rms delta $\partial L\,/\,\partial z$  [{loss}]",
        "rms delta, of ∂(loss of one example)/∂(preactivation) over batch and units",
    ),
    "delta_log10_mean": (
        "rms delta of one example  [{loss}]",
        "each example's own rms delta, averaged in the logarithm",
    ),
    "log10_weight_grad_norm": (
        r"weight grad. $\|\partial L\,/\,\partial W\|_F$  [{loss}]",
        "Frobenius norm of the gradient of the mean loss by the weight",
    ),
    "log10_bias_grad_norm": (
        r"bias grad. $\|\partial L\,/\,\partial b\|_2$  [{loss}]",
        "norm of the gradient of the mean loss by the bias",
    ),
    "log10_one_minus_c": ("$1-c$, of two inputs", "1 − c, c the correlation of two inputs' preactivations"),
    "log10_one_minus_token_c": ("$1-c$, of two positions", "1 − c, c the correlation of the stream at two positions"),
    "attention_logit_max": ("largest attention score", "largest attention score before the softmax"),
    "attention_entropy": (
        "attention entropy  [nat]",
        "mean entropy of the weights with which a position sees the others",
    ),
    "log10_query_grad_norm": (
        r"query grad. $\|\partial L\,/\,\partial W_Q\|_F$  [{loss}]",
        "Frobenius norm of the gradient of the mean loss by the query weight",
    ),
    "log10_key_grad_norm": (
        r"key grad. $\|\partial L\,/\,\partial W_K\|_F$  [{loss}]",
        "Frobenius norm of the gradient of the mean loss by the key weight",
    ),
    "log10_value_grad_norm": (
        r"value grad. $\|\partial L\,/\,\partial W_V\|_F$  [{loss}]",
        "Frobenius norm of the gradient of the mean loss by the value weight",
    ),
    "log10_update_ratio": (r"update ratio $\|\Delta W\|/\|W\|$", "norm of the update over norm of the weight"),
    "log10_weight_update_norm": (r"weight update $\|\Delta W\|_F$", "Frobenius norm of the weight's update"),
    "log10_bias_update_norm": (r"bias update $\|\Delta b\|_2$", "norm of the bias's update"),
    "log10_clipped_weight_grad_norm": (
        r"clipped weight grad. $\|\partial L\,/\,\partial W\|_F$  [{loss}]",
        "Frobenius norm of the gradient by the weight after clipping",
    ),
    "log10_clipped_bias_grad_norm": (
        r"clipped bias grad. $\|\partial L\,/\,\partial b\|_2$  [{loss}]",
        "norm of the gradient by the bias after clipping",
    ),
    "gradient_zero_fraction": ("zeros in the gradient  [share]", "share of entries of the gradient that are exactly 0"),
    "gradient_not_finite": ("not finite in the gradient  [entries]", "entries of the gradient that are not finite"),
    "log10_weight_grad_mean_abs": (
        r"mean $|\partial L\,/\,\partial W_{ij}|$  [{loss}]",
        "mean absolute entry of the gradient by the weight",
    ),
    "log10_weight_grad_max_abs": (
        r"max $|\partial L\,/\,\partial W_{ij}|$  [{loss}]",
        "largest absolute entry of the gradient by the weight",
    ),
    "log10_per_example_grad_norm_rms": (
        "weight grad. of one example, rms  [{loss}]",
        "rms over examples of the norm of one example's weight gradient",
    ),
    "log10_abs_loss": ("|mean loss|  [{loss}]", "absolute value of the mean loss"),
    "saturated_fraction": ("saturated units  [share]", "share of activations within 1 % of a limit"),
    "zero_pair_fraction": (
        "pairs without a correlation  [share]",
        "share of pairs of inputs of which one has no signal",
    ),
    "dead_fraction": ("dead units  [share]", "share of units with zero slope on the whole batch"),
    "float32_zero_fraction": ("lost in float32  [share]", "share of non-zero entries of the gradient below 2^−126"),
    **{
        f"{signal}_{side}_{name}": (
            f"{symbol} {side} {name}  [share]",
            f"share of non-zero entries of {meaning} "
            + (
                f"below 2^{FORMATS[name].smallest}".replace("-", "−")
                if side == "below"
                else f"from 2^{FORMATS[name].beyond} on"
            )
            + f", {'the smallest number' if side == 'below' else 'beyond the largest'} of {name}",
        )
        for signal, symbol, meaning in (
            ("activation", "$a$", "the activation"),
            ("delta", r"$\partial L\,/\,\partial z$", "the gradient of the mean loss by the preactivation"),
            ("weight_grad", r"$\partial L\,/\,\partial W$", "the gradient of the mean loss by the weight"),
        )
        for side in ("below", "above")
        for name in SHORT_FORMATS
    },
    "zero_example_fraction": ("examples without gradient  [share]", "share of examples whose gradient is exactly 0"),
    "weight_norm": (r"weight $\|W\|_F$", "Frobenius norm of the weight"),
    "gradient_cosine_mean": ("cosine of two examples' gradients", "mean cosine of two examples' gradients"),
    "inverse_noise_scale": ("1 / noise scale", "squared mean gradient over the trace of its covariance, without bias"),
    "gradient_snr": ("gradient signal to noise", "B ‖mean gradient‖² over the trace of its covariance"),
    "activation_mean_over_rms": ("mean activation / rms", "mean of the activation over its rms"),
    "activation_p98_over_rms": (
        "98th percentile of the activation / rms",
        "98th percentile of the activation over its rms",
    ),
    "log10_train_loss": ("training loss  [{loss}]", "loss on the training data"),
    "log10_test_loss": ("test loss  [{loss}]", "loss on the test data"),
    "train_accuracy": ("training accuracy  [share]", "share of the training data that is classified right"),
    "test_accuracy": ("test accuracy  [share]", "share of the test data that is classified right"),
    "sharpness": ("sharpness  [{loss}]", "largest eigenvalue of the loss's Hessian by the parameters"),
    "preconditioned_sharpness": (
        "preconditioned sharpness",
        "largest eigenvalue of the loss's Hessian, scaled as the optimiser scales its steps",
    ),
    "sharpness_threshold": ("threshold of the sharpness", "sharpness above which steps on a parabola grow"),
    "hessian_products": ("products with the Hessian", "products with the Hessian that one record took"),
}

#: Unit of each loss: a logarithm of a probability is in nats; an inner product with a unit vector has none.
UNITS: dict[str, str] = {"softmax_cross_entropy": "nat", "logistic": "nat", "probe": ""}

BANDS: dict[str, str] = {
    "ci95": "95 % t-interval of the mean over seeds",
    "sd": "mean ± standard deviation over seeds",
    "range": "smallest to largest seed",
}


def named(value: Any) -> str:
    """Return a value of a coordinate in words, as a figure can draw it: ``ReLU``, ``Xavier normal``, ``0.5``."""
    return drawable(spoken(value))


def spoken(value: Any) -> str:
    """Return a value of a coordinate in words, on a page."""
    if value is None or (isinstance(value, (float, np.floating)) and np.isnan(value)):
        return "none"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    name, number = REGISTRIES["activation"].split(str(value))
    return f"{NAMES.get(name, name)} {number:.4g}" if number is not None else NAMES.get(name, name)


def short(column: str) -> str:
    """Return a coordinate inside a sentence: ``optimiser``, ``learning rate``, ``σ_w²``."""
    return SHORT.get(column, column.removeprefix("log10_").replace("_", " "))


def entry(column: str, value: Any) -> str:
    """Return a value in a legend or a header, as a figure can draw it: ``Adam``, ``width 16``, ``no norm``."""
    return drawable(labelled(column, value))


def labelled(column: str, value: Any) -> str:
    """Return a value with what it is a value of, on a page: ``Adam``, ``width 16``, ``σ_w² = 1.5``, ``with bias``."""
    if isinstance(value, str):
        return f"{short(column)} {spoken(value)}" if column in _PREFIXED else spoken(value)
    if isinstance(value, (bool, np.bool_)) and column == "bias":
        return "with bias" if value else "no bias"
    if value is None or value != value:
        return _NONE.get(column, f"no {short(column)}")
    equals = " =" if column in ("sigma_w2", "sigma_b2") else ""
    return f"{short(column)}{equals} {spoken(value)}"


def math(text: str) -> str:
    """Return a text as matplotlib sets it, with its variances as formulas."""
    return text.replace("σ_w²", r"$\sigma_w^2$").replace("σ_b²", r"$\sigma_b^2$")


def axis(column: str, frame: pd.DataFrame | None = None) -> str:
    """Return the label of an axis, with its unit where it has one."""
    if column in COORDINATES:
        return COORDINATES[column]
    if column not in QUANTITIES:
        return drawable(column.removeprefix("log10_").replace("_", " "))
    losses = set() if frame is None or "loss" not in frame else set(frame["loss"].dropna())
    unit = UNITS.get(str(next(iter(losses))), "loss") if len(losses) == 1 else "loss"
    return QUANTITIES[column][0].replace("{loss}", unit).removesuffix("  []")


def described(column: str) -> str:
    """Return the quantity in a caption."""
    return QUANTITIES.get(column, ("", column.removeprefix("log10_").replace("_", " ")))[1]


def listed(words: Iterable[Any]) -> str:
    """Join words: ``a, b and c``."""
    words = [str(w) for w in words]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def change(decades: float) -> str:
    """Say what a quantity does: ``falls by 12 decades``, ``grows 3.2-fold``, ``stays within 1 %``."""
    size = abs(decades)
    if not np.isfinite(decades):
        return "falls to exactly 0" if decades < 0 else "is not finite"
    if size < np.log10(1.01):
        return "stays within 1 %"
    verb = "falls" if decades < 0 else "grows"
    if size < np.log10(1.995):
        return f"{verb} by {100 * abs(10**decades - 1):.2g} %"
    return f"{verb} {10**size:.2g}-fold" if size < 2 else f"{verb} by {size:.3g} decades"


def span(values: Sequence[int], unit: str) -> str:
    """Say how many there are: ``5 seeds``, ``3–5 seeds``."""
    low, high = (min(values), max(values)) if len(values) else (0, 0)
    number = f"{low}" if low == high else f"{low}–{high}"
    return f"{number} {unit}{'' if high == 1 else 's'}"


def setting(frame: pd.DataFrame) -> str:
    """Name what all rows have in common, for a caption: ``digits, batch 128, width 64, cross-entropy, float32``."""
    parts = []
    for name in ("activation", "init", "depth", "width", "data", "batch", "loss", "dtype"):
        if name in frame and len(values := frame[name].dropna().unique()) == 1 and str(values[0]):
            numeric = name in ("depth", "width", "batch")
            parts.append(f"{name} {values[0]}" if numeric else named(values[0]))
    return ", ".join(parts)
