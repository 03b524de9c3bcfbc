"""The slot table against a model of it that keeps everything, as the reference does."""

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trackers.memory.memory_bank import FIRST_CAPACITY, NEVER, MemoryBank, SlotTable

RECENT, CONDITIONING = 3, 2
CPU = torch.device("cpu")


def bank(recent=RECENT, conditioning=CONDITIONING, selective=False):
    return MemoryBank(
        (1,), max_recent=recent, max_conditioning=conditioning, selective=selective, dtype=torch.float32, device=CPU
    )


class Slots(RuleBasedStateMachine):
    """Each memory holds one number that says whose it is and of which frame, so that a stale one would be seen."""

    def __init__(self):
        super().__init__()
        self.table = SlotTable(bank(), bank(5, 1, selective=True))
        self.step = 0
        self.next_id = 1
        self.everything = {}  # id: {frame: (conditioning, seen)}

    def write(self, rows, conditioning, seen):
        for part in (self.table.spatial, self.table.pointers):
            values = torch.from_numpy(self.table.ids[rows] * 1000.0 + self.step).float()[:, None]
            part.flat[torch.from_numpy(part.claim(rows, self.step, conditioning, seen))] = values

    @rule(count=st.integers(0, 5), chance=st.randoms(use_true_random=False))
    def frame(self, count, chance):
        """All tracks are propagated, some are seen, some of these reconditioned, some start."""
        rows = self.table.rows()
        seen = np.array([chance.random() < 0.6 for _ in rows], np.bool_)
        reconditioned = seen & np.array([chance.random() < 0.5 for _ in rows], np.bool_)
        for track, *flags in zip(self.table.ids[rows].tolist(), reconditioned.tolist(), seen.tolist(), strict=True):
            self.everything[track][self.step] = tuple(flags)
        ids = self.next_id + np.arange(count)
        self.next_id += count
        self.everything |= {track: {self.step: (True, True)} for track in ids.tolist()}
        new = self.table.add(ids, self.step, 30)
        assert self.table.ids[new].tolist() == ids.tolist()
        started = np.ones(count, np.bool_)
        self.write(
            np.concatenate([rows, new]), np.concatenate([reconditioned, started]), np.concatenate([seen, started])
        )
        self.step += 1

    @precondition(lambda self: len(self.everything))
    @rule(data=st.data())
    def lose(self, data):
        gone = data.draw(st.sets(st.sampled_from(sorted(self.everything)), min_size=1))
        for track in gone:
            del self.everything[track]
        self.table.keep(self.everything)

    @invariant()
    def ids_are_those_of_living_tracks_in_order(self):
        ids = self.table.ids[self.table.rows()].tolist()
        assert ids == sorted(self.everything)
        assert len(self.table) == len(ids)
        assert (self.table.last_occluded[self.table.rows()] == NEVER).all()

    @invariant()
    def every_track_recalls_its_own_last_frames(self):
        rows = self.table.rows()
        for part, recent, conditioning in ((self.table.spatial, RECENT, CONDITIONING), (self.table.pointers, 5, 1)):
            recall = part.recall(rows, self.step)
            values = part.flat[torch.from_numpy(recall.index)][..., 0]
            for place, track in enumerate(self.table.ids[rows].tolist()):
                used = recall.used[place]
                assert used.tolist() == sorted(used.tolist(), reverse=True)  # padding comes last
                known = self.everything[track]
                kept = sorted(frame for frame, (flag, _) in known.items() if flag)[-conditioning:]
                others = sorted(known.keys() - kept, reverse=True)
                if part.selective:  # the last that show the object, and the last of all
                    others = [frame for frame in others if known[frame][1] or frame == self.step - 1][:recent]
                    ages = {frame: number for number, frame in enumerate(others, 1)}
                else:
                    ages = {frame: self.step - frame for frame in others if self.step - frame <= recent}
                ages |= {frame: self.step - frame for frame in kept}
                frames = (values[place][torch.from_numpy(used)] - track * 1000).int().tolist()
                assert dict(zip(frames, recall.age[place][used].tolist(), strict=True)) == ages
                assert sorted(np.array(frames)[recall.conditioning[place][used]].tolist()) == kept

    @invariant()
    def capacity_follows_what_was_needed(self):
        capacity = self.table.capacity
        assert capacity >= max(len(self.everything), FIRST_CAPACITY)
        assert len(self.table.spatial.steps) == len(self.table.pointers.values) == len(self.table.shared) == capacity


Slots.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSlots = Slots.TestCase


def test_capacity_is_reused():
    table = SlotTable(bank(), bank())
    for step in range(100):
        table.keep([])
        table.add(np.arange(1, 7) + 6 * step, step, 30)
    assert table.capacity == FIRST_CAPACITY
