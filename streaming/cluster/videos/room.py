"""Who is at work in a worker at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """Holds any number of videos, or one that wants to be alone. For one event loop.

    A video whose worker has died is tracked alone: if it was its doing, it takes no others along.
    """

    def __init__(self) -> None:
        """Begin, empty."""
        self._changed = asyncio.Condition()
        self._inside = 0
        self._taken = False  # by one that is alone, or waits to be

    @asynccontextmanager
    async def taken(self, *, alone: bool) -> AsyncIterator[None]:
        """Be in it, once there is room."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._taken)
            self._taken = alone
            try:
                await self._changed.wait_for(lambda: not (alone and self._inside))
            except BaseException:
                self._taken = False
                self._changed.notify_all()
                raise
            self._inside += 1
        try:
            yield
        finally:
            async with self._changed:
                self._inside -= 1
                self._taken = self._taken and not alone
                self._changed.notify_all()
