"""One stream of `maskcast run` for as long as it is in the settings: whatever fails is begun again."""

from __future__ import annotations

import asyncio
import logging
import time

from maskcast.backoff import Backoff
from maskcast.errors import MaskcastError, ModelError, WorkerLeftError
from streaming.pipeline.stopping import first, unless
from streaming.service.resources import Resources
from streaming.service.served_stream import ServedStream
from streaming.settings.tables import StreamSettings

logger = logging.getLogger(__name__)

# Between attempts to begin a stream again after a failure of the model or of a sink; doubles.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0


def _backoff() -> Backoff:
    return Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, good=LONGEST_PAUSE_SECONDS, jitter=False)


class Supervisor:
    """Lets one stream run, and begins it again.

    Attributes:
        name: id of the stream.
        settings: of the stream.
        stream: itself.
        failure: what ended the last attempt, if that was an error.
    """

    def __init__(self, name: str, settings: StreamSettings, resources: Resources) -> None:
        """Prepare; nothing runs before `run`."""
        self.name, self.settings = name, settings
        self._stop, self._removed = asyncio.Event(), False
        self.failure: MaskcastError | None = None
        self._one_by_one = resources.one_by_one
        self.stream = ServedStream(name, settings, resources, self._stop)

    def stop(self, *, removed: bool = False) -> None:
        """Let `run` end; `removed` if the stream is not in the settings any more."""
        self._removed = removed
        self._stop.set()

    async def run(self) -> None:
        """Serve the stream until `stop`, or to its end if it has one. A bug in here is not its end."""
        backoff = _backoff()
        while True:
            began = time.monotonic()
            try:
                return await self._run()
            except asyncio.CancelledError:
                raise
            except BaseException:  # a panic of a Rust library, such as pydantic's, too
                backoff.lasted(time.monotonic() - began)
                pause = backoff.wait()
                logger.exception(
                    "%s: failed unexpectedly, begun again in %.0f s", self.name, pause, extra={"stream": self.name}
                )
            await unless(self._stop, asyncio.sleep(pause))
            if self._stop.is_set():
                return None

    async def _run(self) -> None:
        try:
            await self.stream.begin()
            await self._serve()
        except asyncio.CancelledError:  # the process ends, and does not wait for a goodbye
            raise
        except BaseException as bug:
            await self.stream.end(removed=self._removed, bug=bug)
            raise
        await self.stream.end(removed=self._removed)

    async def _serve(self) -> None:
        backoff, followed = _backoff(), False
        while not self._stop.is_set():
            began = time.monotonic()
            if await self._attempt() and self.settings.ends():
                return
            backoff.lasted(lasted := time.monotonic() - began)
            # It may be the stream that its workers die of: it follows at once only once in a while.
            left = isinstance(self.failure, WorkerLeftError)
            followed = left and not (followed and lasted < LONGEST_PAUSE_SECONDS)
            if not followed:
                await unless(self._stop, asyncio.sleep(backoff.wait()))

    async def _attempt(self) -> bool:
        """Run the pipeline once; whether that was all that is to be done."""
        if not self.settings.ends():
            return await self._once()
        mine = asyncio.create_task(self._one_by_one.acquire(), name=f"{self.name} waits for the stream before it")
        await first(self._stop, [mine])
        if not mine.done():  # given up
            return True
        try:
            return self._stop.is_set() or await self._once()
        finally:
            self._one_by_one.release()

    async def _once(self) -> bool:
        self.failure = await self.stream.attempt()
        return not isinstance(self.failure, ModelError)
