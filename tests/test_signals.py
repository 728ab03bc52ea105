"""Signals that would end a command raise where they are heard, also when they come in a destructor."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gradlab._signals import Terminated, ending_by_signal, starting_without_interrupts


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


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_while_processes_start_is_heard_when_they_are_there(number, kind):
    """Also if a thread receives it that was there before, in which it is not blocked."""
    end = threading.Event()
    before = threading.Thread(target=end.wait, args=(20,))
    before.start()
    there = []

    def start():
        with starting_without_interrupts():
            os.kill(os.getpid(), number)
            time.sleep(0.05)
            there.append(True)

    with ending_by_signal(), pytest.raises(kind):
        start()
    end.set()
    before.join()
    assert there


def test_a_process_that_a_thread_starts_later_gets_no_ctrl_c():
    began, go_on = threading.Event(), threading.Event()
    codes = []

    def later():
        began.set()
        go_on.wait(20)
        words = [sys.executable, "-S", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGINT)"]
        codes.append(subprocess.run(words, stderr=subprocess.DEVNULL).returncode)

    with starting_without_interrupts():
        thread = threading.Thread(target=later)
        thread.start()
        began.wait(20)
    go_on.set()
    thread.join()
    assert codes == [0]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
