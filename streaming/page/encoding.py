"""The thread on which pictures for the page are encoded: each once, for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from maskcast.threads import SerialThread
from sinks.video.still import annotated_jpeg
from streaming.page.board import ShownStream

T = TypeVar("T")


class Encoding:
    """Makes pictures, one after the other. For one event loop.

    What is asked for is always of the newest result when the thread gets to it, and whoever asks for the same meanwhile
    shares it. So no more waits for the thread than there are streams and widths that are looked at.
    """

    def __init__(self) -> None:
        """Prepare; the thread begins with the first picture."""
        self._thread = SerialThread("encode for the page")
        self._pending: dict[Hashable, asyncio.Future[Any]] = {}

    async def newest(self, stream: ShownStream, width: int) -> tuple[int, bytes | None] | None:
        """The number of the newest result of `stream` and its message, see `Pictures.make`; None without a result."""
        if (newest := stream.newest) and (message := stream.pictures.ready(newest, width)):
            return newest.number, message
        return await self._shared((stream, width), partial(_made, stream, width))

    async def still(self, stream: ShownStream) -> bytes | None:
        """The newest picture of `stream` at its size, with what is drawn on it; None without a result.

        Raises:
            Exception: it cannot be made.
        """
        return await self._shared((stream, "still"), partial(_still, stream))

    async def _shared(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self._pending:
            self._pending[key] = self._thread.run(make)
            self._pending[key].add_done_callback(partial(self._done, key))
        made: T = await asyncio.shield(self._pending[key])
        return made

    def _done(self, key: Hashable, made: asyncio.Future[Any]) -> None:
        del self._pending[key]
        made.exception()  # seen, though whoever waited may have left

    def close(self) -> None:
        """Let the thread end; does not wait."""
        self._thread.close()


def _made(stream: ShownStream, width: int) -> tuple[int, bytes | None] | None:
    if (newest := stream.newest) is None:
        return None
    return newest.number, stream.pictures.make(newest, width)


def _still(stream: ShownStream) -> bytes | None:
    if (newest := stream.newest) is None:
        return None
    return annotated_jpeg(newest.result, None, stream.styles, newest.result.frame.picture.width)
