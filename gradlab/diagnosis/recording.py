"""What was recorded of a model elsewhere, as evidence: read as data, whatever the file holds."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradlab._errors import GradlabError
from gradlab._files import path_from
from gradlab._text import plain
from gradlab.diagnosis.diagnosis import Diagnosis
from gradlab.diagnosis.evidence import Evidence
from gradlab.diagnosis.findings import Margin, Rule
from gradlab.diagnosis.sites import Coverage, Parameter, Place, Site

#: Numbers that the recorder writes of an array, in this order; its shape follows.
FIELDS: tuple[str, ...] = (
    "not_finite", "log10_rms", "log10_max", "zero_fraction", "dead_fraction", "lost_float32", "lost_float16",
    "below_adam",
)  # fmt: skip
#: Signals of a layer.
SIGNALS: tuple[str, ...] = ("value", "activation", "delta", "weight", "grad")
#: What the evidence notes where no loss was recorded.
_NO_LOSS = "no loss was recorded, so its scale is not judged"
#: Arrays of a file, bytes of each and axes, at most.
_MOST, _BYTES, _AXES = 100_000, 4096, 32
_TRY = "the file as the recorder wrote it: gradlab inspect --help"

#: What was kept of each array of one file, by signal and layer; layers in their order.
Kept = dict[tuple[str, str], np.ndarray]


def inspect(*paths: str | os.PathLike[str], mute: Collection[str] = ()) -> Diagnosis:
    """Judge what was recorded of a model elsewhere.

    Parameters
    ----------
    *paths : path
        Files of the recorder, of one model on several batches: a sample each.
    mute : collection of str
        Rules that shall say nothing.

    Returns
    -------
    Diagnosis
        By the rules that can look at what is there; the page says which signals are missing.
    """
    from gradlab.diagnosis.rules import judge

    if not paths:
        raise GradlabError("a file of the recorder", "none", "gl.inspect('recorded.npz')")
    files = [path_from(path, "path") for path in paths]
    evidence = evidence_of([_read(path) for path in files])
    findings, margins = judge(evidence, mute=mute)
    if _NO_LOSS in evidence.notes:
        silent = Margin(Rule.GL020, silent="no loss was recorded")
        margins = tuple(silent if margin.rule is Rule.GL020 else margin for margin in margins)
    return Diagnosis(evidence, findings, margins, ", ".join(path.name for path in files), more="more files")


def _read(path: Path) -> Kept:
    """Return the arrays of one file. Nothing is unpickled, and no array is larger than one of the recorder's."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MOST:
                raise ValueError(f"{len(members):,} arrays")
            return dict(_entry(archive, member) for member in members)
    except OSError as error:
        why = "which is not there" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise GradlabError("a file of the recorder", f"{str(path)!r}, {why}", "checking the path") from error
    except (
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
        SyntaxError,
    ) as error:
        raise GradlabError(
            f"{path} to be a file of the recorder", plain(error)[:200] or type(error).__name__, _TRY
        ) from error


def _entry(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> tuple[tuple[str, str], np.ndarray]:
    name = member.filename.removesuffix(".npy")
    signal, slash, layer = name.partition("/")
    if signal not in (*SIGNALS, "loss") or not slash or not layer:
        raise ValueError(f"an array called {name[:80]!r}, and not SIGNAL/LAYER with one of {', '.join(SIGNALS)}")
    if member.file_size > _BYTES:
        raise ValueError(f"{name[:80]} with {member.file_size:,} bytes")
    data = archive.read(member)
    header = io.BytesIO(data)
    version = np.lib.format.read_magic(header)
    reading = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = reading(header)
    if len(shape) != 1 or not len(FIELDS) <= shape[0] <= len(FIELDS) + _AXES or kind.kind not in "fi":
        raise ValueError(f"{name[:80]} with shape {shape} of {kind}")
    array = np.load(io.BytesIO(data), allow_pickle=False).astype(np.float64)
    axes = array[len(FIELDS) :]
    if not (np.isfinite(axes).all() and (axes >= 0).all() and (axes == np.floor(axes)).all() and axes.prod() < 2**53):
        raise ValueError(f"{name[:80]} of shape {axes.tolist()[:8]}")
    return (signal, layer), array


def evidence_of(files: Sequence[Kept]) -> Evidence:
    """Evidence from the files of one model, a sample each."""
    first, *others = files
    for kept in others:
        changed = sorted(kept.keys() ^ first.keys()) or [k for k in first if not _same_shape(first[k], kept[k])]
        if changed:
            received = f"{'/'.join(changed[0])} only in one, or in another shape"
            raise GradlabError("files of one model, with the same layers", received, "a command for each model")
    layers = list(dict.fromkeys(layer for signal, layer in first if signal != "loss"))
    if not layers:
        raise GradlabError("a file with layers", "none", _TRY)
    places, parameters = _places(first, layers)
    column = lambda signal, layer, field: np.array(
        [kept[signal, layer][FIELDS.index(field)] if (signal, layer) in kept else np.nan for kept in files]
    )
    stack = lambda vectors: np.stack(vectors, axis=1) if vectors else np.empty((len(files), 0))
    signals, gradients = {}, {}
    kinds = ["activation" if place.site.kind == "activation" else "value" for place in places]
    names = [place.site.name.removesuffix(_BEHIND) if kind == "activation" else place.site.name
             for place, kind in zip(places, kinds, strict=True)]  # fmt: skip
    for target, field in _OF_VALUE.items():
        signals[target] = stack([column(k, n, field) for k, n in zip(kinds, names, strict=True)])
    for target, field in _OF_DELTA.items():
        signals[target] = stack(
            [column("delta" if k == "value" else "", n, field) for k, n in zip(kinds, names, strict=True)]
        )
    signals["dead_fraction"] = stack([
        column(k, n, "dead_fraction") if k == "activation" else np.full(len(files), np.nan)
        for k, n in zip(kinds, names, strict=True)
    ])  # fmt: skip
    for target, field in _OF_GRAD.items():
        gradients[target] = stack([column("grad", p.path, field) for p in parameters])
    for target, signal in (("log10_grad_norm", "grad"), ("log10_weight_norm", "weight")):
        entries = np.array([max(math.prod(p.shape), 1) for p in parameters])
        gradients[target] = stack([column(signal, p.path, "log10_rms") for p in parameters]) + np.log10(entries) / 2
    losses, notes = _losses(files), _notes(first, layers)
    if losses is None:
        notes.append(_NO_LOSS)
        losses = np.zeros(len(files))
    seen = sum(("value", layer) in first and ("delta", layer) in first for layer in layers)
    return Evidence(
        places, parameters, signals, gradients, losses, losses, Coverage(seen, len(layers)),
        "batches" if len(files) > 1 else "", notes=tuple(notes),
    )  # fmt: skip


#: End of the name of what stands behind a layer.
_BEHIND = "/activation"
_OF_VALUE: dict[str, str] = {
    "log10_value_rms": "log10_rms", "log10_value_max": "log10_max", "value_zero_fraction": "zero_fraction",
    "value_not_finite": "not_finite",
}  # fmt: skip
_OF_DELTA: dict[str, str] = {
    "log10_delta_rms": "log10_rms", "log10_delta_max": "log10_max", "delta_zero_fraction": "zero_fraction",
    "delta_not_finite": "not_finite", "delta_lost_float32": "lost_float32", "delta_lost_float16": "lost_float16",
}  # fmt: skip
_OF_GRAD: dict[str, str] = {
    "log10_grad_max": "log10_max", "grad_zero_fraction": "zero_fraction", "grad_not_finite": "not_finite",
    "below_adam_fraction": "below_adam", "grad_lost_float32": "lost_float32", "grad_lost_float16": "lost_float16",
}  # fmt: skip


def _places(kept: Kept, layers: Sequence[str]) -> tuple[tuple[Place, ...], tuple[Parameter, ...]]:
    """Return a product for each layer that has a signal, its activation behind it, and its parameter."""
    places: list[Place] = []
    parameters: list[Parameter] = []
    for layer in layers:
        shape = next((_shape(kept[s, layer]) for s in ("value", "delta", "activation") if (s, layer) in kept), None)
        weight_shape = next((_shape(kept[s, layer]) for s in ("weight", "grad") if (s, layer) in kept), None)
        if weight_shape is not None:
            feeds = (len(places),) if shape is not None else ()
            parameters.append(Parameter(layer, len(parameters), (), weight_shape, "", "used", feeds))
        if shape is not None:
            last = (len(shape) - 1,) if shape else ()
            number = len(places)
            parameter = layer if weight_shape is not None else ""
            places.append(
                Place(Site(number, layer, "product", "recorded", shape, "", features=last, parameter=parameter))
            )
            if ("activation", layer) in kept:
                shape, name = _shape(kept["activation", layer]), layer + _BEHIND
                behind = Site(number + 1, name, "activation", "recorded", shape, "", features=last, follows=number)
                places.append(Place(behind))
    return tuple(places), tuple(parameters)


def _shape(numbers: np.ndarray) -> tuple[int, ...]:
    return tuple(int(n) for n in numbers[len(FIELDS) :])


def _same_shape(one: np.ndarray, other: np.ndarray) -> bool:
    return _shape(one)[1:] == _shape(other)[1:]


def _losses(files: Sequence[Kept]) -> np.ndarray | None:
    """Absolute values of the losses, which is what the recorder keeps of a number."""
    names = [next((layer for signal, layer in kept if signal == "loss"), None) for kept in files]
    if None in names:
        return None
    fields = [kept["loss", str(name)] for kept, name in zip(files, names, strict=True)]
    return np.array([np.nan if n[FIELDS.index("not_finite")] else 10 ** n[FIELDS.index("log10_max")] for n in fields])


def _notes(kept: Mapping[tuple[str, str], Any], layers: Sequence[str]) -> list[str]:
    """Return which signals are missing, and what nobody can say without them."""
    without = {
        "value": "the size of the signal", "activation": "dead units", "delta": "how the gradient travels",
        "weight": "the size of weights", "grad": "gradients of weights",
    }  # fmt: skip
    notes = []
    for signal, what in without.items():
        lacking = [layer for layer in layers if (signal, layer) not in kept]
        if len(lacking) == len(layers):
            notes.append(f"no {signal}= was recorded, so {what} is not known")
        elif lacking and signal != "activation":
            others = " and others" if len(lacking) > 5 else ""
            notes.append(f"of some layers {signal}= is missing: {', '.join(lacking[:5])}{others}")
    return notes
