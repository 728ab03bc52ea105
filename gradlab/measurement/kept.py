r"""Small sums that a reader keeps of a layer: made on the device beside the arrays, turned into columns on the host.

Each class has both sides. Its ``of(...)`` is traced into the program that measures; the other methods run on the host
in float64 when the numbers have arrived. Logarithms, means and ratios therefore need no compiler and lose no range: a
size is a mantissa with an integer exponent until it becomes a log10 (a true zero is -inf).

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

from gradlab._formats import SHORT_FORMATS
from gradlab._types import RANGED
from gradlab.core.scaled import PRECISION, Log2, Scaled, align, to_numpy
from gradlab.measurement.bins import end_shares
from gradlab.measurement.noise import inverse_noise_scale, snr_of_parts

_LOG10_2 = np.log10(2.0)


def _static(**options: Any) -> Any:
    """Make a field that is no array; a program is compiled for each of its values."""
    return field(metadata={"static": True}, **options)


def log10_mean(mantissa: np.ndarray, exponent: np.ndarray, count: Any) -> np.ndarray:
    """Compute log10 of ``sum(mantissa * 2**exponent) / count`` over the last axis."""
    alive = np.where(mantissa != 0, exponent, -np.inf)
    top = np.max(alive, -1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(np.sum(mantissa * np.exp2(alive - top), -1) / count) + top[..., 0] * _LOG10_2


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rows:
    """Hold the size of each example's row of a signal.

    Parameters
    ----------
    squares : array, shape (group..., batch)
        Sums of the squared mantissas of each row.
    exponent : array of int
        Power of two that multiplies the mantissas of each row.
    entries : int
        Number of entries of a row.
    """

    squares: Any
    exponent: Any
    entries: int = _static()

    @classmethod
    def of(cls, s: Scaled) -> Self:
        """Take the sizes of the rows of a signal, shape (group..., batch, entries)."""
        return cls(jnp.sum(s.mantissa * s.mantissa, -1), s.exponent, s.mantissa.shape[-1])

    def log10_rms(self) -> np.ndarray:
        """Return log10 of the root mean square over batch and entries, shape (group...)."""
        return 0.5 * log10_mean(self.squares, 2 * self.exponent, self.squares.shape[-1] * self.entries)

    def mean_log10(self) -> np.ndarray:
        """Return the mean over examples of log10 of the rms of each; zeros are left out, -inf where all are zero."""
        alive = self.squares != 0
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = 0.5 * np.log10(self.squares / self.entries) + self.exponent * _LOG10_2
            mean = np.sum(np.where(alive, logs, 0), -1) / np.sum(alive, -1)
        return np.where(alive.any(-1), mean, -np.inf)

    def zero_fraction(self) -> np.ndarray:
        """Return the share of examples that are exactly 0."""
        return np.mean(self.squares == 0, -1)

    def mean_over_rms(self, sums: np.ndarray) -> np.ndarray:
        """Return the mean over batch and entries divided by the rms, from the sum of each row; 0 where all is 0."""
        top = np.max(np.where(self.squares != 0, self.exponent, -np.inf), -1, keepdims=True, initial=-np.inf)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            near = np.exp2(np.where(np.isfinite(top), self.exponent - top, 0))
            ratio = np.sum(sums * near, -1) / np.sqrt(np.sum(self.squares * near**2, -1))
        count = self.squares.shape[-1] * self.entries
        return np.where(np.isfinite(top[..., 0]), ratio / np.sqrt(count), 0.0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Examples:
    """Hold the sizes of the gradients of single examples by one weight, and the size of their sum.

    Parameters
    ----------
    sizes, exponent : array, shape (group..., batch)
        Norm of what each example adds to the gradient of the mean loss: a mantissa and a power of two.
    cosines : array, shape (group...), or None
        Sum of the cosines over all pairs, each example with itself included.
    together, top : array, shape (group...), or None
        Squared norm of the sum of all gradients: a mantissa, and half of its power of two.
    """

    sizes: Any
    exponent: Any
    cosines: Any = None
    together: Any = None
    top: Any = None

    @classmethod
    def of(cls, cosines: jax.Array, sizes: Scaled, together: bool) -> Self:
        """Take the sizes, and with ``together=True`` the cosines between all examples, shape (..., batch, batch)."""
        if not together:
            return cls(*sizes)
        weights, top = align(sizes)  # cosines weighted by the sizes sum to the squared norm
        squares = jnp.einsum("...i,...ij,...j->...", weights, cosines, weights, precision=PRECISION)
        # rounding may leave a sum that is exactly 0 in theory slightly below it
        return cls(*sizes, jnp.sum(cosines, (-1, -2)), jnp.maximum(squares, 0), top)

    def log10_rms(self) -> np.ndarray:
        """Return log10 of the rms over examples of the norm of one example's gradient."""
        batch = self.sizes.shape[-1]
        return 0.5 * log10_mean(self.sizes**2, 2 * self.exponent, batch) + np.log10(batch)

    def log10_norm(self) -> np.ndarray:
        """Return log10 of the norm of the gradient of the mean loss."""
        with np.errstate(divide="ignore"):
            return 0.5 * np.log10(self.together) + self.top * _LOG10_2

    def cosine_mean(self) -> np.ndarray:
        """Return the mean cosine of two examples' gradients, without pairs with a zero; NaN where none is left."""
        count = np.sum(self.sizes > 0, -1)
        pairs = count * (count - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(pairs > 0, (self.cosines - count) / pairs, np.nan)

    def _squares(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the squared norm of the mean gradient times B, and the sum of those of all, over one power of two."""
        near = np.exp2(2.0 * np.minimum(self.exponent - self.top[..., None], 0))
        return self.together / self.sizes.shape[-1], np.sum(self.sizes**2 * near, -1)

    def snr(self) -> np.ndarray:
        r"""Return :math:`B|\bar g|^2/\mathrm{tr}\,\mathrm{Cov}`, Cov the unbiased covariance over examples."""
        return snr_of_parts(*self._squares(), self.sizes.shape[-1])

    def log10_noise(self) -> np.ndarray:
        """Return log10 of the root of the trace of the covariance, but for a number that depends on the batch alone."""
        mean, squares = self._squares()
        with np.errstate(divide="ignore"):
            return 0.5 * np.log10(np.maximum(squares - mean, 0)) + self.top * _LOG10_2

    def inverse_noise_scale(self) -> np.ndarray:
        """Return 1 over the simple noise scale, without bias from the size of the batch."""
        return inverse_noise_scale(self.snr(), self.sizes.shape[-1])


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Pairs:
    """Hold 1 - c of pairs of examples.

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
        """Return log10 of the mean over pairs without a zero signal; NaN where there is none."""
        count = np.sum(self.alive, -1)
        mean = log10_mean(np.where(self.alive, self.value, 0), self.exponent, np.maximum(count, 1))
        return np.where(count > 0, mean, np.nan)

    def zero_fraction(self) -> np.ndarray:
        """Return the share of pairs with a signal that is exactly 0, which have no correlation."""
        return 1 - np.mean(self.alive, -1)

    def columns(self, wanted: Collection[str]) -> dict[str, np.ndarray]:
        """Return those of the wanted columns that are made of pairs."""
        return {c: read(self) for c, (name, read) in _MADE_OF.items() if name == "pairs" and c in wanted}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SiteRecord:
    """Hold what a reader keeps of one site.

    Parameters
    ----------
    kind : str
        Kind of the site.
    values : dict
        On the device sums by their name, on the host columns by theirs.
    wanted : frozenset of str
        Names of the columns that were asked for.
    """

    kind: str = _static()
    values: dict[str, Any]
    wanted: frozenset[str] = _static(default=frozenset())

    def columns(self) -> dict[str, np.ndarray]:
        """Compute the columns in float64 on the host, logarithms as log10."""
        return _columns(to_numpy(self.values), self.wanted)


#: For each column the name of its sums, and the function that computes it from them. Other values are columns already.
_MADE_OF: dict[str, tuple[str, Callable[[Any], np.ndarray]]] = {
    "log10_delta_rms": ("delta", lambda d: d.log10_rms() + np.log10(d.squares.shape[-1])),
    "delta_log10_mean": ("delta", lambda d: d.mean_log10() + np.log10(d.squares.shape[-1])),
    "zero_example_fraction": ("delta", Rows.zero_fraction),
    "log10_preactivation_rms": ("preactivation", Rows.log10_rms),
    "log10_activation_rms": ("activation", Rows.log10_rms),
    "log10_per_example_grad_norm_rms": ("examples", Examples.log10_rms),
    "log10_one_minus_c": ("pairs", Pairs.log10_mean),
    "zero_pair_fraction": ("pairs", Pairs.zero_fraction),
    "log10_one_minus_token_c": ("tokens", Pairs.log10_mean),
}
#: Columns that are computed from all examples together.
_TOGETHER: dict[str, Callable[[Examples], np.ndarray]] = {
    "log10_weight_grad_norm": Examples.log10_norm,
    "gradient_cosine_mean": Examples.cosine_mean,
    "gradient_snr": Examples.snr,
    "inverse_noise_scale": Examples.inverse_noise_scale,
}
#: Values that are no columns, but parts of one.
_PARTS = ("activation_sum", "alive", "below_float32", "steps", *(f"{signal}_ends" for signal in RANGED))


def _columns(values: dict[str, Any], wanted: frozenset[str]) -> dict[str, np.ndarray]:
    sums = (Rows, Examples, Pairs)
    columns = {n: v for n, v in values.items() if not isinstance(v, sums) and n not in _PARTS}
    columns |= {c: read(values[n]) for c, (n, read) in _MADE_OF.items() if c in wanted and n in values}
    if "examples" in values and values["examples"].together is not None:
        columns |= {c: read(values["examples"]) for c, read in _TOGETHER.items() if c in wanted}
        if "inverse_noise_scale" in wanted:  # of a block it follows from those of its weights, and the noise of each
            columns["log10_noise"] = values["examples"].log10_noise()
    if "activation_sum" in values:
        columns["activation_mean_over_rms"] = values["activation"].mean_over_rms(values["activation_sum"])
    if "alive" in values:
        columns["float32_zero_fraction"] = values["below_float32"] / np.maximum(values["alive"], 1)
    columns |= _shares(values, wanted)
    if "steps" in values:
        columns["steps"] = _columns(values["steps"], wanted)
    return columns


def _shares(values: dict[str, Any], wanted: frozenset[str]) -> dict[str, np.ndarray]:
    """Compute the shares outside the formats; of weights also the entries they are taken of, to join several shares."""
    columns: dict[str, np.ndarray] = {}
    for signal in RANGED:
        counts = values.get(f"{signal}_ends")
        if counts is None:
            continue
        for name in SHORT_FORMATS:
            for side, share in end_shares(counts, name).items():
                if f"{signal}_{side}_{name}" in wanted:
                    columns[f"{signal}_{side}_{name}"] = share
        if signal == "weight_grad":
            columns["weight_grad_alive"] = np.sum(counts, -1)
    return columns


def on_host(record: Any) -> Any:
    """Move a tree of records to the host, with columns as their values; other numbers become float64."""
    is_site = lambda v: isinstance(v, SiteRecord)
    one = lambda v: SiteRecord(v.kind, v.columns()) if is_site(v) else to_numpy(v)
    return jax.tree.map(one, record, is_leaf=lambda v: is_site(v) or isinstance(v, Log2))
