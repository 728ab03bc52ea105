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
critical       chi1 = 1, by activation                 Roberts, Yaida & Hanin 2022, ch. 5
=============  ======================================  =================================

``_truncated`` is the normal distribution cut at two standard deviations and rescaled to the
rule's variance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.config import Registry
from gradlab.core.fingerprint import digest, operations, rounded
from gradlab.core.keys import words_of
from gradlab.core.random import by_entries, numpy_for, placed

#: Folded into a layer's key for its bias, and into a seed's key for readout and probe.
BIAS_FOLD, READOUT_FOLD, PROBE_FOLD = 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFC
#: Standard deviation of a unit normal cut at +-2.
_TRUNCATED_STD = 0.87962566103423978


@by_entries
def _normal(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jax.random.normal(key, shape, dtype)


@by_entries
def _uniform(key: Array, shape: tuple[int, int], dtype) -> Array:
    return jax.random.uniform(key, shape, dtype, -(3**0.5), 3**0.5)


@by_entries
def _truncated(key: Array, shape: tuple[int, int], dtype) -> Array:
    # the compiler makes a product of a division, but not for every shape
    return jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype) * (
        np.ones((), dtype) / np.asarray(_TRUNCATED_STD, dtype)
    )


def _orthogonal(key: Array, shape: tuple[int, int], dtype) -> Array:
    if words_of(key) is None:
        return jax.nn.initializers.orthogonal()(key, shape, dtype)
    from scipy.linalg import qr  # of the LAPACK that JAX calls on CPUs, but without a program for each shape

    factors: Any = qr(_normal(key, (max(shape), min(shape)), dtype), mode="economic", check_finite=False)
    q = factors[0] * np.sign(np.diagonal(factors[1]))
    return q.T if shape[0] < shape[1] else q


def _identity(key: Array, shape: tuple[int, int], dtype) -> Array:
    return numpy_for(key).eye(*shape, dtype=dtype)


def _ones(key: Array, shape: tuple[int, int], dtype) -> Array:
    return numpy_for(key).ones(shape, dtype)


@dataclass(frozen=True)
class Family:
    """A base draw, which configurations share. Equal where name and content are.

    Parameters
    ----------
    name : str
        Name of the distribution.
    draw : callable
        ``draw(key, (fan_in, fan_out), dtype)``.
    fingerprint : str
        A hash of what it draws; empty for a built-in one.
    """

    name: str
    draw: Callable[..., Array] = field(compare=False)
    fingerprint: str = ""


#: Base draws by distribution; all have unit variance, but "orthogonal" and "identity" have
#: orthonormal rows or columns, and "constant" is 1 throughout.
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("normal", _normal),
        Family("uniform", _uniform),
        Family("truncated", _truncated),
        Family("orthogonal", _orthogonal),
        Family("identity", _identity),
        Family("constant", _ones),
    )
}


@dataclass(frozen=True)
class Initializer:
    """A distribution with its variance rule. Equal where name and content are.

    Parameters
    ----------
    name : str
        Its name in the table.
    family : Family
        Which base draw it uses: configurations of one family share draws.
    std : callable
        ``(fan_in, fan_out) -> float``, the factor on the base draw.
    sigma_w2_rule : callable
        ``(fan_in, fan_out) -> float``, fan-in times the variance of the weights.
    bias_std : callable
        ``(fan_in) -> float``, the standard deviation of its own biases, 0 for most.
    bias_family : Family
        Base draw of the biases.
    centre : bool
        Whether a kernel is zero but at its centre, where it is the weight of a dense layer.
    fingerprint : str
        Of a registered one a hash of what its functions compute, of one that is made from numbers these; empty for
        one that its name says all of.
    """

    name: str
    family: Family
    std: Callable[[int, int], float] = field(compare=False)
    sigma_w2_rule: Callable[[int, int], float] = field(compare=False)
    bias_std: Callable[[int], float] = field(default=lambda fan_in: 0.0, compare=False)
    bias_family: Family = FAMILIES["normal"]
    centre: bool = False
    fingerprint: str = ""

    def renewed(self) -> Initializer:
        """Return the entry as its functions are now."""
        draw, rule = self.family.draw, self.sigma_w2_rule
        return self if _content(draw, rule) == self.fingerprint else checked(self.name, draw, rule)

    def base(self, key: Array, shape: tuple[int, int], dtype=None) -> Array:
        """Return the draw that all configurations of this family share."""
        return self.family.draw(key, shape, dtype or default_dtype())

    def weight(self, key: Array, shape: tuple[int, int], gain: float = 1.0, dtype=None) -> Array:
        """Draw a weight of shape (fan_in, fan_out)."""
        return _times(key, self.base(key, shape, dtype), gain * self.std(*shape))

    def kernel(self, key: Array, taps: tuple[int, ...], shape: tuple[int, int], gain: float = 1.0, dtype=None) -> Array:
        """Draw a convolution's weight, (taps * channels in, channels out), from its taps and `shape` in channels.

        The receptive field counts in both fans: a unit sees ``taps * channels_in`` numbers, and each of
        its inputs ``taps * channels_out`` units.
        """
        number, (n, m) = math.prod(taps), shape
        if not self.centre:
            return _times(key, self.base(key, (number * n, m), dtype), gain * self.std(number * n, number * m))
        middle = int(np.ravel_multi_index([(k - 1) // 2 for k in taps], taps))
        around = (middle * n, (number - middle - 1) * n), (0, 0)
        return _times(key, numpy_for(key).pad(self.base(key, shape, dtype), around), gain * self.std(*shape))

    def bias(self, key: Array, fan_in: int, width: int, std: float | None = None, dtype=None) -> Array:
        """Draw a bias of shape (width,): Gaussian with `std`, or by the initialiser's own rule."""
        dtype = dtype or default_dtype()
        family, std = (self.bias_family, self.bias_std(fan_in)) if std is None else (FAMILIES["normal"], std)
        if std == 0:
            return placed(numpy_for(key).zeros((width,), dtype))
        return _times(key, family.draw(key, (1, width), dtype)[0], std)

    def sigma_w2(self, fan_in: int, fan_out: int, gain: float = 1.0) -> float:
        """Fan-in times the variance of a weight."""
        return gain**2 * self.sigma_w2_rule(fan_in, fan_out)

    def sigma_b2(self, fan_in: int) -> float:
        """Variance of its own biases."""
        return self.bias_std(fan_in) ** 2


def default_dtype():
    """float64 where JAX has 64 bits enabled, else float32."""
    return jax.dtypes.canonicalize_dtype(np.float64)


def _times(key: Array, base: Array, std: float) -> Array:
    """Return a draw times a standard deviation, as a JAX array."""
    return placed(numpy_for(key).multiply(base, np.asarray(std, base.dtype)))


_RULES: dict[str, Callable[[int, int], float]] = {
    "xavier": lambda fan_in, fan_out: (2 / (fan_in + fan_out)) ** 0.5,
    "he": lambda fan_in, fan_out: (2 / fan_in) ** 0.5,
    "lecun": lambda fan_in, fan_out: (1 / fan_in) ** 0.5,
    "third": lambda fan_in, fan_out: (1 / (3 * fan_in)) ** 0.5,
}


def _scaled(name: str, family: str, rule: str, **more) -> Initializer:
    std = _RULES[rule]
    return Initializer(name, FAMILIES[family], std, lambda fan_in, fan_out: fan_in * std(fan_in, fan_out) ** 2, **more)


def gaussian(sigma_w2: float | None = None, std: float | None = None) -> Initializer:
    """Gaussian weights with the given fan-in times variance, or the given absolute standard deviation."""
    if (sigma_w2 is None) == (std is None):
        raise GradlabError("one of sigma_w2= and std=", f"sigma_w2={sigma_w2}, std={std}", "sigma_w2=1.0")
    rule = (lambda n, m: (sigma_w2 / n) ** 0.5) if std is None else (lambda n, m: std)
    numbers = f"sigma_w2={sigma_w2}, std={std}"
    return Initializer("gaussian", FAMILIES["normal"], rule, lambda n, m: n * rule(n, m) ** 2, fingerprint=numbers)


#: The table. Built-in names are those of `gradlab.config.INITIALIZERS`; "gaussian" is built from its number, "critical"
#: from an activation.
TABLE: Registry[Initializer] = config.REGISTRIES["initializer"]
TABLE.fill(
    (
        *(
            _scaled(f"{rule}_{family}", family, rule)
            for rule in ("xavier", "he", "lecun")
            for family in ("normal", "uniform", "truncated")
        ),
        _scaled(
            "pytorch", "uniform", "third", bias_std=lambda n: (1 / (3 * n)) ** 0.5, bias_family=FAMILIES["uniform"]
        ),
        _scaled("standard_uniform", "uniform", "third"),
        *(
            Initializer(name, FAMILIES[family], lambda n, m: 1.0, lambda n, m: n / max(n, m), centre=centre)
            for name, family, centre in (
                ("orthogonal", "orthogonal", False), ("delta_orthogonal", "orthogonal", True),
                ("identity", "identity", True),
            )
        ),
        # all weights alike have no variance
        Initializer("zeros", FAMILIES["constant"], lambda n, m: 0.0, lambda n, m: 0.0),
        Initializer("constant", FAMILIES["constant"], lambda n, m: 1.0, lambda n, m: 0.0),
    )
)  # fmt: skip


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
    """Return the initialiser of that name, or an error that lists the nearest right names.

    `sigma_w2` or `std` are for "gaussian"; `activation`, and `sigma_b2` where it is given, for those of `MADE_FOR`.
    """
    name = TABLE.resolve(name)
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
    """Add an initialiser of your own to the table, so that networks and sweeps take its name.

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

    Notes
    -----
    An initialiser is known by what it draws, as `register_activation` says of activations: the operations that JAX
    traces at a few shapes, with their constants, the draws themselves, and the variances that are declared.
    """
    TABLE.check_new(name)
    rule = sigma_w2 if callable(sigma_w2) else (lambda fan_in, fan_out: sigma_w2)
    TABLE.add(checked(name, draw, lambda fan_in, fan_out: float(rule(fan_in, fan_out))))


def checked(name: str, draw: Callable[..., Array], rule: Callable[[int, int], float]) -> Initializer:
    """Check an initialiser and return its entry for the table; errors are those of `register_initializer`."""
    shape = (400, 300)
    with jax.ensure_compile_time_eval():
        weight = draw(jax.random.key(0), shape, jnp.float32)
        if jnp.shape(weight) != shape or not bool(jnp.all(jnp.isfinite(weight))):
            raise GradlabError(
                f"draw(key, {shape}, dtype) to give {shape} finite numbers", f"shape {jnp.shape(weight)}"
            )
        got, want = 400 * float(jnp.mean(weight**2)), rule(*shape)
        spread = 400 * float(jnp.std(weight**2)) / weight.size**0.5
    if abs(got - want) > max(5 * spread, 0.02 * want):
        raise GradlabError(
            f"weights of {name!r} with fan-in * variance {want:.4g}", f"{got:.4g}", f"sigma_w2={got:.4g}"
        )
    content = _content(draw, rule)
    return Initializer(name, Family(name, draw, content), lambda n, m: 1.0, rule, fingerprint=content)


#: Shapes at which a fingerprint looks: wide, narrow, square, a bias, and one in which all limits of a law count.
_SHAPES = (3, 5), (5, 3), (4, 4), (1, 4), (64, 48)


def _content(draw: Callable[..., Array], rule: Callable[[int, int], float]) -> str:
    """Return a hash of what an initialiser's functions compute now."""
    drawing = lambda shape, dtype: lambda key: draw(key, shape, dtype)
    traced = []
    for dtype in ("float32", "float64"):
        with jax.ensure_compile_time_eval(), jax.enable_x64(dtype == "float64"):
            traced += [operations(drawing(shape, dtype), jax.random.key(0)) for shape in _SHAPES]
    with jax.ensure_compile_time_eval(), jax.enable_x64(False):
        values = [rounded(draw(jax.random.key(1), shape, jnp.float32)) for shape in _SHAPES]
    return digest(traced, values, [float(rule(*shape)) for shape in _SHAPES])
