"""Checkpoints of a training, by orbax: a killed training goes on with the same bits."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradlab._errors import GradlabError
from gradlab._files import check_links, path_from, read_text, write_text
from gradlab._types import MEASURED
from gradlab.training.program import State

#: Checkpoints of a training, and so the share of it that is lost at most.
COUNT = 10
#: Numbers in all records of one seed.
MOST_ENTRIES = 10**9
#: Says in a folder what it belongs to.
ABOUT = "training.json"


class Checkpoints:
    """The checkpoints of one seed.

    Parameters
    ----------
    folder : path
        Of the training; each seed has a folder in it.
    seed : int
        Number of the seed, which names its folder.
    about : mapping
        Plain values that say what the training is.

    Raises
    ------
    GradlabError
        Where orbax is missing, or the folder holds another training.
    """

    def __init__(self, folder: str | os.PathLike[str], seed: int, identity: Mapping[str, Any]):
        try:
            import orbax.checkpoint as orbax
        except ImportError as error:
            hint = "pip install 'gradlab-jax[checkpoints]'"
            raise GradlabError("orbax-checkpoint, for checkpoint=", "an environment without it", hint) from error
        self._orbax = orbax
        self._place = place = path_from(folder, "checkpoint").absolute()
        _claim(place, identity)
        check_links(place)
        options = orbax.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        handler = orbax.StandardCheckpointHandler()
        self._manager = orbax.CheckpointManager(place / f"seed_{seed}", options=options, item_handlers=handler)

    def steps(self, steps: int) -> set[int]:
        """Return the steps at which a state is kept."""
        return {round(steps * (i + 1) / COUNT) for i in range(COUNT)}

    def save(self, state: State, records: Mapping[int, tuple[Mapping[str, np.ndarray], str]]) -> None:
        """Keep a state, and what was recorded so far."""
        step = int(state.step)
        if step in self._manager.all_steps():  # the same bits; where it then failed, it will fail again
            return
        leaves = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
        columns = {str(s): {name: np.asarray(v) for name, v in c.items()} for s, (c, _) in records.items()}
        statuses = json.dumps({s: status for s, (_, status) in records.items()}).encode()
        tree = {"state": leaves, "records": columns, "status": np.frombuffer(statuses, np.uint8)}
        self._manager.save(step, args=self._orbax.args.StandardSave(tree), force=True)
        self._manager.wait_until_finished()

    def restore(self, like: State) -> tuple[State, dict[int, tuple[dict[str, np.ndarray], str]]]:
        """Return the state that was kept last and its records, or `like` and no records where there is none.

        Parameters
        ----------
        like : State
            With the structure, shapes and dtypes of the one that was kept.
        """
        step = self._manager.latest_step()
        if step is None:
            return like, {}
        leaves, structure = jax.tree.flatten(like)
        try:
            arrays, records = self._read(step, leaves)
        except GradlabError:
            raise
        except Exception as error:  # orbax has many for what it did not write
            raise _not_ours(self._place, " ".join(f"{type(error).__name__}: {error}".split())[:200]) from error
        return jax.tree.unflatten(structure, [jax.numpy.asarray(v) for v in arrays]), dict(sorted(records.items()))

    def _read(self, step: int, leaves: Sequence[Any]) -> tuple[list[Any], dict[int, tuple[dict[str, np.ndarray], str]]]:
        """Return the arrays of a state and the records; their shapes are checked before any is read."""
        there = self._manager.item_metadata(step)
        kept, rest = there["state"], jax.tree.leaves([there["records"], there["status"]])
        if sum(math.prod(v.shape) for v in rest) > MOST_ENTRIES:
            raise _not_ours(self._place, f"records of more than {MOST_ENTRIES:,} numbers")
        if [kept[str(i)].shape for i in range(len(kept))] != [np.shape(v) for v in leaves]:
            raise _not_ours(self._place, "arrays of other shapes")
        tree = self._manager.restore(step, args=self._orbax.args.StandardRestore())
        arrays = [tree["state"][str(i)] for i in range(len(leaves))]
        if [np.asarray(v).dtype for v in arrays] != [np.asarray(v).dtype for v in leaves]:
            raise _not_ours(self._place, "arrays of other dtypes")
        status = json.loads(np.asarray(tree["status"], np.uint8).tobytes())
        records = {}
        for s, columns in (tree["records"] or {}).items():
            if not isinstance(status[s], str) or not set(columns) <= set(MEASURED):
                raise _not_ours(self._place, f"other columns: {', '.join(map(ascii, columns))[:200]}")
            records[int(s)] = ({name: np.asarray(v) for name, v in columns.items()}, status[s])
        return arrays, records

    def close(self) -> None:
        """Let go of the folder."""
        self._manager.close()


def _claim(place: Path, identity: Mapping[str, Any]) -> None:
    """Say in the folder what it belongs to; refuse one that belongs to another training."""
    said = json.loads(json.dumps(identity, default=list))
    note = place / ABOUT
    if os.path.lexists(note):
        there = _noted(place)
        if there != said:
            differ = sorted(k for k in said.keys() | there.keys() if said.get(k) != there.get(k))
            received = "; ".join(f"{k} {there.get(k)}" for k in differ)[:300]
            wanted = "; ".join(f"{k} {said.get(k)}" for k in differ)
            raise GradlabError(f"a checkpoint of this training ({wanted})", f"{place} of another: {received}",
                               "checkpoint= another folder")  # fmt: skip
        return
    # what a killed first moment leaves is the beginning of a note
    if place.exists() and any(not p.name.startswith(f"{ABOUT}.") for p in place.iterdir()):
        raise GradlabError("a new folder for checkpoint=", f"{place}, with other files in it", "another folder")
    write_text(note, json.dumps(said, indent=2) + "\n")


def _noted(place: Path) -> dict[str, Any]:
    """Return what a folder of checkpoints says that it belongs to."""
    try:
        there = json.loads(read_text(place, ABOUT))
    except GradlabError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise _not_ours(place, f"{type(error).__name__} in {ABOUT}") from error
    if not isinstance(there, dict):
        raise _not_ours(place, f"{ABOUT} with other content")
    return there


def _not_ours(place: Path, received: str) -> GradlabError:
    return GradlabError(f"{place} as this training left it", received, "checkpoint= another folder")
