r"""MNIST-1D: one-dimensional digits, made from ten templates (Greydanus & Kobak 2024).

Sequences of 40 numbers, small enough to train on in seconds. Shifts, sizes and a slope hide the class, so that a
linear classifier does poorly and an architecture's sense of position shows.
"""

from __future__ import annotations

import numpy as np

from gradlab.data.sets import generator

#: Examples, of which the paper trains on the first 4000; numbers of one example.
EXAMPLES, STEPS = 5000, 40
#: The digits 0 ... 9 as curves of twelve heights, before they are standardised (the authors' numbers).
TEMPLATES = np.array([
    [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
    [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
    [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
    [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
    [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
    [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
    [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
    [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
    [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
    [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
])  # fmt: skip
#: Zeros that are put behind a template, from ... to; steps before the last resampling; largest shift.
_PADDING, _LONG, _SHIFTS = (36, 60), 72, 48
#: Range of the sizes about 1, height of a template, range of the slopes.
_SIZES, _HEIGHT, _SLOPES = 0.4, 1 / 6, 0.75
#: Standard deviation of the noise where there is no digit, before it is smoothed over so many steps; of all noise.
_CORRELATED, _SMOOTHING, _NOISE = 0.25, 2.0, 0.02
#: What each draw is made from, beside the key.
_SHAPES, _BETWEEN, _ALL = range(30, 33)


def mnist1d(batch: int, key: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Digits of one dimension: template, padding, size, circular shift, noise, slope, 40 steps.

    A template (standardised, moved to begin at 0, and divided by 6) gets 36 to 60 zeros behind it, is resampled to
    72 steps, multiplied by :math:`1 + 0.4u` and shifted around by 0 to 47 steps. Where it is not, there is Gaussian
    noise of 0.25, smoothed by a Gaussian kernel of 2 steps; noise of 0.02 is on all. A slope of :math:`0.75u` is
    taken off, and the whole is resampled to 40 steps; each u is uniform in (-1/2, 1/2). The set is then
    standardised by one mean and one standard deviation. All constants are those of the authors, the draws are not.

    Parameters
    ----------
    batch, key : int
        Labels are 0 ... 9 in turn.

    Returns
    -------
    x : ndarray, shape (batch, 40)
    y : ndarray of int, shape (batch,)
    """
    y = np.arange(batch) % len(TEMPLATES)
    # one row for each example: a longer draw begins with a shorter one
    padding, size, shift, slope = generator(key, _SHAPES).random((batch, 4)).T[..., None]
    low, high = _PADDING
    digit = len(TEMPLATES[0])
    last = digit + low + np.floor(padding * (high - low + 1)) - 1  # of the padded template
    place = (np.arange(_LONG) - np.floor(shift * _SHIFTS)) % _LONG * last / (_LONG - 1)
    drawn = place < digit
    x = np.where(drawn, (1 + _SIZES * (size - 0.5)) * _heights(y, np.where(drawn, place, digit)), 0.0)
    noise = generator(key, _BETWEEN).standard_normal((batch, _LONG)) @ _smoothing()
    x = np.where(drawn, x, _CORRELATED * noise) + _NOISE * generator(key, _ALL).standard_normal((batch, _LONG))
    x = (x - _SLOPES * (slope - 0.5) * np.linspace(-0.5, 0.5, _LONG)) @ _resampling()
    return (x - x.mean()) / x.std(), y


def _heights(y: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Templates of the classes `y`, linear between their points, 0 from the one behind their last."""
    curves = (TEMPLATES - TEMPLATES.mean(1, keepdims=True)) / TEMPLATES.std(1, keepdims=True)
    curves = np.pad(_HEIGHT * (curves - curves[:, :1]), ((0, 0), (0, 2)))
    before = place.astype(int)
    part = place - before
    return (1 - part) * curves[y[:, None], before] + part * curves[y[:, None], before + 1]


def _smoothing() -> np.ndarray:
    """Matrix that smooths rows by a Gaussian kernel, cut at four standard deviations; the ends are mirrored."""
    reach = int(4 * _SMOOTHING + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / _SMOOTHING) ** 2)
    mirrored = np.pad(np.eye(_LONG), ((0, 0), (reach, reach)), mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(mirrored, len(kernel), 1) @ (kernel / kernel.sum())


def _resampling() -> np.ndarray:
    """Matrix that takes rows to 40 steps, linear between their points."""
    at = np.linspace(0, _LONG - 1, STEPS)
    return np.stack([np.interp(at, np.arange(_LONG), row) for row in np.eye(_LONG)])
