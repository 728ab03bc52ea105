"""The one table of lines: where a rule begins to speak, why there, and who says so.

All lines are on numbers without a unit of the user's: decades between two layers, shares, a scale over another. So a
loss times 1e4, another batch or a mean in place of a sum moves no number across a line.
"""

from __future__ import annotations

from typing import NamedTuple

from gradlab.measurement.slope import LINE as HOUSE_LINE


class Line(float):
    """A number that is compared with, and why it is this one.

    Parameters
    ----------
    value : float
        The number.
    unit : str
        What is counted: ``decades``, ``share``.
    reason : str
        Why the line is drawn there.
    source : str
        Who measured, derived or published it.
    """

    unit: str
    reason: str
    source: str

    def __new__(cls, value: float, unit: str, reason: str, source: str) -> Line:
        """Return a float with three words on it."""
        line = super().__new__(cls, value)
        line.unit, line.reason, line.source = unit, reason, source
        return line


class Lines(NamedTuple):
    """All lines, by name."""

    # --- over depth and time
    fewest: Line = Line(4, "places", "three steps: fewer cannot tell a factor of each layer from one odd layer", "here")
    fewest_unlike: Line = Line(
        3, "places", "a chain of unlike layers is all that a small network has; its line is higher", "here"
    )
    decades: Line = Line(
        HOUSE_LINE,
        "decades",
        "over its depth a healthy network changes the size of a gradient by less than tenfold",
        "gradlab.measurement.slope; He ReLU of width 128 drifts 0.07 decades over 50 layers, post-LN +0.1 to +0.45",
    )
    decades_unlike: Line = Line(
        2,
        "decades",
        "between unlike layers pooling, fans and readouts make up to a decade that is no fault",
        "an average over 2 x 2 is 0.3, a gain of Xavier in place of He 0.15 for each layer",
    )
    decades_alone: Line = Line(
        3, "decades", "a signal that changes alone is also what training does; a thousandfold is not", "here"
    )
    readout: Line = Line(
        3, "decades", "a readout starts small or at zero on purpose, but not a thousand times smaller",
        "muP: 1 / root of the width, 2.1 decades at width 16384; heads of policies 0.01",
    )  # fmt: skip
    grave: Line = Line(
        3, "decades", "layers whose gradients differ a thousandfold cannot be trained at one learning rate", "here"
    )
    rate_in_time: Line = Line(
        0.7, "factor", "a recurrence that passes less than seven tenths of its gradient forgets in ten steps",
        "an LSTM whose forget bias is 1 passes sigmoid(1) = 0.73 (Jozefowicz et al. 2015)",
    )  # fmt: skip
    rate_of_gates: Line = Line(
        0.45, "factor", "gates that are half open pass half, and can learn to open; less than that are shut",
        "sigmoid(0) = 0.5: LSTM and GRU with biases of 0",
    )  # fmt: skip
    together: Line = Line(
        0.5, "share", "a fault of the stack is in most of its roles, queries and keys alone may do otherwise", "here"
    )
    # --- units
    saturated: Line = Line(
        0.5,
        "share",
        "more entries of the layer are within 1 % of a limit than are not",
        "tanh at unit variance has 2 %, at sigma_w = 2 20 %; DeepDiagnosis draws the line at half as well",
    )
    saturated_grave: Line = Line(0.9, "share", "hardly an entry passes a gradient", "here")
    dead: Line = Line(
        0.75,
        "share",
        "of a symmetric layer at most half of the units are 0 on all of a batch, where examples are alike; "
        "of 64 units four standard deviations more",
        "binomial law",
    )
    dead_grave: Line = Line(0.95, "share", "hardly a unit is left", "DLCheck: zeros > 0.95")
    examples: Line = Line(16, "entries", "a unit that is 0 on 16 entries is so by chance once in 65536", "binomial law")
    identical: Line = Line(0.1, "share", "weights that were drawn and learn are never equal to the bit", "here")
    # --- examples
    alike: Line = Line(
        -3, "decades", "examples differ by less than 4.5 % of the signal: He ReLU comes to -2.4 at depth 100",
        "the law 1 - c = 44 / l^2 of ReLU; ordered phases fall exponentially (Schoenholz et al. 2017)",
    )  # fmt: skip
    alike_by: Line = Line(
        -2, "decades", "the network made them so: they differed a hundred times more at its first layer", "here"
    )
    alike_by_bias: Line = Line(
        -1, "decades", "what inputs make is a tenth of the bias: behind it examples differ by 1 % of the mean square",
        "1 - c = (rms of what inputs make / rms of the bias)^2",
    )  # fmt: skip
    alike_behind: Line = Line(
        -2, "decades", "examples differ by less than 14 % of the signal, where a bias explains it", "here"
    )
    alike_places: Line = Line(
        -3, "decades", "the values that attention mixes differ by a thousandth of themselves",
        "at initialisation they differ by a third and more: healthy transformers have -1 to 0.1",
    )  # fmt: skip
    small_logits: Line = Line(
        0.5, "decades", "a softmax of logits of rms 3 passes what it gets: it is not that which holds it back", "here"
    )
    similar: Line = Line(-1, "decades", "examples whose signals have a cosine above 0.9 are similar", "here")
    driven_apart: Line = Line(
        1, "decades", "similar examples are ten times further apart in the last layer than in the first", "here"
    )
    cosine_lost: Line = Line(
        0.1,
        "ratio",
        "of the cosine of deltas at the last layer less than a tenth is left at the first",
        "Balduzzi et al. 2017: shattered gradients",
    )
    cosine_seen: Line = Line(0.3, "cosine", "a cosine that can be lost", "here")
    noise: Line = Line(
        1.5, "ratio", "of a gradient that is noise the ratio is 1 in the mean; the rest is room for parts of a batch",
        "McCandlish et al. 2018: the simple noise scale",
    )  # fmt: skip
    # --- precision
    lost: Line = Line(
        0.25,
        "share",
        "in half precision networks diverge without a loss scale where 31 % of the gradient are zeros",
        "Micikevicius et al. 2018, section 3.2",
    )
    all_lost: Line = Line(0.999, "share", "nothing is left", "here")
    below_epsilon: Line = Line(
        0.5,
        "share",
        "for most entries Adam's step is no longer the sign of the gradient but shrinks with it",
        "Kingma & Ba 2015: epsilon 1e-8",
    )
    # --- norms, updates, attention
    norm_epsilon: Line = Line(
        0,
        "decades",
        "where the variance is below epsilon it is epsilon that is divided by",
        "x / sqrt(v + eps)",
    )
    update_large: Line = Line(
        -1, "decades", "a step moves a weight by a tenth of itself", "torchmortem and TheDeepChecker draw the line here"
    )
    attention: Line = Line(
        1.7,
        "decades",
        "at logits of rms 50 a softmax is a maximum, and passes no gradient",
        "unit queries and keys have 1, without the division by sqrt(d) at most 16; Zhai et al. 2023, entropy collapse",
    )
    # --- the end of the network
    wrong_slope: Line = Line(3, "errors", "the difference is three times what rounding and curvature explain", "here")
    wrong_slope_by: Line = Line(0.05, "share", "and a twentieth of the slope itself", "here")
    end_scale: Line = Line(
        100,
        "outputs",
        "the loss asks for a change of the outputs by 100: cross-entropy of small logits for log K, "
        "a squared error of standardised targets for half the root of their number",
        "loss / |delta| of an example",
    )
    end_targets: Line = Line(
        1000, "outputs", "targets a thousand times the scale of what networks put out", "loss / |delta| of an example"
    )
    end_there: Line = Line(0.1, "ratio", "what is put out is not a tenth of what is asked for", "here")
    end_outputs: Line = Line(
        30,
        "outputs",
        "no loss of outputs that are about right is 30 times its own slope",
        "loss / |delta| of an example",
    )
    outputs: Line = Line(10, "rms", "outputs beyond 10 are a softmax without doubt", "exp(-10) = 5e-5")
    can_fall: Line = Line(0.01, "share", "a constant in the loss cannot fall, nor can a minimum", "here")
    falls_at_all: Line = Line(
        1e-3,
        "share",
        "a loss at its minimum falls by less, and one that two softmaxes flatten by more",
        "here",
    )
    drowned: Line = Line(
        -1.5, "decades", "inputs make 3 % of what the bias makes: examples are alike behind it", "the line of collapse"
    )
    one_sided: Line = Line(-2, "decades", "an output within a hundredth of one limit for every example", "here")
    end_twice: Line = Line(
        1.5, "ratio", "one softmax asks for log K and the spread of the logits at most, two for K times as much",
        "softmax at equal logits has the derivative (1 - 1/K) / K",
    )  # fmt: skip


#: The table.
LINES = Lines()


def table() -> list[tuple[str, float, str, str, str]]:
    """Name, value, unit, reason and source of each line."""
    return [(name, float(line), line.unit, line.reason, line.source) for name, line in LINES._asdict().items()]
