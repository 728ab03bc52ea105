"""Evidence of models that nobody computed: known numbers, sick ones among them."""

import numpy as np

from gradlab.diagnosis.evidence import PARAMETER_COLUMNS, PLACE_COLUMNS, Evidence
from gradlab.diagnosis.sites import Coverage, Parameter, Place, Site

#: What a column holds where a test says nothing else.
CALM = {
    "value_mean_over_rms": 0.0, "value_zero_fraction": 0.0, "value_not_finite": 0.0, "delta_zero_fraction": 0.0,
    "delta_not_finite": 0.0, "log10_one_minus_c": -0.2, "delta_cosine": 0.3, "grad_zero_fraction": 0.0,
    "grad_not_finite": 0.0, "identical_fraction": 0.0, "below_adam_fraction": 0.0, "gradient_snr": 2.0,
}  # fmt: skip


def dense(depth=6, *, forward=0.0, backward=0.0, samples=1, noise=0.0, width=16, names=None, activation="relu",
          bias=True, start=0.0, varied=None, dead=0.1, dtype="float32", stacked=False, **changes):  # fmt: skip
    """A chain of dense layers with activations, and a readout.

    Per layer the value changes by `forward` decades, the delta by `backward` toward the input, each with `noise`.
    `stacked`: the layers are steps of a scan. `changes` are fields of the evidence.
    """
    rng = np.random.default_rng(depth)
    names = names or [f"dense_{i + 1}" for i in range(depth)]
    places, parameters, order = [], [], []
    for i in range(depth + 1):
        last = i == depth
        name = "head" if last else "blocks/up" if stacked else names[i]
        at = (i,) if stacked and not last else ()
        scans = (("layers", depth),) if at else ()
        units = 10 if last else width
        site = Site(
            2 * i if not at else 0, name, "product", "dot_general", (32, units), dtype, "model.py:7", "", scans, (1,),
            f"{name}/kernel",
        )  # fmt: skip
        path = f"{name}/kernel" + "".join(f"[{k}]" for k in at)
        parameters.append(Parameter(path, 0 if at else i, at, (width, units), dtype, "used", (len(places),)))
        if bias:
            path = f"{name}/bias" + "".join(f"[{k}]" for k in at)
            parameters.append(Parameter(path, 1 if at else depth + 1 + i, at, (units,), dtype))
        places.append(Place(site, at))
        order.append(i)
        if not last and activation:
            behind = Site(
                site.number + 1, f"{name}/{activation}", "activation", activation, (32, units), dtype, "model.py:8",
                "", scans, (1,), "", site.number, activation,
            )  # fmt: skip
            places.append(Place(behind, at))
            order.append(i)
    order = np.array(order, float)
    jitter = lambda n: noise * rng.normal(size=(samples, n))
    value = start + forward * order + jitter(len(places))
    delta = -1 + backward * (depth - order) + jitter(len(places))
    signals = {name: np.full((samples, len(places)), CALM.get(name, np.nan)) for name in PLACE_COLUMNS}
    acts = np.array([p.site.kind == "activation" for p in places])
    signals |= {
        "log10_value_rms": value, "log10_value_max": value + 0.5, "log10_delta_rms": delta,
        "log10_delta_max": delta + 0.5,
        "dead_fraction": np.where(acts, dead, np.nan) * np.ones((samples, 1)),
        "saturated_fraction": np.where(acts & (activation in ("tanh", "sigmoid")), 0.0, np.nan) * np.ones((samples, 1)),
    }  # fmt: skip
    parent = lambda p: p.path.rpartition("/")[0]
    layer = np.array(
        [depth if parent(p) == "head" else p.at[0] if p.at else names.index(parent(p)) for p in parameters]
    )
    grad = -1 + backward * (depth - layer) + forward * layer + jitter(len(parameters))
    gradients = {name: np.full((samples, len(parameters)), CALM.get(name, np.nan)) for name in PARAMETER_COLUMNS}
    gradients |= {
        "log10_grad_norm": grad, "log10_grad_max": grad - 0.7, "log10_weight_norm": np.full_like(grad, 0.6),
    }  # fmt: skip
    losses = np.full(samples, 2.3)
    products = sum(p.site.kind == "product" for p in places)
    made = Evidence(
        tuple(places), tuple(parameters), signals, gradients, losses, losses.copy(), Coverage(products, products),
        varied if varied is not None else "batches" if samples > 1 else "",
    )  # fmt: skip
    return made.replace(**changes)
