"""Outputs before they have their names: nobody takes them from another, and nothing is published that is not whole."""

from pathlib import Path

import pytest

from maskcast.errors import SinkError
from streaming.cluster.videos import staged as module
from streaming.cluster.videos.remote_outputs import RemoteOutput
from streaming.cluster.videos.staged import Staged
from streaming.commands.outputs import Outputs


def staged(folder, *names, remote=()):
    """The outputs of a stream, written."""
    found = Staged(Outputs([str(folder / name) for name in names]), "door", ("star",), remote)
    for spec in found.outputs.specs:
        Path(spec).write_text(f"{Path(spec).name}\n")
    return found


def test_commands_that_write_beside_each_other_leave_each_other_alone(tmp_path):
    first, second = staged(tmp_path, "{stream}.jsonl"), staged(tmp_path, "{stream}-b.jsonl")
    assert first.publish() == [str(tmp_path / "door.jsonl")]
    first.discard()
    assert second.publish() == [str(tmp_path / "door-b.jsonl")]
    second.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["door-b.jsonl", "door.jsonl"]


def test_what_another_has_taken_over_is_no_success(tmp_path):
    """On a disk without locks a worker may be given up and be at it still."""
    first, second = staged(tmp_path, "{stream}.jsonl"), staged(tmp_path, "{stream}.jsonl")
    with pytest.raises(SinkError, match="was removed"):
        first.publish()
    first.discard()
    assert second.publish() == [str(tmp_path / "door.jsonl")]


def test_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(SinkError, match="all nodes must share it"):
        staged(tmp_path / "elsewhere", "{stream}.jsonl")
    assert not list(tmp_path.iterdir())


def test_an_upload_that_fails_takes_back_what_was_uploaded_and_nothing_else(tmp_path, monkeypatch):
    """What was there before, and could not be replaced, stays."""
    removed = []

    def upload(part, url, moved):
        if url.endswith("b.jsonl"):
            raise SinkError("no room")

    monkeypatch.setattr(module, "upload", upload)
    monkeypatch.setattr(module, "remove", removed.append)
    remote = [RemoteOutput(f"s3://bucket/{{stream}}-{name}.jsonl") for name in "ab"]
    outputs = staged(tmp_path, remote=remote)
    with pytest.raises(SinkError, match="no room"):
        outputs.publish()
    outputs.discard()
    assert removed == ["s3://bucket/door-a.jsonl"]
