"""Messages read back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from maskcast.places import Tally
from maskcast.result import Result
from sinks.messages.downscale import downscaled, upscaled
from sinks.messages.frame import frame_message
from sinks.messages.stored_frame import read_frame, tracks_of
from tests.sinks_media import frame, grey, tracks

SIZE = (90, 161)
RESULT = Result(frame(12, grey(*SIZE), 0.48), tracks(SIZE, 3))


@pytest.mark.parametrize("version", [1, 2, 3])
def test_tracks_come_back_as_they_were(version: int) -> None:
    result = RESULT
    if version == 2:
        result = replace(result, frame=replace(result.frame, file_name="a.jpg"))
    if version == 3:
        zoned = replace(result.tracks[0], zones=("gate",))
        result = replace(result, tracks=(zoned, *result.tracks[1:]), tally=Tally(datetime(2026, 1, 1, tzinfo=UTC)))
    message = read_frame(frame_message(result).json_bytes())
    assert message.schema_ == f"maskcast.frame/{version}"
    back = tracks_of(message)
    for was, found in zip(result.tracks, back, strict=True):
        assert (found.id, found.prompt, found.state, found.zones) == (was.id, was.prompt, was.state, was.zones)
        assert found.score == round(was.score, 4)
        assert np.array_equal(found.mask.full(), was.mask.full())


def test_reduced_masks_are_scaled_up() -> None:
    back = tracks_of(read_frame(frame_message(RESULT, 4).json_bytes()))
    for was, found in zip(RESULT.tracks, back, strict=True):
        assert np.array_equal(found.mask.full(), upscaled(downscaled(was.mask, 4), 4, SIZE).full())


def changed(**fields: Any) -> dict[str, Any]:
    """A message with other fields; of its first track for those that are a track's."""
    message: dict[str, Any] = json.loads(frame_message(RESULT).json_bytes())
    for name, value in fields.items():
        (message if name in message else message["tracks"][0])[name] = value
    return message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", "no message of maskcast.frame: Invalid JSON"),
        (b"[1]", "no message of maskcast.frame"),
        (b'{"frame": 1}', "no message of maskcast.frame: Unable to extract tag"),
        (changed(schema="maskcast.frame/9"), "no message of maskcast.frame: Input tag 'maskcast.frame/9'"),
        (changed(width=0), "width: Input should be greater"),
        (changed(score=1.5), "tracks.0.score: Input should be less"),
        (changed(id=2), "two tracks have the same id"),
    ],
)
def test_what_is_no_message_is_refused(line: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        read_frame(line if isinstance(line, bytes) else json.dumps(line).encode())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [89, 161], "counts": "0"}, "track 1: its mask has 161 x 89 pixels at 1/1 of a frame of 161 x 90"),
        ({"size": list(SIZE), "counts": "zzz"}, "track 1: the run lengths are cut off"),
        ({"size": list(SIZE), "counts": "04"}, "track 1: the run lengths are not those of 161 x 90 pixels"),
    ],
)
def test_damaged_masks_are_refused(segmentation: dict[str, Any], said: str) -> None:
    message = read_frame(json.dumps(changed(segmentation=segmentation)).encode())
    with pytest.raises(ValueError, match=said):
        tracks_of(message)
