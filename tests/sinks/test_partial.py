"""Partial files: what a killed run left is kept, what could be lost is refused."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import pytest

from maskcast.errors import SinkError
from sinks import open_sink
from sinks.datasets import coco
from sinks.partial import keep_leftover
from tests import processes
from tests.full_disk import largest_file
from tests.paths import ROOT
from tests.patience import eventually
from tests.sinks_media import feed, info, stream


@pytest.mark.parametrize("name", ["out.mp4", "out.jsonl", "out.txt", "out.json"])
async def test_what_a_killed_run_left_is_kept(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    suffix = ".sqlite" if name == "out.json" else path.suffix
    for text in (b"first", b"second"):
        Path(f"out.partial{suffix}").write_bytes(text)
        await feed(open_sink(name), info(), stream(3))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        [f"out.partial.1{suffix}", f"out.partial.2{suffix}", name]
    )
    assert Path(f"out.partial.1{suffix}").read_bytes() == b"first"
    assert Path(f"out.partial.2{suffix}").read_bytes() == b"second"
    assert f"kept as out.partial.2{suffix}" in caplog.text


def test_only_regular_files_with_something_in_them_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "full").symlink_to("/dev/full")
    os.mkfifo(tmp_path / "pipe")
    for name in ("empty", "full", "pipe", "missing"):
        keep_leftover(tmp_path / name)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["empty", "full", "pipe"]


async def test_a_full_disk_leaves_the_store_of_coco_when_the_json_is_written(tmp_path: Path) -> None:
    (tmp_path / "out.partial.json").symlink_to("/dev/full")
    with pytest.raises(SinkError, match=r"No space left on device.*kept in out\.partial\.sqlite") as caught:
        await feed(open_sink(str(tmp_path / "out.json")), info(), stream(60))
    assert "\n" not in str(caught.value)
    with sqlite3.connect(tmp_path / "out.partial.sqlite") as store:
        assert store.execute("SELECT count(*) FROM frames").fetchone() == (60,)
    store.close()


async def test_a_full_disk_leaves_the_store_of_coco_while_masks_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "COMMIT_FRAMES", 20)
    with largest_file(65_536), pytest.raises(SinkError, match=r"kept in out\.partial\.sqlite"):
        await feed(open_sink(str(tmp_path / "out.json")), info(), stream(800))
    with sqlite3.connect(tmp_path / "out.partial.sqlite") as store:
        (count,) = store.execute("SELECT count(*) FROM frames").fetchone()
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.close()
    assert count >= 20


async def test_the_store_of_a_killed_run_can_be_read_after_the_next_run(tmp_path: Path) -> None:
    path, store = tmp_path / "out.json", tmp_path / "out.partial.sqlite"
    code = f"""
import asyncio, itertools
from sinks import open_sink
from sinks.datasets import coco
from tests.sinks_media import feed, frame, grey, info, results
coco.COMMIT_FRAMES = 20
planes = grey(180, 320)
asyncio.run(feed(open_sink({str(path)!r}), info(), results(frame(index, planes) for index in itertools.count())))
"""
    with processes.running([sys.executable, "-c", code], cwd=ROOT):
        eventually(lambda: store.exists() and store.stat().st_size >= 100_000)
    await feed(open_sink(str(path)), info(), stream(3))
    assert path.exists()
    assert not list(tmp_path.glob("out.partial.sqlite*"))
    with sqlite3.connect(tmp_path / "out.partial.1.sqlite") as kept:
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert kept.execute("SELECT count(*) FROM frames").fetchone()[0] >= 20
    kept.close()
