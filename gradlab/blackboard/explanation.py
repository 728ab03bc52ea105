"""The records of a worked example: each number of one forward and backward pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ExplainedLayer:
    """Hold the numbers of one layer: a weight, its bias and the activation behind it.

    Rows are examples; everything is float64.

    Parameters
    ----------
    name : str
        Name of the layer, as in the frame.
    activation : str
        Name of its activation; "identity" where there is none.
    inputs : ndarray, shape (batch, fan_in)
        What the layer receives: x, or the activations of the layer before.
    weight : ndarray, shape (fan_in, width)
        Weight W.
    bias : ndarray, shape (width,), or None
        Bias b.
    z : ndarray, shape (batch, width)
        Preactivation, z = inputs W + b.
    a : ndarray, shape (batch, width)
        Activation, a = phi(z).
    slope : ndarray, shape (batch, width)
        Derivative of the activation, phi'(z).
    signal_grad : ndarray, shape (batch, width)
        Gradient of the mean loss by a.
    delta : ndarray, shape (batch, width)
        Gradient of the mean loss by z.
    weight_grad : ndarray, shape (fan_in, width)
        Gradient of the mean loss by W.
    bias_grad : ndarray, shape (width,), or None
        Gradient of the mean loss by b.
    """

    name: str
    activation: str
    inputs: np.ndarray
    weight: np.ndarray
    bias: np.ndarray | None
    z: np.ndarray
    a: np.ndarray
    slope: np.ndarray
    signal_grad: np.ndarray
    delta: np.ndarray
    weight_grad: np.ndarray
    bias_grad: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Explanation:
    """Hold the forward and the backward pass of a small network, as `gradlab.explain` returns it.

    ``print(explanation)`` shows it in 80 columns; a notebook shows its Markdown.

    Parameters
    ----------
    x : ndarray, shape (batch, features)
        Examples, one in each row.
    y : ndarray, shape (batch,) or (batch, outputs)
        Labels or targets.
    loss : str
        Name of the loss.
    value : float
        Mean loss over the examples.
    layers : tuple of ExplainedLayer
        From the input to the output.
    digits : int
        Significant digits of the largest number of each matrix.
    """

    x: np.ndarray
    y: np.ndarray
    loss: str
    value: float
    layers: tuple[ExplainedLayer, ...]
    digits: int = 4

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the number of inputs, then that of the units of each layer: (2, 2, 1)."""
        return (self.x.shape[1], *(layer.weight.shape[1] for layer in self.layers))

    @property
    def targets(self) -> np.ndarray:
        """Return the targets, of shape (batch, outputs); a label becomes a row with a single 1."""
        return np.eye(self.sizes[-1])[self.y] if self.y.ndim == 1 else self.y

    def __repr__(self) -> str:
        return f"Explanation({'-'.join(map(str, self.sizes))}, loss={self.value:.{self.digits}g})"

    def __str__(self) -> str:
        from gradlab.blackboard.text import to_text

        return to_text(self)

    def to_markdown(self) -> str:
        """Return the example as Markdown, with its formulas in LaTeX between dollar signs."""
        from gradlab.blackboard.latex import to_markdown

        return to_markdown(self)

    _repr_markdown_ = to_markdown

    def to_latex(self, document: bool = True) -> str:
        """Return the example as LaTeX.

        Parameters
        ----------
        document : bool
            True: a whole document, which pdflatex compiles. False: its body, to be included in a document that loads
            amsmath.
        """
        from gradlab.blackboard.latex import to_latex

        return to_latex(self, document)
