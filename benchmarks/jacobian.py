"""The ten largest singular values of a large Jacobian: gradlab beside jax.jacrev and jnp.linalg.svd.

    python benchmarks/jacobian.py

tanh, depth 50, width 1000, float32, from the first to the last hidden preactivation at one input. "First" compiles.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from in_turn import in_turn
from jax import lax

import gradlab as gl


def rival(net, params):
    """All singular values by automatic differentiation: the whole Jacobian, then its decomposition."""
    layers = [p["weight"] for _, p in net.layers(params)]
    stacked = jnp.stack(layers[1:-1])

    def above(z):
        return lax.scan(lambda z, w: (jnp.tanh(z) @ w, None), z, stacked)[0]

    return jax.jit(lambda x: jnp.linalg.svd(jax.jacrev(above)(x @ layers[0]), compute_uv=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("depth", 50), ("width", 1000), ("k", 10), ("runs", 3)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    net = gl.MLP(depth=args.depth, width=args.width, activation="tanh", init="gaussian", sigma_w2=1.5, bias=False)
    x = np.random.default_rng(0).normal(size=(1, args.width)).astype("float32")
    params = jax.block_until_ready(net.init_params(0, x, outputs=10))
    ends = {"source": 1, "target": args.depth}
    theirs = rival(net, params)
    spectrum = lambda **how: gl.jacobian_spectrum(net, x, params=params, **ends, **how).log10_singular_values[0, 0]
    calls = {
        "gradlab": lambda: spectrum(k=args.k),
        "gradlab, by Lanczos": lambda: spectrum(k=args.k, method="lanczos"),
        "gradlab, all": spectrum,
        "jax.jacrev and svd": lambda: np.log10(np.asarray(theirs(x[0]))),
    }
    first = in_turn(calls, 1, warm_up=0)
    times = in_turn(calls, args.runs, warm_up=0)
    values = {label: call()[: args.k] for label, call in calls.items()}
    what = f"depth {args.depth}, width {args.width}, {args.k} largest"
    print(f"| {what} | first s | median s | over jacrev | largest | off by |")
    print("|---|---|---|---|---|---|")
    for label, found in values.items():
        off = np.max(np.abs(10 ** (found - values["gradlab, all"]) - 1))
        seconds = (
            f"{first.median(label):.1f} | {times.median(label):.2f} | {times.over(label, 'jax.jacrev and svd'):.2f}"
        )
        print(f"| {label} | {seconds} | {10 ** found[0]:.5f} | {off:.0e} |")


if __name__ == "__main__":
    main()
