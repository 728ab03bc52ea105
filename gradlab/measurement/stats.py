"""The reader `statistics`, which keeps small sums of each layer during the backward pass.

Only what needs the arrays themselves is computed here: sums over the units of one example, counts, Gram matrices. They
are sums of mantissas, whose largest entry in each example lies in [1/2, 1); integer exponents stand beside them, so
nothing overflows and no square underflows. Means, logarithms and ratios follow on the host (`measurement.kept`), in
float64 and without a compiler.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from gradlab._formats import SHORT_FORMATS
from gradlab._types import MEASURED, RANGED
from gradlab.core.activations import by_slices, slope
from gradlab.core.gradient import NotMeasured, Reader, Site
from gradlab.core.scaled import Log2, Scaled, align, alive_exponent, expand, exponent_of, power
from gradlab.measurement.attention import OF_SCORES, OF_WEIGHTS, TOKENS, attention_values, token_pairs
from gradlab.measurement.bins import bin_counts, end_counts, size_counts
from gradlab.measurement.correlation import pairs_from_signals
from gradlab.measurement.kept import Examples, Rows, SiteRecord
from gradlab.measurement.quantile import upper_quantile

#: Shares of entries outside the range of each short format, by their signal.
SHARES: dict[str, tuple[str, ...]] = {
    signal: tuple(f"{signal}_{side}_{name}" for side in ("below", "above") for name in SHORT_FORMATS)
    for signal in RANGED
}
#: Columns that depend on the forward pass alone; they are read once for all depths of nested networks.
FORWARD: tuple[str, ...] = (
    "log10_activation_rms", "activation_mean_over_rms", "activation_p98_over_rms", "log10_preactivation_rms",
    "log10_one_minus_c", "zero_pair_fraction", "saturated_fraction", "dead_fraction", "weight_norm",
    TOKENS, *OF_SCORES, *SHARES["activation"],
)  # fmt: skip
#: Columns that depend on the backward pass.
BACKWARD: tuple[str, ...] = (
    "log10_delta_rms", "delta_log10_mean", "log10_weight_grad_norm", "log10_bias_grad_norm",
    "float32_zero_fraction", "log10_per_example_grad_norm_rms", "gradient_cosine_mean", "gradient_snr",
    "inverse_noise_scale", "zero_example_fraction", "log10_weight_grad_mean_abs", "log10_weight_grad_max_abs",
    *OF_WEIGHTS.values(), *SHARES["delta"], *SHARES["weight_grad"],
)  # fmt: skip
#: Counts of entries in bins, along a last axis; `gradlab.histograms` makes a table of them.
COUNTS: tuple[str, ...] = ("activation_counts", "delta_counts")
#: Counts of sizes, of any range: `gradlab.histograms` with ``log10=True``.
SIZES: tuple[str, ...] = ("activation_sizes", "delta_sizes", "weight_grad_sizes")
#: Columns of the whole network, which are the same for all layers.
NETWORK: tuple[str, ...] = ("log10_abs_loss", "loss_sign")
#: All other columns: only training, or an observation of given gradients, fills them.
TRAINING: tuple[str, ...] = tuple(name for name in MEASURED if name not in (*FORWARD, *BACKWARD, *NETWORK))
#: Columns that need the entries of the weight's gradient, so that it has to be multiplied out.
ENTRIES: tuple[str, ...] = ("log10_weight_grad_mean_abs", "log10_weight_grad_max_abs")
#: Columns that only networks of sequences have: the stream at positions, and attention.
OF_SEQUENCES: tuple[str, ...] = (TOKENS, *OF_SCORES, *OF_WEIGHTS.values())
#: Columns that need the gradients of single examples.
OF_EXAMPLES: frozenset[str] = frozenset(
    {"log10_per_example_grad_norm_rms", "gradient_cosine_mean", "gradient_snr", "inverse_noise_scale"}
)
#: Columns that are measured only where they are named, because they are expensive.
ON_REQUEST: tuple[str, ...] = (
    "activation_p98_over_rms", "inverse_noise_scale", *ENTRIES, *OF_SEQUENCES,
    *(name for names in SHARES.values() for name in names),
)  # fmt: skip

#: Share of the range within which an activation counts as saturated, and the smallest float32 that is kept.
SATURATION, FLOAT32_SMALLEST = 0.01, -126


def statistics(columns: Iterable[str], forward: Array | None = None) -> Reader:
    """Make the reader that keeps what the named columns are computed from.

    Parameters
    ----------
    columns : iterable of str
        Names from `gradlab._types.MEASURED`, `COUNTS` and `SIZES`. Names that a site does not have are left out.
    forward : scalar bool Array, optional
        Whether to read the columns of the forward pass; False puts zeros in their place, and saves time where several
        backward passes share one forward pass. None: read them.

    Returns
    -------
    Reader
        A function from a `Site` to a `SiteRecord`, whose arrays have the shape (group...) or (group..., batch).
        `measurement.kept.on_host` turns it into columns.

    Notes
    -----
    `log10_one_minus_c` is computed from the signals themselves here; where they have become equal it is NaN, and
    `measurement.correlation` computes it by the chain rule. A residual block is read on the stream behind it, a
    recurrent weight at every time step (``"steps"``, arrays of shape (group..., time)).

    Every layer whose gradient has a ``"weight"`` is read like a dense layer; the units of a convolution at all
    positions count together. Gains and scales (of norms and of residual branches) have no row; a reader of one's own
    finds them in ``site.gradient``. Where a layer returns only the sum over examples (`gradlab.lift`), the columns of
    single examples are NaN.
    """
    wanted = frozenset(columns)

    def read(site: Site) -> SiteRecord:
        show = functools.partial(_forward, site, wanted)
        if forward is None:
            kept = show()
        else:
            empty = jax.tree.map(lambda v: jnp.zeros(v.shape, v.dtype), jax.eval_shape(show))
            kept = lax.cond(forward, show, lambda: empty)
        return SiteRecord(site.kind, {**kept, **_backward(site, wanted)}, wanted)

    return read


def _forward(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """Read the forward pass at a site."""
    if "weight" in site.gradient:
        return _weight_forward(site, wanted)
    if site.kind == "activation":
        return _activation(site._replace(x=flat(site.x), y=flat(site.y)), wanted)
    if site.kind == "residual":
        return _signal(flat(site.y), wanted) | _tokens(site.y, wanted)
    return _tokens(site.y, wanted) if site.kind == "positions" else {}


def _tokens(y: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Read 1 - c of the positions of each example, where it has several."""
    return {"tokens": token_pairs(y)} if TOKENS in wanted and y.positions else {}


def _backward(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """Read the backward pass at a site."""
    if site.kind == "recurrent":  # of an lru it has eigenvalues in place of a weight
        of_weight = _gradient(site, wanted) if "weight" in site.gradient else {}
        return {**of_weight, "steps": _steps(site, wanted)}
    if "weight" in site.gradient:
        return {**_delta(flat(site.dy), wanted), **_gradient(site, wanted), **attention_values(site, wanted)}
    return _delta(flat(site.dy), wanted) if site.kind == "residual" else {}


def _steps(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """Read the signals of each time step, in arrays of shape (group..., time)."""
    first = lambda s: Scaled(jnp.moveaxis(s.mantissa, -2, -3), jnp.moveaxis(s.exponent, -1, -2))
    y, dy = first(site.y), first(site.dy)
    signals = _delta(dy, wanted) | _pairs(y, wanted) | _output(y, wanted)
    # Every time step is a row, even if no column of it is wanted.
    return signals | {"step": jnp.broadcast_to(jnp.arange(dy.mantissa.shape[-3]), dy.mantissa.shape[:-2])}


def _signal(z: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Read a preactivation, and its pairs of examples."""
    kept = _pairs(z, wanted)
    return kept | ({"preactivation": Rows.of(z)} if "log10_preactivation_rms" in wanted else {})


def _output(y: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Read the output of an activation."""
    kept: dict[str, Any] = {}
    if wanted & {"log10_activation_rms", "activation_mean_over_rms"}:
        kept["activation"] = Rows.of(y)
    if "activation_mean_over_rms" in wanted:
        kept["activation_sum"] = jnp.sum(y.mantissa, -1)
    if "activation_counts" in wanted:
        kept["activation_counts"] = _counts(y.value())
    if "activation_sizes" in wanted:
        kept["activation_sizes"] = size_counts(y, y.mantissa.ndim - 2)
    return kept | _ends("activation", y, wanted)


def _batch_axis(site: Site) -> int:
    """Return the axis of the examples: the last one of the exponents, or the one before time of a recurrent weight."""
    return site.dy.exponent.ndim - (2 if site.kind == "recurrent" else 1)


def _delta(dy: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Read the delta, from the gradient dy of the mean loss."""
    kept: dict[str, Any] = {}
    if wanted & {"log10_delta_rms", "delta_log10_mean", "zero_example_fraction"}:
        kept["delta"] = Rows.of(dy)
    if "float32_zero_fraction" in wanted:
        size = jnp.abs(dy.mantissa)
        # With a very small exponent all mantissas lie below the floor; with one above 0 no entry does.
        floor = jnp.where(dy.exponent <= 0, power(FLOAT32_SMALLEST - dy.exponent, size.dtype), 0)
        alive = size > 0
        count = lambda which: jnp.sum(which.astype(size.dtype), (-1, -2))
        kept["alive"], kept["below_float32"] = count(alive), count(alive & (size < expand(floor, size)))
    if "delta_counts" in wanted:
        mantissa, _ = align(dy)
        size = jnp.sqrt(jnp.mean(mantissa**2, (-1, -2), keepdims=True))
        kept["delta_counts"] = _counts(mantissa / jnp.where(size > 0, size, 1))
    if "delta_sizes" in wanted:
        kept["delta_sizes"] = size_counts(dy.map(lambda m: m.shape[-2] * m), dy.mantissa.ndim - 2)
    return kept | _ends("delta", dy, wanted)


def _ends(signal: str, s: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Count a signal's entries between the ends of the formats, where any share of them is wanted."""
    return {} if wanted.isdisjoint(SHARES[signal]) else {f"{signal}_ends": end_counts(s, s.mantissa.ndim - 2)}


def flat(s: Scaled) -> Scaled:
    """Put all features of an example along one axis, so that a unit counts once for each of its positions."""
    return Scaled(s.mantissa.reshape(*s.exponent.shape, -1), s.exponent)


def _counts(values: Array) -> Array:
    """Count the entries of each group in bins."""
    return bin_counts(values, values.ndim - 2)


def _gradient(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """Read norms of the parameter gradients and the parts of single examples, from the factors of the gradients."""
    kept: dict[str, Any] = {}
    weight = site.gradient["weight"]
    if "log10_bias_grad_norm" in wanted and "bias" in site.gradient:
        kept["log10_bias_grad_norm"] = site.gradient["bias"].norm()
    if not wanted.isdisjoint((*ENTRIES, *SHARES["weight_grad"], "weight_grad_sizes")):
        kept |= _entries(weight.product(), wanted)
    single = wanted.intersection(OF_EXAMPLES)
    examples = weight.examples() if single else None
    if isinstance(examples, tuple):
        kept["examples"] = Examples.of(*examples, together=bool(single - {"log10_per_example_grad_norm_rms"}))
        if kept["examples"].together is not None:  # it has the norm already
            return kept
    elif single:
        shape, dtype = site.dy.exponent.shape[: _batch_axis(site)], site.dy.mantissa.dtype
        absent = single | ({"log10_noise"} if "inverse_noise_scale" in single else set())
        kept |= dict.fromkeys(absent, jnp.full(shape, jnp.nan, dtype))
    if "log10_weight_grad_norm" in wanted:
        kept["log10_weight_grad_norm"] = weight.norm()
    return kept


def _entries(product: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Read what single entries of a weight's gradient tell; with the number of entries, to join several means."""
    size, exponent = jnp.abs(product.mantissa), alive_exponent(product.exponent)
    kept: dict[str, Any] = {}
    if "log10_weight_grad_mean_abs" in wanted:
        kept["log10_weight_grad_mean_abs"] = Log2(jnp.log2(jnp.mean(size, (-1, -2))), exponent)
        kept["weight_entries"] = jnp.full_like(exponent, size.shape[-1] * size.shape[-2])
    if "log10_weight_grad_max_abs" in wanted:
        kept["log10_weight_grad_max_abs"] = Log2(jnp.log2(jnp.max(size, (-1, -2))), exponent)
    if "weight_grad_sizes" in wanted:
        kept["weight_grad_sizes"] = size_counts(product, product.mantissa.ndim - 2)
    return kept | _ends("weight_grad", product, wanted)


def _weight_forward(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    if "weight_norm" not in wanted:
        return {}
    norm = _norm(site.params["weight"]) * jnp.abs(site.params.get("gain", 1))
    return {"weight_norm": jnp.broadcast_to(norm, site.dy.exponent.shape[: _batch_axis(site)])}


def _norm(weight: Array) -> Array:
    """Compute the Frobenius norm; only where squares leave the range are entries divided by the largest first."""
    squares = jnp.sum(weight**2)
    small = weight.size * float(jnp.finfo(weight.dtype).tiny / jnp.finfo(weight.dtype).eps)

    def over_largest() -> Array:
        k = exponent_of(jnp.max(jnp.abs(weight)))
        ratio = weight * expand(power(-k, weight.dtype), weight)
        return jnp.sqrt(jnp.sum(ratio**2)) * power(k, weight.dtype)

    kept = jnp.all(jnp.isfinite(squares) & (squares > jnp.asarray(small, weight.dtype)))
    return lax.cond(kept, lambda: jnp.sqrt(squares), over_largest)


def _activation(site: Site, wanted: frozenset[str]) -> dict[str, Any]:
    """Read the forward signal before and behind an activation."""
    z, y, entries = site.x, site.y, site.entries
    kept = _signal(z, wanted) | _output(y, wanted)
    if "activation_p98_over_rms" in wanted:
        kept["activation_p98_over_rms"] = _percentile_over_rms(y)
    if "saturated_fraction" in wanted:
        kept["saturated_fraction"] = by_slices(entries, _saturated, y)
    if "dead_fraction" in wanted:
        kept["dead_fraction"] = by_slices(entries, _dead, z)
    return kept


def _pairs(z: Scaled, wanted: frozenset[str]) -> dict[str, Any]:
    """Read 1 - c of pairs of examples, if there are two examples."""
    asked = wanted & {"log10_one_minus_c", "zero_pair_fraction"}
    return {"pairs": pairs_from_signals(z)} if asked and z.mantissa.shape[-2] > 1 else {}


def _percentile_over_rms(y: Scaled) -> Array:
    mantissa, _ = align(y)
    size = jnp.sqrt(jnp.mean(mantissa**2, (-1, -2)))
    percentile = upper_quantile(mantissa.reshape(*mantissa.shape[:-2], -1), 0.02)
    return jnp.where(size > 0, percentile / jnp.where(size > 0, size, 1), 0)


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
    """Read the gradient norm of each example, and the cosines between examples; for `gradlab.backprop`.

    Parameters
    ----------
    site : Site
        The layer that is read.

    Returns
    -------
    dict
        For a layer with a weight ``norms`` (`Log2`, shape (group..., batch)) of the gradients of each example's loss by
        the weight, and ``cosines``, shape (group..., batch, batch). Both are a `NotMeasured` with the reason where the
        layer returns only the sum over examples, as those of `gradlab.lift` do. Empty for a layer without a weight.
    """
    if "weight" not in site.gradient:
        return {}
    examples = site.gradient["weight"].examples()
    if isinstance(examples, NotMeasured):
        return {"norms": examples, "cosines": examples}
    cosines, sizes = examples
    batch = cosines.shape[-1]
    size = jnp.log2(batch * sizes.mantissa)
    return {"norms": Log2(size, alive_exponent(sizes.exponent)), "cosines": cosines}
