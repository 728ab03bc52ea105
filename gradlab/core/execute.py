"""How programs run: compiled once for their shapes, fast or for speed, seeds side by side.

Measurement and training both execute here. A program is a jitted pure function; what is compiled is kept by the
function and the shapes and dtypes of its arguments.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gradlab.core.keys import fold_in_each

#: Seeds that are under way at once on CPUs: one's elementwise work fills the gaps of the other's products.
WORKERS = 2
#: LLVM's higher levels cost a third more compile time here, and the code is no faster for it.
_OPTIONS = {"xla_backend_optimization_level": 1}
#: A quarter of that compile time, for elementwise code that takes five times as long; products are the same.
_QUICK = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
#: Entries of all arguments below which slower code is made up for by its compile time, where a program runs once.
_SMALL = 2**20
#: Entries of all signals of all seeds below which it is, where statistics are read: at 0.2 us for each entry.
_FEW = 2**25


def are_batched(seeds: Sequence[int]) -> bool:
    """Return whether seeds are computed in one batched call; on CPUs they are not, where small products lose by it."""
    return jax.default_backend() != "cpu" and len(seeds) > 1


def over_seeds(
    draw: Callable, program: Callable, arguments: Callable, finish: Callable, key: Array, seeds: Sequence[int],
    signals: int,
) -> list[Any]:  # fmt: skip
    """``finish(program(*arguments(draw(key of the seed))))`` for each seed, as suits the backend; `finish` on the host.

    On one CPU device each seed has a call of its own, `WORKERS` of them under way at once; the first one's weights are
    drawn while the program is compiled. Elsewhere all seeds are one batched call, spread over the devices of this
    process. `signals` is the number of entries of all
    signals of one seed: a program with little to do is compiled fast, one with much for speed.
    """
    keys = fold_in_each(key, seeds)
    if are_batched(seeds) or (jax.local_device_count() > 1 and len(seeds) > 1):
        together = jax.jit(jax.vmap(lambda k: program(*arguments(draw(k)))))(_spread(keys))
        together = jax.device_get(together)
        return [finish(jax.tree.map(lambda v: v[i], together)) for i in range(len(seeds))]  # noqa: B023

    wide = jax.config.jax_enable_x64  # a setting of the thread

    def drawn(k):
        with jax.enable_x64(wide):
            return jax.block_until_ready(draw(k))

    def measured(params):
        with jax.enable_x64(wide):
            return finish(run(*arguments(params)))

    with ThreadPoolExecutor(WORKERS) as workers:
        try:
            first = workers.submit(drawn, keys[0])
            run = executable(
                program, *_abstract(arguments(jax.eval_shape(draw, keys[0]))), quick=signals * len(seeds) < _FEW
            )
            others = [workers.submit(lambda k: measured(drawn(k)), k) for k in keys[1:]]
            return [measured(first.result()), *(other.result() for other in others)]
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for seeds not begun
            raise


def _spread(keys: Sequence[Array]) -> Array:
    """Keys as one array over the devices of this process, the last one repeated until each device has as many."""
    devices = jax.local_devices()
    if len(devices) == 1:
        return jnp.stack(keys)
    mesh = Mesh(np.array(devices), ("seed",))
    filled = [*keys, *[keys[-1]] * (-len(keys) % len(devices))]
    return jax.device_put(jnp.stack(filled), NamedSharding(mesh, PartitionSpec("seed")))


def device_array(values: Any, dtype: Any = None) -> Array:
    """Numbers as an array on the device, which is theirs alone.

    `jnp.asarray` would compile a copy for each shape, and `jax.device_put` may share the caller's memory.
    """
    return jax.device_put(np.array(values, dtype))


def once(program: Callable, *arguments: Any) -> Any:
    """``program(*arguments)`` of a program that runs a few times only: where arrays are small, compiled fast."""
    structure, leaves = _abstract(arguments)
    entries = sum(math.prod(shape) for shape, *_ in leaves)
    return executable(program, structure, leaves, entries < _SMALL)(*arguments)


def repeatedly(program: Callable, *arguments: Any) -> Any:
    """``program(*arguments)`` of a program that runs many times: compiled for speed, whatever the sizes."""
    return executable(program, *_abstract(arguments))(*arguments)


def _abstract(arguments: Any) -> tuple[Any, tuple]:
    """Structure, and shapes with dtypes, of a program's arguments."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((v.shape, v.dtype, getattr(v, "weak_type", False)) for v in leaves)


@functools.lru_cache(maxsize=64)
def executable(program: Callable, structure: Any, leaves: tuple, quick: bool = False) -> Callable:
    """Return the program, compiled for arguments of these shapes."""
    shapes = [jax.ShapeDtypeStruct(shape, dtype, weak_type=weak) for shape, dtype, weak in leaves]
    lowered = program.lower(*jax.tree.unflatten(structure, shapes))
    if not quick:
        return lowered.compile(compiler_options=_OPTIONS)
    try:
        return lowered.compile(compiler_options=_QUICK)
    except jax.errors.JaxRuntimeError:  # another version of XLA may not know an option
        return lowered.compile(compiler_options=_OPTIONS)
