"""Tables of a page: verdicts and rates against depth, the three signals, failures, zeros."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradlab import _text
from gradlab.frames.summaries import summarise
from gradlab.reporting import words

#: What makes the text of a cell from a row of `gradlab.rates`.
Cell = Callable[[Mapping[str, Any]], str]
#: Columns whose zeros are worth a line: those that hold -inf for a true zero.
ZEROS: tuple[str, ...] = (
    "log10_delta_rms", "log10_weight_grad_norm", "log10_bias_grad_norm", "log10_activation_rms",
    "log10_preactivation_rms", "log10_one_minus_c",
)  # fmt: skip
#: What tells networks apart, as far as the frame has it.
KEYS: tuple[str, ...] = ("run", "network", "batch", "loss", "data", "dtype", "step")


def keys(table: pd.DataFrame) -> list[str]:
    """Return the columns of `KEYS` that the table has."""
    return [name for name in KEYS if name in table]


def ends(frame: pd.DataFrame) -> pd.DataFrame:
    """Return of trainings the first and last step of each network and seed; other frames as they are."""
    if frame["step"].nunique() < 2:
        return frame
    names = [name for name in (*KEYS, "seed") if name in frame and name != "step"]
    steps = frame.groupby(names, observed=True, dropna=False)["step"]
    kept = (frame["step"] == steps.transform("min")) | (frame["step"] == steps.transform("max"))
    return frame.loc[kept]


def learnt(frames: Sequence[pd.DataFrame], rates: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Return loss and accuracy of each configuration at its first and last step; empty where they are unknown."""
    columns = {
        "training loss": "log10_train_loss", "test loss": "log10_test_loss",
        "training accuracy": "train_accuracy", "test accuracy": "test_accuracy",
    }  # fmt: skip
    known = {t: c for t, c in columns.items() if any(c in rows and rows[c].notna().any() for rows in frames)}
    made = []
    for label, depth, rows in zip(labels, rates["depth"], frames, strict=True) if known else []:
        cells = {"configuration": label, "depth": depth}
        once = rows.drop_duplicates("seed")  # the same for all layers
        for title, column in known.items():
            value = summarise(once, ["depth"], column).iloc[0]
            loss = column.startswith("log10_")
            cells[title] = words.power(value["mean"]) if loss else words.paren(*value[["mean", "low", "high"]])
        made.append({**cells, "seeds": once["seed"].nunique()})
    return pd.DataFrame(made).set_index("configuration") if made else pd.DataFrame()


def by_network(frame: pd.DataFrame, rates: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the frame's rows of each network, in the order of `gradlab.rates`."""
    names = keys(frame)
    groups = {k: g for k, g in frame.groupby(names, observed=True, sort=False, dropna=False)}
    return [groups[tuple(row[name] for name in names)] for row in rates.to_dict("records")]


def deepest(rates: pd.DataFrame, labels: Sequence[str]) -> list[int]:
    """Return the positions of the deepest networks, one for each configuration, in order of appearance."""
    best: dict[str, int] = {}
    depths = rates["depth"].tolist()
    for i, label in enumerate(labels):
        if label not in best or depths[i] > depths[best[label]]:
            best[label] = i
    return list(best.values())


def against_depth(rates: pd.DataFrame, labels: Sequence[str], cell: Cell) -> pd.DataFrame:
    """Return a table of configurations against depths, whose cells are `cell(row)` of each network."""
    table = pd.DataFrame({"configuration": list(labels), "depth": rates["depth"].tolist()})
    table["cell"] = [cell(row) for row in rates.to_dict("records")]
    wide = table.pivot(index="configuration", columns="depth", values="cell")
    wide = wide.reindex(index=list(dict.fromkeys(labels)), columns=sorted(wide.columns)).fillna("–")
    wide.columns = [f"depth {d}" for d in wide.columns]
    return wide.rename_axis(columns=None)


def verdict_cell(row: Mapping[str, Any]) -> str:
    """Write the verdict: ``vanishing``."""
    return str(row["verdict"])


def rate_cell(row: Mapping[str, Any]) -> str:
    """Write the rate: ``0.236(2)``; of a power law in brackets, because it holds at this depth only."""
    text = words.paren(row["rate"], row["low"], row["high"])
    return f"[{text}]" if row["verdict"] == "algebraic" else text


def decades_cell(row: Mapping[str, Any]) -> str:
    """Write the decades: ``-19.4(1)``."""
    return words.paren(row["decades"], row["decades_low"], row["decades_high"])


def signals(frames: Sequence[pd.DataFrame], rates: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Return forward signal, delta and weight gradient at both ends of the deepest networks.

    They stand side by side because weight gradients alone cannot see a too small initialisation.
    """
    shown = deepest(rates, labels)
    whole = pd.concat([frames[i].assign(place=i) for i in shown], ignore_index=True)
    hidden = whole[(whole["layer"] >= 1) & (whole["layer"] <= whole["depth"])]
    rows = {i: {"configuration": labels[i], "depth": rates["depth"].iloc[i]} for i in shown}
    means = lambda column: summarise(hidden, ["place", "layer"], column).groupby("place", sort=False)
    for title, column in (
        ("activation rms", "log10_activation_rms"),
        ("delta rms", "log10_delta_rms"),
        ("weight gradient norm", "log10_weight_grad_norm"),
    ):
        for place, table in means(column) if column in hidden else ():
            mean = dict(zip(table["layer"], table["mean"], strict=True))
            ends = (words.power(mean[layer]) for layer in (1, rows[place]["depth"]))
            rows[place][f"{title}, layer 1 → L"] = " → ".join(ends)
    for title, column in (("saturated", "saturated_fraction"), ("dead units", "dead_fraction")):
        for place, most in means(column)["mean"].max().items() if column in hidden else ():
            rows[place][f"{title}, at most"] = "–" if np.isnan(most) else f"{100 * most:.2g} %"
    return pd.DataFrame(rows.values()).set_index("configuration")


def failures(frames: Sequence[pd.DataFrame], rates: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Return what failed: configuration, depth, number of seeds, what happened; empty where all succeeded."""
    rows = []
    for label, depth, cells in zip(labels, rates["depth"], frames, strict=True):
        failed = cells["status"].to_numpy() != "ok"
        if not failed.any():  # slices of a frame take long where networks are many
            continue
        bad = cells[failed]
        for status, group in bad.groupby(bad["status"].astype(str), sort=False):
            seeds = f"{group['seed'].nunique()} of {cells['seed'].nunique()}"
            rows.append({"configuration": label, "depth": depth, "seeds": seeds, "what happened": status})
    return pd.DataFrame(rows, columns=["configuration", "depth", "seeds", "what happened"]).set_index("configuration")


def zeros(frames: Sequence[pd.DataFrame], rates: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Count true zeros and cells that are not finite, by configuration and column; empty where there are none."""
    names = ["configuration", "depth", "column", "exactly 0", "not finite", "cells"]
    rows = []
    for label, depth, cells in zip(labels, rates["depth"], frames, strict=True):
        hidden = cells["layer"].to_numpy() <= depth
        for column in (c for c in ZEROS if c in cells):
            value = cells[column].to_numpy(float)[hidden]
            if np.isfinite(value).all():
                continue
            zero, other = int(np.isneginf(value).sum()), int((~np.isfinite(value) & ~np.isneginf(value)).sum())
            if zero or other:
                rows.append(dict(zip(names, (label, depth, column, zero, other, len(value)), strict=True)))
    return pd.DataFrame(rows, columns=names).set_index("configuration")


def markdown(table: pd.DataFrame) -> str:
    """Write a frame as a Markdown table: the index is its first column, every cell is escaped."""
    names = [str(table.index.name or ""), *map(str, table.columns)]
    numeric = [False, *(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes)]
    lines = [names, ["--:" if right else "---" for right in numeric]]
    lines = ["| " + " | ".join(map(_text.markdown, names)) + " |", "|" + "|".join(lines[1]) + "|"]
    for index, cells in zip(table.index, table.itertuples(index=False), strict=True):
        lines.append("| " + " | ".join(_text.markdown(c) for c in (index, *cells)) + " |")
    return "\n".join(lines)
