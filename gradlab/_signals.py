"""Let Ctrl-C and SIGTERM end a command at a place where they are heard."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
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
