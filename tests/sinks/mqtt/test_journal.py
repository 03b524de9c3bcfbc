"""The journal of events: nothing lost, nothing twice under two numbers, never without bound, never an exception."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from maskcast.errors import SinkError
from maskcast.mask import Box
from maskcast.result import Event, EventKind, Result
from sinks.mqtt import blocking_journal, journal_file, journal_stream
from sinks.mqtt import journal as journal_module
from sinks.mqtt.journal import Journal
from tests import processes
from tests.journals import PLANES, damaged, frames, messages, numbers, result
from tests.paths import ROOT
from tests.patience import patient
from tests.sinks_media import frame


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "state" / "journal.sqlite" if request.param == "file" else None


async def test_events_wait_in_order_until_removed_each_stream_for_itself(place: Path | None) -> None:
    journal = Journal(place)
    for index in range(5):
        assert await journal.append("door", result(index)) == 1
    assert await journal.append("yard", result(7, EventKind.STARTED, EventKind.LOST)) == 2
    assert await journal.append("yard", Result(frame(8, PLANES))) == 0
    entries = await journal.first("door", 3)
    assert [entry.sequence for entry in entries] == [1, 2, 3]
    await journal.remove("door", 2)
    found = await messages(journal)
    assert frames(found) == [2, 3, 4]
    assert numbers(found) == [3, 4, 5]
    assert len({message["id"].split("-")[0] for message in [*found, *await messages(journal, "yard")]}) == 2
    assert [message["event"] for message in await messages(journal, "yard")] == ["started", "lost"]
    assert (journal.depth("door"), journal.depth("yard"), journal.depth("attic")) == (3, 2, 0)
    await journal.close()
    assert await journal.append("door", result(9)) == 0  # closed, but no reason to fail


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    ids = []
    for index in range(3):
        journal = Journal(file)
        await journal.open()
        assert journal.depth("door") == index
        await journal.append("door", result(index))
        ids = [message["id"] for message in await messages(journal)]
        await journal.close()
    assert [one.split("-")[1] for one in ids] == ["1", "2", "3"]
    assert len({one.split("-")[0] for one in ids}) == 1
    assert not file.with_name(file.name + "-wal").exists()


CHILD = """
import asyncio, sys
from pathlib import Path
from sinks.mqtt.journal import Journal
from tests.journals import result
async def main():
    journal = Journal(Path(sys.argv[1]))
    await journal.open()
    for index in range(100_000):
        await journal.append("door", result(index))
        print(index, flush=True)
        if index % 50 == 49:
            await journal.remove("door", (await journal.first("door", 10))[-1].sequence)
asyncio.run(main())
"""


async def test_what_append_has_returned_for_survives_sigkill(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    expected = 0
    last = 0
    for _ in range(3):
        command = [sys.executable, "-c", CHILD, str(file)]
        with processes.running(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(random.uniform(0, 0.4))
            child.kill()
            said = 1 + len(child.stdout.readlines())
        journal = Journal(file)
        await journal.open()
        found = await messages(journal, count=1_000_000)
        assert numbers(found) == list(range(numbers(found)[0], numbers(found)[-1] + 1))
        expected += said
        # One more may have been written than was said; none less.
        assert last + said <= numbers(found)[-1] <= last + said + 1
        last = numbers(found)[-1]
        assert len({message["id"] for message in found}) == len(found) == journal.depth("door")
        await journal.close()
    assert last >= expected
    assert not damaged(tmp_path)


async def test_the_oldest_are_shed_counted_and_announced_in_their_place(place: Path | None) -> None:
    journal = Journal(place, limit=5)
    for index in range(8):
        await journal.append("door", result(index))
    assert (journal.depth("door"), journal.dropped("door")) == (5, 3)
    if place is not None:
        await journal.close()
        journal = Journal(place, limit=5)
    found = await messages(journal)
    assert found[0]["schema"] == "maskcast.shed/1"
    assert (found[0]["count"], numbers(found)) == (3, [3, 4, 5, 6, 7, 8])
    assert frames(found[1:]) == [3, 4, 5, 6, 7]
    assert journal.dropped("door") == 3
    # Once acknowledged, it is not announced again; what is shed after that is announced by itself.
    await journal.remove("door", 3)
    assert numbers(await messages(journal)) == [4, 5, 6, 7, 8]
    for index in range(8, 10):
        await journal.append("door", result(index))
    found = await messages(journal)
    assert (found[0]["schema"], found[0]["count"], numbers(found)) == ("maskcast.shed/1", 2, [5, 6, 7, 8, 9, 10])
    await journal.close()


async def test_an_event_that_was_on_its_way_when_it_was_shed_is_not_announced(place: Path | None) -> None:
    journal = Journal(place, limit=3)
    for index in range(3):
        await journal.append("door", result(index))
    sent = await journal.first("door", 2)
    for index in range(3, 6):  # all three are shed meanwhile
        await journal.append("door", result(index))
    await journal.remove("door", sent[-1].sequence)
    found = await messages(journal)
    assert (found[0]["schema"], found[0]["count"], numbers(found)) == ("maskcast.shed/1", 1, [3, 4, 5, 6])
    await journal.close()


async def test_one_result_with_more_events_than_may_wait(place: Path | None) -> None:
    journal = Journal(place, limit=4)
    await journal.append("door", result(0, count=3))
    await journal.append("door", result(1, count=10))
    found = await messages(journal)
    assert (found[0]["count"], numbers(found)) == (9, [9, 10, 11, 12, 13])
    assert journal.depth("door") == 4
    await journal.close()


async def test_open_tracks_are_those_that_started_and_did_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    await journal.append("door", result(0, EventKind.STARTED, EventKind.LOST, track=1))
    await journal.append("door", result(1, EventKind.STARTED, EventKind.ENDED, track=1))
    await journal.append("door", result(2, EventKind.STARTED, track=1))
    await journal.append("door", result(3, EventKind.LOST, track=90))  # nobody heard it start
    await journal.append("yard", result(0, EventKind.STARTED, track=50))
    await journal.remove("door", 100)  # sent or not makes no difference
    await journal.close()
    journal = Journal(file)
    known = await journal.known_tracks("door")
    assert known.alive == {
        1: Event(EventKind.LOST, 1, "person", 0.9, Box(0, 2, 3, 4)),
        3: Event(EventKind.STARTED, 3, "person", 0.9, Box(2, 2, 3, 4)),
    }
    assert known.highest == 93
    assert await journal.known_tracks("attic") == type(known)()
    monkeypatch.setattr(journal_stream, "OPEN_TRACKS", 10)
    for index in range(30):
        await journal.append("yard", result(index, track=100))
    await journal.close()
    journal = Journal(file)
    assert list((await journal.known_tracks("yard")).alive) == list(range(120, 130))
    await journal.close()


async def test_a_damaged_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "journal.sqlite"
    for content in (b"no database" * 1000, b"SQLite format 3\0" + bytes(range(256)) * 100):
        file.write_bytes(content)
        file.with_name("journal.sqlite-wal").write_bytes(b"a log that belongs to it")
        journal = Journal(file)
        await journal.open()
        assert await journal.append("door", result(1)) == 1
        assert file.with_name("journal.sqlite.damaged").read_bytes() == content
        await journal.close()
        journal = Journal(file)
        assert frames(await messages(journal)) == [1]
        await journal.close()
    assert len(damaged(tmp_path)) == 1
    assert caplog.text.count("set aside") == 2


async def test_a_cut_off_file_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    await journal.append("door", result(0, count=500))
    await journal.close()
    file.write_bytes(file.read_bytes()[:20_000])
    journal = Journal(file)
    await journal.append("door", result(1))
    assert frames(await messages(journal)) == [1]
    await journal.close()


async def test_damage_while_in_use_costs_what_was_in_the_file_and_says_how_much(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    count = 20_000  # more than SQLite keeps in memory
    await journal.append("door", result(0, count=count))
    await journal._run(lambda: journal._blocking._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    with file.open("r+b") as damaged:
        damaged.seek(4096)
        damaged.write(b"\xa5" * (file.stat().st_size - 4096))
    await journal.append("door", result(1))
    found = await messages(journal)
    if found[0]["schema"] == "maskcast.event/1":  # still from its memory; the rest is not
        await journal.remove("door", numbers(found)[-1])
        found = await messages(journal)
    assert "set aside" in caplog.text
    await journal.append("door", result(2))
    found = await messages(journal)
    assert found[0]["schema"] == "maskcast.shed/1"
    assert found[0]["count"] == journal.dropped("door") >= count - 1000
    assert numbers(found)[-1] == count + 2
    await journal.close()
    journal = Journal(file)
    assert frames((await messages(journal))[-1:]) == [2]
    await journal.close()


async def test_a_full_disk_costs_nothing_until_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(blocking_journal, "IN_MEMORY_EVENTS", 10)
    monkeypatch.setattr(blocking_journal, "RETRY_SECONDS", 0.0)
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    await journal.append("door", result(0, count=100))

    async def pages(number: int) -> None:
        await journal._run(lambda: journal._blocking._database.execute(f"PRAGMA max_page_count = {number}").fetchall())

    await pages(1)  # SQLite takes the present size for the smallest: the file cannot grow any more
    index = 0
    while not caplog.text:
        index += 1
        await journal.append("door", result(index, count=3))
    refused = index
    for index in range(refused + 1, refused + 3):
        await journal.append("door", result(index, count=3))
    assert caplog.text.count("kept in memory") == 1
    waiting = 100 + 3 * index
    assert journal.depth("door") == waiting
    assert numbers(await messages(journal)) == list(range(1, waiting + 1))  # the file's and memory's, in order
    await journal.append("door", result(index + 1, count=3))
    assert journal.dropped("door") == 3 * (index + 1 - refused + 1) - 10 > 0
    found = await messages(journal)
    assert [message["schema"] for message in found].count("maskcast.shed/1") == 1
    await pages(1_000_000)
    await journal.append("door", result(index + 2))
    assert "can be written again" in caplog.text
    again = await messages(journal)
    assert numbers(again)[:-1] == numbers(found)
    assert journal.depth("door") == len(again) - 1
    await journal.close()
    journal = Journal(file)
    assert numbers(await messages(journal)) == numbers(again)
    await journal.close()


async def test_events_are_sent_and_removed_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking_journal, "RETRY_SECONDS", 60.0)
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.append("door", result(0, count=5))
    await journal._run(lambda: journal._blocking._refused(sqlite3.OperationalError("disk I/O error")))
    await journal.append("door", result(1, count=5))
    assert numbers(await messages(journal)) == list(range(1, 11))
    await journal.remove("door", 7)
    assert numbers(await messages(journal)) == [8, 9, 10]
    assert journal.depth("door") == 3
    await journal.close()


async def test_two_processes_cannot_share_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "journal.sqlite"
    first, second = Journal(file), Journal(file)
    await first.append("door", result(0))
    with pytest.raises(SinkError, match="another process uses it"):
        await second.open()
    assert await second.append("door", result(1)) == 1  # in memory
    assert caplog.text.count("kept in memory") == 1
    assert frames(await messages(second)) == [1]
    assert frames(await messages(first)) == [0]
    await second.close()
    await first.close()
    assert not damaged(tmp_path)


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    journal = Journal(tmp_path / "state" / "journal.sqlite")
    await journal.open()
    assert journal.refusal
    assert await journal.append("door", result(0)) == 1
    assert frames(await messages(journal)) == [0]
    await journal.close()


async def test_numbers_that_a_power_cut_took_back_are_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was in the system's memory is gone: here, everything after the copy."""
    boot = tmp_path / "boot_id"
    boot.write_text("one")
    monkeypatch.setattr(journal_file, "BOOT_ID", boot)
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    await journal.append("door", result(0))
    for kind in ("killed", "cut"):
        (tmp_path / kind).mkdir()
        for part in ("journal.sqlite", "journal.sqlite-wal"):
            shutil.copy(tmp_path / part, tmp_path / kind)
    await journal.append("door", result(1))
    lost = (await messages(journal))[1]["id"]
    await journal.close()
    killed = Journal(tmp_path / "killed" / "journal.sqlite")
    await killed.append("door", result(2))
    assert (await messages(killed))[1]["id"] == lost  # of a process alone, nothing can be taken back
    await killed.close()
    boot.write_text("two")
    cut = Journal(tmp_path / "cut" / "journal.sqlite")
    await cut.append("door", result(2))
    found = await messages(cut)
    assert frames(found) == [0, 2]
    assert found[1]["id"] != lost
    await cut.close()
    again = Journal(tmp_path / "cut" / "journal.sqlite")
    await again.append("door", result(3))
    assert (await messages(again))[2]["id"].split("-")[0] == found[1]["id"].split("-")[0]
    await again.close()


async def test_a_write_does_not_hold_up_the_frames(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    longest = 0.0
    for index in range(200):
        writing = asyncio.create_task(journal.append("door", result(index)))
        while not writing.done():
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
    assert longest < patient(0.25)  # the loop runs on while the thread writes
    assert journal.depth("door") == 200
    await journal.close()


async def test_a_disk_that_does_not_answer_holds_nobody_and_gets_its_events_when_it_wakes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "ANSWER_SECONDS", 0.2)
    journal, go = Journal(tmp_path / "journal.sqlite"), threading.Event()
    await journal.open()
    await journal.append("door", result(0))
    hanging = journal._thread.run(lambda: go.wait(patient(60)))
    async with asyncio.timeout(patient(30)):
        for index in range(1, 5):
            assert await journal.append("door", result(index)) == 1
        known = await journal.known_tracks("door")
    assert known.highest == 1, "what the disk has taken"
    assert ["does not answer" in record.message for record in caplog.records] == [True], "said once"
    assert journal.refusal == "the disk does not answer"
    go.set()
    await hanging
    assert frames(await messages(journal)) == [0, 1, 2, 3, 4]
    assert (await journal.known_tracks("door")).highest == 5
    assert journal.refusal is None
    await journal.close()


async def test_a_disk_that_does_not_answer_at_the_start_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "ANSWER_SECONDS", 0.2)
    journal, go = Journal(tmp_path / "journal.sqlite"), threading.Event()
    journal._thread.run(lambda: go.wait(patient(60)))
    async with asyncio.timeout(patient(30)):
        await journal.open()
        assert journal.refusal == "the disk does not answer"
        assert await journal.append("door", result(0)) == 1
    assert ["does not answer" in record.message for record in caplog.records] == [True], "said once"
    go.set()
    assert frames(await messages(journal)) == [0]
    assert journal.refusal is None
    await journal.close()


async def test_the_end_does_not_wait_for_a_disk_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal_module, "ANSWER_SECONDS", 0.2)
    journal, go = Journal(tmp_path / "journal.sqlite"), threading.Event()
    await journal.open()
    journal._thread.run(lambda: go.wait(patient(60)))
    async with asyncio.timeout(patient(30)):
        await journal.close()
    assert "does not answer; what it has not taken is lost" in caplog.text
    go.set()
