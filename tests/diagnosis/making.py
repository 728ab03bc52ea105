"""Evidence made by hand: a row of places with the numbers that a model would have given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradlab.diagnosis.evidence import PARAMETER_COLUMNS, PLACE_COLUMNS, Evidence, Suspects
from gradlab.diagnosis.sites import Coverage, Parameter, Place, Site

BATCH, WIDTH, CLASSES = 64, 128, 10
#: Columns that grow with the loss.
OF_LOSS = ("log10_delta_rms", "log10_delta_max", "exact_log10_delta_rms")
OF_LOSS_TOO = ("log10_grad_norm", "log10_grad_max", "exact_log10_grad_norm")


class Model:
    """Places and parameters one after another, in the order of the signal."""

    def __init__(self, samples: int = 1, loss: float = 2.3, **fields: Any):
        self.samples, self.loss, self.fields = samples, loss, fields
        self.places: list[Place] = []
        self.parameters: list[Parameter] = []
        self.rows: list[dict[str, Any]] = []
        self.gradient_rows: list[dict[str, Any]] = []
        self.sites: list[Site] = []

    def site(self, name: str, kind: str = "product", width: int = WIDTH, **fields: Any) -> Site:
        """A new site: a batch of `width` features."""
        fields = {"shape": (BATCH, width), "features": (1,), "dtype": "float32", "primitive": "dot_general", **fields}
        self.sites.append(Site(len(self.sites), name, kind, **fields))
        return self.sites[-1]

    def place(self, site: Site, value: Any = 0.0, delta: Any = -3.0, at: tuple[int, ...] = (), **columns: Any) -> int:
        """A row: `value` and `delta` are log10 rms, of one sample or of each."""
        self.places.append(Place(site, at))
        self.rows.append({
            "log10_value_rms": value, "log10_delta_rms": delta, "value_zero_fraction": 0.0, "delta_zero_fraction": 0.0,
            "value_not_finite": 0.0, "delta_not_finite": 0.0, **columns,
        })  # fmt: skip
        return len(self.places) - 1

    def parameter(
        self, path: str, places: Sequence[int] = (), shape: tuple[int, ...] = (WIDTH, WIDTH), state: str = "used",
        weight: float = 1.0, grad: Any = -2.0, **columns: Any,
    ) -> None:  # fmt: skip
        """A row: `weight` and `grad` are log10 norms."""
        leaf = len(self.parameters)
        self.parameters.append(Parameter(path, leaf, (), shape, "float32", state, tuple(places)))
        self.gradient_rows.append({
            "log10_weight_norm": weight, "log10_grad_norm": grad, "grad_zero_fraction": 0.0, "grad_not_finite": 0.0,
            **columns,
        })  # fmt: skip

    def dense(self, name: str, value: Any = 0.0, delta: Any = -3.0, width: int = WIDTH, **columns: Any) -> int:
        """A dense layer of `WIDTH` inputs with He's weights."""
        at = self.place(self.site(name, width=width, parameter=f"{name}/w"), value, delta, **columns)
        norm = 0.5 * math.log10(2 * width)
        self.parameter(f"{name}/w", [at], (WIDTH, width), weight=norm)
        return at

    def activation(
        self, before: int, function: str = "relu", value: Any = 0.0, delta: Any = -3.0, **columns: Any
    ) -> int:
        """The nonlinearity behind a place."""
        of = self.places[before].site
        site = self.site(f"{of.name}/{function}", "activation", follows=of.number, function=function, shape=of.shape)
        return self.place(site, value, delta, self.places[before].at, **columns)

    def readout(self, value: Any = 0.0, delta: Any = None, name: str = "readout", **columns: Any) -> int:
        """The last layer; its delta is that of the cross-entropy of equal logits."""
        plain = 0.5 * math.log10(1 / CLASSES) - math.log10(BATCH)
        return self.dense(name, value, plain if delta is None else delta, CLASSES, **columns)

    def evidence(self) -> Evidence:
        """All of it."""
        losses = np.full(self.samples, self.loss)
        products = sum(p.site.kind == "product" for p in self.places)
        fields = {"own_losses": losses, "coverage": Coverage(products, products), **self.fields}
        return Evidence(
            tuple(self.places), tuple(self.parameters), self._columns(PLACE_COLUMNS, self.rows),
            self._columns(PARAMETER_COLUMNS, self.gradient_rows), losses, **fields,
        )  # fmt: skip

    def _columns(self, names: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
        assert all(set(row) <= set(names) for row in rows)
        spread = lambda v: np.broadcast_to(np.asarray(v, float), (self.samples,))
        return {name: np.stack([spread(r.get(name, np.nan)) for r in rows], 1) for name in names if rows}


def mlp(
    depth: int = 10, forward: float = 0.0, backward: float = 0.0, function: str = "relu", samples: int = 1,
    noise: float = 0.0, names: str = "layers/{}", activation: dict[str, Any] | None = None, value: float = 0.0,
    **fields: Any,
) -> Model:  # fmt: skip
    """A network whose signal changes by `forward` decades a layer, and whose delta by `backward` towards the input."""
    model = Model(samples, **fields)
    random = np.random.default_rng(3)
    for i in range(depth):
        jitter = noise * random.normal(size=(2, samples))
        up, down = value + forward * i + jitter[0], -3 + backward * (depth - 1 - i) + jitter[1]
        at = model.dense(names.format(i), up, down, log10_one_minus_c=-0.3, delta_cosine=0.1)
        more = {"dead_fraction": 0.05, "log10_one_minus_c": -0.3, **(activation or {})}
        model.activation(at, function, up - 0.15, down + 0.15, **more)
    model.readout(value + forward * depth)
    return model


def times(evidence: Evidence, factor: float) -> Evidence:
    """The same model with its loss times a number."""
    shift = math.log10(factor)
    moved = lambda columns, names: {k: v + shift if k in names else v for k, v in columns.items()}
    suspects = evidence.suspects
    if suspects is not None:
        steps = tuple((rate / factor, drop) for rate, drop in suspects.steps)
        slope = (suspects.slope[0] * factor, suspects.slope[1] * factor)
        suspects = Suspects(slope, suspects.slope_error * factor, steps, suspects.notes)
    return evidence.replace(
        signals=moved(evidence.signals, OF_LOSS), gradients=moved(evidence.gradients, OF_LOSS_TOO),
        losses=evidence.losses * factor, own_losses=evidence.own_losses * factor, suspects=suspects,
    )  # fmt: skip
