"""Which recordings are kept: the newest, within limits of number and size; never what is not ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sinks.video import retention
from sinks.video.recording import RecordingSink
from tests.recordings import LIVE, at, files, noisy, seconds, settings, starts
from tests.sinks_media import feed


async def test_only_the_newest_files_are_kept_and_foreign_ones_are_left_alone(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "test", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    foreign = [
        "holiday.mp4",
        "2020-01-01T000000.000Z.mkv",
        "2020-01-01T000000.000Z.mp4.txt",
        "x2020-01-01T000000.000Z.mp4",
    ]
    for name in foreign:
        (folder / name).write_bytes(b"mine")
    (elsewhere / "2020-01-01T000000.000Z.mp4").write_bytes(b"mine")
    (folder / "2020-01-01T000000.000Z.mp4").symlink_to(elsewhere / "2020-01-01T000000.000Z.mp4")
    (folder / "2020-01-02T000000.000Z.mp4").mkdir()
    (folder / "2020-01-03T000000.000Z.mp4").symlink_to(elsewhere)
    (folder / "2020-01-04T000000.000Z.mp4").write_bytes(b"ours, from long ago")
    before = {entry.name for entry in folder.iterdir()} - {"2020-01-04T000000.000Z.mp4"}
    sink = RecordingSink(settings(tmp_path, segment_seconds=1, keep_files=2), "test")
    await feed(sink, LIVE, at(seconds(8)))
    assert sink.segments == 8
    assert starts(tmp_path) == [6, 7]
    assert {entry.name for entry in folder.iterdir()} == before | {path.name for path in files(tmp_path)}
    assert (elsewhere / "2020-01-01T000000.000Z.mp4").read_bytes() == b"mine"


async def test_files_are_kept_up_to_a_size_and_the_newest_in_any_case(tmp_path: Path) -> None:
    await feed(
        RecordingSink(settings(tmp_path, segment_seconds=1, keep_bytes=80_000), "test"), LIVE, at(seconds(8), noisy)
    )
    sizes = [path.stat().st_size for path in files(tmp_path)]
    assert starts(tmp_path)[-1] == 7
    assert 1 < len(sizes) < 8
    assert sum(sizes) <= 80_000 < sum(sizes) + max(sizes) * 1.2
    await feed(RecordingSink(settings(tmp_path, keep_bytes=1), "test"), LIVE, at(seconds(1, start=100)))
    assert starts(tmp_path) == [100]


async def test_what_was_just_recorded_survives_a_clock_that_was_set_back(tmp_path: Path) -> None:
    await feed(RecordingSink(settings(tmp_path), "test"), LIVE, at(seconds(1)))
    earlier = (
        replace(one, frame=replace(one.frame, captured_at=one.frame.captured_at.replace(year=1970)))
        for one in at(seconds(1))
    )
    await feed(RecordingSink(settings(tmp_path, keep_files=1), "test"), LIVE, earlier)
    assert [path.name[:4] for path in files(tmp_path)] == ["1970", "2026"]


async def test_what_was_recorded_while_the_clock_was_ahead_goes_first(tmp_path: Path) -> None:
    ahead = (
        replace(one, frame=replace(one.frame, captured_at=one.frame.captured_at.replace(year=2199)))
        for one in at(seconds(3))
    )
    await feed(RecordingSink(settings(tmp_path, segment_seconds=1), "test"), LIVE, ahead)
    await feed(RecordingSink(settings(tmp_path, segment_seconds=1, keep_files=4), "test"), LIVE, at(seconds(3)))
    assert [path.name[:4] for path in files(tmp_path)] == ["2199", "2026", "2026", "2026"]


async def test_room_is_made_only_where_it_can_be_and_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await feed(RecordingSink(settings(tmp_path, segment_seconds=1), "test"), LIVE, at(seconds(5), noisy))
    folder = tmp_path / "test"
    capacity = 10_000_000 + sum(path.stat().st_size for path in files(tmp_path))

    def free(_: Path) -> int:
        return capacity - sum(path.stat().st_size for path in folder.iterdir())

    monkeypatch.setattr(retention, "free_bytes", free)
    before = files(tmp_path)
    assert not retention.make_room(folder, capacity), "the newest would have to go as well"
    assert files(tmp_path) == before
    assert not caplog.records
    assert retention.make_room(folder, 10_000_001 + before[0].stat().st_size)
    assert files(tmp_path) == before[2:]
    assert "2 oldest recordings were deleted" in caplog.text
