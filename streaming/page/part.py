"""What the web server is made of: parts, each with a few routes of one topic."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from enum import Enum, auto
from typing import Any, ClassVar, TypeVar

from aiohttp import web

T = TypeVar("T")


class Access(Enum):
    """Who may use a part."""

    MACHINES = auto()
    """Whoever reaches the port, also where the page is refused: Prometheus and health checks have no password."""
    ANYBODY = auto()
    """Who may open the page, before a password was given: its files, and what takes the password."""
    VIEWERS = auto()
    """Who gave the password, or anybody where none is needed."""


class Part:
    """A few routes of one topic. All but its constructor runs on the server's own event loop."""

    access: ClassVar[Access] = Access.VIEWERS

    def routes(self) -> Iterable[web.RouteDef]:
        """Its routes, such as ``web.get("/events", self.events)``; paths without the prefix."""
        raise NotImplementedError

    async def begin(self) -> None:
        """Make ready, before the first request."""

    async def end(self) -> None:
        """Let go of viewers at the end of the server; there are 0.3 s for all parts together."""


async def asked(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Run a coroutine on another event loop, which is the pipeline's, and wait for what it returns.

    It goes on there although who asked has left: what has begun is not left half done.

    Raises:
        TimeoutError: that loop did not answer in time; `work` may yet be done.
    """
    waited = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))
    async with asyncio.timeout(seconds):
        return await asyncio.shield(waited)
