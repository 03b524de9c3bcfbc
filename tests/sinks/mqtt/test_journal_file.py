"""Nothing that is read back from the journal's file is believed unseen: what is wrong is set aside, and all goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from maskcast.result import EventKind
from sinks.mqtt.journal import Journal
from sinks.mqtt.journal_stream import OPEN_TRACKS
from tests.journals import damaged, frames, messages, result

DEEP = "[" * 100_000
# What a sick disk, another program or a hostile hand may leave: a name for each, and SQL that brings it about.
HARM = {
    "a track's text cut off": """INSERT INTO track VALUES ('door', 1, '["star')""",
    "a track's text nested deeply": f"INSERT INTO track VALUES ('door', 1, '{DEEP}')",
    "a track's text no UTF-8": "INSERT INTO track VALUES ('door', 1, CAST(x'5bff' AS TEXT))",
    "a track's box infinite": """INSERT INTO track VALUES ('door', 1, '["started","p",0.5,1e999,2,3,4]')""",
    "a track's score": """INSERT INTO track VALUES ('door', 1, '["started","p",7,1,2,3,4]')""",
    "a track's kind": """INSERT INTO track VALUES ('door', 1, '["moved","p",0.5,1,2,3,4]')""",
    "a track's id": """INSERT INTO track VALUES ('door', 1e300, '["started","p",0.5,1,2,3,4]')""",
    "a track above the highest": """INSERT INTO track VALUES ('door', 99, '["started","p",0.5,1,2,3,4]')""",
    "a track that is huge": "INSERT INTO track VALUES ('door', 1, CAST(zeroblob(50000000) AS TEXT))",
    "too many tracks": f"""
        UPDATE stream SET highest = 100000;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {OPEN_TRACKS})
        INSERT INTO track SELECT 'door', i, '["started","p",0.5,1,2,3,4]' FROM n""",
    "a track of nobody": """INSERT INTO track VALUES ('attic', 1, '["started","p",0.5,1,2,3,4]')""",
    "a state of places that is no JSON": "INSERT INTO places VALUES ('door', '{')",
    "a state of places nested deeply": f"INSERT INTO places VALUES ('door', '{DEEP}')",
    "a state of places that is a list": "INSERT INTO places VALUES ('door', '[]')",
    "a state of places that is huge": "INSERT INTO places VALUES ('door', CAST(zeroblob(50000000) AS TEXT))",
    "a state of places of nobody": "INSERT INTO places VALUES ('attic', '{}')",
    "version 1 with tables of version 2": "PRAGMA user_version = 1",
    "no table system": "DROP TABLE system",
    "no table event": "DROP TABLE event",
    "a column less": "ALTER TABLE stream DROP COLUMN shed",
    "a table more": "CREATE TABLE more (x)",
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM event; END",
    "a view": "DROP TABLE track; CREATE VIEW track AS SELECT 'door' AS stream, 1 AS id, 'x' AS event",
    "another version": "PRAGMA user_version = 7",
    "another program's": "DROP TABLE system; PRAGMA user_version = 0",
    "next out of bounds": "UPDATE stream SET next = 9223372036854775806",
    "next negative": "UPDATE stream SET next = -1",
    "next a text": "UPDATE stream SET next = 'many'",
    "sent before it happened": "UPDATE stream SET sent = next",
    "highest out of bounds": "UPDATE stream SET highest = 9223372036854775807",
    "an id that is none": "UPDATE stream SET id = 'x'",
    "too many streams": """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 10000)
        INSERT INTO stream SELECT i, '0123456789abcdef0123456789abcdef', 1, 0, 0, 0 FROM n""",
    "an event that is huge": "UPDATE event SET payload = zeroblob(50000000)",
    "an event of nobody": "UPDATE event SET stream = 'attic'",
    "an event of the future": "UPDATE event SET sequence = sequence + 76",
    "an event that is text": "UPDATE event SET payload = CAST(payload AS TEXT)",
}


async def left_behind(file: Path) -> None:
    journal = Journal(file)
    await journal.append("door", result(0, EventKind.STARTED, EventKind.ENDED))
    await journal.close()


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
async def test_what_no_journal_has_written_is_set_aside(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "journal.sqlite"
    await left_behind(file)
    database = sqlite3.connect(file)
    database.executescript(harm)
    database.close()
    journal = Journal(file)
    await journal.open()
    assert journal.refusal is None
    assert await journal.append("door", result(1)) == 1
    assert frames(await messages(journal)) == [1]
    await journal.close()
    assert [path.name for path in damaged(tmp_path)] == ["journal.sqlite.damaged"]
    assert len(caplog.records) == 1
    assert "is damaged" in caplog.records[0].getMessage()
    again = Journal(file)
    await again.open()
    assert frames(await messages(again)) == [1]
    await again.close()


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[1]", DEEP.encode()[:60_000], b'{"schema": "other/1"}'])
async def test_an_event_is_looked_at_before_it_is_sent(tmp_path: Path, payload: bytes) -> None:
    file = tmp_path / "journal.sqlite"
    await left_behind(file)
    database = sqlite3.connect(file)
    database.execute("UPDATE event SET payload = ? WHERE sequence = 2", (payload,))
    database.commit()
    database.close()
    journal = Journal(file)
    await journal.append("door", result(1))
    found = [message for message in await messages(journal) if message["schema"] == "maskcast.event/1"]
    assert all(message["frame"] != 0 for message in found), "all of the damaged file is in doubt"
    await journal.append("door", result(2))
    found = await messages(journal)
    assert (found[0]["schema"], frames(found[1:])) == ("maskcast.shed/1", [2]), "what went with it is announced"
    assert len(damaged(tmp_path)) == 1
    await journal.close()


@pytest.mark.parametrize("thing", ["folder", "fifo", "log that is a folder", "log that is a fifo", "empty", "text"])
async def test_what_is_no_database_at_all(tmp_path: Path, thing: str) -> None:
    file = tmp_path / "journal.sqlite"
    if thing == "folder":
        (file / "inside").mkdir(parents=True)
        file.with_name("journal.sqlite.damaged").write_bytes(b"an earlier one")
    elif thing == "fifo":
        os.mkfifo(file)
    elif thing.startswith("log"):
        await left_behind(file)
        (os.mkdir if thing.endswith("folder") else os.mkfifo)(f"{file}-wal")
    else:
        file.write_text("" if thing == "empty" else "no database\n")
    journal = Journal(file)
    await journal.append("door", result(1))
    assert journal.refusal is None
    await journal.close()
    assert file.is_file()
    assert bool(damaged(tmp_path)) == (thing != "empty")


async def test_only_their_owner_reads_the_files(tmp_path: Path) -> None:
    """Also those that an earlier version, or a damaged one's maker, left open to others."""
    folder = tmp_path / "state"
    file = folder / "journal.sqlite"
    await left_behind(file)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    file.chmod(0o644)
    for _ in range(2):
        journal = Journal(file)
        await journal.append("door", result(1))
        modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.iterdir()}
        assert set(modes.values()) == {"0o600"}, modes
        assert "journal.sqlite-wal" in modes
        await journal.close()
        file.write_bytes(b"no database")
        file.chmod(0o666)


async def test_a_stream_is_forgotten_and_may_come_back(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    journal = Journal(file)
    for name in ("door", "yard"):
        await journal.append(name, result(0))
    before = (await messages(journal))[0]["id"]
    await journal.forget("door")
    await journal.forget("never heard of")
    assert journal.streams() == {"yard"}
    await journal.close()
    journal = Journal(file)
    await journal.open()
    assert journal.streams() == {"yard"}
    assert not (await journal.known_tracks("door")).alive
    await journal.append("door", result(1))
    found = await messages(journal)
    assert frames(found) == [1]
    assert found[0]["id"] != before
    assert json.dumps(found).count("maskcast.shed") == 0
    await journal.close()
