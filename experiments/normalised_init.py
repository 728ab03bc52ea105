"""Normalised initialisation keeps the variance of gradients, the standard one loses two thirds a layer.

python experiments/normalised_init.py            (about two minutes; writes reports/normalised_init)
python experiments/normalised_init.py --quick --out scratch/normalised_init
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.reporting import Caption, Experiment, Finding, Words, above, below, both

TOLERANCE, WIDTH = 0.05, 1000
NAMES = {"standard_uniform": "standard", "xavier_uniform": "normalised"}
COLUMNS = {"log10_activation_rms": "activation", "log10_delta_rms": "gradient"}
CLAIM = f"""In tanh networks of five layers of {WIDTH} units at initialisation, layer by layer, the variance of the
activations and that of the back-propagated gradient over the last hidden layer's are theory's to {TOLERANCE:.0%}, with
the standard uniform weights, ±1/√n, and with the normalised ones, ±√(6/(n + n'))."""
TEXT = f"""Where tanh is nearly linear the variances are products of n Var W (equations 5 and 6 of Glorot & Bengio
2010), 1/3 a layer with the standard weights and 1 between layers of equal width with the normalised ones; theory here
is the mean field of tanh from the inputs themselves, which adds what its slope below 1 takes away. Width {WIDTH}
leaves corrections of a percent or so; the line of {TOLERANCE:.0%} is ours, fixed before the first run. Variance is the
mean square, the means being near 0. The loss of the measured gradients gives each example its own random direction at
the output. The panels on the right are a short training on the same digits, with one seed, after their figures 2 and
3: it shows where activations lie, and no claim is made of it."""
CAPTION = """Tanh networks, {depth} × {width}, on {data}. Left: mean square of activations (top) and of ∂L/∂z over the
last hidden layer's (bottom) at initialisation; points are geometric means over n = {seeds} seeds, bars 95 %
t-intervals, mostly smaller than the point; lines are theory. Right: activations along {steps} steps of SGD at
{learning_rate}, one seed, minibatches of {batch}: mean (line) ± standard deviation (band) over units and examples, and
their upper percentile (dashed, that of the column `activation_p98_over_rms`)."""
SAID = Words("Normalised weights keep the variance of gradients", CLAIM, TEXT, {"normalised_init": Caption(CAPTION)})


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


def draw(tables):
    """Variances by layer beside theory, and activations along the training."""
    table, trained = tables["variances"], tables["training"]
    figure, axes = plt.subplots(2, 4, figsize=(10, 4.6), layout="constrained", width_ratios=(1.3, 1, 1, 1))
    for ax, quantity in zip(axes[:, 0], ("activation", "gradient"), strict=True):
        for weights, own in table[table["quantity"] == quantity].groupby("weights"):
            colour = {"standard": "C1", "normalised": "C0"}[weights]
            logs = np.log10(own[["variance", "variance_low", "variance_high", "predicted"]])
            bars = [logs["variance"] - logs["variance_low"], logs["variance_high"] - logs["variance"]]
            ax.errorbar(own["layer"], logs["variance"], bars, fmt="o", ms=4, color=colour, label=weights)
            ax.plot(own["layer"], logs["predicted"], color=colour, linewidth=0.8)
        gl.plots.log10_axis(ax)
        ax.set(xlabel="layer (1 = next to the input)", xlim=(0.7, 5.3), xticks=range(1, 6))
    axes[0, 0].set_ylabel("variance of activations")
    axes[1, 0].set_ylabel("variance of ∂L/∂z over layer 5's")
    axes[0, 0].legend(fontsize=7, frameon=False)
    gl.plots.activation_bands(trained, row="init", layers=(1, 3, 5), ax=list(axes[:, 1:].flat), legend=False)
    for row, init in zip(axes, NAMES.values(), strict=True):
        edges = [edge for ax in row[1:] for edge in ax.get_ylim()]
        for ax in row[1:]:
            ax.set(ylim=(min(edges), max(edges)), ylabel="")
        row[1].set_ylabel(f"activation, {init}")
    return {"normalised_init": figure}


def shown(table):
    """The table of the page."""
    rows = list(table.itertuples())
    cells = {
        "weights": table["weights"],
        "quantity": table["quantity"],
        "layer": table["layer"],
        "variance": table["variance"].map("{:.3g}".format),
        "theory": table["predicted"].map("{:.3g}".format),
        "ratio": [f"{r.ratio:.4f} [{r.low:.4f}, {r.high:.4f}]" for r in rows],
        "claim": ["open" if r.claim is None else str(bool(r.claim)).lower() for r in rows],
    }
    return pd.DataFrame(cells).set_index("weights")


PAGE = Experiment("normalised_init", SAID, draw, lambda tables: shown(tables["variances"]))


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
