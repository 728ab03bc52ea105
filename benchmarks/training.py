"""Training steps: gradlab's compiled loop beside a plain jitted optax loop with jax.grad, in one interleaved run.

    python benchmarks/training.py

The rival is what one writes: `jax.value_and_grad` of the plain forward pass (layers in a scan), optax's update,
minibatches from a permutation of each epoch, all of it in one jitted `fori_loop`. Both train the same network
from the same weights on the digits. `records` takes a whole call of `gl.train`, with statistics at 20 steps, beside
the rival's loop of as many steps; both compiled before.
"""

import argparse
import functools

import jax
import jax.numpy as jnp
import optax
from in_turn import in_turn
from jax import lax

import gradlab as gl
from gradlab.config import TrainingConfig
from gradlab.data import load
from gradlab.training.plan import Plan
from gradlab.training.split import split
from gradlab.training.trainer import Trainer

TX = {"sgd": optax.sgd(0.1), "adam": optax.adam(1e-3)}


def plain_loop(net, x, y, tx, batch):
    """steps -> trained parameters, as one writes it."""
    phi = {"relu": jax.nn.relu, "tanh": jnp.tanh}[net.activation]

    def loss(params, x, y):
        (first, _), (run, _), (head, _) = params
        layer = lambda a, p: phi(a @ p["weight"] + p["bias"])
        a, _ = lax.scan(lambda a, p: (layer(a, p), None), layer(x, first), run)
        logits = a @ head["weight"] + head["bias"]
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    @jax.jit
    def run(params, key, steps):
        def step(i, carry):
            params, state, order = carry
            each = len(x) // batch
            fresh = lambda: jax.random.permutation(jax.random.fold_in(key, i // each), len(x))
            order = lax.cond(i % each == 0, fresh, lambda: order)
            rows = lax.dynamic_slice(order, (i % each * batch,), (batch,))
            grads = jax.value_and_grad(loss)(params, x[rows], y[rows])[1]
            updates, state = tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state, order

        return lax.fori_loop(0, steps, step, (params, tx.init(params), jnp.arange(len(x))))[0]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    print("| network, optimiser | plain loop, ms a step | gradlab over it, run by run | CPU | with 20 records | CPU |")
    print("|---|---|---|---|---|---|")
    for depth, width, batch, name in ((10, 128, 128, "sgd"), (10, 128, 128, "adam"), (30, 128, 128, "adam"),
                                      (10, 512, 128, "adam")):  # fmt: skip
        data = load("digits")
        net = gl.MLP(depth=depth, width=width, activation="relu", init="he_normal")
        parts = split(data.x, data.y, 0.2, batch, 10, "digits", 0)
        plan = Plan(steps=args.steps, batch=batch, records=(0, args.steps), loss="softmax_cross_entropy",
                    dtype="float32", key=0)  # fmt: skip
        of = Trainer(TrainingConfig(net, optimizer=name), parts, plan)
        start = of.start(0)
        rival = plain_loop(net, of.x, of.y, TX[name], batch)
        whole = functools.partial(
            gl.train, net, data.x, data.y, optimizer=name, steps=args.steps, batch=batch, progress=False
        )  # fmt: skip
        sides = {
            "plain": functools.partial(rival, start.params, of.key(0), args.steps),
            "gradlab": functools.partial(of.advance, 0, start, args.steps),
            "records": lambda whole=whole: whole().params,
        }
        times = in_turn(sides, args.runs)
        over = [times.over(side, "plain", cpu=cpu) for side in ("gradlab", "records") for cpu in (False, True)]
        ms = 1e3 * times.median("plain") / args.steps
        label = f"{depth} × {width}, batch {batch}, {name}"
        print(f"| {label} | {ms:.2f} | {' | '.join(f'{ratio:.2f}' for ratio in over)} |", flush=True)


if __name__ == "__main__":
    main()
