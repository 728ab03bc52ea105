"""Normalised initialisation keeps the variance of gradients, the standard one loses two thirds a layer.

python experiments/normalised_init.py            (about two minutes; writes reports/normalised_init)
python experiments/normalised_init.py --quick --out scratch/normalised_init
"""

import sys
from pathlib import Path

import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, answered, below, both, margin

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # of a script only its own folder is there
from experiments.figures.normalised_init import NAMES, TOLERANCE, draw  # noqa: E402

WIDTH = 1000
COLUMNS = {"log10_activation_rms": "activation", "log10_delta_rms": "gradient"}
CLAIM = f"""In tanh networks of five layers of {WIDTH} units at initialisation, layer by layer, the variance of the
activations and that of the back-propagated gradient over the last hidden layer's are theory's to {TOLERANCE:.0%}, with
the standard uniform weights, ±1/√n, and with the normalised ones, ±√(6/(n + n'))."""
TEXT = f"""Where tanh is nearly linear, a layer multiplies the variance by n Var W (equations 5 and 6 of Glorot & Bengio
2010). That is 1/3 with the standard weights, and 1 with the normalised ones between layers of equal width. Theory here
is the mean field of tanh, started from the inputs themselves; it also counts what the slope below 1 takes away. It is
exact for infinite width; width {WIDTH} leaves corrections of about a percent. Variance is the mean square, because the
means are near 0. For the measured gradients the loss gives each example its own random direction at the output, so
that no label enters. Both kinds of weights are the same random draws, scaled; so they lie off theory in the same way.

The second figure is a short training on the same digits, with one seed, after their figures 2 and 3. It shows where
activations lie. No claim is made of it."""
CAPTIONS = {
    "variances": Caption(
        """With the standard weights the gradient's variance falls to {standard:.1%} from layer {depth} to layer 1, with
        the normalised ones to {normalised:.0%}; theory says both.""",
        {
            "a": "Mean square of the activations of each layer.",
            "b": "Mean square of the back-propagated gradient ∂L/∂z, relative to that of the last hidden layer.",
            "c": "Measured over theory, of the activations.",
            "d": "The same of the gradient; the last layer is 1 by construction and is left out.",
        },
        """Points are geometric means over n = {seeds} seeds, bars 95 % t-intervals (in a and b smaller than the
        points), dashed lines theory; hollow points have standard weights. The grey zone in c and d is what the claim
        allows. There points are moved apart a little to be seen.""",
        "Tanh networks, {depth} × {width}, on a batch of {batch} {data}, at initialisation.",
    ),
    "activations": Caption(
        """In {steps} steps of training the activations of layer {depth} spread from ± {before:.2f} to ± {after:.2f}
        with the standard weights, and from ± {wide:.2f} to ± {end:.2f} with the normalised ones.""",
        {
            "a, b, c": "Standard weights, three of the layers.",
            "d, e, f": "Normalised weights, the same layers.",
        },
        """Mean (line) ± standard deviation (band) over units and examples, and the {percentile}th percentile (the
        other line); n = 1 seed, so no band is one over seeds.""",
        """Tanh networks, {depth} × {width}, on {data}, SGD at the learning rate {learning_rate}, minibatches of
        {batch}.""",
    ),
}
FIXED = ((f"{TOLERANCE:.0%} about theory", "before the first run"),)
SAID = Words(
    "Normalised weights keep the variance of gradients",
    CLAIM,
    TEXT,
    CAPTIONS,
    FIXED,
    case="one layer's variance, of activations or of the gradient, with one kind of weights",
)


def measure(quick):
    """The networks before training with what theory expects of them, and a training of each."""
    nets = {"depth": 5, "width": 64 if quick else WIDTH, "activation": "tanh", "init": tuple(NAMES), "batch": 64}
    sweep = gl.Sweep(**nets, loss="probe", seeds=3 if quick else 10, columns=tuple(COLUMNS))
    columns = ("log10_activation_rms", "activation_mean_over_rms", "activation_p98_over_rms", "train_accuracy")
    steps = 10 if quick else 200
    training = gl.TrainingSweep(**nets, learning_rate=0.05, steps=steps, records=10, seeds=1, columns=columns)
    start = gl.run(sweep, progress=False)
    return sweep, training, start, gl.predict_all(sweep), gl.run(training, progress=False)


def judge(frame, expected):
    """A row for each network, quantity and layer: measured and predicted variance, their ratio, and the claim."""
    rows = []
    hidden = frame[frame["layer"].between(1, frame["depth"])]
    for network, own in hidden.groupby("network", observed=True):
        for column, quantity in COLUMNS.items():
            logs = own.pivot(index="seed", columns="layer", values=column)
            theory = pd.Series(expected[network].columns[column][: logs.shape[1]], logs.columns)
            if quantity == "gradient":
                logs, theory = logs.sub(logs.iloc[:, -1], axis=0).iloc[:, :-1], (theory - theory.iloc[-1]).iloc[:-1]
            for layer in logs:
                table = logs[layer].rename("log10_rms").reset_index().assign(of="all")
                found = gl.summarise(table, "of", "log10_rms").iloc[0]
                measured = [10 ** (2 * found[name]) for name in ("mean", "low", "high")]
                predicted = 10 ** (2 * theory[layer])
                ratio = [value / predicted for value in measured]
                claim = both(below(*ratio[1:], 1 + TOLERANCE), above(*ratio[1:], 1 - TOLERANCE))
                rows.append((NAMES[str(own["init"].iloc[0])], quantity, layer, *measured, predicted, *ratio, claim))
    names = ["weights", "quantity", "layer", "variance", "variance_low", "variance_high", "predicted"]
    return pd.DataFrame(rows, columns=[*names, "ratio", "low", "high", "claim"]).astype({"claim": object})


def answers(table):
    """Case -> whether the claim is true of it."""
    return {f"{r.weights}, {r.quantity}, layer {r.layer}": r.claim for r in table.itertuples()}


def tell(tables):
    """Numbers for the sentences."""
    table = tables["variances"].set_index(["quantity", "weights", "layer"])["variance"]
    trained = tables["training"]
    last = trained[trained["layer"] == trained["layer"].max()]
    spread = lambda row: 10 ** row["log10_activation_rms"] * (1 - row["activation_mean_over_rms"] ** 2) ** 0.5
    ends = lambda init: [float(spread(last[last["init"] == init].sort_values("step").iloc[i])) for i in (0, -1)]
    told = {name: float(table["gradient", name, 1]) for name in NAMES.values()}
    told |= dict(zip(("before", "after"), ends("standard_uniform"), strict=True))
    told |= dict(zip(("wide", "end"), ends("xavier_uniform"), strict=True))
    return told | {"percentile": 98}


def show(tables):
    """The table of the page: those nearest to a line of the claim first."""
    table = tables["variances"]
    rows = list(table.itertuples())
    cells = {
        "weights": table["weights"],
        "quantity": table["quantity"],
        "layer": table["layer"],
        "variance": table["variance"].map("{:.3g}".format),
        "theory": table["predicted"].map("{:.3g}".format),
        "measured / theory": [f"{r.ratio:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in rows],
        "claim": [answered(r.claim) for r in rows],
        "margin": [margin(r.low, r.high, 1 - TOLERANCE, 1 + TOLERANCE) for r in rows],
    }
    return pd.DataFrame(cells).set_index("weights")


PAGE = Experiment("normalised_init", SAID, draw, show, tell, doc=__doc__)


def main():
    """Measure, train, judge, draw, write."""
    asked = PAGE.options(__doc__, __file__)
    sweep, training, start, expected, trained = measure(asked.quick)
    table = judge(start, expected)
    finding = Finding.of(answers(table))
    setting = {"data": sweep.data, "depth": sweep.depth[0], "width": sweep.width[0], "batch": sweep.batch}
    setting |= {"loss": sweep.loss, "seeds": len(sweep.seed_numbers), "steps": training.steps, "dtype": sweep.dtype}
    setting |= {"learning_rate": training.learning_rate[0]}
    along = trained[trained["layer"].between(1, trained["depth"])]
    kept = along.dropna(axis=1, how="all")
    PAGE.publish(asked.out, {"variances": table, "training": kept}, finding=finding, setting=setting)


if __name__ == "__main__":
    main()
