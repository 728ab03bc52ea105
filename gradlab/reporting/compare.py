"""Two runs beside each other: what was changed, and what that does to rates and decades."""

from __future__ import annotations

import functools
import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._text import markdown, shortened
from gradlab.frames.files import Run, load
from gradlab.frames.paired import Pairs, pairs
from gradlab.frames.rows import concat
from gradlab.plots.ground.words import labelled
from gradlab.reporting import tables, words
from gradlab.reporting.origin import Origin

#: Characters of a line of text.
_WIDE = 80
#: Values of an option that a line lists.
_MOST_VALUES = 6
#: The first column of the table of pairs that is no coordinate.
_FIRST_RESULT = "rate_before"


@dataclass(frozen=True)
class RunComparison:
    """Hold two runs beside each other, from `compare`. `str` gives text, `markdown` a page's section.

    Parameters
    ----------
    names : tuple of str
        What the two runs are called, the one before first.
    networks : DataFrame
        A row for each network that both runs have, with the columns of `gradlab.frames.paired.pairs`.
    changes : DataFrame
        What differs between the two: ``kind what before after``. The kinds are "network", "request" and "version".
    notes : tuple of str
        How the seeds were compared, and what had no counterpart.
    frames : tuple of DataFrame
        The rows of both runs.
    level : float
        Level of the intervals.
    """

    names: tuple[str, str]
    networks: pd.DataFrame
    changes: pd.DataFrame
    notes: tuple[str, ...]
    frames: tuple[pd.DataFrame, pd.DataFrame]
    level: float

    @property
    def paired(self) -> bool:
        """Say whether every network was compared seed by seed."""
        return bool(self.networks["paired"].all())

    def figure(self, row: int | None = None, **options: Any) -> np.ndarray:
        """Draw one network before and after, by layer, with the difference of each seed.

        Parameters
        ----------
        row : int, optional
            Which row of `networks`. None: the network whose decades differ most.
        **options
            More arguments of `gradlab.plots.before_after`, such as ``value="log10_weight_grad_norm"``.

        Returns
        -------
        ndarray of two Axes

        Raises
        ------
        GradlabError
            If there is no such row, or the two have no seed in common.
        """
        from gradlab import plots

        if row is None:
            row = int(np.argmax(self.networks["difference"].abs().fillna(-1).to_numpy()))
        if not 0 <= row < len(self.networks):
            raise GradlabError(f"a row of the table, 0 to {len(self.networks) - 1}", repr(row), "row=0")
        wanted = {name: self.networks[name].iloc[row] for name in _key(self.networks)}
        chosen = [_matching(frame, wanted) for frame in self.frames]
        both = concat([one.assign(run=name) for one, name in zip(chosen, self.names, strict=True)])
        both["run"] = both["run"].cat.reorder_categories(self.names)  # the order of time, not of the alphabet
        return plots.before_after(both, hue="run", **options)

    def cells(self) -> pd.DataFrame:
        """Return the table in words: a row for each network, with digits that its interval supports."""
        key = [n for n in _key(self.networks) if self.networks[n].map(str).nunique() > 1]
        key = [n for n in key if n != "sigma_w2" or "init" not in key or "gaussian" in set(self.networks["init"])]
        key.sort(key=lambda name: name == "depth")  # it stands last, as the grid of a sweep is read
        rows = []
        for row in self.networks.to_dict("records"):
            what = ", ".join(labelled(name, row[name]) for name in key) or "the network"
            rows.append(
                {
                    "network": what,
                    "rate before": words.paren(row["rate_before"]),
                    "rate after": words.paren(row["rate_after"]),
                    "after / before": words.paren(row["ratio"], row["ratio_low"], row["ratio_high"]),
                    "decades": words.paren(row["difference"], row["difference_low"], row["difference_high"]),
                    "seeds": row["n"],
                }
            )
        return pd.DataFrame(rows).set_index("network")

    def __str__(self) -> str:
        lines = [shortened(f"before: {self.names[0]}", _WIDE), shortened(f"after: {self.names[1]}", _WIDE)]
        for row in self.changes.to_dict("records"):
            lines.append(shortened(f"  {row['kind']}: {row['what']} {row['before']} -> {row['after']}", _WIDE))
        cells = self.cells().rename(columns={"rate before": "before", "rate after": "after", "after / before": "ratio"})
        rest = max(map(len, cells.to_string(index=False).splitlines()))
        cells.index = [shortened(name, max(_WIDE - rest - 2, 12)) for name in cells.index]
        lines += ["", "rates and decades", *cells.rename_axis(None).to_string().splitlines(), ""]
        return "\n".join([*lines, *(line for note in self.notes for line in textwrap.wrap(note, _WIDE))])

    def markdown(self) -> str:
        """Write the comparison as Markdown: what was changed, rates and decades, notes."""
        before, after = map(markdown, self.names)
        changes = self.changes.assign(what=self.changes["kind"] + ": " + self.changes["what"]).drop(columns="kind")
        parts = [f"# {after} beside {before}", "## What differs"]
        parts.append(tables.markdown(changes.set_index("what")) if len(changes) else "Nothing that was recorded.")
        parts += ["## Rates and decades", tables.markdown(self.cells()), *map(markdown, self.notes)]
        return "\n\n".join(parts) + "\n"

    def _repr_markdown_(self) -> str:
        return self.markdown()


def compare(
    before: str | os.PathLike[str] | Run | pd.DataFrame,
    after: str | os.PathLike[str] | Run | pd.DataFrame,
    *,
    level: float = 0.95,
) -> RunComparison:
    """Compare two runs: rates and decades of the networks that both have, seed by seed, and what was changed.

    The ratio of two rates is far better known than either rate where the seeds share their random draws: what one draw
    does to both cancels. Networks belong together where they agree in all coordinates, but for those in which the two
    runs have no value in common, such as the initialiser.

    Parameters
    ----------
    before, after : path, Run or DataFrame
        Folders of runs, what `gradlab.load` made of one, or frames. Runs with different keys share no draws.
    level : float
        Level of the intervals: raise it where you compare many networks.

    Returns
    -------
    RunComparison
        `print` shows it; ``networks`` has the numbers, ``figure()`` draws a network before and after,
        ``markdown()`` gives a page.

    Raises
    ------
    GradlabError
        If no network is in both runs, or several networks of one belong to one of the other.

    Examples
    --------
    Xavier's weights are those of He times the root of one half. With ReLU, equal widths and a loss that is linear in
    the outputs, so are the rates, to rounding:

    >>> import gradlab as gl
    >>> sweep = lambda init: gl.Sweep(depth=8, width=16, activation="relu", init=init, loss="probe", seeds=3)
    >>> he, xavier = (gl.run(sweep(f"{init}_normal"), progress=False) for init in ("he", "xavier"))
    >>> bool(abs(gl.compare(he, xavier).networks["ratio"][0] - 0.5**0.5) < 1e-6)
    True
    """
    if not 0 < level < 1:
        raise GradlabError("level between 0 and 1", repr(level), "level=0.95")
    runs = [_run(one) for one in (before, after)]
    names = _names(before, after)
    origins = [Origin.of("", run.request, run.provenance) for run in runs]
    shared = origins[0].asked.get("key", 0) == origins[1].asked.get("key", 0)
    frames = (tables.ends(runs[0].frame), tables.ends(runs[1].frame))
    made = pairs(frames[0], frames[1], level=level, shared=shared)
    columns = ["kind", "what", "before", "after"]
    changes = [*_of_networks(frames, made), *_of_origins(*origins)]
    known = [what for kind, what, *_ in changes if kind == "network"]  # a request says it again
    changes = pd.DataFrame([row for row in changes if row[0] == "network" or row[1] not in known], columns=columns)
    return RunComparison(names, made.table, changes, tuple(_notes(made, shared, level)), frames, level)


def _run(given: Any) -> Run:
    if isinstance(given, pd.DataFrame):
        return Run(given, {}, {}, Path())
    run = given if isinstance(given, Run) else load(given)
    if isinstance(run.path, Mapping):
        raise GradlabError("two runs, each by itself", "several runs in one", 'gl.compare("runs/a", "runs/b")')
    return run


def _names(*given: Any) -> tuple[str, str]:
    """Call runs after their folders where these names differ, frames before and after."""
    paths = [g.path if isinstance(g, Run) else None if isinstance(g, pd.DataFrame) else Path(g) for g in given]
    short = ["" if path is None else Path(str(path)).resolve().name for path in paths]
    if short[0] == short[1]:
        short = ["" if path is None else str(path) for path in paths]
    if short[0] == short[1]:
        short = ["", ""]
    return short[0] or "before", short[1] or "after"


def _key(table: pd.DataFrame) -> list[str]:
    """Return the coordinates of a table of pairs: all columns in front of the results."""
    return list(table.columns[: table.columns.get_loc(_FIRST_RESULT)])


def _matching(frame: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of the network that has these coordinates, which `rates` gives for a network as a whole."""
    from gradlab.frames.summaries import rates

    table = rates(frame.drop(columns="run", errors="ignore"))
    same = lambda column, value: table[column].isna() if value is None or value != value else table[column] == value
    fits = functools.reduce(
        np.logical_and, (same(n, v).to_numpy() for n, v in wanted.items()), np.ones(len(table), bool)
    )
    chosen = table.loc[fits, [n for n in tables.KEYS if n in table and n != "run"]]
    return frame.merge(chosen.astype({n: frame[n].dtype for n in chosen}), how="inner")


def _of_networks(frames: tuple[pd.DataFrame, ...], made: Pairs) -> Iterator[tuple[str, str, str, str]]:
    for name in made.between:
        yield ("network", name, *(_values(frame[name].dropna().unique().tolist()) for frame in frames))


def _of_origins(*origins: Origin) -> Iterator[tuple[str, str, str, str]]:
    """List what differs in request, data, versions and surroundings, as far as both runs have a record."""
    asked = [origin.asked for origin in origins]
    for name in dict.fromkeys([*asked[0], *asked[1]]) if all(asked) else ():
        if asked[0].get(name) != asked[1].get(name):
            yield ("request", name, *(_values(one.get(name)) for one in asked))
    noted = [_flat(origin.noted) for origin in origins]
    for name in dict.fromkeys([*noted[0], *noted[1]]) if all(noted) else ():
        if noted[0].get(name) != noted[1].get(name):
            yield ("version", name, *(str(one.get(name, "unknown")) for one in noted))


def _flat(noted: Mapping[str, Any]) -> dict[str, str]:
    """Return what a provenance says of program and data, by name."""
    flat = {name: str(noted[name]) for name in ("commit", "backend") if name in noted}
    if "data" in noted:
        flat["data"] = f"{noted['data']['name']} {noted['data']['content_hash']}"
    return flat | {str(name): str(version) for name, version in noted.get("versions", {}).items()}


def _values(value: Any) -> str:
    if value is None:
        return "none"
    if not isinstance(value, (list, tuple)):
        return words.spoken(value)
    shown = [words.spoken(v) for v in value[:_MOST_VALUES]]
    return ", ".join(shown) + (f", … ({len(value)} values)" if len(value) > _MOST_VALUES else "")


def _notes(made: Pairs, shared: bool, level: float) -> Iterator[str]:
    percent = f"{100 * level:g} %"
    together = made.table["paired"]
    half = f"Digits in parentheses: half the {percent} interval"
    if together.all():
        yield f"Paired: both runs have the same seeds, and each interval is over the differences of seeds. {half}."
    elif not shared:
        yield f"Not paired: the two runs drew from different keys. Intervals are Welch's, of two means. {half}."
    else:
        which = "Not paired" if not together.any() else f"Not paired in {int((~together).sum())} of {len(together)}"
        yield f"{which}: no seed is in both runs. Intervals are Welch's, of two means. {half}."
    if (made.table["n"] < 2).any():
        yield "With one seed there is no interval."
    yield "Decades: those after minus those before."
    for count, name in zip(made.alone, ("first", "second"), strict=True):
        if count:
            have = "has" if count == 1 else "have"
            yield f"{words.counted(count, 'network')} of the {name} run {have} no counterpart."
