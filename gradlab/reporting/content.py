"""The texts and tables of a page, which its template puts together."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab._text import markdown, plain, spreadsheet
from gradlab.frames.checks import check_run
from gradlab.frames.files import Run
from gradlab.frames.summaries import rates as rates_of
from gradlab.reporting import choice, figures, tables, tex, theory, words
from gradlab.reporting.cite import cite
from gradlab.reporting.html import environment
from gradlab.reporting.origin import origins

#: What rates, decades and verdicts rest on.
DELTA = "log10_delta_rms"
#: Lines of verdicts, and rows of a table, that are read.
_MOST_LINES, _MOST_ROWS = 12, 60


class Content:
    """The texts and tables of the page of a run.

    Parameters
    ----------
    run : Run
        What `gradlab.load` returned.
    """

    def __init__(self, run: Run):
        self.run, self.whole = run, run.frame
        check_run(self.whole)
        self.frame = tables.ends(self.whole)
        #: Whether there is the column that rates, decades and verdicts rest on; a sweep may have asked for others.
        self.judged = DELTA in self.frame
        self.rates = rates_of(self.frame if self.judged else self.frame.assign(**{DELTA: np.nan}))
        self.labels = words.labels(self.rates)
        self.frames = tables.by_network(self.frame, self.rates)
        self.evidence = [words.float32(rows) for rows in self.frames]
        self.rows = self.rates.to_dict("records")
        self.origins = origins(run)
        self.command = "; ".join(origin.command for origin in self.origins if origin.command)
        self.hash = "+".join(origin.hash for origin in self.origins if origin.hash)

    @property
    def deepest(self) -> list[int]:
        """Positions of the deepest network of each configuration."""
        return tables.deepest(self.rates, self.labels)

    @property
    def figures(self) -> list[Callable[[], list[figures.Figure]]]:
        """Functions that choose the figures, in the order of the page."""
        return [
            lambda: choice.opening(self.rates),
            lambda: choice.of_training(self.whole),
            lambda: choice.of_networks(self.frame, self.rates, self.labels),
        ]

    @property
    def level(self) -> str:
        """Level of all intervals, in words."""
        return f"{100 * self.rows[0]['level']:g} %"

    def against_depth(self, cell: tables.Cell) -> pd.DataFrame:
        """Return a table of configurations against depths."""
        return tables.against_depth(self.rates, self.labels, cell)

    def markdown(self, drawn: Sequence[figures.Drawn | figures.NotDrawn]) -> str:
        """Write the page as Markdown.

        Parameters
        ----------
        drawn : sequence of Drawn or NotDrawn
            Its figures, which lie on the disk.
        """
        known = self._kept()
        drawn = [dataclasses.replace(f, alt=self._alt(f)) if isinstance(f, figures.Drawn) else f for f in drawn]
        opening = [figure for figure in drawn if figure.title == choice.OPENING]
        page = environment().get_template("page.md.j2")
        return page.render(
            judged=self.judged,
            title=self.title,
            summary=self.summary,
            highlights=_each(self._highlights),
            asked="\n\n".join(_part(origin.request_table) for origin in self.origins),
            several_depths=self.rates["depth"].nunique() > 1,
            opening=opening,
            verdicts=_each(lambda: self._verdicts(any(isinstance(f, figures.Drawn) for f in opening)))
            if self.judged
            else [],
            figures=[figure for figure in drawn if figure not in opening],
            cut=self._cut(),
            level=self.level,
            verdict_table=_part(self._table, tables.verdict_cell),
            rate_table=_part(self._table, tables.rate_cell),
            decades_table=_part(self._table, tables.decades_cell),
            learnt_table=_part(lambda: tables.markdown(t) if len(t := tables.learnt(*known)) else ""),
            signals_table=_part(lambda: tables.markdown(tables.signals(*known))),
            theory=_part(lambda: beside.markdown() if self.judged and (beside := self._beside) else ""),
            missing=_part(self._missing),
            reproduce="\n\n".join(_part(origin.reproduction) for origin in self.origins),
            references=_part(lambda: cite(self.run).markdown()),
        )

    def _alt(self, figure: figures.Drawn) -> str:
        """Describe a figure for those who do not see it: title, first sentence of the caption, numbers."""
        says = " ".join(part for part in (f"{figure.title}.", figure.caption.lead) if part)
        if figure.name not in choice.OF_DECADES or not self.judged:
            return f"{says} {figure.alt}".strip()
        shown = self.deepest[:_MOST_LINES]
        cells = [f"{self.labels[i]} {tables.decades_cell(self.rows[i])}" for i in shown]
        more = f"; and {len(self.deepest) - len(shown)} more" if len(shown) < len(self.deepest) else ""
        numbers = "; ".join(cells) + more
        return f"{says} Decades from the last to the first hidden layer at the largest depth: {numbers}."

    def _table(self, cell: tables.Cell) -> str:
        _, rates, labels = self._kept()
        return tables.markdown(tables.against_depth(rates, labels, cell))

    @property
    def title(self) -> str:
        """Title of the page."""
        steps = sorted(set(self.rates["step"]))
        moment = words.when(int(steps[0])) if len(steps) == 1 else "along their training"
        return f"Gradients of {words.counted(self.rates['network'].nunique(), 'network')} {moment}"

    @property
    def summary(self) -> str:
        """Verdicts and failures in a sentence, as Markdown."""
        names = pd.Series([row["verdict"] for row in self.rows]).value_counts(sort=False)
        counts = words.listed([f"{n} **{name}**" for name, n in names.items()])
        measurements = self.frame.drop_duplicates([*tables.keys(self.frame), "seed"])
        bad, total = int((measurements["status"].astype(str) != "ok").sum()), len(measurements)
        outcome = f"{bad} of {total} measurements failed" if bad else f"all {total} measurements succeeded"
        networks = words.counted(len(self.rows), "network")
        counts = counts if self.judged else "none is judged"
        seeds = words.counted(self.frame["seed"].nunique(), "seed")
        if self.rates["step"].nunique() > 1:
            trained = words.counted(self.rates["network"].nunique(), "network")
            moments = "at the first and at the last step of their training"
            return f"Of {trained}, each with {seeds}, {moments}: {counts}; {outcome}."
        return f"Of {networks}, each with {seeds}: {counts}; {outcome}."

    def _highlights(self) -> list[str]:
        """Name the strongest of each verdict, so that nobody has to look for them."""
        lines = []
        for verdict, pick in (("vanishing", min), ("exploding", max)):
            places = [i for i, row in enumerate(self.rows) if row["verdict"] == verdict]
            if places:
                i = pick(places, key=lambda i: self.rows[i]["decades"])
                where = f"{markdown(self.labels[i])}, depth {self.rows[i]['depth']}"
                facts = [words.ratio(self.rows[i]), self.evidence[i].sentence]
                lines.append(f"The strongest {verdict}: {where}: {'; '.join(fact for fact in facts if fact)}.")
        steady = [self.labels[i] for i in self.deepest if self.rows[i]["verdict"] == "steady"]
        if 0 < len(steady) < len(self.deepest):
            names = steady if len(steady) <= _MOST_LINES else [f"{len(steady)} of {len(self.deepest)} configurations"]
            lines.append(f"Steady at the largest depth: {markdown('; '.join(names))}.")
        return lines

    def _verdicts(self, drawn: bool) -> list[str]:
        """Write a line for each configuration; where a figure shows all, only where there is more to say."""
        more = lambda i: self.evidence[i].sentence or self.rows[i]["verdict"] == "algebraic"
        shown = [i for i in self.deepest if not drawn or more(i)]
        if len(shown) <= _MOST_LINES:
            return [self._verdict(i) for i in shown]
        strongest = sorted(shown, key=lambda i: -abs(np.nan_to_num(self.rows[i]["decades"])))[:_MOST_LINES]
        rest = f"{len(shown) - _MOST_LINES} more configurations, whose decades are fewer."
        return [*(self._verdict(i) for i in sorted(strongest)), rest]

    def _kept(self) -> tuple[list[pd.DataFrame], pd.DataFrame, list[str]]:
        """Return frames, rates and labels of the networks in the tables: all, unless they are too many to read."""
        if not (chosen := self._chosen()):
            return self.frames, self.rates, self.labels
        places = [i for i, label in enumerate(self.labels) if label in chosen]
        rates = self.rates.iloc[places].reset_index(drop=True)
        return [self.frames[i] for i in places], rates, [self.labels[i] for i in places]

    def _chosen(self) -> set[str]:
        """Choose some of very many configurations, evenly spaced in the order of their decades."""
        order = sorted(self.deepest, key=lambda i: np.nan_to_num(self.rows[i]["decades"]))
        if len(order) <= _MOST_ROWS:
            return set()
        return {self.labels[order[i]] for i in np.linspace(0, len(order) - 1, _MOST_ROWS).round().astype(int)}

    def _cut(self) -> str:
        """Say what the tables leave out; empty where they leave nothing out."""
        if not self._chosen():
            return ""
        return (
            f"The tables show {_MOST_ROWS} of {len(self.deepest)} configurations, evenly spaced in the order of their "
            "decades, with both ends. `rates.csv` beside this page has all."
        )

    def rates_csv(self) -> str:
        """Return the rates of all networks as CSV, where the tables leave some out; else empty."""
        if not self._chosen():
            return ""
        names = self.rates.select_dtypes(exclude="number").columns
        return self.rates.assign(**{name: self.rates[name].map(spreadsheet) for name in names}).to_csv(index=False)

    def _verdict(self, i: int) -> str:
        """Write the sentence on the deepest network of a configuration, and the verdicts at its other depths."""
        line = words.sentence(self.labels[i], self.rows[i], self.evidence[i])
        alike = [row for label, row in zip(self.labels, self.rows, strict=True) if label == self.labels[i]]
        by_name: dict[str, list[str]] = {}
        for row in sorted(alike, key=lambda row: row["depth"]):
            if row is not self.rows[i]:
                by_name.setdefault(row["verdict"], []).append(str(row["depth"]))
        if len(by_name) == 1 and sum(map(len, by_name.values())) > 1:
            return f"{line} At its other depths: {next(iter(by_name))}."
        groups = [f"{name} at depth {words.listed(depths)}" for name, depths in by_name.items()]
        return f"{line} Its other depths: {'; '.join(groups)}." if groups else line

    def _missing(self) -> str:
        failed = tables.failures(self.frames, self.rates, self.labels)
        zero = tables.zeros(self.frames, self.rates, self.labels)
        text = [
            "Measurements that failed are listed with what happened; they enter no mean."
            if len(failed) else "No measurement failed.",
            "Cells that are exactly 0 or not finite are counted below and left out of the means."
            if len(zero) else "No measured signal is exactly 0 or not finite.",
        ]  # fmt: skip
        lost = sum(len(seen.norm_zero + seen.norm_inf) for seen in self.evidence)
        gone = sum(len(seen.gradient_zero) for seen in self.evidence)
        layers = words.counted(int(self.rates["depth"].sum()), "hidden layer")
        loses = f"the usual norm is 0 or overflows in {lost}, the gradient itself is 0 in {gone}"
        shows = "the usual norm and the gradient are there in each"
        text.append(f"What plain float32 shows of {layers} in all networks: {loses if lost or gone else shows}.")
        return "\n\n".join([" ".join(text), *(tables.markdown(t) for t in (failed, zero) if len(t))])

    @functools.cached_property
    def _beside(self) -> theory.Beside | None:
        return theory.beside(*self._kept(), self.origins)

    def predictions(self) -> dict[str, Any]:
        """Return what theory says of the run's networks; nothing where it cannot be said."""
        try:
            return theory.predictions(self.frames, self.rates, self.origins)[0] if self.judged else {}
        except Exception:  # of a run by another version, or made by hand: the page is worth more than its theory
            return {}

    def tables_tex(self) -> str:
        """Write the tables for a paper."""
        if not self.judged:
            return self._tex("no tables: no network is judged without the column log10_delta_rms", [])
        half = f"Digits in parentheses: half the {self.level} interval over seeds."
        rate = f"Factor of the rms delta per layer toward the input. {half} In brackets: a power law of depth."
        decades = f"Decades between the rms delta of the first and of the last hidden layer. {half}"
        made = [self._depths_tex(tables.verdict_cell, "Verdict on each network.", "verdict", "l")]
        made.append(self._depths_tex(tables.rate_cell, rate, "rate", "r"))
        made.append(self._depths_tex(tables.decades_cell, decades, "decades", "r"))
        made.append(_tex_part("theory", self._theory_tex))
        return self._tex("needs \\usepackage{booktabs}", made)

    def _depths_tex(self, cell: tables.Cell, caption: str, label: str, align: str) -> str:
        def make() -> str:
            cells = self.against_depth(cell).rename_axis("configuration")
            cells = cells.rename(columns=lambda c: c.removeprefix("depth "))
            return tex.table(cells, caption, f"tab:gradlab-{label}", over="depth", align=align)

        return _tex_part(label, make)

    def _theory_tex(self) -> str:
        if not (beside := self._beside):
            return "% No configuration is known, so there is no table of theory."
        notes = "; ".join(f"{letter}: {note}" for letter, note in beside.notes.items())
        caption = f"Measured and predicted rate of the deepest networks, with {beside.level} intervals. {notes}."
        short = {beside.deepest.columns[1]: "measured", "predicted rate": "predicted", "measured / predicted": "ratio"}
        cells = beside.deepest.drop(columns="finite width").rename(columns={**short, "its interval": "interval"})
        return tex.table(cells, caption, "tab:gradlab-theory", align="rrrrrl")

    def figures_tex(self, drawn: Sequence[figures.Drawn | figures.NotDrawn]) -> str:
        """Write the figures for a paper, each with caption and label."""
        made = [
            tex.figure(f.files[-1], f.title, f.caption, f"fig:gradlab-{f.name}", f.width)
            for f in drawn if isinstance(f, figures.Drawn)
        ]  # fmt: skip
        return self._tex("needs \\usepackage{graphicx}", made)

    def _tex(self, needs: str, parts: Sequence[str]) -> str:
        return "\n".join([f"% Made by gradlab from run {self.hash or 'unknown'}; {needs}.", *parts])

    def numbers_tex(self) -> str:
        """Write a macro for each number of each verdict."""
        macros = tex.macros(self.rates, self.labels, self.evidence) if self.judged else []
        lines = [f"\\newcommand{{\\{name}}}{{{value}}}" for name, value in macros]
        return "\n".join([f"% Made by gradlab from run {self.hash or 'unknown'}.", *lines]) + "\n"


def _part(make: Callable[..., str], *arguments: Any) -> str:
    """Make a piece of the page; an error costs a line, never the page."""
    try:
        return make(*arguments)
    except Exception as error:
        return f"*Not made, because {markdown(words.reason(error))}.*"


def _tex_part(name: str, make: Callable[[], str]) -> str:
    """Make a piece for a paper; an error costs a comment."""
    try:
        return make()
    except Exception as error:
        return f"% {name} not made, because {plain(words.reason(error))}"


def _each(make: Callable[[], list[str]]) -> list[str]:
    """Make the lines of a list; an error costs one line that says why."""
    try:
        return make()
    except Exception as error:
        return [f"*Not made, because {markdown(words.reason(error))}.*"]
