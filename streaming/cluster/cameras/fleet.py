"""All workers of a process: each is begun again when it is gone, and the streams are spread over those that live."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from maskcast.backoff import Backoff
from maskcast.errors import MaskcastError, WorkerLeftError
from streaming.cluster.cameras.actor import Actor
from streaming.cluster.cameras.messages import WorkerLoad
from streaming.cluster.cameras.placement import GATHER_SECONDS, Placement
from streaming.cluster.cameras.worker_link import WorkerLink
from streaming.service.tracking import WorkerView

logger = logging.getLogger(__name__)

# Between two attempts to begin a worker that has not lasted for `LONGEST_PAUSE_SECONDS`; doubles.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
# How often streams may be moved to help.
LOOK_SECONDS = 1.0
# After so long without a sign of a worker that begins a person would like to know.
PATIENCE_SECONDS = 60.0
# At the end, for all workers to let go, and then to be killed.
GOODBYE_SECONDS, CLOSE_SECONDS = 3.0, 8.0
# Which take a minute with their pauses. A Ray that has lost its own processes on this machine never begins one again.
HOPELESS_TRIES = 5


class Seat:
    """The place of one stream.

    Attributes:
        stream: its id.
        link: the worker that it is to be on; None while there is none.
        waits: why there is none, for a person.
        changed: set with every change; whoever follows clears it.
        running: number of the attempt on that worker that is online and not paused; None if there is none.
    """

    def __init__(self, stream: str) -> None:
        """Begin without a worker."""
        self.stream = stream
        self.link: WorkerLink | None = None
        self.changed = asyncio.Event()
        self.waits = "waiting for a worker"
        self.running: int | None = None


class Fleet:
    """Keeps so many workers alive. For one event loop, but for `views` and the attributes.

    Attributes:
        without: since when no worker has lived, by `time.monotonic`; None while one does, and before the first.
        failure: why a worker could not be begun, or was given up, last; None if none was.
        hopeless: whether no worker lives, and each could not be begun `HOPELESS_TRIES` times in a row.
    """

    def __init__(self, begin: Callable[[], Awaitable[Actor]], count: int) -> None:
        """Prepare.

        Args:
            begin: begins a worker's process.
            count: how many there are to be.
        """
        self.without: float | None = None
        self.failure: MaskcastError | None = None
        self._begin, self._names = begin, [f"worker-{number}" for number in range(1, count + 1)]
        self._placement = Placement(count)
        self._links: dict[str, WorkerLink] = {}  # those that live
        self._seats: dict[str, Seat] = {}
        self._attempts = itertools.count(1)
        self._deaths: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()  # in a row
        self._awaited: dict[str, str] = {}  # why a worker is not there
        self._tasks: list[asyncio.Task[None]] = []
        self._came = asyncio.Event()

    async def start(self) -> None:
        """Begin all workers, and wait for them, but not for long once the first is there.

        Raises:
            MaskcastError: why none of them could be begun.
        """
        tried = [asyncio.Event() for _ in self._names]
        for name, one in zip(self._names, tried, strict=True):
            self._tasks.append(asyncio.create_task(self._keep(name, one), name=name))
        self._tasks.append(asyncio.create_task(self._look(), name="placement"))
        came = asyncio.create_task(self._came.wait(), name="the first worker")
        settled = asyncio.create_task(_all(tried), name="all workers")
        try:
            await asyncio.wait([came, settled], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([settled], timeout=GATHER_SECONDS)
        finally:
            came.cancel()
            settled.cancel()
        if not self._came.is_set():
            assert self.failure
            raise self.failure

    @property
    def hopeless(self) -> bool:
        """See the class."""
        return not self._links and all(self._refused[name] >= HOPELESS_TRIES for name in self._names)

    async def close(self) -> None:
        """End all workers; the streams have ended before."""
        if self._links:  # kindly, so that they leave nothing on their disks
            goodbyes = [self._say_goodbye(link) for link in self._links.values()]
            await asyncio.wait([asyncio.create_task(one, name="end a worker") for one in goodbyes])
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)

    # Workers.

    async def _keep(self, name: str, tried: asyncio.Event) -> None:
        """Have a worker of that name, always."""
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, good=LONGEST_PAUSE_SECONDS, jitter=False)
        while True:
            began = time.monotonic()
            await self._live(name, tried)
            tried.set()
            lasted = time.monotonic() - began
            backoff.lasted(lasted)
            if lasted <= LONGEST_PAUSE_SECONDS:
                await asyncio.sleep(backoff.wait())

    async def _live(self, name: str, tried: asyncio.Event) -> None:
        """Begin a worker, and return when it is gone and its process killed; `tried` is set once it is there."""
        link: WorkerLink | None = None
        self._awaited[name] = "it is being begun"
        waiting = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._tell_waiting, name)
        try:
            link = WorkerLink(name, await self._begin(), self._told)
            await link.start()
            waiting.cancel()
            self._join(link)
            tried.set()
            await link.serve()
            self._leave(link)
        except MaskcastError as error:
            self._refused[name] += 1
            self.failure = error.at(name)
            self._awaited[name] = str(error)
            logger.error("%s cannot be begun: %s", name, error)  # noqa: TRY400 - one line says it
        except Exception as error:
            self._refused[name] += 1
            self.failure = MaskcastError.wrap(error, where=name)
            self._awaited[name] = str(self.failure)
            logger.exception("%s: unexpected failure", name)
        finally:
            waiting.cancel()
            if link:
                self._links.pop(name, None)
                await link.kill()

    async def _say_goodbye(self, link: WorkerLink) -> None:
        with suppress(WorkerLeftError):
            await link.call("close", seconds=GOODBYE_SECONDS)

    def _tell_waiting(self, name: str) -> None:
        what = "%s has no place yet, or still loads its model, after %.0f s: see `ray status`"
        logger.warning(what, name, PATIENCE_SECONDS)

    def _join(self, link: WorkerLink) -> None:
        logger.info("%s is there: %s", link.name, link.where)
        self._links[link.name] = link
        self._refused[link.name] = 0
        del self._awaited[link.name]
        self.without = None
        self._placement.worker_joined(link.name, time.monotonic())
        self._decide()
        self._came.set()

    def _leave(self, link: WorkerLink) -> None:
        streams = self._placement.streams_of(link.name)
        self.failure = MaskcastError(f"is gone: {link.gone}", where=link.name)
        self._deaths[link.name] += 1
        self._awaited[link.name] = f"it is begun anew: {link.gone}"
        del self._links[link.name]
        if not self._links:
            self.without = time.monotonic()
        told = f"its streams go to others: {', '.join(streams)}" if streams else "it had no streams"
        if streams and not self._links:
            told = f"no other is there, its streams wait: {', '.join(streams)}"
        logger.error("%s on %s is gone: %s; %s", link.name, link.where, link.gone, told)
        self._placement.worker_left(link.name)
        self._decide()

    def _told(self, link: WorkerLink, load: WorkerLoad) -> None:
        now = time.monotonic()
        for name in self._placement.streams_of(link.name):
            seat = self._seats[name]
            if seat.running is not None and (stream := load.streams.get(seat.running)):
                self._placement.measured(name, stream.wanted, stream.tracked, now)
        self._placement.worker_busy(link.name, load.busy, now)
        self._decide()

    def links(self) -> Sequence[WorkerLink]:
        """Those that live."""
        return list(self._links.values())

    # Streams.

    def next_attempt(self) -> int:
        """A number that no attempt has had."""
        return next(self._attempts)

    def seat(self, stream: str) -> Seat:
        """The place of a stream, which it has until `forget`."""
        if stream not in self._seats:
            self._seats[stream] = Seat(stream)
            self._placement.stream_wanted(stream)
            self._decide()
        return self._seats[stream]

    def forget(self, stream: str) -> None:
        """A stream needs no place any more."""
        if self._seats.pop(stream, None):
            self._placement.stream_removed(stream)
            self._decide()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._decide()

    def _decide(self) -> None:
        for move in self._placement.decide(time.monotonic()):
            seat = self._seats[move.stream]
            seat.link = self._links.get(move.to) if move.to else None
            seat.running = None
            if move.to is None:
                seat.waits = f"waiting for a worker: {move.reason}"
            seat.changed.set()
            if move.to:
                logger.info("%s: on %s: %s", move.stream, move.to, move.reason, extra={"stream": move.stream})

    def views(self) -> Sequence[WorkerView]:
        """How each worker is. From any thread."""
        return [self._view(name, self._links.get(name)) for name in self._names]

    def _view(self, name: str, link: WorkerLink | None) -> WorkerView:
        load = link.load if link else None
        return WorkerView(
            name,
            link is not None,
            link.where if link else self._awaited.get(name, ""),
            self._placement.streams_of(name),
            self._deaths[name],
            load.busy if load else None,
            load.gpu_bytes if load else None,
            load.gpu_total if load else None,
            load.rss_bytes if load else None,
        )

    def worker_of(self, stream: str) -> str | None:
        """The worker of a stream; None if it has none. From any thread."""
        return self._placement.worker_of(stream)


async def _all(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
