r"""Initialisers: a distribution and a variance rule. Each knows the variance of its weights.

A weight is ``std(fan_in, fan_out)`` times a *base draw* of unit variance, so that configurations
with the same distribution share the draw (and the matrix product with it), whatever their rules:

=============  ======================================  =================================
rule           standard deviation                      source
=============  ======================================  =================================
xavier         :math:`\sqrt{2/(n_{in}+n_{out})}`       Glorot & Bengio 2010, eq. 12 and 16
he             :math:`\sqrt{2/n_{in}}`                 He et al. 2015, eq. 10
lecun          :math:`\sqrt{1/n_{in}}`                 LeCun et al. 1998, eq. 16
pytorch        :math:`\sqrt{1/(3 n_{in})}`             ``torch.nn.Linear``: U(+-1/sqrt(n_in)), bias too
standard       :math:`\sqrt{1/(3 n_{in})}`             Glorot & Bengio 2010, eq. 1 (1986-2010)
orthogonal     rows or columns orthonormal             Saxe et al. 2013
delta          the same, at a kernel's centre alone    Xiao et al. 2018
identity       no draw: ones on the diagonal           Le, Jaitly & Hinton 2015
zeros          no draw: all weights 0
constant       no draw: all weights 1 (times a gain)
gaussian       given                                   Poole et al. 2016
critical       chi1 = 1, by activation                 Roberts, Yaida & Hanin 2021, ch. 5
=============  ======================================  =================================

``_truncated`` is the normal distribution cut at two standard deviations and rescaled to the
rule's variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError

#: Folded into a layer's key for its bias, and into a seed's key for readout and probe.
BIAS_FOLD, READOUT_FOLD, PROBE_FOLD = 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
#: Standard deviation of a unit normal cut at +-2.
_TRUNCATED_STD = 0.87962566103423978


def _normal(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jax.random.normal(key, shape, dtype)


def _uniform(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jax.random.uniform(key, shape, dtype, -(3**0.5), 3**0.5)


def _truncated(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) / jnp.asarray(_TRUNCATED_STD, dtype)


def _orthogonal(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jax.nn.initializers.orthogonal()(key, shape, dtype)


def _identity(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jnp.eye(*shape, dtype=dtype)


def _ones(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jnp.ones(shape, dtype)


#: Base draws by distribution; all have unit variance, but "orthogonal" and "identity" have
#: orthonormal rows or columns, and "constant" is 1 throughout.
FAMILIES: dict[str, Callable[..., Array]] = {
    "normal": _normal,
    "uniform": _uniform,
    "truncated": _truncated,
    "orthogonal": _orthogonal,
    "identity": _identity,
    "constant": _ones,
}


class Initializer(NamedTuple):
    """A distribution with its variance rule.

    Parameters
    ----------
    name : str
    family : str
        Which base draw it uses: configurations of one family share draws.
    std : callable
        ``(fan_in, fan_out) -> float``, the factor on the base draw.
    sigma_w2_rule : callable
        ``(fan_in, fan_out) -> float``, fan-in times the variance of the weights.
    bias_std : callable
        ``(fan_in) -> float``, the standard deviation of its own biases, 0 for most.
    bias_family : str
        Base draw of the biases.
    centre : bool
        Whether a kernel is zero but at its centre, where it is the weight of a dense layer.
    """

    name: str
    family: str
    std: Callable[[int, int], float]
    sigma_w2_rule: Callable[[int, int], float]
    bias_std: Callable[[int], float] = lambda fan_in: 0.0
    bias_family: str = "normal"
    centre: bool = False

    def base(self, key: Array, shape: tuple[int, int], dtype=None) -> Array:
        """The draw that all configurations of this family share."""
        return FAMILIES[self.family](key, shape, dtype or default_dtype())

    def weight(self, key: Array, shape: tuple[int, int], gain: float = 1.0, dtype=None) -> Array:
        """A weight of shape (fan_in, fan_out)."""
        base = self.base(key, shape, dtype)
        return base * jnp.asarray(gain * self.std(*shape), base.dtype)

    def kernel(self, key: Array, taps: tuple[int, ...], shape: tuple[int, int], gain: float = 1.0, dtype=None) -> Array:
        """A convolution's weight, (number of taps * channels in, channels out), from its taps and `shape` in channels.

        The receptive field counts in both fans: a unit sees ``taps * channels_in`` numbers, and each of
        its inputs ``taps * channels_out`` units.
        """
        number, (n, m) = math.prod(taps), shape
        if not self.centre:
            base = self.base(key, (number * n, m), dtype)
            return base * jnp.asarray(gain * self.std(number * n, number * m), base.dtype)
        middle = int(np.ravel_multi_index([(k - 1) // 2 for k in taps], taps))
        weight = self.weight(key, shape, gain, dtype)
        return jnp.zeros((number * n, m), weight.dtype).at[middle * n : (middle + 1) * n].set(weight)

    def bias(self, key: Array, fan_in: int, width: int, std: float | None = None, dtype=None) -> Array:
        """A bias of shape (width,): Gaussian with `std`, or by the initialiser's own rule."""
        dtype = dtype or default_dtype()
        family, std = (self.bias_family, self.bias_std(fan_in)) if std is None else ("normal", std)
        if std == 0:
            return jnp.zeros((width,), dtype)
        return FAMILIES[family](key, (1, width), dtype)[0] * jnp.asarray(std, dtype)

    def sigma_w2(self, fan_in: int, fan_out: int, gain: float = 1.0) -> float:
        """Fan-in times the variance of a weight."""
        return gain**2 * self.sigma_w2_rule(fan_in, fan_out)

    def sigma_b2(self, fan_in: int) -> float:
        """Variance of its own biases."""
        return self.bias_std(fan_in) ** 2


def default_dtype():
    """float64 where JAX has 64 bits enabled, else float32."""
    return jnp.asarray(0.0).dtype


_RULES: dict[str, Callable[[int, int], float]] = {
    "xavier": lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,
    "he": lambda fan_in, fan_out: (2 / fan_in) ** 0.5,
    "lecun": lambda fan_in, fan_out: (1 / fan_in) ** 0.5,
    "third": lambda fan_in, fan_out: (1 / (3 * fan_in)) ** 0.5,
}


def _scaled(name: str, family: str, rule: str, **more) -> Initializer:
    std = _RULES[rule]
    return Initializer(name, family, std, lambda fan_in, fan_out: fan_in * std(fan_in, fan_out) ** 2, **more)


def gaussian(sigma_w2: float | None = None, std: float | None = None) -> Initializer:
    """Gaussian weights with the given fan-in times variance, or the given absolute standard deviation."""
    if (sigma_w2 is None) == (std is None):
        raise GradlabError("one of sigma_w2= and std=", f"sigma_w2={sigma_w2}, std={std}", "sigma_w2=1.0")
    rule = (lambda n, m: (sigma_w2 / n) ** 0.5) if std is None else (lambda n, m: std)
    return Initializer("gaussian", "normal", rule, lambda n, m: n * rule(n, m) ** 2)


#: The table. Names are those of `gradlab.config.INITIALIZERS`; "gaussian" is built from its number, "critical"
#: from an activation.
TABLE: dict[str, Initializer] = {
    **{
        f"{rule}_{family}": _scaled(f"{rule}_{family}", family, rule)
        for rule in ("xavier", "he", "lecun")
        for family in ("normal", "uniform", "truncated")
    },
    "orthogonal": Initializer("orthogonal", "orthogonal", lambda n, m: 1.0, lambda n, m: n / max(n, m)),
    "delta_orthogonal": Initializer(
        "delta_orthogonal", "orthogonal", lambda n, m: 1.0, lambda n, m: n / max(n, m), centre=True
    ),
    "pytorch": _scaled("pytorch", "uniform", "third", bias_std=lambda n: (1 / (3 * n)) ** 0.5, bias_family="uniform"),
    "standard_uniform": _scaled("standard_uniform", "uniform", "third"),
    "identity": Initializer("identity", "identity", lambda n, m: 1.0, lambda n, m: n / max(n, m), centre=True),
    # all weights alike have no variance
    "zeros": Initializer("zeros", "constant", lambda n, m: 0.0, lambda n, m: 0.0),
    "constant": Initializer("constant", "constant", lambda n, m: 1.0, lambda n, m: 0.0),
}

_fingerprints: dict[str, str] = {}


#: Initialisers that depend on the activation: module and function ``(activation, sigma_b2) -> Initializer``. By name,
#: because what they are computed from stands above `core`; loaded when one is first asked for.
MADE_FOR: dict[str, tuple[str, str]] = {"critical": ("gradlab.theory.critical", "initializer_for")}


def initializer(
    name: str,
    sigma_w2: float | None = None,
    std: float | None = None,
    *,
    activation: str | None = None,
    sigma_b2: float | None = None,
) -> Initializer:
    """The initialiser of that name, or an error that lists the nearest right names.

    `sigma_w2` or `std` are for "gaussian"; `activation`, and `sigma_b2` where it is given, for those of `MADE_FOR`.
    """
    name = config.resolve("initializer", name, config.INITIALIZERS)
    if name in MADE_FOR:
        if activation is None:
            raise GradlabError(f"an activation, on which {name!r} depends", "none", f"gl.MLP(..., init={name!r})")
        module, function = MADE_FOR[name]
        return getattr(import_module(module), function)(activation, sigma_b2)
    return gaussian(sigma_w2, std) if name == "gaussian" else TABLE[name]


def register_initializer(
    name: str,
    draw: Callable[..., Array],
    sigma_w2: float | Callable[[int, int], float],
) -> None:
    """Add an initialiser of one's own to the table.

    Parameters
    ----------
    name : str
        Not the name of a built-in initialiser.
    draw : callable
        ``draw(key, (fan_in, fan_out), dtype)``, the weight.
    sigma_w2 : float or callable
        Fan-in times the variance of a weight, a number or a function of (fan_in, fan_out).

    Raises
    ------
    GradlabError
        If a draw has not the shape asked for, is not finite, or its variance is more than 5 standard
        errors and 2 % away from the declared one.
    """
    from gradlab.core.activations import fingerprint_of

    if name in config.INITIALIZERS:
        raise GradlabError("a name that is not built in", repr(name), "another name")
    rule = sigma_w2 if callable(sigma_w2) else (lambda fan_in, fan_out: sigma_w2)
    shape = (400, 300)
    weight = draw(jax.random.key(0), shape, jnp.float32)
    if jnp.shape(weight) != shape or not bool(jnp.all(jnp.isfinite(weight))):
        raise GradlabError(f"draw(key, {shape}, dtype) to give {shape} finite numbers", f"shape {jnp.shape(weight)}")
    got, want = 400 * float(jnp.mean(weight**2)), float(rule(*shape))
    spread = 400 * float(jnp.std(weight**2)) / weight.size**0.5
    if abs(got - want) > max(5 * spread, 0.02 * want):
        raise GradlabError(
            f"weights of {name!r} with fan-in * variance {want:.4g}", f"{got:.4g}", f"sigma_w2={got:.4g}"
        )
    FAMILIES[name] = draw
    TABLE[name] = Initializer(name, name, lambda n, m: 1.0, lambda n, m: float(rule(n, m)))
    _fingerprints[name] = fingerprint_of(draw, sigma_w2)
    if name not in config.registered["initializer"]:
        config.registered["initializer"].append(name)


def fingerprint(name: str) -> str:
    """What identifies a registered initialiser's code; empty for a built-in one."""
    return _fingerprints.get(name, "")
