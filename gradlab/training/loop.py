"""Train networks with the hand-written gradient, and write down what each layer does on the way."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

from gradlab._errors import GradlabError, unknown
from gradlab._progress import reporter
from gradlab.config import (
    ALL,
    DTYPES,
    LOSSES,
    ON_FAILURE,
    TrainingConfig,
    batch_size,
    positive_integer,
    record_steps,
    resolve,
    seed_numbers,
)
from gradlab.core.batch import default_loss
from gradlab.core.parameters import check_parameters, require_network
from gradlab.data import Data, load
from gradlab.networks.given import digest
from gradlab.networks.network import Network, example_shape
from gradlab.networks.resolved import fingerprints
from gradlab.training.checkpoints import Checkpoints
from gradlab.training.optax_optimizer import optax_optimizer
from gradlab.training.plan import Plan
from gradlab.training.records import Training
from gradlab.training.seeds import train_network
from gradlab.training.split import split


def train(
    net: Network,
    x: Any,
    y: Any,
    *,
    optimizer: Any = "sgd",
    label: str | None = None,
    learning_rate: float | None = None,
    momentum: float = 0.9,
    schedule: str = "constant",
    warmup: int = 0,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    clip_adaptive: float | None = None,
    weight_decay: float | None = None,
    dropout: float = 0.0,
    steps: int = 1000,
    batch: int | Literal["all"] = 128,
    test: float | tuple[Any, Any] = 0.2,
    seeds: int | Sequence[int] = 1,
    key: int = 0,
    params: Any = None,
    loss: str | None = None,
    records: int | Sequence[int] = 20,
    columns: Sequence[str] | None = None,
    sharpness: bool = False,
    on_failure: str = "stop",
    checkpoint: str | os.PathLike[str] | None = None,
    dtype: str = "float32",
    data: str = "arrays",
    progress: bool | None = None,
    **misspelt: Any,
) -> Training:
    r"""Train a network by the hand-written backward pass, and record what each of its layers does.

    Parameters
    ----------
    net : network
        The network, of any architecture.
    x, y : array
        Examples and targets.
    optimizer : str or optax.GradientTransformation
        sgd, momentum, nesterov, rmsprop, adam, adamw, muon, lion, schedule_free, sign; or any transformation of optax,
        which then has its learning rate in it: the frame's `learning_rate` is NaN. The notes say what the last four
        do.
    label : str, optional
        What the frame calls a transformation of optax. None: "optax" and six digits that stand for what it computes.
        Its content counts in any case: two that differ are two networks in the frame, and neither goes on from a
        checkpoint of the other.
    learning_rate : float, optional
        The largest of the schedule. None: 0.1 for sgd, 0.01 for momentum and nesterov, 0.02 for muon, 0.0025 for
        schedule_free, 0.0001 for lion and sign, 0.001 for all others. It is the number to try first when a training
        diverges or stands still.
    momentum : float
        Of momentum and nesterov alone.
    schedule : {"constant", "linear", "cosine"}
        The learning rate stays, or falls to 0 at the last step. Of schedule_free it stays.
    warmup : int
        Steps in which the learning rate rises from 0.
    clip_norm, clip_value, clip_adaptive : float, optional
        Largest global norm of a gradient, largest entry, or largest norm of a unit's gradient over that of its
        weights; at most one of them.
    weight_decay : float, optional
        Factor of the weights in their own update (adamw, muon, lion, schedule_free), or of half the squared weights in
        the loss (all others). None: 0.0001 for adamw and 0.001 for lion, as in optax, and 0 for all others.
    dropout : float
        Rate.
    steps : int
        Updates.
    batch : int or "all"
        Examples in a minibatch, drawn without replacement in each epoch. As many of the training examples, balanced
        over the classes and always the same, are what the statistics are taken on. "all": each step sees all training
        examples, in one order, so that nothing is drawn: full-batch gradient descent.
    test : float or (x, y)
        Share of the examples that is kept apart, or other examples.
    seeds : int or sequence of int
        Number of seeds, or their numbers: of weights, order of the examples and dropout. Weights are those that
        `gradlab.measure` draws. On a CPU two are trained at a time; on an accelerator, and
        where there are several devices, all in one call, or as many as the memory takes; with `checkpoint` one by one.
    key : int
        Base key of the seeds, and of what is kept apart.
    params : pytree, or mapping of int to pytree, optional
        Weights to start from, instead of draws: one tree for all seeds, which then differ in the order of the examples
        and in dropout alone, or one for each seed, such as `Training.params`. The optimiser starts anew. In the frame
        such a training is another `network` than one whose weights are drawn.
    loss : str, optional
        By default softmax cross-entropy for integer `y`, else "mse": half the squared error, summed over outputs
        (PyTorch and Keras take the whole, and the mean).
    records : int or sequence of int
        Number of steps at which statistics are taken, spaced logarithmically, first and last among them; or the steps.
    columns : sequence of str, optional
        Measured columns to keep. None: all.
    sharpness : bool
        Whether the largest eigenvalue of the Hessian is computed too, at each record, with the one above which steps
        are unstable beside it; of adam, adamw and rmsprop also that of the preconditioned Hessian. Each takes ten to
        thirty products with the Hessian, a product about as long as two steps; the column `hessian_products` counts
        them. It is taken on the measured batch: with ``batch="all"`` it is that of the whole training loss.
    on_failure : {"stop", "continue"}
        When a loss is not finite: stop and say where it came from, or go on.
    checkpoint : path, optional
        Folder of checkpoints (by orbax, ``pip install gradlab-jax[checkpoints]``). The same call there goes on where
        it was killed, with the same bits; of a training that failed the last good state is left.
    dtype : {"float32", "float64"}
        Precision of weights, gradients and updates. "float64" shows whether rounding matters, at half the speed.
    data : str
        What the frame calls the data.
    progress : bool, optional
        False: say nothing. None: a bar on a terminal, now and then a line elsewhere.
    **misspelt : Any
        Refused, with the option that is meant.

    Returns
    -------
    Training
        `.traces`, `.params`, `.losses`, `.failures`; `gradlab.frame` makes the table, with the column `step`.
        At each recorded step: the statistics of `gradlab.measure` on the fixed batch; of the update that follows the
        norms and their ratio to the weights, of the clipped gradient the norms; losses and accuracies.

    Notes
    -----
    All optimisers are optax's, with optax's other numbers.

    - muon (Jordan et al. 2024) makes the moving average of each layer's gradient nearly orthogonal. Matrices are the
      weights of all layers, the first one and the readout among them. Biases, gains and scales go to Adam, at the same
      learning rate.
    - lion (Chen et al. 2023) takes the sign of a moving average, sign the sign of the gradient itself
      (Bernstein et al. 2018): each weight moves by the learning rate.
    - schedule_free (Defazio et al. 2024) is its AdamW. It takes gradients at one point and answers with an average of
      the weights. Statistics, losses, accuracies, sharpness and `.params` are those of the average; norms of gradients
      and updates of the step that follows are those of the point at which its gradient is taken.

    Raises
    ------
    GradlabError
        An unknown optimiser, a learning rate that is not positive, a batch larger than the training data, a
        checkpoint of another training, and what `gradlab.measure` refuses.

    Examples
    --------
    >>> import gradlab as gl
    >>> from gradlab.data import load
    >>> digits = load("digits")
    >>> net = gl.MLP(depth=3, width=32, activation="tanh", init="xavier_normal")
    >>> run = gl.train(net, digits.x, digits.y, optimizer="adam", learning_rate=1e-2, steps=200, progress=False)
    >>> bool(run.last("test_accuracy") > 0.9)
    True
    """
    require_network(net, Network)
    for name in misspelt:
        raise unknown("option of train", name, inspect.signature(train).parameters)
    how = {
        "learning_rate": learning_rate, "momentum": momentum, "schedule": schedule, "warmup": warmup,
        "clip_norm": clip_norm, "clip_value": clip_value, "clip_adaptive": clip_adaptive,
        "weight_decay": weight_decay, "dropout": dropout,
    }  # fmt: skip
    if loss == "probe":
        raise GradlabError("a loss with targets", "loss='probe'", "loss='softmax_cross_entropy'")
    if on_failure not in ON_FAILURE:
        raise unknown("on_failure", on_failure, ON_FAILURE)
    dtype = resolve("dtype", dtype, DTYPES)
    loaded = load((x, y), loss=loss, dtype=dtype)
    loss = default_loss(loaded.y) if loss is None else resolve("loss", loss, LOSSES)
    example_shape(net, loaded.x)
    if isinstance(optimizer, str) and label is not None:
        raise GradlabError("label= only with an optimiser of your own", f"optimizer={optimizer!r}", "leaving it out")
    users = None if isinstance(optimizer, str) else optax_optimizer(optimizer, label, _shapes(net, loaded, dtype))
    names = {"optimizer": optimizer}
    if users is not None:
        names = {"optimizer": users.label, "optimizer_fingerprint": users.fingerprint}
    config = TrainingConfig(net, **names, **how, start="" if params is None else digest(params))
    batch, steps = batch_size("batch", batch), positive_integer("steps", steps)
    numbers = tuple(seed_numbers(seeds))
    start = None if params is None else _of_seeds(params, numbers)
    outputs = _fitting(net, start, loaded) if start else net.outputs_for(loaded.classes)
    parts = split(loaded.x, loaded.y, test, batch, outputs, data, key)
    plan = Plan(
        steps=steps, batch=len(parts.x) if batch == ALL else batch, full_batch=batch == ALL,
        records=record_steps(records, steps), loss=loss, dtype=dtype, key=key, columns=columns, sharpness=sharpness,
        keep_going=on_failure == "continue", optimizer=users,
    )  # fmt: skip
    report = reporter(progress, "gradlab train", "steps")
    report.start(plan.steps * len(numbers))
    identity = {
        "network": config.as_dict(), "functions": fingerprints(net),
        "optimizer": config.optimizer, "steps": plan.steps,
        "batch": batch, "records": plan.records, "loss": loss, "dtype": dtype, "key": key,
        "data": loaded.content_hash, "test": test if isinstance(test, float) else "given", "columns": columns,
        "sharpness": sharpness, "on_failure": on_failure,
    }  # fmt: skip
    try:
        keep = None if checkpoint is None else lambda seed: Checkpoints(checkpoint, seed, identity)
        return train_network(config, parts, plan, numbers, on_progress=report.advance, checkpoints_of=keep, start=start)
    finally:
        report.stop()


def _shapes(net: Network, loaded: Data, dtype: str) -> Any:
    """Return shapes and dtypes of the parameters that are drawn for the data."""
    with jax.enable_x64(dtype == "float64"):
        return jax.eval_shape(lambda: net.init_params(0, jnp.asarray(loaded.x[:1], dtype), outputs=loaded.classes))


def _of_seeds(params: Any, seeds: Sequence[int]) -> dict[int, Any]:
    """Return the weights that each seed starts from."""
    if not (isinstance(params, Mapping) and all(isinstance(key, int) for key in params)):
        return dict.fromkeys(seeds, params)
    missing = [seed for seed in seeds if seed not in params]
    if missing:
        raise GradlabError(
            f"params of seeds {', '.join(map(str, seeds))}", f"those of {', '.join(map(str, params)) or 'none'}",
            f"seeds={list(params)}",
        )  # fmt: skip
    return {seed: params[seed] for seed in seeds}


def _fitting(net: Network, start: Mapping[int, Any], loaded: Data) -> int:
    """Return the number of outputs of given weights, which may be more than the data have classes."""
    widths = {net.outputs_in(params) for params in start.values()}
    outputs = max(widths)
    if len(widths) > 1 or outputs < loaded.classes:
        wanted = f"params with outputs for {loaded.classes} classes or columns"
        raise GradlabError(wanted, ", ".join(map(str, sorted(widths))), "net.init_params(key, x, y) with this y")
    for params in start.values():
        check_parameters(net, params, example_shape(net, loaded.x), outputs)
    return outputs
