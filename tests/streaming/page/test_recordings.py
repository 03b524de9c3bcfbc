"""Recordings by day, and the one that contains a moment: by the clock, over gaps, with files that come and go."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as some

from sinks.video.retention import recording_path, start_of
from streaming.page import recordings as module
from streaming.page.recordings import Excerpt, Recordings
from tests.frames import START
from tests.recordings import record, seconds


@pytest.fixture(autouse=True)
def _time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def moment(after: float) -> datetime:
    return START + timedelta(seconds=after)


async def test_a_moment_is_found_in_the_file_and_second_in_which_it_is_recorded(tmp_path: Path) -> None:
    # Three segments of two seconds, a gap of 54 s, and what is being written.
    sink = await record(tmp_path, [*seconds(6), *seconds(3, start=60)], segment_seconds=2.0)
    found = Recordings(lambda: {"door": tmp_path / "door", "yard": tmp_path / "yard"})
    names = ["000000.000Z", "000002.000Z", "000004.000Z", "000100.000Z"]
    files = [f"2026-01-01T{name}.mp4" for name in names]
    for after, expected in {
        0.0: (files[0], 0.0),
        1.5: (files[0], 1.5),
        2.0: (files[1], 0.0),
        3.99: (files[1], 1.99),
        5.0: (files[2], 1.0),
        6.9: (files[2], 2.0),  # a little late: its last picture
        60.0: (files[3], 0.0),
        61.5: (files[3], 1.5),
    }.items():
        assert found.containing("door", moment(after)) == Excerpt("door", *expected), after
    for after in (-0.5, 7.5, 30.0, 59.9, 70.0):
        assert found.containing("door", moment(after)) is None, after
    assert found.containing("yard", moment(1)) is None
    assert found.containing("attic", moment(1)) is None

    listed, more = found.page("door", limit=10)
    assert [one.name for one in listed] == [
        f"2026-01-01T{name}.mp4" for name in ("000102.000Z", *names[:0:-1])
    ] + files[:1]
    assert [one.writing for one in listed] == [True, False, False, False, False]
    assert not more
    assert listed[-1].seconds == 2.0
    assert listed[-1].start == "2026-01-01T00:00:00.000Z"
    await sink.finish(None)
    assert not any(one.writing for one in found.page("door", limit=10)[0])
    assert found.containing("door", moment(62.5)) == Excerpt("door", "2026-01-01T000102.000Z.mp4", 0.5)


async def made_of(folder: Path, starts: list[float]) -> Path:
    """A stream's folder with recordings of two seconds that begin then."""
    sink = await record(folder, seconds(2), "made")
    await sink.finish(None)
    made = folder / "made" / "2026-01-01T000000.000Z.mp4"
    (folder / "door").mkdir()
    for start in starts:
        os.link(made, recording_path(folder / "door", moment(start)))
    return folder / "door"


async def test_over_gaps_the_last_that_began_before_a_moment_has_it_or_none(tmp_path: Path) -> None:
    chosen = random.Random(17)
    starts = list(itertools.accumulate(chosen.choice([2.0, 2.5, 4.0, 60.0]) for _ in range(40)))
    folder = await made_of(tmp_path, starts)
    found = Recordings(lambda: {"door": folder})
    for _ in range(200):
        after = round(chosen.uniform(0, starts[-1] + 5), 3)
        began = max((start for start in starts if start <= after), default=-100.0)
        excerpt = found.containing("door", moment(after))
        if after - began > 3.0:
            assert excerpt is None
        else:
            assert excerpt is not None
            assert start_of(excerpt.name) == moment(began)
            assert excerpt.second == pytest.approx(min(after - began, 2.0), abs=0.002)


async def test_a_clock_that_was_set_back_leads_to_the_file_that_was_on_at_that_time(tmp_path: Path) -> None:
    folder = await made_of(tmp_path, [0.0, 1.0, 1.0])  # the last two begin in one millisecond
    found = Recordings(lambda: {"door": folder})
    assert found.containing("door", moment(0.5)) == Excerpt("door", "2026-01-01T000000.000Z.mp4", 0.5)
    assert found.containing("door", moment(2.5)) == Excerpt("door", "2026-01-01T000001.000Z-1.mp4", 1.5)


async def test_recordings_are_listed_by_the_days_of_this_machine_page_by_page(tmp_path: Path) -> None:
    hours = [0.0, 14.9, 15.1, 15.2, 40.0]  # in Tokyo a day begins at 15:00 UTC
    folder = await made_of(tmp_path, [3600 * hour for hour in hours])
    found = Recordings(lambda: {"door": folder, "gate": folder})
    days = [date(2026, 1, 3), date(2026, 1, 2), date(2026, 1, 1)]
    assert found.days() == found.days("door") == days
    assert found.days("attic") == []
    assert [[one.start[11:16] for one in found.page("door", day, limit=10)[0]] for day in days] == [
        ["16:00"],
        ["15:12", "15:06"],
        ["14:54", "00:00"],
    ]
    # Two streams in one folder, so each moment is there twice: never parted.
    pages, before = [], None
    while True:
        page, more = found.page(None, None, before, limit=3)
        pages.append(len(page))
        if not more:
            break
        before = datetime.fromisoformat(page[-1].start)
    assert pages == [4, 4, 2]


async def test_a_disk_that_is_slow_is_not_asked_for_all_lengths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LENGTHS_SECONDS", 0.0)
    folder = await made_of(tmp_path, [0.0, 60.0])
    listed, _ = Recordings(lambda: {"door": folder}).page("door", limit=10)
    assert [one.seconds for one in listed] == [None, None]
    assert all(one.bytes for one in listed)


async def test_what_is_deleted_meanwhile_is_gone_and_what_is_no_recording_never_there(tmp_path: Path) -> None:
    folder = await made_of(tmp_path, [0.0, 60.0, 120.0, 180.0])
    found = Recordings(lambda: {"door": folder})
    os.utime(folder, (0, 0))  # has not been changed for long, and so is remembered
    names = [one.name for one in found.page("door", limit=10)[0]]
    os.utime(folder, (0, 0))
    (folder / names[0]).unlink()
    os.utime(folder, (0, 0))  # what is remembered is wrong now
    assert [one.name for one in found.page("door", limit=10)[0]] == names[1:]
    assert found.containing("door", moment(181)) is None
    (folder / names[1]).unlink()
    (folder / names[1]).write_bytes(b"")
    (folder / names[2]).unlink()
    (folder / names[2]).symlink_to(folder / names[3])
    (folder / "2026-13-01T000000.000Z.mp4").touch()
    (folder / "2026-01-01T000000.000Z.mp4.gz").touch()
    assert [(one.name, one.seconds) for one in found.page("door", limit=10)[0]] == [(names[1], None), (names[3], 2.0)]
    assert found.containing("door", moment(121)) is None


NAMES = some.one_of(
    some.text(),
    some.from_regex(r"(\.\./|/|%2e)*2026-01-01T0000..\.000Z(-\d)*(\.partial)?\.mp4.?", fullmatch=True),
    some.sampled_from(["..", ".", "", "other.mp4", "2026-01-01T000000.000Z.mp4\n", "2026-01-01T000000.000Z.mp4\0"]),
)


async def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = await made_of(tmp_path, [0.0, 60.0, 120.0])
    outside = tmp_path / "2026-01-01T000005.000Z.mp4"
    for path in (outside, folder / "other.mp4", folder / "2026-01-01T000100.000Z.partial.mp4"):
        path.write_bytes(b"secret")
    (folder / "2026-01-01T000007.000Z.mp4").symlink_to(outside)
    (folder / "2026-01-01T000008.000Z.mp4").mkdir()
    found = Recordings(lambda: {"door": folder})
    right = {f"2026-01-01T000{minute}00.000Z.mp4" for minute in range(3)}
    for name in right:
        assert found.path("door", name) == folder / name

    @effort(max_examples=60)
    @given(some.sampled_from(["door", "", "..", "attic"]), NAMES)
    def hostile(stream: str, name: str) -> None:
        path = found.path(stream, name)
        assert path is None or (stream == "door" and name in right)

    hostile()
