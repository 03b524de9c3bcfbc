"""After a break in the middle of a video all is as without it, to the bit."""

import itertools
import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from maskcast.errors import TrackStateError
from maskcast.prompts import Prompt
from sources import SourceSettings, open_source
from streaming.commands.demo import CLIP
from trackers.engine import Engine
from trackers.options import EngineOptions

PROMPTS = (
    Prompt("red circle", group="shape", min_frames=2),
    Prompt("star", group="shape"),
    Prompt("green square"),
    Prompt("triangle"),
)
FRAMES = range(44, 64)


@pytest.fixture(scope="module")
def engine():
    """With all that the next frame can depend on."""
    return Engine(EngineOptions("nano", "cpu", detect_every=3, propagate="adaptive"))


@pytest.fixture(scope="module")
def frames():
    source = open_source(str(CLIP), SourceSettings(), stream="demo")
    try:
        return list(itertools.islice(source, FRAMES.start, FRAMES.stop))
    finally:
        source.close()


def said(result):
    tracks = [
        (track.id, track.prompt, track.state, track.score, track.mask.bbox, track.mask.crop.tobytes())
        for track in result.tracks
    ]
    return tracks, result.events, result.prompts


def follow(engine, stream, frames):
    return [said(engine.step([stream], [frame])[0][0]) for frame in frames]


@pytest.fixture(scope="module")
def saved(engine, frames, tmp_path_factory):
    """What was said of each frame, and the states behind some of them."""
    folder, stream, expected = tmp_path_factory.mktemp("states"), engine.open_stream(PROMPTS), []
    for count, frame in enumerate(frames, 1):
        expected += follow(engine, stream, [frame])
        if count in {1, 2, 9, 13}:
            engine.save_midway(stream).write(folder / str(count), json.dumps({"frames": count}))
    engine.close_stream(stream)
    return expected, folder, stream


@pytest.mark.parametrize("count", [1, 2, 9, 13])
def test_the_frames_behind_it_are_the_same(engine, frames, saved, count):
    expected, folder, unharmed = saved
    engine.open_stream(PROMPTS)  # so that the turns of the next one are others
    stream = engine.resume_midway(folder / str(count), PROMPTS, count)
    assert follow(engine, stream, frames[count:]) == expected[count:]
    assert stream.state.lifecycle.next_id == unharmed.state.lifecycle.next_id
    assert list(stream.state.lifecycle) == list(unharmed.state.lifecycle)
    assert stream.state.naming.votes() == unharmed.state.naming.votes()
    last, before = stream.state.last_masks, unharmed.state.last_masks
    assert np.array_equal(last.ids, before.ids)
    assert bool((last.masks == before.masks).all())


def test_a_track_state_for_another_day_would_not_do(engine, frames, saved, tmp_path):
    """What this file is about: of the same moment, that state is followed by other results."""
    expected, _, _ = saved
    stream = engine.open_stream(PROMPTS)
    follow(engine, stream, frames[:9])
    engine.save_stream(stream, final=True).write(tmp_path / "state")
    stream, _ = engine.resume_stream(tmp_path / "state", PROMPTS)
    assert follow(engine, stream, frames[9:]) != expected[9:]


def test_what_it_is_not_for(engine, saved):
    _, folder, _ = saved
    with pytest.raises(TrackStateError, match="behind 9 frames, and not 8"):
        engine.resume_midway(folder / "9", PROMPTS, 8)
    with pytest.raises(TrackStateError, match="of other prompts"):
        engine.resume_midway(folder / "9", PROMPTS[:3], 9)
    with pytest.raises(TrackStateError, match=r"its format is maskcast\.midway_state/1"):
        engine.resume_stream(folder / "9", PROMPTS)
    assert not Engine(EngineOptions("nano", "cpu", tracker="association")).goes_on_midway


def changed(folder, path, tensors=(), **document):
    """A copy of a state with something else in it."""
    from safetensors import safe_open

    with safe_open(folder / "9", "pt") as opened:
        head = opened.metadata()
    head["track_state"] = json.dumps(json.loads(head["track_state"]) | document)
    save_file(load_file(folder / "9") | dict(tensors), path, head)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"turn": 4}, "not from 1 to 3"),
        ({"turn": "x"}, "damaged"),
        ({"looked": 10}, "damaged"),
        ({"votes": [[1, [[0.5], 0]]]}, "scores of other prompts"),
        ({"votes": 3}, "damaged"),
    ],
)
def test_a_document_that_cannot_be(engine, saved, tmp_path, document, message):
    changed(saved[1], tmp_path / "state", **document)
    with pytest.raises(TrackStateError, match=message):
        engine.resume_midway(tmp_path / "state", PROMPTS, 9)


def test_masks_that_cannot_be(engine, saved, tmp_path):
    found = load_file(saved[1] / "9")
    for name, other in (
        ("last.masks", found["last.masks"][:, :-1]),
        ("last.masks", found["last.masks"].float()),
        ("last.ids", found["last.ids"].flip(0)),
        ("last.ids", found["last.ids"][None]),
    ):
        changed(saved[1], tmp_path / "state", {name: other.contiguous()})
        with pytest.raises(TrackStateError, match="masks of"):
            engine.resume_midway(tmp_path / "state", PROMPTS, 9)
