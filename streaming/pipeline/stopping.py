"""Wait for something, unless it is time to stop. A task group ends with the last of its tasks; this with the first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def first(stop: asyncio.Event, wanted: Sequence[asyncio.Future[Any]]) -> asyncio.Future[Any] | None:
    """The first of `wanted` that is done, in their order; the others are cancelled. None if `stop` is set."""
    stopped = asyncio.create_task(stop.wait(), name="time to stop")
    try:
        await asyncio.wait([*wanted, stopped], return_when=asyncio.FIRST_COMPLETED)
        return None if stop.is_set() else next(future for future in wanted if future.done())
    finally:
        for future in (*wanted, stopped):
            future.cancel()


async def unless(stop: asyncio.Event, wanted: asyncio.Future[T] | Coroutine[Any, Any, T]) -> T | None:
    """What `wanted` returns; None if `stop` is set first, and it is cancelled."""
    future = asyncio.create_task(wanted, name="until time to stop") if asyncio.iscoroutine(wanted) else wanted
    return future.result() if await first(stop, [future]) else None


async def something_of(
    events: Sequence[asyncio.Event], tasks: Sequence[asyncio.Future[Any]] = (), seconds: float | None = None
) -> None:
    """Wait until one of the events is set or one of the tasks done, but no longer than `seconds`, if given."""
    waiting = [asyncio.create_task(event.wait(), name="something to do") for event in events]
    try:
        await asyncio.wait([*waiting, *tasks], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
