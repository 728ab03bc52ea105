"""Examples that are runs of a sweep: networks as they begin, and along their training."""

import gradlab as gl

PROFILE = ("log10_activation_rms", "log10_delta_rms", "log10_weight_grad_norm")
#: tanh on both sides of the transition; the gallery predicts the same sweep.
ORDER_TO_CHAOS = {
    "depth": 30, "width": 200, "activation": "tanh", "init": "gaussian", "sigma_w2": (1.0, 1.4, 1.76, 2.5, 4.0),
    "sigma_b2": 0.05, "readout": "lecun_normal", "batch": 16, "data": "gaussian", "c0": 0.6, "loss": "probe",
}  # fmt: skip
LEARNT = ("train_accuracy", "test_accuracy", "log10_train_loss", "log10_test_loss")


def depth():
    """Depths 2, 8 and 32, three activations, two initialisers, three seeds."""
    return gl.run(gl.Sweep(depth=[2, 8, 32], width=64, batch=64, seeds=3), progress=False)


def order_to_chaos():
    """Deep tanh networks whose weights are too small, critical and too large."""
    columns = ("delta_log10_mean", "log10_delta_rms", "log10_preactivation_rms", "log10_one_minus_c")
    return gl.run(gl.Sweep(**ORDER_TO_CHAOS, seeds=4, columns=columns), progress=False)


def time_steps():
    """Recurrent cells over a sequence: the layers are time steps."""
    common = {"architecture": "rnn", "width": 32, "seeds": 3, "batch": 32, "data": "digits_rows", "columns": PROFILE}
    return gl.run(gl.Sweep(**common, cell=("rnn", "lstm", "gru")), progress=False)


def training():
    """Eight layers of sigmoid and of ReLU along their training."""
    columns = (*PROFILE, "log10_update_ratio", "activation_mean_over_rms", "activation_p98_over_rms", *LEARNT)
    nets = {"depth": 8, "width": 32, "activation": ("sigmoid", "relu"), "init": "he_normal"}
    sweep = gl.TrainingSweep(**nets, optimizer="sgd", steps=300, batch=64, records=12, seeds=2, columns=columns)
    return gl.run(sweep, progress=False)


def divergence():
    """A ReLU network at a learning rate that is too large, until its loss is not finite."""
    columns = (*PROFILE, "log10_update_ratio", "log10_train_loss")
    nets = {"depth": 12, "width": 32, "activation": "relu", "init": "gaussian", "sigma_w2": 4.0}
    options = {"optimizer": "sgd", "learning_rate": 1.0, "steps": 12, "records": tuple(range(13))}
    sweep = gl.TrainingSweep(**nets, **options, batch=64, seeds=1, columns=columns, on_failure="continue")
    return gl.run(sweep, progress=False)


def trainability():
    """The end of trainings of tanh networks, by depth and weight variance."""
    nets = {"depth": (5, 10, 20, 40, 80), "width": 100, "activation": "tanh", "init": "gaussian", "sigma_b2": 0.05}
    sweep = gl.TrainingSweep(
        **nets, sigma_w2=(1.0, 1.4, 1.76, 2.5, 4.0), readout="xavier_normal", learning_rate=0.001, steps=300, batch=64,
        records=2, seeds=2, columns=("train_accuracy", "test_accuracy"),
    )  # fmt: skip
    frame = gl.run(sweep, progress=False)
    return frame[(frame["step"] == frame["step"].max()) & (frame["layer"] == 1)].reset_index(drop=True)


def sharpness():
    """A tanh network along full-batch gradient descent, at three learning rates."""
    columns = ("log10_train_loss", "sharpness", "sharpness_threshold", "hessian_products")
    sweep = gl.TrainingSweep(
        depth=2, width=32, activation="tanh", init="lecun_normal", loss="mse", learning_rate=(0.2, 0.3, 0.4), seeds=2,
        examples=300, batch="all", test=0.0, steps=2500, records=tuple(range(0, 2501, 50)), columns=columns,
        sharpness=True,
    )  # fmt: skip
    frame = gl.run(sweep, progress=False)
    return frame[frame["layer"] == 1].reset_index(drop=True)
