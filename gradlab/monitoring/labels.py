"""What stands beside the numbers: names of layers and columns, in a form that any checkpoint can carry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import jax
import numpy as np

from gradlab._errors import GradlabError
from gradlab._status import Status, written
from gradlab._tree import Layers, Leaf, Row
from gradlab.config import content_hash
from gradlab.monitoring.columns import layer_columns

#: Bytes of the digest in front.
DIGEST = 8
#: Trees whose entries that are not finite are told.
COUNTED = ("gradient", "update", "weight")


@jax.tree_util.register_static
@dataclass(frozen=True)
class Labels:
    """The layers, and names of the quantities that are read of their arrays; a pytree without leaves."""

    layers: Layers
    quantities: tuple[str, ...]

    def encoded(self) -> np.ndarray:
        """Return the labels as bytes, uint8, to stand in a state as an array among arrays: a digest, and JSON."""
        return np.frombuffer(_with_digest(json.dumps(asdict(self), separators=(",", ":")).encode()), np.uint8)

    def fit(self, data: Any) -> Any:
        """Return whether bytes are those of these labels, by their digest."""
        return (data[:DIGEST] == self.encoded()[:DIGEST]).all()

    @classmethod
    def decoded(cls, data: Any) -> Labels:
        """Return the labels from what `encoded` gave.

        Raises
        ------
        GradlabError
            Where the bytes are something else.
        """
        try:
            text = np.asarray(data, np.uint8).tobytes()[DIGEST:]
            stored = json.loads(text, object_hook=_tuples)
            leaves = tuple(Leaf(**fields) for fields in stored["layers"]["leaves"])
            rows = tuple(Row(**fields) for fields in stored["layers"]["rows"])
            return cls(Layers(leaves, rows), stored["quantities"])
        except (ValueError, TypeError, KeyError) as error:
            raise GradlabError(
                "the labels of a monitor", f"other bytes: {error}", "the state as it was saved"
            ) from error

    def rows(self, values: Any, step: Any = None) -> dict[str, np.ndarray]:
        """Coordinates and columns of the frame's rows: seeds slow, then steps, layers fast.

        Parameters
        ----------
        values : array
            What was read, of shape (quantities, slots), or with steps, or seeds and steps, in front.
        step : array, optional
            Numbers of the steps, as the axes in front.
        """
        values = np.asarray(values)
        lead = values.shape[:-2]
        if len(lead) > 2:
            raise GradlabError("records of seeds and steps, or less", f"{len(lead)} axes of them", "one vmap less")
        host = layer_columns(self.layers, self.quantities, values)
        arrays = [[self.layers.slots[slot] for slot in (*row.weights, *row.biases)] for row in self.layers.rows]
        shapes = [[leaf.shape for leaf in leaves_of_row] for leaves_of_row in arrays]
        width = len(arrays)
        known = next(
            (leaf.dtype for leaf in self.layers.leaves if leaf.dtype), ""
        )  # stands for a gradient that is None
        spread = lambda values: np.broadcast_to(np.asarray(values)[..., None], (*lead, width)).ravel()
        rows: dict[str, np.ndarray] = {"seed": spread(np.arange(lead[0])[:, None] if len(lead) == 2 else 0)}
        if step is not None:
            rows["step"] = spread(step)
        elif lead:
            rows["step"] = spread(np.arange(lead[-1]))
        count = len(rows["seed"]) // width
        tile = lambda values: np.tile(np.asarray(values, object), count)
        rows |= {
            "network": tile([content_hash(list(zip(self.layers.names, shapes, strict=True)))] * width),
            "layer": np.tile(np.arange(1, width + 1), count),
            "layer_name": tile(self.layers.names),
            "dtype": tile([leaves_of_row[0].dtype or known for leaves_of_row in arrays]),
            **{name: values.ravel() for name, values in host.items()},
        }
        return {**rows, "status": _status(rows, np.tile([len(leaves_of_row) for leaves_of_row in arrays], count))}


def _with_digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:DIGEST] + text


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the lists of JSON as the tuples that they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _status(rows: Mapping[str, np.ndarray], arrays: np.ndarray) -> np.ndarray:
    """Return what keeps a row from being whole, or what it should not be read without; the worst first."""
    made = []
    for i, count in enumerate(arrays):
        value = lambda name, i=i: rows[name][i] if name in rows else np.nan
        said: dict[Status, str] = {}
        bad = [(value(f"{tree}_not_finite"), tree) for tree in COUNTED]
        if bad := [f"{entries:.0f} entries of the {tree}" for entries, tree in bad if entries > 0]:
            said[Status.NOT_FINITE] = ", ".join(bad)
        if (absent := value("gradient_absent")) > 0:
            said[Status.NO_GRADIENT] = "" if absent == count else f"{absent:.0f} of {count} arrays"
        if value("gradient_zero_fraction") == 1:
            said[Status.ZERO] = ""
        if (share := value("gradient_underflow_fraction")) > 0:
            entries = f"{100 * share:.2g} % of the gradient's entries"
            said[Status.UNDERFLOW] = f"{entries} are below the normal numbers of their format"
        if value("moved_fraction") == 0 and value("log10_weight_update_norm") > -np.inf:
            said[Status.UNMOVED] = ""
        made.append(written(said))
    return np.array(made, object)
