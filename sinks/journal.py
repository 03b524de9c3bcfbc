"""The spool of events that wait for the broker: on disk, bounded, in order. See also `sinks.spool`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sinks.spool import Entry, Spool
from streaming.types import KnownTracks, Result

__all__ = ["LIMIT", "Entry", "Journal"]

LIMIT = 100_000  # events a stream that may wait: weeks of a busy camera, about 50 MB on disk

T = TypeVar("T")


class Journal:
    """Keeps events from the moment they happen until the broker has acknowledged them; one for all streams.

    What `append` has returned for survives the death of this process, also by SIGKILL. A power cut or a crash of the
    operating system may lose what was appended since the last checkpoint (some seconds to minutes: ``synchronous =
    NORMAL`` leaves flushing to the system), but leaves the file whole.

    Each stream's events are numbered without gaps over restarts, under an id of 32 hex digits that is its own in this
    journal; ``<id>-<number>`` is the event's id. Another id takes over where numbers may have been lost: after a power
    cut, and when the file was found damaged at the start. At most `limit` events a stream wait; the oldest are shed,
    counted, and announced in their place by a message ``maskcast.shed/1``.

    While the disk refuses to be written, events are kept in memory (the newest 2,000 a stream) and written later.
    No method but `open` raises because of the disk. All work on the file happens on one thread of its own.
    """

    def __init__(self, file: Path | None, *, limit: int = LIMIT) -> None:
        """Spool into `file`, or into memory; at most `limit` events a stream. Nothing is opened yet."""
        self._spool = Spool(file, limit)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._closed = False

    async def open(self) -> None:
        """Open the file now; without this call, the first use opens it, and falls back to memory if it cannot.

        Raises:
            SinkError: the file cannot be opened, or another process uses it.
        """
        await self._run(self._spool.open)

    async def append(self, stream: str, result: Result) -> int:
        """Take all events of `result` in one transaction; returns how many."""
        if self._closed or not result.events:
            return 0
        return await self._run(lambda: self._spool.append(stream, result))

    async def first(self, stream: str, count: int) -> list[Entry]:
        """The oldest messages that wait, at most `count`; an announcement of what was shed is one of them."""
        if self._closed:
            return []
        return await self._run(lambda: self._spool.first(stream, count))

    async def remove(self, stream: str, up_to: int) -> None:
        """Forget the messages up to and including the sequence number `up_to`: the broker has them."""
        if not self._closed:
            await self._run(lambda: self._spool.remove(stream, up_to))

    def depth(self, stream: str) -> int:
        """Number of events of `stream` that wait; 0 before the journal is open."""
        return self._spool.depth(stream)

    def shed(self, stream: str) -> int:
        """Number of events of `stream` that were dropped since the journal began, in earlier runs too."""
        return self._spool.shed(stream)

    async def known_tracks(self, stream: str) -> KnownTracks:
        """What the journalled events, those of earlier runs too, have told of tracks.

        At most 1,000 open tracks a stream are remembered, the newest.
        """
        return await self._run(lambda: self._spool.known_tracks(stream))

    async def close(self) -> None:
        """Write what can be written, and close the file. Afterwards nothing is taken any more."""
        if self._closed:
            return
        self._closed = True
        await self._run(self._spool.close)
        self._thread.shutdown(wait=False)

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
