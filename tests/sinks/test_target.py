"""Where an output goes: into a file beside its place until it is whole, or through to what has the name."""

from __future__ import annotations

import os
from pathlib import Path

from sinks.target import open_target


def test_a_file_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    target = open_target(path)
    os.write(target.descriptor, b"whole")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.partial.txt"]
    target.publish()
    assert path.read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]


def test_a_pipe_is_written_through_and_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    target = open_target(path)
    os.write(target.descriptor, b"line")
    assert os.read(reader, 100) == b"line"
    target.publish()
    assert os.read(reader, 100) == b""
    os.close(reader)
    assert path.is_fifo()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.txt"]
