"""``/recordings`` as a browser asks for it: lists, files in ranges; and that nothing else can be had."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from streaming.page.reading import Reading
from streaming.page.recording_files import RecordingFiles
from streaming.page.recordings import Recordings
from streaming.page.server import WebServer
from tests.patience import eventually
from tests.recordings import record, seconds
from tests.streaming.page.serving import ask, serving

NAME = "2026-01-01T000000.000Z.mp4"
STREAM = "Tür 1"
ADDRESS = "/recordings/T%C3%BCr%201/"


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    sink = await record(tmp_path, seconds(2), STREAM)
    await sink.finish(None)
    return tmp_path / STREAM


@pytest.fixture
def server(folder: Path) -> Iterator[WebServer]:
    recordings = Recordings(lambda: {STREAM: folder, "yard": folder.parent / "yard"})
    with serving(RecordingFiles(recordings, Reading())) as started:
        yield started
        eventually(lambda: not any(os.path.realpath(one).endswith(".mp4") for one in Path("/proc/self/fd").iterdir()))


def test_recordings_are_listed(server: WebServer, folder: Path) -> None:
    status, _, body = ask(server, "/recordings?stream=T%C3%BCr%201&day=2026-01-01&before=2026-01-01T00:00:00.001Z")
    assert status == 200
    one = {
        "stream": STREAM,
        "name": NAME,
        "start": "2026-01-01T00:00:00.000Z",
        "seconds": 2.0,
        "bytes": (folder / NAME).stat().st_size,
        "writing": False,
    }
    assert json.loads(body) == {"days": ["2026-01-01"], "recordings": [one], "more": False}
    for query in ("day=2026-01-02", "stream=yard", "stream=attic", "before=2026-01-01T00:00:00.000Z"):
        assert json.loads(ask(server, f"/recordings?{query}")[2])["recordings"] == [], query
    assert json.loads(ask(server, "/recordings?day=&stream=")[2])["recordings"] == [one]


@pytest.mark.parametrize(
    "query",
    [
        "day=yesterday",
        "day=20260101",
        "day=2026-02-30",
        "day=2026-1-1",
        "before=2026-01-01",
        "limit=3",
        "day=2026-01-01&day=",
    ],
)
def test_parameters_that_mean_nothing_are_refused_in_a_line(server: WebServer, query: str) -> None:
    status, _, body = ask(server, f"/recordings?{query}")
    assert (status, body.count(b"\n"), body[-1:]) == (400, 1, b"\n")


def test_ranges_are_the_bytes_that_were_asked_for(server: WebServer, folder: Path) -> None:
    whole = (folder / NAME).read_bytes()
    size = len(whole)
    status, headers, body = ask(server, ADDRESS + NAME)
    assert (status, body, headers["Content-Type"]) == (200, whole, "video/mp4")
    assert headers["Accept-Ranges"] == "bytes"
    for asked, part in {
        "0-0": (0, 1),
        "10-99": (10, 100),
        "100-": (100, size),
        "-50": (size - 50, size),
        f"{size - 1}-{size + 10}": (size - 1, size),
    }.items():
        status, headers, body = ask(server, ADDRESS + NAME, headers={"Range": f"bytes={asked}"})
        assert (status, body) == (206, whole[slice(*part)]), asked
        assert headers["Content-Range"] == f"bytes {part[0]}-{part[1] - 1}/{size}"
    for asked in (f"{size}-", "9-3", "x"):
        status, headers, _ = ask(server, ADDRESS + NAME, headers={"Range": f"bytes={asked}"})
        assert status == 416, asked


async def test_what_is_being_written_can_be_had_under_the_name_that_it_will_have(
    server: WebServer, folder: Path
) -> None:
    sink = await record(folder.parent, seconds(4, start=60), STREAM)
    name = "2026-01-01T000100.000Z.mp4"
    status, _, body = ask(server, ADDRESS + name)
    assert (status, body[4:8]) == (200, b"ftyp")
    await sink.finish(None)
    assert ask(server, ADDRESS + name)[2] == (folder / name).read_bytes()


def test_nothing_but_recordings_can_be_had(server: WebServer, folder: Path) -> None:
    secret = folder.parent / NAME.replace("0000", "0001")
    secret.write_bytes(b"secret")
    (folder / "2026-01-01T000200.000Z.mp4").symlink_to(secret)
    for name in (f"{NAME}.gz", f"{NAME}.br", "notes.txt", "2026-01-01T000300.000Z.partial.mp4"):
        (folder / name).write_bytes(b"secret")
    assert ask(server, ADDRESS + NAME, headers={"Accept-Encoding": "gzip, br"})[2] == (folder / NAME).read_bytes()
    for address in (
        f"{ADDRESS}../{secret.name}",
        f"{ADDRESS}..%2F{secret.name}",
        f"{ADDRESS}%2e%2e/{secret.name}",
        f"/recordings/../{secret.name}",
        f"/recordings/%2E%2E/{secret.name}",
        f"/recordings/T%C3%BCr%201%2F../{secret.name}",
        quote(f"/recordings/{folder}/{NAME}"),
        f"/recordings/attic/{NAME}",
        f"/recordings/yard/{NAME}",
        f"{ADDRESS}2026-01-01T000200.000Z.mp4",
        f"{ADDRESS}2026-01-01T000300.000Z.partial.mp4",
        f"{ADDRESS}{NAME}.gz",
        f"{ADDRESS}notes.txt",
        f"{ADDRESS}{NAME}%00",
        f"{ADDRESS}{NAME}%0A",
        f"{ADDRESS}",
        f"{ADDRESS}{'x' * 3000}",
    ):
        status, _, body = ask(server, address)
        assert status in {400, 404}, address
        assert b"secret" not in body


def test_what_was_deleted_meanwhile_is_not_there(
    server: WebServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / NAME
    monkeypatch.setattr(Recordings, "path", lambda *_: path)  # it was there when it was looked for
    path.unlink()
    assert ask(server, ADDRESS + NAME)[0] == 404
