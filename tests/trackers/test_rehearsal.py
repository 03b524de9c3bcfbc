"""Planted objects: as many as wanted, for as long as wanted, at the full price."""

from unittest.mock import patch

import numpy as np
import pytest

from tests.frames import frame
from tests.lockstep import scene
from trackers.compilation.rehearsal import rehearse_detector
from trackers.engine import Engine
from trackers.options import EngineOptions
from trackers.rehearsal import RehearsalEngine, discs

PROMPTS = ("person", "dog")


def rehearsal(checkpoint, tracker=None):
    return RehearsalEngine(EngineOptions(str(checkpoint), "cpu", tracker))


@pytest.mark.parametrize("tracker", ["memory", "association"])
@pytest.mark.parametrize("objects", [0, 1, 5])
def test_there_are_as_many_objects_as_wanted(video_checkpoint, tracker, objects):
    engine = rehearsal(video_checkpoint, tracker)
    stream = engine.open_stream(PROMPTS)
    images = scene(10)
    for index, image in enumerate(images):
        # An hour a frame: none is lost for good.
        assert engine.rehearse([stream], [frame(index, image, pts=3600.0 * index)], objects) == objects
    assert stream.state.lifecycle.next_id == objects + 1, "none was begun anew"
    spent = engine.stage_times.totals()
    assert spent["decode"].units == 2 * len(images), "the detector has done its work"
    if tracker == "memory" and objects:
        recall = stream.state.table.spatial.recall(stream.state.table.rows(), stream.state.step)
        assert (recall.used.sum(axis=1) == 7).all(), "one that starts it and six frames, whatever was seen of it"
        assert {life.prompt for life in stream.state.lifecycle} == set(PROMPTS[:objects])


def test_streams_go_on_from_a_copy(video_checkpoint):
    engine = rehearsal(video_checkpoint)
    stream = engine.open_stream(PROMPTS)
    image = scene(1)[0]
    engine.rehearse([stream], [frame(0, image)], 3)
    copies = [engine.copied(stream) for _ in range(3)]
    assert engine.rehearse(copies, [frame(1, image)] * 3, 3) == 9
    assert stream.state.step == 1


def test_passes_are_seen_for_the_compiler_before_anything_is_rehearsed(video_checkpoint):
    engine = rehearsal(video_checkpoint)
    stream = engine.open_stream(PROMPTS)
    detector = engine._detector
    with patch.object(detector.mask_head, "pixels", wraps=detector.mask_head.pixels) as masks:
        rehearse_detector(detector, stream.embeddings[0])
    assert masks.called
    assert engine.rehearse([stream], [frame(0, scene(1)[0])], 3) == 3


def test_the_peer_follows_as_many(video_checkpoint):
    engine = rehearsal(video_checkpoint)
    peer = engine.peer(PROMPTS, 4)
    for image in scene(3):
        peer(image)
        assert len(peer._session.obj_ids) == 4
    assert "run_detection" not in vars(engine._checkpoint.video)


def test_a_detector_has_no_peer(tiny_checkpoint):
    assert rehearsal(tiny_checkpoint).peer(PROMPTS, 4) is None


def test_discs_lie_apart():
    inside = discs(7, 32).numpy() > 0
    assert inside.sum(axis=0).max() == 1
    assert (inside.sum(axis=(1, 2)) > 10).all()
    assert discs(0, 32).shape == (0, 32, 32)


def test_the_engine_itself_is_unchanged(video_checkpoint):
    rules = Engine(EngineOptions(str(video_checkpoint), "cpu"))._tracker.rules
    assert rules.select_memories
    assert np.isfinite(rules.lost_after)
