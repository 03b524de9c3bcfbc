"""What tracks remember when a frame arrives, in the order in which it is cheapest to attend to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trackers.memory.batch import BatchedStream, places
from trackers.memory.memory_bank import Ints, MemoryBank, Recall
from trackers.memory.propagation import Memories, Propagation, passes


@dataclass(frozen=True)
class Recollection:
    """N tracks of one pass.

    Attributes:
        tracks: ``(N,)`` int64 which of all propagated tracks they are, ascending.
        frames: ``(N,)`` int64 the frame of each in the batch.
        place, offset, used: see `Memories`.
        spatial, pointers: banks, and int64 indices ``(n, W)`` into each, of whose rows the memories are made.
    """

    tracks: Ints
    frames: Ints
    place: Ints
    offset: NDArray[np.float32]
    used: NDArray[np.bool_] | None
    spatial: Sequence[tuple[MemoryBank, Ints]]
    pointers: Sequence[tuple[MemoryBank, Ints]]

    @property
    def tables(self) -> list[NDArray[Any]]:
        """What the device is to know, in the order in which `memories` takes it."""
        indices = [index for _, index in (*self.spatial, *self.pointers)]
        used = [] if self.used is None else [self.used]
        return [self.frames, self.place, self.offset, *used, *indices]

    def memories(self, sent: Iterator[Tensor]) -> tuple[Tensor, Memories]:
        """The frame of each track, and what it remembers; `sent` are the tables on the device."""
        frames, place, offset = (next(sent) for _ in range(3))
        used = None if self.used is None else next(sent)
        spatial, pointers = ([bank.flat[next(sent)] for bank, _ in parts] for parts in (self.spatial, self.pointers))
        return frames, Memories(_joined(spatial), place, _joined(pointers), offset, used)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def recollections(batch: Sequence[BatchedStream], propagation: Propagation, most: int) -> list[Recollection]:
    """Divide the tracks that are propagated, of all streams, into passes of at most `most`.

    Those that remember equally much go together, so that most passes need no padding, and so no mask.
    """
    rows = [stream.rows[stream.taken_by < 0] for stream in batch]
    steps = [stream.state.step for stream in batch]
    tables = [stream.state.table for stream in batch]
    spatial = [table.spatial.recall(part, step) for table, part, step in zip(tables, rows, steps, strict=True)]
    pointers = [table.pointers.recall(part, step) for table, part, step in zip(tables, rows, steps, strict=True)]
    lengths = np.concatenate(
        [[a.used.sum(axis=1), b.used.sum(axis=1)] for a, b in zip(spatial, pointers, strict=True)], axis=1
    )
    stream = np.repeat(np.arange(len(batch)), [len(part) for part in rows])
    first = np.cumsum([0, *map(len, rows)])
    order = np.lexsort(lengths[::-1])
    result = []
    for chosen in passes(len(order), most):
        tracks = np.sort(order[chosen])
        wide = lengths[:, tracks].max(axis=1).tolist()
        parts = []
        for index in np.unique(stream[tracks]).tolist():
            some = tracks[stream[tracks] == index] - first[index]
            parts.append((batch[index], spatial[index].of(some, wide[0]), pointers[index].of(some, wide[1])))
        result.append(_recollection(tracks, parts, propagation))
    return result


def _recollection(
    tracks: Ints, parts: Sequence[tuple[BatchedStream, Recall, Recall]], propagation: Propagation
) -> Recollection:
    """What tracks of some streams remember."""
    counts = [len(part.index) for _, part, _ in parts]
    spans = np.repeat([propagation.pointer_span(stream.state.step) for stream, _, _ in parts], counts)
    age, conditioning = (
        np.concatenate([getattr(part, name) for _, part, _ in parts]) for name in ("age", "conditioning")
    )
    last = int(propagation.config.num_maskmem) - 1
    used = np.concatenate([np.concatenate([a.used, b.used], axis=1) for _, a, b in parts])
    return Recollection(
        tracks=tracks,
        frames=places([stream for stream, _, _ in parts], counts),
        place=np.where(conditioning, last, np.clip(age - 1, 0, last)),
        offset=(np.concatenate([part.age for _, _, part in parts]) / spans[:, None]).astype(np.float32),
        used=None if used.all() else used,
        spatial=[(stream.state.table.spatial, part.index) for stream, part, _ in parts],
        pointers=[(stream.state.table.pointers, part.index) for stream, _, part in parts],
    )
