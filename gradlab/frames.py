"""Records to the tidy frame and its summaries; the frame's schema, its versions and its files.

One row per network, seed, step and layer; the columns stand in `gradlab._types`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import stdtrit

from gradlab._errors import GradlabError, unknown
from gradlab._types import COORDINATES, MEASURED, SCHEMA_VERSION
from gradlab.config import MLPConfig, content_hash
from gradlab.measurement.records import LayerInfo, Trace
from gradlab.measurement.slope import rate
from gradlab.measurement.verdict import NAMES, describe, judge

Band = Literal["ci95", "sd", "range", "seeds"]
BANDS: tuple[str, ...] = ("ci95", "sd", "range", "seeds")

#: Columns whose text repeats from row to row.
CATEGORIES: tuple[str, ...] = (
    "network", "architecture", "activation", "init", "loss", "data", "dtype", "layer_name", "status", "readout",
)  # fmt: skip
#: What makes a row unique.
KEY: tuple[str, ...] = ("network", "seed", "step", "layer")
#: Coordinates that differ from layer to layer of one network.
OF_A_LAYER: tuple[str, ...] = ("layer", "layer_name", "fan_in", "fan_out", "status")
#: The step from each older version of the schema to the next.
MIGRATIONS: dict[int, Callable[[pd.DataFrame], pd.DataFrame]] = {}
#: Key of our entry in the metadata of a Parquet file, which `gradlab.sweep.store` writes too.
ABOUT = b"gradlab"


# --- Records to rows --------------------------------------------------------------------


def network_hash(config: MLPConfig) -> str:
    """The short hash that names a network in the frame: that of its configuration, and of nothing else."""
    return content_hash(config.as_dict())


def frame(record: Trace | Iterable[Trace]) -> pd.DataFrame:
    """The tidy frame of one or several measurements.

    Parameters
    ----------
    record : Trace or iterable of Trace
        What `gradlab.measure` returns.

    Returns
    -------
    DataFrame
        One row per network, seed, step and layer: the coordinates, the fields of the configuration
        that differ from their default anywhere, and the measured columns. A quantity beyond the range of a
        double stands as its log10; a true zero is ``-inf``. ``attrs["schema"]`` is the version of the schema.
    """
    traces = [record] if isinstance(record, Trace) else list(record)
    for trace in traces:
        _check_trace(trace)
    if not traces:
        raise GradlabError("at least one record", "none", "gl.frame(gl.measure(net, x, y))")
    table = pd.DataFrame({**_coordinates(traces), **_changed(traces), **_measured(traces)})
    return _finished(table)


def failed_rows(
    config: MLPConfig,
    seeds: Sequence[int],
    error: BaseException | str,
    *,
    loss: str,
    data: str,
    batch: int,
    dtype: str,
) -> pd.DataFrame:
    """The rows of a network that could not be measured.

    Parameters
    ----------
    config : MLPConfig
        The network.
    seeds : sequence of int
        Seed numbers.
    error : exception or str
        What happened; it becomes the status.
    loss, data, dtype : str
        Names.
    batch : int
        Examples.

    Returns
    -------
    DataFrame
        One row per seed, with layer 0 and nothing measured.
    """
    status = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    layer = LayerInfo(layer=0, layer_name="", width=config.widths[0], fan_in=0, fan_out=0)
    return frame(
        Trace(
            config=config, layers=(layer,), columns={}, seeds=tuple(seeds), status=(status,) * len(seeds),
            sigma_w2=np.nan, sigma_b2=np.nan, loss=loss, data=data, batch=batch, dtype=dtype,
        )
    )  # fmt: skip


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
    """Coordinates of all rows: seeds slow, layers fast, one trace after the other."""
    sizes = [len(t.seeds) * len(t.layers) for t in traces]
    of_trace = {
        "network": [network_hash(t.config) for t in traces],
        "architecture": [t.config.architecture for t in traces],
        "depth": [t.config.depth for t in traces],
        "batch": [t.batch for t in traces],
        "activation": [t.config.activation for t in traces],
        "init": [t.config.init for t in traces],
        "sigma_w2": np.asarray([t.sigma_w2 for t in traces], dtype=float),
        "sigma_b2": np.asarray([t.sigma_b2 for t in traces], dtype=float),
        "loss": [t.loss for t in traces],
        "data": [t.data for t in traces],
        "dtype": [t.dtype for t in traces],
        "step": [0] * len(traces),
    }
    of_layer = ("layer", "layer_name", "width", "fan_in", "fan_out")
    rows = {name: np.repeat(_plain(values), sizes) for name, values in of_trace.items()}
    for name in ("seed", "status"):
        per_trace = [np.repeat(_plain(t.seeds if name == "seed" else t.status), len(t.layers)) for t in traces]
        rows[name] = np.concatenate(per_trace)
    for name in of_layer:
        per_trace = [np.tile(_plain([getattr(i, name) for i in t.layers]), len(t.seeds)) for t in traces]
        rows[name] = np.concatenate(per_trace)
    return {name: rows[name] for name in COORDINATES}


def _plain(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Text as objects, so that concatenating does not depend on the longest; numbers as they are."""
    text = len(values) > 0 and isinstance(values[0], str)
    return np.asarray(values, dtype=object if text else None)


def _changed(traces: Sequence[Trace]) -> dict[str, Any]:
    """Fields of the configurations that no coordinate holds, where one differs from its default."""
    sizes = [len(t.seeds) * len(t.layers) for t in traces]
    changed = set().union(*(t.config.changed() for t in traces))
    columns = {}
    for name in _own_fields(type(traces[0].config)):
        if name in changed:
            values = np.repeat(np.asarray([getattr(t.config, name) for t in traces], dtype=object), sizes)
            columns[name] = values if name in CATEGORIES else pd.Series(values).infer_objects()
    return columns


def _own_fields(kind: type[MLPConfig]) -> dict[str, Any]:
    """Fields of a configuration that are not coordinates, with their defaults."""
    return {f.name: f.default for f in dataclasses.fields(kind) if f.name not in COORDINATES}


def _measured(traces: Sequence[Trace]) -> dict[str, np.ndarray]:
    """Measured columns that any trace has; NaN where a trace has not got them."""
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


def _finished(table: pd.DataFrame) -> pd.DataFrame:
    """The frame with its categories and version; refuses rows that are there twice."""
    for name in CATEGORIES:
        if name in table and not isinstance(table[name].dtype, pd.CategoricalDtype):
            # In order of appearance: a figure shows them as they were asked for.
            known = pd.unique(table[name].dropna())
            table[name] = pd.Categorical(table[name], categories=pd.Index(known, dtype="str"))
    key = [name for name in ("run", *KEY) if name in table]
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
    """Several frames as one: a field of the configuration that one of them lacks had its default there.

    Parameters
    ----------
    frames : sequence of DataFrame
        From `frame`, `failed_rows` or `load`.

    Returns
    -------
    DataFrame
    """
    if not frames:
        raise GradlabError("at least one frame", "none", "gl.frame(gl.measure(net, x, y))")
    found = dict.fromkeys(name for table in frames for name in table.columns)
    own = _own_fields(MLPConfig)
    order = [*(n for n in ("run", *COORDINATES) if n in found), *(n for n in own if n in found)]
    order += [name for name in (*MEASURED, *found) if name in found and name not in order]
    order = list(dict.fromkeys(order))
    filled = []
    for table in frames:
        lacking = {name: own[name] for name in own if name in found and name not in table}
        # Categories of different frames differ: as text they append, and become categories again at the end.
        text = {name: object for name, dtype in table.dtypes.items() if isinstance(dtype, pd.CategoricalDtype)}
        table = table.astype(text).assign(**lacking)
        filled.append(table.reindex(columns=order))
    whole = pd.concat([_typed(table) for table in filled], ignore_index=True)
    if "run" in whole:
        whole["run"] = whole["run"].astype("category")
    return _finished(whole)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Missing measures as NaN of a double, so that appending does not guess at the dtype of empty columns."""
    doubles = [name for name in table if name in MEASURED or name in ("std", "gain")]
    return table.astype(dict.fromkeys(doubles, np.float64))


# --- Summaries --------------------------------------------------------------------------


def summarise(
    frame: pd.DataFrame,
    by: str | Sequence[str],
    values: str | Sequence[str] | None = None,
    band: Band = "ci95",
) -> pd.DataFrame:
    """Means over seeds with a band, and counts of what could not enter them.

    A ``log10_`` column is averaged as it stands, which is the geometric mean of the quantity. Rows of
    one seed that fall into one group are averaged first: networks of one seed share their random draws, so
    the seeds are what is independent, and the band is one over seeds.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`.
    by : str or sequence of str
        Columns that make a group.
    values : str or sequence of str, optional
        Columns to summarise. None: all measured ones.
    band : {"ci95", "sd", "range", "seeds"}
        95 % t-interval of the mean, mean ± standard deviation, smallest and largest,
        or every seed by itself (a row each, with its number in `seed`, and `low` = `mean` = `high`).

    Returns
    -------
    DataFrame
        A row per group and column: the columns of `by`, then ``column mean low high n n_zero n_not_finite``.
        `n` counts seeds in the mean; `n_zero` (``-inf``, a true zero) and `n_not_finite` (NaN, ``+inf``)
        count rows left out of it. `mean` is NaN where no row is finite; `low` and `high` where there is no band.
    """
    groups = _listed(frame, "column to group by", by)
    if not groups:
        raise GradlabError("at least one column to group by", "none", 'by=["layer"]')
    if band not in BANDS:
        raise unknown("band", band, BANDS)
    if values is None:
        values = [name for name in MEASURED if name in frame]
    columns = _listed(frame, "column to summarise", values)
    for name in columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise GradlabError("a column of numbers to summarise", name, 'values="log10_delta_rms"')
    if band == "seeds":
        groups = list(dict.fromkeys([*groups, "seed"]))
    seeds = list(dict.fromkeys([*groups, "seed"]))
    return pd.concat([_column_summary(frame, groups, seeds, name, band) for name in columns], ignore_index=True)


def _listed(frame: pd.DataFrame, kind: str, names: str | Sequence[str]) -> list[str]:
    """`names` as a list, all of them columns of the frame."""
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in frame.columns:
            raise unknown(kind, name, map(str, frame.columns))
    return list(dict.fromkeys(names))


def _column_summary(frame: pd.DataFrame, groups: list[str], seeds: list[str], column: str, band: str) -> pd.DataFrame:
    value = frame[column].astype(np.float64)
    finite = np.isfinite(value)
    zero = np.isneginf(value)
    cells = frame[seeds].assign(value=value.where(finite), zero=zero, other=~finite & ~zero)
    options = {"observed": True, "sort": False, "dropna": False}
    counts = cells.groupby(groups, **options)[["zero", "other"]].sum()
    per_seed = cells.groupby(seeds, **options)["value"].mean().reset_index()
    stats = per_seed.groupby(groups, **options)["value"].agg(["mean", "std", "count", "min", "max"])
    low, high = _band(stats, band)
    table = pd.DataFrame(
        {
            "column": column,
            "mean": stats["mean"],
            "low": low,
            "high": high,
            "n": stats["count"].astype(np.int64),
            "n_zero": counts["zero"].astype(np.int64),
            "n_not_finite": counts["other"].astype(np.int64),
        },
        index=stats.index,
    )
    return table.reset_index()


def _band(stats: pd.DataFrame, band: str) -> tuple[pd.Series, pd.Series]:
    if band in ("range", "seeds"):
        return stats["min"], stats["max"]
    half = stats["std"]  # NaN for a single seed, and so is the band
    if band == "ci95":
        n = stats["count"].where(stats["count"] > 1)
        half = half * stdtrit(n - 1, 0.975) / np.sqrt(n)
    return stats["mean"] - half, stats["mean"] + half


def rates(frame: pd.DataFrame, by: Literal["network", "seed"] = "network", level: float = 0.95) -> pd.DataFrame:
    """The second table: rate, decades and verdict of each network, or of each network and seed.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`, with `log10_delta_rms`.
    by : {"network", "seed"}
        A row per network, with the interval over seeds, or a row per network and seed, without.
    level : float
        Level of the interval.

    Returns
    -------
    DataFrame
        The coordinates that are the network's (`width` is NaN where its hidden layers differ), then
        ``rate low high level decades decades_low decades_high shape exponent verdict n_seeds n_zero n_failed
        first_layer last_layer from_depth phrase sentence``. `n_seeds` entered the rate, `n_zero` had a
        delta that is exactly 0, `n_failed` one that is not finite or absent; `from_depth` is the depth at which
        the decades pass one at this rate, NaN where it cannot be carried on.
    """
    if by not in ("network", "seed"):
        raise unknown("by", by, ("network", "seed"))
    _listed(frame, "column", ["log10_delta_rms", *KEY, "depth"])
    own = [name for name in _own_fields(MLPConfig) if name in frame]
    coordinates = [n for n in ("run", *COORDINATES) if n in frame and n not in (*OF_A_LAYER, "seed")] + own
    names = ("run", "network", "batch", "loss", "data", "dtype", "step")
    keys = [name for name in names if name in frame]
    rows = []
    for indices in frame.groupby(keys, observed=True, sort=False, dropna=False).indices.values():
        network = frame.iloc[indices]
        about = _about_network(network, coordinates)
        deltas, seeds = _deltas(network, about["depth"])
        if by == "network":
            rows.append({**about, **_rate_row(deltas, level)})
        else:
            rows += [{**about, "seed": s, **_rate_row(d[None], level)} for s, d in zip(seeds, deltas, strict=True)]
    table = pd.DataFrame(rows)
    for name in coordinates:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            table[name] = pd.Categorical(table[name], dtype=frame[name].dtype)
    table["verdict"] = pd.Categorical(table["verdict"], categories=NAMES)
    table["shape"] = pd.Categorical(table["shape"], categories=("exponential", "algebraic", "none"))
    return table


def _about_network(network: pd.DataFrame, coordinates: Sequence[str]) -> dict[str, Any]:
    """The coordinates of a network; those of a row that was measured, if there is one."""
    measured = network[network["layer"] >= 1]
    source = measured if len(measured) else network
    about = source.iloc[0][list(coordinates)].to_dict()
    if "width" in about:
        widths = source.loc[source["layer"] <= about["depth"], "width"].unique()
        about["width"] = widths[0] if len(widths) == 1 else np.nan
    return about


def _deltas(network: pd.DataFrame, depth: int) -> tuple[np.ndarray, np.ndarray]:
    """log10 deltas of the hidden layers, (seeds, L), NaN where there is no row; and the seeds."""
    seeds, codes = np.unique(network["seed"].to_numpy(), return_inverse=True)
    layers = network["layer"].to_numpy()
    hidden = (layers >= 1) & (layers <= depth)
    deltas = np.full((len(seeds), depth), np.nan)
    deltas[codes[hidden], layers[hidden] - 1] = network["log10_delta_rms"].to_numpy()[hidden]
    return deltas, seeds


def _rate_row(deltas: np.ndarray, level: float) -> dict[str, Any]:
    r = rate(deltas, level=level)
    verdict = judge(r)
    return {
        "rate": r.value, "low": r.low, "high": r.high, "level": r.level,
        "decades": r.decades.value, "decades_low": r.decades.low, "decades_high": r.decades.high,
        "shape": r.shape, "exponent": r.exponent, "verdict": verdict.name,
        "n_seeds": r.seeds, "n_zero": r.n_dead, "n_failed": r.n_failed,
        "first_layer": r.layers[0], "last_layer": r.layers[1],
        "from_depth": np.nan if verdict.from_depth is None else float(verdict.from_depth),
        "phrase": describe(r, verdict), "sentence": verdict.sentence,
    }  # fmt: skip


# --- Files ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A sweep's folder, loaded; or several, then each field but the frame is a mapping by the run's name.

    Parameters
    ----------
    frame : DataFrame
        ``frame.parquet``, in today's schema.
    request : mapping
        ``sweep.toml`` as it stands: what was asked.
    provenance : mapping
        ``provenance.json``: versions, platform, command.
    path : Path or mapping of str to Path
        The folder.
    """

    frame: pd.DataFrame
    request: Mapping[str, Any]
    provenance: Mapping[str, Any]
    path: Path | Mapping[str, Path]


def load(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Run:
    """A run from its folder; several at once have one frame, with a column `run`.

    Parameters
    ----------
    path : path or sequence of path
        What was given as ``out=`` or ``--out``.

    Returns
    -------
    Run
    """
    if isinstance(path, (str, os.PathLike)):
        return _load_one(Path(path))
    paths = [Path(p) for p in path]
    if not paths:
        raise GradlabError("at least one folder", "none", 'gl.load("runs/demo")')
    # The folder's own name where that tells the runs apart.
    short = [p.resolve().name for p in paths]
    names = short if len(set(short)) == len(short) else [str(p) for p in paths]
    if len(set(names)) < len(names):
        raise GradlabError("different folders", ", ".join(names), "each folder once")
    runs = dict(zip(names, map(_load_one, paths), strict=True))
    return Run(
        frame=concat([run.frame.assign(run=name) for name, run in runs.items()]),
        request={name: run.request for name, run in runs.items()},
        provenance={name: run.provenance for name, run in runs.items()},
        path={name: Path(str(run.path)) for name, run in runs.items()},
    )


def _load_one(folder: Path) -> Run:
    if not folder.is_dir():
        raise GradlabError("the folder of a run", f"{folder}, which is no folder", "the folder given as out=")
    if not (folder / "sweep.toml").exists():
        raise GradlabError("the folder of a run", f"{folder} without sweep.toml", "the folder given as out=")
    if not (folder / "frame.parquet").exists():
        raise GradlabError(
            "a finished run", f"{folder} without frame.parquet", "the same sweep again: it continues where it stopped"
        )
    request = _parsed(folder / "sweep.toml", tomllib.loads)
    provenance = _parsed(folder / "provenance.json", json.loads)
    return Run(read(folder / "frame.parquet"), request, provenance, folder)


def _parsed(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        return dict(parse(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise GradlabError(f"{path} as the sweep wrote it", _one_line(error), "the same sweep again") from error


def example(name: str) -> pd.DataFrame:
    """A small frame that comes with gradlab, so that every plot can be tried without computing.

    Parameters
    ----------
    name : str
        A wrong name is answered with the list of names.

    Returns
    -------
    DataFrame
    """
    folder = resources.files("gradlab") / "examples"
    files = {f.name.removesuffix(".parquet"): f for f in folder.iterdir()} if folder.is_dir() else {}
    names = sorted(n for n, f in files.items() if f.name.endswith(".parquet"))
    if name not in names:
        raise unknown("example", name, names)
    with resources.as_file(files[name]) as path:
        return read(path)


def write(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a frame as Parquet with checksums: whole under its name, or not at all.

    Parameters
    ----------
    frame : DataFrame
        Its ``attrs`` travel with it.
    path : path
        The file.
    """
    attrs = {name: value for name, value in frame.attrs.items() if name != "schema"}
    # pandas would write attrs a second time, beside ours.
    bare = frame.copy(deep=False)
    bare.attrs = {}
    table = pa.Table.from_pandas(bare, preserve_index=False)
    note = {**attrs, "schema_version": frame.attrs.get("schema", SCHEMA_VERSION), "holds": _holds(table)}
    note["digest"] = content_hash(note)
    table = table.replace_schema_metadata({**table.schema.metadata, ABOUT: json.dumps(note)})
    with _replacing(Path(path)) as temporary:
        # Without checksums a flipped byte goes unseen in 295 of 300 trials (DECISIONS 25).
        pq.write_table(table, temporary, write_page_checksum=True)


def _holds(table: pa.Table) -> dict[str, Any]:
    """Columns, rows and what pandas noted of them.

    Checksums guard the pages of a Parquet file but not its footer, where these stand: without this note 2 % of
    all flipped bits of a small file gave another frame, with it none.
    """
    kinds = [field.type for field in table.schema]
    # The width of a dictionary's indices is not the frame's, and Parquet does not keep it.
    columns = [
        [name, f"category of {kind.value_type}, ordered={kind.ordered}" if pa.types.is_dictionary(kind) else str(kind)]
        for name, kind in zip(table.column_names, kinds, strict=True)
    ]
    pandas_note = table.schema.metadata[b"pandas"].decode()
    return {"columns": columns, "rows": table.num_rows, "pandas": content_hash(pandas_note)}


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what was written there becomes `path` once it is on the disk."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise GradlabError(f"{path} to be writable", _one_line(error), "another folder, or making room") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a frame, checksums verified, and bring it to today's schema.

    Parameters
    ----------
    path : path
        A file that `write` or a sweep wrote.

    Returns
    -------
    DataFrame

    Raises
    ------
    GradlabError
        Where the file is absent, damaged, of a newer schema, or not a frame of gradlab.
    """
    path = Path(path)
    if not path.is_file():
        raise GradlabError("a frame's file", f"{path}, which is not there", "the name of a file that exists")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            arrow = file.read()
        note = json.loads((arrow.schema.metadata or {}).get(ABOUT, b"{}"))
        _verify(arrow, note)
        table = arrow.to_pandas()
    # A flipped byte in the footer makes pyarrow raise almost anything.
    except Exception as error:
        raise GradlabError(f"{path} as it was written", _one_line(error), "a copy, or the sweep again") from error
    if not isinstance(note.get("schema_version"), int):
        raise GradlabError("a frame that gradlab wrote", f"{path} without the version of its schema", "another file")
    attrs = {name: value for name, value in note.items() if name not in ("schema_version", "holds", "digest")}
    table.attrs = {**attrs, "schema": note["schema_version"]}
    return migrate(table, str(path))


def _verify(table: pa.Table, note: dict[str, Any]) -> None:
    """Refuse a frame that is not what its note says, or a note that is not what was written."""
    digest = content_hash({name: value for name, value in note.items() if name != "digest"})
    noted = "holds" in note or "digest" in note  # a sweep's own writer leaves no such note
    if noted and (note.get("holds") != _holds(table) or note.get("digest") != digest):
        raise ValueError("its columns, rows or notes are not those that were written")


def migrate(table: pd.DataFrame, name: str = "the frame") -> pd.DataFrame:
    """The frame in today's schema, one version at a time.

    Parameters
    ----------
    table : DataFrame
        With its version in ``attrs["schema"]``.
    name : str
        What to call it in an error.
    """
    attrs = dict(table.attrs)
    version = attrs["schema"]
    if version > SCHEMA_VERSION:
        raise GradlabError(
            f"a schema of version {SCHEMA_VERSION} or older", f"{name} of version {version}", "a newer gradlab"
        )
    for step in range(version, SCHEMA_VERSION):
        if step not in MIGRATIONS:
            raise GradlabError(f"a schema of version {step + 1} or newer", f"{name} of version {version}", "the sweep again")
        table = MIGRATIONS[step](table)
    table.attrs = {**attrs, "schema": SCHEMA_VERSION}
    return table


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
