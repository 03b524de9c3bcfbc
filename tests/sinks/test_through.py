"""Outputs that are no plain files are written through; those that are have one writer."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from maskcast.errors import SinkError, UsageError
from sinks import open_sink, through
from sinks.sink import BlockingSink
from streaming.commands.outputs import Outputs
from tests.paths import ROOT
from tests.sinks_media import feed, info, probe, stream


@contextmanager
def reader(path: Path) -> Iterator[list[bytes]]:
    """Someone who reads a pipe to its end, as `cat` does; what came is there after the block."""
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append(path.read_bytes()))
    thread.start()
    try:
        yield read
    finally:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))  # nobody came: it does not wait for ever
        thread.join()


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt", "out.json", "out.mkv", "out.webm"])
@pytest.mark.parametrize("linked", [False, True])
async def test_a_pipe_is_written_through(tmp_path: Path, name: str, linked: bool) -> None:
    pipe = path = tmp_path / name
    if linked:
        pipe = tmp_path / f"pipe{path.suffix}"
        path.symlink_to(pipe.name)
    os.mkfifo(pipe)
    before = {entry.name for entry in tmp_path.iterdir()}
    await feed(open_sink(str(tmp_path / f"plain{path.suffix}"), prompts=["person", "red car"]), info(), stream(3))
    with reader(pipe) as read:
        await feed(open_sink(str(path), prompts=["person", "red car"]), info(), stream(3))
    assert pipe.is_fifo()
    assert path.is_symlink() is linked
    plain = tmp_path / f"plain{path.suffix}"
    if path.suffix in {".mkv", ".webm"}:
        (tmp_path / f"read{path.suffix}").write_bytes(read[0])
        found = probe(tmp_path / f"read{path.suffix}", "-count_frames", "-show_entries", "stream=nb_read_frames")
        assert found["streams"] == [{"nb_read_frames": "3"}]
        before |= {f"read{path.suffix}"}
    else:
        assert read[0] == plain.read_bytes()
    left = {entry.name for entry in tmp_path.iterdir()} - {entry.name for entry in tmp_path.glob("plain.*")}
    assert left == before


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_mp4_needs_a_file_and_that_is_said_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=r"is a pipe, and \.m.* going back; use \.mkv or \.webm"):
        Outputs([str(tmp_path / name)]).check(["in.mp4"], ["in"])


@pytest.mark.parametrize("name", ["out.jsonl", "out.json", "out.mkv"])
async def test_a_pipe_that_nobody_reads_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(through, "READER_SECONDS", 0.2)
    os.mkfifo(tmp_path / name)
    with pytest.raises(SinkError, match="nobody has opened the pipe for reading") as caught:
        await feed(open_sink(str(tmp_path / name)), info(), stream(3))
    assert "\n" not in str(caught.value)


def test_a_reader_may_come_late_and_gets_each_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    os.mkfifo(path)
    sink = open_sink(str(path))
    assert isinstance(sink, BlockingSink)
    opening = threading.Thread(target=lambda: sink.start_blocking(info()))
    opening.start()
    with path.open("rb") as lines:
        opening.join()
        for index, result in enumerate(stream(3)):
            sink.write_blocking(result)
            assert json.loads(lines.readline())["frame"] == index
        sink.finish_blocking(None)
        assert lines.read() == b""


@pytest.mark.parametrize("name", ["out.jsonl", "out.mkv"])
def test_a_pipe_has_one_writer(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    with reader(path) as read:
        first, second = open_sink(str(path)), open_sink(str(path))
        assert isinstance(first, BlockingSink)
        assert isinstance(second, BlockingSink)
        first.start_blocking(info())
        with pytest.raises(SinkError, match="another run is writing it"):
            second.start_blocking(info())
        for result in stream(3):
            first.write_blocking(result)
        first.finish_blocking(None)
    assert read[0]


@pytest.mark.parametrize("name", ["out.jsonl", "out.mkv"])
async def test_a_reader_that_leaves_is_an_error_of_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def leave() -> None:
        sink = open_sink(str(path))
        await sink.start(info())
        os.close(descriptor)
        try:
            for result in stream(400):
                await sink.write(result)
        finally:
            await sink.finish("an error")

    with pytest.raises(SinkError, match="its reader closed the pipe"):
        await leave()
    assert path.is_fifo()


async def test_a_socket_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("out.jsonl")
        server.listen()
        await feed(open_sink("out.jsonl"), info(), stream(3))
        with server.accept()[0] as peer:
            assert peer.makefile("rb").read().count(b"\n") == 3
    assert Path("out.jsonl").is_socket()
    with pytest.raises(SinkError, match=r"out\.jsonl: cannot write: Connection refused"):
        await feed(open_sink("out.jsonl"), info(), stream(3))


@pytest.mark.parametrize("redirected", [False, True])
def test_the_standard_output_by_its_name(tmp_path: Path, redirected: bool) -> None:
    """Also where the shell has sent it into a file, which has something in it already."""
    (tmp_path / "out.jsonl").symlink_to("/dev/stdout")
    (tmp_path / "null.json").symlink_to("/dev/null")
    code = """
from sinks import open_sink
from tests.sinks_media import feed, info, stream
import asyncio, sys
for name in ("out.jsonl", "null.json"):
    asyncio.run(feed(open_sink(f"{sys.argv[1]}/{name}"), info(), stream(3)))
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    file = tmp_path / "shell"
    file.write_text("before\n")
    if redirected:
        with file.open("ab") as output:
            subprocess.run(command, cwd=ROOT, check=True, stdout=output)
    else:
        file.write_bytes(b"before\n" + subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    assert len(file.read_text().splitlines()) == 4
    assert file.read_text().startswith("before\n{")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["null.json", "out.jsonl", "shell"]


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt", "out.json", "out.mp4"])
@pytest.mark.parametrize("there", [False, True])
async def test_a_link_to_a_file_stays_one(tmp_path: Path, name: str, there: bool) -> None:
    target = tmp_path / "disk" / f"kept{Path(name).suffix}"
    target.parent.mkdir()
    if there:
        target.write_text("old")
    (tmp_path / name).symlink_to(target)
    await feed(open_sink(str(tmp_path / name)), info(), stream(3))
    assert (tmp_path / name).is_symlink()
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]
    assert target.stat().st_size > 3
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(["disk", name])


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no /dev/shm on this machine")
async def test_a_plain_file_among_devices_is_one() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for _ in range(2):
            await feed(open_sink(f"{folder}/out.jsonl"), info(), stream(3))
            assert Path(folder, "out.jsonl").read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt", "out.json", "out.mp4"])
async def test_one_output_has_one_writer_and_what_it_wrote_is_not_set_aside(tmp_path: Path, name: str) -> None:
    first = open_sink(str(tmp_path / name))
    assert isinstance(first, BlockingSink)
    first.start_blocking(info())
    for result in stream(40):
        first.write_blocking(result)
    (tmp_path / "link").symlink_to(tmp_path)
    for again in (tmp_path / name, tmp_path / "link" / name):
        with pytest.raises(SinkError, match=r"another run is writing it \(to out\.partial\.") as caught:
            await feed(open_sink(str(again)), info(), stream(3))
        assert "\n" not in str(caught.value)
    first.finish_blocking(None)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", name]
    await feed(open_sink(str(tmp_path / name)), info(), stream(3))
