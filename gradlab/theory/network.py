"""Theory of a given network: check that it is plain and fully connected, and read the variances of its draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradlab._errors import GradlabError
from gradlab.config import one_after_another
from gradlab.networks.rules import hidden_rule, input_rule, readout_rule
from gradlab.theory.critical import critical_sigma_w2
from gradlab.theory.maps import MeanFieldMaps, mean_field_maps
from gradlab.theory.meanfield import MeanField, mean_field

#: Laws of transformers that ask for no sequences.
WITHOUT_DATA = "gl.theory.pre_norm, pre_norm_gradients and post_norm_factor hold for feed-forward halves"
#: Laws for networks that are not fully connected, by architecture.
LAWS: dict[str, str] = {
    "resnet": "gl.theory.residual_factor, reduced_residual or, with a norm in the branch, pre_norm: a factor of the "
    "delta for each block",
    "convnet": "gl.theory.mean_field at the same sigma_w2 and sigma_b2: far from the edges each position is as a layer",
    "rnn": "gl.theory.recurrent_powers, slope_bound and, of an LSTM, log10_cell_path and chrono_bias, of a linear "
    "recurrent unit memory_sensitivity",
    "transformer": f"gl.theory.predict(net, x); {WITHOUT_DATA}",
}


def network_mean_field(net: Any, *, q0: float = 1.0) -> MeanField:
    """Compute the mean field of a network: the fixed point of its variances, and the factor of its gradient per layer.

    Mean field is the limit of infinite width, so it is the same for every width. It describes the hidden layers behind
    the first.

    Parameters
    ----------
    net : MLP
        A plain fully connected network: no norm, one activation.
    q0 : float
        Mean square of an input. It matters where several fixed points exist, or where every variance is one.

    Raises
    ------
    GradlabError
        If mean field has no law for the network; the message names the laws for its architecture.

    Examples
    --------
    >>> import gradlab as gl
    >>> round(network_mean_field(gl.MLP(depth=5, activation="tanh", init="he_normal")).chi1, 5)
    1.10553
    """
    check_plain(net)
    sigma_w2, sigma_b2 = scales(net, np.full(3, net.widths[0]), None)
    return mean_field(net.activation, sigma_w2=sigma_w2[1], sigma_b2=sigma_b2[1], q0=q0)


def summary(net: Any, *, q0: float = 1.0) -> tuple[str, Callable[[], MeanFieldMaps]]:
    """Return `network_mean_field` and the critical sigma_w2 as text, and a function that computes its maps."""
    field = network_mean_field(net, q0=q0)
    critical = _critical(net.activation, field.sigma_b2, "this sigma_b2")
    sigmas = {"sigma_w2": field.sigma_w2, "sigma_b2": field.sigma_b2}
    draw = lambda: mean_field_maps(net.activation, **sigmas, q0=q0)
    return f"{net.init}: {field}\n  {critical}", draw


#: Columns of `comparison`: heading and attribute of the mean field; the rate is of the rms delta.
_COLUMNS = {"sigma_w2": "sigma_w2", "sigma_b2": "sigma_b2", "q*": "q_star", "c*": "c_star", "chi1": "chi1",
            "xi_q": "xi_q", "xi_c": "xi_c", "xi_grad": "xi_grad"}  # fmt: skip


def comparison(nets: Sequence[Any], *, q0: float = 1.0) -> str:
    """Compare networks of one activation: a line for each, then the critical sigma_w2 of each sigma_b2."""
    fields = [network_mean_field(net, q0=q0) for net in nets]
    lines = [f"{fields[0].activation}, {nets[0].init}, infinite width"]
    lines.append("".join(f"{name:>12}" for name in _COLUMNS) + f"{'rate':>12}  phase")
    for one in fields:
        numbers = [*(getattr(one, name) for name in _COLUMNS.values()), one.chi1**0.5]
        cells = "".join(f"{'-' if np.isnan(v) else format(v, '.6g'):>12}" for v in numbers)
        lines.append(f"{cells}  {one.phase}" + (f" ({one.note})" if one.note else ""))
    activation = nets[0].activation
    lines += [_critical(activation, b, f"sigma_b2 = {b:g}") for b in dict.fromkeys(one.sigma_b2 for one in fields)]
    return "\n".join(lines)


def _critical(activation: str, sigma_b2: float, where: str) -> str:
    """Say in words which sigma_w2 is critical at a bias variance, or why there is none."""
    try:
        return f"critical at {where}: sigma_w2 = {critical_sigma_w2(activation, sigma_b2):.7g}"
    except GradlabError as error:
        return f"not critical at {where} for any sigma_w2: {error.received}; try {error.hint}"


def check_plain(config: Any) -> None:
    """Raise an error unless this is a fully connected network without normalisation."""
    if getattr(config, "architecture", None) != "mlp":
        raise GradlabError(
            "a fully connected network",
            f"{getattr(config, 'architecture', None) or type(config).__name__}",
            LAWS.get(getattr(config, "architecture", ""), "gl.MLP(...)"),
        )
    if getattr(config, "norm", None) is not None:
        factor = {"batch": "batch_norm_factor", "dyt": ""}.get(config.norm, "layer_norm_factor")
        raise GradlabError(
            "a network without normalisation", f"norm={config.norm!r}",
            f"norm=None{factor and f'; one factor per layer: gl.theory.{factor}'}",
        )  # fmt: skip
    if len(config.activations) > 1:
        raise GradlabError(
            "one activation for all layers", one_after_another(config.activations), "activation='tanh', for instance"
        )
    if config.init in ("zeros", "constant") or config.gain == 0:
        received = f"init={config.init!r}" if config.gain else "gain=0"
        raise GradlabError(
            "weights that are drawn at random: theory predicts means over draws", received, "init='xavier_normal'"
        )


def scales(config: Any, sizes: np.ndarray, outputs: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return sigma_w2 and sigma_b2 of hidden layers and readout; NaN where the readout needs unknown outputs."""
    head, hidden = readout_rule(config), [input_rule(config), *[hidden_rule(config)] * (len(sizes) - 2)]
    rules = [(rule, config.gain, n, m) for rule, (n, m) in zip(hidden, itertools.pairwise(sizes), strict=True)]
    rules.append((head, 1.0, sizes[-1], outputs or 1))
    sigma_w2 = np.array([r.sigma_w2(int(n), int(m), gain) for r, gain, n, m in rules])
    if outputs is None and head.sigma_w2(int(sizes[-1]), 1) != head.sigma_w2(int(sizes[-1]), 2):
        sigma_w2[-1] = np.nan
    variances = [r.sigma_b2(int(n)) if config.sigma_b2 is None else config.sigma_b2 for r, _, n, _ in rules]
    return sigma_w2, np.array(variances if config.bias else [0.0] * len(variances), float)
