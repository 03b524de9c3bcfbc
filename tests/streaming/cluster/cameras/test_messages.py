from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from maskcast.errors import MaskcastError, SettingsError, SourceError, TrackStateError, UsageError
from maskcast.frame import Frame
from maskcast.mask import Box, Mask
from maskcast.notices import Problem, SourceStatus
from maskcast.prompts import Prompt
from maskcast.result import Event, EventKind, KnownTracks, Result, Track, TrackState
from sources.picture import ArrayPicture
from sources.settings import SourceSettings
from streaming.cluster.cameras.messages import Assignment, Batch, Notified, PackedFrame, PackedResult, Tracked
from trackers.detection.location import NotFetchedError

PICTURE = ArrayPicture(np.zeros((31, 47, 3), np.uint8))


def _frame(index: int = 3) -> Frame:
    return Frame("door", index, index / 25, datetime.now(UTC), PICTURE, last=True, file_name="a.png")


def _mask(seed: int) -> Mask:
    drawn = np.random.default_rng(seed).random((31, 47)) > 0.7
    drawn[:seed], drawn[:, : 2 * seed] = False, False
    return Mask.from_array(drawn, (31, 47))


def test_result_comes_up_as_it_was() -> None:
    event = Event(EventKind.STARTED, 1, "cat", 0.5, Box(1, 2, 3, 4))
    tracks = [Track(seed, "cat", TrackState.TENTATIVE, 0.25, _mask(seed)) for seed in range(1, 12)]
    tracks.append(Track(99, "dog", TrackState.CONFIRMED, 0.75, Mask.from_array(np.zeros((2, 2), bool), (31, 47))))
    frame = _frame()
    result = Result(frame, tuple(tracks), (event,), prompts=("cat", "dog"))
    packed = PackedFrame.of(frame)
    message = Tracked(7, packed, 1.0, 2.0, 0.5, (PackedResult.of(result, packed),))

    there = pickle.loads(pickle.dumps(Batch(1, 100.0, [message])))
    ahead = there.ahead(130.0)
    (tracked,) = there.messages
    assert tracked.frame is tracked.results[0].frame
    back = tracked.results[0].result(tracked.frame.frame(PICTURE, ahead))

    assert ahead == 30
    assert back.frame == frame
    assert back.frame.decoded_at == frame.decoded_at + 30
    assert (back.events, back.prompts) == (result.events, result.prompts)
    assert [_maskless(track) for track in back.tracks] == [_maskless(track) for track in result.tracks]
    for mine, other in zip(back.tracks, result.tracks, strict=True):
        assert (mine.mask.size, mine.mask.x, mine.mask.y) == (other.mask.size, other.mask.x, other.mask.y)
        assert mine.mask.crop.dtype == np.bool_
        assert np.array_equal(mine.mask.crop, other.mask.crop)


def _maskless(track: Track) -> Track:
    return replace(track, mask=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        SourceError("what", where="rtsp://user:secret@host/live", advice="do it"),
        TrackStateError("damaged", where="file").advising("set aside").at("door"),
        NotFetchedError("not there", where="owner/name"),
        MaskcastError("alone"),
        SettingsError([UsageError("wrong", where="key"), UsageError("wrong too")]),
    ],
)
def test_errors_are_values(error: MaskcastError) -> None:
    back = pickle.loads(pickle.dumps(error))

    assert type(back) is type(error)
    assert (back.what, back.where, back.advice, str(back)) == (error.what, error.where, error.advice, str(error))
    assert "secret" not in str(back)


def test_assignment_hides_what_is_secret() -> None:
    source = "rtsp://user:secret@host/live"
    known = KnownTracks({1: Event(EventKind.LOST, 1, "cat", 0.5, Box(1, 2, 3, 4))}, 5)
    assignment = Assignment(1, "door", source, SourceSettings(), False, (Prompt("cat"),), known=known, ca=b"secret")

    assert "secret" not in repr(assignment)
    assert pickle.loads(pickle.dumps(assignment)) == assignment


def test_notified_pickles() -> None:
    for notice in (SourceStatus(False, "away"), Problem(SourceError("no"))):
        back = pickle.loads(pickle.dumps(Notified(3, notice)))
        assert (back.attempt, type(back.notice)) == (3, type(notice))
