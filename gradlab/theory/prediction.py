r"""Predict the columns of the frame for a network, layer by layer, to compare them with what was measured.

Backward columns are relative to the last hidden layer L, whose value is 0: with
:math:`\chi_k = \sigma_w^2(k+1)\,E\phi'(\sqrt{q_k}z)^2` and n_k the units of layer k,

.. math:: \frac{E\,\mathrm{rms}(\delta_l)^2}{E\,\mathrm{rms}(\delta_L)^2} = \prod_{k=l}^{L-1}\frac{n_{k+1}}{n_k}\chi_k.

That is the mean over initialisations of the square (``log10_delta_rms``). Single networks scatter around the
geometric mean instead, which finite width shifts by M/n per layer far from both ends, and layer by layer by
`gradlab.theory.finite_width_terms` (``delta_log10_mean``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab._summary import Shown, Summary, number
from gradlab.core import batch
from gradlab.core.activations import Activation
from gradlab.networks.rules import hidden_rule
from gradlab.theory.finite_width import coefficients
from gradlab.theory.gaussian import check_variances, entry_of, moments
from gradlab.theory.layer_terms import LayerTerms, finite_width_terms
from gradlab.theory.network import check_plain, scales
from gradlab.theory.refusal import Reason, Refusal
from gradlab.theory.trajectories import Transients, correlations, variances
from gradlab.theory.transformer import NO_GEOMETRIC_MEAN, TRANSFORMER_FUNCTIONALS, transformer_columns

#: The columns that theory predicts, and which mean each of them is.
FUNCTIONALS: dict[str, str] = {
    "log10_preactivation_rms": "root of the mean over initialisations of the mean square",
    "log10_activation_rms": "root of the mean over initialisations of the mean square",
    "log10_one_minus_c": "mean over pairs of 1 - c at infinite width",
    "log10_delta_rms": "root of E|delta|^2 over initialisations and examples at infinite width, relative to the last "
    "hidden layer",
    "delta_log10_mean": "geometric mean over initialisations and examples, relative to the last hidden layer",
    "log10_per_example_grad_norm_rms": "root of E|delta|^2 |a|^2 of one example, relative to the last hidden layer",
    "log10_weight_grad_norm": "root of E|delta|^2 |a|^2 of a batch of one, relative to the last hidden layer",
}
#: Base draws whose entries are independent, so that M/n holds to first order.
INDEPENDENT = ("normal", "uniform", "truncated")
#: Largest share of |delta|^2 by which the terms of first order, without the one of the gates, may change a layer. Above
#: it the second order is no longer small beside the scatter of 200 networks (tests/theory/test_layer_terms.py).
SMALL = 0.05
#: The terms are computed for this many examples; the variances of all others begin and continue like theirs.
FEW = 8
#: Pairs of examples that correlations are measured on: 0 with 1, 2 with 3, ...
PAIRS = 32
#: Refusals whose sentence is always the same.
CORRELATED = Refusal(Reason.CORRELATED_EXAMPLES, "the sum over examples depends on how their deltas are correlated")
ONE_VARIANCE = Refusal(
    Reason.ONE_VARIANCE_PER_LAYER, "it needs the variances of each example, and q= has one for each layer"
)
NO_PAIR = Refusal(Reason.NO_PAIR, "no pair of inputs: x with two examples, or c0=")
MEASURED_VARIANCES = Refusal(Reason.MEASURED_VARIANCES, "the variances are measured ones")


@dataclass(frozen=True)
class Prediction(Shown):
    """Hold what theory expects in each layer of a network.

    Parameters
    ----------
    activation, init : str
        Names of the network's activation and initialiser.
    layer : ndarray of int
        Numbers of the layers: 1 ... L, then the readout L + 1.
    columns : mapping of str to ndarray
        Predicted columns by their names in the frame, one value for each layer. Backward columns are NaN at the
        readout.
    functional : mapping of str to str
        Which mean each column is: of squares or geometric, with or without finite width.
    refused : mapping of str to Refusal
        Columns that theory cannot predict here, with the reason.
    sigma_w2, sigma_b2 : ndarray
        Fan-in times the weight variance, and the bias variance, of each layer.
    measured : bool
        Whether backward columns follow from variances that were measured.
    no_finite_width : Refusal or None
        Why ``delta_log10_mean`` lacks the term M/n or a part of it; None where the term is there.
    """

    activation: str
    init: str
    layer: np.ndarray
    columns: Mapping[str, np.ndarray]
    functional: Mapping[str, str]
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    sigma_w2: np.ndarray = field(default_factory=lambda: np.empty(0))
    sigma_b2: np.ndarray = field(default_factory=lambda: np.empty(0))
    measured: bool = False
    no_finite_width: Refusal | None = None

    @property
    def basis(self) -> str:
        """Name what accounts for finite width in ``delta_log10_mean``: "measured q", "M/n" or "none"."""
        return "measured q" if self.measured else "M/n" if self.no_finite_width is None else "none"

    def decades(self, column: str = "log10_delta_rms") -> float:
        """Return a backward column at the first hidden layer minus at the last, in decades."""
        return float(self.columns[column][0] - self.columns[column][len(self.layer) - 2])

    def rate_of(self, column: str = "log10_delta_rms") -> float:
        """Return the factor per layer toward the input, over layers 1 to L; NaN for one hidden layer."""
        steps = len(self.layer) - 2
        return float(10 ** (self.decades(column) / steps)) if steps else float("nan")

    @property
    def rate(self) -> float:
        """Return the factor of the rms delta per layer toward the input; the mean square is over initialisations."""
        return self.rate_of()

    def summary(self) -> Summary:
        """Return the predicted columns layer by layer, as a terminal and a notebook show them."""
        term = {} if self.no_finite_width is None else {"M/n": self.no_finite_width}
        missing = (term | dict(self.refused)).items()
        facts = [*self.functional.items(), *((f"no {name}", f"{why}; try {why.advice}") for name, why in missing)]
        values = self.columns.values()
        rows = [[str(layer), *(number(float(v[i])) for v in values)] for i, layer in enumerate(self.layer)]
        return Summary(f"{self.activation} {self.init}: predicted by theory", facts, ["layer", *self.columns], rows)

    def __str__(self) -> str:
        return self.summary().to_text()


def predict(
    net: Any,
    x: Any = None,
    *,
    q0: float | None = None,
    c0: float | None = None,
    q: Any = None,
    outputs: int | None = None,
    columns: Sequence[str] | None = None,
) -> Prediction:
    """Compute the mean field of a network, layer by layer, from its inputs.

    Parameters
    ----------
    net : MLP or Transformer
        A plain fully connected network: no norm, one activation. Or a transformer with layer norms, rms norms or none.
    x : array, shape (batch, features), optional
        The data: each example starts with its own mean square, each pair with its own correlation. A transformer needs
        sequences, (batch, time, features); the first few stand for all.
    q0 : float, optional
        Mean square of an input; give it instead of `x` when there are no data. None: 1.
    c0 : float, optional
        Correlation of two inputs; give it instead of `x` to predict correlations. None: no correlations.
    q : array, shape (..., L), optional
        Measured variances of the preactivations, to be used instead of theory's own. The variance of a layer is
        sigma_w2 times the mean squared activation measured in the layer before, plus sigma_b2; for one network or for
        several. Give it for networks whose variance fluctuates because no fixed point is stable.
    outputs : int, optional
        Units of the readout. None: its forward columns are NaN where its weights depend on it (Xavier).
    columns : sequence of str, optional
        Which columns of `FUNCTIONALS`, or of `TRANSFORMER_FUNCTIONALS`, to compute. None: all that theory can predict
        here.

    Raises
    ------
    GradlabError
        Where mean field does not apply: neither a plain fully connected network nor a transformer with a law, inputs
        that are zero, an activation that is constant or not finite on the real line.

    Examples
    --------
    >>> import gradlab as gl
    >>> sigmoid = predict(gl.MLP(depth=50, width=256, activation="sigmoid", init="xavier_normal"))
    >>> round(sigmoid.rate, 3), round(sigmoid.rate_of("delta_log10_mean"), 3)
    (0.236, 0.235)
    """
    of_transformer = getattr(net, "architecture", None) == "transformer"
    known = TRANSFORMER_FUNCTIONALS if of_transformer else FUNCTIONALS
    wanted = tuple(known) if columns is None else tuple(columns)
    for name in wanted:
        if name not in FUNCTIONALS | TRANSFORMER_FUNCTIONALS:
            raise unknown("column", name, known)
    if of_transformer:
        return _transformer(net, x, {"q0": q0, "c0": c0, "q": q}, outputs, wanted)
    check_plain(net)
    entry = entry_of(net.activation)
    inputs = _inputs(x, q0, c0)
    features = net.widths[0] if x is None else np.shape(x)[1]
    sizes = np.array([features, *net.widths])
    sigma_w2, sigma_b2 = scales(net, sizes, outputs)
    signal = sigma_w2[0] * inputs.q0 + sigma_b2[0]
    check_variances("q0", signal)
    refused: dict[str, Refusal] = {}
    if q is None:
        layers = variances(entry, sigma_w2[:-1], sigma_b2[:-1], np.log(signal))
    else:
        layers = _measured(entry, q, net.depth)
    if not np.all(np.isfinite(layers.log_dphi2)):
        raise GradlabError(
            "an activation with a slope somewhere", f"{entry.name!r}, whose derivative is 0 with probability 1",
            "another activation: through this one no gradient passes",
        )  # fmt: skip
    shift, why = _finite_width(net, entry, sizes[1:], sigma_w2, sigma_b2, layers, q is not None)
    values = _backward(layers, sizes, sigma_w2, inputs, shift, q is not None)
    values |= _forward(layers, sigma_w2[-1], sigma_b2[-1])
    if (x is not None and np.shape(x)[0] > 1) or q is not None:
        values.pop("log10_weight_grad_norm", None)
        refused["log10_weight_grad_norm"] = CORRELATED
    if q is not None:
        values.pop("log10_per_example_grad_norm_rms", None)
        refused["log10_per_example_grad_norm_rms"] = ONE_VARIANCE
    if "log10_one_minus_c" in wanted and inputs.gap is not None and q is None:
        values["log10_one_minus_c"] = _correlation(entry, layers, sigma_w2, sigma_b2, inputs)
    elif "log10_one_minus_c" in wanted:
        refused["log10_one_minus_c"] = NO_PAIR
    texts = {name: FUNCTIONALS[name] for name in FUNCTIONALS if name in wanted and name in values}
    if "delta_log10_mean" in texts:
        texts["delta_log10_mean"] += f", {_width_in_words(net.depth, q is not None, why)}"
    if "log10_delta_rms" in texts and q is not None:
        texts["log10_delta_rms"] += ", from measured variances"
    return Prediction(
        entry.name, net.init, np.arange(1, net.depth + 2), {name: values[name] for name in texts}, texts,
        refused, sigma_w2, sigma_b2, q is not None, why,
    )  # fmt: skip


def _transformer(
    net: Any, x: Any, given: Mapping[str, Any], outputs: int | None, wanted: tuple[str, ...]
) -> Prediction:
    """Return the prediction for a transformer."""
    values, refused, sigmas = transformer_columns(net, x, given, outputs)
    texts = {name: TRANSFORMER_FUNCTIONALS[name] for name in values if name in wanted}
    return Prediction(
        net.activation, net.init, np.arange(1, net.depth + 2), {name: values[name] for name in texts}, texts,
        {name: why for name, why in refused.items() if name in wanted}, *sigmas, no_finite_width=NO_GEOMETRIC_MEAN,
    )  # fmt: skip


@dataclass(frozen=True)
class _Inputs:
    """Hold the mean squares of the examples; for pairs their two mean squares and half the mean squared difference."""

    q0: np.ndarray
    pairs: tuple[np.ndarray, ...] = ()
    gap: np.ndarray | None = None


def _inputs(x: Any, q0: float | None, c0: float | None) -> _Inputs:
    if x is None:
        start = np.array([1.0 if q0 is None else q0], float)
        check_variances("q0", start, "at least 0")
        if c0 is None:
            return _Inputs(start)
        if not -1 <= c0 <= 1:
            raise GradlabError("c0 to be a correlation, from -1 to 1", repr(c0), "c0=0.0")
        return _Inputs(start, (start, start), start * (1 - c0))
    if q0 is not None or c0 is not None:
        raise GradlabError("either x or q0= and c0=", "both", "predict(net, x)")
    x = batch.inputs(x).astype(float)
    if x.ndim != 2:
        raise GradlabError("x of shape (examples, features)", f"shape {x.shape}", "x.reshape(len(x), -1)")
    square = np.mean(x * x, axis=1)
    count = min(PAIRS, len(x) // 2)
    if not count:
        return _Inputs(square)
    one, two = x[0 : 2 * count : 2], x[1 : 2 * count : 2]
    ends = square[0 : 2 * count : 2], square[1 : 2 * count : 2]
    return _Inputs(square, ends, 0.5 * np.mean((one - two) ** 2, axis=1))


def _measured(entry: Activation, q: Any, depth: int) -> Transients:
    """Compute moments at measured variances; the first axis counts layers, the second networks."""
    q = np.asarray(q, float)
    if q.ndim < 1 or q.shape[-1] != depth:
        raise GradlabError(f"q of shape (..., {depth}), a variance for each hidden layer", f"shape {q.shape}")
    check_variances("q", q)
    log_q = np.log(q.reshape(-1, depth).T)
    at = moments(entry, log_q)
    return Transients(log_q, at.log_phi2, at.log_dphi2)


def _finite_width(
    config: Any, entry: Activation, widths: np.ndarray, sigma_w2: np.ndarray, sigma_b2: np.ndarray,
    layers: Transients, measured: bool,
) -> tuple[np.ndarray, Refusal | None]:  # fmt: skip
    """Return the first order in 1/n of ln|delta|^2 in layers 1 ... L - 1, and why it or a part of it is missing."""
    none = np.zeros((len(widths) - 1, 1))
    if not len(none):
        return none, None
    why = _without_expansion(config, entry, sigma_w2, sigma_b2, measured)
    if why is None:
        log_q = layers.log_q if measured else _few(layers.log_q)
        terms = finite_width_terms(entry, log_q, width=widths, sigma_b2=sigma_b2[:-1], measured=measured)
        if measured:
            terms = LayerTerms(*(term.mean(1, keepdims=True) for term in terms))
        if terms.largest <= SMALL:
            return terms.total, MEASURED_VARIANCES if measured else None
        share = f"{100 * terms.largest:.0f} %"
        why = Refusal(
            Reason.LARGE_TERM, f"it would change |delta|^2 by {share} in a layer, so it is no small correction"
        )
    return none, why


def _width_in_words(depth: int, measured: bool, why: Refusal | None) -> str:
    """Say in words which part of the finite width ``delta_log10_mean`` has."""
    if depth == 1:
        return "of a single layer"
    if why is None:
        return "with the finite-width term M/n"
    if why is MEASURED_VARIANCES:
        return "from measured variances with what they leave of the finite-width term"
    return f"{'from measured variances ' if measured else ''}without a finite-width term: {why}"


def _without_expansion(
    config: Any, entry: Activation, sigma_w2: np.ndarray, sigma_b2: np.ndarray, measured: bool
) -> Refusal | None:
    """Return why there is no first order in 1/n; None where there is one."""
    inner = slice(1, -1)  # the first layer's weights have another fan-in, and no delta comes through them
    if hidden_rule(config).family.name not in INDEPENDENT:
        return Refusal(Reason.DEPENDENT_WEIGHTS, f"{config.init} weights are not independent of each other")
    if measured or entry.homogeneous:
        return None
    if not (_equal(sigma_w2[inner]) and _equal(sigma_b2[inner])):
        return Refusal(Reason.UNEVEN_LAYERS, "sigma_w2 changes from layer to layer")
    try:
        coefficients(entry.name, float(sigma_w2[1]), float(sigma_b2[1]))
    except GradlabError as error:
        return Refusal(Reason.NO_FIXED_POINT, error.received)
    return None


def _few(log_q: np.ndarray) -> np.ndarray:
    """Choose the curves of a few examples: the middle ones of `FEW` equal parts, sorted by mean square."""
    count = log_q.shape[1]
    parts = min(FEW, count)
    return log_q[:, np.argsort(log_q[0])[((np.arange(parts) + 0.5) * count / parts).astype(int)]]


def _equal(values: np.ndarray) -> bool:
    return bool(np.all(np.abs(values - values[0]) <= 1e-12 * np.abs(values[0])))


def _backward(
    layers: Transients, sizes: np.ndarray, sigma_w2: np.ndarray, inputs: _Inputs, shift: np.ndarray, measured: bool
) -> dict[str, np.ndarray]:
    """Compute the backward columns over the hidden layers; they are NaN at the readout."""
    widths = sizes[1:]
    steps = np.log(widths[1:] / widths[:-1] * sigma_w2[1:-1])[:, None] + layers.log_dphi2[:-1]
    last = np.zeros((1, steps.shape[1]))
    log_delta2 = np.concatenate([np.cumsum(steps[::-1], 0)[::-1], last])
    bias = np.concatenate([np.cumsum(shift[::-1], 0)[::-1], np.zeros((1, shift.shape[1]))])
    # the delta of layer L is phi' times the gradient from the readout, which has one size for all examples
    weighted = log_delta2 + layers.log_dphi2[-1]
    square = _log_mean(weighted)
    values = {
        "log10_delta_rms": 0.5 * (square - square[-1]),
        "delta_log10_mean": 0.5 * (log_delta2.mean(1) + bias.mean(1)),
    }
    if not measured:
        with np.errstate(divide="ignore"):
            entering = np.log(inputs.q0)[None]
        entering_log = np.concatenate([entering, layers.log_phi2[:-1]]) + np.log(sizes[:-1])[:, None]
        gradient = _log_mean(weighted + entering_log + np.log(widths)[:, None])
        values["log10_per_example_grad_norm_rms"] = 0.5 * (gradient - gradient[-1])
        values["log10_weight_grad_norm"] = values["log10_per_example_grad_norm_rms"]
    return {name: np.append(value / np.log(10), np.nan) for name, value in values.items()}


def _forward(layers: Transients, sigma_w2: float, sigma_b2: float) -> dict[str, np.ndarray]:
    """Compute the forward columns of hidden layers and readout; the readout's activation is its preactivation."""
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN: an unknown readout
        logits = np.logaddexp(np.log(sigma_w2) + layers.log_phi2[-1:], np.log(sigma_b2))
    pre, act = (_log_mean(np.concatenate([v, logits])) for v in (layers.log_q, layers.log_phi2))
    return {"log10_preactivation_rms": 0.5 * pre / np.log(10), "log10_activation_rms": 0.5 * act / np.log(10)}


def _log_mean(logs: np.ndarray) -> np.ndarray:
    """Return ln of the mean over the last axis, from logarithms."""
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        return np.logaddexp.reduce(logs, axis=-1) - np.log(logs.shape[-1])


def _correlation(
    entry: Activation, layers: Transients, sigma_w2: np.ndarray, sigma_b2: np.ndarray, inputs: _Inputs
) -> np.ndarray:
    """Return log10 of the mean over pairs of 1 - c, for hidden layers and readout."""
    ends = [variances(entry, sigma_w2[:-1], sigma_b2[:-1], np.log(sigma_w2[0] * s + sigma_b2[0])) for s in inputs.pairs]
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = [np.logaddexp(np.log(sigma_w2[-1]) + end.log_phi2[-1:], np.log(sigma_b2[-1])) for end in ends]
        log_q = [np.concatenate([end.log_q, last]) for end, last in zip(ends, logits, strict=True)]
        middle, difference = 0.5 * (log_q[0][0] + log_q[1][0]), log_q[0][0] - log_q[1][0]
        first = np.log(sigma_w2[0] * inputs.gap) - middle
        lengths = 2 * np.sinh(difference / 4) ** 2
        first = np.where(lengths == 0, first, np.log(np.maximum(np.exp(first) - lengths, 0)))
    return _log_mean(correlations(entry, sigma_w2, sigma_b2, *log_q, first)) / np.log(10)
