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
    """For one event loop, but for `offer` and `take`. Several producers may put, one consumer gets.

    Attributes:
        dropped: items that had to make room.
    """

    def __init__(self, capacity: int, *, drop_oldest: bool) -> None:
        """Hold at most `capacity` items; when full, drop the oldest or make the producer wait."""
        self._items: deque[T] = deque()
        self._capacity, self._drop_oldest = capacity, drop_oldest
        self._filled, self._room = asyncio.Event(), asyncio.Event()
        self._closed = False
        self._lock = threading.Lock()
        self.dropped = 0

    def offer(self, item: T) -> None:
        """Add an item, the oldest makes room. From any thread; whoever waits hears of it by `wake`.

        Raises:
            Closed: the mailbox is closed.
        """
        with self._lock:
            if self._closed:
                raise Closed
            while len(self._items) >= self._capacity:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)

    def wake(self) -> None:
        """Tell whoever waits that there is something new."""
        self._filled.set()

    async def put(self, item: T, *, wait: bool = False) -> None:
        """Add an item; with `wait` nothing is dropped for it.

        Raises:
            Closed: the mailbox is closed.
        """
        if self._drop_oldest and not wait:
            self.offer(item)
        else:
            while not self._closed and len(self._items) >= self._capacity:
                self._room.clear()
                await self._room.wait()
            self.offer(item)
        self.wake()

    async def get(self) -> T:
        """Take the oldest item, waiting for one.

        Raises:
            Closed: the mailbox is closed and empty.
        """
        await self.ready()
        item = self.take()
        self._room.set()
        return item

    async def ready(self) -> None:
        """Wait until an item can be taken.

        Raises:
            Closed: the mailbox is closed and empty.
        """
        while not self._items:
            if self._closed:
                raise Closed
            self._filled.clear()
            if not self._items:  # offered before the flag was cleared: nobody will set it again
                await self._filled.wait()

    def take(self) -> T:
        """After `ready`: the oldest item as of now. From any thread, where the oldest is dropped; nobody waits.

        Raises:
            Closed: the mailbox was closed and its items discarded meanwhile.
        """
        with self._lock:
            if not self._items:
                raise Closed
            return self._items.popleft()

    def close(self, *, discard: bool = False) -> None:
        """Refuse further items; those inside can still be taken unless they are discarded."""
        with self._lock:
            self._closed = True
            if discard:
                self._items.clear()
        self._filled.set()
        self._room.set()
