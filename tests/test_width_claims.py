"""The claims of the experiments on width and depth, on tables made by hand: held by their law, not held by another."""

import numpy as np
import pandas as pd
import pytest

from experiments import coordinate_check, depth_transfer
from gradlab import theory
from gradlab.frames.exponents import COLUMNS
from gradlab.reporting import Finding


def changes(hidden, parametrizations, shift=0.0, seeds=4):
    """Rows of a check whose changes are powers of the width, with theory's exponents and a little noise."""
    rng, rows = np.random.default_rng(0), []
    for name in parametrizations:
        known = theory.width_exponents(name, depth=hidden)
        for width in (64, 256, 1024):
            for seed in range(seeds):
                for layer in range(hidden + 1):
                    powers = {c: known[c][layer] + shift for c in COLUMNS}
                    logs = {c: a * np.log10(width) + 0.001 * rng.normal() for c, a in powers.items()}
                    label = "readout" if layer == hidden else f"hidden_{layer + 1}"
                    rows.append({"architecture": "mlp", "parametrization": name, "optimizer": "sgd", "depth": hidden,
                                 "width": width, "seed": seed, "step": 1, "layer": layer + 1, "layer_name": label,
                                 **logs})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("shift", "outcome"), [(0.0, "held"), (0.1, "not held"), (0.05, "undecided")])
def test_coordinate_check(shift, outcome):
    """0.1 is more than the line of the logits and less than that of the others, 0.05 is the line itself."""
    table = coordinate_check.judge(changes(1, ["standard", "mup"], shift), changes(3, ["standard", "mup", "ntk"]))
    assert Finding.of(coordinate_check.cases(table)).outcome == outcome
    assert len(table) == 2 + 3 * (4 + 4 + 3)  # nothing is carried into the first layer


@pytest.mark.parametrize(
    ("drifts", "outcome"),
    [((-0.5, -0.5, 0.0), "held"), ((-0.5, 0.0, 0.0), "not held"), ((-0.5, -0.5, 0.5), "not held"),
     ((-0.5, -0.15, 0.0), "undecided")],
)  # fmt: skip
def test_depth_transfer(drifts, outcome):
    rng = np.random.default_rng(0)
    best = pd.DataFrame([
        {"scale": str(scale), "depth": depth, "seed": seed, "best": drift * np.log2(depth) + 0.05 * rng.normal()}
        for scale, drift in zip(depth_transfer.SCALES, drifts, strict=True) for depth in (2, 8, 32) for seed in range(6)
    ])  # fmt: skip
    claims = depth_transfer.judge(best)["claim"]
    assert Finding.of(dict(enumerate(claims))).outcome == outcome


def test_the_best_rate_is_the_lowest_point_of_a_parabola():
    """Of a parabola exactly; at the edge of the grid, or beside a loss that is not finite, the grid's own."""
    octaves = np.arange(-6, 1)
    assert depth_transfer.lowest(octaves, (octaves + 2.3) ** 2) == pytest.approx(-2.3)
    assert depth_transfer.lowest(octaves, octaves + 7.0) == -6
    assert depth_transfer.lowest(octaves, np.array([5, 4, 3, 2, 1, np.nan, np.nan])) == -2
