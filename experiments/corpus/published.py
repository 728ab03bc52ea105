"""What published rules say of the same models: their thresholds, on what one look at the start of training gives.

Each function is one tool's rules as its source states them. They are handed the signals that gradlab measured, layers
in their true order and names, which the tools do not have. Two things differ: the root mean square of a gradient
stands where a tool takes the mean of its absolute values (of Gaussian entries four fifths of it), and shares of
saturated units are within 1 % of a limit. Rules on a course of training, on accuracy, or on what an initialisation was
meant to be have nothing to look at here and are left out; so are update ratios, for want of an optimiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LIMITED = ("tanh", "sigmoid", "logistic", "hard_sigmoid", "hard_tanh")


@dataclass(frozen=True)
class Signals:
    """What the rules look at.

    Parameters
    ----------
    gradient_rms, gradient_norm, gradient_zeros, gradient_finite : ndarray, one for each weight
        Of weights with two axes and more, from input to output; in the working precision.
    weight_variance : ndarray
    zeros, dead, saturated, size, limited : ndarray, one for each activation
        The share of zeros, the share of units that are 0 on the batch, the saturated share, rms, and whether it has
        two limits.
    deltas : ndarray
        Rms delta of each product, from input to output.
    """

    gradient_rms: np.ndarray
    gradient_norm: np.ndarray
    gradient_zeros: np.ndarray
    gradient_finite: np.ndarray
    weight_variance: np.ndarray
    zeros: np.ndarray
    dead: np.ndarray
    saturated: np.ndarray
    size: np.ndarray
    limited: np.ndarray
    deltas: np.ndarray

    @classmethod
    def of(cls, evidence: Any) -> Signals:
        """From the evidence of a diagnosis, its first sample."""
        first = lambda column: np.asarray(column[0], float)
        weights = [i for i, p in enumerate(evidence.parameters) if len(p.shape) >= 2]
        size = np.array([np.prod(evidence.parameters[i].shape) for i in weights], float)
        gradient = lambda name: first(evidence.gradient(name, exact=False))[weights]
        norm = 10.0 ** gradient("log10_grad_norm")
        acts = [i for i, p in enumerate(evidence.places) if p.site.kind == "activation"]
        signal = lambda name, at: first(evidence.signal(name, exact=False))[at]
        products = [i for i, p in enumerate(evidence.places) if p.site.kind == "product"]
        return cls(
            gradient_rms=norm / np.sqrt(size),
            gradient_norm=norm,
            gradient_zeros=gradient("grad_zero_fraction"),
            gradient_finite=gradient("grad_not_finite") == 0,
            weight_variance=(10.0 ** gradient("log10_weight_norm")) ** 2 / size,
            zeros=signal("value_zero_fraction", acts),
            dead=signal("dead_fraction", acts),
            saturated=signal("saturated_fraction", acts),
            size=10.0 ** signal("log10_value_rms", acts),
            limited=np.array([evidence.places[i].site.function in LIMITED for i in acts], bool),
            deltas=10.0 ** signal("log10_delta_rms", products),
        )


def sagemaker_debugger(s: Signals) -> set[str]:
    """AWS developer guide, built-in rules: VanishingGradient, ExplodingTensor, DeadRelu, Saturation, PoorWeight…"""
    found = {"vanishing"} if np.any(s.gradient_rms < 1e-7) else set()
    found |= {"exploding"} if not s.gradient_finite.all() else set()
    found |= {"dead"} if np.any(s.dead[~s.limited] > 0.5) else set()
    found |= {"saturation"} if np.any(s.saturated[s.limited] > 0.5) else set()
    variance = s.weight_variance[np.isfinite(s.weight_variance)]
    spread = variance.max() / variance.min() if len(variance) and variance.min() > 0 else np.inf
    return found | ({"initialisation"} if len(variance) > 1 and spread > 10 else set())


def autotrainer(s: Signals) -> set[str]:
    """AutoTrainer, ``utils/monitor.py``: first over last kernel gradient; its rule on accuracy taken as passed."""
    if not s.gradient_finite.all():
        return {"exploding"}
    found = set()
    if len(s.gradient_norm) > 1:
        with np.errstate(all="ignore"):
            ratio = s.gradient_norm[0] / s.gradient_norm[-1]
        found |= {"vanishing"} if ratio < 1e-3 and s.gradient_norm[0] < 1e-4 else set()
        found |= {"exploding"} if ratio > 70 else set()
    return found | ({"dead"} if np.any(s.gradient_zeros >= 0.7) else set())


def deep_diagnosis(s: Signals) -> set[str]:
    """DeepDiagnosis: absolute gradients; shares of outputs and inputs; the variance of weights."""
    found = {"vanishing"} if np.any(s.gradient_rms < 1e-7) else set()
    found |= {"exploding"} if not s.gradient_finite.all() or np.any(s.gradient_rms == 0) else set()
    found |= {"dead"} if np.any(s.zeros[~s.limited] >= 0.7) else set()
    found |= {"saturation"} if np.any(s.saturated[s.limited] > 0.5) else set()
    outside = (s.weight_variance < 1e-5) | (s.weight_variance > 10)
    return found | ({"initialisation"} if np.any(outside) else set())


def the_deep_checker(s: Signals) -> set[str]:
    """TheDeepChecker, ``settings.yaml``: absolute gradients; units that are never on."""
    found = {"vanishing"} if np.any(s.gradient_rms < 1e-6) else set()
    found |= {"exploding"} if np.any(s.gradient_rms > 1e6) or not s.gradient_finite.all() else set()
    found |= {"dead"} if np.any(s.dead[~s.limited] > 0.5) else set()
    return found | ({"saturation"} if np.any(s.saturated[s.limited] > 0.85) else set())


def dlcheck(s: Signals) -> set[str]:
    """DLCheck: norms of gradients, zeros skipped; zeros of activations; mean size of tanh and sigmoid."""
    found = {"vanishing"} if np.any((s.gradient_norm < 1e-7) & (s.gradient_norm > 0)) else set()
    found |= {"exploding"} if np.any(s.gradient_norm > 1e6) or not s.gradient_finite.all() else set()
    found |= {"dead"} if np.any(s.zeros[~s.limited] > 0.95) else set()
    odd = (s.size > 0.95) | (s.size < 0.05)
    return found | ({"saturation"} if np.any(odd & s.limited) else set())


def torchmortem(s: Signals) -> set[str]:
    """torchmortem: deltas from the last layer to the first, and their size; dead units."""
    deltas = s.deltas[np.isfinite(s.deltas)]
    found = set()
    if len(deltas) > 1:
        with np.errstate(all="ignore"):
            found |= {"vanishing"} if deltas[-1] / deltas[0] >= 100 else set()
        found |= {"exploding"} if np.any(deltas > 1000) else set()
    found |= {"exploding"} if len(deltas) < len(s.deltas) else set()
    return found | ({"dead"} if np.any(s.dead > 0.5) else set())


RULES: dict[str, Callable[[Signals], set[str]]] = {
    "SageMaker Debugger": sagemaker_debugger,
    "AutoTrainer": autotrainer,
    "DeepDiagnosis": deep_diagnosis,
    "TheDeepChecker": the_deep_checker,
    "DLCheck": dlcheck,
    "torchmortem": torchmortem,
}

#: Which of our kinds their words may stand for, widely.
MEANS: dict[str, frozenset[str]] = {
    "vanishing": frozenset(
        ("vanishing", "init_too_small", "underflow", "below_epsilon", "dead", "dead_layer", "disconnected", "frozen")
    ) | {"saturation", "collapse", "scale", "normalisation"},
    "exploding": frozenset(("exploding", "init_too_large", "nonfinite", "scale", "shattered", "attention_logits")),
    "dead": frozenset(("dead", "dead_layer", "disconnected", "frozen", "symmetric", "normalisation", "underflow")),
    "saturation": frozenset(("saturation", "init_too_large", "scale", "attention_logits")),
    "initialisation": frozenset(("init_too_small", "init_too_large", "symmetric", "scale")),
}  # fmt: skip


def right(words: set[str], kinds: tuple[str, ...]) -> bool:
    """Whether what a tool said may stand for one of the right kinds; of a healthy model, whether it said nothing."""
    return any(MEANS[word] & set(kinds) for word in words) if kinds else not words
