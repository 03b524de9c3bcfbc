"""What is remembered of videos, and what their streams are called."""

import json

import pytest

from maskcast.errors import UsageError
from streaming.cluster.videos.ledger import Held, Identity, Ledger, Record

INPUT = Identity("/videos/a.mp4", 1000, "17")
RECORD = Record(INPUT, "asked", frames=5, tracks=2, seconds=1.5, outputs=("/out/a.jsonl",), counted={"entered": {}})


def test_a_record_is_read_as_it_was_written(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.read("a") is None
    ledger.write("a", RECORD)
    assert ledger.read("a") == RECORD
    assert json.loads(ledger.file("a").read_bytes())["schema"] == "maskcast.done/1"
    ledger.remove("a")
    ledger.remove("a")
    assert ledger.read("a") is None


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b"{}", b'{"schema": "maskcast.done/1"}', b'{"schema": "other/1"}'])
def test_a_damaged_record_is_none(tmp_path, said):
    ledger = Ledger(tmp_path)
    ledger.write("a", RECORD)
    ledger.file("a").write_bytes(said)
    assert ledger.read("a") is None


def test_what_was_done_is_done_only_for_the_same_input_and_wish():
    assert RECORD.fits(INPUT, "asked")
    assert not RECORD.fits(INPUT, "another")
    assert not RECORD.fits(Identity(INPUT.path, 1000, "18"), "asked")
    assert not Record(INPUT, "asked", "replaced").fits(INPUT, "asked")


def test_streams_keep_their_names_whatever_comes_between(tmp_path):
    ledger = Ledger(tmp_path)
    assert ledger.names([("/c/x.mp4", "x"), ("/a/x.mp4", "x"), ("/a/y.mp4", "y")]) == ["x", "x-2", "y"]
    wanted = [("/a/x.mp4", "x"), ("/b/x.mp4", "x"), ("/b/x-2.mp4", "x-2"), ("/c/x.mp4", "x")]
    assert Ledger(tmp_path).names(wanted) == ["x-2", "x-3", "x-2-2", "x"]
    (tmp_path / "names.json").write_bytes(b"damaged")
    assert ledger.names([("/b/x.mp4", "x")]) == ["x"]


def test_one_command_at_a_time_works_with_a_state_folder(tmp_path):
    held = Held(tmp_path / "state")
    with pytest.raises(UsageError, match="another command is at work with it"):
        Held(tmp_path / "state")
    held.close()
    Held(tmp_path / "state").close()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot keep what is done"):
        Held(tmp_path / "file")
