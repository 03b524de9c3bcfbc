"""Save a stream's track state and take it up again, in the same process or in the next one.

One safetensors file: the memories as tensors, everything else as JSON in the file's own metadata, so that the two
can never disagree. It is written beside its place and moved there: a process that is killed leaves the old file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from maskcast.errors import ModelError, TrackStateError, unforeseen
from maskcast.files import tighten, write_whole
from trackers.memory.state import MemoryState
from trackers.memory.track_state_checks import (
    MARKS,
    NUMBERS,
    Document,
    check_file,
    check_shapes,
    check_values,
    read_document,
)
from trackers.memory.tracker import MemoryTracker

FORMAT = "maskcast.track_state/1"
# What reading and checking something else than a track state raises.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError)
# More than start between two track states, even if some of them cannot be written.
RESERVED_IDS = 10_000


@dataclass(frozen=True)
class SavedState:
    """A stream's track state as of one frame, on the CPU.

    Attributes:
        tensors: the memories.
        document: everything else, as JSON.
    """

    tensors: dict[str, Tensor]
    document: str

    def write(self, file: Path, about: str = "{}") -> None:
        """Write it, whole or not at all, on any thread.

        Args:
            file: where to; an older track state there is replaced.
            about: a JSON object that is kept with it, for `read_about`: what its owner remembers of the same moment.

        Raises:
            OSError: it cannot be written; an older track state is unharmed.
        """
        try:
            write_whole(
                file, lambda part: save_file(self.tensors, part, {"track_state": self.document, "about": about})
            )
        except SafetensorError as error:
            raise OSError(str(error)) from error


def take(state: MemoryState, revision: str, *, final: bool) -> SavedState:
    """Copy a stream's state. Results that a hot start holds back are not part of it.

    Args:
        state: of the stream, between two frames.
        revision: of the checkpoint, see `Checkpoint.revision`.
        final: the stream ends here. Otherwise tracks may start after this, whose ids the next process must not give
            again: it leaves a gap of `RESERVED_IDS`.
    """
    tensors, document = parts(state, revision, state.lifecycle.next_id + (0 if final else RESERVED_IDS))
    return SavedState(tensors, json.dumps(document))


def parts(state: MemoryState, revision: str, next_id: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The memories as tensors, and everything else, with the id that the next track is to have; see `take`."""
    table = state.table
    rows = table.rows()
    tensors: dict[str, Tensor] = {}
    for name, bank in (("spatial", table.spatial), ("pointers", table.pointers)):
        tensors[name] = bank.values[torch.from_numpy(rows).to(bank.values.device)].cpu()
        for mark in MARKS:
            tensors[f"{name}.{mark}"] = torch.from_numpy(getattr(bank, mark)[rows])
    tensors["shared"] = torch.from_numpy(table.shared[np.ix_(rows, rows)])
    tensors["appearance"] = torch.from_numpy(table.appearance[rows])
    for name in NUMBERS:
        tensors[name] = torch.from_numpy(getattr(table, name)[rows])
    document = {
        "format": FORMAT,
        "revision": revision,
        "prompts": state.prompts,
        "texts": state.wanted.texts(),
        "step": state.step,
        "pts": state.pts,
        "next_id": next_id,
        "lives": [asdict(life) for life in state.lifecycle],
    }
    return tensors, document


def load(tracker: MemoryTracker, file: Path, revision: str) -> MemoryState:
    """Take up a track state: tracks keep their ids and memories, new ones get ids that were never used.

    The time between the track state and the next frame does not count: no track ends because the process was down.

    Args:
        tracker: that will go on.
        file: the track state.
        revision: of the tracker's checkpoint.

    Raises:
        FileNotFoundError: there is none.
        TrackStateError: it is damaged, or belongs to another model.
        ModelError: the device fails.
    """
    with opened(tracker, file, FORMAT, revision) as (document, tensors):
        state = restore(tracker, read_document(document, tracker.rules.max_tracks), tensors)
    state.resumed = True
    return state


@contextmanager
def opened(tracker: MemoryTracker, file: Path, wanted: str, revision: str) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Open a file of `SavedState.write`, and say of all that goes wrong with it meanwhile what `load` says.

    Yields:
        Its document, of the `wanted` format and of this revision, else unchecked; and its tensors, to be read.
    """
    where = f"track state {file}"
    with _believed(file):
        try:
            with safe_open(file, "pt") as tensors:
                document = json.loads(tensors.metadata()["track_state"])
                if document["format"] != wanted:
                    found = str(document["format"])[:80]
                    raise TrackStateError(f"its format is {found}, this version reads {wanted}", where=where)
                if document["revision"] != revision:
                    advice = "begin without it, or use that model"
                    raise TrackStateError("it was taken with another model", where=where, advice=advice)
                yield document, tensors
        except (torch.OutOfMemoryError, torch.AcceleratorError) as error:  # not the file's fault: it is kept
            what = f"cannot be taken up on {tracker.device}: {type(error).__name__}"
            raise ModelError(what, where=where) from error


def read_about(file: Path) -> dict[str, Any]:
    """What was given to `SavedState.write` as `about`; empty where nothing was.

    Raises:
        FileNotFoundError: there is no track state.
        TrackStateError: it is damaged.
    """
    with _believed(file), safe_open(file, "pt") as head:
        about = json.loads(head.metadata().get("about", "{}"))
        if not isinstance(about, dict):
            raise TypeError("what it is about is no object")
        return about


@contextmanager
def _believed(file: Path) -> Iterator[None]:
    """What reading and checking a track state raises, as a `TrackStateError`."""
    try:
        check_file(file)
        tighten(file)
        yield
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, *DAMAGE) as error:
        what, where = f"damaged ({unforeseen(error)})", f"track state {file}"
        raise TrackStateError(what, where=where, advice="begin without it") from error


def restore(tracker: MemoryTracker, document: Document, stored: Any, others: Collection[str] = ()) -> MemoryState:
    """The state that `parts` has taken apart.

    Args:
        tracker: that will go on.
        document: of the file.
        stored: its tensors.
        others: names of tensors that are not of `parts`.

    Raises:
        ValueError: a tensor is not as it must be.
    """
    state = tracker.new_state(document.prompts)
    table = state.table
    names = [name for name in stored.keys() if name not in others]  # noqa: SIM118 - no mapping
    check_shapes({name: stored.get_slice(name) for name in names}, table, len(document.lives))
    tensors: dict[str, Tensor] = {name: stored.get_tensor(name) for name in names}
    check_values(tensors, document, tracker.rules)
    state.step, state.pts = document.step, document.pts
    state.lifecycle.restore(document.lives, document.next_id)
    rows = table.add(tensors["ids"].numpy(), state.step, 0)
    for name in NUMBERS:
        getattr(table, name)[rows] = tensors[name].numpy()
    table.shared[np.ix_(rows, rows)] = tensors["shared"].numpy()
    table.appearance[rows] = tensors["appearance"].numpy()
    for name, bank in (("spatial", table.spatial), ("pointers", table.pointers)):
        values = bank.values
        values[torch.from_numpy(rows).to(values.device)] = tensors[name].to(values)
        for mark in MARKS:
            getattr(bank, mark)[rows] = tensors[f"{name}.{mark}"].numpy()
    return state
