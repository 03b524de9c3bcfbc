"""Videos and outputs at URLs: on this disk (`file://`), and on servers where their packages are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from maskcast.errors import MaskcastError, SinkError, SourceError, UsageError
from streaming.cluster.node_folder import node_folder
from streaming.cluster.videos import storage
from streaming.cluster.videos.storage import RemoteFile, existing, fetched, is_remote, listed, shown, stream_of, upload
from tests.paths import ROOT

CONTENTS = os.urandom(300_000)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is tried again without a pause."""
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    ("spec", "remote"),
    [
        ("s3://bucket/a.mp4", True),
        ("file:///videos/a.mp4", True),
        ("videos/a.mp4", False),
        ("rtsp://camera/live", False),
        ("https://host/a.mp4", False),
        ("mqtts://host/prefix", False),
        ("camera:0", False),
    ],
)
def test_which_urls_are_of_a_file_system(spec: str, *, remote: bool) -> None:
    assert is_remote(spec) is remote


@pytest.mark.parametrize(
    ("url", "without", "stream"),
    [
        ("ftp://me:very/secret@host:2121/videos/a b.mp4?x=y", "ftp://***", "stream"),
        ("ftp://me:secret-word@host:2121/videos/a b.mp4?key=xyz", "ftp://host:2121/videos/a b.mp4", "a-b"),
        ("s3://bucket/day 1/50%?.mp4", "s3://bucket/day 1/50%?.mp4", "50"),
        ("file:///videos/gate.mp4", "file:///videos/gate.mp4", "gate"),
        ("s3://bucket", "s3://bucket", "stream"),
    ],
)
def test_a_url_is_shown_without_credentials(url: str, without: str, stream: str) -> None:
    assert shown(url).startswith(without)
    assert "secret" not in shown(url)
    assert stream_of(url) == stream


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nothing://host/a.mp4", "nothing://host: unknown scheme; use a path or a URL that fsspec knows"),
        ("simplecache::s3://bucket/a.mp4", "unknown scheme"),
        ("ftp://me:very/secret@host/a.mp4", "write / ? # in its user name or password as %2F"),
    ],
)
def test_a_url_that_cannot_be_is_refused_in_a_line(url: str, said: str) -> None:
    with pytest.raises(UsageError) as refusal:
        listed(url)
    assert said in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("scheme", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs"), ("sftp", "paramiko")]
)
def test_a_package_that_is_not_installed_is_named(scheme: str, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from maskcast.errors import UsageError\n"
        "from streaming.cluster.videos.storage import listed\n"
        f"try: listed('{scheme}://host/a.mp4')\n"
        "except UsageError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = f"{scheme}:// needs a package that is not installed; pip install {package}, on each node\n"
    assert ended.stdout == expected, ended.stderr


def videos_in(folder: Path) -> list[str]:
    names = ["b10.mp4", "b9.mp4", "a.MKV", ".hidden.mp4", "notes.txt", "half.mp4.part"]
    for name in names:
        (folder / name).write_bytes(name.encode())
    (folder / "deeper").mkdir()
    (folder / "deeper" / "c.mp4").write_bytes(b"c")
    return ["a.MKV", "b9.mp4", "b10.mp4"]


def check_listing(root: str, folder: Path) -> None:
    """Whatever the file system, a folder, a glob and a name stand for the same as on a disk."""
    names = videos_in(folder)
    assert [one.url for one in listed(root)] == [f"{root}/{name}" for name in names]
    assert [one.url for one in listed(f"{root}/")] == [f"{root}/{name}" for name in names]
    assert [one.url for one in listed(f"{root}/**/*.mp4") if "/." not in one.url] == [
        f"{root}/{name}" for name in ("b9.mp4", "b10.mp4", "deeper/c.mp4")
    ]
    (one,) = listed(f"{root}/b9.mp4")
    assert (one.url, one.size) == (f"{root}/b9.mp4", 6)
    assert one.version
    assert listed(f"{root}/b9.mp4") == [one]
    assert listed(f"{root}/missing.mp4") == [RemoteFile(f"{root}/missing.mp4")]
    with pytest.raises(SourceError, match="no videos: it names none"):
        listed(f"{root}/*.webm")
    wanted = [f"{root}/{name}" for name in ("b9.mp4", "missing.mp4", "deeper/c.mp4", "nowhere/c.mp4")]
    assert existing(wanted) == {f"{root}/b9.mp4", f"{root}/deeper/c.mp4"}


def check_transfers(root: str, tmp_path: Path, read: Callable[[str], bytes], names: Callable[[], set[str]]) -> None:
    """Whatever the file system, what is uploaded is there whole under its name alone, and comes back the same."""
    local = tmp_path / "a.mp4"
    local.write_bytes(CONTENTS)
    upload(local, f"{root}/new/x.mp4")
    assert read("new/x.mp4") == CONTENTS
    local.write_bytes(CONTENTS[:1000])
    upload(local, f"{root}/new/x.mp4")
    assert read("new/x.mp4") == CONTENTS[:1000]
    assert names() == {"x.mp4"}
    with fetched(f"{root}/new/x.mp4") as copy:
        assert copy.name == "x.mp4"
        assert copy.read_bytes() == CONTENTS[:1000]
        assert copy.is_relative_to(tempfile.gettempdir())
    assert not copy.parent.exists()
    with pytest.raises(SourceError, match="no such file") as missing, fetched(f"{root}/new/y.mp4"):
        pass
    assert "new/y.mp4" in str(missing.value)


def test_a_disk(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    check_listing(f"file://{folder}", folder)
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
    monkeypatch.setattr(storage, "STILL_SECONDS", 0.5)
    monkeypatch.setattr(storage, "UPLOAD_STILL_SECONDS", 0.5)
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
        monkeypatch.setattr(storage, "STILL_SECONDS", 60)
        with pytest.raises(SourceError, match="not wanted"), fetched(f"file://{local}", lambda: next(wanted, False)):
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


def test_the_folder_of_a_killed_owner_is_removed_by_the_next(temporary: Path) -> None:
    code = (
        "import sys, tempfile, time; tempfile.tempdir = sys.argv[1]\n"
        "from streaming.cluster.node_folder import node_folder\n"
        "with node_folder() as folder:\n"
        "    (folder / 'video.mp4').write_bytes(b'x'); print(folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, temporary], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        theirs = Path(other.stdout.readline().strip())
        with node_folder() as ours:
            assert theirs.exists()
            assert ours.exists()
        other.kill()
    with node_folder():
        assert not theirs.exists()
    assert not any(path.is_file() for path in temporary.rglob("*"))


def test_many_make_folders_at_the_same_time(temporary: Path) -> None:
    failures: list[MaskcastError] = []

    def work() -> None:
        for _ in range(50):
            try:
                with node_folder() as folder:
                    (folder / "x").write_bytes(b"x")
                    assert (folder / "x").exists()
            except (MaskcastError, AssertionError, OSError) as error:
                failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not any(path.is_file() for path in temporary.rglob("*"))
