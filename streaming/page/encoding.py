"""The thread on which pictures for the page are encoded: each once, for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from maskcast.threads import SerialThread
from sinks.video.still import annotated_jpeg
from streaming.page.board import ShownStream
from streaming.page.pictures import Newest

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

    async def newest(self, stream: ShownStream, width: int) -> tuple[int, bytes | None]:
        """The number of the newest result of `stream`, which has one, and its message; see `Pictures.make`."""
        assert stream.newest is not None
        if message := stream.pictures.ready(stream.newest, width):
            return stream.newest.number, message
        return await self._shared((stream, width), partial(_made, stream, width))

    async def still(self, stream: ShownStream) -> bytes:
        """The newest picture of `stream`, which has one, at its size, with what is drawn on it.

        Raises:
            Exception: it cannot be made.
        """
        return await self._shared((stream, "still"), partial(_still, stream))

    async def _shared(self, key: Hashable, make: Callable[[], T]) -> T:
        if key not in self._pending:
            self._pending[key] = self._thread.run(make)
            self._pending[key].add_done_callback(lambda _: self._pending.pop(key, None))
        made: T = await asyncio.shield(self._pending[key])
        return made

    def close(self) -> None:
        """Let the thread end; does not wait."""
        self._thread.close()


def _made(stream: ShownStream, width: int) -> tuple[int, bytes | None]:
    newest = _newest(stream)
    return newest.number, stream.pictures.make(newest, width)


def _still(stream: ShownStream) -> bytes:
    result = _newest(stream).result
    return annotated_jpeg(result, None, stream.styles, result.frame.picture.width)


def _newest(stream: ShownStream) -> Newest:
    assert stream.newest is not None
    return stream.newest
