"""What `sinks.journal` does on its thread: numbers, memory and SQLite of the events that wait."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sinks.messages import event_message, shed_message
from sinks.spool_file import DAMAGE, DamagedError, Transaction, boot_id, connect, result_code, set_aside
from streaming.errors import SinkError
from streaming.types import Box, Event, EventKind, KnownTracks, Result

logger = logging.getLogger(__name__)

IN_MEMORY = 2_000  # events a stream, about 1 MB, kept while the disk refuses to be written
OPEN_TRACKS = 1_000  # a stream
RETRY_SECONDS = 5.0  # between attempts to write to a disk that has refused
OLDEST = "SELECT sequence, payload FROM event WHERE stream = ? AND sequence >= ? ORDER BY sequence"


@dataclass(frozen=True, slots=True)
class Entry:
    """One message for the topic ``events``.

    Attributes:
        sequence: its number in the stream; goes up.
        payload: the message.
    """

    sequence: int
    payload: bytes


@dataclass(slots=True)
class _Stream:
    """What is known of one stream; the file is brought up to it at each commit.

    Numbers below `next` that are above `sent` and neither stored nor waiting were shed: no other record is needed to
    announce them.
    """

    id: str
    next: int = 1  # number of the next event
    sent: int = 0  # all events up to this number are done with
    shed: int = 0
    highest: int = 0  # id of a track
    low: int = 1  # stored events below this number are void
    stored: int = 0  # events in the file, without the void ones
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)  # events not yet in the file; all newer than those
    tracks: dict[int, Event] = field(default_factory=dict)
    changed_tracks: set[int] = field(default_factory=set)  # since the last commit
    rewrite_tracks: bool = False  # too many have changed to remember which

    @property
    def start(self) -> int:
        """Stored events from this number on count."""
        return max(self.low, self.sent + 1)


class Spool:
    """See `sinks.journal.Journal`. All methods but `depth`, `shed` and `remembered_tracks` belong to one thread."""

    def __init__(self, file: Path | None, limit: int) -> None:
        self._file, self._limit = file, limit
        self.name = str(file) if file else "the journal in memory"
        self._database: sqlite3.Connection | None = None
        self._streams: dict[str, _Stream] = {}
        self._dirty: set[str] = set()
        self._retry_at: float | None = None  # the disk has refused; when to try again

    def open(self) -> None:
        if self._database is not None:
            return
        target = ":memory:"
        if self._file is not None:
            target = str(self._file)
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SinkError(f"cannot make the folder of the journal {target}: {error.strerror}") from error
        try:
            try:
                self._database = connect(target)
            except DamagedError as error:
                assert self._file is not None
                set_aside(self._file, str(error))
                self._database = connect(target)
        except (sqlite3.Error, OSError, DamagedError) as error:
            busy = result_code(error) == sqlite3.SQLITE_BUSY
            advice = "another process uses it: give each its own" if busy else "choose another file or free its disk"
            raise SinkError(f"cannot open the journal {target}: {error}; {advice}") from error
        self._load(self._database)

    def append(self, name: str, result: Result) -> int:
        stream = self._stream(name)
        for event in result.events:
            payload = event_message(result, event, f"{stream.id}-{stream.next}").json_bytes()
            stream.waiting.append((stream.next, payload))
            stream.next += 1
            _follow(stream, event)
        excess = stream.stored + len(stream.waiting) - self._limit
        if excess > 0:
            self._shed_oldest(name, stream, excess)
        self._dirty.add(name)
        self._write()
        while len(stream.waiting) > IN_MEMORY:  # only while the disk refuses
            stream.waiting.popleft()
            stream.shed += 1
        return len(result.events)

    def first(self, name: str, count: int) -> list[Entry]:
        stream = self._stream(name)
        self._write()
        rows = self._read(f"{OLDEST} LIMIT ?", (name, stream.start, count))
        if rows is None:
            return []
        found = [Entry(*row) for row in rows]
        found += [Entry(*one) for one in stream.waiting if one[0] > stream.sent][: count - len(found)]
        entries: list[Entry] = []
        expected = stream.sent + 1
        for entry in found:
            if entry.sequence > expected:
                entries.append(_announcement(name, stream, expected, entry.sequence))
            entries.append(entry)
            expected = entry.sequence + 1
        if not found and stream.next > expected:
            entries.append(_announcement(name, stream, expected, stream.next))
        return entries[:count]

    def remove(self, name: str, up_to: int) -> None:
        stream = self._stream(name)
        up_to = min(up_to, stream.next - 1)
        if up_to <= stream.sent:
            return
        stream.stored -= self._count(name, stream.start, up_to)
        stream.sent = up_to
        while stream.waiting and stream.waiting[0][0] <= up_to:
            stream.waiting.popleft()
        self._dirty.add(name)
        self._write()

    def known_tracks(self, name: str) -> KnownTracks:
        self._stream(name)
        return self.remembered_tracks(name)

    def remembered_tracks(self, name: str) -> KnownTracks:
        """`known_tracks`, from any thread, without the disk."""
        stream = self._streams.get(name)
        return KnownTracks(dict(stream.tracks), stream.highest) if stream else KnownTracks({}, 0)

    def depth(self, name: str) -> int:
        stream = self._streams.get(name)
        return stream.stored + len(stream.waiting) if stream else 0

    def shed(self, name: str) -> int:
        stream = self._streams.get(name)
        return stream.shed if stream else 0

    def close(self) -> None:
        if self._database is None:
            return
        self._retry_at = None
        self._write()
        waiting = sum(len(stream.waiting) for stream in self._streams.values())
        if waiting:
            logger.error("%s: %d events could not be written and are lost", self.name, waiting)
        database, self._database = self._database, None
        with suppress(sqlite3.Error):
            # Checkpointed, and so flushed: after a regular end, a power cut takes nothing any more.
            database.execute("UPDATE system SET boot = ''")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def _stream(self, name: str) -> _Stream:
        if self._database is None:
            try:
                self.open()
            except SinkError as error:
                logger.error("%s; until the next start events are kept in memory only", error)  # noqa: TRY400
                self._file = None
                self.open()
        if name not in self._streams:
            self._streams[name] = _Stream(uuid.uuid4().hex)
        return self._streams[name]

    def _load(self, database: sqlite3.Connection) -> None:
        for name, *numbers in database.execute("SELECT name, id, next, sent, shed, highest FROM stream"):
            self._streams[name] = _Stream(*numbers)
        for name, count in database.execute("SELECT stream, COUNT(*) FROM event GROUP BY stream").fetchall():
            if name in self._streams:
                self._streams[name].stored = count
        for name, number, text in database.execute("SELECT stream, id, event FROM track ORDER BY id"):
            if name in self._streams:
                self._streams[name].tracks[number] = _event(number, text)
        boot = database.execute("SELECT boot FROM system").fetchone()
        here = boot_id()
        if boot is not None and boot[0] not in {"", here}:
            # The system went down under us. Numbers that were given and sent may not have reached the disk, and a
            # subscriber would take other events under the same numbers for repetitions.
            for name, stream in self._streams.items():
                stream.id = uuid.uuid4().hex
                self._dirty.add(name)
        try:
            with Transaction(database):
                database.execute("DELETE FROM system")
                database.execute("INSERT INTO system VALUES (?)", (here,))
        except sqlite3.Error as error:
            self._refused(error)
        self._write()

    def _shed_oldest(self, name: str, stream: _Stream, excess: int) -> None:
        if excess < stream.stored:
            rows = self._read(f"{OLDEST} LIMIT 1 OFFSET ?", (name, stream.start, excess))
            if not rows:  # the disk cannot be read either; the memory has a bound of its own
                return
            stream.low, stream.stored = rows[0][0], stream.stored - excess
        else:
            for _ in range(excess - stream.stored):
                stream.waiting.popleft()
            stream.low, stream.stored = stream.waiting[0][0], 0
        stream.shed += excess

    def _count(self, name: str, first: int, last: int) -> int:
        query = "SELECT COUNT(*), NULL FROM event WHERE stream = ? AND sequence BETWEEN ? AND ?"
        rows = self._read(query, (name, first, last))
        return rows[0][0] if rows else 0

    def _read(self, query: str, values: tuple[str | int, ...]) -> list[tuple[int, bytes]] | None:
        """The rows found, or None when the file cannot be read."""
        assert self._database is not None
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._refused(error)
            return None

    def _write(self) -> None:
        """Bring the file up to what is known; on failure everything stays known and is tried again later."""
        assert self._database is not None
        if not self._dirty or (self._retry_at is not None and time.monotonic() < self._retry_at):
            return
        try:
            with Transaction(self._database):
                for name in self._dirty:
                    self._write_stream(self._database, name, self._streams[name])
        except sqlite3.Error as error:
            if self._refused(error):
                self._write()
            return
        recovered, self._retry_at = self._retry_at is not None, None
        for name in self._dirty:
            stream = self._streams[name]
            stream.stored += len(stream.waiting)
            stream.waiting.clear()
            stream.changed_tracks.clear()
            stream.rewrite_tracks = False
        self._dirty.clear()
        if recovered:
            logger.warning("%s can be written again", self.name)
            for name, stream in self._streams.items():  # what could not be read could not be counted either
                stream.stored = self._count(name, stream.start, stream.next)

    def _write_stream(self, database: sqlite3.Connection, name: str, stream: _Stream) -> None:
        database.execute(
            "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?)",
            (name, stream.id, stream.next, stream.sent, stream.shed, stream.highest),
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

    def _refused(self, error: sqlite3.Error) -> bool:
        """Note that the disk has refused; returns whether it is worth trying again now, with another file."""
        if self._retry_at is None:
            logger.error("%s: %s; events are kept in memory, trying again", self.name, error)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if result_code(error) in DAMAGE and self._file is not None:
            self._begin_anew(str(error))
            return True
        return False

    def _begin_anew(self, why: str) -> None:
        """The file turned out damaged: begin another one with what memory holds; the rest is shed."""
        assert self._database is not None
        assert self._file is not None
        with suppress(sqlite3.Error):
            self._database.close()
        try:
            set_aside(self._file, why)
            self._database = connect(str(self._file))
        except (sqlite3.Error, OSError, DamagedError) as error:
            logger.error("%s: %s; until the next start memory must do", self.name, error)  # noqa: TRY400
            self._file = None
            self._database = connect(":memory:")
        for name, stream in self._streams.items():
            stream.shed += stream.stored
            stream.stored = 0
            stream.low = max(stream.low, stream.waiting[0][0] if stream.waiting else stream.next)
            stream.rewrite_tracks = True
            self._dirty.add(name)
        with suppress(sqlite3.Error), Transaction(self._database):
            self._database.execute("INSERT INTO system VALUES (?)", (boot_id(),))
        self._retry_at = 0.0


def _announcement(name: str, stream: _Stream, first: int, following: int) -> Entry:
    """That the events from `first` to before `following` were shed, under the number of the last of them."""
    sequence = following - 1
    return Entry(sequence, shed_message(name, f"{stream.id}-{sequence}", following - first).json_bytes())


def _follow(stream: _Stream, event: Event) -> None:
    """Keep the table of open tracks."""
    number = event.track_id
    stream.highest = max(stream.highest, number)
    if event.kind is EventKind.ENDED:
        stream.tracks.pop(number, None)
    elif event.kind is EventKind.STARTED or number in stream.tracks:
        stream.tracks[number] = event
        if len(stream.tracks) > OPEN_TRACKS:
            oldest = min(stream.tracks)
            del stream.tracks[oldest]
            stream.changed_tracks.add(oldest)
    stream.changed_tracks.add(number)
    if len(stream.changed_tracks) > 2 * OPEN_TRACKS:  # the disk has refused for long
        stream.changed_tracks.clear()
        stream.rewrite_tracks = True


def _text(event: Event) -> str:
    return json.dumps([event.kind.value, event.prompt, event.score, *event.bbox])


def _event(number: int, text: str) -> Event:
    kind, prompt, score, *box = json.loads(text)
    return Event(EventKind(kind), number, prompt, score, Box(*box))
