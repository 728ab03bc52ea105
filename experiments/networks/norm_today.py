"""The transformers of the experiment on where the norm stands today: at the start, and along a short training."""

import numpy as np
import pandas as pd

import gradlab as gl
from gradlab.data import load

DELTA, STREAM = "log10_delta_rms", "log10_preactivation_rms"
#: The fields of each place of the norms.
FIELDS = {"pre": {}, "peri": {"norm_position": "peri"}, "scaled": {"norm_scaling": True}}
#: Seeds that nobody had looked at when the lines of the claim were drawn.
SEEDS, TRAINED = tuple(range(16, 48)), tuple(range(16, 24))
#: Of the vector of the first position, 0 and 1 in turn: its mean square, and its variance, which a norm sees.
SQUARE, SPREAD = 0.5, 0.25
ONE = 1


def at_start(quick):
    """Setting; ln of variance and of squared gradient of each network and block, with theory; its growth."""
    depth, width, seeds = (16, 32, SEEDS[:4]) if quick else (64, 128, SEEDS)
    setting = {"depth": depth, "width": width, "seeds": len(seeds), "batch": 4 if quick else 8, "data": "digits_rows"}
    data, found = load(setting["data"], batch=setting["batch"]), []
    middle = data.x.shape[1] // 2
    for x in (np.ascontiguousarray(data.x[:, middle : middle + ONE]), data.x):
        for kind, fields in FIELDS.items():
            net = gl.Transformer(
                depth=depth, width=width, activation="relu", init="lecun_normal", bias=False, **fields
            )  # fmt: skip
            trace = gl.measure(net, x, data.y, loss="probe", seeds=seeds, columns=(STREAM, DELTA))
            wide = {c: 2 * np.log(10) * trace.columns[c][:, : depth + 1] for c in (STREAM, DELTA)}
            law = lambda added, wide=wide, fields=fields: gl.theory.block_stream(
                "relu", depth, variance=np.mean(np.exp(wide[STREAM][:, 0])) + added, **fields
            )
            growth = np.append(np.nan, np.append(np.cumsum(np.log(law(SPREAD).factor)[:0:-1])[::-1], 0.0))
            gradient = wide[DELTA] - wide[DELTA][:, -1:]
            for column, values, theory in (
                ("variance", wide[STREAM], np.log(law(SQUARE).variance)), ("gradient", gradient, growth)
            ):  # fmt: skip
                grid = pd.DataFrame(
                    {"seed": np.repeat(seeds, depth + 1), "block": np.tile(range(depth + 1), len(seeds))}
                )
                grid["value"], grid["theory"] = values.ravel(), np.tile(theory, len(seeds))
                found.append(grid.assign(positions=x.shape[1], kind=kind, signal=column)[grid["block"] > 0])
    setting |= {"heads": net.heads, "loss": "probe", "positions": x.shape[1]}
    return setting, pd.concat(found, ignore_index=True)


def along_training(quick):
    """Setting; ln of the variance of each network, step and block; test accuracy at the end."""
    depth, width, steps, seeds = (4, 8, 20, TRAINED[:3]) if quick else (12, 32, 300, TRAINED)
    setting = {"blocks": depth, "small": width, "steps": steps, "trained": len(seeds), "rate": 1e-3, "minibatch": 64}
    data, found, scores = load("digits_rows", batch=200 if quick else 1500), [], {}
    for kind, fields in FIELDS.items():
        net = gl.Transformer(depth=depth, width=width, activation="relu", init="lecun_normal", bias=False, **fields)
        training = gl.train(
            net, data.x, data.y, optimizer="adam", learning_rate=setting["rate"], steps=steps, seeds=seeds,
            batch=setting["minibatch"], records=(0, steps // 8, steps), columns=(STREAM, "test_accuracy"),
            progress=False,
        )  # fmt: skip
        frame = gl.frame(training)
        rows = frame[(frame["layer"] >= 1) & (frame["layer"] <= depth)]
        found.append(pd.DataFrame({
            "kind": kind, "seed": rows["seed"], "step": rows["step"], "block": rows["layer"],
            "value": 2 * np.log(10) * rows[STREAM],
        }))  # fmt: skip
        scores[kind] = float(frame.loc[frame["step"] == steps, "test_accuracy"].mean())
    return setting | {"accuracy": scores["pre"]}, pd.concat(found, ignore_index=True)
