"""A bounded queue between two tasks: offline the producer waits, live the oldest item makes room."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - a signal, not an error
    """The mailbox is closed and, for a reader, empty."""


class Mailbox(Generic[T]):
    """For one event loop. Several producers may put, one consumer gets."""

    def __init__(self, capacity: int, *, drop_oldest: bool) -> None:
        """Hold at most `capacity` items; when full, drop the oldest or make the producer wait."""
        self._items: deque[T] = deque()
        self._capacity, self._drop_oldest = capacity, drop_oldest
        self._changed = asyncio.Condition()
        self._closed = False
        self.dropped = 0

    async def put(self, item: T, *, wait: bool = False) -> None:
        """Add an item; with `wait` nothing is dropped for it.

        Raises:
            Closed: the mailbox is closed.
        """
        async with self._changed:
            if self._drop_oldest and not wait:
                while len(self._items) >= self._capacity and not self._closed:
                    self._items.popleft()
                    self.dropped += 1
            else:
                await self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    async def get(self) -> T:
        """Take the oldest item, waiting for one.

        Raises:
            Closed: the mailbox is closed and empty.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._closed or bool(self._items))
            if not self._items:
                raise Closed
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    async def close(self, *, discard: bool = False) -> None:
        """Refuse further items; those inside can still be taken unless they are discarded."""
        async with self._changed:
            self._closed = True
            if discard:
                self._items.clear()
            self._changed.notify_all()
