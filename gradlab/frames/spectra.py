"""Tables of singular values, and of the lengths of a curve: a row a value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.config import one_after_another

if TYPE_CHECKING:
    from gradlab.measurement.jacobian import Density, Spectrum
    from gradlab.measurement.manifold import CarriedCircle


def spectra(records: Spectrum | Density | Iterable[Spectrum | Density]) -> pd.DataFrame:
    """The table of singular values of one or several Jacobians.

    Parameters
    ----------
    records : Spectrum, Density, or several
        What `gradlab.jacobian_spectrum` and `gradlab.jacobian_density` return.

    Returns
    -------
    DataFrame
        One row per network, seed, input and value: `activation`, `init`, `depth`, `width` (of the first hidden
        layer), `seed`, `input`, `index`, `log10_singular_value`, `weight` (the share of the spectrum of that seed
        and input; 1 over the number of values where all are computed), `resolved` (above the rounding of the largest).

    Examples
    --------
    >>> import gradlab as gl
    >>> found = gl.jacobian_spectrum(gl.MLP(depth=2, width=4), None, [[1.0, 2.0]], outputs=3)
    >>> len(gl.spectra(found))
    2
    """
    tables = []
    for record in records if isinstance(records, Iterable) else [records]:
        values = getattr(record, "log10_singular_values", None)
        if values is None:
            raise GradlabError("spectra", type(record).__name__, "gl.spectra(gl.jacobian_spectrum(net, params, x))")
        seeds, inputs, count = values.shape
        weights = getattr(record, "weights", np.full(values.shape, 1 / count))
        resolved = getattr(record, "resolved", np.isfinite(values))
        table = _of_network(record.config, seeds * inputs * count)
        place = [v.ravel() for v in np.meshgrid(record.seeds, range(inputs), range(count), indexing="ij")]
        tables.append(
            table.assign(
                seed=place[0], input=place[1], index=place[2], log10_singular_value=values.ravel(),
                weight=weights.ravel(), resolved=resolved.ravel(),
            )
        )  # fmt: skip
    if not tables:
        raise GradlabError("at least one spectrum", "none", "gl.jacobian_spectrum(net, params, x)")
    return pd.concat(tables, ignore_index=True)


def curves(records: CarriedCircle | Iterable[CarriedCircle]) -> pd.DataFrame:
    """The table of the lengths of carried circles.

    Parameters
    ----------
    records : CarriedCircle or several
        What `gradlab.carry_circle` returns.

    Returns
    -------
    DataFrame
        One row per network, seed and layer, 0 the input: `activation`, `init`, `depth`, `width`, `sigma_w2`, `seed`,
        `layer`, `log10_length`.
    """
    tables = []
    for record in records if isinstance(records, Iterable) else [records]:
        lengths = getattr(record, "log10_length", None)
        if lengths is None:
            raise GradlabError("carried circles", type(record).__name__, "gl.curves(gl.carry_circle(net))")
        seeds, layers = lengths.shape
        table = _of_network(record.config, lengths.size)
        tables.append(
            table.assign(
                seed=np.repeat(record.seeds, layers), layer=np.tile(range(layers), seeds), log10_length=lengths.ravel()
            )
        )
    return pd.concat(tables, ignore_index=True)


def _of_network(config: Any, rows: int) -> pd.DataFrame:
    """The coordinates of a network, repeated; none of a bare layer."""
    if config is None:
        return pd.DataFrame(index=range(rows))
    fields = {name: getattr(config, name) for name in ("init", "depth", "sigma_w2", "sigma_b2", "gain")}
    fields = {"activation": one_after_another(config.activations), **fields}
    return pd.DataFrame({**fields, "width": config.widths[0]}, index=range(rows))
