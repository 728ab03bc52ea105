"""How programs run: compiled once for their shapes, fast or for speed, seeds side by side.

Measurement and training both execute here. A program is a jitted pure function; what is compiled is kept by the
function and the shapes and dtypes of its arguments.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import ContextVar
from threading import Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gradlab.core import devices
from gradlab.core.keys import fold_in_each
from gradlab.core.scaled import full_precision

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


#: Seeds for which the programs of this thread run in the end, where that is known to be more than those of one call.
_RUNS: ContextVar[int] = ContextVar("runs", default=1)


@contextlib.contextmanager
def expecting(runs: int) -> Iterator[None]:
    """Say for how many seeds altogether the same programs run; many seeds in several calls make up for a compiler."""
    before = _RUNS.set(runs)
    try:
        yield
    finally:
        _RUNS.reset(before)


def over_seeds(
    draw: Callable, program: Callable, arguments: Callable, finish: Callable, key: Array, seeds: Sequence[int],
    signals: int,
) -> list[Any]:  # fmt: skip
    """``finish(program(*arguments(draw(key of the seed))))`` for each seed, as suits the backend; `finish` on the host.

    On one CPU device each seed has a call of its own, `WORKERS` of them under way at once; the first one's weights are
    drawn while the program is compiled. Elsewhere seeds are batched and spread over the devices of this process, as
    many in one call as their memory takes. `signals` is the number of entries of all
    signals of one seed: a program with little to do is compiled fast, one with much for speed.

    Raises
    ------
    TooLarge
        Where the memory of a device does not take one seed.
    """
    keys = fold_in_each(key, seeds)
    if devices.are_batched() and len(seeds) > 1:
        return [finish(record) for record in _batched(lambda k: program(*arguments(draw(k))), keys)]

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
                program,
                *_abstract(arguments(jax.eval_shape(draw, keys[0]))),
                quick=signals * max(len(seeds), _RUNS.get()) < _FEW,
            )
            others = [workers.submit(lambda k: measured(drawn(k)), k) for k in keys[1:]]
            return [measured(first.result()), *(other.result() for other in others)]
        except BaseException:
            workers.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for seeds not begun
            raise


def _batched(each: Callable, keys: Sequence[Array]) -> list[Any]:
    """``each(key)`` of all keys, on the host: in one call, or in several equal ones where memory asks for that."""
    together = jax.jit(jax.vmap(each))

    def compiled_for(count: int) -> Any:
        with full_precision():
            return together.lower(devices.spread(jnp.stack(devices.filled(keys, count)))).compile()

    wanted = len(keys)
    while True:
        size, compiled = devices.fitting(compiled_for, wanted)
        try:
            records_of_each = []
            for start in range(0, len(keys), size):
                some = keys[start : start + size]
                records = jax.device_get(compiled(devices.spread(jnp.stack(devices.filled(some, size)))))
                records_of_each += [jax.tree.map(lambda v: v[i], records) for i in range(len(some))]  # noqa: B023
            return records_of_each
        except Exception as error:  # other programs may hold memory too
            if not devices.is_memory_short(error) or size <= jax.local_device_count():
                raise
            wanted = size // 2


#: Whatever asks for it takes turns in it, in the order of the calls: so what began first ends first, and no core waits.
_TURNS = ThreadPoolExecutor(WORKERS, "turn")


def side_by_side(calls: Sequence[Callable[[], Any]], give_up: Callable[[], None] = lambda: None) -> list[Any]:
    """Return what the calls return, `WORKERS` of them under way at once, of all threads together.

    Where one raises, or the thread that waits is interrupted, those not begun are left out; `give_up` is called, and
    should make the others end.
    """
    wide = jax.config.jax_enable_x64  # a setting of the thread

    def turn(call: Callable[[], Any]) -> Any:
        with jax.enable_x64(wide):
            return call()

    turns = [_TURNS.submit(turn, call) for call in calls]
    try:
        return [turn.result() for turn in turns]
    except BaseException:
        give_up()
        for turn in turns:
            turn.cancel()
        wait(turns)
        raise


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
    return compiled_for(program, *arguments)(*arguments)


def compiled_for(program: Callable, *arguments: Any) -> Callable:
    """Return the program as it is compiled for speed, for arguments like these."""
    return executable(program, *_abstract(arguments))


def _abstract(arguments: Any) -> tuple[Any, tuple]:
    """Structure, and shapes with dtypes, of a program's arguments."""
    leaves, structure = jax.tree.flatten(arguments)
    return structure, tuple((v.shape, v.dtype, getattr(v, "weak_type", False)) for v in leaves)


def executable(program: Callable, structure: Any, leaves: tuple, quick: bool = False) -> Callable:
    """Return the program, compiled for arguments of these shapes; threads that need the same one compile it once."""
    with _turn(program, structure, leaves, quick):
        return _compiled(program, structure, leaves, quick)


@functools.lru_cache(maxsize=64)
def _turn(program: Callable, structure: Any, leaves: tuple, quick: bool) -> Lock:
    return Lock()


@functools.lru_cache(maxsize=64)
def _compiled(program: Callable, structure: Any, leaves: tuple, quick: bool) -> Callable:
    shapes = [jax.ShapeDtypeStruct(shape, dtype, weak_type=weak) for shape, dtype, weak in leaves]
    with full_precision():
        lowered = program.lower(*jax.tree.unflatten(structure, shapes))
    if not quick:
        return lowered.compile(compiler_options=_OPTIONS)
    try:
        return lowered.compile(compiler_options=_QUICK)
    except jax.errors.JaxRuntimeError:  # another version of XLA may not know an option
        return lowered.compile(compiler_options=_OPTIONS)
