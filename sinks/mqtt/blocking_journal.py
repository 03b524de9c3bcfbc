"""What the journal does on its thread: numbers the events, and keeps them in memory until the file has them."""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from contextlib import suppress
from pathlib import Path

from maskcast.errors import SinkError, reason_of
from maskcast.result import KnownTracks, Result
from maskcast.sqlite_file import DamagedError, Transaction, is_damage, result_code, set_database_aside
from sinks.messages.event import event_message
from sinks.mqtt.journal_file import boot_id, check_event, connect, connect_copy, delete, load, save, sign
from sinks.mqtt.journal_stream import Entry, JournalStream

logger = logging.getLogger(__name__)

IN_MEMORY_EVENTS = 2_000  # events a stream, about 1 MB, kept while the disk refuses to be written
RETRY_SECONDS = 5.0  # between attempts to write to a disk that has refused
OLDEST = "SELECT sequence, payload FROM event WHERE stream = ? AND sequence >= ? ORDER BY sequence"


class BlockingJournal:
    """See `Journal`. All but `depth`, `dropped`, `names` and what is `remembered_…` belong to one thread."""

    def __init__(self, file: Path | None, limit: int) -> None:
        self._file, self._limit = file, limit
        self.name = str(file) if file else "the journal in memory"
        self._database: sqlite3.Connection | None = None
        self._streams: dict[str, JournalStream] = {}
        self._dirty: set[str] = set()
        self._forgotten: set[str] = set()  # streams of which the file still tells
        self._retry_at: float | None = None  # the disk has refused; when to try again
        self._begun = False
        self._unsigned = False  # the file does not yet say in which run of the system it is written
        self._elsewhere = False  # the file itself is not open; there may be a copy to read
        self._unread = False  # nor could it be read
        self.refusal: str | None = None  # what the disk refuses with

    def open(self) -> None:
        if self._begun:
            return
        try:
            self._begin()
        except (sqlite3.Error, OSError) as error:
            if result_code(error) != sqlite3.SQLITE_BUSY:
                self._begin_elsewhere(error)
                return
            advice = "another process uses it: give each its own"
            raise SinkError(f"cannot open the journal: {error}", where=self.name, advice=advice) from error
        self._begun = True
        self.write()

    def append(self, name: str, result: Result, *, deliver: bool) -> int:
        stream = self._stream(name)
        for event in result.events:
            if deliver:
                payload = event_message(result, event, f"{stream.id}-{stream.next}").json_bytes()
                stream.waiting.append((stream.next, payload))
                stream.next += 1
            stream.follow(event)
        if result.place_state is not None:
            stream.keep_places(result.place_state)
        excess = stream.stored + len(stream.waiting) - self._limit
        if excess > 0:
            self._drop_oldest(name, stream, excess)
        self._dirty.add(name)
        self.write()
        while len(stream.waiting) > IN_MEMORY_EVENTS:  # only while the disk refuses
            stream.waiting.popleft()
            stream.dropped += 1
        return len(result.events) if deliver else 0

    def keep_places(self, name: str, state: str | None) -> None:
        self._stream(name).keep_places(state)
        self._dirty.add(name)
        self.write()

    def first(self, name: str, count: int) -> list[Entry]:
        stream = self._stream(name)
        self.write()
        rows = self._read(f"{OLDEST} LIMIT ?", (name, stream.start, count))
        if rows is None:
            return []
        try:
            for _, payload in rows:
                check_event(payload)
        except DamagedError as error:
            self._begin_anew(str(error))
            return self.first(name, count)
        found = [Entry(*row) for row in rows]
        found += [Entry(*one) for one in stream.waiting if one[0] > stream.sent][: count - len(found)]
        entries: list[Entry] = []
        expected = stream.sent + 1
        for entry in found:
            if entry.sequence > expected:
                entries.append(stream.announcement(name, expected, entry.sequence))
            entries.append(entry)
            expected = entry.sequence + 1
        if not found and stream.next > expected:
            entries.append(stream.announcement(name, expected, stream.next))
        del entries[count:]
        if entries:
            stream.offered = entries[-1].sequence
        return entries

    def remove(self, name: str, up_to: int) -> None:
        stream = self._stream(name)
        up_to = min(up_to, stream.offered)  # of before the numbers were moved: it is handed out again
        if up_to <= stream.sent:
            return
        stream.stored -= self._count(name, stream.start, up_to)
        stream.sent = up_to
        while stream.waiting and stream.waiting[0][0] <= up_to:
            stream.waiting.popleft()
        self._dirty.add(name)
        self.write()

    def known_tracks(self, name: str) -> KnownTracks:
        self._stream(name)
        return self.remembered_tracks(name)

    def remembered_tracks(self, name: str) -> KnownTracks:
        """`known_tracks`, from any thread, without the disk."""
        stream = self._streams.get(name)
        return KnownTracks(dict(stream.tracks), stream.highest) if stream else KnownTracks({}, 0)

    def place_state(self, name: str) -> str | None:
        self._stream(name)
        return self.remembered_places(name)

    def remembered_places(self, name: str) -> str | None:
        """`place_state`, from any thread, without the disk."""
        stream = self._streams.get(name)
        return stream.places if stream else None

    def depth(self, name: str) -> int:
        stream = self._streams.get(name)
        return stream.stored + len(stream.waiting) if stream else 0

    def dropped(self, name: str) -> int:
        stream = self._streams.get(name)
        return stream.dropped if stream else 0

    def close(self) -> None:
        if self._database is None and not self._streams:
            return
        self._retry_at = None if self._retry_at is None else 0.0
        self.write()
        waiting = sum(len(stream.waiting) for stream in self._streams.values())
        if waiting:
            logger.error("%s: %d events could not be written and are dropped", self.name, waiting)
        database, self._database = self._database, None
        if database is None:
            return
        with suppress(sqlite3.Error):
            # Checkpointed, and so flushed: after a regular end, a power cut takes nothing.
            sign(database, "")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()

    def forget(self, name: str) -> None:
        """Forget a stream with all that waits."""
        self._stream(name)
        self.write()  # a file that came back may tell of it
        del self._streams[name]
        self._dirty.discard(name)
        self._forgotten.add(name)
        self.write()

    def names(self) -> set[str]:
        return set(self._streams)

    def _stream(self, name: str) -> JournalStream:
        if not self._begun:
            try:
                self.open()
            except SinkError as error:
                self._begin_elsewhere(error)
        if name not in self._streams:
            self._streams[name] = JournalStream(uuid.uuid4().hex)
        return self._streams[name]

    def _begin(self) -> None:
        """Open the file, or one in memory if there is to be none, and take up what is in it.

        Raises:
            sqlite3.Error, OSError: the disk refuses.
        """
        try:
            database = connect(self._file)
            try:
                found, boot = load(database)
            except BaseException:
                database.close()
                raise
        except DamagedError as error:
            assert self._file is not None
            set_database_aside(self._file, "journal", str(error))
            database, found, boot = connect(self._file), {}, ""
        if self._database is not None:
            self._database.close()
        self._database = database
        if self._unread or not self._begun:
            self._take_up(found, boot)
        self._elsewhere = self._unread = False
        self._unsigned = True
        self._dirty.update(self._streams)

    def _take_up(self, found: dict[str, JournalStream], boot: str) -> None:
        # The system went down under us. Numbers that were given and sent may not have reached the disk, and a
        # subscriber would take other events under the same numbers for repetitions.
        unsure = boot not in {"", boot_id()}
        for name, earlier in found.items():
            if unsure:
                earlier.id = uuid.uuid4().hex
            if name in self._streams:
                self._streams[name].continue_after(earlier)
            else:
                self._streams[name] = earlier

    def _begin_elsewhere(self, error: Exception) -> None:
        """The file cannot be opened: go on in memory, with a copy of it to read if that can be had."""
        self._begun = self._elsewhere = self._unread = True
        if self._file is not None and not isinstance(error, SinkError):  # then it is somebody else's
            with suppress(sqlite3.Error, OSError, DamagedError):
                copy = connect_copy(self._file)
                self._take_up(*load(copy))
                self._database, self._unread = copy, False
        self._refused(error)

    def _drop_oldest(self, name: str, stream: JournalStream, excess: int) -> None:
        if excess < stream.stored:
            rows = self._read(f"{OLDEST} LIMIT 1 OFFSET ?", (name, stream.start, excess))
            if not rows:  # the disk cannot be read either; the memory has a bound of its own
                return
            stream.low, stream.stored = rows[0][0], stream.stored - excess
        else:
            for _ in range(excess - stream.stored):
                stream.waiting.popleft()
            stream.low, stream.stored = stream.waiting[0][0], 0
        stream.dropped += excess

    def _count(self, name: str, first: int, last: int) -> int:
        query = "SELECT COUNT(*), NULL FROM event WHERE stream = ? AND sequence BETWEEN ? AND ?"
        rows = self._read(query, (name, first, last))
        return rows[0][0] if rows else 0

    def _read(self, query: str, values: tuple[str | int, ...]) -> list[tuple[int, bytes]] | None:
        """The rows found, or None when the file cannot be read."""
        if self._database is None:
            return []
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._refused(error)
            return None

    def write(self) -> None:
        """Bring the file up to what is known; on failure everything stays known and is tried again later."""
        if self._retry_at is not None and time.monotonic() < self._retry_at:
            return
        try:
            if self._elsewhere:
                self._begin()
            if not (self._dirty or self._forgotten or self._unsigned or self._retry_at is not None):
                return
            assert self._database is not None
            with Transaction(self._database):
                if self._unsigned:
                    sign(self._database, boot_id())
                for name in self._forgotten:
                    delete(self._database, name)
                for name in self._dirty:
                    save(self._database, name, self._streams[name])
        except (sqlite3.Error, OSError) as error:
            if self._refused(error):
                self.write()
            return
        recovered, self._retry_at, self.refusal = self._retry_at is not None, None, None
        for stream in [self._streams[name] for name in self._dirty]:
            stream.stored += len(stream.waiting)
            stream.waiting.clear()
            stream.changed_tracks.clear()
            stream.rewrite_tracks = stream.changed_places = False
        self._dirty.clear()
        self._forgotten.clear()
        self._unsigned = False
        if recovered:
            logger.warning("%s can be written again", self.name)
            for name, stream in self._streams.items():  # what could not be read could not be counted either
                stream.stored = self._count(name, stream.start, stream.next)

    def _refused(self, error: Exception) -> bool:
        """Note that the disk has refused; returns whether it is worth trying again now, with another file."""
        if is_damage(error) and not self._elsewhere:
            return self._begin_anew(str(error))
        self.refusal = reason_of(error)
        if self._retry_at is None:
            logger.warning("%s: %s; events are kept in memory, trying again", self.name, self.refusal)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        return False

    def _begin_anew(self, why: str) -> bool:
        """The file turned out damaged: begin another one with what memory holds; the rest is dropped.

        Returns:
            Whether the damaged one is out of the way.
        """
        assert self._file is not None
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()
        for name, stream in self._streams.items():
            stream.dropped += stream.stored
            stream.stored = 0
            stream.low = max(stream.low, stream.waiting[0][0] if stream.waiting else stream.next)
            stream.rewrite_tracks = stream.changed_places = True
            self._dirty.add(name)
        self._elsewhere = True
        try:
            set_database_aside(self._file, "journal", why)
        except OSError as error:
            return self._refused(error)
        return True
