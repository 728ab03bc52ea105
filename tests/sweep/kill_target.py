"""Started by test_kill.py: runs one cheap sweep again and again, and each time is killed, until it ends by itself.

``python kill_target.py OUT RANDOM_KILLS SEED`` forks a child per attempt (cheap: everything is imported
already, and nothing here has started a thread). A child is killed, by SIGKILL, by the clock, or by itself
right before, after or inside the writing of a file: of each kind of file, and of random ones.
Prints one line per kill.
"""

import os
import random
import re
import signal
import sys
import time

from fakes import FakeData, FakeTask

from gradlab import _files
from gradlab.config import Sweep
from gradlab.sweep.run import run

#: What follows a file's name while it is written.
TEMPORARY = r"\.[0-9a-f]{8}\.tmp$"
SWEEP = Sweep(depth=(1, 2), width=(4, 8, 16), activation=("relu", "tanh"), init="he_normal", seeds=13)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def at_write(which, when):
    """Kill before or after the rename of a file, or when half of it is on the disk.

    `which` is its name, or a number: the nth that is written.
    """
    count, replace, synchronise = 0, os.replace, _files.synchronise

    def meant(path):
        return which in (count, re.sub(TEMPORARY, "", os.path.basename(path)))

    def renaming(source, target):
        if meant(target) and when == "before":
            die()
        replace(source, target)
        if meant(target) and when == "after":
            die()

    def halfway(path):
        nonlocal count
        if re.search(TEMPORARY, path.name):
            count += 1
            if meant(path) and when == "inside":
                os.truncate(path, path.stat().st_size // 2)
                die()
        synchronise(path)

    os.replace, _files.synchronise = renaming, halfway


def attempt(out, how, which):
    """Run the sweep in a child; its exit status."""
    child = os.fork()
    if child == 0:
        FakeTask.seconds = 0.03
        if how in ("before", "after", "inside"):
            at_write(which, how)
        run(SWEEP, FakeData(), out, task=FakeTask, progress=False)
        os._exit(0)
    if how == "clock":
        time.sleep(which)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(out, kills, seed):
    chance = random.Random(seed)
    moments = ("inside", "before", "after")
    plan = [(how, name) for name in ("sweep.toml", "provenance.json") for how in moments]
    for i in range(kills):
        how = ("clock", *moments)[i % 4]
        plan.append((how, chance.uniform(0, 0.5) if how == "clock" else chance.randint(1, 5)))
    plan += [(how, name) for name in ("frame.parquet", "frame.csv") for how in moments]
    for how, which in plan if kills else ():
        for _ in range(20):
            if attempt(out, how, which) == -signal.SIGKILL:
                break
            # It came through: away with a part and the end, so that there is something to kill.
            os.remove(f"{out}/parts/{chance.choice(sorted(os.listdir(f'{out}/parts')))}")
            os.remove(f"{out}/frame.parquet")
            which = which / 2 if how == "clock" else which
        else:
            sys.exit(f"never killed {how} {which}")
        print(how, which, flush=True)
    assert attempt(out, "never", None) == 0


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
