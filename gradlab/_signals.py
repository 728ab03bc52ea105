"""Let Ctrl-C and SIGTERM end a command at a place where they are heard."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from types import FrameType

#: Functions whose exceptions Python only prints: JAX's callback of the garbage collector, and every destructor.
_DEAF = frozenset(("_xla_gc_callback", "__del__"))
#: Seconds until a signal that came there is sent again.
_AGAIN = 0.02


class Terminated(KeyboardInterrupt):
    """Raised where SIGTERM arrives, so that a command ends as it does after Ctrl-C."""


@contextlib.contextmanager
def ending_by_signal() -> Iterator[None]:
    """Have SIGTERM raise `Terminated`, and Ctrl-C `KeyboardInterrupt`, but never where the exception would be lost.

    A signal that this process was started to ignore stays ignored. Outside the main thread nothing changes.
    """
    kinds = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}
    usual = (signal.default_int_handler, signal.SIG_DFL)

    def stop(number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if frame.f_code.co_name in _DEAF:
                threading.Timer(_AGAIN, os.kill, (os.getpid(), number)).start()
                return
            frame = frame.f_back
        raise kinds[signal.Signals(number)]

    changed = {}
    if threading.current_thread() is threading.main_thread():
        changed = {number: signal.getsignal(number) for number in kinds if signal.getsignal(number) in usual}
    for number in changed:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def starting_without_interrupts() -> Iterator[None]:
    """Start threads and processes that no Ctrl-C reaches; here it is heard when they are there.

    A terminal sends Ctrl-C to this process and to all that it started. Those are to end because this process ends them,
    without a traceback each. A thread inherits the signals that are blocked, and so does a process, also one that such
    a thread starts later. Where signals cannot be blocked (Windows) nothing changes.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing starts it before its first process, and unblocks Ctrl-C then
    with _hearing_later():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _hearing_later() -> Iterator[None]:
    """Put off Ctrl-C and SIGTERM, which another thread of this process may receive, until the end of the block."""
    heard: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    changed = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in changed:
        signal.signal(number, lambda received, _: heard.append(received))
    try:
        yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)
        if heard:
            signal.raise_signal(heard[0])
