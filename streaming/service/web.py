"""``/metrics``, ``/healthz`` and ``/readyz`` over HTTP, on a thread of its own: it answers while the loop hangs."""

from __future__ import annotations

import contextlib
import http
import io
import ipaddress
import json
import logging
import re
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from maskcast.errors import UsageError, reason_of, unforeseen
from maskcast.redaction import redact
from streaming.service.metrics import Metrics
from streaming.settings.values import host_and_port

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)

# Prometheus, a container's health check and some people with browsers at once.
MAX_CONNECTIONS = 16
# From accepting a connection to closing it, whatever the client does; Prometheus itself gives up after 10 s.
CONNECTION_SECONDS = 10.0
# How often the server looks for connections that are past that, and for being closed.
POLL_SECONDS = 0.2
# What a new connection waits for the place of one that was cut off for it, and `close` for the last ones to end.
CUT_OFF_SECONDS = 1.0


@dataclass(frozen=True)
class Health:
    """The answer to one question about the process.

    Attributes:
        ok: decides between the statuses 200 and 503.
        reason: what is wrong; one line for a person.
        details: more for the JSON body, such as the state of each stream.
    """

    ok: bool
    reason: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class WebServer:
    """Serves metrics and health.

    Args:
        listen: ``host:port``, ``[::1]:port`` for IPv6; port 0 takes a free one.
        metrics: what ``/metrics`` shows.
        health: answers ``/healthz``: does the process make progress? Called on the server's threads.
        ready: answers ``/readyz``: can it do its work? Called on the server's threads.
        hosts: names that clients may call it by, besides localhost, the one in `listen` and any IP address. Others are
            refused: a page in somebody's browser could have its own name point here (DNS rebinding).
        connection_seconds: after which a connection is closed, finished or not.
    """

    def __init__(
        self,
        listen: str,
        metrics: Metrics,
        health: Callable[[], Health],
        ready: Callable[[], Health],
        *,
        hosts: Iterable[str] = (),
        connection_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        self._listen = listen
        self._hosts = frozenset(name.lower() for name in ("localhost", listen.rpartition(":")[0], *hosts))
        self._seconds = connection_seconds
        self._metrics = make_wsgi_app(metrics.registry)
        self._questions = {"/healthz": health, "/readyz": ready}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        assert self._server is not None
        return self._server.server_port

    def start(self) -> None:
        """Listen and serve until `close`.

        Raises:
            UsageError: the address is not ``host:port``, is taken or is not one of this machine.
        """
        address = host_and_port(self._listen)
        if address is None:
            what = f"{self._listen!r} is no address to listen on"
            raise UsageError(what, where="http", advice="give it as 127.0.0.1:9464")
        try:
            family, _, _, _, bound = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
            self._server = _Server(family, bound, self._answer, self._seconds)
        except OSError as error:
            what = f"cannot listen on {self._listen}: {reason_of(error)}"
            raise UsageError(what, where="http", advice="stop what uses it or choose another address") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="web", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, cut off who is still connected, end the thread. May be called twice, or without `start`."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        server.server_close()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        headers: list[tuple[str, str]] = [("Content-Type", "text/plain; charset=utf-8")]
        if not self._is_known(environ.get("HTTP_HOST")):
            status, body = "421 Misdirected Request", b"this name is not served: add it to [http] hosts\n"
        elif method not in {"GET", "HEAD"}:
            status, body = "405 Method Not Allowed", b"only GET and HEAD\n"
            headers.append(("Allow", "GET, HEAD"))
        elif path == "/metrics":
            status, headers, body = self._scrape({**environ, "REQUEST_METHOD": "GET"})
        elif path in self._questions:
            status, body = _ask(self._questions[path])
            headers = [("Content-Type", "application/json")]
        else:
            status, body = "404 Not Found", b"try /metrics, /healthz or /readyz\n"
        start_response(status, [*headers, ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
        return [] if method == "HEAD" else [body]

    def _is_known(self, host: str | None) -> bool:
        """Whether a Host header names this server. Without one it is no browser that asks."""
        if host is None:
            return True
        name = re.sub(r":\d*$", "", host).lower().removesuffix(".")
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return name in self._hosts
        return True

    def _scrape(self, environ: WSGIEnvironment) -> tuple[str, list[tuple[str, str]], bytes]:
        answers: list[tuple[str, list[tuple[str, str]]]] = []
        body = b"".join(self._metrics(environ, lambda status, headers: answers.append((status, headers))))
        return (*answers[0], body)


def _ask(question: Callable[[], Health]) -> tuple[str, bytes]:
    try:
        answer = question()
    except Exception as error:  # a question that cannot be answered is not a good sign
        logger.exception("a health check failed")
        answer = Health(ok=False, reason=f"the check itself failed: {unforeseen(error)}")
    status = http.HTTPStatus.OK if answer.ok else http.HTTPStatus.SERVICE_UNAVAILABLE
    body = {"status": "ok" if answer.ok else "failing"}
    if answer.reason:
        body["reason"] = answer.reason
    text = json.dumps(_redacted({**body, **answer.details}), default=str)
    return f"{status.value} {status.phrase}", f"{text}\n".encode()


def _redacted(value: Any) -> Any:
    """Without credentials; string by string, as the redaction of the whole text could take a quote for a password."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        # Keys are names of streams, which hold nothing from the environment: masked, two could become one.
        return {str(key): _redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(item) for item in value]
    return value


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A thread a connection, but never more than `MAX_CONNECTIONS`, and none for longer than its time.

    A time-out of each read would not do: a client that sends a byte a second would never lose its thread. When all
    places are taken the oldest connection gives its own up, so that slow clients cannot lock out a health check.
    """

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, family: socket.AddressFamily, address: Any, app: Any, seconds: float) -> None:
        self.address_family = family
        self._seconds = seconds
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        self._lock = threading.Lock()
        self._since: dict[socket.socket, float] = {}  # open connections, oldest first
        super().__init__(address, _Handler)
        self.set_app(app)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer would ask the DNS for a name, which may take its time
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def service_actions(self) -> None:
        """Called by `serve_forever` every `POLL_SECONDS`."""
        now = time.monotonic()
        with self._lock:
            late = [connection for connection, since in self._since.items() if now - since > self._seconds]
        for connection in late:
            _cut_off(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            with self._lock:
                oldest = next(iter(self._since), None)
            if oldest is not None:
                _cut_off(oldest)
            if not self._places.acquire(timeout=CUT_OFF_SECONDS):
                self.shutdown_request(request)
                return
        with self._lock:
            self._since[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had; the base class closes the connection
            self._give_back(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        threading.current_thread().name = "web connection"
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._give_back(request)

    def _give_back(self, request: Any) -> None:
        with self._lock:
            self._since.pop(request, None)
        self._places.release()

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            connections = list(self._since)
        for connection in connections:
            _cut_off(connection)
        deadline = time.monotonic() + CUT_OFF_SECONDS
        for _ in range(MAX_CONNECTIONS):
            self._places.acquire(timeout=max(deadline - time.monotonic(), 0.0))

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - as the base class has it
        """Clients that go away are no news; the default prints a traceback for each."""
        logger.debug("a request of %s failed: %r", client_address[0], sys.exception())


class _Handler(WSGIRequestHandler):
    timeout = 5  # seconds for one read or write

    def get_stderr(self) -> Any:
        return io.StringIO()  # where wsgiref prints the traceback of a client that went away

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the base class gave it
        logger.debug(format, *args)


def _cut_off(connection: socket.socket) -> None:
    """Wake up the thread that waits for this client; it closes the socket."""
    with contextlib.suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)
