"""What happened, for the page: events and pictures of their moments, on disk and, until they are there, in memory."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from maskcast.errors import reason_of
from maskcast.result import Result
from maskcast.sqlite_file import DamagedError, is_damage, set_database_aside
from maskcast.threads import SerialThread
from sinks.video.style import OUTLINED, Styles
from streaming.page.history_file import HistoryFile, Picture, find_events, find_picture
from streaming.page.kept_event import EventFilter, KeptEvent, kept

logger = logging.getLogger(__name__)

T = TypeVar("T")

IN_MEMORY_EVENTS = 1_000  # the newest, while the disk refuses; about 1 MB
IN_MEMORY_PICTURE_BYTES = 16 << 20
GATHER_SECONDS = 0.25  # what comes within is one transaction; a killed process loses no more than about that
RETRY_SECONDS = 5.0  # between attempts to write to a disk that has refused
CLOSING_SECONDS = 5.0  # that the end waits for the disk


class History:
    """Keeps the events of all streams for the page; one for the process.

    `take` and `illustrate` never wait for the disk: a thread of its own brings to the file what is in memory. While the
    disk refuses or hangs, the newest `IN_MEMORY_EVENTS` are kept, with `IN_MEMORY_PICTURE_BYTES` of pictures. A damaged
    file is set aside as ``name.damaged``. What a stream leaves stays when it is removed from the settings, until it is
    old enough.
    """

    def __init__(self, file: Path | None, tell: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        """Begin; the file is opened soon.

        Args:
            file: of SQLite; None to keep events in memory alone.
            tell: takes an item of ``/events`` as it happens, and again under the same id when it has a picture. Called
                where `take` and `illustrate` are; must be quick.
        """
        self._path, self._tell = file, tell
        self._origin, self._numbers = uuid.uuid4().hex, Counter[str]()
        self._lock = threading.Lock()  # of all that follows but the file; held for moments, never for the disk
        self._last = 0
        self._events: deque[KeptEvent] = deque(maxlen=IN_MEMORY_EVENTS)
        self._pictures: deque[Picture] = deque()
        self._picture_bytes = 0
        self._hiding: dict[str, str] = {}  # the styles of streams that hide anything, in words
        self._unforgotten: dict[str, str] = {}  # those of which the file may have pictures in other styles
        self._suspected = False  # a reader has found something wrong with the file
        self._writing = False  # the thread is at work, and will see what comes
        self._closing = threading.Event()
        self._file: HistoryFile | None = None
        self._failing = False
        self._thread = SerialThread("history")
        self._write_soon()

    def obey(self, stream: str, styles: Styles) -> None:
        """Where `styles` hide anything, show no picture of the stream that was drawn in others, and forget those."""
        with self._lock:
            if styles.hide:
                self._hiding[stream] = self._unforgotten[stream] = _words(styles)
            else:
                self._hiding.pop(stream, None)
                self._unforgotten.pop(stream, None)
        self._write_soon()

    # Called by sinks.

    def take(self, result: Result) -> list[KeptEvent]:
        """Keep the events of a result, and tell of them."""
        with self._lock:
            taken = [kept(result, event, self._next_id(), self._message_id(result)) for event in result.events]
            self._events.extend(taken)
        self._write_soon()
        for event in taken:
            self._tell(event.item(picture=False))
        return taken

    def illustrate(self, events: Sequence[KeptEvent], jpeg: bytes, styles: Styles = OUTLINED) -> None:
        """Keep a picture of events of one stream, drawn in `styles`, and tell of them once more."""
        ids = tuple(event.id for event in events)
        picture = Picture(max(ids), events[0].stream, ids, _words(styles), jpeg)
        with self._lock:
            self._pictures.append(picture)
            self._picture_bytes += len(jpeg)
            while self._picture_bytes > IN_MEMORY_PICTURE_BYTES:
                self._picture_bytes -= len(self._pictures.popleft().jpeg)
        self._write_soon()
        for event in events:
            self._tell(event.item(picture=True))

    def _next_id(self) -> int:
        # Not the file's own count, which is unknown where the disk refuses at the start.
        self._last = max(self._last + 1, int(time.time() * 1000))
        return self._last

    def _message_id(self, result: Result) -> str:
        stream = result.frame.stream
        self._numbers[stream] += 1
        return f"{self._origin}-{self._numbers[stream]}"

    # Called by readers, on any thread; these wait for the disk.

    def find(self, wanted: EventFilter) -> tuple[list[KeptEvent], bool]:
        """The newest events that are wanted, newest first, and whether there are more.

        `KeptEvent.picture` says whether there is one.
        """
        with self._lock:  # before the file is read: what is written meanwhile is found twice, never missed
            events = [event for event in self._events if wanted.matches(event)]
            pictures = {
                event: picture.id
                for picture in self._pictures
                if self._may_show(picture.stream, picture.style)
                for event in picture.events
            }
        one_more = replace(wanted, limit=wanted.limit + 1)
        found = {
            event.id: event for event in self._read(lambda file: find_events(file, one_more, self._may_show)) or ()
        }
        for event in events:
            found.setdefault(event.id, event)
        newest = sorted(found.values(), key=lambda event: event.id, reverse=True)
        shown = [replace(event, picture=pictures.get(event.id, event.picture)) for event in newest[: wanted.limit]]
        return shown, len(newest) > wanted.limit

    def picture(self, event: int) -> bytes | None:
        """The JPEG of an event, if there is one."""
        with self._lock:
            for picture in self._pictures:
                if event in picture.events:
                    return picture.jpeg if self._may_show(picture.stream, picture.style) else None
        return self._read(lambda file: find_picture(file, event, self._may_show))

    def _may_show(self, stream: str, style: str) -> bool:
        return self._hiding.get(stream, style) == style

    def _read(self, read: Callable[[Path], T]) -> T | None:
        """What the file says; None where it cannot be read: then what is in memory is all that there is."""
        if self._path is None:
            return None
        try:
            return read(self._path)
        except sqlite3.Error as error:
            if is_damage(error) or not self._path.exists():  # somebody has deleted it
                with self._lock:
                    self._suspected = True
                self._write_soon()
            logger.debug("%s: %s", self._path, reason_of(error))
            return None

    # On the thread.

    def _write_soon(self) -> None:
        if self._path is None:
            return
        with self._lock:
            if self._writing:
                return
            self._writing = True
            self._thread.submit(self._write)

    def _write(self) -> None:
        """Bring the file up to what is known; returns when that is done."""
        wait = 0.0
        while True:
            ending = self._closing.wait(wait)
            with self._lock:
                events, pictures = tuple(self._events), tuple(self._pictures)
                unforgotten = tuple(self._unforgotten.items())
                suspected, self._suspected = self._suspected, False
                if self._file is not None and not (events or pictures or unforgotten or suspected):
                    self._writing = False
                    return
            try:
                self._save(events, pictures, suspected=suspected)
                for stream, style in unforgotten:
                    self._opened().forget_pictures(stream, style)
            except (DamagedError, sqlite3.Error, OSError) as error:
                self._refused(error)
                if ending:
                    return
                wait = RETRY_SECONDS
            else:
                self._saved(events, pictures, unforgotten)
                wait = GATHER_SECONDS

    def _save(self, events: Sequence[KeptEvent], pictures: Sequence[Picture], *, suspected: bool) -> None:
        try:
            if suspected:  # by now it may be another file, and whole
                self._close_file()
                self._opened().check()
            self._opened().save(events, pictures)
        except (DamagedError, sqlite3.Error) as error:
            if not isinstance(error, DamagedError) and not is_damage(error):
                raise
            self._set_aside(str(error))
            self._opened().save(events, pictures)

    def _opened(self) -> HistoryFile:
        assert self._path is not None
        if self._file is None:
            self._file = HistoryFile(self._path)
            with self._lock:
                self._last = max(self._last, self._file.last)
        return self._file

    def _set_aside(self, why: str) -> None:
        assert self._path is not None
        self._close_file()
        with suppress(FileNotFoundError):
            set_database_aside(self._path, "table of events", why)

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _saved(
        self, events: Sequence[KeptEvent], pictures: Sequence[Picture], forgotten: Sequence[tuple[str, str]]
    ) -> None:
        written = {picture.id for picture in pictures}
        with self._lock:
            self._unforgotten = dict(self._unforgotten.items() - set(forgotten))
            while events and self._events and self._events[0].id <= events[-1].id:
                self._events.popleft()
            self._pictures = deque(picture for picture in self._pictures if picture.id not in written)
            self._picture_bytes = sum(len(picture.jpeg) for picture in self._pictures)
        if self._failing:
            self._failing = False
            logger.warning("%s can be written again", self._path)

    def _refused(self, error: Exception) -> None:
        if not self._failing:
            self._failing = True
            logger.warning("%s: %s; the newest events are kept in memory, trying again", self._path, reason_of(error))
        self._close_file()  # its folder may be another by then

    async def close(self) -> None:
        """Write what can be written, and close the file; a disk that hangs is not waited for."""
        self._closing.set()
        closing = self._thread.run(self._close_file)
        self._thread.close()
        await asyncio.wait([closing], timeout=CLOSING_SECONDS)
        if self._path is not None and (left := len(self._events)):
            logger.error("%s: %d events could not be written", self._path, left)


def _words(styles: Styles) -> str:
    """What is equal where styles are."""
    return json.dumps([styles.default, *sorted(styles.prompts.items())])
