"""One sink with its own bounded queue and task: a slow or broken sink takes down only itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sinks.sink import Sink
from streaming.errors import MaskcastError, SinkError
from streaming.mailbox import Closed, Mailbox
from streaming.types import Result, StreamInfo

# Results that wait for a slow sink. Each holds a decoded picture (3 MB at 1080p), so few.
CAPACITY = 4


class Outlet:
    """Feeds a sink."""

    def __init__(self, sink: Sink, info: StreamInfo, problem: Callable[[SinkError], None]) -> None:
        """Prepare; nothing is opened before `start`. `problem` is called when the sink fails."""
        self._problem = problem
        self.sink = sink
        self.error: SinkError | None = None
        self._info = info
        self._mailbox: Mailbox[Result] = Mailbox(CAPACITY, drop_oldest=info.live)
        self._task: asyncio.Task[None] | None = None

    @property
    def dropped(self) -> int:
        """Results that a live stream did not wait to deliver."""
        return self._mailbox.dropped

    async def start(self) -> None:
        """Open the sink and begin to feed it; a failure is kept in `error`."""
        try:
            await self.sink.start(self._info)
        except Exception as error:  # noqa: BLE001 - any failure of a sink is this sink's alone
            self._fail(error)
            await self._mailbox.close(discard=True)
            return
        self._task = asyncio.create_task(self._feed())

    async def put(self, result: Result, *, wait: bool = False) -> None:
        """Hand over a result; offline, or with `wait`, this waits for the sink. A broken sink takes and forgets it."""
        if result.events and self._task is not None and self.error is None:
            try:
                await self.sink.note(result)
            except Exception as error:  # noqa: BLE001
                self._fail(error)
                await self._mailbox.close(discard=True)
        with suppress(Closed):
            await self._mailbox.put(result, wait=wait)

    async def finish(self, reason: str | None) -> None:
        """Deliver what waits, then close the sink properly."""
        await self._mailbox.close()
        if self._task is not None:
            await self._task
        try:
            await self.sink.finish(self.error.args[0] if self.error else reason)
        except Exception as error:  # noqa: BLE001
            self._fail(error)

    async def _feed(self) -> None:
        try:
            while True:
                await self.sink.write(await self._mailbox.get())
        except Closed:
            return
        except Exception as error:  # noqa: BLE001
            self._fail(error)
            await self._mailbox.close(discard=True)

    def _fail(self, error: Exception) -> None:
        if self.error is not None:  # the first failure is the cause, later ones are its consequences
            return
        if isinstance(error, SinkError):
            self.error = error
        else:
            detail = str(error) if isinstance(error, MaskcastError) else f"{type(error).__name__}: {error}"
            self.error = SinkError(f"{self.sink.name}: {detail}")
            self.error.__cause__ = error
        self._problem(self.error)
