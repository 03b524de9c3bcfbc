"""The journal of events that wait for the broker: on disk, bounded, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from maskcast.frame import Frame
from maskcast.picture import Picture
from maskcast.result import KnownTracks, Result
from maskcast.threads import SerialThread
from sinks.mqtt.blocking_journal import IN_MEMORY_EVENTS, BlockingJournal
from sinks.mqtt.journal_stream import Entry

logger = logging.getLogger(__name__)

DEFAULT_LIMIT_EVENTS = 100_000  # events a stream that may wait: weeks of a busy camera, about 50 MB on disk
# Seconds that a stream waits for the disk. SQLite itself waits one second for another process, and a commit flushes
# nothing; a disk that takes longer does not answer at all.
ANSWER_SECONDS = 5.0

T = TypeVar("T")


class Journal:
    """Keeps events from the moment they happen until the broker has acknowledged them; one for all streams.

    What `append` has returned for survives the death of this process, also by SIGKILL. A power cut or a crash of the
    operating system may lose what was appended since the last checkpoint (some seconds to minutes: ``synchronous =
    NORMAL`` leaves flushing to the system), but leaves the file whole.

    What counting at zones and lines must know after a restart is kept with the events of the same result, or with none.

    Each stream's events are numbered without gaps over restarts, under an id of 32 hex digits that is its own in this
    journal; ``<id>-<number>`` is the event's id. Another id takes over where numbers may have been lost: after a power
    cut, and when the file was found damaged at the start. At most `limit` events a stream wait; the oldest are dropped,
    counted, and announced in their place by a message ``maskcast.shed/1``.

    While the disk refuses to be read or written, also at the start, events are kept in memory (the newest 2,000 a
    stream) and written later, behind those that the file has. Nothing in the file is believed unseen: a damaged one is
    set aside as ``name.damaged``. No method raises because of the disk. All work on the file happens on one thread of
    its own. Where the disk does not answer at all, that thread hangs: nobody waits for it longer than `ANSWER_SECONDS`,
    and the next 2,000 results with events queue up before it.
    """

    def __init__(self, file: Path | None, *, limit: int = DEFAULT_LIMIT_EVENTS) -> None:
        """Keep events in `file`, or into memory; at most `limit` events a stream. Nothing is opened yet."""
        self._blocking = BlockingJournal(file, limit)
        self._thread = SerialThread("journal")
        self._late: set[asyncio.Future[Any]] = set()  # what the disk has not done in time
        self._dropped = 0
        self._closed = False

    async def open(self) -> None:
        """Open the file now; without this call, the first use opens it. A disk that does not answer is not waited for.

        Raises:
            SinkError: another process uses the file.
        """
        opening = self._thread.run(self._blocking.open)
        if await self._in_time(opening):
            opening.result()

    @property
    def refusal(self) -> str | None:
        """Why events are kept in memory alone; None while they are on disk."""
        return "the disk does not answer" if self._late else self._blocking.refusal

    def try_again(self) -> None:
        """If the disk has refused, see whether it does still; the next event would, but may take long to come."""
        if self.refusal and not self._late and not self._closed:
            self._thread.run(self._blocking.write)

    def streams(self) -> set[str]:
        """The streams of which the journal knows, those of earlier runs too; none before it is open."""
        return self._blocking.names()

    async def forget(self, stream: str) -> None:
        """Forget a stream with all that waits; should it come back, its events have new ids."""
        if not self._closed:
            await self._run(lambda: self._blocking.forget(stream))

    async def append(self, stream: str, result: Result, *, deliver: bool = True) -> int:
        """Take all events of `result`, and what counting must know after it, in one transaction.

        Args:
            stream: its id.
            result: its pixels and tracks are not kept.
            deliver: whether the events wait for the broker; otherwise they are only remembered, see `known_tracks`.

        Returns:
            How many events were taken for the broker, or are to be.
        """
        if self._closed or (not result.events and result.place_state is None):
            return 0
        if len(self._late) >= IN_MEMORY_EVENTS:
            self._dropped += len(result.events)
            return 0
        # Messages need no pixels, and many of them may wait.
        frame = result.frame
        bare = Result(
            Frame(frame.stream, frame.index, frame.pts, frame.captured_at, cast("Picture", None)),
            events=result.events,
            place_state=result.place_state,
        )
        appending = self._thread.run(lambda: self._blocking.append(stream, bare, deliver=deliver))
        return appending.result() if await self._in_time(appending) else len(result.events)

    async def keep_places(self, stream: str, state: str | None) -> None:
        """Keep `state`, see `Result.place_state`, in place of what the last result brought; None for nothing."""
        if not self._closed and len(self._late) < IN_MEMORY_EVENTS:
            await self._in_time(self._thread.run(lambda: self._blocking.keep_places(stream, state)))

    async def place_state(self, stream: str) -> str | None:
        """What was kept last, in an earlier run too; None for nothing, or where the disk hangs."""
        return await self._answer(
            lambda: self._blocking.place_state(stream), lambda: self._blocking.remembered_places(stream)
        )

    async def _in_time(self, work: asyncio.Future[Any]) -> bool:
        """Wait for the disk, but not for one that hangs; whether it has done its work."""
        await asyncio.wait([work], timeout=0 if self._late else ANSWER_SECONDS)
        if work.done():
            return True
        if not self._late:
            logger.error("%s: does not answer; until it does, events wait in memory", self._blocking.name)
        self._late.add(work)
        work.add_done_callback(self._came)
        return False

    def _came(self, work: asyncio.Future[Any]) -> None:
        work.exception()  # seen, though nobody waits
        self._late.discard(work)
        if not self._late:
            logger.info("%s: answers again; %d events were dropped meanwhile", self._blocking.name, self._dropped)
            self._dropped = 0

    async def first(self, stream: str, count: int) -> list[Entry]:
        """The oldest messages that wait, at most `count`; an announcement of what was dropped is one of them."""
        if self._closed:
            return []
        return await self._run(lambda: self._blocking.first(stream, count))

    async def remove(self, stream: str, up_to: int) -> None:
        """Forget the messages up to and including the sequence number `up_to`: the broker has them."""
        if not self._closed:
            await self._run(lambda: self._blocking.remove(stream, up_to))

    def depth(self, stream: str) -> int:
        """Number of events of `stream` that wait; 0 before the journal is open."""
        return self._blocking.depth(stream)

    def dropped(self, stream: str) -> int:
        """Number of events of `stream` that were dropped since the journal began, in earlier runs too."""
        return self._blocking.dropped(stream)

    async def known_tracks(self, stream: str) -> KnownTracks:
        """What the journalled events, those of earlier runs too, have told of tracks.

        At most 1,000 open tracks a stream are remembered, the newest; what the disk has taken where it hangs.
        """
        return await self._answer(
            lambda: self._blocking.known_tracks(stream), lambda: self._blocking.remembered_tracks(stream)
        )

    async def _answer(self, ask: Callable[[], T], remembered: Callable[[], T]) -> T:
        """What the file says, or what is remembered of it where the disk hangs."""
        asking = self._thread.run(ask)
        await asyncio.wait([asking], timeout=0 if self._late else ANSWER_SECONDS)
        return asking.result() if asking.done() else remembered()

    async def close(self) -> None:
        """Write what can be written, and close the file. Afterwards nothing is taken."""
        if self._closed:
            return
        self._closed = True
        closing = self._thread.run(self._blocking.close)
        self._thread.close()
        await asyncio.wait([closing], timeout=ANSWER_SECONDS)
        if not closing.done():
            logger.error("%s: does not answer; what it has not taken is lost", self._blocking.name)

    async def _run(self, function: Callable[[], T]) -> T:
        return await self._thread.run(function)
