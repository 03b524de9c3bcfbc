"""Who is connected: never more than a number, and none for longer than its time.

A time-out of each read would not do: a client that sends a byte a second would never lose its place. When all places
are taken, the connection that has been there for longest gives its own up, so that slow clients cannot lock out a
health check. WebSockets and files, which take their time, say so (`keep`), and have a bound of their own.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from asyncio import Transport

logger = logging.getLogger(__name__)

# Some tablets with a few requests of each at once, Prometheus, and a container's health check.
MAX_CONNECTIONS = 128
# Of these, WebSockets and files at most: the rest is for requests that come and go.
MAX_KEPT = 96
# From accepting a connection, or the last request on it, to closing it, whatever the client does; Prometheus itself
# gives up after 10 s.
CONNECTION_SECONDS = 10.0
# How often connections are looked for that are past that.
POLL_SECONDS = 0.2


class Connection(web.RequestHandler):
    """One connection of a client, which may ask several things one after the other."""

    __slots__ = ("_connections", "seconds", "since")

    def __init__(self, server: web.Server, connections: Connections, **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self.renew()

    def renew(self) -> None:
        """Give it its time anew: another request begins."""
        self.since, self.seconds = self._loop.time(), self._connections.seconds

    def keep(self, seconds: float) -> None:
        """Take longer; see `Connections.keep`."""
        self._connections.keep(self, seconds)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.discard(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what the client sent
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or what failed outside of all handlers. Clients' nonsense is no news."""
        level = logging.ERROR if status >= 500 else logging.DEBUG
        logger.log(level, "a request of %s failed", request.remote, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        response = web.Response(status=status, text="this request cannot be answered\n", headers={"Server": "maskcast"})
        response.force_close()
        return response


class Connections:
    """All that are open.

    Args:
        seconds: after which a connection is closed, finished or not.
    """

    def __init__(self, seconds: float = CONNECTION_SECONDS) -> None:
        self.seconds = seconds
        self._open: set[Connection] = set()
        self._closed = False

    def add(self, connection: Connection) -> None:
        """Take one in; the one that has been here for longest goes if there is no place."""
        while len(self._open) >= MAX_CONNECTIONS:
            self._cut_off(min(self._open, key=lambda other: (other.seconds > self.seconds, other.since)))
        self._open.add(connection)
        if self._closed:
            self._cut_off(connection)

    def discard(self, connection: Connection) -> None:
        """Forget one that has ended."""
        self._open.discard(connection)

    def keep(self, connection: Connection, seconds: float) -> None:
        """Let one take longer.

        Raises:
            web.HTTPServiceUnavailable: too many do.
        """
        if sum(other.seconds > self.seconds for other in self._open) >= MAX_KEPT:
            raise web.HTTPServiceUnavailable(text="too many viewers: close one\n")
        connection.seconds = max(seconds, self.seconds)

    async def watch(self) -> None:
        """Cut off those that are past their time, for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in [one for one in self._open if now - one.since > one.seconds]:
                self._cut_off(connection)

    def close(self) -> None:
        """Cut off all, and those that were accepted a moment ago and come yet."""
        self._closed = True
        for connection in list(self._open):
            self._cut_off(connection)

    def _cut_off(self, connection: Connection) -> None:
        self._open.discard(connection)
        transport: Transport | None = connection.transport
        if transport is not None:
            transport.abort()


def keep(request: web.Request, seconds: float = math.inf) -> None:
    """Let a request take longer than others may: to be called before its answer begins.

    Args:
        request: a WebSocket, or one for a long file.
        seconds: how long it may take.

    Raises:
        web.HTTPServiceUnavailable: too many do so already.
    """
    connection = request.protocol
    assert isinstance(connection, Connection)
    connection.keep(seconds)
