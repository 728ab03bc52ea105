r"""Activations as one table of pairs (phi, phi'), with what is known of each.

Derivatives are written by hand in the form that loses no digits far out: :math:`\sigma'(z) =
\sigma(z)\sigma(-z)` rather than :math:`\sigma(1-\sigma)`, :math:`\tanh' = 1/\cosh^2`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab import config
from gradlab._errors import GradlabError
from gradlab.config import Registry
from gradlab.core.fingerprint import digest, operations, rounded
from gradlab.core.gradient import Site
from gradlab.core.layer import Layer
from gradlab.core.scaled import Scaled, normalise

#: Klambauer et al. 2017, appendix: the constants of SELU.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
LEAKY_SLOPE = config.PARAMETERS["leaky_relu"].usual


@dataclass(frozen=True)
class Activation:
    """Hold an activation and its derivative, elementwise on arrays. Equal where name and content are.

    It stands wherever a name of an activation does: in a network, a sweep, a layer, or theory. It is then checked as
    `register_activation` does, and registered under its name.

    Parameters
    ----------
    name : str
        Its name in the table.
    phi, dphi : callable
        Array to array.
    kinks : tuple of float
        Where the derivative jumps.
    limits : tuple of float or None
        Lower and upper limit, where both are finite: the values at which a unit saturates.
    homogeneous : bool
        phi(c z) = c phi(z) for c > 0: powers of two pass through.
    built_in : bool
        Whether the name says all; else content is looked at.

    Attributes
    ----------
    fingerprint : str
        A hash of all this, and of what the functions compute; empty for a built-in one.

    Examples
    --------
    >>> import gradlab as gl, jax.numpy as jnp
    >>> gl.MLP(depth=3, activation=gl.Activation("half_sine", lambda z: jnp.sin(z / 2), lambda z: jnp.cos(z / 2) / 2))
    MLP(depth=3, activation='half_sine')
    """

    name: str
    phi: Callable[[Array], Array] = field(compare=False)
    dphi: Callable[[Array], Array] = field(compare=False)
    kinks: tuple[float, ...] = ()
    limits: tuple[float, float] | None = None
    homogeneous: bool = False
    built_in: InitVar[bool] = False
    fingerprint: str = field(init=False)

    def __post_init__(self, built_in: bool):
        object.__setattr__(self, "fingerprint", "" if built_in else self._content())

    def _content(self) -> str:
        """Return the hash of what the functions compute now."""

        pulled = lambda f: lambda z: jax.vjp(f, z)[1](jnp.ones_like(z))
        functions = self.phi, self.dphi, pulled(self.phi), pulled(self.dphi)
        shapes = jax.ShapeDtypeStruct((2, 3), "float32"), jax.ShapeDtypeStruct((3,), "float64")
        near = [k + d for k in self.kinks for d in (-1e-3, 0, 1e-3)]
        with jax.ensure_compile_time_eval(), jax.enable_x64(True):
            traced = [operations(function, shape) for function in functions for shape in shapes]
            z = jnp.asarray(np.concatenate([_POINTS, near]), jnp.float64)
            values = rounded([self.phi(z), self.dphi(z)])
        return digest(self.kinks, self.limits, traced, values)

    def renewed(self) -> Activation:
        """Return the entry as its functions are now."""
        if self._content() == self.fingerprint:
            return self
        return checked(self.name, self.phi, self.dphi, self.kinks, self.limits)


#: Where a fingerprint looks at values: around 0, in the range of signals, and far out.
_POINTS = np.concatenate([
    np.linspace(-20, 20, 401), [sign * size for size in (1e-300, 1e-8, 1e-3, 50, 1e3, 1e6, 1e100) for sign in (-1, 1)]
])  # fmt: skip


def _step(z: Array) -> Array:
    return (z > 0).astype(z.dtype)


def _sigmoid(z: Array) -> Array:
    # exp of a non-positive number only, and no 1 - p: exact at both ends
    e = jnp.exp(-jnp.abs(z))
    return jnp.where(z >= 0, 1, e) / (1 + e)


def _dsigmoid(z: Array) -> Array:
    e = jnp.exp(-jnp.abs(z))
    return e / (1 + e) ** 2


def _dtanh(z: Array) -> Array:
    e = jnp.exp(-2 * jnp.abs(z))
    return 4 * e / (1 + e) ** 2


def _normal_density(z: Array) -> Array:
    return jnp.exp(-0.5 * z * z) * (0.5 / np.pi) ** 0.5


def _normal_cdf(z: Array) -> Array:
    return 0.5 * jax.lax.erfc(-z * 0.5**0.5)


def _elu(z: Array, alpha: float = 1.0, scale: float = 1.0) -> Array:
    # not minimum(z, 0), of which autodiff makes half a slope at 0
    return scale * jnp.where(z > 0, z, alpha * jnp.expm1(jnp.where(z > 0, 0, z)))


def _delu(z: Array, alpha: float = 1.0, scale: float = 1.0) -> Array:
    return scale * jnp.where(z > 0, 1, alpha * jnp.exp(jnp.minimum(z, 0)))


def _softplus(z: Array) -> Array:
    return jnp.where(z >= 0, z, 0) + jnp.log1p(jnp.exp(-jnp.abs(z)))


_built_in = functools.partial(Activation, built_in=True)


def _leaky(name: str, slope: float) -> Activation:
    return _built_in(
        name,
        lambda z: jnp.where(z > 0, z, slope * z),
        lambda z: jnp.where(z > 0, 1, slope).astype(z.dtype),
        kinks=(0.0,),
        homogeneous=True,
    )


def _elu_of(name: str, alpha: float) -> Activation:
    kinks = () if alpha == 1 else (0.0,)  # at 1 both sides have the slope 1
    phi, dphi = (lambda z: _elu(z, alpha)), (lambda z: _delu(z, alpha))
    return _built_in(name, phi, dphi, kinks=kinks, homogeneous=alpha == 0)


#: By name, what makes the entry of a name with a number behind it.
_MAKERS = {"leaky_relu": _leaky, "elu": _elu_of}


#: The table. Built-in names are those of `gradlab.config.ACTIVATIONS`.
TABLE: Registry[Activation] = config.REGISTRIES["activation"]
TABLE.fill(
    (
        _built_in("identity", lambda z: z, jnp.ones_like, homogeneous=True),
        _built_in("sigmoid", _sigmoid, _dsigmoid, limits=(0.0, 1.0)),
        _built_in("tanh", jnp.tanh, _dtanh, limits=(-1.0, 1.0)),
        _built_in("relu", jax.nn.relu, _step, kinks=(0.0,), homogeneous=True),
        *(_MAKERS[name](name, one.usual) for name, one in config.PARAMETERS.items()),
        _built_in(
            "selu",
            lambda z: _elu(z, SELU_ALPHA, SELU_SCALE),
            lambda z: _delu(z, SELU_ALPHA, SELU_SCALE),
            kinks=(0.0,),
        ),
        _built_in("gelu", lambda z: z * _normal_cdf(z), lambda z: _normal_cdf(z) + z * _normal_density(z)),
        _built_in(
            "silu",
            lambda z: z * _sigmoid(z),
            lambda z: _sigmoid(z) + z * _dsigmoid(z),
        ),
        _built_in("softplus", _softplus, _sigmoid),
        _built_in(
            "softsign", lambda z: z / (1 + jnp.abs(z)), lambda z: 1 / (1 + jnp.abs(z)) ** 2, limits=(-1.0, 1.0)
        ),
        _built_in(
            "hard_tanh",
            lambda z: jnp.clip(z, -1, 1),
            lambda z: (jnp.abs(z) < 1).astype(z.dtype),
            kinks=(-1.0, 1.0),
            limits=(-1.0, 1.0),
        ),
        _built_in(
            "erf", jax.lax.erf, lambda z: 2 / np.pi**0.5 * jnp.exp(-z * z), limits=(-1.0, 1.0)
        ),
    ),
    _MAKERS,
    lambda entry: checked(entry.name, entry.phi, entry.dphi, entry.kinks, entry.limits),
)  # fmt: skip


def activation_named(name: str | Activation) -> Activation:
    """Return the entry of the table, or an error that lists the nearest right names."""
    return TABLE[name]


def register_activation(
    name: str,
    phi: Callable[[Array], Array],
    dphi: Callable[[Array], Array],
    kinks: Sequence[float] = (),
    limits: tuple[float, float] | None = None,
) -> None:
    """Add an activation of one's own to the table, under a name usable everywhere.

    Parameters
    ----------
    name : str
        Not the name of a built-in activation; a name registered before is replaced.
    phi, dphi : callable
        The activation and its derivative, elementwise on JAX arrays.
    kinks : sequence of float
        Where `dphi` jumps; the comparison leaves these points out but looks on both sides.
    limits : (float, float), optional
        Lower and upper limit of `phi`, where both are finite.

    Raises
    ------
    GradlabError
        If `dphi` does not agree with the derivative of `phi` at 1000 points of [-20, 20] and on
        both sides of each kink, to 1e-9 in float64, or is not elementwise.

    Notes
    -----
    An activation is known by what it computes: the operations that JAX traces, with their constants, and values. What
    was compiled for one, or stored in a sweep's folder, is used again for another that computes the same, and for no
    other. A function may read what can change after it is registered: a global, a closure, an object. It is looked at
    again whenever gradlab measures, trains, runs a sweep or predicts; where it computes something else than before it
    is checked again, and counts as another function. Of a function that calls back into Python
    (`jax.pure_callback`) the values at some 400 points are all that is seen.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> register_activation("cosine", jnp.cos, lambda z: -jnp.sin(z), limits=(-1.0, 1.0))
    """
    TABLE.check_new(name)
    ends = None if limits is None else (float(limits[0]), float(limits[1]))
    TABLE.add(checked(name, _traced_anew(phi), _traced_anew(dphi), tuple(float(k) for k in kinks), ends))


def _traced_anew(function: Callable) -> Callable:
    """Return a function without `jax.jit` around it, which would keep what it once traced."""
    return function.__wrapped__ if isinstance(function, jax.stages.Wrapped) else function


def checked(
    name: str,
    phi: Callable[[Array], Array],
    dphi: Callable[[Array], Array],
    kinks: tuple[float, ...] = (),
    limits: tuple[float, float] | None = None,
) -> Activation:
    """Check an activation and return its entry for the table; errors are those of `register_activation`."""
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        near = [k + d for k in kinks for d in (-1e-3, -1e-6, 1e-6, 1e-3)]
        z = jnp.asarray(np.concatenate([np.linspace(-20, 20, 1000), near]), jnp.float64)
        z = z[jnp.all(jnp.abs(z[:, None] - jnp.asarray(list(kinks) or [jnp.inf])) > 1e-9, 1)]
        try:
            values, ours = phi(z), dphi(z)
            theirs = jax.vmap(jax.grad(lambda t: phi(t)))(z)
        except Exception as error:
            raise GradlabError(
                "phi and dphi to be elementwise functions of a JAX array", f"{type(error).__name__}: {error}",
                "jax.numpy functions that return an array of the same shape",
            ) from error  # fmt: skip
        if jnp.shape(values) != z.shape or jnp.shape(ours) != z.shape:
            raise GradlabError(
                "phi and dphi to be elementwise", f"shapes {jnp.shape(values)} and {jnp.shape(ours)} of {z.shape}"
            )
        gap = np.asarray(jnp.abs(ours - theirs) / jnp.maximum(1, jnp.abs(theirs)))
        worst = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))
        if not gap[worst] <= 1e-9:
            raise GradlabError(
                f"dphi of {name!r} to be the derivative of phi",
                f"{float(ours[worst]):.6g} at z = {float(z[worst]):.6g}, where it is {float(theirs[worst]):.6g}",
                "correcting dphi, or kinks=(...) where the derivative jumps",
            )
        # a function that is positively homogeneous lets powers of two pass: asked of it, not declared
        homogeneous = bool(jnp.all(phi(4 * z) == 4 * values) & jnp.all(phi(z / 4) == values / 4))
    return Activation(name, phi, dphi, kinks, limits, homogeneous)


def activation(*parts: str | Activation | tuple[str, int]) -> Layer:
    r"""Make an activation layer :math:`a = \phi(z)`, with :math:`\delta = \partial L/\partial a\circ\phi'(z)`.

    Parameters
    ----------
    *parts : str, Activation or (str, int)
        One name for the whole array, as ``"tanh"`` or, with a number, ``"leaky_relu:0.18"``; or pairs of name and
        number of groups, for arrays with a leading group axis: the slices of that axis in order.
    """
    entries = tuple(
        (activation_named(p[0]), p[1]) if isinstance(p, tuple) else (activation_named(p), None) for p in parts
    )

    def forward(_, x):
        return by_slices(entries, phi_of, x), x

    def backward(_, z, dy, read):
        y = by_slices(entries, phi_of, z)
        record = read(Site("activation", (), {}, z, y, dy, {}, entries))
        return by_slices(entries, _delta, z, dy), record

    return Layer(lambda key, shape: ({}, shape), forward, backward)


def by_slices(entries, function, *arrays: Scaled):
    """`function(entry, *slices)` on each entry's slice of the leading axis, put together again."""
    if len(entries) == 1:
        return function(entries[0][0], *arrays)
    results, start = [], 0
    for entry, count in entries:
        piece = jax.tree.map(lambda v: v[start : start + count], arrays)  # noqa: B023
        results.append(function(entry, *piece))
        start += count
    return jax.tree.map(lambda *r: jnp.concatenate(r), *results)


def phi_of(entry: Activation, z: Scaled) -> Scaled:
    """phi(z): powers of two pass through a homogeneous function, any other sees the plain value."""
    if entry.homogeneous:
        return normalise(z.map(entry.phi))
    return z.constant(entry.phi(z.value()))


def slope(entry: Activation, z: Scaled) -> Array:
    """phi'(z), a plain array: a homogeneous function's derivative does not depend on the scale."""
    return entry.dphi(z.mantissa if entry.homogeneous else z.value())


def _delta(entry: Activation, z: Scaled, dy: Scaled) -> Scaled:
    return dy.map(lambda d: d * slope(entry, z))
