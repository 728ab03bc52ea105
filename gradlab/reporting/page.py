"""One page from a run: what was asked, verdicts in words, figures, tables, how to make it again."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gradlab._errors import GradlabError
from gradlab.config import Sweep
from gradlab.frames.files import Run, load
from gradlab.frames.summaries import rates as rates_of
from gradlab.reporting import figures, tables, tex, words
from gradlab.reporting.html import environment, to_html

#: What a request says of itself, in this order; the rest is named where it differs from its default.
_ALWAYS = ("depth", "width", "activation", "init", "seeds", "batch", "data", "loss", "dtype")
_READING = """\
- *Rate and decades* are those of `log10_delta_rms`: the rms, pooled over the batch and the units of a layer, of ∂L/∂z. The rate is \
(rms delta at layer 1 / rms delta at layer L)^(1/(L − 1)) over the hidden layers 1 … L, its geometric mean over seeds with a {level:g} % t-interval; \
decades are log10 of the ratio itself. (The mean over examples, `delta_log10_mean`, is another number.)
- *The verdict* asks where the interval of the decades lies: beyond one decade (vanishing, exploding; algebraic where a power law of \
depth describes the profile better than an exponential), within one (steady), or across the line (undetermined). It is a ratio, so multiplying the loss by a constant changes no verdict.
- *What float32 shows* does depend on the scale of the loss. The usual norm, the root of a sum of squares, is 0 where the squares underflow (entries below 1e-19); \
the gradient itself is 0 where all its deltas lie below 1.2e-38. These are two depths, both counted in layers from the loss. gradlab loses neither."""


def report(
    run: str | os.PathLike[str] | Run, *, out: str | os.PathLike[str] | None = None, html: bool = False, tex: bool = False
) -> Path:
    """Write the page of a run, its figures beside it.

    Parameters
    ----------
    run : path or Run
        The folder of a finished sweep, or what `gradlab.load` made of one or several.
    out : path, optional
        The page (``.md``), or a folder for ``report.md``. None: the run's own folder.
    html : bool
        Write one self-contained ``.html`` file too.
    tex : bool
        Write ``tables.tex`` (booktabs) and ``numbers.tex`` (a macro for each number of each verdict) too.

    Returns
    -------
    Path
        The page; where `html` is true, the HTML file, which can be opened or sent as it is.

    Raises
    ------
    GradlabError
        Where there is no run, its frame is damaged, or the page cannot be written.
    """
    loaded = run if isinstance(run, Run) else load(run)
    page = _page_path(loaded, out)
    about = _Content(loaded)
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        drawn = figures.draw(about.frame, about.rates, about.labels, page.parent / "figures", about.hash, about.command)
        text = about.markdown(drawn)
        _write(page, text)
        if tex:
            _write(page.with_name("tables.tex"), about.tables_tex())
            _write(page.with_name("numbers.tex"), about.numbers_tex())
        if html:
            _write(page.with_suffix(".html"), to_html(text, page.parent))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise GradlabError(f"a place for the page, {page}", reason, "out= a folder that can be written") from error
    return page.with_suffix(".html") if html else page


def _page_path(run: Run, out: str | os.PathLike[str] | None) -> Path:
    if out is not None:
        out = Path(out)
        return out if out.suffix == ".md" else out / "report.md"
    if not isinstance(run.path, (str, os.PathLike)):
        raise GradlabError("out= where the page goes", "none, and a run that has no single folder", 'out="report"')
    return Path(run.path) / "report.md"


def _write(path: Path, text: str) -> None:
    """The whole file, or the one that was there before."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


class _Content:
    """All that a page says of a run.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run):
        self.run, self.frame = run, run.frame
        if self.frame.empty:
            raise GradlabError("a frame with rows", "an empty one", "the sweep again")
        self.rates = rates_of(self.frame)
        self.labels = words.labels(self.rates)
        self.frames = tables.by_network(self.frame, self.rates)
        self.evidence = [words.float32(rows) for rows in self.frames]
        self.rows = self.rates.to_dict("records")
        several = isinstance(run.path, Mapping)
        self.requests: dict[str, Any] = dict(run.request) if several else {"": run.request}
        self.provenances: dict[str, Any] = dict(run.provenance) if several else {"": run.provenance}
        self.command = "; ".join(str(p["command"]) for p in self.provenances.values() if p.get("command"))
        self.hash = "+".join(str(p["hash"]) for p in self.provenances.values() if p.get("hash"))

    @property
    def deepest(self) -> list[int]:
        return tables.deepest(self.rates, self.labels)

    def markdown(self, drawn: Sequence[figures.Drawn]) -> str:
        """The page."""
        missing, missing_tables = self._missing()
        return environment().get_template("page.md.j2").render(
            title=self._title(), summary=self._summary(), highlights=self._highlights(), asked=self._asked(),
            several_depths=self.rates["depth"].nunique() > 1, verdicts=self._verdicts(),
            reading=_READING.format(level=100 * self.rows[0]["level"]), figures=drawn, tables=self._tables(),
            missing=missing, missing_tables=missing_tables, reproduce=self._reproduce(),
        )  # fmt: skip

    def _title(self) -> str:
        steps = sorted(set(self.rates["step"]))
        moment = words.when(int(steps[0])) if len(steps) == 1 else "along their training"
        return f"Gradients of {words.counted(self.rates['network'].nunique(), 'network')} {moment}"

    def _summary(self) -> str:
        names = pd.Series([row["verdict"] for row in self.rows]).value_counts(sort=False)
        counts = [f"{n} **{name}**" for name, n in names.items()]
        seeds = self.frame["seed"].nunique()
        bad = int((self.frame.drop_duplicates([*tables.keys(self.frame), "seed"])["status"].astype(str) != "ok").sum())
        total = len(self.frame.drop_duplicates([*tables.keys(self.frame), "seed"]))
        failed = f"{bad} of {total} measurements failed" if bad else f"all {total} measurements succeeded"
        return f"Of {words.counted(len(self.rows), 'network')}, each with {words.counted(seeds, 'seed')}: {words.listed(counts)}; {failed}."

    def _highlights(self) -> list[str]:
        """The strongest of each kind, so that nobody has to look for them."""
        lines = []
        for verdict, pick in (("vanishing", min), ("exploding", max)):
            found = [i for i, row in enumerate(self.rows) if row["verdict"] == verdict]
            if found:
                i = pick(found, key=lambda i: self.rows[i]["decades"])
                row = self.rows[i]
                seen = self.evidence[i].sentence
                lines.append(
                    f"The strongest {verdict}: {words.escape(self.labels[i])}, depth {row['depth']}: {words.ratio(row)}"
                    f"{'; ' + seen if seen else ''}."
                )
        ill = [self.labels[i] for i in self.deepest if self.rows[i]["verdict"] != "steady"]
        good = [self.labels[i] for i in self.deepest if self.rows[i]["verdict"] == "steady"]
        if good and ill:
            lines.append(f"Steady at the largest depth: {words.escape('; '.join(good))}.")
        return lines

    def _verdicts(self) -> list[str]:
        lines = []
        for i in self.deepest:
            line = words.sentence(self.labels[i], self.rows[i], self.evidence[i])
            others = [r for label, r in zip(self.labels, self.rows, strict=True) if label == self.labels[i] and r is not self.rows[i]]
            by_name: dict[str, list[str]] = {}
            for row in sorted(others, key=lambda r: r["depth"]):
                by_name.setdefault(row["verdict"], []).append(str(row["depth"]))
            if by_name:
                groups = [f"{name} at depth {words.listed(depths)}" for name, depths in by_name.items()]
                line += f" Its other depths: {'; '.join(groups)}."
            lines.append(line)
        return lines

    def _asked(self) -> str:
        return "\n\n".join(_request_table(name, request) for name, request in self.requests.items())

    def _tables(self) -> list[dict[str, str]]:
        level = f"{100 * self.rows[0]['level']:g} %"
        digits = f"Digits in parentheses: half the width of the {level} interval over seeds, in units of the last digit."
        entries = (
            ("Verdict", tables.verdict_cell, ""),
            ("Rate per layer toward the input", tables.rate_cell, f"Of `log10_delta_rms`. {digits} In brackets: a power law of depth, whose rate holds at this depth only."),
            ("Decades over the hidden layers", tables.decades_cell, f"log10 of the rms delta at layer 1 over that at layer L. {digits}"),
        )  # fmt: skip
        made = [
            {"title": title, "note": note, "text": tables.markdown(tables.against_depth(self.rates, self.labels, cell))}
            for title, cell, note in entries
        ]
        ends = tables.markdown(tables.signals(self.frames, self.rates, self.labels))
        note = (
            "From layer 1, next to the input, to the last hidden layer L; geometric means over seeds. The three stand side by side because weight "
            "gradients alone do not see an initialisation that is too small. Saturated and dead: the layer with most."
        )
        return [*made, {"title": "Signal, delta and weight gradient", "text": ends, "note": note}]

    def _missing(self) -> tuple[str, list[str]]:
        failed = tables.failures(self.frames, self.rates, self.labels)
        zero = tables.zeros(self.frames, self.rates, self.labels)
        text = [
            "Measurements that failed are listed with what happened; they enter no mean."
            if len(failed) else "No measurement failed.",
            "Cells that are exactly 0 or not finite are counted below and left out of the means."
            if len(zero) else "No measured signal is exactly 0 or not finite.",
        ]  # fmt: skip
        lost = [seen.norm_zero + seen.norm_inf for seen in self.evidence]
        layers, all_layers = sum(map(len, lost)), int(self.rates["depth"].sum())
        gone = sum(len(seen.gradient_zero) for seen in self.evidence)
        text.append(
            f"Plain float32 would have lost more: of {words.counted(all_layers, 'hidden layer')} in all networks, the usual norm is 0 or overflows in {layers}, the "
            f"gradient itself is 0 in {gone}."
        )
        return " ".join(text), [tables.markdown(t) for t in (failed, zero) if len(t)]

    def _reproduce(self) -> str:
        parts = []
        for name, about in self.provenances.items():
            lines = [f"Run {name}:"] if name else []
            if about.get("command"):
                lines.append(f"```\n{about['command']}\n```")
            facts = []
            if about.get("hash"):
                facts.append(f"run `{about['hash']}`")
            data = about.get("data") or {}
            if data.get("content_hash"):
                facts.append(f"data {words.escape(data.get('name', ''))} `{data['content_hash']}`")
            if about.get("commit"):
                facts.append(f"commit `{about['commit']}`")
            facts += [f"{words.escape(k)} {words.escape(v)}" for k, v in (about.get("versions") or {}).items()]
            if about.get("backend"):
                facts.append(f"computed on {words.escape(about['backend'])}")
            lines.append(", ".join(facts) + "." if facts else "The run has no provenance.")
            parts.append("\n\n".join(lines))
        parts.append("The same command on the same versions gives the same frame; `gradlab report` on its folder gives this page again.")
        return "\n\n".join(parts)

    def tables_tex(self) -> str:
        """The tables for a paper."""
        level = f"{100 * self.rows[0]['level']:g} %"
        half = f"Digits in parentheses: half the {level} interval over seeds."
        texts = [
            tex.table(tables.against_depth(self.rates, self.labels, tables.verdict_cell), "Verdict on each network.", "tab:gradlab-verdict"),
            tex.table(
                tables.against_depth(self.rates, self.labels, tables.rate_cell),
                f"Factor of the rms delta per layer toward the input. {half} In brackets: a power law of depth.", "tab:gradlab-rate",
            ),
            tex.table(
                tables.against_depth(self.rates, self.labels, tables.decades_cell),
                f"Decades between the rms delta of the first and of the last hidden layer. {half}", "tab:gradlab-decades",
            ),
        ]  # fmt: skip
        return f"% Made by gradlab from run {self.hash}; needs \\usepackage{{booktabs}}.\n" + "\n".join(texts)

    def numbers_tex(self) -> str:
        """A macro for each number of each verdict."""
        lines = [f"% Made by gradlab from run {self.hash}: \\input{{numbers}}, then e.g. \\gradlab...Rate."]
        lines += [f"\\newcommand{{\\{name}}}{{{value}}}" for name, value in tex.macros(self.rates, self.labels, self.evidence)]
        return "\n".join(lines) + "\n"


def _request_table(name: str, request: Mapping[str, Any]) -> str:
    asked = request.get("request", request)
    defaults = {f: getattr(Sweep, f, None) for f in Sweep.__dataclass_fields__}
    rows = []
    for key in (*_ALWAYS, *(k for k in asked if k not in _ALWAYS)):
        value = asked.get(key)
        plain = tuple(value) if isinstance(value, list) else value
        if value is None or (key not in _ALWAYS and plain == defaults.get(key)):
            continue
        text = ", ".join(str(v) for v in value) if isinstance(value, (list, tuple)) else str(value)
        rows.append((key, text))
    table = pd.DataFrame(rows, columns=["asked", "value"]).set_index("asked")
    if table.empty:
        return "The run has no record of its request."
    return (f"Run {words.escape(name)}:\n\n" if name else "") + tables.markdown(table)
