"""Save a stream's tracking state and take it up again, in the same process or in the next one.

One safetensors file: the memories as tensors, everything else as JSON in the file's own metadata, so that the two
can never disagree. It is written beside its place and moved there: a process that is killed leaves the old file.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streaming.errors import ModelError, SnapshotError
from streaming.types import Box, TrackState
from trackers.lifecycle import Life
from trackers.memory import History
from trackers.memory_state import MemoryState
from trackers.memory_tracker import MemoryTracker

FORMAT = "maskcast.snapshot/3"
# More than start between two snapshots, even if some of them cannot be written.
RESERVED_IDS = 10_000
# Of `History`, one for each entry.
MARKS = ("steps", "sure", "seen")
# Of `SlotTable`, one number a track.
NUMBERS = ("ids", "first_step", "keep_alive", "unmatched", "last_occluded")


@dataclass(frozen=True)
class SavedState:
    """A stream's tracking state as of one frame, on the CPU.

    Attributes:
        tensors: the memories.
        document: everything else, as JSON.
    """

    tensors: dict[str, Tensor]
    document: str

    def write(self, file: Path) -> None:
        """Write it, whole or not at all, on any thread.

        Args:
            file: where to; an older snapshot there is replaced.

        Raises:
            OSError: it cannot be written; an older snapshot is unharmed.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        # Always the same name: a process that is killed here leaves one such file, not one a time.
        temporary = file.with_name(f".{file.name}.partial")
        try:
            save_file(self.tensors, temporary, {"snapshot": self.document})
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(file)
        except SafetensorError as error:
            raise OSError(f"snapshot {file}: {error}") from error
        finally:
            with suppress(OSError):
                temporary.unlink()


def take(state: MemoryState, revision: str, *, final: bool) -> SavedState:
    """Copy a stream's state. Results that a hot start holds back are not part of it.

    Args:
        state: of the stream, between two frames.
        revision: of the checkpoint, see `Checkpoint.revision`.
        final: the stream ends here. Otherwise tracks may start after this, whose ids the next process must not give
            again: it leaves a gap of `RESERVED_IDS`.
    """
    table = state.table
    rows = table.rows()
    tensors: dict[str, Tensor] = {}
    for name, history in (("spatial", table.spatial), ("pointers", table.pointers)):
        tensors[name] = history.values[torch.from_numpy(rows).to(history.values.device)].cpu()
        for mark in MARKS:
            tensors[f"{name}.{mark}"] = torch.from_numpy(getattr(history, mark)[rows])
    tensors["shared"] = torch.from_numpy(table.shared[np.ix_(rows, rows)])
    tensors["looks"] = torch.from_numpy(table.looks[rows])
    for name in NUMBERS:
        tensors[name] = torch.from_numpy(getattr(table, name)[rows])
    document = {
        "format": FORMAT,
        "revision": revision,
        "prompts": state.prompts,
        "step": state.step,
        "pts": state.pts,
        "next_id": state.lifecycle.next_id + (0 if final else RESERVED_IDS),
        "lives": [asdict(life) for life in state.lifecycle],
    }
    return SavedState(tensors, json.dumps(document))


def load(tracker: MemoryTracker, file: Path, revision: str) -> MemoryState:
    """Take up a snapshot: tracks keep their ids and memories, new ones get ids that were never used.

    The time between the snapshot and the next frame does not count: no track ends because the process was down.

    Args:
        tracker: that will go on.
        file: the snapshot.
        revision: of the tracker's checkpoint.

    Raises:
        FileNotFoundError: there is none.
        SnapshotError: it is damaged, or belongs to another model.
        ModelError: the device fails.
    """
    if not file.is_file():
        raise FileNotFoundError(f"snapshot {file}: no such file")
    try:
        with safe_open(file, "pt") as opened:
            document = json.loads(opened.metadata()["snapshot"])
            if document["format"] != FORMAT:
                raise SnapshotError(f"snapshot {file}: its format is {document['format']}, this version reads {FORMAT}")
            if document["revision"] != revision:
                raise SnapshotError(
                    f"snapshot {file}: it was taken with another model; remove it, or use the model that it belongs to"
                )
            return _restore(tracker, document, {name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
    except (torch.OutOfMemoryError, torch.AcceleratorError) as error:  # not the file's fault: it is kept
        raise ModelError(f"snapshot {file} cannot be taken up on {tracker.device}: {type(error).__name__}") from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError, IndexError) as error:
        raise SnapshotError(f"snapshot {file}: damaged ({type(error).__name__}: {error}); remove it") from error


def _restore(tracker: MemoryTracker, document: dict[str, Any], tensors: dict[str, Tensor]) -> MemoryState:
    state = tracker.new_state(document["prompts"])
    state.step, state.pts, state.resumed = document["step"], document["pts"], True
    state.lifecycle.restore(
        (
            Life(**{**life, "state": TrackState(life["state"]), "bbox": Box(*life["bbox"])})
            for life in document["lives"]
        ),
        document["next_id"],
    )
    table = state.table
    rows = table.add(tensors["ids"].numpy(), state.step, 0)
    for name in NUMBERS:
        getattr(table, name)[rows] = tensors[name].numpy()
    table.shared[np.ix_(rows, rows)] = tensors["shared"].numpy()
    table.looks[rows] = _finite(tensors["looks"]).numpy()
    for name, history in (("spatial", table.spatial), ("pointers", table.pointers)):
        _fill(history, rows, tensors[name])
        for mark in MARKS:
            getattr(history, mark)[rows] = tensors[f"{name}.{mark}"].numpy()
    if sorted(table.ids[rows].tolist()) != sorted(life.id for life in state.lifecycle):
        raise ValueError("tracks and memories disagree")
    return state


def _fill(history: History, rows: Any, values: Tensor) -> None:
    if values.shape[1:] != history.values.shape[1:]:
        raise ValueError("memories of another shape")
    history.values[torch.from_numpy(rows).to(history.values.device)] = _finite(values).to(history.values)


def _finite(values: Tensor) -> Tensor:
    if not bool(torch.isfinite(values).all()):
        raise ValueError("memories that are no numbers")
    return values
