"""What a foreman remembers and answers; Ray is in `tests/streaming/commands/test_track_videos.py`."""

import pickle
from dataclasses import is_dataclass

from maskcast.errors import ModelError
from streaming.cluster.videos.foreman import MOST_ATTEMPTS, Foreman
from streaming.cluster.videos.ledger import Identity
from streaming.cluster.videos.plan import Beat, Sealed, Video


def test_a_video_is_begun_beside_others_once_then_alone_and_then_not_any_more():
    foreman = Foreman({})
    assert [foreman.begin("a") for _ in range(MOST_ATTEMPTS + 1)] == ["go on", "alone", "alone", "too often"]
    assert foreman.begin("b") == "go on"
    assert foreman.look(0).attempts == {"a": 3, "b": 1}
    assert Foreman(foreman.look(0).attempts).begin("a") == "too often"


def test_when_it_is_to_stop_nothing_is_begun_and_workers_hear_it():
    foreman, beat = Foreman({}), Beat("node/1", "ready", 5)
    assert foreman.beat(beat) == "go on"
    foreman.stop()
    assert foreman.beat(beat) == "stop"
    assert foreman.begin("a") == "stop"
    assert foreman.look(0).beats == (beat,)


def test_why_a_worker_cannot_begin_is_handed_on():
    foreman, error = Foreman({}), ModelError("not fetched", where="node")
    foreman.failed(error)
    assert foreman.look(0).failures == (error,)
    assert not foreman.look(0).ended


def test_what_is_sealed_shows_nothing_and_arrives_as_what_it_is():
    plan = Video("a", "s3://key:geheimnis@bucket/a.mp4", Identity("s3://bucket/a.mp4", None, None))
    sealed = Sealed(plan)
    assert not is_dataclass(sealed)  # of which Ray Data would note every field
    assert "geheimnis" not in repr(sealed)
    assert pickle.loads(pickle.dumps(sealed)) == plan
