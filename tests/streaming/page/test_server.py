"""The web server's beginning and end, and that it depends on nobody."""

import asyncio
import socket
import time
from pathlib import Path

import pytest
from aiohttp import web

from maskcast.errors import UsageError
from streaming.page.part import Part, asked
from streaming.page.server import WebServer
from streaming.settings.web import HttpSettings
from tests.patience import eventually, patient
from tests.streaming.page.serving import Socket, ask, monitoring, serving, upgrade, web_threads


def server_at(listen):
    return WebServer(HttpSettings(listen=listen), [monitoring()])


def test_ipv6_works():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with serving(monitoring(), listen="[::1]:0") as server:
        assert server.url == f"http://[::1]:{server.port}/"
        assert ask(server, "/healthz", host="::1")[0] == 200


def test_a_taken_port_is_one_clear_line():
    with serving() as server:
        port = server.port
        with pytest.raises(UsageError, match=rf"^http: cannot listen on 127\.0\.0\.1:{port}: .*in use; .*another"):
            server_at(f"127.0.0.1:{port}").start()


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1:9464"):
        server_at("192.0.2.1:9464").start()


def test_closing_frees_the_port_the_thread_and_the_descriptors():
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    eventually(lambda: not web_threads())
    before = descriptors()
    port = 0
    for _ in range(3):
        server = server_at(f"127.0.0.1:{port}")
        server.start()
        port = server.port
        assert ask(server, "/healthz")[0] == 200
        idle = socket.create_connection(("127.0.0.1", port))  # who says nothing does not hold the closing up
        server.close()
        server.close()
        idle.close()
        assert not web_threads()
    assert descriptors() == before


def test_closing_without_start_is_no_error():
    server_at("127.0.0.1:0").close()


def test_open_sockets_hold_the_closing_up_for_less_than_a_second():
    part = Socket()
    with serving(part, monitoring()) as server:
        clients = [upgrade(server) for _ in range(5)]
        eventually(lambda: part.open == 5)
        begun = time.monotonic()
        server.close()
        assert time.monotonic() - begun < patient(1.0)
    assert part.open == 0
    assert not web_threads()
    for client, line in clients:
        assert b" 101 " in line
        client.close()


class Hanging(Part):
    """Asks an event loop that does not answer."""

    def __init__(self, loop):
        self.loop, self.waiting, self.begun = loop, 0, []

    def routes(self):
        return [web.get("/slow", self._slow)]

    async def begin(self):
        self.begun.append(asyncio.get_running_loop())

    async def _slow(self, _):
        self.waiting += 1
        try:
            return web.Response(text=await asked(self.loop, self._answer(), seconds=patient(30)))
        finally:
            self.waiting -= 1

    async def _answer(self):
        return f"{asyncio.get_running_loop() is self.loop}"


async def test_it_answers_while_the_pipelines_loop_hangs_and_nothing_piles_up():
    part = Hanging(asyncio.get_running_loop())
    with serving(part, monitoring()) as server:
        assert (await asyncio.to_thread(ask, server, "/slow"))[2] == b"True"
        assert part.begun != [part.loop]
        clients = []  # nothing is awaited from here: this loop hangs
        for _ in range(3):
            clients.append(socket.create_connection(("127.0.0.1", server.port)))
            clients[-1].sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: part.waiting == 3)
        assert ask(server, "/healthz")[0] == 200
        for client in clients:
            client.close()
        eventually(lambda: part.waiting == 0)
