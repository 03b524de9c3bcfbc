"""A web server in the test's own process, and clients of it."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from streaming.page.connections import keep
from streaming.page.health import Health
from streaming.page.monitoring import Monitoring
from streaming.page.part import Part
from streaming.page.server import WebServer
from streaming.settings.web import HttpSettings
from tests.patience import patient

FINE = Health(ok=True)


def monitoring(registry=None, health=lambda: FINE, ready=lambda: FINE):
    return Monitoring(registry or CollectorRegistry(), health, ready)


class Socket(Part):
    """A WebSocket that says back what it hears, and counts who is connected."""

    def __init__(self):
        self.open = 0

    def routes(self):
        return [web.get("/socket", self._socket)]

    async def _socket(self, request):
        keep(request)
        self.open += 1
        try:
            answer = web.WebSocketResponse()
            await answer.prepare(request)
            async for message in answer:
                await answer.send_str(message.data)
            return answer
        finally:
            self.open -= 1


def upgrade(server, path="/socket", headers=None):
    """A client that asks for a WebSocket, and the head of the answer."""
    more = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": "localhost"} | (headers or {})).items())
    client = socket.create_connection(("127.0.0.1", server.port), timeout=patient(10))
    client.sendall(
        f"GET {path} HTTP/1.1\r\n{more}Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        more_of_it = client.recv(1)
        assert more_of_it, f"the server has hung up after {head!r}"
        head += more_of_it
    return client, head


def upgraded(server, path="/socket", headers=None):
    """The status with which a WebSocket is answered."""
    client, head = upgrade(server, path, headers)
    client.close()
    return int(head.split()[1])


@contextmanager
def serving(*parts: Part, salt: Path | None = None, **settings: Any) -> Iterator[WebServer]:
    """A server of these parts on a free port; `settings` are those of ``[http]``."""
    server = WebServer(HttpSettings.model_validate({"listen": "127.0.0.1:0", **settings}), parts, salt=salt)
    server.start()
    try:
        yield server
    finally:
        server.close()


def ask(server, path, method="GET", host="127.0.0.1", headers=None, body=None, timeout=10):
    """One request: its status, headers and body."""
    connection = http.client.HTTPConnection(host, server.port, timeout=patient(timeout))
    try:
        connection.request(method, path, headers=headers or {}, body=body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def web_threads() -> Sequence[threading.Thread]:
    """Those of servers in this process."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("web")]
