"""The bound of a frame's message."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from maskcast.errors import UsageError
from maskcast.mask import Mask
from maskcast.result import Result, Track, TrackState
from sinks.mqtt import payload
from sinks.mqtt.payload import SMALLEST_PAYLOAD_BYTES, PayloadBound
from tests.grain import noise
from tests.publishing import PLANES
from tests.schemas import SCHEMAS
from tests.sinks_media import frame, grey, tracks


def test_masks_get_coarser_until_the_message_fits() -> None:
    one = Result(frame(0, grey(720, 1280)), noise((720, 1280), 6))
    limit = 100_000
    whole = PayloadBound(1 << 24).encode(one)
    assert len(whole.payload) > 2 * limit
    assert whole.downscale == 1
    found = PayloadBound(limit).encode(one)
    assert (len(found.payload) <= limit, found.dropped_tracks) == (True, 0)
    body = json.loads(found.payload)
    SCHEMAS["maskcast.frame/1"].validate(body)
    d = body["downscale"]
    assert d == found.downscale > 1
    for track, published in zip(one.tracks, body["tracks"], strict=True):
        assert published["segmentation"]["size"] == [-(-720 // d), -(-1280 // d)]
        decoded = coco.decode(published["segmentation"]).astype(np.bool_)
        up = decoded.repeat(d, 0).repeat(d, 1)[:720, :1280]
        assert (up | ~track.mask.full()).all()
        assert published["bbox"] == list(track.mask.bbox)


def test_a_steady_scene_is_encoded_once_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    size, tries = (360, 640), 10
    one, calm = Result(frame(0, grey(*size)), noise(size, 8, grain=2)), Result(frame(1, grey(*size)))
    monkeypatch.setattr(payload, "TRY_AGAIN_FRAMES", tries)
    encoded = 0
    original = payload.frame_message

    def counted(*arguments: Any) -> Any:
        nonlocal encoded
        encoded += 1
        return original(*arguments)

    monkeypatch.setattr(payload, "frame_message", counted)
    bound = PayloadBound(100_000)
    coarse = bound.encode(one).downscale
    bound.encode(one)
    assert coarse > 1
    encoded = 0
    for _ in range(tries - 2):
        assert bound.encode(one).downscale == coarse
    assert encoded == tries - 2
    for _ in range(tries):
        bound.encode(calm)
    assert bound.encode(calm).downscale == 1  # with room, the masks get finer again


def test_where_no_resolution_is_coarse_enough_the_smallest_are_left_out() -> None:
    size = (180, 320)
    large = tracks(size, 0, 20)
    dot = Mask(size, 1, 1, np.ones((2, 2), np.bool_))
    small = tuple(Track(100 + number, "person", TrackState.CONFIRMED, 0.5, dot) for number in range(500))
    one = Result(frame(0, PLANES), large + small)
    found = PayloadBound(SMALLEST_PAYLOAD_BYTES).encode(one)
    body = json.loads(found.payload)
    assert len(found.payload) <= SMALLEST_PAYLOAD_BYTES
    kept = [track["id"] for track in body["tracks"]]
    assert kept == sorted(kept)
    assert set(range(1, 21)) <= set(kept)
    assert len(kept) == len(one.tracks) - found.dropped_tracks
    assert len(found.payload) > SMALLEST_PAYLOAD_BYTES // 2  # not more than needed


def test_a_bound_that_is_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="65536"):
        PayloadBound(65_535)
