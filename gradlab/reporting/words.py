"""Numbers and names in words, and the evidence of a verdict in one sentence.

Verdict, rate and decades are ratios of deltas. What float32 shows is not scale-free, which is why it is
evidence beside a verdict and never part of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab._text import markdown
from gradlab.frames.rows import extra_fields
from gradlab.plots.ground.words import labelled, spoken
from gradlab.plots.ground.words import listed as listed

#: Coordinates that name a configuration where they differ within a run, beside its own fields.
OTHERS: tuple[str, ...] = ("run", "architecture", "width", "batch", "loss", "data", "dtype", "step")

#: log10 of the smallest normal float32, 2**-126: XLA holds 0 below it. Its root is where a square becomes 0.
LOG10_SMALLEST = -126 * math.log10(2)
#: log10 of the norm whose square no float32 can hold, 2**64.
LOG10_LARGEST_ROOT = 64 * math.log10(2)


def counted(n: int, noun: str, plural: str = "") -> str:
    """Count something: ``1 network``, ``2 networks``."""
    return f"{n} {noun if n == 1 else plural or noun + 's'}"


def spans(numbers: Sequence[int]) -> str:
    """Write numbers as ranges: ``1–4, 7``."""
    parts: list[list[int]] = []
    for n in sorted(numbers):
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}–{p[-1]}" for p in parts)


def power(log10: float) -> str:
    """Write 10**log10 in short, wherever it lies: ``0.15``, ``3.2``, ``4e-20``, ``2e-631``."""
    if math.isnan(log10):
        return "unknown"
    if math.isinf(log10):
        return "0" if log10 < 0 else "inf"
    if -2 <= log10 < 2:
        return f"{10**log10:.2g}"
    exponent = math.floor(log10)
    digit = round(10 ** (log10 - exponent))
    if digit == 10:
        digit, exponent = 1, exponent + 1
    return f"{digit}e{exponent}"


def paren(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Write a number with its interval's half-width in units of the last digit: ``0.236(2)``; else ``0.236``.

    The half-width is shown to its first digit, or to two where that digit is 1.
    """
    if not math.isfinite(value):
        return "–"
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return f"{value:#.3g}".removesuffix(".") if 1e-3 <= abs(value) < 1e3 or value == 0 else f"{value:.2e}"
    half = (high - low) / 2
    scale = math.floor(math.log10(max(abs(value), half)))
    factor, tail = (1.0, "") if -4 <= scale < 6 else (10.0**-scale, f"e{scale}")
    value, half = value * factor, half * factor
    place = math.floor(math.log10(half) + 1e-6)
    if half / 10.0**place < 1.95:
        place -= 1
    units = round(half / 10.0**place)
    # adding 0.0 takes the sign from what is rounded to 0
    value = round(value, -place) + 0.0
    if place >= 0:
        return f"{value:.0f}({round(units * 10**place)}){tail}"
    return f"{value:.{-place}f}({units}){tail}"


def labels(rates: pd.DataFrame) -> list[str]:
    """Name the configuration of each row of `gradlab.rates` in words, without its depth."""
    varying = [name for name in (*OTHERS, "optimizer") if name in rates and rates[name].nunique(dropna=False) > 1]
    extra = {name: default for name, default in extra_fields().items() if name in rates}
    following = [name for name in extra if _follows(rates, name)]
    texts = [_label(row, varying, extra, following) for row in rates.to_dict("records")]
    seen = pd.Series(list(zip(texts, rates["depth"], strict=True))).duplicated(keep=False)
    # Two networks that only their layers' widths tell apart.
    hashes = rates["network"].astype(str)
    return [f"{t} [{n[:6]}]" if twice else t for t, n, twice in zip(texts, hashes, seen, strict=True)]


def _follows(rates: pd.DataFrame, name: str) -> bool:
    """Return whether a field differs only together with another one: the learning rate, with the optimiser."""
    if name != "learning_rate" or "optimizer" not in rates:
        return False
    pairs = rates[["optimizer", name]].drop_duplicates()
    return len(pairs) == rates["optimizer"].nunique(dropna=False) > 1


def _label(row: Mapping[str, Any], varying: Sequence[str], extra: Mapping[str, Any], without: Sequence[str]) -> str:
    parts = [spoken(row["activation"]), spoken(row["init"])]
    if row["init"] == "gaussian" and not _missing(row.get("sigma_w2")):
        parts[1] += f" {labelled('sigma_w2', float(row['sigma_w2']))}"
    for name, default in extra.items():
        value = row[name]
        differs = value != default or (name == "optimizer" and name in varying)
        if differs and not _missing(value) and name not in ("std", *without):  # the label has its sigma_w2
            parts.append(labelled(name, value))
    if not _missing(row.get("sigma_b2")) and row["sigma_b2"] > 0 and row["init"] != "pytorch":
        parts.append(labelled("sigma_b2", float(row["sigma_b2"])))
    for name in (n for n in varying if n not in extra):
        parts.append(f"{name} of several sizes" if _missing(row[name]) else labelled(name, row[name]))
    return ", ".join(parts)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


@dataclass(frozen=True)
class Float32:
    """Hidden layers of one network where plain float32 does not show the gradient.

    Depth counts layers from the loss here: k is the first layer of a network k deep.

    Parameters
    ----------
    norm_zero, norm_inf, gradient_zero : tuple of int
        Layers where the norm as it is usually computed, the root of a float32 sum of squares, is 0 or inf;
        where the gradient itself is 0.
    depth : int
        Hidden layers.
    """

    norm_zero: tuple[int, ...]
    norm_inf: tuple[int, ...]
    gradient_zero: tuple[int, ...]
    depth: int

    def from_depth(self, layers: tuple[int, ...]) -> int | None:
        """Return the depth from which on these layers are lost; None where there are none."""
        return self.depth - max(layers) + 1 if layers else None

    @property
    def sentence(self) -> str:
        """Say what is lost in float32; empty where nothing is lost."""
        parts = []
        for layers, what in (
            (self.norm_zero, "float32 code would print 0 for the gradient's norm in"),
            (self.norm_inf, "float32 code would print inf for the gradient's norm in"),
            (self.gradient_zero, "in float32 the gradient itself is 0 in"),
        ):
            if layers:
                word = "layer" if len(layers) == 1 else "layers"
                parts.append(f"{what} {word} {spans(layers)} of {self.depth}")
        return "; ".join(parts)


def float32(rows: pd.DataFrame) -> Float32:
    """Tell from measured columns which weight gradients of a network plain float32 loses.

    A sum of squares is 0 where the largest entry's square is below 2**-126. The largest of N entries is taken as
    sqrt(2 ln N) times their rms, as for Gaussian ones: for a sigmoid network 100 layers deep, width 128, it
    was 3.8 to 5.2 times where this says 4.4, and both give depth 29. Means are geometric, over seeds.

    Parameters
    ----------
    rows : DataFrame
        The frame's rows of one network.
    """
    depth = int(rows["depth"].iloc[0])
    layer = rows["layer"].to_numpy()  # arrays, because slices of a frame take long where networks are many
    hidden = (layer >= 1) & (layer <= depth)

    def lost(column: str, test) -> tuple[int, ...]:
        if column not in rows or not hidden.any():
            return ()
        usable = hidden & np.isfinite(rows[column].to_numpy(float))
        layers = layer[usable]
        known, counts = np.unique(layers, return_counts=True)
        sums = [np.bincount(layers, rows[c].to_numpy(float)[usable])[known] for c in (column, "fan_in", "fan_out")]
        mean, fan_in, fan_out = (total / counts for total in sums)
        return tuple(int(i) for i in known[test(mean, fan_in * fan_out)])

    largest = lambda norm, n: norm + np.log10(np.sqrt(2 * np.log(np.maximum(n, 2)) / n))
    return Float32(
        norm_zero=lost("log10_weight_grad_norm", lambda v, n: largest(v, n) < LOG10_SMALLEST / 2),
        norm_inf=lost("log10_weight_grad_norm", lambda v, n: v >= LOG10_LARGEST_ROOT),
        gradient_zero=lost("float32_zero_fraction", lambda v, n: v >= 1),
        depth=depth,
    )


def ratio(row: Mapping[str, Any]) -> str:
    """Compare the delta at the first layer with that at the last, in words."""
    if math.isnan(row["decades"]) or row["last_layer"] == row["first_layer"]:
        return ""
    word = "of" if row["decades"] < 0 else "times"
    first, last = row["first_layer"], row["last_layer"]
    return f"the delta at layer {first} is {power(row['decades'])} {word} the delta at layer {last}"


def when(step: int) -> str:
    """Return ``at initialisation``, or the training step in words."""
    return "at initialisation" if step == 0 else f"at step {step}"


def sentence(label: str, row: Mapping[str, Any], evidence: Float32 | None = None) -> str:
    """Write the verdict on one network, with its evidence, as Markdown.

    Parameters
    ----------
    label : str
        The configuration in words.
    row : mapping
        Its row of `gradlab.rates`.
    evidence : Float32, optional
        What plain float32 shows.
    """
    step = int(row["step"])
    moment = "" if label.endswith(f"step {step}") else f", {when(step)}"
    parts = [f"{markdown(label)}{moment}: **{row['verdict']}**, {row['numbers']}"]
    if row["verdict"] == "algebraic":
        law = f"the rms delta goes as layer^{row['exponent']:.2f}"
        parts.append(f"{law}, so its rate must not be carried to other depths")
    parts.append(ratio(row))
    if row["n_seeds"] == 1 or 0 < row["n_beyond"] < row["n_seeds"]:  # else the networks agree
        parts.append(str(row["judged"]))
    if row["verdict"] == "steady" and row["from_depth"] > row["depth"]:
        parts.append(f"at this rate beyond one decade from depth {row['from_depth']:.0f}")
    parts.append(evidence.sentence if evidence else "")
    return "; ".join(part for part in parts if part) + "."


def reason(error: Exception) -> str:
    """Say in one line why something could not be made, without the hint for Python users."""
    if isinstance(error, GradlabError):
        text = f"it needs {error.expected}" + (f"; there is {error.received}" if error.received else "")
    else:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return " ".join(text.split())
