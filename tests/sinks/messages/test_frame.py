"""What is published of a frame."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import jsonschema
import numpy as np
import pydantic
import pytest
from pycocotools import mask as coco

from maskcast.mask import Mask
from maskcast.places import Tally
from maskcast.result import Result, Track, TrackState
from sinks.messages.downscale import downscaled
from sinks.messages.frame import FrameMessage, frame_message
from tests.schemas import VALIDATORS, validate
from tests.sinks_media import frame, grey, tracks

SIZE = (180, 320)


def result(*some: Track) -> Result:
    return Result(frame(12, grey(*SIZE), 0.48), some)


def test_a_frame_with_a_file_of_its_own_is_version_2() -> None:
    plain = result(*tracks(SIZE, 0))
    named = replace(plain, frame=replace(plain.frame, file_name="monday/000004.jpg"))
    found = validate("frame2", frame_message(named))
    assert (found.pop("schema"), found.pop("file_name")) == ("maskcast.frame/2", "monday/000004.jpg")
    first = validate("frame", frame_message(plain))
    assert first.pop("schema") == "maskcast.frame/1"
    assert found == first


def test_a_frame_of_a_stream_with_places_is_version_3() -> None:
    some = tracks(SIZE, 0)
    here = replace(some[0], zones=("gate", "yard"))
    placed = replace(result(here, *some[1:]), tally=Tally(datetime(2026, 1, 1, tzinfo=UTC)))
    found = validate("frame3", frame_message(placed))
    assert [track.pop("zones") for track in found["tracks"]] == [["gate", "yard"], [], []]
    assert (found.pop("schema"), found.pop("file_name")) == ("maskcast.frame/3", None)
    first = validate("frame", frame_message(result(*some)))
    assert first.pop("schema") == "maskcast.frame/1"
    assert found == first
    named = replace(placed, frame=replace(placed.frame, file_name="monday/000004.jpg"))
    assert validate("frame3", frame_message(named))["file_name"] == "monday/000004.jpg"


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


def test_a_reduced_frame_says_so_and_keeps_boxes_and_areas() -> None:
    some = tracks(SIZE, 0)
    found = validate("frame", frame_message(result(*some), 3))
    assert (found["width"], found["height"], found["downscale"]) == (320, 180, 3)
    for track, published in zip(some, found["tracks"], strict=True):
        assert published["segmentation"]["size"] == [60, 107]
        assert (published["area"], published["bbox"]) == (track.mask.area, list(track.mask.bbox))
        decoded = coco.decode(published["segmentation"]).astype(np.bool_)
        assert np.array_equal(decoded, downscaled(track.mask, 3).full())


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
        VALIDATORS["frame"].validate({**line, "colour": "red"})
