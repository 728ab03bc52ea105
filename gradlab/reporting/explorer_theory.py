"""Write the page of theory: one HTML file with sliders, which computes the mean field of wide networks by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradlab._errors import GradlabError
from gradlab._files import path_from
from gradlab.config import ACTIVATIONS, resolve
from gradlab.frames.files import example
from gradlab.frames.summaries import rates, summarise
from gradlab.plots.ground import words
from gradlab.plots.ground.formats import FLOORS
from gradlab.plots.ground.styles import COLOURS
from gradlab.plots.ground.tables import checked, of_networks, require
from gradlab.reporting.explorer import write_page
from gradlab.theory.gaussian import check_variances

if TYPE_CHECKING:
    import pandas as pd

#: Rightmost sigma_w2 of the slider where 5 is too little: a sigmoid is critical from about 101 on.
_MOST_W: dict[str, float] = {"sigmoid": 160.0}
_MOST_B = 1.0
#: What stands in the frame for delta and signal.
_DELTA, _FORWARD = "log10_delta_rms", "log10_preactivation_rms"
#: What a format loses below its floor, by the floor's name in figures.
_LOST: dict[str, str] = {
    "float16: 0": "The delta is 0 in float16", "bfloat16, float32": "The delta is 0 in bfloat16 and float32",
}  # fmt: skip


def explore_theory(
    frame: pd.DataFrame | None = None,
    *,
    activation: str = "tanh",
    sigma_w2: float = 1.76,
    sigma_b2: float = 0.05,
    depth: int = 32,
    q0: float = 1.0,
    out: str | os.PathLike[str] = "theory.html",
) -> Path:
    """Write one self-contained HTML file in which a reader moves the variances of a wide network.

    Sliders set activation, weight variance, bias variance and depth. The page computes the map of the variance with
    its path, the map of the correlation, the phase diagram and the profile of signal and delta over the layers, with
    the smallest numbers of float16 and float32. It uses the formulas of `gradlab.theory`, loads nothing and works
    without a network.

    Parameters
    ----------
    frame : DataFrame, optional
        Measured networks, whose points stand beside theory: plain fully connected ones of equal width. None:
        ``gradlab.example("depth")``.
    activation : str
        Name of a built-in activation, without a number behind it; the sliders begin there.
    sigma_w2, sigma_b2 : float
        Fan-in times the weight variance, and the bias variance, with which the sliders begin.
    depth : int
        Number of hidden layers with which the slider begins.
    q0 : float
        Mean square of an input.
    out : path
        The file, which ends in ``.html``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    GradlabError
        If the activation is not built in, a variance is negative, or the frame lacks a column.

    Examples
    --------
    >>> import gradlab as gl, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = gl.explore_theory(activation="gelu", sigma_w2=2.0, out=f"{folder}/theory.html")
    ...     page.name
    'theory.html'
    """
    from gradlab.core.activations import LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE

    check_variances("sigma_w2", np.asarray(sigma_w2))
    check_variances("sigma_b2", np.asarray(sigma_b2), "at least 0")
    check_variances("q0", np.asarray(q0))
    name = resolve("activation", activation, ACTIVATIONS)
    if name not in ACTIVATIONS:
        raise GradlabError(
            "a built-in activation without a number, whose formula the page has", repr(name), "activation='tanh'"
        )
    first = {
        "activation": name, "w": _short(sigma_w2), "b": _short(sigma_b2),
        "depth": int(depth),
    }  # fmt: skip
    data = {
        "first": first,
        "q0": float(q0),
        "activations": {name: words.spoken(name) for name in ACTIVATIONS},
        "constants": {"leaky_slope": LEAKY_SLOPE, "selu_alpha": SELU_ALPHA, "selu_scale": SELU_SCALE},
        "colours": COLOURS,
        "most_w": _MOST_W,
        "most_b": _MOST_B,
        "floors": [{"at": f.at, "name": f.name, "lost": _LOST.get(f.name), "dash": list(f.line[1])} for f in FLOORS],
        "measured": measured(example("depth") if frame is None else frame),
    }
    source = 'Measured networks are those of gradlab.example("depth").' if frame is None else ""
    scripts = ("chart.js", "gaussian.js", "meanfield.js", "theory.js")
    texts = {"data": json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)}
    title = "Signals and gradients in a wide random network"
    return write_page("theory.html.j2", scripts, texts, path_from(out), title=title, q0=f"{q0:g}", source=source)


def _short(variance: float) -> float:
    """Return a variance as a reader would write it, without the rounding of what it was computed from."""
    return float(f"{variance:.6g}")


def measured(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what was measured of each plain network of the frame at initialisation, layer by layer.

    Parameters
    ----------
    frame : DataFrame
        From `gradlab.frame` or `gradlab.run`.
    """
    frame = of_networks(checked(frame, "layer", "seed", "network", "activation", "sigma_w2", "sigma_b2", "depth"))
    for name in (_DELTA, _FORWARD):
        require(frame, name, "measured column")
    plain = (frame["architecture"] == "mlp") & (frame["layer"] >= 1) & (frame["layer"] <= frame["depth"])
    plain &= (frame["step"] == 0) & frame["activation"].isin(ACTIVATIONS) & frame["sigma_w2"].notna()
    if "norm" in frame:
        plain &= frame["norm"].isna()
    rows = frame.loc[plain]
    made = []
    for _, of_network in rows.groupby("network", observed=True, sort=False):
        first = of_network.iloc[0]
        means = summarise(of_network, ["layer"], [_DELTA, _FORWARD]).sort_values("layer")
        lines = {name: part["mean"].round(4) for name, part in means.groupby("column")}
        parts = [words.labelled(name, first[name]) for name in ("activation", "init", "depth")]
        made.append({
            "label": ", ".join(parts), "activation": str(first["activation"]), "w": _short(first["sigma_w2"]),
            "b": _short(first["sigma_b2"]), "depth": int(first["depth"]), "width": int(first["width"]),
            "seeds": int(of_network["seed"].nunique()), "verdict": str(rates(of_network)["verdict"].iloc[0]),
            **{key: [None if v != v else v for v in lines[c]] for key, c in (("delta", _DELTA), ("forward", _FORWARD))},
        })  # fmt: skip
    return sorted(made, key=lambda m: (m["activation"], m["label"].rpartition(" ")[0], -m["depth"]))
