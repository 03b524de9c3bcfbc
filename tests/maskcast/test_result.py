import sys
from datetime import UTC, datetime

import numpy as np
import pytest
import supervision

from maskcast import Frame, Mask, Result, Track, TrackState, UsageError
from sources.picture import ArrayPicture

FRAME = Frame("door", 3, 0.5, datetime(2026, 1, 2, tzinfo=UTC), ArrayPicture(np.zeros((40, 60, 3), np.uint8)))


def track(number, prompt, x, y, width, height, score=0.5):
    mask = Mask.from_array(np.ones((height, width), np.bool_), (40, 60), x, y)
    return Track(number, prompt, TrackState.CONFIRMED, score, mask)


def test_supervision_gets_boxes_masks_ids_and_classes():
    tracks = (
        track(4, "red car", 10, 20, 5, 6, 0.25),
        track(7, "person", 0, 0, 60, 40),
        track(9, "red car", 1, 2, 3, 4),
    )
    found = Result(FRAME, tracks, prompts=("person", "dog", "red car")).to_supervision()
    assert found.xyxy.tolist() == [[10, 20, 15, 26], [0, 0, 60, 40], [1, 2, 4, 6]]
    assert found.mask.shape == (3, 40, 60)
    assert np.array_equal(found.mask[0], tracks[0].mask.full())
    assert found.area.tolist() == [30, 2400, 12]
    assert found.confidence.tolist() == [0.25, 0.5, 0.5]
    assert found.class_id.tolist() == [2, 0, 2]
    assert found.tracker_id.tolist() == [4, 7, 9]
    assert found["class_name"].tolist() == ["red car", "person", "red car"]
    assert found[found.class_id == 2].tracker_id.tolist() == [4, 9]


def test_supervision_draws_what_it_gets():
    result = Result(FRAME, (track(4, "star", 10, 20, 5, 6),), prompts=("star",))
    drawn = supervision.MaskAnnotator(opacity=1.0).annotate(FRAME.picture.rgb().copy(), result.to_supervision())
    assert np.array_equal(drawn.any(axis=2), result.tracks[0].mask.full())


def test_a_frame_without_tracks_has_a_place_for_them():
    found = Result(FRAME, prompts=("star",)).to_supervision()
    assert len(found) == 0
    assert (found.xyxy.shape, found.mask.shape, found["class_name"].shape) == ((0, 4), (0, 40, 60), (0,))
    both = supervision.Detections.merge([found, Result(FRAME, (track(4, "star", 1, 2, 3, 4),)).to_supervision()])
    assert both.tracker_id.tolist() == [4]


def test_without_supervision_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UsageError, match=r"supervision cannot be imported: .*; pip install supervision"):
        Result(FRAME).to_supervision()
