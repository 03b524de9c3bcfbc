"""What is remembered of a stream's objects: memory banks of a fixed number of slots, held as stacked tensors.

A slot remembers its object at a bounded number of frames. Which frames, and what for, is written in small tables on
the CPU; the tensors stay where they are when a track is added, reconditioned or removed, only the tables change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FIRST_CAPACITY = 8
EMPTY = -1
# Frame of the last occlusion of a track that was never hidden.
NEVER = -1

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recall:
    """What the tracks at N rows remember of earlier frames, at most W entries each, used entries first.

    Attributes:
        index: ``(N, W)`` int64 into `MemoryBank.flat`.
        age: ``(N, W)`` int64 frames since the entry was written, or its place, see `MemoryBank`; at least 1 where used.
        conditioning: ``(N, W)`` bool: the entry is a conditioning memory, whatever its age.
        used: ``(N, W)`` bool; the other entries are padding.
    """

    index: Ints
    age: Ints
    conditioning: Bools
    used: Bools

    def of(self, rows: Ints, width: int) -> Recall:
        """The same of some of the tracks, `width` entries each; those that are left out must be unused."""
        wide = self.padded(max(width, self.index.shape[1]))
        places = rows, slice(width)
        return Recall(wide.index[places], wide.age[places], wide.conditioning[places], wide.used[places])

    def padded(self, width: int) -> Recall:
        """The same with unused entries up to `width` a track."""
        more = ((0, 0), (0, width - self.index.shape[1]))
        return Recall(
            np.pad(self.index, more), np.pad(self.age, more), np.pad(self.conditioning, more), np.pad(self.used, more)
        )


class MemoryBank:
    """Up to `max_recent` last frames and `max_conditioning` conditioning frames of each slot, one tensor a frame.

    As in SAM 2 (Ravi et al. 2024, section 4, memory bank): a ring of recent memories beside a ring of prompted ones.
    Both rings share one pool of entries, so that a memory that becomes a conditioning one stays where it is.

    With `selective`, the recent ones are the last frames in which the object was seen, and the very last one, as in
    SAM 3's own code (`Sam3TrackerBase.frame_filter`): an object that is hidden for longer than the ring is not
    forgotten. Their age is then their place in this order.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        max_recent: int,
        max_conditioning: int,
        selective: bool = False,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Begin with `FIRST_CAPACITY` empty slots.

        Args:
            shape: of one entry.
            max_recent: an entry is remembered until it is older than this many frames.
            max_conditioning: a conditioning entry is remembered until this many newer ones exist.
            selective: frames in which the object was not seen do not count, except the last.
            dtype: of the stored values.
            device: of the stored values.
        """
        self.max_recent, self.max_conditioning, self.selective = max_recent, max_conditioning, selective
        # The last frame of a hidden object comes on top of those in which it was seen.
        entries = max_recent + max_conditioning + selective
        self.values = torch.zeros(FIRST_CAPACITY, entries, *shape, dtype=dtype, device=device)
        self.steps: Ints = np.full(self.values.shape[:2], EMPTY, np.int64)
        self.conditioning: Bools = np.zeros(self.values.shape[:2], np.bool_)
        self.seen: Bools = np.zeros(self.values.shape[:2], np.bool_)

    @property
    def flat(self) -> Tensor:
        """All entries of all slots in one row: ``(slots · entries, *shape)``, a view."""
        return self.values.flatten(0, 1)

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` slots; what is stored keeps its place."""
        added = capacity - len(self.steps)
        self.values = torch.cat([self.values, self.values.new_zeros(added, *self.values.shape[1:])])
        below = ((0, added), (0, 0))
        self.steps = np.pad(self.steps, below, constant_values=EMPTY)
        self.conditioning, self.seen = np.pad(self.conditioning, below), np.pad(self.seen, below)

    def clear(self, rows: Ints) -> None:
        """Forget everything about the slots at `rows`."""
        self.steps[rows], self.conditioning[rows] = EMPTY, False

    def _roles(self, rows: Ints, step: int, most: int) -> tuple[Bools, Bools, Ints]:
        """Of the entries of `rows`: which are among the last `most` conditioning ones, which else are recent; ages."""
        steps, conditioning = self.steps[rows], self.conditioning[rows]
        later = steps[:, None, :] > steps[:, :, None]
        # Rank among the row's conditioning entries: the number of newer ones.
        selected = conditioning & ((later & conditioning[:, None, :]).sum(axis=2) < most)
        usable = (steps != EMPTY) & ~selected
        age = step - steps
        if self.selective:
            usable &= self.seen[rows] | (age == 1)
            age = np.where(selected, age, 1 + (later & usable[:, None, :]).sum(axis=2))
        return selected, usable & (age <= self.max_recent), age

    def claim(self, rows: Ints, step: int, conditioning: Bools, seen: Bools) -> Ints:
        """Give each of `rows` an entry for frame `step` in place of one that no later frame needs.

        Returns:
            ``(N,)`` index into `flat` of where to put the values.
        """
        kept = np.empty((len(rows), self.steps.shape[1]), np.bool_)
        for flag in (False, True):
            chosen = conditioning == flag
            selected, wanted, _ = self._roles(rows[chosen], step + 1, self.max_conditioning - flag)
            kept[chosen] = selected | wanted
        entries = np.argmin(kept, axis=1)
        self.steps[rows, entries] = step
        self.conditioning[rows, entries], self.seen[rows, entries] = conditioning, seen
        index: Ints = rows * self.steps.shape[1] + entries
        return index

    def recall(self, rows: Ints, step: int) -> Recall:
        """What the tracks at `rows` remember when frame `step` arrives."""
        selected, recent, ages = self._roles(rows, step, self.max_conditioning)
        used = selected | recent
        width = int(used.sum(axis=1).max(initial=0))
        order = np.argsort(~used, axis=1, kind="stable")[:, :width]
        age = np.take_along_axis(ages, order, axis=1)
        return Recall(
            rows[:, None] * self.steps.shape[1] + order,
            age,
            np.take_along_axis(selected, order, axis=1),
            np.take_along_axis(used, order, axis=1),
        )


class SlotTable:
    """The tracks of one stream: who sits in which slot, and what is known about them.

    Attributes:
        ids: ``(slots,)`` int64 track id, 0 where free.
        first_step: frame in which the track started.
        keep_alive: credit, see `Rules`.
        unmatched: frames without a supporting detection.
        last_occluded: last frame in which the track was empty or suppressed, `NEVER` if none.
        shared: ``(slots, slots)`` in how many frames the later track (column) shared a detection with the earlier.
        appearance: ``(slots, C)`` float32, see `trackers.appearance`: running mean over the detections that supported
            the track; ``(slots, 0)`` where lost tracks are not re-identified by it.
        spatial: memories of whole frames, ``(h·w, C)`` each.
        pointers: object pointers, ``(C,)`` each.
    """

    def __init__(self, spatial: MemoryBank, pointers: MemoryBank, appearance_size: int = 0) -> None:
        self.spatial, self.pointers = spatial, pointers
        slots = len(spatial.steps)
        self.ids: Ints = np.zeros(slots, np.int64)
        self.first_step: Ints = np.zeros(slots, np.int64)
        self.keep_alive: Ints = np.zeros(slots, np.int64)
        self.unmatched: Ints = np.zeros(slots, np.int64)
        self.last_occluded: Ints = np.full(slots, NEVER, np.int64)
        self.shared: Ints = np.zeros((slots, slots), np.int64)
        self.appearance: Floats = np.zeros((slots, appearance_size), np.float32)

    def __len__(self) -> int:
        return int(np.count_nonzero(self.ids))

    @property
    def capacity(self) -> int:
        """Number of slots; doubles when they are all taken."""
        return len(self.ids)

    def rows(self) -> Ints:
        """Taken slots in order of track id."""
        taken = np.flatnonzero(self.ids)
        return taken[np.argsort(self.ids[taken])]

    def add(self, ids: Ints, step: int, keep_alive: int) -> Ints:
        """Seat new tracks.

        Returns:
            ``(N,)`` their slots, in the order of `ids`.
        """
        while len(ids) > self.capacity - len(self):
            self._grow(2 * self.capacity)
        rows = np.flatnonzero(self.ids == 0)[: len(ids)]
        self.ids[rows], self.first_step[rows], self.keep_alive[rows] = ids, step, keep_alive
        self.unmatched[rows], self.last_occluded[rows] = 0, NEVER
        self.shared[rows], self.shared[:, rows] = 0, 0
        return rows

    def keep(self, ids: Iterable[int]) -> None:
        """Free the slots of all tracks but these."""
        rows = np.flatnonzero(~np.isin(self.ids, list(ids)) & (self.ids != 0))
        self.ids[rows] = 0
        self.forget(rows)

    def end_hot_start(self, ids: Ints, latest: int) -> None:
        """Let the tracks with these `ids` have started in frame number `latest`, unless they are older."""
        rows = np.flatnonzero(np.isin(self.ids, ids))
        self.first_step[rows] = np.minimum(self.first_step[rows], latest)

    def forget(self, rows: Ints) -> None:
        """Drop the memories of the tracks at `rows`, which stay."""
        self.spatial.clear(rows)
        self.pointers.clear(rows)

    def _grow(self, capacity: int) -> None:
        added = capacity - self.capacity
        self.spatial.grow(capacity)
        self.pointers.grow(capacity)
        for name in ("ids", "first_step", "keep_alive", "unmatched"):
            setattr(self, name, np.pad(getattr(self, name), (0, added)))
        self.last_occluded = np.pad(self.last_occluded, (0, added), constant_values=NEVER)
        self.shared = np.pad(self.shared, (0, added))
        self.appearance = np.pad(self.appearance, ((0, added), (0, 0)))
