r"""The curve that theory expects of a network, in the columns of the frame, to be drawn beside the measured one.

Backward columns are relative to the last hidden layer L, whose value is 0: with
:math:`\chi_k = \sigma_w^2(k+1)\,E\phi'(\sqrt{q_k}z)^2` and n_k the units of layer k,

.. math:: \frac{E\,\mathrm{rms}(\delta_l)^2}{E\,\mathrm{rms}(\delta_L)^2} = \prod_{k=l}^{L-1}\frac{n_{k+1}}{n_k}\chi_k.

That is the mean over initialisations of the square (``log10_delta_rms``). Single networks scatter around the
geometric mean instead, which finite width shifts by M/n per layer (``delta_log10_mean``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.core.activations import Activation
from gradlab.networks.mlp import hidden_rule, readout_rule
from gradlab.theory.critical import critical_sigma_w2
from gradlab.theory.finite_width import coefficients, given_variances
from gradlab.theory.gaussian import check_variances, entry_of, moments
from gradlab.theory.maps import MeanFieldMaps, mean_field_maps
from gradlab.theory.meanfield import MeanField, mean_field
from gradlab.theory.trajectories import Transients, correlations, variances

#: What each column is the theory of.
FUNCTIONALS: dict[str, str] = {
    "log10_preactivation_rms": "root of the mean over initialisations of the mean square",
    "log10_activation_rms": "root of the mean over initialisations of the mean square",
    "log10_one_minus_c": "mean over pairs of 1 - c at infinite width",
    "log10_delta_rms": "root of E|delta|^2 over initialisations and examples, relative to the last hidden layer",
    "delta_log10_mean": "geometric mean over initialisations and examples, relative to the last hidden layer",
    "log10_per_example_grad_norm_rms": "root of E|delta|^2 |a|^2 of one example, relative to the last hidden layer",
    "log10_weight_grad_norm": "root of E|delta|^2 |a|^2 of a batch of one, relative to the last hidden layer",
}
#: Base draws whose entries are independent, so that M/n holds to first order.
INDEPENDENT = ("normal", "uniform", "truncated")
#: Share that the part of the delta along the forward signal may add to |delta|^2 per layer: second order below 1 %.
ALIGNED = 0.05
#: Pairs of examples that correlations are measured on: 0 with 1, 2 with 3, ...
PAIRS = 32


@dataclass(frozen=True)
class Prediction:
    """What theory expects of each layer of a network.

    Parameters
    ----------
    activation, init : str
    layer : ndarray of int
        1 ... L, then the readout L + 1.
    columns : mapping of str to ndarray
        By the frame's names, one value a layer; NaN where a column has none (backward columns at the readout).
    functional : mapping of str to str
        What each of the columns is: a mean of squares or a geometric mean, with or without finite width.
    refused : mapping of str to str
        Columns, or the finite-width term, that theory does not give here, with the reason.
    sigma_w2, sigma_b2 : ndarray
        Of each layer.
    measured : bool
        Whether backward columns follow from variances that were measured.
    """

    activation: str
    init: str
    layer: np.ndarray
    columns: Mapping[str, np.ndarray]
    functional: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict)
    sigma_w2: np.ndarray = field(default_factory=lambda: np.empty(0))
    sigma_b2: np.ndarray = field(default_factory=lambda: np.empty(0))
    measured: bool = False

    def decades(self, column: str = "log10_delta_rms") -> float:
        """log10 of the first hidden layer over the last, of a backward column."""
        return float(self.columns[column][0] - self.columns[column][len(self.layer) - 2])

    def rate_of(self, column: str = "log10_delta_rms") -> float:
        """Factor per layer toward the input, over layers 1 to L; NaN for one hidden layer."""
        steps = len(self.layer) - 2
        return float(10 ** (self.decades(column) / steps)) if steps else float("nan")

    @property
    def rate(self) -> float:
        """Factor of the rms delta per layer toward the input, root of the mean square over initialisations."""
        return self.rate_of()

    def __str__(self) -> str:
        names = list(self.columns)
        lines = [f"{self.activation} {self.init}: what theory expects", "layer  " + "  ".join(names)]
        for i, layer in enumerate(self.layer):
            cells = (f"{self.columns[n][i]:{len(n)}.4g}".replace("nan", "  -") for n in names)
            lines.append(f"{layer:5d}  " + "  ".join(cells))
        lines += [f"{name}: {text}" for name, text in self.functional.items()]
        return "\n".join([*lines, *(f"no {name}: {why}" for name, why in self.refused.items())])


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
    """Mean field of a network, layer by layer, from its inputs.

    Parameters
    ----------
    net : MLP
    x : array, shape (batch, features), optional
        The data: each example starts with its own mean square, each pair with its own correlation.
    q0 : float, optional
        Instead of `x`: the mean square of an input. None: 1.
    c0 : float, optional
        Instead of `x`: the correlation of two inputs. None: no correlations.
    q : array, shape (..., L), optional
        Instead of the theory's own: each layer's variance given the layer below, sigma_w2 times the mean squared
        activation that was measured there, plus sigma_b2; of one network or of several. For networks whose variance
        fluctuates because no fixed point is stable.
    outputs : int, optional
        Units of the readout. None: its forward columns are NaN where its weights depend on it (Xavier).
    columns : sequence of str, optional
        Which of `FUNCTIONALS` to compute. None: all that can be.

    Raises
    ------
    GradlabError
        Where mean field does not apply: not a plain fully connected network, inputs that are zero, an
        activation that is constant or not finite on the real line.

    Examples
    --------
    >>> import gradlab as gl
    >>> found = predict(gl.MLP(depth=50, width=256, activation="sigmoid", init="xavier_normal"))
    >>> round(found.rate, 3), round(found.rate_of("delta_log10_mean"), 3)
    (0.236, 0.235)
    """
    config = getattr(net, "config", net)
    _check_plain(config)
    wanted = tuple(FUNCTIONALS) if columns is None else tuple(columns)
    for name in wanted:
        if name not in FUNCTIONALS:
            raise unknown("column", name, FUNCTIONALS)
    entry = entry_of(config.activation)
    inputs = _inputs(x, q0, c0)
    features = config.widths[0] if x is None else np.shape(x)[1]
    sizes = np.array([features, *config.widths])
    sigma_w2, sigma_b2 = _scales(config, sizes, outputs)
    signal = sigma_w2[0] * inputs.q0 + sigma_b2[0]
    check_variances("q0", signal)
    refused: dict[str, str] = {}
    if q is None:
        found = variances(entry, sigma_w2[:-1], sigma_b2[:-1], np.log(signal))
    else:
        found = _measured(entry, q, config.depth)
    if not np.all(np.isfinite(found.log_dphi2)):
        raise GradlabError(
            "an activation with a slope somewhere", f"{entry.name!r}, whose derivative is 0 with probability 1",
            "another activation: through this one no gradient passes",
        )  # fmt: skip
    shift, shifted = _finite_width(
        config, entry, sizes[1:], sigma_w2, sigma_b2, found if q is not None else None, refused
    )
    values = _backward(found, sizes, sigma_w2, inputs, shift, q is not None)
    values |= _forward(found, sigma_w2[-1], sigma_b2[-1])
    if (x is not None and np.shape(x)[0] > 1) or q is not None:
        values.pop("log10_weight_grad_norm", None)
        refused["log10_weight_grad_norm"] = "the sum over examples depends on how their deltas are correlated"
    if q is not None:
        values.pop("log10_per_example_grad_norm_rms", None)
        refused["log10_per_example_grad_norm_rms"] = "it asks for the variances of each example, q= has one a layer"
    if "log10_one_minus_c" in wanted and inputs.gap is not None and q is None:
        values["log10_one_minus_c"] = _correlation(entry, found, sigma_w2, sigma_b2, inputs)
    elif "log10_one_minus_c" in wanted:
        refused["log10_one_minus_c"] = "no pair of inputs: x with two examples, or c0="
    texts = {name: FUNCTIONALS[name] for name in FUNCTIONALS if name in wanted and name in values}
    if "delta_log10_mean" in texts:
        texts["delta_log10_mean"] += f", {shifted}"
    if "log10_delta_rms" in texts and q is not None:
        texts["log10_delta_rms"] += ", from measured variances"
    return Prediction(
        entry.name, config.init, np.arange(1, config.depth + 2), {name: values[name] for name in texts}, texts,
        refused, sigma_w2, sigma_b2, q is not None,
    )  # fmt: skip


def mean_field_of(net: Any, *, q0: float = 1.0) -> MeanField:
    """The mean field of a network's inner hidden layers: fan-in and fan-out as wide as the first layer.

    Parameters
    ----------
    net : MLP
    q0 : float
        Mean square of an input.

    Examples
    --------
    >>> import gradlab as gl
    >>> round(mean_field_of(gl.MLP(depth=5, activation="tanh", init="he_normal")).chi1, 5)
    1.10553
    """
    config = getattr(net, "config", net)
    _check_plain(config)
    sigma_w2, sigma_b2 = _scales(config, np.full(2, config.widths[0]), None)
    return mean_field(config.activation, sigma_w2=sigma_w2[0], sigma_b2=sigma_b2[0], q0=q0)


def summary(net: Any, *, q0: float = 1.0) -> tuple[str, Callable[[], MeanFieldMaps]]:
    """`mean_field_of` as text, with the critical sigma_w2 beside it, and what makes the arrays of its maps."""
    config = getattr(net, "config", net)
    found = mean_field_of(config, q0=q0)
    try:
        told = f"critical at this sigma_b2: sigma_w2 = {critical_sigma_w2(config.activation, found.sigma_b2):.7g}"
    except GradlabError as error:
        told = f"not critical at this sigma_b2 for any sigma_w2: {error.received}; try {error.hint}"
    sigmas = {"sigma_w2": found.sigma_w2, "sigma_b2": found.sigma_b2}
    draw = lambda: mean_field_maps(config.activation, **sigmas, q0=q0)
    return f"{config.init}: {found}\n  {told}", draw


@dataclass(frozen=True)
class _Inputs:
    """Mean squares of the examples; for the pairs: the two mean squares, and half the mean squared difference."""

    q0: np.ndarray
    pairs: tuple[np.ndarray, ...] = ()
    gap: np.ndarray | None = None


def _check_plain(config: Any) -> None:
    if getattr(config, "architecture", None) != "mlp":
        raise GradlabError(
            "a fully connected network",
            f"{getattr(config, 'architecture', None) or type(config).__name__}",
            "gl.MLP(...); gl.theory has laws of its own for residual, normalised and recurrent networks",
        )
    if getattr(config, "norm", None) is not None:
        raise GradlabError(
            "a network without normalisation", f"norm={config.norm!r}",
            "norm=None; normalised layers have one factor per layer, see gl.theory",
        )  # fmt: skip


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
    x = np.asarray(x, float)
    if x.ndim != 2 or not x.size or not np.all(np.isfinite(x)):
        raise GradlabError("x of shape (batch, features), finite", f"shape {x.shape}", "x.reshape(len(x), -1)")
    square = np.mean(x * x, axis=1)
    count = min(PAIRS, len(x) // 2)
    if not count:
        return _Inputs(square)
    one, two = x[0 : 2 * count : 2], x[1 : 2 * count : 2]
    ends = square[0 : 2 * count : 2], square[1 : 2 * count : 2]
    return _Inputs(square, ends, 0.5 * np.mean((one - two) ** 2, axis=1))


def _scales(config: Any, sizes: np.ndarray, outputs: int | None) -> tuple[np.ndarray, np.ndarray]:
    """sigma_w2 and sigma_b2 of each hidden layer, then of the readout: NaN where that asks for unknown outputs."""
    rule, head = hidden_rule(config), readout_rule(config)
    rules = [(rule, config.gain, n, m) for n, m in itertools.pairwise(sizes)]
    rules.append((head, 1.0, sizes[-1], outputs or 1))
    sigma_w2 = np.array([r.sigma_w2(int(n), int(m), gain) for r, gain, n, m in rules])
    if outputs is None and head.sigma_w2(int(sizes[-1]), 1) != head.sigma_w2(int(sizes[-1]), 2):
        sigma_w2[-1] = np.nan
    own = [r.sigma_b2(int(n)) if config.sigma_b2 is None else config.sigma_b2 for r, _, n, _ in rules]
    return sigma_w2, np.array(own if config.bias else [0.0] * len(own), float)


def _measured(entry: Activation, q: Any, depth: int) -> Transients:
    """Moments at variances that were measured; layers first, networks second."""
    q = np.asarray(q, float)
    if q.ndim < 1 or q.shape[-1] != depth:
        raise GradlabError(f"q of shape (..., {depth}), a variance for each hidden layer", f"shape {q.shape}")
    check_variances("q", q)
    log_q = np.log(q.reshape(-1, depth).T)
    at = moments(entry, log_q)
    return Transients(log_q, at.log_phi2, at.log_dphi2)


def _finite_width(
    config: Any, entry: Activation, widths: np.ndarray, sigma_w2: np.ndarray, sigma_b2: np.ndarray,
    measured: Transients | None, refused: dict[str, str],
) -> tuple[np.ndarray, str]:  # fmt: skip
    """M/n of the layers 1 ... L - 1 in ln|delta|^2, and in words whether it is there."""
    none = np.zeros(len(widths) - 1)
    inner = slice(1, len(widths))  # the first layer's weights have another fan-in, and no delta comes through them
    family = hidden_rule(config).family
    if family not in INDEPENDENT:
        why = f"{config.init} weights are not independent of each other"
    elif measured is not None and len(none):
        refused["M/n"] = "the variances are measured ones"
        rest = given_variances(entry, measured.log_q).mean(1) / widths[:-1]
        if np.all(rest <= ALIGNED):
            return rest, "from measured variances with what they leave of the finite-width term"
        return none, "from measured variances without a finite-width term: the delta turns along the forward signal"
    elif len(none) and not (entry.homogeneous or (_equal(sigma_w2[inner]) and _equal(sigma_b2[inner]))):
        why = "sigma_w2 changes from layer to layer"
    elif len(none):
        try:
            term = coefficients(entry.name, float(sigma_w2[1]), float(sigma_b2[1])).M
            return term / widths[:-1], "with the finite-width term M/n"
        except GradlabError as error:
            why = error.received
    else:
        return none, "of a single layer"
    refused["M/n"] = why
    return none, f"without a finite-width term: {why}"


def _equal(values: np.ndarray) -> bool:
    return bool(np.all(np.abs(values - values[0]) <= 1e-12 * np.abs(values[0])))


def _backward(
    found: Transients, sizes: np.ndarray, sigma_w2: np.ndarray, inputs: _Inputs, shift: np.ndarray, measured: bool
) -> dict[str, np.ndarray]:
    """Backward columns over the hidden layers, NaN at the readout."""
    widths = sizes[1:]
    steps = np.log(widths[1:] / widths[:-1] * sigma_w2[1:-1])[:, None] + found.log_dphi2[:-1]
    last = np.zeros((1, steps.shape[1]))
    log_delta2 = np.concatenate([np.cumsum(steps[::-1], 0)[::-1], last])
    bias = np.append(np.cumsum(shift[::-1])[::-1], 0.0)
    # a delta of layer L is phi' there times what comes from the readout, the same for all examples
    weighted = log_delta2 + found.log_dphi2[-1]
    square = _log_mean(weighted)
    values = {
        "log10_delta_rms": 0.5 * (square - square[-1]),
        "delta_log10_mean": 0.5 * (log_delta2.mean(1) + bias),
    }
    if not measured:
        with np.errstate(divide="ignore"):
            entering = np.log(inputs.q0)[None]
        below = np.concatenate([entering, found.log_phi2[:-1]]) + np.log(sizes[:-1])[:, None]
        gradient = _log_mean(weighted + below + np.log(widths)[:, None])
        values["log10_per_example_grad_norm_rms"] = 0.5 * (gradient - gradient[-1])
        values["log10_weight_grad_norm"] = values["log10_per_example_grad_norm_rms"]
    return {name: np.append(value / np.log(10), np.nan) for name, value in values.items()}


def _forward(found: Transients, sigma_w2: float, sigma_b2: float) -> dict[str, np.ndarray]:
    """Forward columns of the hidden layers and of the readout, whose activation is the preactivation itself."""
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN: an unknown readout
        logits = np.logaddexp(np.log(sigma_w2) + found.log_phi2[-1:], np.log(sigma_b2))
    pre, act = (_log_mean(np.concatenate([v, logits])) for v in (found.log_q, found.log_phi2))
    return {"log10_preactivation_rms": 0.5 * pre / np.log(10), "log10_activation_rms": 0.5 * act / np.log(10)}


def _log_mean(logs: np.ndarray) -> np.ndarray:
    """ln of the mean over the last axis, from logarithms."""
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        return np.logaddexp.reduce(logs, axis=-1) - np.log(logs.shape[-1])


def _correlation(
    entry: Activation, found: Transients, sigma_w2: np.ndarray, sigma_b2: np.ndarray, inputs: _Inputs
) -> np.ndarray:
    """log10 of the mean over pairs of 1 - c, hidden layers and readout."""
    ends = [variances(entry, sigma_w2[:-1], sigma_b2[:-1], np.log(sigma_w2[0] * s + sigma_b2[0])) for s in inputs.pairs]
    with np.errstate(divide="ignore", invalid="ignore"):
        logits = [np.logaddexp(np.log(sigma_w2[-1]) + end.log_phi2[-1:], np.log(sigma_b2[-1])) for end in ends]
        log_q = [np.concatenate([end.log_q, last]) for end, last in zip(ends, logits, strict=True)]
        middle, apart = 0.5 * (log_q[0][0] + log_q[1][0]), log_q[0][0] - log_q[1][0]
        first = np.log(sigma_w2[0] * inputs.gap) - middle
        lengths = 2 * np.sinh(apart / 4) ** 2
        first = np.where(lengths == 0, first, np.log(np.maximum(np.exp(first) - lengths, 0)))
    return _log_mean(correlations(entry, sigma_w2, sigma_b2, *log_q, first)) / np.log(10)
