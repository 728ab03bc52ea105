"""Signals that would end a command raise where they are heard, also when they come in a destructor."""

import os
import signal
import threading
import time

import pytest

from gradlab._signals import Terminated, ending_by_signal


class Deaf:
    """Sends a signal to this process while it is destroyed, where Python prints exceptions and goes on."""

    def __init__(self, number):
        self.number = number

    def __del__(self):
        os.kill(os.getpid(), self.number)
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def usual():
    """The handlers with which a command starts in a terminal, whatever the suite was started with."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_in_a_destructor_is_heard_after_it(number, kind):
    raised = None
    with ending_by_signal():
        try:
            Deaf(number)
            time.sleep(20)
        except KeyboardInterrupt as interrupt:
            raised = interrupt
    assert type(raised) is kind
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with ending_by_signal():
        os.kill(os.getpid(), signal.SIGTERM)


def test_another_thread_changes_nothing():
    seen = []

    def inside():
        with ending_by_signal():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
