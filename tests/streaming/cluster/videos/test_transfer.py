"""What is fetched and uploaded is whole, or not there; nothing is waited for without a bound."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections import namedtuple
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from maskcast.errors import SinkError, SourceError
from streaming.cluster.videos import transfer
from streaming.cluster.videos.transfer import NotWantedError, fetched, upload
from tests.streaming.cluster.videos.stores import CONTENTS, check_transfers


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again without a pause."""
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0))


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_disk(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    check_transfers(
        f"file://{folder}",
        tmp_path,
        lambda name: (folder / name).read_bytes(),
        lambda: {file.name for file in (folder / "new").iterdir()},
    )


def test_a_path_is_left_where_it_is(tmp_path: Path, temporary: Path) -> None:
    with fetched(str(tmp_path / "a.mp4")) as local:
        assert local == tmp_path / "a.mp4"
    assert list(temporary.iterdir()) == []


class Failing(LocalFileSystem):
    """A file system that fails a few times."""

    protocol = "failing"
    failures = 0

    def _fail(self) -> None:
        if Failing.failures:
            Failing.failures -= 1
            raise ConnectionResetError("reset by peer at failing://me:secret-word@host/x")

    def get_file(self, rpath, lpath, **options):
        Path(lpath).write_bytes(b"half")
        self._fail()
        super().get_file(rpath, lpath, **options)

    def put_file(self, lpath, rpath, **options):
        Path(rpath).write_bytes(b"half")
        self._fail()
        super().put_file(lpath, rpath, **options)

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("failing://")


fsspec.register_implementation("failing", Failing, clobber=True)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("failures", [1, 2])
def test_a_moment_without_a_network_is_bridged(tmp_path: Path, failures: int) -> None:
    there, local = tmp_path / "there.mp4", tmp_path / "local.mp4"
    local.write_bytes(CONTENTS)
    Failing.failures = failures
    upload(local, f"failing://{there}")
    assert there.read_bytes() == CONTENTS
    Failing.failures = failures
    with fetched(f"failing://{there}") as copy:
        assert copy.read_bytes() == CONTENTS


@pytest.mark.usefixtures("at_once")
def test_a_network_that_stays_away_is_an_error_and_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    there, local = tmp_path / "new" / "there.mp4", tmp_path / "local.mp4"
    local.write_bytes(CONTENTS)
    Failing.failures = 3
    with pytest.raises(SinkError, match=r"there\.mp4 in failing://") as refusal:
        upload(local, f"failing://{there}")
    assert "secret" not in str(refusal.value)
    assert list(there.parent.iterdir()) == []
    there.write_bytes(CONTENTS)
    Failing.failures = 3
    with pytest.raises(SourceError, match="reset by peer"), fetched(f"failing://{there}"):
        pass
    assert not any(path.is_file() for path in temporary.rglob("*"))


def test_what_does_not_move_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = threading.Event()
    monkeypatch.setattr(transfer, "STILL_SECONDS", 0.5)
    monkeypatch.setattr(transfer, "UPLOAD_STILL_SECONDS", 0.5)
    monkeypatch.setattr(LocalFileSystem, "get_file", lambda *_, **__: dead.wait(60))
    monkeypatch.setattr(LocalFileSystem, "put_file", lambda *_, **__: dead.wait(60))
    local = tmp_path / "a.mp4"
    local.write_bytes(b"a")
    try:
        with pytest.raises(SourceError, match="nothing moved for"), fetched(f"file://{local}"):
            pass
        with pytest.raises(SinkError, match="nothing moved for"):
            upload(local, f"file://{tmp_path}/b.mp4")
        wanted = iter([True, False])
        monkeypatch.setattr(transfer, "STILL_SECONDS", 60)
        with pytest.raises(NotWantedError), fetched(f"file://{local}", lambda _: next(wanted, False)):
            pass
    finally:
        dead.set()


def test_what_does_not_fit_on_the_node_is_refused_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = tmp_path / "a.mp4"
    local.write_bytes(CONTENTS)
    usage = namedtuple("usage", "total used free")  # noqa: PYI024 - as shutil has it
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 100))
    with pytest.raises(SourceError, match=r"has 0 MB, and this node's .* room for 0 MB; .* TMPDIR"):  # noqa: SIM117
        with fetched(f"file://{local}"):
            pass


def test_what_came_only_in_part_is_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: None) -> None:
    local = tmp_path / "a.mp4"
    local.write_bytes(CONTENTS)
    monkeypatch.setattr(LocalFileSystem, "get_file", lambda _, __, lpath, **___: Path(lpath).write_bytes(b"half"))
    with pytest.raises(SourceError, match="4 of 300,000 bytes came"), fetched(f"file://{local}"):
        pass
