"""`maskcast track --workers` from URLs to URLs, as a user runs it: a real Ray, real videos, the small model."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests import sinks_media
from tests.paths import ROOT
from tests.streaming.cluster.videos.stores import check_listing, check_transfers
from tests.tracking import run

DEMO = ROOT / "streaming" / "commands" / "demo.mp4"
S3_PACKAGES = "s3fs", "moto", "flask"


def missing(*packages: str) -> str:
    names = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"not installed here: {', '.join(names)}" if names else ""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket at a server that speaks S3, which other processes reach, too."""
    if why := missing(*S3_PACKAGES):
        pytest.skip(why)
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "a-secret-key",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    try:
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("videos")
        yield "s3://videos"
    finally:
        server.stop()


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server that speaks FTP and wants a password, and the folder that it serves."""
    if why := missing("pyftpdlib"):
        pytest.skip(why)
    from threading import Thread

    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import ThreadedFTPServer

    folder = tmp_path / "ftp"
    folder.mkdir()
    users = DummyAuthorizer()
    users.add_user("me", "secret-word", str(folder), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": users})
    server = ThreadedFTPServer(("127.0.0.1", 0), handler)
    serving = Thread(target=server.serve_forever, name="ftp", daemon=True)
    serving.start()
    try:
        yield f"ftp://me:secret-word@127.0.0.1:{server.address[1]}", folder
    finally:
        server.close_all()
        serving.join(10)


@pytest.mark.slow
def test_s3(bucket: str, tmp_path: Path) -> None:
    system, root = fsspec.core.url_to_fs(f"{bucket}/some/folder")

    class Folder:
        """The objects under a name, as the part of `Path` that the check uses."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __truediv__(self, name: str) -> Folder:
            return Folder(f"{self.name}/{name}")

        def write_bytes(self, contents: bytes) -> None:
            system.pipe_file(self.name, contents)

        def mkdir(self) -> None:
            """There are none."""

    check_listing(f"{bucket}/some/folder", Folder(root))
    check_transfers(
        f"{bucket}/other",
        tmp_path,
        lambda name: bytes(system.cat_file(f"videos/other/{name}")),
        lambda: {name.rpartition("/")[2] for name in system.ls("videos/other/new", refresh=True, detail=False)},
    )


@pytest.mark.slow
def test_ftp(ftp: tuple[str, Path], tmp_path: Path) -> None:
    root, folder = ftp
    (folder / "in").mkdir()
    check_listing(f"{root}/in", folder / "in")
    check_transfers(
        f"{root}/out",
        tmp_path,
        lambda name: (folder / "out" / name).read_bytes(),
        lambda: {file.name for file in (folder / "out" / "new").iterdir()},
    )


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where workers have their temporary files; its name is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="m") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


def check_command(root: str, shown: str, state: Path, nodes: Path) -> None:
    """Videos of a folder at a URL are tracked into another one; a second run does nothing; nobody is told a secret."""
    system, path = fsspec.core.url_to_fs(f"{root}/in")
    system.makedirs(path, exist_ok=True)
    for number in (1, 2):
        local = state.parent / f"{number}.mp4"
        sinks_media.ffmpeg("-i", str(DEMO), "-t", str(number), "-c", "copy", str(local))
        system.put_file(str(local), f"{path}/star {number}.mp4")
    system.pipe_file(f"{path}/none.mp4", b"no video at all" * 100)
    report = state.parent / "report.csv"
    outs = ("--out", f"{root}/out/{{stream}}.jsonl", "--out", f"mot:{root}/out/{{stream}}.csv")
    arguments = (f"{root}/in/*.mp4", "--prompt", "star", *outs, "--state", state, "--workers", 2, "--report", report)
    done = run(*arguments, model="nano")
    assert done.exit_code == 3, done.stderr
    assert "in/none.mp4" in done.stderr
    assert str(nodes) not in done.stderr
    system.invalidate_cache()
    written = {name.rpartition("/")[2] for name in system.ls(path.removesuffix("in") + "out", detail=False)}
    assert written == {f"star-{number}.{kind}" for number in (1, 2) for kind in ("jsonl", "csv")}
    lines = system.cat_file(path.removesuffix("in") + "out/star-2.jsonl").splitlines()
    plain = run(state.parent / "2.mp4", "--prompt", "star", "--stream", "star-2", model="nano")
    assert [{**json.loads(line), "time": 0} for line in lines] == [
        {**json.loads(line), "time": 0} for line in plain.stdout.splitlines()
    ]
    assert f"{shown}/in/star 1.mp4" in report.read_text()
    assert f"{shown}/out/star-1.jsonl" in report.read_text()

    system.rm_file(f"{path}/none.mp4")
    again = run(*arguments, model="nano")
    assert again.exit_code == 0, again.stderr
    assert "2 of 2 videos are done already" in again.stderr
    refused = run(*arguments[:7], "--state", state.parent / "new", "--workers", 1, model="nano")
    assert refused.exit_code == 2, refused.stderr
    assert "out/star-1.jsonl" in refused.stderr
    assert "exists already; choose another name, or replace it with --force" in refused.stderr
    kept = "".join(file.read_text() for file in state.rglob("*") if file.is_file())
    for text in (done.stderr, again.stderr, report.read_text(), kept):
        assert "secret" not in text
    assert not any(path.is_file() for path in nodes.rglob("*"))


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")


@pytest.mark.long
@needs_ffmpeg
def test_the_command_with_a_disk(tmp_path: Path, nodes: Path) -> None:
    check_command(f"file://{tmp_path}", f"file://{tmp_path}", tmp_path / "state", nodes)


@pytest.mark.slow
@needs_ffmpeg
def test_the_command_with_s3(bucket: str, tmp_path: Path, nodes: Path) -> None:
    check_command(f"{bucket}/day", "s3://videos/day", tmp_path / "state", nodes)


@pytest.mark.slow
@needs_ffmpeg
def test_the_command_with_ftp(ftp: tuple[str, Path], tmp_path: Path, nodes: Path) -> None:
    root, _ = ftp
    check_command(f"{root}/day", f"ftp://{root.partition('@')[2]}/day", tmp_path / "state", nodes)
