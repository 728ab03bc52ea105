r"""The reader `statistics`: what is kept of each layer on the way back.

Everything is read off the mantissas, whose largest entry in each example lies in [1/2, 1), and the
integer exponents, so nothing overflows and no square underflows. Sizes are kept as `Log2`.

With :math:`\delta_i = B\,\partial L/\partial z_i` (L the mean loss) the gradient of one example's
loss by the weight is :math:`a_i\delta_i^T`, of norm :math:`|a_i||\delta_i|`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from gradlab._types import MEASURED
from gradlab.core.activations import by_slices, slope
from gradlab.core.gradient import NotMeasured, Reader, Site
from gradlab.core.scaled import LOWEST, Log2, Scaled, align, alive_exponent, expand, exponent_of, log2_norm, power
from gradlab.measurement.bins import bin_counts, size_counts
from gradlab.measurement.correlation import apart, zero_pairs
from gradlab.measurement.quantile import upper_quantile

#: Columns that depend on the forward pass alone: read once for all depths of nested networks.
FORWARD: tuple[str, ...] = (
    "log10_activation_rms", "activation_mean_over_rms", "activation_p98_over_rms", "log10_preactivation_rms",
    "log10_one_minus_c", "zero_pair_fraction", "saturated_fraction", "dead_fraction", "weight_norm",
)  # fmt: skip
#: Columns that depend on the cotangent.
BACKWARD: tuple[str, ...] = (
    "log10_delta_rms", "delta_log10_mean", "log10_weight_grad_norm", "log10_bias_grad_norm",
    "float32_zero_fraction", "log10_per_example_grad_norm_rms", "gradient_cosine_mean", "gradient_snr",
    "zero_example_fraction", "log10_weight_grad_mean_abs", "log10_weight_grad_max_abs",
)  # fmt: skip
#: Counts of entries in bins, along a last axis of their own: `gradlab.histograms` makes a table of them.
COUNTS: tuple[str, ...] = ("activation_counts", "delta_counts")
#: Counts of sizes, of any range: `gradlab.histograms` with ``log10=True``.
SIZES: tuple[str, ...] = ("delta_sizes", "weight_grad_sizes")
#: Columns that the whole network has, the same for all layers.
NETWORK: tuple[str, ...] = ("log10_abs_loss", "loss_sign")
#: Columns that only training, or a look at gradients that are given, fills: all others.
TRAINING: tuple[str, ...] = tuple(name for name in MEASURED if name not in (*FORWARD, *BACKWARD, *NETWORK))
#: Columns of single entries of the weight's gradient, for which it has to be multiplied out.
ENTRIES: tuple[str, ...] = ("log10_weight_grad_mean_abs", "log10_weight_grad_max_abs")
#: Columns that are left out where none are named: they cost more than they tell at initialisation.
ON_REQUEST: tuple[str, ...] = ("activation_p98_over_rms", *ENTRIES)

#: Share of the range within which an activation counts as saturated, and the smallest float32 that is kept.
SATURATION, FLOAT32_SMALLEST = 0.01, -126


def statistics(columns: Iterable[str]) -> Reader:
    """The reader that keeps the named columns of layers with a weight, and of activations.

    Parameters
    ----------
    columns : iterable of str
        Names from `gradlab._types.MEASURED`, `COUNTS` and `SIZES`; those that a site cannot show are left out.

    Returns
    -------
    Reader
        From a `Site` to a dict of arrays of shape (group...,), logarithms as `Log2`.

    Notes
    -----
    `log10_one_minus_c` is taken from the signals themselves here; where they have become equal it is NaN, and
    `measurement.correlation` carries it on. Of a residual block the stream is read at its output, of a
    recurrent weight every time step (``"steps"``, arrays of shape (group..., time)).

    A layer with a weight is any whose gradient has a ``"weight"``: a convolution is read as a dense
    layer is, with the units of all positions together. Gains and scales (of norms and of residual
    branches) have no row: a reader of one's own finds them in ``site.gradient``. Of a weight whose layer hands
    back the sum over examples alone (`gradlab.lift`) the columns of single examples are NaN.
    """
    wanted = frozenset(columns)

    def read(site: Site) -> dict[str, Any]:
        if site.kind == "recurrent":
            return {**_weight_forward(site, wanted), **_gradient(site, wanted), "steps": _steps(site, wanted)}
        if "weight" in site.gradient:
            return {**_weight_forward(site, wanted), **_delta(_flat(site.dy), wanted), **_gradient(site, wanted)}
        if site.kind == "activation":
            return _activation(site._replace(x=_flat(site.x), y=_flat(site.y)), wanted)
        if site.kind == "residual":
            stream = _flat(site.y)
            kept = _delta(_flat(site.dy), wanted) | _correlation(stream, wanted)
            return kept | ({"log10_preactivation_rms": rms(stream)} if "log10_preactivation_rms" in wanted else {})
        return {}

    return read


def _steps(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """The signals of each time step, arrays of shape (group..., time)."""
    first = lambda s: Scaled(jnp.moveaxis(s.mantissa, -2, -3), jnp.moveaxis(s.exponent, -1, -2))
    y, dy = first(site.y), first(site.dy)
    kept = {"log10_activation_rms": rms(y), "activation_mean_over_rms": _mean_over_rms(y)}
    if "activation_counts" in wanted:
        kept["activation_counts"] = _counts(y.value())
    found = _delta(dy, wanted) | _correlation(y, wanted) | {c: v for c, v in kept.items() if c in wanted}
    # a step is a row even where nothing is wanted of it
    return found | {"step": jnp.broadcast_to(jnp.arange(dy.mantissa.shape[-3]), dy.mantissa.shape[:-2])}


def _flat(s: Scaled) -> Scaled:
    """All features of an example along one axis: a unit at each of its positions counts by itself."""
    return Scaled(s.mantissa.reshape(*s.exponent.shape, -1), s.exponent)


def rms(s: Scaled, count: float | None = None) -> Log2:
    """log2 of the root mean square over batch and features."""
    return pooled(
        _row_squares(s.mantissa), s.exponent, s.mantissa.shape[-2] * s.mantissa.shape[-1] if count is None else count
    )


def pooled(squares: Array, exponent: Array, count: float) -> Log2:
    """log2 of ``sqrt(sum_i squares_i 4**exponent_i / count)`` over the last axis."""
    top = jnp.max(exponent, -1)
    gap = exponent - top[..., None]
    weight = jnp.where(gap > -62, power(2 * gap, squares.dtype), 0)
    return log2_norm(jnp.sum(squares * weight, -1), top, count)


def _row_squares(x: Array) -> Array:
    return jnp.sum(x * x, -1)


def _batch_axis(site: Site) -> int:
    """Where the examples are: the exponents' last axis, but for a recurrent weight's, whose last is time."""
    return site.dy.exponent.ndim - (2 if site.kind == "recurrent" else 1)


def _batch(batch: int, size: Log2) -> Log2:
    """The size of B times a quantity."""
    return Log2(size.fraction + jnp.log2(jnp.asarray(batch, size.fraction.dtype)), size.exponent)


def _delta(dy: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """The backward signal, from the cotangent dy of the mean loss."""
    kept: dict[str, Any] = {}
    batch, units = dy.mantissa.shape[-2:]
    squares = _row_squares(dy.mantissa)
    if "log10_delta_rms" in wanted:
        kept["log10_delta_rms"] = _batch(batch, pooled(squares, dy.exponent, batch * units))
    if "delta_log10_mean" in wanted:
        kept["delta_log10_mean"] = _batch(batch, _mean_log2(squares / units, dy.exponent))
    if "zero_example_fraction" in wanted:
        kept["zero_example_fraction"] = jnp.mean((squares == 0).astype(squares.dtype), -1)
    if "float32_zero_fraction" in wanted:
        size = jnp.abs(dy.mantissa)
        floor = expand(power(FLOAT32_SMALLEST - dy.exponent, size.dtype), size)
        # where 2**(-126 - e) leaves the float, all of an example's entries lie on one side
        below = jnp.where(expand(FLOAT32_SMALLEST - dy.exponent > 125, size), True, size < floor) & (size > 0)
        below = below & expand(dy.exponent <= 0, size)
        count = jnp.sum((size > 0).astype(size.dtype), (-1, -2))
        kept["float32_zero_fraction"] = jnp.sum(below.astype(size.dtype), (-1, -2)) / jnp.maximum(count, 1)
    if "delta_counts" in wanted:
        mantissa, _ = align(dy)
        size = jnp.sqrt(jnp.mean(mantissa**2, (-1, -2), keepdims=True))
        kept["delta_counts"] = _counts(mantissa / jnp.where(size > 0, size, 1))
    if "delta_sizes" in wanted:
        kept["delta_sizes"] = size_counts(batch * dy.mantissa, dy.exponent, dy.mantissa.ndim - 2)
    return kept


def _counts(values: Array) -> Array:
    """Counts in bins of the entries of each group."""
    return bin_counts(values, values.ndim - 2)


def _mean_log2(squares: Array, exponent: Array) -> Log2:
    """Mean over examples of log2 of the root of `squares` times 2**exponent; zeros left out, -inf if all are."""
    alive = squares > 0
    count = jnp.sum(alive.astype(squares.dtype), -1)
    top = jnp.max(jnp.where(alive, exponent, LOWEST), -1)
    offset = jnp.where(alive, exponent - top[..., None], 0).astype(squares.dtype)
    logs = jnp.where(alive, 0.5 * jnp.log2(jnp.where(alive, squares, 1)) + offset, 0)
    mean = jnp.where(count > 0, jnp.sum(logs, -1) / jnp.maximum(count, 1), -jnp.inf)
    return Log2(mean, jnp.where(count > 0, top, 0))


def _gradient(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """Norms, cosines and signal-to-noise of the parameter gradients, from the factors alone."""
    kept: dict[str, Any] = {}
    weight = site.gradient["weight"]
    batch = site.dy.mantissa.shape[_batch_axis(site)]
    if "log10_bias_grad_norm" in wanted and "bias" in site.gradient:
        kept["log10_bias_grad_norm"] = site.gradient["bias"].norm()
    if wanted.intersection(ENTRIES):
        kept |= _entries(weight.product(), wanted)
    if "weight_grad_sizes" in wanted:
        gradient = weight.product()
        kept["weight_grad_sizes"] = size_counts(*gradient, gradient.mantissa.ndim - 2)
    pairs = {"gradient_cosine_mean", "gradient_snr"} & wanted
    single = "log10_per_example_grad_norm_rms" in wanted
    if not pairs and not single:
        if "log10_weight_grad_norm" in wanted:
            kept["log10_weight_grad_norm"] = weight.norm()
        return kept

    found = weight.examples()
    if isinstance(found, NotMeasured):
        shape, dtype = site.dy.exponent.shape[: _batch_axis(site)], site.dy.mantissa.dtype
        unknown = jnp.full(shape, jnp.nan, dtype)
        kept |= dict.fromkeys(pairs, unknown)
        if single:
            kept["log10_per_example_grad_norm_rms"] = Log2(unknown, jnp.zeros(shape, jnp.int32))
        if "log10_weight_grad_norm" in wanted:
            kept["log10_weight_grad_norm"] = weight.norm()
        return kept

    cosines, sizes = found
    if single:
        kept["log10_per_example_grad_norm_rms"] = _batch(batch, pooled(sizes.mantissa**2, sizes.exponent, batch))
    if not pairs:
        if "log10_weight_grad_norm" in wanted:
            kept["log10_weight_grad_norm"] = weight.norm()
        return kept

    # weighted by the sizes the cosines give the norm
    weights, top = align(sizes)
    squares = jnp.maximum(jnp.einsum("...i,...ij,...j->...", weights, cosines, weights, precision="highest"), 0)
    if "log10_weight_grad_norm" in wanted:
        kept["log10_weight_grad_norm"] = log2_norm(squares, top)
    alive = (sizes.mantissa > 0).astype(cosines.dtype)
    if "gradient_cosine_mean" in wanted:
        count = jnp.sum(alive, -1)
        total = jnp.sum(cosines, (-1, -2)) - jnp.sum(jnp.diagonal(cosines, axis1=-2, axis2=-1), -1)
        number = count * (count - 1)
        kept["gradient_cosine_mean"] = jnp.where(number > 0, total / jnp.maximum(number, 1), jnp.nan)
    if "gradient_snr" in wanted:
        kept["gradient_snr"] = _snr(jnp.sum(weights**2, -1), squares, batch)
    return kept


def _entries(product: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Mean and largest absolute entry of a weight's gradient; with the mean the number of entries, to join several."""
    size, exponent = jnp.abs(product.mantissa), alive_exponent(product.exponent)
    kept: dict[str, Any] = {}
    if "log10_weight_grad_mean_abs" in wanted:
        kept["log10_weight_grad_mean_abs"] = Log2(jnp.log2(jnp.mean(size, (-1, -2))), exponent)
        kept["weight_entries"] = jnp.full_like(exponent, size.shape[-1] * size.shape[-2])
    if "log10_weight_grad_max_abs" in wanted:
        kept["log10_weight_grad_max_abs"] = Log2(jnp.log2(jnp.max(size, (-1, -2))), exponent)
    return kept


def _snr(own: Array, together: Array, batch: int) -> Array:
    r""":math:`B|\bar g|^2/\mathrm{tr}\,\mathrm{Cov}`, Cov the unbiased covariance over examples.

    `own` is the sum of the examples' squared norms and `together` the squared norm of their sum.
    """
    mean = together / batch
    covariance = (own - mean) / max(batch - 1, 1)
    positive = covariance > 0
    return jnp.where(positive, mean / jnp.where(positive, covariance, 1), jnp.where(mean > 0, jnp.inf, jnp.nan))


def _weight_forward(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    if "weight_norm" not in wanted:
        return {}
    norm = _norm(site.params["weight"]) * jnp.abs(site.params.get("gain", 1))
    return {"weight_norm": jnp.broadcast_to(norm, site.dy.exponent.shape[: _batch_axis(site)])}


def _norm(weight: Array) -> Array:
    """Frobenius norm; what squares lose of their range is looked for only where they lose it."""
    squares = jnp.sum(weight**2)
    small = weight.size * float(jnp.finfo(weight.dtype).tiny / jnp.finfo(weight.dtype).eps)

    def over_largest() -> Array:
        k = exponent_of(jnp.max(jnp.abs(weight)))
        ratio = weight * expand(power(-k, weight.dtype), weight)
        return jnp.sqrt(jnp.sum(ratio**2)) * power(k, weight.dtype)

    kept = jnp.all(jnp.isfinite(squares) & (squares > jnp.asarray(small, weight.dtype)))
    return lax.cond(kept, lambda: jnp.sqrt(squares), over_largest)


def _activation(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """The forward signal around an activation."""
    z, y, entries = site.x, site.y, site.about
    kept = _correlation(z, wanted)
    if "log10_preactivation_rms" in wanted:
        kept["log10_preactivation_rms"] = rms(z)
    if "log10_activation_rms" in wanted:
        kept["log10_activation_rms"] = rms(y)
    if "activation_mean_over_rms" in wanted:
        kept["activation_mean_over_rms"] = _mean_over_rms(y)
    if "activation_p98_over_rms" in wanted:
        kept["activation_p98_over_rms"] = _percentile_over_rms(y)
    if "saturated_fraction" in wanted:
        kept["saturated_fraction"] = by_slices(entries, _saturated, y)
    if "dead_fraction" in wanted:
        kept["dead_fraction"] = by_slices(entries, _dead, z)
    if "activation_counts" in wanted:
        kept["activation_counts"] = _counts(y.value())
    return kept


def _correlation(z: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """1 - c of pairs of examples, and the share that has none, where there are two."""
    if z.mantissa.shape[-2] < 2:
        return {}
    columns = {"log10_one_minus_c": apart, "zero_pair_fraction": zero_pairs}
    return {name: read(z) for name, read in columns.items() if name in wanted}


def _mean_over_rms(y: Scaled) -> Array:
    mantissa, _ = align(y)
    size = jnp.sqrt(jnp.mean(mantissa**2, (-1, -2)))
    return jnp.where(size > 0, jnp.mean(mantissa, (-1, -2)) / jnp.where(size > 0, size, 1), 0)


def _percentile_over_rms(y: Scaled) -> Array:
    mantissa, _ = align(y)
    size = jnp.sqrt(jnp.mean(mantissa**2, (-1, -2)))
    found = upper_quantile(mantissa.reshape(*mantissa.shape[:-2], -1), 0.02)
    return jnp.where(size > 0, found / jnp.where(size > 0, size, 1), 0)


def _saturated(entry, y: Scaled) -> Array:
    shape = y.mantissa.shape[:-2]
    if entry.limits is None:
        return jnp.full(shape, jnp.nan, y.mantissa.dtype)
    low, high = entry.limits
    margin = SATURATION * (high - low)
    value = y.value()
    near = (value < low + margin) | (value > high - margin)
    return jnp.mean(near.astype(value.dtype), (-1, -2))


def _dead(entry, z: Scaled) -> Array:
    flat = jnp.all(slope(entry, z) == 0, -2)
    return jnp.mean(flat.astype(z.mantissa.dtype), -1)


def per_example(site: Site) -> dict[str, Any]:
    """The reader that keeps each example's own gradient norm, and their cosines.

    Returns
    -------
    dict
        For a layer with a weight ``norms`` (`Log2`, shape (group..., batch)) of the gradients of each
        example's loss by the weight, and ``cosines`` (group..., batch, batch); both are a `NotMeasured` with the
        reason where the layer hands back their sum alone, as those of `gradlab.lift` do. Else empty.
    """
    if "weight" not in site.gradient:
        return {}
    found = site.gradient["weight"].examples()
    if isinstance(found, NotMeasured):
        return {"norms": found, "cosines": found}
    cosines, sizes = found
    batch = cosines.shape[-1]
    return {"norms": _batch(batch, log2_norm(sizes.mantissa**2, sizes.exponent)), "cosines": cosines}
