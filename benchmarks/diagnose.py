"""What reading a stranger's model costs: value, gradient and all signals, over value and gradient alone.

    python benchmarks/diagnose.py
    python benchmarks/diagnose.py --width 64 --blocks 4         in seconds

A Flax transformer of 12 blocks of width 256, 4 heads, 4 sequences of 64 tokens, float32; blocks one after the other,
or in `nn.scan`. Two tables: from nothing to the first result (traced, lowered, compiled, run once; JAX's caches are
emptied before each), and a run after that.

``--whole`` adds a table of `gl.diagnose` as a user calls it, a row for each part: the look, the second look in
float64, the parameters, the loss around them, the remedies. Twice: from nothing, and again in the same process, where
single operations are compiled already. Its model has no norms and weights twice as large, for remedies are tried only
where something is found.
"""

import argparse
import functools
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
from in_turn import in_turn

import gradlab as gl
from gradlab.diagnosis.program import Program


class Block(nn.Module):
    width: int
    norms: bool = True

    @nn.compact
    def __call__(self, h, _):
        norm = lambda name: nn.LayerNorm(name=name) if self.norms else lambda h: h
        u = norm("ln1")(h)
        h = h + nn.MultiHeadDotProductAttention(4, name="attention")(u, mask=nn.make_causal_mask(u[..., 0]))
        up = nn.gelu(nn.Dense(4 * self.width, name="up")(norm("ln2")(h)))
        return h + nn.Dense(self.width, name="down")(up), None


class Transformer(nn.Module):
    width: int
    blocks: int
    scanned: bool
    norms: bool = True

    @nn.compact
    def __call__(self, tokens):
        h = nn.Embed(self.width, self.width, name="tokens")(tokens)
        if self.scanned:
            stack = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=self.blocks)
            h, _ = stack(self.width, self.norms, name="blocks")(h, None)
        else:
            for i in range(self.blocks):
                h, _ = Block(self.width, self.norms, name=f"block_{i}")(h, None)
        return nn.Dense(self.width, name="head")(nn.LayerNorm(name="ln")(h))


def model(width, blocks, scanned, norms=True):
    """Return a loss, its parameters and its batch."""
    net = Transformer(width, blocks, scanned, norms)
    tokens = jax.random.randint(jax.random.key(0), (4, 65), 0, width)
    params = jax.jit(net.init)(jax.random.key(1), tokens[:, :-1])["params"]

    def loss(params, tokens):
        log_p = jax.nn.log_softmax(net.apply({"params": params}, tokens[:, :-1]))
        return -jnp.mean(jnp.take_along_axis(log_p, tokens[:, 1:, None], -1))

    return loss, params, (tokens,)


def plain(loss, params, args):
    return jax.jit(jax.value_and_grad(loss))


def signals(loss, params, args):
    return lambda params, *args: Program.of(loss, params, args).run(params, args)


def from_nothing(make, loss, params, args):
    jax.clear_caches()
    return make(loss, params, args)(params, *args)


def parts(how, loss, params, args):
    """Print what each part of a diagnosis takes, from nothing and again, and over the first result of a gradient."""
    params = jax.tree.map(lambda w: 2 * w if w.ndim > 1 else w, params)
    start = time.perf_counter()
    jax.block_until_ready(from_nothing(plain, loss, params, args))
    gradient = time.perf_counter() - start
    jax.clear_caches()
    first, again = (gl.diagnose(loss, params, args) for _ in range(2))
    tried = sum(remedy.tried for finding in first.findings for remedy in finding.remedies)
    said = ", ".join(finding.kind for finding in first.findings) or "nothing"
    print(f"\nFound: {said}; {tried} remedies tried. A gradient from nothing: {gradient:.2f} s.")
    print(
        f"\n| {how}, a whole diagnosis | wall s | again | over a gradient from nothing | again |\n|---|---|---|---|---|"
    )
    for part in (*first.seconds, "whole"):
        own = [sum(d.seconds.values()) if part == "whole" else d.seconds.get(part, 0.0) for d in (first, again)]
        print(f"| {part} | {own[0]:.2f} | {own[1]:.2f} | {own[0] / gradient:.2f} | {own[1] / gradient:.2f} |")


def table(title, times, sides):
    """Print medians, and ratios to the first side, run by run."""
    first = sides[0]
    print(f"\n| {title} | wall s | CPU s | wall, over {first} | CPU, over {first} |\n|---|---|---|---|---|")
    for side in sides:
        own = times.median(side), times.median(side, cpu=True)
        over = times.over(side, first), times.over(side, first, cpu=True)
        print(f"| {side} | {own[0]:.3f} | {own[1]:.3f} | {over[0]:.2f} | {over[1]:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--runs", type=int, default=20, help="runs of a compiled program")
    parser.add_argument("--compilations", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="gl.diagnose as well, once, from nothing")
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {options.blocks} blocks of width {options.width}")
    for scanned in (False, True):
        loss, params, args = model(options.width, options.blocks, scanned)
        how = "scanned" if scanned else "one after the other"
        cold = {
            "gradient": functools.partial(from_nothing, plain, loss, params, args),
            "all signals": functools.partial(from_nothing, signals, loss, params, args),
        }
        table(f"{how}, first result", in_turn(cold, options.compilations, warm_up=0), list(cold))
        program, gradient = Program.of(loss, params, args), plain(loss, params, args)
        warm = {
            "gradient": functools.partial(gradient, params, *args),
            "all signals": functools.partial(program.run, params, args),
        }
        table(f"{how}, a run", in_turn(warm, options.runs, warm_up=2), list(warm))
        if options.whole:
            parts(how, *model(options.width, options.blocks, scanned, norms=False))


if __name__ == "__main__":
    main()
