r"""What a reader keeps of a layer: small sums, made on the device beside the arrays, and read on the host.

Each class has both sides: ``of(...)`` is traced into the program that measures, the methods below it run on the host
in float64 once the numbers have come. Logarithms, means and ratios therefore need no compiler, and lose no range: a
size is kept as a mantissa and an integer exponent until it is a log10 (a true zero is -inf).

With :math:`\delta_i = B\,\partial L/\partial z_i` (L the mean loss) the gradient of one example's
loss by the weight is :math:`a_i\delta_i^T`, of norm :math:`|a_i||\delta_i|`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from gradlab.core.scaled import Log2, Scaled, align, to_numpy

_LOG10_2 = np.log10(2.0)


def _static(**options: Any) -> Any:
    """A field that is no array: a program is compiled for it."""
    return field(metadata={"static": True}, **options)


def log10_mean(mantissa: np.ndarray, exponent: np.ndarray, count: Any) -> np.ndarray:
    """log10 of ``sum(mantissa * 2**exponent) / count`` over the last axis."""
    alive = np.where(mantissa != 0, exponent, -np.inf)
    top = np.max(alive, -1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(np.sum(mantissa * np.exp2(alive - top), -1) / count) + top[..., 0] * _LOG10_2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rows:
    """The size of each example's row: the sum of its squares over a power of four.

    Parameters
    ----------
    squares : array, shape (group..., batch)
    exponent : array of int
        The power of two that the row's entries are over.
    entries : int
        Entries of a row.
    """

    squares: Any
    exponent: Any
    entries: int = _static()

    @classmethod
    def of(cls, s: Scaled) -> Self:
        """Of the rows of a signal, shape (group..., batch, entries)."""
        return cls(jnp.sum(s.mantissa * s.mantissa, -1), s.exponent, s.mantissa.shape[-1])

    def log10_rms(self) -> np.ndarray:
        """log10 of the root mean square over batch and entries, shape (group...)."""
        return 0.5 * log10_mean(self.squares, 2 * self.exponent, self.squares.shape[-1] * self.entries)

    def mean_log10(self) -> np.ndarray:
        """Mean over examples of log10 of each one's own rms; zeros are left out, -inf where all are."""
        alive = self.squares != 0
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = 0.5 * np.log10(self.squares / self.entries) + self.exponent * _LOG10_2
            mean = np.sum(np.where(alive, logs, 0), -1) / np.sum(alive, -1)
        return np.where(alive.any(-1), mean, -np.inf)

    def zero_fraction(self) -> np.ndarray:
        """Share of examples that are exactly 0."""
        return np.mean(self.squares == 0, -1)

    def mean_over_rms(self, sums: np.ndarray) -> np.ndarray:
        """Mean over batch and entries, over the rms, from each row's sum; 0 where all is 0."""
        top = np.max(np.where(self.squares != 0, self.exponent, -np.inf), -1, keepdims=True, initial=-np.inf)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            near = np.exp2(np.where(np.isfinite(top), self.exponent - top, 0))
            ratio = np.sum(sums * near, -1) / np.sqrt(np.sum(self.squares * near**2, -1))
        count = self.squares.shape[-1] * self.entries
        return np.where(np.isfinite(top[..., 0]), ratio / np.sqrt(count), 0.0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Examples:
    """The gradients of single examples by one weight: their sizes, and what they have in common.

    Parameters
    ----------
    sizes, exponent : array, shape (group..., batch)
        Norm of each one's part of the mean loss's gradient.
    cosines : array, shape (group...), or None
        Sum of the cosines of all pairs, those with themselves too.
    together, top : array, shape (group...), or None
        The squared norm of their sum over a power of four, and the power of two.
    """

    sizes: Any
    exponent: Any
    cosines: Any = None
    together: Any = None
    top: Any = None

    @classmethod
    def of(cls, cosines: jax.Array, sizes: Scaled, together: bool) -> Self:
        """From the cosines between all examples (..., batch, batch); ``together=False`` keeps the sizes alone."""
        if not together:
            return cls(*sizes)
        weights, top = align(sizes)  # weighted by the sizes the cosines give the norm
        squares = jnp.einsum("...i,...ij,...j->...", weights, cosines, weights, precision="highest")
        # rounding may leave a sum that is exactly 0 in theory slightly below it
        return cls(*sizes, jnp.sum(cosines, (-1, -2)), jnp.maximum(squares, 0), top)

    def log10_rms(self) -> np.ndarray:
        """log10 of the rms over examples of the norm of one example's gradient."""
        batch = self.sizes.shape[-1]
        return 0.5 * log10_mean(self.sizes**2, 2 * self.exponent, batch) + np.log10(batch)

    def log10_norm(self) -> np.ndarray:
        """log10 of the norm of the gradient of the mean loss."""
        with np.errstate(divide="ignore"):
            return 0.5 * np.log10(self.together) + self.top * _LOG10_2

    def cosine_mean(self) -> np.ndarray:
        """Mean cosine of two examples' gradients; pairs with a zero are left out, NaN where no other is."""
        count = np.sum(self.sizes > 0, -1)
        pairs = count * (count - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 0, (self.cosines - count) / pairs, np.nan)

    def snr(self) -> np.ndarray:
        r""":math:`B|\bar g|^2/\mathrm{tr}\,\mathrm{Cov}`, Cov the unbiased covariance over examples."""
        batch = self.sizes.shape[-1]
        own = np.sum(self.sizes**2 * np.exp2(2.0 * np.minimum(self.exponent - self.top[..., None], 0)), -1)
        mean = self.together / batch
        covariance = (own - mean) / max(batch - 1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(covariance > 0, mean / covariance, np.where(mean > 0, np.inf, np.nan))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pairs:
    """1 - c of pairs of examples.

    Parameters
    ----------
    value, exponent : array, shape (group..., pairs)
        ``value * 2**exponent``; NaN where it is not known.
    alive : array of bool, shape (group..., pairs)
        Whether neither of the two signals is exactly 0.
    """

    value: Any
    exponent: Any
    alive: Any

    def log10_mean(self) -> np.ndarray:
        """log10 of the mean over the pairs that are alive; NaN where there is none."""
        count = np.sum(self.alive, -1)
        found = log10_mean(np.where(self.alive, self.value, 0), self.exponent, np.maximum(count, 1))
        return np.where(count > 0, found, np.nan)

    def zero_fraction(self) -> np.ndarray:
        """Share of the pairs of which a signal is exactly 0: they have no correlation."""
        return 1 - np.mean(self.alive, -1)

    def columns(self, wanted: Collection[str]) -> dict[str, np.ndarray]:
        """Those of the wanted columns that are made of pairs."""
        return {c: read(self) for c, (name, read) in _MADE_OF.items() if name == "pairs" and c in wanted}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SiteRecord:
    """What is kept of one site: on the device sums by name, on the host columns by theirs.

    Parameters
    ----------
    kind : str
        The site's.
    values : dict
    wanted : frozenset of str
        The columns that were asked for.
    """

    kind: str = _static()
    values: dict[str, Any]
    wanted: frozenset[str] = _static(default=frozenset())

    def columns(self) -> dict[str, np.ndarray]:
        """The columns, in float64 on the host, logarithms as log10."""
        return _columns(to_numpy(self.values), self.wanted)


#: What a column is made of: the name of the sums, and how. Other values are columns by themselves.
_MADE_OF: dict[str, tuple[str, Callable[[Any], np.ndarray]]] = {
    "log10_delta_rms": ("delta", lambda d: d.log10_rms() + np.log10(d.squares.shape[-1])),
    "delta_log10_mean": ("delta", lambda d: d.mean_log10() + np.log10(d.squares.shape[-1])),
    "zero_example_fraction": ("delta", Rows.zero_fraction),
    "log10_preactivation_rms": ("preactivation", Rows.log10_rms),
    "log10_activation_rms": ("activation", Rows.log10_rms),
    "log10_per_example_grad_norm_rms": ("examples", Examples.log10_rms),
    "log10_one_minus_c": ("pairs", Pairs.log10_mean),
    "zero_pair_fraction": ("pairs", Pairs.zero_fraction),
}
#: What single examples show together.
_TOGETHER: dict[str, Callable[[Examples], np.ndarray]] = {
    "log10_weight_grad_norm": Examples.log10_norm,
    "gradient_cosine_mean": Examples.cosine_mean,
    "gradient_snr": Examples.snr,
}
#: Values that are no columns, but parts of one.
_PARTS = ("activation_sum", "alive", "below_float32", "steps")


def _columns(values: dict[str, Any], wanted: frozenset[str]) -> dict[str, np.ndarray]:
    sums = (Rows, Examples, Pairs)
    found = {n: v for n, v in values.items() if not isinstance(v, sums) and n not in _PARTS}
    found |= {c: read(values[n]) for c, (n, read) in _MADE_OF.items() if c in wanted and n in values}
    if "examples" in values and values["examples"].together is not None:
        found |= {c: read(values["examples"]) for c, read in _TOGETHER.items() if c in wanted}
    if "activation_sum" in values:
        found["activation_mean_over_rms"] = values["activation"].mean_over_rms(values["activation_sum"])
    if "alive" in values:
        found["float32_zero_fraction"] = values["below_float32"] / np.maximum(values["alive"], 1)
    if "steps" in values:
        found["steps"] = _columns(values["steps"], wanted)
    return found


def on_host(record: Any) -> Any:
    """A tree of records on the host, with their columns as values; other numbers in float64."""
    is_site = lambda v: isinstance(v, SiteRecord)
    one = lambda v: SiteRecord(v.kind, v.columns()) if is_site(v) else to_numpy(v)
    return jax.tree.map(one, record, is_leaf=lambda v: is_site(v) or isinstance(v, Log2))
