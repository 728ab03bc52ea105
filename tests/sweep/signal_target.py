"""Started by test_faults.py: runs the command of a cheap sweep, sends it a signal at random moments, then lets it end.

``python signal_target.py FOLDER SIGNAL`` forks a child per attempt (everything is imported already, and nothing here
has started a thread). In each round a folder of its own gets the signal as soon as something is kept there, then twice
at a random moment; then the command may end. Prints a line of JSON for each attempt: the folder, the exit code, what
was written to the standard error, and hashes of the parts before and after.
"""

import contextlib
import hashlib
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from fakes import FakeTask

import gradlab.sweep.run
from gradlab import cli
from gradlab.config import Sweep

OPTIONS = "--depth 1 2 --width 4 8 16 32 --activation relu --init he_normal --seeds 23 --data gaussian --batch 8"
ROUNDS = 4
SIGNALS = {signal.SIGINT, signal.SIGTERM}


def parts(out):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("parts/*.parquet"))}


def command(out, errors):
    """The command in a child that gets no signal before the command has begun; its process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what started this may ignore it
    gradlab.sweep.run.TASKS[Sweep.TASK] = "fakes:FakeTask"
    FakeTask.seconds = 0.1
    sweep = cli.COMMANDS["sweep"]

    def begun(argv):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        return sweep(argv)

    cli.COMMANDS["sweep"] = begun
    with open(errors, "w") as stderr, contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(["sweep", *OPTIONS.split(), "--out", str(out), "--no-cache"])
    os._exit(code)


def attempt(out, number=None, moment=None):
    """Run the command, and send it the signal after `moment` seconds, by default when a part has been kept."""
    with tempfile.TemporaryDirectory() as place:
        before, errors = parts(out), Path(place, "errors")
        child = command(out, errors)
        if number is not None:
            while moment is None and len(parts(out)) == len(before):
                time.sleep(0.005)
            time.sleep(moment or 0)
            os.kill(child, number)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said = errors.read_text() if errors.exists() else ""  # a child may be killed before it opened the file
    print(json.dumps({"out": str(out), "code": code, "said": said, "before": before, "after": parts(out)}), flush=True)


def main(folder, name):
    chance, number = random.Random(name), signal.Signals[name]
    began = time.monotonic()
    attempt(Path(folder, "undisturbed"))
    whole = time.monotonic() - began
    for turn in range(ROUNDS):
        out = Path(folder, str(turn))
        attempt(out, number)
        attempt(out, number, chance.uniform(0, whole * 0.7))
        attempt(out, number, chance.uniform(0, whole / 2))
        attempt(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
