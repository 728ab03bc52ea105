r"""A transformer of infinite width at initialisation: Gram matrices of its positions, forward and backward.

The stream of one example is described by the T x T matrix G of the means over units of :math:`x_tx_u`, the gradient on
it by D. An attention branch, with weights of fan-in variance :math:`\sigma^2`, turns them into

.. math:: \sigma_o^2\sigma_v^2\,E\,PGP^T,\qquad \sigma_o^2\sigma_v^2\,E\,P^TDP + \text{what comes through the scores}.

P is the softmax of :math:`qk^T/\sqrt m`, with q and k Gaussian of covariance :math:`\sigma^2G` over positions, in m
independent features of a head. Its mean has no closed form for a general G. It is taken over draws of q and k, 256 of
them at 16 positions, and has a standard error below a percent. Where scores are small P is uniform, 1/T (Noci et al.
2022). The scores hand back values that P has centred, which are of order 1 - c: so queries and keys get no gradient
where positions are equal.

Feed-forward branches are those of mean field, norms divide by the root of the diagonal, a skip adds. Weights on the way
back count as independent of those on the way forward, as usual in mean field (of transformers: Kedia et al. 2024). The
limit has many units in many heads of m features; T is what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gradlab._errors import GradlabError
from gradlab.core import batch
from gradlab.core.activations import Activation
from gradlab.networks.rules import hidden_rule, input_rule, readout_rule
from gradlab.theory.gaussian import entry_of
from gradlab.theory.gram import AttentionDraws, diagonal, kernels
from gradlab.theory.network import WITHOUT_DATA
from gradlab.theory.refusal import Reason, Refusal

#: The columns that theory predicts of a transformer, and which mean each of them is.
TRANSFORMER_FUNCTIONALS: dict[str, str] = {
    "log10_preactivation_rms": "root of the mean over initialisations of the mean square",
    "log10_one_minus_token_c": "mean over pairs of positions of 1 - c at infinite width",
    "attention_entropy": "mean over initialisations and heads",
    "log10_delta_rms": "root of E|delta|^2 over initialisations, examples and positions, relative to the last block",
    "log10_query_grad_norm": "root of the mean square for one example, relative to the last block",
    "log10_key_grad_norm": "root of the mean square for one example, relative to the last block",
    "log10_value_grad_norm": "root of the mean square for one example, relative to the last block",
}
#: Columns of gradients of weights: for several examples they depend on how the examples' deltas are correlated.
OF_ONE_EXAMPLE = ("log10_query_grad_norm", "log10_key_grad_norm", "log10_value_grad_norm")
#: Columns that 1 - c of positions decides.
OF_GAPS = ("log10_one_minus_token_c", "attention_entropy", "log10_query_grad_norm", "log10_key_grad_norm")
#: Examples that stand for a batch.
EXAMPLES = 4
#: Refusals whose sentence is always the same.
NO_GEOMETRIC_MEAN = Refusal(Reason.OTHER_MEAN_SQUARE, "the law of transformers gives means of squares")
COLLAPSED = Refusal(Reason.SKIPS, "without skips 1 - c falls doubly exponentially, and rare networks make up its mean")
CORRELATED = Refusal(Reason.ONE_EXAMPLE, "the sum over examples depends on how their deltas are correlated")
#: 1 - c of positions below which a Gram matrix in doubles does not show it.
LEAST_GAP = 1e-10
#: What norms add to a variance.
_EPS = 1e-5


@dataclass(frozen=True)
class _Scales:
    """Hold sigma_w2 and sigma_b2 of a transformer's weights: attention's, of the feed-forward part in and out."""

    attention: tuple[float, float]
    inside: tuple[float, float]
    outside: tuple[float, float]

    @classmethod
    def of(cls, net: Any) -> _Scales:
        rule, n, m = hidden_rule(net), net.width, net.expansion * net.width

        def sigmas(fan_in: int, fan_out: int) -> tuple[float, float]:
            sigma_b2 = rule.sigma_b2(fan_in) if net.sigma_b2 is None else net.sigma_b2
            return rule.sigma_w2(fan_in, fan_out, net.gain), sigma_b2 if net.bias else 0.0

        return cls(sigmas(n, n), sigmas(n, m), sigmas(m, n))


def _check_net(net: Any) -> None:
    """Raise an error unless the law holds for this transformer."""
    wrong = {
        "norm='layer', 'rms' or None": net.norm == "dyt" and f"norm={net.norm!r}",
        "qk_norm=False": net.qk_norm and "qk_norm=True",
        "parametrization='standard'": net.parametrization != "standard" and f"parametrization={net.parametrization!r}",
        "weights that are drawn at random": (net.init in ("zeros", "constant", "identity") or net.gain == 0)
        and f"init={net.init!r}, gain={net.gain:g}",
    }
    for expected, received in wrong.items():
        if received:
            raise GradlabError(f"a transformer with {expected}", received, "gl.measure, which needs no law")


def transformer_columns(
    net: Any, x: Any, given: Mapping[str, Any], outputs: int | None
) -> tuple[dict[str, np.ndarray], dict[str, Refusal], tuple[np.ndarray, np.ndarray]]:
    """Compute the columns of `TRANSFORMER_FUNCTIONALS`: a value for each block, then for the readout.

    Parameters
    ----------
    net : Transformer
        The network.
    x : array, shape (batch, time, features)
        Sequences; the first `EXAMPLES` of them stand for all.
    given : mapping
        What `predict` takes in place of data, which is not enough here: a value that is not None is an error.
    outputs : int, optional
        Units of the readout. None: its forward column is NaN.

    Returns
    -------
    columns, refused, (sigma_w2, sigma_b2)
        Columns by name, those that are refused with the reason, and the variances of attention's weights.
    """
    _check_net(net)
    named = [f"{name}=" for name, value in given.items() if value is not None]
    if x is None or named:
        received = ", ".join(named) or "neither x nor anything else"
        raise GradlabError(
            "sequences x of shape (examples, time, features)", received, f"predict(net, x); {WITHOUT_DATA}"
        )
    values = _columns(net, x, outputs)
    refused = {"delta_log10_mean": NO_GEOMETRIC_MEAN}
    if len(x) > 1:
        refused |= dict.fromkeys(OF_ONE_EXAMPLE, CORRELATED)
    if not net.skip:
        refused |= dict.fromkeys(OF_GAPS, COLLAPSED)
    w, b = _Scales.of(net).attention
    sigmas = np.full(net.depth + 1, w), np.full(net.depth + 1, b)
    return {name: v for name, v in values.items() if name not in refused}, refused, sigmas


def _columns(net: Any, x: Any, outputs: int | None) -> dict[str, np.ndarray]:
    """Compute all columns."""
    x = batch.inputs(x).astype(float)
    if x.ndim != 3 or x.shape[1] < 2:
        raise GradlabError("x of shape (examples, time, features), of two positions or more", f"shape {x.shape}")
    law = _Law(net, entry_of(net.activation), _Scales.of(net))
    stream, mean = _embedded(net, x[:EXAMPLES])
    ways, rows = [], {name: [] for name in TRANSFORMER_FUNCTIONALS}
    for number in range(1, net.depth + 1):
        for branch in (law.attention(number), law.feed_forward):
            stream, mean, way = law.around(branch, number, stream, mean)
            ways.append(way)
        rows["attention_entropy"].append(ways[-2].entropy)
        rows["log10_preactivation_rms"].append(0.5 * np.log10(np.mean(diagonal(way.seen))))
        rows["log10_one_minus_token_c"].append(_log10_gap(way.seen))
    deltas, norms = _backward(net, ways, stream, mean)
    rows["log10_delta_rms"], last = 0.5 * np.log10(deltas / deltas[-1]), [np.nan]
    for name in OF_ONE_EXAMPLE:
        with np.errstate(divide="ignore", invalid="ignore"):
            squares = np.array(norms[name])
            rows[name] = 0.5 * np.log10(squares / squares[-1])
    columns = {name: np.append(values, last) for name, values in rows.items()}
    columns["log10_preactivation_rms"][-1] = _readout(net, stream, mean, outputs)
    return columns


def _embedded(net: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gram matrices of the embedded positions, and of the means over their units."""
    rule, (_, time, features) = input_rule(net, "lecun_normal"), x.shape
    sigma_b2 = (rule.sigma_b2(features) if net.sigma_b2 is None else net.sigma_b2) if net.bias else 0.0
    unit = np.arange(net.width)
    angle = np.arange(time)[:, None] * 10000.0 ** (-2 * (unit // 2) / net.width)
    waves = np.where(unit % 2 == 0, np.sin(angle), np.cos(angle))
    drawn = rule.sigma_w2(features, net.width) * (x @ np.swapaxes(x, 1, 2)) / features + sigma_b2
    mean = waves.mean(1)
    return drawn + waves @ waves.T / net.width, np.broadcast_to(np.outer(mean, mean), drawn.shape)


#: From D behind a branch to D in front of it, and squared gradient norms of its query, key and value weight.
Back = Callable[[np.ndarray], tuple[np.ndarray, list[float]]]


class _Way(NamedTuple):
    """Hold the stream behind a sum, the factors of a norm behind that (or 1), and the way back to the stream before it.

    `entropy` is that of an attention branch, else NaN.
    """

    seen: np.ndarray
    outer: np.ndarray
    back: Back
    entropy: float


@dataclass(frozen=True)
class _Law:
    """Hold a transformer's law: what its two branches make of Gram matrices."""

    net: Any
    entry: Activation
    scales: _Scales

    def attention(self, number: int) -> Callable[[np.ndarray], tuple[np.ndarray, Back, float]]:
        """Return the attention branch of a block: from its input to its output, the way back and the entropy."""

        def branch(signal):
            # drawn again on the way back from the same numbers, for the draws of all blocks would not fit into memory
            draws = lambda: AttentionDraws.of(
                np.random.default_rng([number, 7]), signal, self.net, self.scales.attention
            )
            here = draws()
            return here.output(), lambda d: draws().back(d), here.entropy()

        return branch

    def feed_forward(self, signal: np.ndarray) -> tuple[np.ndarray, Back, float]:
        """Return the output of the feed-forward branch and the way back."""
        (w, b), (w2, b2) = self.scales.inside, self.scales.outside
        product, slopes = kernels(self.entry, w * signal + b)
        return w2 * product + b2, lambda d: (w * w2 * slopes * d, []), float("nan")

    def around(self, branch: Any, number: int, stream: np.ndarray, mean: np.ndarray) -> tuple:
        """Return the stream behind norms, scale and skip around a branch, the means of its units, and the way back."""
        net, skip = self.net, float(self.net.skip)
        scale = 0.0 if isinstance(net.scale, str) else net.scale
        before = net.norm is not None and net.norm_position in ("before", "peri")
        inner = self._factors(stream, mean) if before else np.ones((1, 1, 1))
        inner = inner / number if net.norm_scaling else inner
        centred = stream - mean if before and net.norm == "layer" else stream
        output, back_through, entropy = branch(centred * inner)
        on_output = net.norm is not None and net.norm_position == "peri"
        outer = self._factors(output, np.zeros_like(output)) if on_output else np.ones((1, 1, 1))
        whole = skip * stream + scale**2 * outer * output
        mean = skip * mean

        def back(d):
            inside, squares = back_through(scale**2 * outer * d)
            return skip * d + inner * inside, squares

        behind = np.ones((1, 1, 1))
        seen = whole
        if net.norm is not None and net.norm_position == "after":
            behind = self._factors(whole, mean)
            whole = (whole - mean if net.norm == "layer" else whole) * behind
            mean = np.zeros_like(mean) if net.norm == "layer" else mean * behind
        return whole, mean, _Way(seen, behind, back, entropy)

    def _factors(self, stream: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Return the factors of a norm, one for each pair of positions."""
        size = diagonal(stream - mean if self.net.norm == "layer" else stream) + _EPS
        return 1 / np.sqrt(size[:, :, None] * size[:, None, :])


def _backward(net: Any, ways: list, stream: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, dict[str, list[float]]]:
    """Return the mean squared delta behind each block, and squared gradient norms of its query, key and value."""
    d = np.ones_like(stream)
    if net.norm is not None and net.norm_position != "after":
        size = diagonal(stream - mean if net.norm == "layer" else stream) + _EPS
        d = d / np.sqrt(size[:, :, None] * size[:, None, :])
    deltas, norms = [], {name: [] for name in OF_ONE_EXAMPLE}
    for attention, feed_forward in reversed([*zip(ways[::2], ways[1::2], strict=True)]):
        d = d * feed_forward.outer
        deltas.append(np.mean(diagonal(d)))
        d, _ = feed_forward.back(d)
        d, squares = attention.back(d * attention.outer)
        for name, square in zip(OF_ONE_EXAMPLE, squares, strict=True):
            norms[name].append(square)
    return np.array(deltas[::-1]), {name: squares[::-1] for name, squares in norms.items()}


def _readout(net: Any, stream: np.ndarray, mean: np.ndarray, outputs: int | None) -> float:
    """Return log10 of the rms output: of the mean over positions, behind the last norm."""
    if outputs is None:
        return float("nan")
    if net.norm is not None and net.norm_position != "after":
        stream = stream - mean if net.norm == "layer" else stream
        size = diagonal(stream) + _EPS
        stream = stream / np.sqrt(size[:, :, None] * size[:, None, :])
    rule = readout_rule(net)
    sigma_b2 = (rule.sigma_b2(net.width) if net.sigma_b2 is None else net.sigma_b2) if net.bias else 0.0
    return float(0.5 * np.log10(rule.sigma_w2(net.width, outputs) * np.mean(stream) + sigma_b2))


def _log10_gap(gram: np.ndarray) -> float:
    """Return log10 of the mean over pairs of positions of 1 - c; NaN where doubles do not show it."""
    size = diagonal(gram)
    c = gram / np.sqrt(size[:, :, None] * size[:, None, :])
    first, second = np.triu_indices(gram.shape[-1], 1)
    gap = float(np.mean(1 - c[:, first, second]))
    return float(np.log10(gap)) if gap > LEAST_GAP else float("nan")
