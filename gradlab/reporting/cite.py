"""Which papers a run rests on: those of its initialisers, layers, optimisers, data, and of the theory beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

import gradlab
from gradlab._text import plain
from gradlab.config import CONFIGS, REGISTRIES, UNCHANGED, NetworkConfig
from gradlab.frames.files import Run, load
from gradlab.reporting.references import OWN, Reference, bibliography

_SHAPES = ("normal", "uniform", "truncated")
#: Initialiser -> papers, as the table in `gradlab.core.initializers` names them.
_INITIALIZERS: dict[str, tuple[str, ...]] = {
    **{f"xavier_{shape}": ("glorot2010",) for shape in _SHAPES},
    **{f"he_{shape}": ("he2015",) for shape in _SHAPES},
    **{f"lecun_{shape}": ("lecun1998",) for shape in _SHAPES},
    "standard_uniform": ("glorot2010",), "orthogonal": ("saxe2013",), "delta_orthogonal": ("xiao2018",),
    "identity": ("le2015",), "gaussian": ("poole2016",), "critical": ("roberts2022",),
}  # fmt: skip
#: Column -> value in it -> papers.
_BY_VALUE: dict[str, dict[Any, tuple[str, ...]]] = {
    "init": _INITIALIZERS,
    "readout": _INITIALIZERS,
    "activation": {
        "leaky_relu": ("maas2013",), "elu": ("clevert2016",), "selu": ("klambauer2017",),
        "gelu": ("hendrycks2016",), "silu": ("elfwing2018",),
        # of `gradlab.theory.shaped`, whose names begin with the method
        "TAT": ("zhang2022",), "DKS": ("martens2021",),
    },
    "norm": {"batch": ("ioffe2015",), "layer": ("ba2016",), "rms": ("zhang2019rms",), "dyt": ("zhu2025",)},
    "branch_scale": {
        "1/sqrt(L)": ("hanin2018start", "zhang2019fixup"), "1/L": ("hanin2018start",),
        "learned": ("bachlechner2020", "de2020"),
    },
    "optimizer": {
        "momentum": ("polyak1964",), "nesterov": ("sutskever2013",), "rmsprop": ("tieleman2012",),
        "adam": ("kingma2015",), "adamw": ("kingma2015", "loshchilov2019"), "muon": ("jordan2024",),
        "lion": ("chen2023",), "schedule_free": ("defazio2024",), "sign": ("bernstein2018",),
    },
    "data": {
        **{name: ("alpaydin1998", "pedregosa2011") for name in ("digits", "digits_images", "digits_rows")},
        **{name: ("greydanus2024",) for name in ("mnist1d", "mnist1d_steps")},
        **{name: ("hochreiter1997",) for name in ("adding", "copying")},
        "circle": ("poole2016",), "spirals": ("lang1988",),
    },
}  # fmt: skip
#: Ways of training that are used where their number is not 0 -> papers.
_BY_NUMBER: dict[str, tuple[str, ...]] = {"clip_norm": ("pascanu2013",), "clip_adaptive": ("brock2021",)}
_CELLS: dict[str, tuple[str, ...]] = {
    "rnn": ("elman1990",), "lstm": ("hochreiter1997", "gers2000"), "gru": ("cho2014",), "lru": ("orvieto2023",),
}  # fmt: skip
#: Of a transformer -> paper.
_SWITCHES: dict[str, str] = {"norm_scaling": "sun2025", "qk_norm": "henry2020"}
#: What a report sets beside the measurement of a plain network -> papers.
_THEORY: dict[str, str] = {
    "poole2016": "mean field", "schoenholz2017": "depth scales of mean field", "hanin2018": "finite width",
}  # fmt: skip
_VERSION = re.compile(r"[0-9][\w.+-]{0,40}")


@dataclass(frozen=True)
class References:
    """Hold the papers that a run rests on, and what of each it used. `str` gives BibTeX.

    Parameters
    ----------
    gradlab : Reference
        The entry of gradlab, with the version that made the run.
    papers : tuple of Reference
        The papers, in the order of their years.
    uses : mapping of str to tuple of str
        Key of a paper -> what the run used of it, such as ``init he_normal``.
    """

    gradlab: Reference
    papers: tuple[Reference, ...]
    uses: Mapping[str, tuple[str, ...]]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the keys of all entries, gradlab's own first."""
        return tuple(reference.key for reference in (self.gradlab, *self.papers))

    def __str__(self) -> str:
        entries = [self.gradlab.bibtex()]
        entries += [f"% {'; '.join(self.uses[paper.key])}\n{paper.bibtex()}" for paper in self.papers]
        return "\n\n".join(entries)

    def markdown(self) -> str:
        """Write a list of all entries, each with what the run used of it."""
        lines = [self.gradlab.markdown()]
        lines += [f"{paper.markdown()} Here for: {'; '.join(self.uses[paper.key])}." for paper in self.papers]
        return "\n".join(f"- {line}" for line in lines)

    def _repr_markdown_(self) -> str:
        return self.markdown()


def cite(run: str | os.PathLike[str] | Run | pd.DataFrame) -> References:
    """Collect what to cite when you use a run: this version of gradlab, and the papers that the run rests on.

    The papers are those of its initialisers, activations, norms, residual branches, cells, optimisers and data, and,
    where networks are plain, of the mean field that reports set beside the measurement. What gradlab merely computes
    with (a random number generator, a quadrature) is not among them.

    Parameters
    ----------
    run : path, Run or DataFrame
        The folder of a run, what `gradlab.load` made of one or several, or a frame in memory.

    Returns
    -------
    References
        `print` shows BibTeX; ``markdown()`` gives a list to read, and `keys` the keys of the entries.

    Raises
    ------
    GradlabError
        If there is no run in the folder, or it is damaged.

    Examples
    --------
    >>> import gradlab as gl
    >>> gl.cite(gl.example("depth")).keys[:3]
    ('gradlab', 'alpaydin1998', 'glorot2010')
    """
    provenance: Mapping[str, Any] = {}
    if isinstance(run, pd.DataFrame):
        frame = run
    else:
        loaded = run if isinstance(run, Run) else load(run)
        frame, provenance = loaded.frame, loaded.provenance if not isinstance(loaded.path, Mapping) else {}
    uses: dict[str, dict[str, None]] = {}
    for key, what in _uses(frame):
        uses.setdefault(key, {})[what] = None
    entries = bibliography()
    papers = tuple(entry for key, entry in entries.items() if key in uses)
    return References(_own(entries[OWN], provenance), papers, {key: tuple(what) for key, what in uses.items()})


def _own(entry: Reference, provenance: Mapping[str, Any]) -> Reference:
    """Return gradlab's own entry, with the version that made the run; without a record, the version that is here."""
    versions = provenance.get("versions") if isinstance(provenance, Mapping) else None
    made_by = versions.get("gradlab-jax") if isinstance(versions, Mapping) else None
    known = isinstance(made_by, str) and _VERSION.fullmatch(made_by)
    return Reference(entry.key, entry.kind, {**entry.fields, "version": made_by if known else gradlab.__version__})


def _uses(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """List what the networks of a frame use, as pairs of a key and words."""
    named = (
        "architecture",
        "cell",
        "forget_bias",
        "norm_position",
        "norm_scaling",
        "qk_norm",
        "dropout",
        *_BY_VALUE,
        *_BY_NUMBER,
    )
    columns = [name for name in named if name in frame]
    for row in frame[columns].drop_duplicates().to_dict("records"):
        kind = CONFIGS.get(str(row.get("architecture")), NetworkConfig)
        value = lambda name, row=row, kind=kind: _known(row, name, kind)
        for name, papers in _BY_VALUE.items():
            for one in _values(name, value(name)):
                yield from ((key, plain(f"{name} {one}")) for key in papers.get(one, ()))
        for name, papers in _BY_NUMBER.items():
            if _positive(value(name)):
                yield from ((key, name) for key in papers)
        yield from _of_architecture(str(row.get("architecture")), value)


def _known(row: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a value of a row; the default where the frame leaves the column out, because no network differs in it."""
    value = row[name] if name in row else UNCHANGED.get(name, getattr(kind, name, None))
    return None if value != value else value


def _values(name: str, value: Any) -> list[Any]:
    """Return one value, or the activations that stand one after another, as ``tanh, relu x 2``."""
    if name == "activation" and isinstance(value, str):
        names = [re.sub(r" x \d+$", "", one) for one in value.split(", ")]
        return [re.sub("^(TAT|DKS) .*", r"\1", REGISTRIES["activation"].split(name)[0]) for name in names]
    return [value] if isinstance(value, str) else []


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and value > 0


def _of_architecture(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """List the papers of a network's structure, and of the theory that a report sets beside it."""
    keys: dict[str, str] = {}
    if name == "mlp" and value("norm") is None:
        keys |= _THEORY
    elif name == "resnet":
        keys["he2016a" if value("norm_position") == "after" else "he2016b"] = "residual blocks"
    elif name == "transformer":
        place = value("norm_position")
        keys |= {"vaswani2017": "transformer", "kim2025" if place == "peri" else "xiong2020": f"norm_position {place}"}
        keys |= {key: name for name, key in _SWITCHES.items() if value(name)}
    elif name == "rnn":
        cell = str(value("cell"))
        keys |= dict.fromkeys(_CELLS.get(cell, ()), f"cell {cell}")
        if cell == "lstm":
            keys["jozefowicz2015" if value("forget_bias") == 1 else "tallec2018"] = "forget_bias"
    if _positive(value("dropout")):
        keys.setdefault("zaremba2014" if name == "rnn" else "srivastava2014", "dropout")
    yield from ((key, plain(what)) for key, what in keys.items())
