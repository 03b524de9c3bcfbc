from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib import metadata
from typing import Any

import jsonschema
import numpy as np
import pydantic
import pytest
from pycocotools import mask as coco

from maskcast.mask import Box, Mask
from maskcast.result import Event, EventKind, Result, Track, TrackState
from sinks.messages.control import ControlMessage, reply_message
from sinks.messages.counts import counts_message
from sinks.messages.downscale import downscaled
from sinks.messages.event import event_message, shed_message
from sinks.messages.frame import FrameMessage, frame_message
from sinks.messages.message import Message
from sinks.messages.status import process_message, status_message
from tests.paths import ROOT
from tests.sinks_media import frame, grey, tracks

SCHEMAS = ROOT / "docs" / "schema"
SIZE = (180, 320)


def result(*some: Track) -> Result:
    event = Event(EventKind.LOST, 3, "dog", 0.123456, Box(1.26, 2, 3, 4))
    return Result(frame(12, grey(*SIZE), 0.48), some, (event,))


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def validate(name: str, message: Message) -> Any:
    found = json.loads(message.json_bytes())
    jsonschema.Draft202012Validator(schema(name)).validate(found)
    return found


def test_a_frame_with_a_file_of_its_own_is_version_2() -> None:
    plain = result(*tracks(SIZE, 0))
    named = replace(plain, frame=replace(plain.frame, file_name="monday/000004.jpg"))
    found = validate("frame2", frame_message(named))
    assert (found.pop("schema"), found.pop("file_name")) == ("maskcast.frame/2", "monday/000004.jpg")
    first = validate("frame", frame_message(plain))
    assert first.pop("schema") == "maskcast.frame/1"
    assert found == first


def test_frame_is_as_designed() -> None:
    some = tracks(SIZE, 0)
    found = validate("frame", frame_message(result(*some)))
    assert list(found) == ["schema", "stream", "frame", "pts", "time", "width", "height", "downscale", "tracks"]
    assert found["schema"] == "maskcast.frame/1"
    assert (found["frame"], found["pts"], found["time"]) == (12, 0.48, "2026-01-01T00:00:00.480Z")
    assert (found["width"], found["height"], found["downscale"]) == (320, 180, 1)
    assert [track["state"] for track in found["tracks"]] == ["confirmed", "confirmed", "tentative"]
    for track, published in zip(some, found["tracks"], strict=True):
        assert list(published) == ["id", "prompt", "state", "score", "bbox", "area", "segmentation"]
        decoded = coco.decode(published["segmentation"]).astype(np.bool_)
        assert np.array_equal(decoded, track.mask.full())
        assert published["bbox"] == list(track.mask.bbox)
        assert published["area"] == track.mask.area


def test_event_and_status() -> None:
    one = result()
    found = validate("event", event_message(one, one.events[0], "0123456789abcdef0123456789abcdef-41"))
    assert (found["event"], found["track"]) == ("lost", {"id": 3, "prompt": "dog"})
    assert (found["bbox"], found["score"]) == ([1.3, 2, 3, 4], 0.1235)
    online = validate("status", status_message("door", "online", prompts=["dog"], paused=True))
    assert (online["stream"], online["reason"], online["prompts"], online["paused"]) == ("door", None, ["dog"], True)
    offline = validate("status", status_message("door", "offline", "camera lost"))
    assert (offline["reason"], offline["prompts"], offline["paused"]) == ("camera lost", [], False)


def test_shed_counts_process_and_reply() -> None:
    identifier = "0123456789abcdef0123456789abcdef-140"
    shed = validate("shed", shed_message("door", identifier, 100))
    assert (shed["schema"], shed["id"], shed["count"]) == ("maskcast.shed/1", identifier, 100)
    counts = validate("counts", counts_message("door", {"dog": 2, "行人": 0}))
    assert counts["counts"] == {"dog": 2, "行人": 0}
    process = validate("process", process_message("offline", "stopped", ["door", "yard"]))
    assert (process["streams"], process["version"]) == (["door", "yard"], metadata.version("maskcast"))
    request = ControlMessage(action="add", prompts=("dog",), id="mine")
    reply = validate("reply", reply_message("door", request, None, ["person", "dog"]))
    assert (reply["id"], reply["action"], reply["status"], reply["count"]) == ("mine", "add", "accepted", 1)
    reply = validate("reply", reply_message("door", None, "not JSON", ["person"], 7))
    assert (reply["id"], reply["action"], reply["status"], reply["count"]) == (None, None, "rejected", 7)


@pytest.mark.parametrize("downscale", [1, 2, 3, 7, 64, 400])
def test_a_reduced_mask_has_a_pixel_wherever_the_full_one_has_any(downscale: int) -> None:
    rng = np.random.default_rng(downscale)
    for _ in range(30):
        height, width = rng.integers(1, 40, 2)
        size = (int(height + rng.integers(0, 30)), int(width + rng.integers(0, 30)))
        y, x = int(rng.integers(0, size[0] - height + 1)), int(rng.integers(0, size[1] - width + 1))
        mask = Mask.from_array(rng.random((height, width)) < rng.choice([0.01, 0.5, 1]), size, x, y)
        reduced = downscaled(mask, downscale)
        assert reduced.size == (math.ceil(size[0] / downscale), math.ceil(size[1] / downscale))
        padded = np.zeros((reduced.size[0] * downscale, reduced.size[1] * downscale), np.bool_)
        padded[: size[0], : size[1]] = mask.full()
        blocks = padded.reshape(reduced.size[0], downscale, reduced.size[1], downscale)
        assert np.array_equal(reduced.full(), blocks.any(axis=(1, 3)))
        again = Mask.from_array(reduced.full(), reduced.size)
        assert (reduced.x, reduced.y, reduced.crop.shape) == (again.x, again.y, again.crop.shape)


def test_a_reduced_frame_says_so_and_keeps_boxes_and_areas() -> None:
    some = tracks(SIZE, 0)
    found = validate("frame", frame_message(result(*some), 3))
    assert (found["width"], found["height"], found["downscale"]) == (320, 180, 3)
    for track, published in zip(some, found["tracks"], strict=True):
        assert published["segmentation"]["size"] == [60, 107]
        assert (published["area"], published["bbox"]) == (track.mask.area, list(track.mask.bbox))
        decoded = coco.decode(published["segmentation"]).astype(np.bool_)
        assert np.array_equal(decoded, downscaled(track.mask, 3).full())


def test_reducing_a_mask_does_not_visit_the_frame() -> None:
    small = Mask((1_000_000, 1_000_000), 999_990, 999_990, np.ones((10, 10), np.bool_))  # its frame fits no memory
    reduced = downscaled(small, 4)
    assert (reduced.size, reduced.x, reduced.crop.shape) == ((250_000, 250_000), 249_997, (3, 3))


@pytest.mark.parametrize(("score", "published"), [(math.nan, 0), (1.2, 1), (-0.1, 0), (math.inf, 0), (0.98765, 0.9877)])
def test_scores_are_always_numbers(score: float, published: float) -> None:
    mask = Mask.from_array(np.ones((2, 2), np.bool_), SIZE)
    message = frame_message(result(Track(1, "a", TrackState.CONFIRMED, score, mask)))
    assert validate("frame", message)["tracks"][0]["score"] == published
    assert b"NaN" not in message.json_bytes()


def test_empty_mask_and_odd_words_survive() -> None:
    empty = Mask.from_array(np.zeros((1, 1), np.bool_), SIZE)
    message = frame_message(result(Track(1, 'Zoë "x"\n行人', TrackState.CONFIRMED, 1, empty)))
    line = message.json_bytes()
    assert b"\n" not in line
    found = validate("frame", message)["tracks"][0]
    assert found["prompt"] == 'Zoë "x"\n行人'
    assert coco.decode(found["segmentation"]).sum() == 0


def test_unknown_fields_are_refused() -> None:
    line = json.loads(frame_message(result()).json_bytes())
    FrameMessage.model_validate(line)
    with pytest.raises(pydantic.ValidationError):
        FrameMessage.model_validate({**line, "colour": "red"})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**line, "colour": "red"}, schema("frame"))
