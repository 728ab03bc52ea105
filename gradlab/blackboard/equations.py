"""The equations of a worked example, in the order of the blackboard; text and LaTeX lay them out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradlab.blackboard.explanation import ExplainedLayer, Explanation
from gradlab.blackboard.formulas import LOSSES, Written

#: What multiplies two matrices entry by entry.
TIMES = Written("∘", r"\circ")
_PLUS, _MINUS, _TRANSPOSED = Written("+", "+"), Written("−", "-"), Written("ᵀ", r"^{\top}")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True, eq=False)
class Matrix:
    """Hold the numbers of a matrix, in an equation."""

    values: np.ndarray


@dataclass(frozen=True)
class Scalar:
    """Hold a single number, in an equation."""

    value: float


#: A part of an equation: a sign, or numbers.
Term = Written | Matrix | Scalar


@dataclass(frozen=True, eq=False)
class Equation:
    """Hold one line of the blackboard: a name, its formula, then the same with numbers, each behind an equals sign."""

    name: Written
    formula: Written
    sides: tuple[tuple[Term, ...], ...]


@dataclass(frozen=True, eq=False)
class Step:
    """Hold the equations that belong together, under a heading."""

    heading: str
    equations: tuple[Equation, ...]


def symbol(letter: str, number: int | None = None) -> Written:
    """Write a letter with the number of its layer: ``W₁``."""
    tex = {"δ": r"\delta"}.get(letter, letter)
    if number is None:
        return Written(letter, tex)
    return Written(f"{letter}{str(number).translate(_SUBSCRIPTS)}", f"{tex}_{{{number}}}")


def gradient(name: Written) -> Written:
    """Write the partial derivative of the loss by a quantity."""
    return Written(f"∂L/∂{name.text}", rf"\partial L/\partial {name.tex}")


def joined(*parts: Written | str) -> Written:
    """Put parts of a formula side by side; a text stands for itself in both forms."""
    both = [part if isinstance(part, Written) else Written(part, part) for part in parts]
    return Written("".join(part.text for part in both), "".join(part.tex for part in both))


def forward(explanation: Explanation) -> Iterator[Step]:
    """Yield the steps from the input to the loss."""
    for number, layer in enumerate(explanation.layers, 1):
        source = _inputs(number)
        w, b = symbol("W", number), symbol("b", number)
        formula, numbers = joined(source, " ", w), (Matrix(layer.inputs), Matrix(layer.weight))
        if layer.bias is not None:
            formula, numbers = joined(formula, " + ", b), (*numbers, _PLUS, Matrix(layer.bias[None]))
        z = symbol("z", number)
        equations = [Equation(z, formula, (numbers, (Matrix(layer.z),)))]
        if layer.activation != "identity":
            equations.append(Equation(symbol("a", number), _of("φ", z), ((Matrix(layer.a),),)))
        yield Step(_heading(explanation, number), tuple(equations))
    yield Step("loss", (_loss(explanation),))


def backward(explanation: Explanation) -> Iterator[Step]:
    """Yield the steps from the loss to the first layer's gradients."""
    last = len(explanation.layers)
    for number, layer in reversed(list(enumerate(explanation.layers, 1))):
        equations = list(_delta(explanation, number, layer, last))
        delta, inputs = symbol("δ", number), _inputs(number)
        product = (Matrix(layer.inputs.T), Matrix(layer.delta))
        equations.append(
            Equation(
                gradient(symbol("W", number)), joined(inputs, _TRANSPOSED, " ", delta),
                (product, (Matrix(layer.weight_grad),)),
            )
        )  # fmt: skip
        if layer.bias_grad is not None:
            rows = (
                delta if len(layer.delta) == 1 else joined(Written("sum of the rows of ", r"\mathbf 1^{\top}"), delta)
            )
            equations.append(Equation(gradient(symbol("b", number)), rows, ((Matrix(layer.bias_grad[None]),),)))
        yield Step(_heading(explanation, number), tuple(equations))


def _heading(explanation: Explanation, number: int) -> str:
    return "readout" if number == len(explanation.layers) else f"layer {number}"


def _inputs(number: int) -> Written:
    return symbol("x") if number == 1 else symbol("a", number - 1)


def _of(function: str, argument: Written) -> Written:
    return joined(Written(function, {"φ": r"\varphi", "φ′": r"\varphi'"}[function]), "(", argument, ")")


def _loss(explanation: Explanation) -> Equation:
    value = LOSSES[explanation.loss].value
    mean = Written("mean of ", r"\text{mean of } ") if len(explanation.x) > 1 else Written("", "")
    return Equation(symbol("L"), joined(mean, value), ((Scalar(explanation.value),),))


def _delta(explanation: Explanation, number: int, layer: ExplainedLayer, last: int) -> Iterator[Equation]:
    """Yield the delta of a layer: at the output from the loss, elsewhere from the layer behind it."""
    delta, z = symbol("δ", number), symbol("z", number)
    linear = layer.activation == "identity"
    signal = z if linear else symbol("a", number)
    if number == last:
        formula, numbers = _at_the_output(explanation, layer)
        yield Equation(delta if linear else gradient(signal), formula, (*numbers, (Matrix(layer.signal_grad),)))
    else:
        behind = explanation.layers[number]
        formula = joined(symbol("δ", number + 1), " ", symbol("W", number + 1), _TRANSPOSED)
        product = (Matrix(behind.delta), Matrix(behind.weight.T))
        yield Equation(delta if linear else gradient(signal), formula, (product, (Matrix(layer.signal_grad),)))
    if not linear:
        formula = joined(gradient(signal), Written(f" {TIMES.text} ", rf" {TIMES.tex} "), _of("φ′", z))
        yield Equation(
            delta, formula, ((Matrix(layer.signal_grad), TIMES, Matrix(layer.slope)), (Matrix(layer.delta),))
        )


def _at_the_output(explanation: Explanation, layer: ExplainedLayer) -> tuple[Written, tuple[tuple[Term, ...], ...]]:
    """Return the formula of the gradient by the outputs, and its numbers before the subtraction."""
    loss, examples = LOSSES[explanation.loss], len(explanation.x)
    target = explanation.targets
    share = Written("", "") if examples == 1 else Written(f" / {examples}", f" / {examples}")
    if explanation.loss == "probe":
        return joined(loss.target, share), ()
    # what the target is subtracted from: the outputs, or the probabilities that belong to this gradient
    guess = layer.a if loss.guess is None else examples * layer.signal_grad + target
    first = symbol("o") if loss.guess is None else loss.guess
    difference = joined(first, Written(" − ", " - "), loss.target)
    numbers: tuple[Term, ...] = (Matrix(guess), _MINUS, Matrix(target))
    if examples > 1:
        opened, closed = Written("(", r"\Bigl("), Written(f") / {examples}", rf"\Bigr) / {examples}")
        return joined("(", difference, ")", share), ((opened, *numbers, closed),)
    return difference, (numbers,)
