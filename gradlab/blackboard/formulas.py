"""How activations and losses are written on a blackboard, in plain text and in LaTeX.

The plain text is also a Python expression once ``·``, ``−`` and ``²`` are replaced, so that a test can compute it.
"""

from __future__ import annotations

from typing import NamedTuple

from gradlab.config import REGISTRIES


class Written(NamedTuple):
    """Hold one formula in plain text and in LaTeX."""

    text: str
    tex: str


class Function(NamedTuple):
    """Hold an activation phi(z) and its derivative; `a` stands for phi(z)."""

    phi: Written
    slope: Written


def _either(text: str, tex: str, otherwise: str = "0", otherwise_tex: str = "0", where: str = "z > 0") -> Written:
    """Write a formula that holds on one side of a kink, with what holds on the other side."""
    condition = where.replace("|z|", r"\lvert z\rvert")
    return Written(
        f"{text} where {where}, else {otherwise}",
        rf"\begin{{cases}}{tex} & {condition}\\{otherwise_tex} & \text{{else}}\end{{cases}}",
    )


_ONE = Written("1", "1")
_SIGMOID = Written("1 / (1 + exp(−z))", r"1/(1 + e^{-z})")

#: Name of an activation -> how it is written.
ACTIVATIONS: dict[str, Function] = {
    "identity": Function(Written("z", "z"), _ONE),
    "sigmoid": Function(_SIGMOID, Written("a · (1 − a)", r"a\,(1 - a)")),
    "tanh": Function(Written("tanh(z)", r"\tanh z"), Written("1 − a²", "1 - a^2")),
    "relu": Function(Written("max(0, z)", r"\max(0, z)"), _either("1", "1")),
    "leaky_relu": Function(
        _either("z", "z", "0.01 · z", r"0.01\,z"), _either("1", "1", "0.01", "0.01"),
    ),
    "elu": Function(
        _either("z", "z", "exp(z) − 1", "e^z - 1"), _either("1", "1", "exp(z)", "e^z"),
    ),
    "selu": Function(
        _either("1.0507 · z", r"1.0507\,z", "1.7581 · (exp(z) − 1)", r"1.7581\,(e^z - 1)"),
        _either("1.0507", "1.0507", "1.7581 · exp(z)", r"1.7581\,e^z"),
    ),
    "gelu": Function(
        Written("z · Φ(z)", r"z\,\Phi(z)"),
        Written("Φ(z) + z · exp(−z² / 2) / sqrt(2 · π)", r"\Phi(z) + z\,e^{-z^2/2}/\sqrt{2\pi}"),
    ),
    "silu": Function(
        Written("z · σ(z)", r"z\,\sigma(z)"),
        Written("σ(z) + z · σ(z) · (1 − σ(z))", r"\sigma(z) + z\,\sigma(z)\,(1 - \sigma(z))"),
    ),
    "softplus": Function(Written("log(1 + exp(z))", r"\log(1 + e^z)"), _SIGMOID),
    "softsign": Function(
        Written("z / (1 + |z|)", r"z/(1 + \lvert z\rvert)"),
        Written("1 / (1 + |z|)²", r"1/(1 + \lvert z\rvert)^2"),
    ),
    "hard_tanh": Function(
        Written("max(−1, min(1, z))", r"\max(-1, \min(1, z))"), _either("1", "1", where="|z| < 1"),
    ),
    "erf": Function(
        Written("erf(z)", r"\operatorname{erf} z"),
        Written("2 / sqrt(π) · exp(−z²)", r"2/\sqrt\pi\; e^{-z^2}"),
    ),
}  # fmt: skip


def function_of(name: str) -> Function | None:
    """Return how an activation is written; None for one that is not built in."""
    name, number = REGISTRIES["activation"].split(name)
    if number is None:
        return ACTIVATIONS.get(name)
    text = f"{number:.6g}".replace("-", "−")
    tex = text.replace("−", "-")
    if name == "leaky_relu":
        return Function(_either("z", "z", f"{text} · z", rf"{tex}\,z"), _either("1", "1", text, tex))
    return Function(
        _either("z", "z", f"{text} · (exp(z) − 1)", rf"{tex}\,(e^z - 1)"),
        _either("1", "1", f"{text} · exp(z)", rf"{tex}\,e^z"),
    )


#: Names that a reader may not know, with what they stand for.
MEANINGS = {
    "Φ": Written("Φ is the normal distribution function", r"$\Phi$ is the normal distribution function"),
    "σ": Written("σ(z) = 1 / (1 + exp(−z))", r"$\sigma(z) = 1/(1 + e^{-z})$"),
}


class Loss(NamedTuple):
    """Hold a loss: its name in words, its value at the outputs `o`, and the term that delta subtracts a target from."""

    words: str
    value: Written
    #: What stands in the delta before the target is subtracted; None where it is the output itself.
    guess: Written | None
    #: What stands for the target in the delta.
    target: Written


#: Name of a loss -> how it is written. Sums run over outputs, means over examples.
LOSSES: dict[str, Loss] = {
    "mse": Loss("squared error", Written("½ Σ (o − y)²", r"\tfrac12\sum(o - y)^2"), None, Written("y", "y")),
    "softmax_cross_entropy": Loss(
        "cross-entropy of the softmax", Written("−log p(right class)", r"-\log p_{\text{right class}}"),
        Written("softmax(o)", r"\operatorname{softmax}(o)"), Written("onehot(y)", r"\operatorname{onehot}(y)"),
    ),
    "logistic": Loss(
        "logistic loss", Written("Σ log(1 + exp(o)) − y·o", r"\sum\log(1 + e^{o}) - y\,o"),
        Written("σ(o)", r"\sigma(o)"), Written("y", "y"),
    ),
    "probe": Loss(
        "inner product with a random vector u", Written("Σ u·o", r"\sum u\,o"), None, Written("u", "u"),
    ),
}  # fmt: skip
