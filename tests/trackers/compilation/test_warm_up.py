"""Compiled passes against the same passes as they are written: no break, no later compilation, the same results.

Traced here and run by the kernels that run uncompiled too (backend `eager`): Inductor takes minutes, in a slow test.
"""

import logging

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

from tests import tiny
from tests.frames import frame
from tests.lockstep import PROMPTS, Ours
from trackers.compilation import warm_up
from trackers.compilation.fixed_sizes import FixedSizes
from trackers.compilation.warm_up import compile_model
from trackers.defaults import CONTEXT_TOKENS
from trackers.detection.detector import Detections
from trackers.engine import Engine
from trackers.memory.tracker import MemoryTracker
from trackers.options import EngineOptions
from trackers.rehearsal import discs
from trackers.structure import tensors

SIDE, DISCS = 32, 20
FRAMES = 40


def owners(ours):
    detector, tracker = ours.detector, ours.tracker
    return detector.encoder, detector.decoder, detector.mask_head, tracker.propagation, tracker.encoder


def checked(place, seen, tolerance):
    """A pass whose every result is compared with that of the method, which it must not fall back to."""
    method, place.method = place.method, None

    def call(*arguments):
        expected, results = method(*arguments), place(*arguments)
        for result, one in zip(tensors(results), tensors(expected), strict=True):
            least = max(tolerance, torch.finfo(one.dtype).eps)  # memories are bfloat16: rounded once more
            torch.testing.assert_close(result, one, atol=tolerance, rtol=least)
        seen.add((method.__qualname__, len(next(tensors(arguments)))))
        return results

    return call


class Scene:
    """Streams that come and go, each with one to three prompts, and up to 24 tracks."""

    def __init__(self, ours, seed):
        self.ours = ours
        self.rng = np.random.default_rng(seed)
        self.states = []
        self.index = 0

    def change(self):
        """Let streams come and go."""
        if len(self.states) > 1 and self.rng.random() < 0.1:
            del self.states[self.rng.integers(len(self.states))]
        if not self.states or (len(self.states) < 4 and self.rng.random() < 0.2):
            self.states.append(self.ours.tracker.new_state([*PROMPTS, "dog"][: self.rng.integers(1, 4)]))

    def found(self, prompts):
        """What the tracker is told: some of twenty discs, now and then."""
        count = int(self.rng.integers(0, 6)) if self.rng.random() < 0.5 else 0
        prompt = torch.arange(DISCS) % len(prompts)
        chosen = torch.from_numpy(self.rng.choice(DISCS, count, replace=False))
        chosen = chosen[prompt[chosen].argsort(stable=True)]
        return Detections(prompt[chosen], torch.full((count,), 0.95), discs(DISCS, SIDE)[chosen])

    def step(self):
        """A frame of each stream; how many tracks there are."""
        self.change()
        images = [self.rng.integers(0, 256, (40, 56, 3), dtype=np.uint8) for _ in self.states]
        features = self.ours.detector.encode(images)
        self.ours.detector.detect(
            features, [[self.ours.text.embed(prompt) for prompt in state.prompts] for state in self.states]
        )
        self.index += 1
        frames = [frame(self.index, image) for image in images]
        found = [self.found(state.prompts) for state in self.states]
        self.ours.tracker.follow(self.states, frames, found, features)
        return sum(len(state.lifecycle) for state in self.states)


@pytest.mark.long
@pytest.mark.parametrize(
    ("backend", "tolerance"), [("eager", 2e-5), pytest.param("inductor", 1e-3, marks=pytest.mark.slow)]
)
def test_every_pass_is_compiled_and_nothing_is_later(backend, tolerance, caplog, monkeypatch):
    caplog.set_level(logging.WARNING)  # torch traces its tracing
    ours = Ours(tiny.video_model(), max_tracks=6)
    said, before = [], counters["stats"]["unique_graphs"]
    compile_model(ours.detector, ours.tracker, ours.text.embed(PROMPTS[0]), say=said.append, backend=backend)
    assert said[-1].startswith("compiled 7 of 7 passes in ")
    seen = set()
    for owner in owners(ours):
        for name, value in vars(owner).copy().items():
            if isinstance(value, FixedSizes):
                setattr(owner, name, checked(value, seen, tolerance))
    programs = counters["stats"]["unique_graphs"]
    # For one row and for more, of `_find` with a mask and without; where a kernel is chosen by their number, one more.
    assert 2 * (7 + 1) <= programs - before <= 2 * (7 + 1) + 2
    monkeypatch.setattr(torch._dynamo.config, "error_on_recompile", True)
    scene = Scene(ours, 0)
    tracks = [scene.step() for _ in range(FRAMES)]
    assert max(tracks) > 16, "more than go into one pass"
    assert {count for name, count in seen if name == "ImageEncoder.encode"} == {1, 2, 3, 4}
    others = {"PromptDecoder.decode", "MaskHead.levels", "MaskHead.pixels", "MemoryEncoder._write"}
    assert {name for name, _ in seen} >= others
    assert len({count for name, count in seen if name == "Propagation._find"}) >= 8
    assert counters["stats"]["unique_graphs"] == programs
    assert not caplog.records


@pytest.fixture
def ours(monkeypatch):
    """An engine; whatever is compiled does not work."""

    def broken(*_):
        raise RuntimeError("no C compiler")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    return Ours(tiny.video_model())


def encoded(ours):
    return ours.detector.encode([np.full((40, 56, 3), 100, np.uint8)]).tokens


def test_what_cannot_be_compiled_runs_as_it_is_written(ours, caplog):
    expected = encoded(ours)
    compile_model(ours.detector, None, ours.text.embed("x"))
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    names = ("ImageEncoder.encode", "PromptDecoder.decode", "MaskHead.levels", "MaskHead.pixels")
    assert warnings == [f"{name} cannot be compiled: RuntimeError: no C compiler" for name in names]
    assert torch.equal(encoded(ours), expected)


def test_what_cannot_be_compiled_is_captured_as_it_is_written(ours, caplog, monkeypatch):
    expected = encoded(ours)
    replays = []

    def capture(call):
        call()
        return lambda: replays.append(0) or call()

    monkeypatch.setattr(warm_up, "graphs", lambda _: capture)
    compile_model(ours.detector, None, ours.text.embed("x"))
    assert "cannot be compiled" in caplog.text
    assert "cannot be captured" not in caplog.text
    assert torch.equal(encoded(ours), expected)
    assert replays == [0]


def test_what_cannot_be_captured_runs_as_it_is_written(ours, caplog, monkeypatch):
    def capture(_):
        raise RuntimeError("operation not permitted when stream is capturing")

    expected = encoded(ours)
    monkeypatch.setattr(warm_up, "graphs", lambda _: capture)
    compile_model(ours.detector, None, ours.text.embed("x"))
    assert "ImageEncoder.encode cannot be captured: RuntimeError: operation not permitted" in caplog.text
    assert torch.equal(encoded(ours), expected)


def test_compiling_ends_in_time(ours, caplog, monkeypatch):
    expected = encoded(ours)
    monkeypatch.setattr(warm_up, "MOST_SECONDS", 0)
    compile_model(ours.detector, None, ours.text.embed("x"))
    assert "ImageEncoder.encode stays uncompiled: 0 s are over; the next start goes on from here" in caplog.text
    assert torch.equal(encoded(ours), expected)


def test_a_cpu_compiles_only_what_it_is_told_to(tmp_path, monkeypatch):
    tiny.save_video(tmp_path)
    compiled = []
    monkeypatch.setattr(warm_up, "compile_model", lambda *given, say: compiled.append((*given, say)))
    Engine(EngineOptions(str(tmp_path), "cpu"))
    assert not compiled
    said = []
    Engine(EngineOptions(str(tmp_path), "cpu", compile=True), say=said.append)
    Engine(EngineOptions(str(tmp_path), "cpu", "association", compile=True))
    (_, memory, prompt, say), (_, association, _, _) = compiled
    assert isinstance(memory, MemoryTracker)
    assert association is None
    assert len(prompt.features) == CONTEXT_TOKENS
    assert say == said.append
