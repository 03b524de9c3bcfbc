"""The web server: an event loop of its own, on a thread of its own.

So it answers while the pipeline's event loop hangs, and no viewer can hold that one up.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from maskcast.errors import UsageError, reason_of
from streaming.page.connections import CONNECTION_SECONDS, Connection, Connections
from streaming.page.files import Files
from streaming.page.guard import Guard, add_headers
from streaming.page.part import Access, Part
from streaming.page.session import Session
from streaming.settings.web import HttpSettings

logger = logging.getLogger(__name__)

BACKLOG = 64
# Largest body of a request; parts may have smaller bounds of their own.
MAX_BODY_BYTES = 64 << 10
# Of each connection: no log of accesses; one that idles ends a little before it would be cut off.
OPTIONS = {
    "access_log": None,
    "keepalive_timeout": CONNECTION_SECONDS - 1.0,
    "lingering_time": 1.0,
    "logger": logger,
}
# For files, whose disk may hang.
FILE_THREADS = 4
# At the end: for the parts to say goodbye, for handlers to end after that, and for the thread in all.
PARTS_SECONDS, HANDLERS_SECONDS, CLOSE_SECONDS = 0.3, 0.05, 2.0


class WebServer:
    """Serves parts until it is closed.

    Args:
        http: where it listens (port 0 takes a free one), by which names, and who may look.
        parts: what is served besides the page's files and its login.
        salt: file of the login, see `Session`.
        service: whether this is `maskcast run`.
        connection_seconds: after which a connection is closed that is not kept, see `connections.keep`.
    """

    def __init__(
        self,
        http: HttpSettings,
        parts: Sequence[Part],
        *,
        salt: Path | None = None,
        service: bool = False,
        connection_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        self._http = http
        self._session = Session(http, salt, service=service)
        self._parts = [Files(), self._session, *parts]
        self._connection_seconds = connection_seconds
        self._bound: tuple[str, int] = ("", 0)
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        return self._bound[1]

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page, once started."""
        host = ipaddress.ip_address(self._bound[0])
        if host.is_unspecified:
            host = ipaddress.ip_address("::1" if host.version == 6 else "127.0.0.1")
        return f"http://{f'[{host}]' if host.version == 6 else host}:{self.port}{self._http.prefix}/"

    def start(self) -> None:
        """Listen and serve until `close`; returns when it answers.

        Raises:
            UsageError: the address is taken, or is not one of this machine.
        """
        address = self._http.address()
        assert address is not None, "switched off"
        try:
            family, _, _, _, bound = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
            listening = _bound(family, bound)
        except OSError as error:
            what = f"cannot listen on {self._http.listen}: {reason_of(error)}"
            raise UsageError(what, where="http", advice="stop what uses it or choose another address") from error
        self._bound = listening.getsockname()[:2]
        if self.refusal:
            logger.warning("http: %s", self.refusal)
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop, listening, started), name="web", daemon=True
        )
        self._thread.start()
        started.wait()
        if self._failure:
            raise self._failure

    def close(self) -> None:
        """Stop listening, let viewers go, end the thread. May be called twice, or without `start`."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None:
            return
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._closing.set)
        thread.join(CLOSE_SECONDS)

    @property
    def refusal(self) -> str | None:
        """Why the page is not served, once started: others can reach it, and nobody would be kept out. Else None."""
        if self._session.asks or ipaddress.ip_address(self._bound[0]).is_loopback:
            return None
        return "the page is not served: other machines reach this address, so it needs [http] password or password_file"

    # On the thread `web`.

    def _run(self, loop: asyncio.AbstractEventLoop, listening: socket.socket, started: threading.Event) -> None:
        files = ThreadPoolExecutor(FILE_THREADS, thread_name_prefix="web file")
        asyncio.set_event_loop(loop)
        loop.set_default_executor(files)
        try:
            with listening:
                loop.run_until_complete(self._serve(loop, listening, started))
        except Exception as error:
            logger.exception("the web server has failed")
            self._failure = error
        finally:
            started.set()
            files.shutdown(wait=False, cancel_futures=True)  # a disk may hang
            asyncio.set_event_loop(None)
            loop.close()

    async def _serve(self, loop: asyncio.AbstractEventLoop, listening: socket.socket, started: threading.Event) -> None:
        app = self._application()
        for part in self._parts:
            await part.begin()
        # Whoever leaves takes the handler of the request along: nothing piles up behind a pipeline that hangs.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=HANDLERS_SECONDS)
        await runner.setup()
        connections = Connections(self._connection_seconds)
        handlers = runner.server
        assert handlers is not None

        def accept() -> Connection:
            return Connection(handlers, connections, loop=loop, **OPTIONS)

        server = await loop.create_server(accept, sock=listening)
        started.set()
        watching = asyncio.create_task(connections.watch(), name="watch connections")
        try:
            await self._closing.wait()
        finally:
            # Python 3.11 leaks the socket of a client that it has accepted when the server closes in the same moment.
            loop.remove_reader(listening)
            await asyncio.sleep(0)
            server.close()
            watching.cancel()
            await self._end(runner, connections)

    async def _end(self, runner: web.AppRunner, connections: Connections) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PARTS_SECONDS), asyncio.TaskGroup() as group:
                for part in self._parts:
                    group.create_task(part.end(), name="end a part of the page")
        await runner.cleanup()
        connections.close()
        # Handlers that have been cancelled, connections that were just accepted, and what parts have begun.
        if rest := asyncio.all_tasks() - {asyncio.current_task()}:
            _, rest = await asyncio.wait(rest, timeout=HANDLERS_SECONDS)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=HANDLERS_SECONDS)

    def _application(self) -> web.Application:
        accesses: dict[web.AbstractResource | None, Access] = {}
        own = self._http.listen.rpartition(":")[0]
        guard = Guard(own, self._http.hosts, accesses, self.refusal, self._session.is_open)
        app = web.Application(middlewares=[guard.middleware], client_max_size=MAX_BODY_BYTES)
        app.on_response_prepare.append(add_headers)
        # Some proxies take the prefix away, and some do not.
        for prefix in {"", self._http.prefix}:
            for part in self._parts:
                for route in part.routes():
                    (added,) = app.router.add_routes(
                        [web.RouteDef(route.method, prefix + route.path, route.handler, {})]
                    )
                    accesses[added.resource] = part.access  # its HEAD, too
            if prefix:
                accesses[app.router.add_get(prefix, _to_folder).resource] = Access.ANYBODY
        return app


async def _to_folder(request: web.Request) -> web.StreamResponse:
    """The addresses in the page are relative: they need the slash at the end."""
    raise web.HTTPPermanentRedirect(f"{request.path.rpartition('/')[2]}/")


def _bound(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    """A socket that listens. `socket.create_server` would repeat the address in its error."""
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
