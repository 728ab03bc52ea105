"""The figures of a page: which ones, of which rows, under which names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from gradlab import plots
from gradlab._files import file_name
from gradlab._text import markdown
from gradlab.plots.captions import figure_of
from gradlab.plots.curves import ACCURACY, LOSS
from gradlab.plots.steps import MOST_PANELS
from gradlab.reporting import tables, words

#: Formats of every figure; the page shows the first.
FORMATS: tuple[str, ...] = ("png", "svg", "pdf")
#: More lines than this in one panel are not told apart.
MOST_LINES = 12


@dataclass(frozen=True)
class Drawn:
    """A figure on the disk: title, alternative text, path beside the page, caption, links to its other formats."""

    title: str
    alt: str
    path: str
    caption: str
    links: str

    @property
    def files(self) -> tuple[str, ...]:
        """Paths beside the page, one of each format."""
        return tuple(str(PurePosixPath(self.path).with_suffix(f".{kind}")) for kind in FORMATS)


@dataclass(frozen=True)
class NotDrawn:
    """A figure that could not be made, and why; it costs a line on the page."""

    title: str
    why: str
    files: tuple[str, ...] = ()


def draw(
    frame: pd.DataFrame, rates: pd.DataFrame, labels: Sequence[str], folder: Path, run_hash: str, command: str
) -> list[Drawn | NotDrawn]:
    """Draw the figures of a page into `folder`.

    Parameters
    ----------
    frame, rates : DataFrame
    labels : sequence of str
        The configuration of each row of `rates`, in words.
    folder : Path
        It is made where it does not exist.
    run_hash, command : str
        Written into every file.

    Returns
    -------
    list of Drawn or NotDrawn
        Empty where nothing was measured.
    """
    names = tables.keys(frame)
    label_of = dict(zip(rates[names].astype(str).itertuples(index=False, name=None), labels, strict=True))
    keyed = frame[names].astype(str).itertuples(index=False, name=None)
    configurations = pd.Categorical([label_of[k] for k in keyed], categories=list(dict.fromkeys(labels)))
    frame = frame.assign(configuration=configurations)
    measured = frame[frame["layer"] >= 1]
    finite = rates["rate"].notna().to_numpy()
    if measured.empty or not finite.any():
        return []
    save = functools.partial(_draw, folder=folder, run_hash=run_hash, command=command, note=_failures(frame))
    made = [save("gradient_flow", "Signal, delta and weight gradient by layer", _flow(measured))]
    if rates["depth"].nunique() > 1:
        figure = lambda: plots.rate_against_depth(measured, **_looks(measured))
        made.append(save("rate_against_depth", "Rate against depth", figure))
    if rates["depth"].nunique() > 1 and rates["init"].nunique() > 1:
        for activation in measured["activation"].astype(str).unique():
            rows = measured[measured["activation"] == activation]
            figure = lambda rows=rows: plots.heatmap(rows, x="depth", y="init")
            made.append(save(f"heatmap_{activation}", f"First over last delta: {activation}", figure))
    return made


def draw_training(frame: pd.DataFrame, folder: Path, run_hash: str, command: str) -> list[Drawn | NotDrawn]:
    """Draw what a training page shows of the steps: loss and accuracy, and how fast each layer learns.

    Parameters
    ----------
    frame : DataFrame
        All steps.
    folder, run_hash, command
        As in `draw`.

    Returns
    -------
    list of Drawn or NotDrawn
        Empty where there is one step, or nothing was measured.
    """
    names = [name for name in tables.keys(frame) if name != "step"]
    measured = frame[(frame["layer"] >= 1) | (frame["layer_name"] == "cell")]  # a recurrent one has the weights
    if frame["step"].nunique() < 2 or measured.empty:
        return []
    number = measured.groupby(names, observed=True, sort=False, dropna=False).ngroup()
    rows = measured[number < MOST_PANELS]
    note = f" Of {number.nunique()} configurations the first {MOST_PANELS}." * (len(rows) < len(measured))
    save = functools.partial(_draw, folder=folder, run_hash=run_hash, command=command, note=note)
    known = lambda *columns: [c for c in columns if c in rows and rows[c].notna().any()]
    made = []
    if known(*LOSS, *ACCURACY):
        made.append(save("training_curves", "Loss and accuracy", lambda: plots.training_curves(rows)))
    for column in known("log10_weight_grad_norm", "log10_delta_rms")[:1]:
        figure = functools.partial(plots.learning_speed, rows, value=column)
        made.append(save("learning_speed", "How fast each layer learns", figure))
    if known("log10_update_ratio"):
        made.append(save("update_ratio", "Updates over weights", lambda: plots.update_ratio(rows)))
    return made


def _failures(frame: pd.DataFrame) -> str:
    """What a caption says of networks that failed before anything of them was measured."""
    failed = frame.loc[frame["layer"] < 1, ["configuration", "seed"]].drop_duplicates()
    seeds = failed["configuration"].astype(str).value_counts(sort=False)
    names = "; ".join(f"{count} seeds of {name}" for name, count in seeds.items())
    return f" Not drawn, because nothing of them could be measured: {names}." if names else ""


def _flow(measured: pd.DataFrame) -> Callable[[], Any]:
    """The deepest network of each configuration, as many as can be told apart."""
    depth = measured.groupby("configuration", observed=True)["depth"].transform("max")
    rows = measured[measured["depth"] == depth]
    kept = rows["configuration"].unique()[:MOST_LINES]
    rows = rows[rows["configuration"].isin(list(kept))]
    return lambda: plots.gradient_flow(rows, **_looks(rows))


def _looks(rows: pd.DataFrame) -> dict[str, str]:
    """Colour by activation, line by initialiser where these name the configurations; else colour by configuration."""
    pairs = rows[["activation", "init"]].drop_duplicates()
    if len(pairs) < rows["configuration"].nunique():
        return {"hue": "configuration"}
    looks = {"hue": "activation"}
    if pairs["init"].nunique() > 1:
        looks["style"] = "init"
    return looks


def _draw(
    name: str, title: str, make: Callable[[], Any], *, folder: Path, run_hash: str, command: str, note: str
) -> Drawn | NotDrawn:
    """Draw one figure and save it; whatever goes wrong with it, the page still comes."""
    import matplotlib.pyplot as plt

    before, name = set(plt.get_fignums()), file_name(name)
    try:
        figure = figure_of(make())
        caption = plots.caption(figure) + note
        folder.mkdir(parents=True, exist_ok=True)
        plots.save(figure, folder / name, formats=FORMATS, run_hash=run_hash, command=command)
    except Exception as error:
        return NotDrawn(title, markdown(words.reason(error)))
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
    links = " ".join(f"[{kind.upper()}]({folder.name}/{name}.{kind})" for kind in FORMATS[1:])
    return Drawn(title, title, f"{folder.name}/{name}.{FORMATS[0]}", caption, links)
