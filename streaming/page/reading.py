"""Reads disks for the web server: on a thread of its own, with an end to patience."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from maskcast.threads import SerialThread

ANSWER_SECONDS = 8.0  # less than a connection has
MOST_WAITING = 32  # requests; more than a few tablets ask at once

T = TypeVar("T")


class Reading:
    """One thread that reads for all requests, one after the other. To be used on the server's event loop."""

    def __init__(self) -> None:
        """Prepare; the thread begins with the first call."""
        self._thread = SerialThread("read for the page")
        self._waiting = 0

    async def run(self, read: Callable[[], T]) -> T:
        """What `read` returns.

        Raises:
            web.HTTPServiceUnavailable: too many wait already, or the disk does not answer.
        """
        if self._waiting >= MOST_WAITING:
            raise web.HTTPServiceUnavailable(text="too many ask at once: try again\n")
        self._waiting += 1
        work = self._thread.run(read)
        work.add_done_callback(self._done)
        # Who leaves does not take the work along, which nothing can interrupt.
        await asyncio.wait([work], timeout=ANSWER_SECONDS)
        if not work.done():
            raise web.HTTPServiceUnavailable(text="the disk does not answer\n")
        return work.result()

    def _done(self, work: asyncio.Future[T]) -> None:
        self._waiting -= 1
        work.exception()  # seen, though nobody may wait any more
