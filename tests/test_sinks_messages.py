from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pydantic
import pytest
from pycocotools import mask as coco

from sinks.messages import FrameMessage, Message, event_message, frame_message, status_message
from sinks.schema import MESSAGES, schema_text
from streaming.types import Box, Event, EventKind, Mask, Result, Track, TrackState
from tests.sinks_media import frame, grey, info, tracks

SCHEMAS = Path(__file__).parent.parent / "docs" / "schema"
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


@pytest.mark.parametrize("name", list(MESSAGES))
def test_the_published_schema_is_the_codes_own(name: str) -> None:
    text = (SCHEMAS / f"{name}.json").read_text(encoding="utf-8")
    assert text == schema_text(MESSAGES[name]), "run: python -m sinks.schema"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_frame_is_as_designed() -> None:
    some = tracks(SIZE, 0)
    found = validate("frame", frame_message(result(*some)))
    assert list(found) == ["schema", "stream", "frame", "pts", "time", "width", "height", "tracks"]
    assert found["schema"] == "maskcast.frame/1"
    assert (found["frame"], found["pts"], found["time"]) == (12, 0.48, "2026-01-01T00:00:00.480Z")
    assert (found["width"], found["height"]) == (320, 180)
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
    assert validate("status", status_message(info(), "online"))["reason"] is None
    assert validate("status", status_message(info(), "offline", "camera lost"))["reason"] == "camera lost"


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
