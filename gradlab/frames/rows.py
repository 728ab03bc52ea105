"""Make the tidy frame of records: one row per network, seed, step and layer; `gradlab._types` names the columns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError, unknown
from gradlab._types import COORDINATES, MEASURED, SCHEMA_VERSION
from gradlab.config import (
    CONFIGS,
    GRID,
    OPTIONS,
    TRAINING_GRID,
    UNCHANGED,
    NetworkConfig,
    TrainingConfig,
    content_hash,
    one_after_another,
)
from gradlab.measurement.records import LayerInfo, Trace

#: Columns whose text repeats from row to row.
CATEGORIES: tuple[str, ...] = (
    "network", "architecture", "loss", "data", "dtype", "layer_name", "status",
    *(name for name, option in OPTIONS.items() if "str" in option.type or "Literal" in option.type),
)  # fmt: skip
#: The columns that identify a row.
KEY: tuple[str, ...] = ("network", "seed", "step", "layer")


def network_hash(config: NetworkConfig | TrainingConfig) -> str:
    """Return the short hash that names a network in the frame; it depends on the configuration alone."""
    return content_hash(config.as_dict())


class Record(Protocol):
    """Anything that a measurement returns. If it has a `config`, the fields of that network precede its rows."""

    def rows(self) -> Mapping[str, np.ndarray]:
        """Return the columns by name, all of one length."""
        ...


def frame(record: Trace | Record | Iterable[Trace | Record]) -> pd.DataFrame:
    """Make a table of one or several records.

    Parameters
    ----------
    record : Trace, Training, Observation, other record, or iterable of records
        What `gradlab.measure`, `gradlab.train`, `gradlab.observe`, `gradlab.monitor_records`, `gradlab.histograms`,
        `gradlab.jacobian_spectrum`, `gradlab.jacobian_density`, `gradlab.carry_circle` or `gradlab.shattering` return.
        Several records must be of one kind. Several observations without a step are numbered from step 0.

    Returns
    -------
    DataFrame
        The records of `measure`, `train`, `observe` and the monitor become the tidy frame: one row per network, seed,
        step and layer, with the coordinates, the fields of the configuration that differ from their default anywhere,
        and the measured columns. Sizes are log10, so that none leaves the range of a double; a true zero is ``-inf``.
        ``attrs["schema"]`` is the version of the schema. Where a foreign model lacks a coordinate, it is NaN, and a
        missing name is an empty string.

        Other records become a table of their own rows (see their `rows`). In front of these stand `architecture`,
        `activation`, `init`, `depth`, `width` (of the first hidden layer), `sigma_w2`, `sigma_b2` and `gain` of the
        network, as far as it has them.

    Raises
    ------
    GradlabError
        If there is no record, the records are of several kinds, or a row would stand twice.

    Examples
    --------
    >>> import gradlab as gl
    >>> spectrum = gl.jacobian_spectrum(gl.MLP(depth=2, width=4), [[1.0, 2.0]], outputs=3)
    >>> gl.frame(spectrum)[["depth", "seed", "index"]].values.tolist()
    [[2, 0, 0], [2, 0, 1]]
    """
    several = isinstance(record, Iterable) and not hasattr(record, "rows")
    records = list(record) if several else [record]
    if not records:
        raise GradlabError("at least one record", "none", "gl.frame(gl.measure(net, x, y))")
    if all(hasattr(r, "rows") for r in records):
        return _readable(records)
    for trace in records:
        _check_trace(trace)
    return finished(pd.DataFrame({**_coordinates(records), **_changed(records), **_measured(records)}))


def failed_rows(
    config: NetworkConfig | TrainingConfig,
    seeds: Sequence[int],
    status: BaseException | str,
    *,
    loss: str,
    data: str,
    batch: int,
    dtype: str,
) -> pd.DataFrame:
    """Make the rows of a network that could not be measured.

    Parameters
    ----------
    config : NetworkConfig
        The network.
    seeds : sequence of int
        Numbers of the seeds.
    status : exception or str
        What happened; it becomes the column `status`.
    loss, data, dtype : str
        Names of the loss, the data and the dtype, for the columns of these names.
    batch : int
        Number of examples.

    Returns
    -------
    DataFrame
        One row per seed, with layer 0 and nothing measured.
    """
    status = status if isinstance(status, str) else f"{type(status).__name__}: {status}"
    layer = LayerInfo(layer=0, layer_name="", width=_first_width(config), fan_in=0, fan_out=0)
    return frame(
        Trace(
            config=config, layers=(layer,), columns={}, seeds=tuple(seeds), status=(status,) * len(seeds),
            sigma_w2=np.nan, sigma_b2=np.nan, loss=loss, data=data, batch=batch, dtype=dtype,
        )
    )  # fmt: skip


def _readable(records: Sequence[Record]) -> pd.DataFrame:
    """Make the rows of records that are no traces: rows of the tidy frame, or a table of their own columns."""
    columns = [record.rows() for record in records]
    names = [*COORDINATES, *(name for name in MEASURED if any(name in rows for rows in columns))]
    if all(rows.keys() <= set(names) for rows in columns):
        missing = {name: "" if name in CATEGORIES else np.nan for name in COORDINATES} | {"seed": 0, "status": "ok"}
        known = [missing | {"step": number} | dict(rows) for number, rows in enumerate(columns)]
        tables = [pd.DataFrame({name: one[name] for name in names if name in one}) for one in known]
        return finished(pd.concat(tables, ignore_index=True))
    if len({tuple(rows) for rows in columns}) > 1:
        raise GradlabError("records of one kind", "several with other columns", "a frame for each of them")
    tables = [pd.DataFrame(_network_fields(r) | dict(rows)) for r, rows in zip(records, columns, strict=True)]
    return pd.concat(tables, ignore_index=True)


def _network_fields(record: Any) -> dict[str, Any]:
    """Return the fields of the network of a record; a bare layer has none."""
    config = getattr(record, "config", None)
    if config is None:
        return {}
    names = ("architecture", "init", "depth", "sigma_w2", "sigma_b2", "gain")
    fields = {name: getattr(config, name) for name in names if hasattr(config, name)}
    return {"activation": one_after_another(config.activations), "width": _first_width(config), **fields}


def _first_width(config: NetworkConfig | TrainingConfig) -> int:
    width = config.network.width
    return width[0] if isinstance(width, tuple) else width


def _check_trace(trace: Trace) -> None:
    if not isinstance(trace, Trace):
        raise GradlabError("a record, or several", type(trace).__name__, "gl.frame(gl.measure(net, x, y))")
    shape = (len(trace.seeds), len(trace.layers))
    for name, values in trace.columns.items():
        if name not in MEASURED:
            raise unknown("column", name, MEASURED)
        if np.shape(values) != shape:
            raise GradlabError(f"{name} of shape (seeds, layers) = {shape}", f"{np.shape(values)}", "one row per seed")
    if len(trace.status) != len(trace.seeds):
        raise GradlabError(f"a status for each of {len(trace.seeds)} seeds", f"{len(trace.status)}", "'ok'")


def _coordinates(traces: Sequence[Trace]) -> dict[str, np.ndarray]:
    """Make the coordinates of all rows: one trace after the other, for each seed all layers."""
    sizes = [len(t.seeds) * len(t.layers) for t in traces]
    of_trace = {
        "network": [network_hash(t.config) for t in traces],
        "architecture": [t.config.network.architecture for t in traces],
        "depth": [t.depth or t.config.network.depth or 0 for t in traces],
        "batch": [t.batch for t in traces],
        "init": [t.config.network.init for t in traces],
        "sigma_w2": np.asarray([t.sigma_w2 for t in traces], dtype=float),
        "sigma_b2": np.asarray([t.sigma_b2 for t in traces], dtype=float),
        "loss": [t.loss for t in traces],
        "data": [t.data for t in traces],
        "dtype": [t.dtype for t in traces],
        "step": [t.step for t in traces],
    }
    of_layer = ("layer", "layer_name", "width", "fan_in", "fan_out")
    rows = {name: np.repeat(_plain(values), sizes) for name, values in of_trace.items()}
    for name in ("seed", "status"):
        per_trace = [np.repeat(_plain(t.seeds if name == "seed" else t.status), len(t.layers)) for t in traces]
        rows[name] = np.concatenate(per_trace)
    for name in of_layer:
        per_trace = [np.tile(_plain([getattr(i, name) for i in t.layers]), len(t.seeds)) for t in traces]
        rows[name] = np.concatenate(per_trace)
    per_trace = [np.tile(_plain([activation_at(t.config, i.layer) for i in t.layers]), len(t.seeds)) for t in traces]
    rows["activation"] = np.concatenate(per_trace)
    return {name: rows[name] for name in COORDINATES}


def activation_at(config: NetworkConfig | TrainingConfig, layer: int) -> str:
    """Return the activation of a layer. The readout has that of the last hidden layer, layer 0 has all of them."""
    names = config.network.activations
    if len(names) == 1:
        return names[0]
    return names[min(layer, len(names)) - 1] if layer else one_after_another(names)


def _plain(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return text as an array of objects, whatever its length, and numbers as an array of numbers."""
    text = len(values) > 0 and isinstance(values[0], str)
    return np.asarray(values, dtype=object if text else None)


def _changed(traces: Sequence[Trace]) -> dict[str, Any]:
    """Make the columns of configuration fields that are no coordinates and differ from their default somewhere."""
    sizes = [len(t.seeds) * len(t.layers) for t in traces]
    changed = set().union(*(t.config.changed() for t in traces))
    columns = {}
    for name in extra_fields():
        if name in changed:
            owners = [t.config if name in TRAINING_GRID else t.config.network for t in traces]
            given = [_written(name, getattr(owner, name, None)) for owner in owners]
            values = np.repeat(np.asarray(given, dtype=object), sizes)
            plain = pd.Series(values).infer_objects()
            # A number that no network has is NaN of a double, not an object.
            columns[name] = values if name in CATEGORIES else plain.astype(float) if plain.isna().all() else plain
    return columns


@functools.cache
def extra_fields() -> dict[str, Any]:
    """Return the fields of configurations that are no coordinates, with the default of most architectures."""
    names = [name for name in GRID if name not in COORDINATES]
    of_networks = {name: default_of(next(a for a, c in CONFIGS.items() if name in c.names()), name) for name in names}
    return {**of_networks, **UNCHANGED}


def default_of(architecture: str, name: str) -> Any:
    """Return the default of a field in an architecture; None where it has no such field."""
    kind = CONFIGS.get(architecture)
    return _written(name, getattr(kind, name)) if kind is not None and name in kind.names() else None


def _written(name: str, value: Any) -> Any:
    """Return a value of a field as its column holds it: where some values are text, numbers become text too."""
    return f"{value:.12g}" if name in CATEGORIES and isinstance(value, float) else value


def _measured(traces: Sequence[Trace]) -> dict[str, np.ndarray]:
    """Make the measured columns that any trace has; traces that lack one are NaN there."""
    present = [name for name in MEASURED if any(name in t.columns for t in traces)]
    columns = {}
    for name in present:
        parts = [
            np.asarray(t.columns[name], dtype=np.float64).ravel()
            if name in t.columns
            else np.full(len(t.seeds) * len(t.layers), np.nan)
            for t in traces
        ]
        columns[name] = np.concatenate(parts)
    return columns


def finished(table: pd.DataFrame) -> pd.DataFrame:
    """Give a frame its categories and the version of its schema; refuse rows that stand twice."""
    for name in CATEGORIES:
        if name in table and not isinstance(table[name].dtype, pd.CategoricalDtype):
            # Categories keep the order of appearance, because figures show them in that order.
            codes, known = pd.factorize(table[name].to_numpy(object))
            table[name] = pd.Categorical.from_codes(codes, pd.Index(known, dtype="str"))
    key = [name for name in ("run", *KEY) if name in table]
    if not key:
        raise GradlabError("rows of a frame", f"columns {', '.join(map(str, table.columns))[:200]}", "gl.frame(record)")
    twice = table.duplicated(key)
    if twice.any():
        row = table.loc[twice.idxmax(), key]
        raise GradlabError(
            f"one row for each ({', '.join(key)})",
            "two for " + ", ".join(f"{name}={value}" for name, value in row.items()),
            "a frame for each loss, data set or dtype",
        )
    table.attrs["schema"] = SCHEMA_VERSION
    return table


def concat(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join several frames into one. Where a frame lacks a field of the configuration, the field had its default.

    Parameters
    ----------
    frames : sequence of DataFrame
        From `frame`, `failed_rows` or `load`.

    Returns
    -------
    DataFrame
        The rows of all frames, in their order.
    """
    if not frames:
        raise GradlabError("at least one frame", "none", "gl.frame(gl.measure(net, x, y))")
    names = dict.fromkeys(name for table in frames for name in table.columns)
    order, filled = ordered_columns(names), []
    for table in frames:
        kinds = table["architecture"].astype(object)
        fills = {name: default_fill(name, table.columns) for name in names if name not in table}
        lacking = {name: kinds.map(fill) for name, fill in fills.items() if fill is not None}
        # Frames may have different categories, so they are joined as text and made categories again at the end.
        text = {name: object for name, dtype in table.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)}
        table = table.astype(text).assign(**lacking)
        filled.append(table.reindex(columns=order))
    whole = pd.concat([_typed(table) for table in filled], ignore_index=True)
    if "run" in whole:
        whole["run"] = whole["run"].astype("category")
    return finished(whole)


def ordered_columns(names: Iterable[str]) -> list[str]:
    """Return names of columns in the order of the frame."""
    names = dict.fromkeys(names)
    order = [*(n for n in ("run", *COORDINATES) if n in names), *(n for n in extra_fields() if n in names)]
    return list(dict.fromkeys([*order, *(n for n in MEASURED if n in names), *names]))


def default_fill(name: str, present: Iterable[str]) -> Callable[[str], Any] | None:
    """Return what rows of an architecture have in a column that their table lacks.

    Parameters
    ----------
    name : str
        The column.
    present : iterable of str
        The columns that the table has.

    Returns
    -------
    callable or None
        It takes the name of an architecture and returns the default of the field there. None: the column is no field
        of a configuration, and its values are missing.
    """
    fields = extra_fields()
    if name not in fields:
        return None
    if "optimizer" in present and name in TRAINING_GRID:  # a network measured untrained has none
        return lambda architecture: fields[name]
    return lambda architecture: default_of(architecture, name)


def is_measure(name: str) -> bool:
    """Say whether a column holds doubles, whatever its values."""
    return name in MEASURED or (name in OPTIONS and "float" in OPTIONS[name].type and name not in CATEGORIES)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Make measured columns doubles, so that joining need not guess the dtype of empty ones."""
    return table.astype(dict.fromkeys(filter(is_measure, table), np.float64))
