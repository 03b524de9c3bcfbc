"""The SQLite file of the journal: opened and read with suspicion, written, set aside when damaged."""

from __future__ import annotations

import json
import math
import re
import shutil
import sqlite3
import uuid
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from maskcast.mask import Box
from maskcast.result import Event, EventKind
from maskcast.sqlite_file import DamagedError, definitions, definitions_of, is_refusal, prepare
from sinks.mqtt.journal_stream import OPEN_TRACKS, JournalStream

WAL_BYTES = 4 << 20  # what the write-ahead log may keep on disk after a burst
VERSION = 2
# It changes at each start of the system: until then, what a killed process has written is in the system's hands.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# Bounds of what is believed. Numbers: more than ever come, at a thousand a second 8,900 years, and all that add to them
# stay within SQLite's 64 bits. Streams: far more than settings may name. Bytes: events have 500, a track's prompt 500
# characters, which JSON writes in up to 12 bytes each; of a track at a place, some 100 bytes are kept.
LARGEST_NUMBER = 1 << 48
MOST_STREAMS = 10_000
LONGEST_EVENT_BYTES = 64 << 10
LONGEST_TRACK_BYTES = 16 << 10
LONGEST_PLACES_BYTES = 16 << 20
_ID = re.compile(r"[0-9a-f]{32}")

_VERSION_1 = """
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
"""
_VERSION_2 = """
CREATE TABLE IF NOT EXISTS places (stream TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
"""
SCHEMA = f"BEGIN; {_VERSION_1} {_VERSION_2} PRAGMA user_version = {VERSION}; COMMIT;"
# From version 1, which knew of no places.
UPGRADE = f"BEGIN; {_VERSION_2} PRAGMA user_version = {VERSION}; COMMIT;"


def connect(file: Path | None) -> sqlite3.Connection:
    """Open the journal `file`, or one in memory, for this process alone.

    Raises:
        DamagedError: the file is damaged or no journal of this version.
        sqlite3.Error, OSError: it cannot be opened.
    """
    if file is None:
        return _open(":memory:")
    prepare(file)
    return _open(str(file))


def connect_copy(file: Path) -> sqlite3.Connection:
    """Open a copy of the journal `file`, which cannot be opened for writing. It is gone when it is closed.

    Raises:
        DamagedError: see `connect`.
        sqlite3.Error, OSError: it cannot be copied or opened.
    """
    with TemporaryDirectory(prefix="maskcast-") as folder:
        copy = Path(folder) / file.name
        shutil.copyfile(file, copy)
        with suppress(FileNotFoundError):
            shutil.copyfile(file.with_name(f"{file.name}-wal"), copy.with_name(f"{copy.name}-wal"))
        return _open(str(copy))


def _open(target: str) -> sqlite3.Connection:
    database = sqlite3.connect(target, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        # One process alone: two would send everything twice under the same numbers. It also needs no shared memory.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        _check(database)
    except sqlite3.Error as error:
        database.close()
        if is_refusal(error):
            raise
        raise DamagedError(str(error)) from error
    except DamagedError:
        database.close()
        raise
    return database


def _check(database: sqlite3.Connection) -> None:
    tables = definitions(database)  # before all else: of another's file, nothing but its schema is looked at
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not tables:
        database.executescript(SCHEMA)
    elif version not in {1, VERSION}:
        raise DamagedError(f"version {version}, not {VERSION}")
    elif tables != definitions_of(_VERSION_1 if version == 1 else SCHEMA):
        raise DamagedError("it has other tables")
    elif version == 1:
        database.executescript(UPGRADE)
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedError(verdict)


def load(database: sqlite3.Connection) -> tuple[dict[str, JournalStream], str]:
    """Read what the file tells of the streams.

    Returns:
        The streams by name, and the `boot_id` that wrote them; empty after a regular end.

    Raises:
        DamagedError: there is something in it that no journal has written.
        sqlite3.Error: it cannot be read.
    """
    try:
        streams = {name: _stream(*values) for name, *values in _rows(database, "stream", MOST_STREAMS)}
        _load_events(database, streams)
        _load_tracks(database, streams)
        _load_places(database, streams)
        boot = database.execute("SELECT boot FROM system").fetchone()
    except (sqlite3.Error, ValueError, TypeError, KeyError, RecursionError) as error:
        if is_refusal(error):
            raise
        raise DamagedError(str(error)) from error
    return streams, str(boot[0]) if boot else ""


def _rows(database: sqlite3.Connection, table: str, most: int) -> list[tuple[Any, ...]]:
    rows = database.execute(f"SELECT * FROM {table} LIMIT {most + 1}").fetchall()  # noqa: S608 - ours
    if len(rows) > most:
        raise ValueError(f"more than {most} rows of {table}s")
    return rows


def _stream(id_: str, next_: int, sent: int, dropped: int, highest: int) -> JournalStream:
    if not _ID.fullmatch(id_):
        raise ValueError("an id that is none")
    _within(next_, 1, LARGEST_NUMBER)
    _within(sent, 0, next_ - 1)
    return JournalStream(id_, next_, sent, _within(dropped, 0, LARGEST_NUMBER), _within(highest, 0, LARGEST_NUMBER))


def _load_events(database: sqlite3.Connection, streams: dict[str, JournalStream]) -> None:
    """Count the events of each stream; their payloads are looked at when they are sent."""
    query = """
        SELECT stream, COUNT(*), MIN(sequence), MAX(sequence), MAX(length(payload)),
            SUM(typeof(sequence) <> 'integer' OR typeof(payload) <> 'blob')
        FROM event GROUP BY stream
        """
    for name, count, first, last, longest, wrong in database.execute(query):
        stream = streams[name]
        if wrong or first < 1 or last >= stream.next or longest > LONGEST_EVENT_BYTES:
            raise ValueError("an event that is none")
        stream.stored = count


def _load_tracks(database: sqlite3.Connection, streams: dict[str, JournalStream]) -> None:
    (longest,) = database.execute("SELECT MAX(length(event)) FROM track").fetchone()
    if (longest or 0) > LONGEST_TRACK_BYTES:
        raise ValueError("a track that is none")
    for name, number, text in _rows(database, "track", OPEN_TRACKS * len(streams)):
        stream = streams[name]
        stream.tracks[_within(number, 1, stream.highest)] = _read_event(number, text)
    if any(len(stream.tracks) > OPEN_TRACKS for stream in streams.values()):
        raise ValueError("too many open tracks")


def _load_places(database: sqlite3.Connection, streams: dict[str, JournalStream]) -> None:
    (longest,) = database.execute("SELECT MAX(length(state)) FROM places").fetchone()
    if (longest or 0) > LONGEST_PLACES_BYTES:
        raise ValueError("a state of places that is none")
    for name, text in _rows(database, "places", len(streams)):
        if not isinstance(json.loads(text), dict):
            raise TypeError("a state of places that is none")
        streams[name].places = text


def check_event(payload: object) -> None:
    """See that what is to be sent is a message of ours.

    Raises:
        DamagedError: it is not.
    """
    try:
        message = json.loads(payload) if isinstance(payload, bytes) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not str(message.get("schema")).startswith("maskcast."):
        raise DamagedError("an event that is none")


def sign(database: sqlite3.Connection, boot: str) -> None:
    """Note in which run of the system the file is written, see `boot_id`; empty at a regular end."""
    database.execute("DELETE FROM system")
    database.execute("INSERT INTO system VALUES (?)", (boot,))


def save(database: sqlite3.Connection, name: str, stream: JournalStream) -> None:
    """Bring the file up to what is known of a stream, within a transaction."""
    database.execute(
        "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?)",
        (name, stream.id, stream.next, stream.sent, stream.dropped, stream.highest),
    )
    database.execute("DELETE FROM event WHERE stream = ? AND sequence < ?", (name, stream.start))
    database.executemany("INSERT OR REPLACE INTO event VALUES (?, ?, ?)", ((name, *one) for one in stream.waiting))
    if stream.rewrite_tracks:
        database.execute("DELETE FROM track WHERE stream = ?", (name,))
    for number in stream.tracks if stream.rewrite_tracks else stream.changed_tracks:
        event = stream.tracks.get(number)
        if event is None:
            database.execute("DELETE FROM track WHERE stream = ? AND id = ?", (name, number))
        else:
            database.execute("INSERT OR REPLACE INTO track VALUES (?, ?, ?)", (name, number, _text(event)))
    if stream.changed_places:
        database.execute("DELETE FROM places WHERE stream = ?", (name,))
        if stream.places is not None:
            database.execute("INSERT INTO places VALUES (?, ?)", (name, stream.places))


def delete(database: sqlite3.Connection, name: str) -> None:
    """Delete all that the file tells of a stream."""
    for table, column in (("stream", "name"), ("event", "stream"), ("track", "stream"), ("places", "stream")):
        database.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))  # noqa: S608 - ours


def _text(event: Event) -> str:
    """An open track's last event, for the file."""
    return json.dumps([event.kind.value, event.prompt, event.score, *event.bbox])


def _read_event(number: int, text: str) -> Event:
    """What `_text` has written.

    Raises:
        ValueError, TypeError, RecursionError: it was something else.
    """
    kind, prompt, *numbers = json.loads(text)
    if not (isinstance(prompt, str) and all(type(one) in {int, float} and math.isfinite(one) for one in numbers)):
        raise ValueError("a track of something else than words and numbers")
    score, left, top, width, height = numbers
    if not 0 <= score <= 1:
        raise ValueError(f"a score of {score}")
    return Event(EventKind(kind), number, prompt, score, Box(left, top, width, height))


def _within(number: object, low: int, high: int) -> int:
    if type(number) is not int or not low <= number <= high:
        raise ValueError(f"a number that is not from {low} to {high}")
    return number


def boot_id() -> str:
    """What changes when the system starts anew."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # not Linux: then every irregular end counts as one of the system
        return uuid.uuid4().hex
