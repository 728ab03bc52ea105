"""From the state of a monitor to tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gradlab._errors import GradlabError
from gradlab.diagnosis.adoption import array_of, monitors, other_layers
from gradlab.diagnosis.labels import Labels
from gradlab.frames.histograms import bin_table
from gradlab.frames.rows import concat, frame


class Records:
    """What one monitor has written down: the steps kept, oldest first.

    Parameters
    ----------
    fields : dict of str to pytree
        Of a `MonitorState`, as arrays or in the boxes of another library.
    """

    def __init__(self, fields: dict[str, Any]):
        ring = {name: array_of(values) for name, values in fields["ring"].items() if name != "written"}
        labels = array_of(fields["labels"])
        self.labels = Labels.decoded(labels.reshape(-1, labels.shape[-1])[0])
        lead = np.ndim(ring["step"]) - 1
        if lead > 1:
            raise GradlabError("a state of (seeds, …) or less", f"{lead} axes before it", "one vmap less")
        ring = {name: values if lead else values[None] for name, values in ring.items()}
        if all(np.array_equal(v, np.broadcast_to(v[:1], v.shape), equal_nan=True) for v in ring.values()):
            ring = {name: values[:1] for name, values in ring.items()}  # copies on several devices are one seed
        if (ring["step"] == -2).any():
            raise other_layers(self.labels, None)
        places = np.argsort(ring["step"], axis=1, kind="stable")[:, int((ring["step"][0] < 0).sum()) :]
        self.arrays = {name: values[np.arange(len(values))[:, None], places] for name, values in ring.items()}

    def rows(self) -> dict[str, np.ndarray]:
        """Coordinates and columns of the frame's rows."""
        return self.labels.rows(self.arrays["values"], self.arrays["step"])


def monitor_frame(opt_state: Any) -> pd.DataFrame:
    """The tidy frame of the steps that a monitor has kept.

    Parameters
    ----------
    opt_state : pytree
        The state of a `gradlab.monitored` transformation, or anything that holds one or several: of a chain, of
        `optax.MultiSteps`, of a training state, an ``nnx.Optimizer`` or its ``nnx.State``, the dicts of a checkpoint.

    Returns
    -------
    DataFrame
        One row per step and layer (and seed, behind `vmap`), as `gradlab.frame` gives it. Of the layer's weights and
        biases: norms of the gradient as it came in, of the gradient after clipping where ``clip=`` was given, and of
        the update; the weight's norm and the update's over it, NaN where the loop passes no parameters to ``update``.
        The `status` says what is not finite, what has no gradient, and where gradients underflow.

    Notes
    -----
    Axes in front of the state are seeds, unless all along one have the same records, as copies on several devices do:
    those are one seed.
    """
    found = _records(opt_state)
    if not found:
        raise GradlabError("a monitor that has seen an update", "none", "monitor_frame after a call of tx.update")
    return concat([frame(records) for records in found])


def monitor_histograms(opt_state: Any) -> pd.DataFrame:
    """The second table: counts of the entries of each layer's weight gradient, over their own rms.

    Parameters
    ----------
    opt_state : pytree
        As for `gradlab.monitor_frame`, of a monitor with ``histograms=True``.

    Returns
    -------
    DataFrame
        One row per seed, step, layer and bin, with the bins of `gradlab.histograms`: `signal` ("weight_grad"),
        `seed`, `step`, `layer`, `layer_name`, `bin`, `left`, `right`, `count`. A gradient that is not finite
        has no counts.
    """
    tables = []
    for records in _records(opt_state, "counts"):
        steps, counts = records.arrays["step"], records.arrays["counts"]
        tables += [
            bin_table(counts[seed, place, number - 1]).assign(seed=seed, step=step, layer=number, layer_name=name)
            for seed in range(len(steps))
            for place, step in enumerate(steps[seed])
            for number, name in enumerate(records.labels.layers.names, 1)
        ]
    if not tables:
        raise GradlabError("a monitor that has seen an update", "none", "monitor_histograms after tx.update")
    names = ["signal", "seed", "step", "layer", "layer_name", "bin", "left", "right", "count"]
    return pd.concat(tables, ignore_index=True).assign(signal="weight_grad").reindex(columns=names)


def _records(opt_state: Any, needed: str = "values") -> list[Records]:
    """Of the monitors in a tree those that have seen an update."""
    states = monitors(opt_state)
    if not states:
        raise GradlabError("a state with a monitor in it", type(opt_state).__name__, "gl.monitored(tx).init(params)")
    if any(needed not in fields["ring"] for fields in states):
        raise GradlabError("a monitor with histograms", "one without", "gl.monitored(tx, histograms=True)")
    found = map(Records, states)
    return [records for records in found if records.arrays["step"].size]
