"""A journal whose disk is full, read-only or away when it is opened: memory first, then the disk, and nothing lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from maskcast.result import EventKind
from sinks.mqtt import blocking_journal
from sinks.mqtt.journal import Journal
from tests.journals import damaged, frames, messages, numbers, result


class Disk:
    """Refuses what is opened on it until it is `back`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, readable: bool) -> None:
        self.back = False
        self._connect, self._connect_copy, self._readable = (
            blocking_journal.connect,
            blocking_journal.connect_copy,
            readable,
        )
        monkeypatch.setattr(blocking_journal, "RETRY_SECONDS", 0.0)
        monkeypatch.setattr(blocking_journal, "connect", self.connect)
        monkeypatch.setattr(blocking_journal, "connect_copy", self.connect_copy)

    def connect(self, file: Path | None) -> sqlite3.Connection:
        if not self.back:
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorcode = sqlite3.SQLITE_READONLY
            raise error
        return self._connect(file)

    def connect_copy(self, file: Path) -> sqlite3.Connection:
        if not self._readable:
            raise PermissionError(13, "Permission denied")
        return self._connect_copy(file)


async def test_the_first_start_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(monkeypatch, readable=True)
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    await journal.open()
    for index in range(3):
        await journal.append("door", result(index))
    assert "readonly" in str(journal.refusal)
    assert len(caplog.records) == 1, "said once"
    sent = await journal.first("door", 1)
    await journal.remove("door", sent[0].sequence)
    disk.back = True
    await journal.append("door", result(3))
    assert (journal.refusal, journal.depth("door")) == (None, 3)
    assert "can be written again" in caplog.text
    found = await messages(journal)
    assert (frames(found), numbers(found)) == ([1, 2, 3], [2, 3, 4])
    assert len({message["id"].split("-")[0] for message in found}) == 1
    await journal.close()
    journal = Journal(file)
    assert await messages(journal) == found
    await journal.close()


async def test_memory_is_bounded_while_the_disk_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_journal, "IN_MEMORY_EVENTS", 10)
    Disk(monkeypatch, readable=False)
    journal = Journal(tmp_path / "journal.sqlite")
    for index in range(30):
        await journal.append("door", result(index))
    assert (journal.depth("door"), journal.dropped("door")) == (10, 20)
    found = await messages(journal)
    assert (found[0]["count"], frames(found[1:])) == (20, list(range(20, 30)))
    await journal.close()


async def killed(file: Path) -> list[str]:
    """A journal that a killed process has left, its log not yet in the file; the ids of what waits."""
    journal = Journal(file)
    await journal.append("door", result(0, EventKind.STARTED, track=1))
    await journal.append("door", result(1, count=2, track=4))
    await journal.remove("door", (await journal.first("door", 1))[0].sequence)
    await journal.append("door", result(2, EventKind.STARTED, track=7))
    ids = [message["id"] for message in await messages(journal)]
    for suffix in ("", "-wal"):
        path = file.with_name(file.name + suffix)
        path.with_name(f"kept{suffix}").write_bytes(path.read_bytes())
    await journal.close()
    for suffix in ("", "-wal"):
        file.with_name(f"kept{suffix}").replace(file.with_name(file.name + suffix))
    return ids


async def test_a_disk_that_can_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "journal.sqlite"
    before = await killed(file)
    disk = Disk(monkeypatch, readable=True)
    journal = Journal(file)
    await journal.open()
    assert journal.refusal
    known = await journal.known_tracks("door")
    assert (set(known.alive), known.highest) == ({1, 5, 9}, 9), "no id is given again"
    await journal.append("door", result(3))
    found = await messages(journal)
    assert [message["id"] for message in found[:-1]] == before, "what waits is sent from there, and first"
    await journal.remove("door", numbers(found)[0])
    disk.back = True
    await journal.append("door", result(4))
    assert [message["id"] for message in await messages(journal)][:-1] == [message["id"] for message in found[1:]]
    await journal.close()
    journal = Journal(file)
    found = await messages(journal)
    assert (numbers(found), frames(found)) == ([3, 4, 5, 6], [1, 2, 3, 4])
    assert not damaged(tmp_path)
    await journal.close()


async def test_a_stream_is_forgotten_while_the_disk_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "journal.sqlite"
    await killed(file)
    disk = Disk(monkeypatch, readable=True)
    journal = Journal(file)
    await journal.open()
    await journal.forget("door")
    await journal.append("door", result(20))
    disk.back = True
    await journal.append("door", result(21))
    await journal.close()
    journal = Journal(file)
    await journal.open()
    assert frames(await messages(journal)) == [20, 21], "it has come back, and knows nothing of before"
    await journal.close()


async def test_what_could_not_be_read_is_sent_first_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "journal.sqlite"
    before = await killed(file)
    disk = Disk(monkeypatch, readable=False)
    journal = Journal(file)
    await journal.open()
    for index in range(10, 13):
        await journal.append("door", result(index, track=90))
    first, second = await journal.first("door", 2)
    await journal.remove("door", first.sequence)
    disk.back = True
    await journal.append("door", result(13, track=90))
    await journal.remove("door", second.sequence)  # was on its way; numbers have moved meanwhile
    found = await messages(journal)
    assert [message["id"] for message in found[:3]] == before, "nothing of it is lost"
    assert frames(found[3:]) == [11, 12, 13], "what was on its way is sent once more, under the same id"
    assert found[3]["id"].encode() in second.payload
    ids = [message["id"] for message in found]
    assert len(set(ids)) == len(ids)
    known = await journal.known_tracks("door")
    assert (set(known.alive), known.highest) == ({1, 5, 9, 100, 101, 102, 103}, 103)
    await journal.remove("door", (await journal.first("door", 100))[-1].sequence)
    assert (journal.depth("door"), await messages(journal)) == (0, [])
    await journal.close()
