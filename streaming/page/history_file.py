"""The SQLite file of the page's events and pictures: bounded, the oldest go first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from maskcast.sqlite_file import DamagedError, Transaction, definitions, definitions_of, is_refusal, prepare
from streaming.page.kept_event import LONGEST_MESSAGE_BYTES, EventFilter, KeptEvent

MOST_EVENTS = 10_000  # of all streams; about 10 MB with their indexes
MOST_PICTURE_BYTES = 256 << 20  # about as many pictures
LONGEST_PICTURE_BYTES = 8 << 20  # of what is believed to be one
WAL_BYTES = 4 << 20  # what the write-ahead log may keep on disk after a burst
BUSY_SECONDS = 1.0
LARGEST_ID = 1 << 53  # up to here JavaScript counts exactly
VERSION = 1
# An index has the id as its last column: what matches one filter is found in order. That of the sizes spares their sum
# at the start the reading of the pictures.
SCHEMA = f"""
BEGIN;
CREATE TABLE event (
    id INTEGER PRIMARY KEY, stream TEXT NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL, prompt TEXT NOT NULL,
    place TEXT, message BLOB NOT NULL, picture INTEGER
);
CREATE INDEX event_stream ON event (stream);
CREATE INDEX event_prompt ON event (prompt);
CREATE INDEX event_kind ON event (kind);
CREATE INDEX event_place ON event (place);
CREATE TABLE picture (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, style TEXT NOT NULL, jpeg BLOB NOT NULL);
CREATE INDEX picture_size ON picture (size);
PRAGMA user_version = {VERSION};
COMMIT;
"""


# Whether a picture of a stream, drawn in a style, may be shown.
MayShow: TypeAlias = Callable[[str, str], bool]


def anything(stream: str, style: str) -> bool:  # noqa: ARG001 - as `MayShow` has it
    """Show any picture."""
    return True


class Picture(NamedTuple):
    """A picture of a moment.

    Attributes:
        id: the highest id of the events that it shows, so that it is in their order.
        stream: that they are of.
        events: ids of all of them.
        style: in which it was drawn, in words that are equal where the style is.
        jpeg: the picture.
    """

    id: int
    stream: str
    events: tuple[int, ...]
    style: str
    jpeg: bytes


class HistoryFile:
    """The file, open to be written. Belongs to one thread; others read with `find_events` and `find_picture`.

    What `save` has returned for survives the death of this process; a power cut may take the last seconds
    (``synchronous = NORMAL``), but leaves the file whole. Space of what is deleted is used again, so the file stays
    within its bounds without ever being rewritten.
    """

    def __init__(
        self, file: Path, most_events: int = MOST_EVENTS, most_picture_bytes: int = MOST_PICTURE_BYTES
    ) -> None:
        """Open the file, or make it.

        Raises:
            DamagedError: it is damaged or none of this version.
            sqlite3.Error, OSError: it cannot be opened.
        """
        self._most_events, self._most_picture_bytes = most_events, most_picture_bytes
        prepare(file)
        self._database = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._begin()
        except sqlite3.Error as error:
            self._database.close()
            if is_refusal(error):
                raise
            raise DamagedError(str(error)) from error
        except DamagedError:
            self._database.close()
            raise

    def _begin(self) -> None:
        database = self._database
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        found = definitions(database)  # before all else: of another's file, nothing but its schema is looked at
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0 and not found:
            database.executescript(SCHEMA)
        elif version != VERSION:
            raise DamagedError(f"version {version}, not {VERSION}")
        elif found != definitions_of(SCHEMA):
            raise DamagedError("it has other tables")
        (self.last,) = database.execute("SELECT COALESCE(MAX(id), 0) FROM event").fetchone()
        (self._events,) = database.execute("SELECT COUNT(*) FROM event").fetchone()
        (size,) = database.execute("SELECT SUM(size) FROM picture").fetchone()
        if not isinstance(size, int | None) or not 0 <= self.last < LARGEST_ID:
            raise DamagedError("a number that is none")
        self._picture_bytes = size or 0

    def check(self) -> None:
        """Read it through.

        Raises:
            DamagedError: it is damaged.
            sqlite3.Error: it cannot be read.
        """
        (verdict,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedError(verdict)

    def save(self, events: Sequence[KeptEvent], pictures: Sequence[Picture]) -> None:
        """Write events, and pictures of these or earlier ones; what is too much goes.

        Raises:
            sqlite3.Error: the disk refuses; nothing is written.
        """
        with Transaction(self._database):
            self._database.executemany(
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (one.id, one.stream, one.time, one.kind, one.prompt, one.place, one.message, one.picture)
                    for one in events
                ),
            )
            for picture in pictures:
                self._database.execute(
                    "INSERT OR REPLACE INTO picture VALUES (?, ?, ?, ?)",
                    (picture.id, len(picture.jpeg), picture.style, picture.jpeg),
                )
                self._database.executemany(
                    "UPDATE event SET picture = ? WHERE id = ?", ((picture.id, one) for one in picture.events)
                )
            count = self._prune_events(self._events + len(events))
            size = self._prune_pictures(self._picture_bytes + sum(len(picture.jpeg) for picture in pictures))
        self._events, self._picture_bytes = count, size
        self.last = max(self.last, *(one.id for one in events), 0)

    def forget_pictures(self, stream: str, style: str) -> None:
        """Delete those of a stream that are drawn in another style.

        Raises:
            sqlite3.Error: the disk refuses; nothing is deleted.
        """
        others = "WHERE style <> ? AND id IN (SELECT picture FROM event WHERE stream = ?)"
        with Transaction(self._database):
            size = self._delete_pictures(others, (style, stream))
        self._picture_bytes -= size

    def _prune_events(self, count: int) -> int:
        excess = count - self._most_events
        if excess <= 0:
            return count
        oldest = "SELECT id FROM event ORDER BY id LIMIT ?"
        deleted = self._database.execute(f"DELETE FROM event WHERE id IN ({oldest})", (excess,)).rowcount  # noqa: S608
        return count - deleted

    def _prune_pictures(self, size: int) -> int:
        """Delete those whose events are gone, then the oldest until the others fit."""
        size -= self._delete_pictures("WHERE id < (SELECT MIN(id) FROM event)")
        while size > self._most_picture_bytes:
            size -= self._delete_pictures("ORDER BY id LIMIT 1")
        return size

    def _delete_pictures(self, which: str, values: tuple[str, ...] = ()) -> int:
        """Delete pictures; how many bytes they had."""
        found = self._database.execute(f"SELECT size, id FROM picture {which}", values).fetchall()  # noqa: S608 - ours
        self._database.executemany("DELETE FROM picture WHERE id = ?", ((number,) for _, number in found))
        return sum(size for size, _ in found)

    def close(self) -> None:
        """Close it; after a regular end a power cut takes nothing."""
        with suppress(sqlite3.Error):
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()


def find_events(file: Path, wanted: EventFilter, may_show: MayShow = anything) -> list[KeptEvent]:
    """The newest events that are wanted, newest first, of a file that somebody may be writing. On any thread.

    Args:
        file: that is read.
        wanted: which of them.
        may_show: whether a picture of this stream in this style counts.

    Raises:
        sqlite3.Error: it cannot be read, or is not there.
    """
    columns = wanted.columns()
    conditions = ["id < ?", *(f"{name} = ?" for name in columns)]
    query = f"SELECT * FROM event WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"  # noqa: S608 - ours
    before = LARGEST_ID if wanted.before is None else wanted.before
    with _reading(file) as database:
        rows = database.execute(query, (before, *columns.values(), wanted.limit)).fetchall()
        events = [KeptEvent(*row) for row in rows if _is_ours(row)]
        styles = {
            number: row[0]
            for number in {event.picture for event in events if event.picture is not None}
            if (row := database.execute("SELECT style FROM picture WHERE id = ?", (number,)).fetchone())
        }
    return [
        event
        if event.picture in styles and may_show(event.stream, styles[event.picture])
        else replace(event, picture=None)
        for event in events
    ]


def find_picture(file: Path, event: int, may_show: MayShow = anything) -> bytes | None:
    """The JPEG that shows an event; None if there is none. For the rest see `find_events`.

    Raises:
        sqlite3.Error: it cannot be read, or is not there.
    """
    query = """
        SELECT event.stream, picture.style, picture.jpeg FROM event JOIN picture ON picture.id = event.picture
        WHERE event.id = ? AND length(picture.jpeg) < ?
        """
    with _reading(file) as database:
        row = database.execute(query, (event, LONGEST_PICTURE_BYTES)).fetchone()
    if row is None or not isinstance(row[2], bytes) or not may_show(row[0], row[1]):
        return None
    return row[2]


@contextmanager
def _reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection of its own that cannot write: it sees the last commit, and a file that was replaced."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as database:
        database.text_factory = lambda text: text.decode(errors="replace")
        yield database


def _is_ours(row: tuple[Any, ...]) -> bool:
    """Whether a row is one that a `HistoryFile` has written, and its message JSON that a browser may be given."""
    number, stream, moment, *_, message, _ = row
    if not (isinstance(stream, str) and isinstance(moment, float) and isinstance(message, bytes)):
        return False
    if not 0 < number < LARGEST_ID or len(message) > LONGEST_MESSAGE_BYTES:
        return False
    try:
        read = json.loads(message)
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and str(read.get("schema")).startswith("maskcast.event/")
