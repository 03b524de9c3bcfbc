"""Files of lines, which end with a whole one."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from maskcast.errors import SinkError
from maskcast.result import Result
from sinks import open_sink
from sinks.sink import BlockingSink
from tests import processes
from tests.full_disk import largest_file
from tests.paths import ROOT
from tests.patience import eventually
from tests.sinks_media import feed, frame, grey, info, stream


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt", "out.json", "out.mp4"])
async def test_targets_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / name).mkdir()
    for path, said in ((tmp_path / "file" / name, tmp_path / "file"), (tmp_path / name, tmp_path / name)):
        with pytest.raises(SinkError) as caught:
            await feed(open_sink(str(path)), info(), stream())
        assert str(caught.value).startswith(f"{said}: ")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(SinkError, match="no permission"):
        await feed(open_sink(str(folder / "out.jsonl")), info(), stream())


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt"])
async def test_full_disk_leaves_whole_lines(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with largest_file(1500), pytest.raises(SinkError, match="cannot write") as caught:
        await feed(open_sink(str(path)), info(), stream(100))
    assert "\n" not in str(caught.value)
    assert not path.exists()
    rest = (tmp_path / name.replace(".", ".partial.")).read_bytes()
    assert 0 < len(rest) <= 1500
    assert rest.endswith(b"\n")
    if name.endswith("jsonl"):
        assert [json.loads(line)["frame"] for line in rest.splitlines()] == list(range(rest.count(b"\n")))


def test_killed_process_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    code = f"""
import asyncio, itertools, time
from sinks import open_sink
from tests.sinks_media import feed, frame, grey, info, results, stream
planes = grey(180, 320)
asyncio.run(feed(open_sink({str(path)!r}), info(), results(frame(index, planes) for index in itertools.count())))
"""
    partial = tmp_path / "out.partial.jsonl"
    with processes.running([sys.executable, "-c", code], cwd=ROOT):
        eventually(lambda: partial.exists() and partial.stat().st_size)
    lines = partial.read_bytes()
    assert lines.endswith(b"\n")
    assert [json.loads(line)["frame"] for line in lines.splitlines()] == list(range(lines.count(b"\n")))


@pytest.mark.parametrize("name", ["out.jsonl", "out.txt"])
def test_lines_do_not_wait_for_others(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet scene has no rows in MOTChallenge, but those before it are written within a second."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    sink = open_sink(str(tmp_path / name))
    assert isinstance(sink, BlockingSink)
    sink.start_blocking(info())
    sink.write_blocking(next(stream()))
    partial = tmp_path / name.replace(".", ".partial.")
    assert partial.stat().st_size == 0
    now += 1.1
    sink.write_blocking(Result(frame(1, grey(180, 320))))
    assert partial.stat().st_size > 0
    sink.finish_blocking(None)
