"""The clipping cliff: loss and slope against a recursion written by hand, descents against their rule."""

import jax
import numpy as np
import pytest

import gradlab as gl
from gradlab._errors import GradlabError

#: phi, its derivative.
PHI = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
}


def by_hand(w, b, activation="sigmoid", time=50, target=0.7):
    """The loss and its gradient, forward through time: d h_t = phi'(z_t) (h_{t-1} dw + w dh_{t-1} + db)."""
    phi, slope = PHI[activation]
    h, dh = 0.0, np.zeros(2)
    for _ in range(time):
        z = w * h + b
        h, dh = phi(z), slope(z) * (np.array([h, 1.0]) + w * dh)
    return (h - target) ** 2, 2 * (h - target) * dh


@pytest.mark.parametrize("activation", ["sigmoid", pytest.param("tanh", marks=pytest.mark.slow)])
def test_the_surface_is_that_of_the_recursion(activation):
    rng = np.random.default_rng()
    w, b = np.sort(rng.uniform(1, 7, 4)), np.sort(rng.uniform(-3, 1, 5))
    found = gl.clipping_cliff(w, b, [(w[0], b[0])], activation=activation, updates=1)
    assert len(found.surface) == 20 and found.surface["log10_loss"].dtype == np.float64
    for row in found.surface.itertuples():
        loss, gradient = by_hand(row.w, row.b, activation)
        # h is as exact as 50 steps of some roundings at a wall of slope 150 or less leave it: 1e-12; the slope of L
        # has errors of that times its curvature, and float32 would be 1e-4 and more
        assert 10**row.log10_loss == pytest.approx(loss, rel=1e-12, abs=2e-12 * loss**0.5 + 1e-24)
        assert 10**row.log10_grad_norm == pytest.approx(np.hypot(*gradient), rel=1e-8, abs=1e-9)


def test_descents_follow_their_rule():
    rate, clip = 0.3, 0.5
    found = gl.clipping_cliff([4, 5], [-3, -2], [(6.0, -2.0), (5.0, -1.5)], learning_rate=rate, clip=clip, updates=120)
    longest = {}
    for (_, method), path in found.paths.groupby(["start", "method"], sort=False):
        assert path["step"].tolist() == list(range(121))
        at = path[["w", "b"]].to_numpy()
        for here, move in zip(at, np.diff(at, axis=0), strict=False):
            _, gradient = by_hand(*here)
            size = np.hypot(*gradient)
            shrink = min(1, clip / size) if method == "clipped" else 1
            np.testing.assert_allclose(move, -rate * shrink * gradient, rtol=1e-8, atol=1e-9)
        longest.setdefault(method, []).append(np.hypot(*np.diff(at, axis=0).T).max())
    assert list(longest) == ["unclipped", "clipped"]
    assert max(longest["clipped"]) <= rate * clip * (1 + 1e-12)
    # the wall: the first start meets it, and is thrown
    assert longest["unclipped"][0] > 10 * rate * clip


def test_a_loss_of_zero_is_no_missing_value():
    before = jax.config.jax_enable_x64
    found = gl.clipping_cliff([0, 1], [0, 1], [(0.0, 0.0)], target=0.5, time_steps=1, updates=1)
    assert jax.config.jax_enable_x64 == before  # float64 ends where it began
    assert found.surface["log10_loss"][0] == -np.inf and found.paths["log10_grad_norm"].eq(-np.inf).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"w": [1.0]}, "w, two finite numbers"),
        ({"b": [[1.0, 2.0]]}, "b, two finite numbers"),
        ({"starts": [1.0, 2.0]}, "pairs"),
        ({"starts": [(1.0, np.nan)]}, "pairs"),
        ({"clip": 0.0}, "clip to be a positive number"),
        ({"learning_rate": -1}, "learning_rate to be a positive number"),
        ({"updates": 0}, "updates"),
        ({"time_steps": 1.5}, "time_steps"),
        ({"target": np.inf}, "target to be a finite number"),
        ({"activation": "sigmiod"}, "sigmoid"),
    ],
)
def test_errors(options, message):
    with pytest.raises(GradlabError, match=message):
        gl.clipping_cliff(**{"w": [1.0, 2.0], "b": [0.0, 1.0], "starts": [(1.0, 0.0)], **options})
