"""Wait for something, unless it is time to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def first(stop: asyncio.Event, wanted: Sequence[asyncio.Future[Any]]) -> asyncio.Future[Any] | None:
    """The first of `wanted` that is done, in their order; the others are cancelled. None if `stop` is set."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([*wanted, stopped], return_when=asyncio.FIRST_COMPLETED)
        return None if stop.is_set() else next(future for future in wanted if future.done())
    finally:
        for future in (*wanted, stopped):
            future.cancel()


async def unless(stop: asyncio.Event, wanted: asyncio.Future[T]) -> T | None:
    """Await `wanted`; None if `stop` is set first."""
    done = await first(stop, [wanted])
    return None if done is None else await wanted
