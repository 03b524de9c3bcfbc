"""Which frames the detector looks at, and that an engine asks it for no others."""

import numpy as np
import pytest

from tests import tiny
from tests.frames import frame
from tests.lockstep import PROMPTS, Ours, Reference, compare, invent, scene
from tests.scripted import scripted
from trackers.detection.turns import Turns
from trackers.engine import Engine
from trackers.options import EngineOptions


def looked_at(turns, frames):
    return [index for index in frames if turns.due(index)]


def test_every_frame_by_default():
    assert looked_at(Turns(1, 5), range(6)) == [0, 1, 2, 3, 4, 5]


def test_the_first_frame_and_then_every_nth_of_the_phase():
    assert looked_at(Turns(4, 0), range(10)) == [0, 4, 8]
    assert looked_at(Turns(4, 1), range(10)) == [0, 3, 7]
    assert looked_at(Turns(4, 3), range(10)) == [0, 1, 5, 9]
    assert looked_at(Turns(4, 4), range(10)) == [0, 4, 8]


def test_streams_take_turns():
    streams = [Turns(4, phase) for phase in range(8)]
    assert [sum(turns.due(index) for turns in streams) for index in range(10)] == [8] + [2] * 9


def test_what_is_new_is_looked_for_at_once_and_the_phase_stays():
    turns = Turns(4, 0)
    assert looked_at(turns, range(3)) == [0]
    turns.renew()
    assert looked_at(turns, range(3, 13)) == [3, 4, 8, 12]


def test_frames_that_were_dropped_do_not_count():
    assert looked_at(Turns(3, 0), range(0, 100, 10)) == [0, 30, 60, 90]


def test_a_frame_that_is_seen_again_has_the_same_turn():
    turns = Turns(3, 0)
    assert [turns.due(index) for index in (0, 0, 1, 1, 2, 3, 3, 4)] == [
        True,
        True,
        False,
        False,
        False,
        True,
        True,
        False,
    ]


def test_whose_turn_it_is_does_not_depend_on_streams_that_have_ended(video_checkpoint):
    engine = Engine(EngineOptions(str(video_checkpoint), "cpu", detect_every=3))
    first, second = engine.open_stream(["cat"]), engine.open_stream(["cat"])
    assert [first.turns.phase, second.turns.phase] == [0, 1]
    engine.close_stream(first)
    assert [engine.open_stream(["cat"]).turns.phase for _ in range(2)] == [0, 2]


def test_an_engine_looks_for_what_is_new_at_once(video_checkpoint, tmp_path, monkeypatch):
    engine = Engine(EngineOptions(str(video_checkpoint), "cpu", detect_every=3))
    detect, asked = engine._detector.detect, []

    def counted(features, prompts):
        asked.append([len(listed) for listed in prompts])
        return detect(features, prompts)

    monkeypatch.setattr(engine._detector, "detect", counted)
    streams = [engine.open_stream(["cat"]), engine.open_stream(["cat", "dog"])]
    images = scene(6)

    def step(index):
        results = engine.step(streams, [frame(index, images[index])] * 2)
        assert all(len(listed) == 1 for listed in results), "a result a frame, whoever looks"

    for index in range(4):
        step(index)
    engine.set_prompts(streams[1], ["bird"])
    step(4)
    engine.save_stream(streams[0], final=True).write(tmp_path / "state")
    streams[0], _ = engine.resume_stream(tmp_path / "state", ["cat"])
    step(5)
    assert asked == [[1, 2], [0, 0], [0, 2], [1, 0], [0, 1], [1, 1]]


@pytest.mark.usefixtures("one_thread")
def test_between_two_looks_masks_are_those_of_the_reference_that_finds_nothing():
    video = tiny.video_model()
    ours, theirs = Ours(video), Reference(video, tiny.tokenizer(), PROMPTS)
    state = ours.tracker.new_state(PROMPTS)
    rng, last, between = np.random.default_rng(4), None, 0
    with scripted(video.detector_model, [ours.text.embed(prompt).features for prompt in PROMPTS], 32) as script:
        for index, image in enumerate(scene(20, 4)):
            looked = index % 4 == 0
            script.found = invent(rng, last, len(PROMPTS), 3) if looked else [[], []]
            last = theirs.step(image)
            [[result]] = ours.step([state], [image], looked=looked)
            assert compare(last, result) >= 0.99, f"frame {index}"
            between += len(result.tracks) * (not looked)
    assert between > 20


def test_a_frame_whose_pass_failed_has_its_answer_again_though_later_ones_were_seen():
    """Two stages: when the second has no room for a frame, the first has looked at the next one."""
    turns = Turns(3, 0)
    asked = [turns.due(index) for index in (0, 1, 2, 0, 3, 2, 4, 3, 5, 6)]
    assert asked == [True, False, False, True, True, False, False, True, False, True]
