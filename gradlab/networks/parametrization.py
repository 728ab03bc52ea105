"""How learning rates follow the width: a factor for each parameter, relative to a base width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import numpy as np

from gradlab._errors import GradlabError, unknown
from gradlab.config.networks import PARAMETRIZATIONS
from gradlab.core.decay import NOT_DECAYED
from gradlab.networks.network import Network

#: How large the update of an entry is: as the gradient, or of one size whatever the gradient's.
UpdateSize = Literal["gradient", "entrywise"]
#: The optimisers of which it is known how their rates follow the width.
UPDATE_SIZES: dict[str, UpdateSize] = {
    "sgd": "gradient", "momentum": "gradient", "nesterov": "gradient", "rmsprop": "entrywise", "adam": "entrywise",
    "adamw": "entrywise", "lion": "entrywise", "sign": "entrywise",
}  # fmt: skip
#: Factor of the learning rate, from how much more inputs and outputs a weight has than at the base width.
_FACTORS: dict[tuple[str, UpdateSize], Callable[[float, float], float]] = {
    ("mup", "gradient"): lambda inputs, outputs: outputs / inputs,
    ("mup", "entrywise"): lambda inputs, outputs: 1 / inputs,
    ("ntk", "gradient"): lambda inputs, outputs: 1 / inputs,
    ("ntk", "entrywise"): lambda inputs, outputs: inputs**-0.5,
}
#: Axes of weights, in their order.
AXES = ("in_out", "out_in")


def rate_factors(
    model: Any,
    params: Any = None,
    *,
    optimizer: str = "adam",
    parametrization: str | None = None,
    axes: Literal["in_out", "out_in"] = "in_out",
) -> Any:
    r"""Return by what to multiply the learning rate of each parameter, so that one rate serves every width.

    Parameters
    ----------
    model : network, or pytree of arrays or of jax.ShapeDtypeStruct
        A network of gradlab's, which has its parametrization and its base width. Or, of any other model, the parameters
        that it has at its base width, of which only the shapes count.
    params : pytree, optional
        Parameters of the model at its present width; of a network they may be left out.
    optimizer : str
        Name of the optimiser: sgd, momentum and nesterov need other factors than rmsprop, adam, adamw, lion and sign.
    parametrization : {"mup", "ntk"}, optional
        Of a model that is no network. None: "mup".
    axes : {"in_out", "out_in"}
        Order of inputs and outputs in a weight: "in_out" in Flax, Haiku and gradlab, "out_in" in Equinox.

    Returns
    -------
    pytree of float, like `params`
        1 throughout at the base width, and with parametrization="standard". `gradlab.scale_by_leaf` applies them.

    Raises
    ------
    GradlabError
        An optimiser of which no law is known, or trees that do not fit each other.

    Notes
    -----
    With :math:`r_{in}` and :math:`r_{out}` the numbers of inputs and of outputs of a weight over those at the base
    width (1 where the width does not enter, as for the data), the factors are

    ========  ====================================  ==========================
    ..        sgd, momentum, nesterov               all others that are known
    ========  ====================================  ==========================
    mup       :math:`r_{out}/r_{in}`                :math:`1/r_{in}`
    ntk       :math:`1/r_{in}`                      :math:`r_{in}^{-1/2}`
    ========  ====================================  ==========================

    A bias, and a gain of a norm, has one input. These are the rates of Yang et al. 2022, table 3, which has no
    multipliers in the forward pass: a multiplier on a weight is the same as another scale of its draw and another rate
    (Yang & Hu 2021, section 2). Weight decay in the update is multiplied as well, as in the code of that paper.

    In an array of a stranger's model the axes that differ from those of the base width say what it is. Where two
    differ, it is a hidden weight; where one does, an input's or a readout's; an array whose name ends in bias, gain or
    scale has outputs alone.

    Examples
    --------
    >>> import jax, jax.numpy as jnp, gradlab as gl
    >>> shapes = lambda n: {"embed": jnp.ones((10, n)), "hidden": jnp.ones((n, n)), "readout": jnp.ones((n, 3))}
    >>> gl.rate_factors(shapes(64), shapes(256), optimizer="adam")
    {'embed': 1.0, 'hidden': 0.25, 'readout': 0.25}
    >>> net = gl.MLP(depth=1, width=256, parametrization="mup", base_width=64)
    >>> [leaf["weight"] for leaf, _ in gl.rate_factors(net, optimizer="sgd")]
    [4.0, 0.25]
    """
    if axes not in AXES:
        raise unknown("axes", axes, AXES)
    if isinstance(model, Network):
        if parametrization is not None or axes != "in_out":
            raise GradlabError(
                "parametrization= and axes= only with a model of your own", f"{model}",
                "gl.rate_factors(net.with_options(parametrization='mup'))",
            )  # fmt: skip
        return _of_network(model, params, optimizer)
    name = parametrization or "mup"
    if name not in PARAMETRIZATIONS:
        raise unknown("parametrization", name, PARAMETRIZATIONS)
    if params is None:
        raise GradlabError("params at the present width too", "None", "gl.rate_factors(params_at_base, params)")
    return _compared(model, params, name, optimizer, axes)


def factor(parametrization: str, size: UpdateSize, inputs: float, outputs: float) -> float:
    """Return the factor of a weight's rate, from how much more inputs and outputs it has than at the base width."""
    return float(_FACTORS[parametrization, size](inputs, outputs)) if parametrization != "standard" else 1.0


def _of_network(net: Network, params: Any, optimizer: str) -> Any:
    """Return the factors of a network; how it grows with the width depends on no data, so any will do."""
    name = getattr(net, "parametrization", "standard")
    if name == "standard":
        return jax.tree.map(lambda leaf: 1.0, _shapes(net) if params is None else params)
    shapes = _shapes(net)
    if params is not None and jax.tree.structure(params) != jax.tree.structure(shapes):
        received = f"another tree: {jax.tree.structure(params)}"[:200]
        raise GradlabError(f"params, the parameters of {net}", received, "net.init_params(key, x, y)")
    return _compared(_shapes(net.with_options(width=net.base_width)), shapes, name, optimizer, "in_out")


def _shapes(net: Network) -> Any:
    """Return the shapes of a network's parameters for examples of some shape."""
    places = (net.depth or 1,) if net.architecture == "rnn" else (2,) * (net.ranks[0] - 1)
    shape = getattr(net, "shape", (*places, 1))
    return jax.eval_shape(lambda: net.layer(net.outputs_for(1)).init(jax.random.key(0), shape)[0])


def _compared(base: Any, params: Any, name: str, optimizer: str, axes: str) -> Any:
    """Return the factors from the shapes at the base width and at the present one."""
    if jax.tree.structure(base) != jax.tree.structure(params):
        raise GradlabError(
            f"parameters like those at the base width, {jax.tree.structure(base)}"[:200],
            f"{jax.tree.structure(params)}"[:200], "the same model at two widths",
        )  # fmt: skip
    if name == "standard":
        return jax.tree.map(lambda leaf: 1.0, params)
    if optimizer not in UPDATE_SIZES:
        raise GradlabError(
            f"an optimiser whose rates are known with parametrization={name!r}: {', '.join(UPDATE_SIZES)}",
            repr(optimizer), "optimizer='adam'",
        )  # fmt: skip
    size = UPDATE_SIZES[optimizer]

    def of_leaf(path: Any, at_base: Any, leaf: Any) -> float:
        if np.ndim(at_base) != np.ndim(leaf):
            where = f"params{jax.tree_util.keystr(path)}"
            raise GradlabError(
                f"{where} with {np.ndim(at_base)} axes", f"{np.ndim(leaf)}", "the same model at two widths"
            )
        inputs, outputs = _growth(str(getattr(path[-1], "key", getattr(path[-1], "name", ""))) if path else "",
                                  np.shape(at_base), np.shape(leaf), axes)  # fmt: skip
        return factor(name, size, inputs, outputs)

    return jax.tree_util.tree_map_with_path(of_leaf, base, params)


def _growth(name: str, base: tuple[int, ...], shape: tuple[int, ...], axes: str) -> tuple[float, float]:
    """Return how much more inputs and outputs an array has than at the base width."""
    ratios = [n / n0 for n, n0 in zip(shape, base, strict=True)]
    if axes == "out_in" and len(ratios) > 1:
        ratios = ratios[::-1]
    wide = [i for i, ratio in enumerate(ratios) if ratio != 1]
    if not wide:
        return 1.0, 1.0
    if name.endswith(NOT_DECAYED) or len(shape) == 1:
        return 1.0, ratios[wide[-1]]
    if len(wide) > 1:
        return ratios[wide[0]], ratios[wide[-1]]
    return (1.0, ratios[wide[0]]) if wide[0] == len(ratios) - 1 else (ratios[wide[0]], 1.0)
