"""What counting at places must know after a restart is kept with the events of the same result."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from maskcast.result import EventKind
from sinks.mqtt import blocking_journal
from sinks.mqtt.journal import Journal
from sinks.mqtt.journal_file import connect_copy, load
from tests.journals import damaged, messages, numbers, result

# As version 1 of the file has it, to the letter.
VERSION_1 = """
BEGIN;
CREATE TABLE IF NOT EXISTS system (boot TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stream (
    name TEXT PRIMARY KEY, id TEXT NOT NULL, next INTEGER NOT NULL, sent INTEGER NOT NULL, shed INTEGER NOT NULL,
    highest INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (
    stream TEXT NOT NULL, sequence INTEGER NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (stream, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS track (
    stream TEXT NOT NULL, id INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (stream, id)
) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""
ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("name", ["journal.sqlite", None])
async def test_the_last_is_known_whatever_brought_it(tmp_path: Path, name: str | None) -> None:
    journal = Journal(tmp_path / name if name else None)
    assert await journal.place_state("door") is None
    assert await journal.append("door", replace(result(1), place_state='{"n": 1}')) == 1
    assert await journal.place_state("door") == '{"n": 1}'
    assert await journal.append("door", replace(result(1), events=(), place_state='{"n": 2}')) == 0, "without events"
    assert await journal.place_state("door") == '{"n": 2}'
    await journal.append("door", result(2))
    assert await journal.place_state("door") == '{"n": 2}', "a result that brings none changes nothing"
    await journal.keep_places("door", '{"n": 3}')
    assert (await journal.place_state("door"), await journal.place_state("yard")) == ('{"n": 3}', None)
    await journal.keep_places("door", None)
    assert await journal.place_state("door") is None
    await journal.close()


async def test_it_survives_and_goes_with_its_stream(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    for number in range(3):
        journal = Journal(file)
        assert await journal.place_state("door") == (f'{{"n": {number - 1}}}' if number else None)
        await journal.append("door", replace(result(number), place_state=f'{{"n": {number}}}'))
        await journal.close()
    journal = Journal(file)
    await journal.forget("door")
    assert await journal.place_state("door") is None
    await journal.close()
    again = Journal(file)
    assert await again.place_state("door") is None
    await again.close()


async def test_events_that_nobody_waits_for_are_remembered_alone(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    quiet = replace(result(4), place_state="{}")
    assert await journal.append("door", quiet, deliver=False) == 0
    await journal.append("door", result(9))
    assert (journal.depth("door"), numbers(await messages(journal))) == (1, [1])
    await journal.close()
    again = Journal(file)
    known = await again.known_tracks("door")
    assert (set(known.alive), known.highest, await again.place_state("door")) == ({5, 10}, 10, "{}")
    await again.close()


async def test_it_is_as_new_as_the_events_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are written in one transaction: where that fails, neither is in the file."""
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    await journal.append("door", replace(result(0), place_state='{"n": 0}'))

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(blocking_journal, "save", full)
        await journal.append("door", replace(result(1), place_state='{"n": 1}'))
    assert await journal.place_state("door") == '{"n": 1}', "what memory holds is the newest"
    copy = connect_copy(file)
    found, _ = load(copy)
    copy.close()
    assert (found["door"].stored, found["door"].places) == (1, '{"n": 0}')
    monkeypatch.setattr(blocking_journal, "RETRY_SECONDS", 0.0)
    await journal.close()
    again = Journal(file)
    assert (len(await messages(again)), await again.place_state("door")) == (2, '{"n": 1}')
    await again.close()


async def test_a_file_of_version_1_is_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    database = sqlite3.connect(file)
    database.executescript(VERSION_1)
    database.execute("INSERT INTO stream VALUES ('door', ?, 2, 0, 0, 1)", (ID,))
    event = {"schema": "maskcast.event/1", "id": f"{ID}-1", "frame": 0}
    database.execute("INSERT INTO event VALUES ('door', 1, ?)", (json.dumps(event).encode(),))
    database.execute("""INSERT INTO track VALUES ('door', 1, '["started","p",0.5,1,2,3,4]')""")
    database.commit()
    database.close()
    journal = Journal(file)
    await journal.open()
    assert not damaged(tmp_path)
    assert (numbers(await messages(journal)), set((await journal.known_tracks("door")).alive)) == ([1], {1})
    await journal.append("door", replace(result(1, EventKind.STARTED), place_state='{"n": 1}'))
    await journal.close()
    again = Journal(file)
    assert (numbers(await messages(again)), await again.place_state("door")) == ([1, 2], '{"n": 1}')
    await again.close()
    assert not damaged(tmp_path)
