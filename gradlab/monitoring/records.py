"""From the state of a monitor to records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gradlab._errors import GradlabError
from gradlab.measurement.bins import bin_rows
from gradlab.measurement.records import value_rows
from gradlab.monitoring.adoption import array_of, monitors, other_layers
from gradlab.monitoring.labels import Labels


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


@dataclass(frozen=True)
class Counts:
    """Counts of the entries of each layer's weight gradient, over their own rms, at the steps kept.

    Parameters
    ----------
    records : Records
        What a monitor kept.
    """

    records: Records

    def rows(self) -> dict[str, np.ndarray]:
        """Return a row for each seed, step, layer and bin, with the bins of `gradlab.histograms`."""
        steps, counts = self.records.arrays["step"], self.records.arrays["counts"]
        bins = bin_rows(np.zeros(counts.shape[-1]))
        names = self.records.labels.layers.names
        axes = {"seed": range(len(steps)), "kept": range(steps.shape[1]), "layer": range(1, len(names) + 1)}
        rows = value_rows(
            axes | {"place": range(counts.shape[-1])}, signal="weight_grad", step=steps[:, :, None, None],
            layer_name=np.array(names, object)[:, None], bin=bins["bin"], left=bins["left"], right=bins["right"],
            count=counts,
        )  # fmt: skip
        order = ("signal", "seed", "step", "layer", "layer_name", "bin", "left", "right", "count")
        return {name: rows[name] for name in order}


def monitor_records(opt_state: Any, *, histograms: bool = False) -> list[Records] | list[Counts]:
    """Return what the monitors in a state have written down. `gradlab.frame` makes the table.

    Parameters
    ----------
    opt_state : pytree
        The state of a `gradlab.monitored` transformation, or anything that holds one or several: of a chain, of
        `optax.MultiSteps`, of a training state, an ``nnx.Optimizer`` or its ``nnx.State``, the dicts of a checkpoint.
    histograms : bool
        Instead of norms, the counts of the entries of each layer's weight gradient over their own rms, of monitors with
        ``histograms=True``.

    Returns
    -------
    list of records
        One for each monitor. ``gl.frame(gl.monitor_records(opt_state))`` has one row per step and layer (and seed,
        behind `vmap`). Of the layer's weights and biases: norms of the gradient as it came in, of the gradient after
        clipping where ``clip=`` was given, and of the update; the weight's norm and the update's over it, NaN where
        the loop passes no parameters to ``update``. The `status` says what is not finite, what has no gradient, and
        where gradients underflow.

        With histograms: one row per seed, step, layer and bin, with the bins of `gradlab.histograms`: `signal`
        ("weight_grad"), `seed`, `step`, `layer`, `layer_name`, `bin`, `left`, `right`, `count`. A gradient that is not
        finite has no counts.

    Notes
    -----
    Axes in front of the state are seeds, unless all along one have the same records, as copies on several devices do:
    those are one seed.
    """
    states = monitors(opt_state)
    if not states:
        raise GradlabError("a state with a monitor in it", type(opt_state).__name__, "gl.monitored(tx).init(params)")
    if histograms and any("counts" not in fields["ring"] for fields in states):
        raise GradlabError("a monitor with histograms", "one without", "gl.monitored(tx, histograms=True)")
    filled = [records for records in map(Records, states) if records.arrays["step"].size]
    if not filled:
        raise GradlabError("a monitor that has seen an update", "none", "monitor_records after a call of tx.update")
    return [Counts(records) for records in filled] if histograms else filled
