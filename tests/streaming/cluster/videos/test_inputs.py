"""Which videos a command is given, and that no password of theirs is written down."""

import pytest

from maskcast.errors import UsageError
from streaming.cluster.videos.inputs import inputs_of
from streaming.cluster.videos.ledger import Identity
from streaming.cluster.videos.plan import Outcome, Video
from streaming.commands.track_videos import _row

URL = "https://viewer:geheimnis@host.example:8443/a.mp4?part=2&token=abcdefgh"


def test_files_are_absolute_and_each_is_there_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    found = inputs_of(["b.mp4", "a.mp4", str(tmp_path / "a.mp4")])
    assert [one.source for one in found] == [str(tmp_path / "b.mp4"), str(tmp_path / "a.mp4")]
    assert all(one.identity.path == one.source for one in found)


def test_of_a_url_only_what_is_read_holds_its_credentials():
    (found,) = inputs_of([URL])
    assert found.source == URL
    assert found.identity.path == "https://host.example:8443/a.mp4?part=2&token=***"


def test_a_url_that_can_be_read_in_two_ways_is_refused():
    with pytest.raises(UsageError) as refused:
        inputs_of(["https://viewer:geheim/nis@host.example/a.mp4"])
    assert "nis" not in str(refused.value)


def test_a_row_holds_no_credentials_whatever_the_error_says():
    row = _row(Video("a", URL, Identity("", None, None)), Outcome("a", error=f"{URL}: not tracked: no worker"))
    assert row.error is not None
    assert "geheimnis" not in row.error + row.path
    assert "not tracked: no worker" in row.error
