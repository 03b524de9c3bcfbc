"""A bounded queue between two tasks: offline the producer waits, live the oldest item makes room."""

from __future__ import annotations

import asyncio
import threading
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
        self._lock = threading.Lock()  # `take` comes from another thread
        self.dropped = 0

    async def put(self, item: T, *, wait: bool = False) -> None:
        """Add an item; with `wait` nothing is dropped for it.

        Raises:
            Closed: the mailbox is closed.
        """
        async with self._changed:
            if self._drop_oldest and not wait:
                with self._lock:
                    while len(self._items) >= self._capacity and not self._closed:
                        self._items.popleft()
                        self.dropped += 1
                    self._append(item)
            else:
                await self._changed.wait_for(lambda: self._closed or len(self._items) < self._capacity)
                self._append(item)
            self._changed.notify_all()

    def _append(self, item: T) -> None:
        if self._closed:
            raise Closed
        self._items.append(item)

    async def get(self) -> T:
        """Take the oldest item, waiting for one.

        Raises:
            Closed: the mailbox is closed and empty.
        """
        async with self._changed:
            await self._filled()
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    async def ready(self) -> None:
        """Wait until an item can be taken.

        Raises:
            Closed: the mailbox is closed and empty.
        """
        async with self._changed:
            await self._filled()

    async def _filled(self) -> None:
        await self._changed.wait_for(lambda: self._closed or bool(self._items))
        if not self._items:
            raise Closed

    def take(self) -> T:
        """After `ready`: the oldest item as of now. From any thread, where the oldest is dropped; nobody waits.

        Raises:
            Closed: the mailbox was closed and its items discarded meanwhile.
        """
        with self._lock:
            if not self._items:
                raise Closed
            return self._items.popleft()

    async def close(self, *, discard: bool = False) -> None:
        """Refuse further items; those inside can still be taken unless they are discarded."""
        async with self._changed:
            self._closed = True
            if discard:
                with self._lock:
                    self._items.clear()
            self._changed.notify_all()
