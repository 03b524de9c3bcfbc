"""What is computed from shapes is what is allocated."""

import copy
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from docs.generate.memory import full_size
from tests import tiny
from trackers.detection.mask_head import MaskHead
from trackers.engine import Engine
from trackers.memory.memory_bank import FIRST_CAPACITY, MemoryBank
from trackers.memory.propagation import Memories, Propagation, TrackerFeatures
from trackers.memory.tracker import MemoryTracker
from trackers.memory_need import entries, pass_bytes, prompt_bytes, track_bytes, tracking_bytes, tracks_that_fit
from trackers.options import EngineOptions
from trackers.rules import Rules


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("selective", [True, False])
def test_a_track_takes_what_its_slots_take(dtype, selective):
    video = tiny.video_model()
    rules = Rules.from_config(video.config, select_memories=selective)
    tracker = MemoryTracker(video, torch.device("cpu"), dtype, rules)
    table = tracker.new_table()
    allocated = table.spatial.values.nbytes + table.pointers.values.nbytes
    memory = table.spatial.values.element_size()
    computed = track_bytes(tracker.propagation.config, rules, memory)
    assert FIRST_CAPACITY * computed == allocated


def test_a_track_of_full_size():
    """Against a bank that is really allocated; its pointers are less than a hundredth of it."""
    config, rules = full_size().tracker_model.config, Rules()
    frames, _ = entries(config, rules)
    shape, most = (72 * 72, 64), {"max_recent": 6, "max_conditioning": 4, "selective": True}
    bank = MemoryBank(shape, **most, dtype=torch.bfloat16, device=torch.device("cpu"))
    assert bank.values.shape[1] == frames
    assert track_bytes(config, rules) == pytest.approx(bank.values.nbytes / FIRST_CAPACITY, rel=0.01)


def test_a_prompt_takes_its_embedding():
    features, mask = torch.zeros(16, 128), torch.ones(16, dtype=torch.bool)
    assert prompt_bytes(16, 128) == features.nbytes + mask.nbytes


def test_what_fits():
    assert tracks_that_fit(free=1_000, passing=300, track=70) == 10
    assert tracks_that_fit(free=100, passing=300, track=70) == 0


class Alive(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, from its beginning on, and the most that there were."""

    def __init__(self):
        super().__init__()
        self._known, self.now, self.most = set(), 0, 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        made = function(*arguments, **(named or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and (key := tensor.untyped_storage()._cdata) not in self._known:
                self._known.add(key)
                self._count(tensor.untyped_storage().nbytes())
                weakref.finalize(tensor.untyped_storage(), self._freed, key, tensor.untyped_storage().nbytes())
        return made

    def _count(self, change):
        self.now += change
        self.most = max(self.most, self.now)

    def _freed(self, key, size):
        self._known.remove(key)
        self._count(-size)


@torch.inference_mode()
def test_a_pass_of_full_size():
    """The mask head for eight pairs of a frame each, on tensors without data."""
    meta = torch.device("meta")
    head = MaskHead(full_size().detector_model.eval(), meta, torch.float32)
    with meta:
        memory, text, mask = torch.empty(8, 72 * 72, 256), torch.empty(8, 32, 256), torch.ones(8, 32, dtype=torch.bool)
        tokens = torch.empty(8, 72 * 72, 1024)
        with Alive() as alive:
            pixels = head.pixels(memory, text, mask, head.levels(tokens))
            head.masks(memory[:, 0], pixels, [1] * 8)
    assert 0.95 * pass_bytes(8, 256, 288) < alive.most < pass_bytes(8, 256, 288)


@torch.inference_mode()
def test_a_tracking_pass_of_full_size(monkeypatch):
    """Sixteen tracks that remember as much as they can, on tensors without data, with a kernel that keeps no scores."""
    video = copy.deepcopy(full_size()).eval()
    attention = video.tracker_model.memory_attention
    places, hidden, memory = 72 * 72, 256, 64
    attention.position_ids = torch.zeros(places)  # of which rotations and positions are computed on the CPU
    attention.rotary_emb.forward = lambda *_: (torch.zeros(places, hidden), torch.zeros(places, hidden))
    monkeypatch.setattr(Propagation, "_sine", lambda _, __, channels: torch.empty(places, channels, device="meta"))
    monkeypatch.setattr(
        "torch.nn.functional.scaled_dot_product_attention",
        lambda query, _, value, *__, **___: torch.empty(*query.shape[:-1], value.shape[-1], device="meta"),
    )
    rules = Rules()
    with torch.device("meta"):
        propagation = Propagation(video, torch.device("meta"), torch.float32)
        frames, pointers = entries(propagation.config, rules)
        sides = (32, 288), (64, 144), (hidden, 72)
        fine, middle, coarse = (torch.empty(1, channels, side, side) for channels, side in sides)
        tokens = torch.empty(1, places, hidden)
        seen = TrackerFeatures(fine, middle, coarse, tokens, tokens[:, None], coarse)
        memories = Memories(
            torch.empty(16, frames, places, memory, dtype=torch.bfloat16),
            torch.zeros(16, frames, dtype=torch.int64),
            torch.empty(16, pointers, hidden),
            torch.empty(16, pointers),
            None,
        )
        with Alive() as alive:
            propagation.propagate(seen, torch.zeros(16, dtype=torch.int64), memories)
    need = tracking_bytes(16, propagation.config, rules)
    assert 0.95 * need < alive.most < need


def test_an_engine_on_a_gpu_says_how_many_tracks_fit(video_checkpoint, monkeypatch):
    engine = Engine(EngineOptions(str(video_checkpoint), "cpu"))
    assert engine._room() == "", "the memory beside a CPU is everybody's"
    config, rules = engine._tracker.propagation.config, engine._tracker.rules
    passing = pass_bytes(8, tiny.HIDDEN, 32) + tracking_bytes(16, config, rules)
    track = track_bytes(config, rules)
    monkeypatch.setattr("trackers.engine.free_bytes", lambda _: passing + 5 * track)
    engine.device = torch.device("cuda", 0)  # there is none here
    assert engine._room() == ", room for about 5 tracks of all streams"
    monkeypatch.setattr("trackers.engine.free_bytes", lambda _: 0)
    assert "about 0 tracks" in engine._room()
    other = Engine(EngineOptions(str(video_checkpoint), "cpu", "association"))
    other.device = engine.device
    assert other._room() == "", "it keeps next to nothing of a track"
