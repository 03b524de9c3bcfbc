"""Clients that are slow, many, or talk nonsense."""

import logging
import socket
import threading
import time

import pytest

from streaming.page.connections import MAX_CONNECTIONS, MAX_KEPT
from streaming.page.health import Health
from streaming.page.server import WebServer
from streaming.settings.web import HttpSettings
from tests.patience import eventually, patient
from tests.streaming.page.serving import Socket, ask, monitoring, serving, upgrade, web_threads


def ended(client):
    client.settimeout(0.05)
    try:
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off():
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), [monitoring()], connection_seconds=0.5)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as slow:
            begun, gone = time.monotonic(), False
            while not gone and time.monotonic() - begun < patient(10):
                try:
                    slow.sendall(b"G")
                except OSError:
                    gone = True
                gone = gone or ended(slow)
            assert gone
    finally:
        server.close()


def test_a_websocket_stays_longer_than_a_request_may():
    part = Socket()
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), [part], connection_seconds=0.3)
    server.start()
    try:
        client, line = upgrade(server)
        with client:
            assert b" 101 " in line
            time.sleep(1.0)
            assert part.open == 1
        eventually(lambda: part.open == 0)
    finally:
        server.close()


def test_slow_clients_lock_nobody_out():
    with serving(monitoring()) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2 * MAX_CONNECTIONS)]
        try:
            for client in slow:
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
            assert ask(server, "/healthz")[0] == 200
            eventually(lambda: sum(ended(client) for client in slow[:MAX_CONNECTIONS]) >= MAX_CONNECTIONS)
            assert len(web_threads()) == 1
        finally:
            for client in slow:
                client.close()


def test_viewers_lock_no_health_check_out():
    part = Socket()
    with serving(part, monitoring()) as server:
        clients = [upgrade(server) for _ in range(MAX_KEPT + 1)]
        try:
            lines = [line for _, line in clients]
            assert [b" 101 " in line for line in lines] == [True] * MAX_KEPT + [False]
            assert b" 503 " in lines[-1]
            assert ask(server, "/healthz")[0] == 200
            for _ in range(MAX_CONNECTIONS):  # nobody who looks is cut off for who does not
                socket.create_connection(("127.0.0.1", server.port)).close()
            assert ask(server, "/healthz")[0] == 200
            assert part.open == MAX_KEPT
        finally:
            for client, _ in clients:
                client.close()
        eventually(lambda: part.open == 0)


def test_many_clients_at_once_are_all_served():
    answers = []
    with serving(monitoring()) as server:

        def scrape():
            answers.extend([ask(server, "/metrics")[0] for _ in range(10)])

        threads = [threading.Thread(target=scrape) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [200] * 60


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n",
        b"GET /metrics\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G" * 70_000 + b"\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /%00\xff HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /metrics?name%5B%5D=nothing HTTP/1.1\r\nAccept: \xff\r\n\r\n",
    ],
)
def test_nonsense_does_no_harm_and_prints_nothing(capfd, caplog, request_bytes):
    caplog.set_level(logging.INFO)
    with serving(monitoring()) as server:
        answer = b""
        with socket.create_connection(("127.0.0.1", server.port), timeout=patient(10)) as client:
            try:
                client.sendall(request_bytes)
                client.shutdown(socket.SHUT_WR)
                while data := client.recv(65536):
                    answer += data
            except ConnectionError:
                pass
        assert ask(server, "/healthz")[0] == 200
    assert b"aiohttp" not in answer.lower()
    assert b"python" not in answer.lower()
    assert capfd.readouterr().err == ""
    assert not caplog.records


def test_a_client_that_leaves_before_its_answer_prints_nothing(capfd, caplog):
    caplog.set_level(logging.INFO)
    entered, left = threading.Event(), threading.Event()

    def health():
        entered.set()
        left.wait(patient(10))
        return Health(ok=True, details={"filler": "x" * 5_000_000})

    with serving(monitoring(health=health)) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert entered.wait(patient(10))
        # A reset, not a goodbye.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.close()
        left.set()
        assert ask(server, "/readyz")[0] == 200
    assert capfd.readouterr().err == ""
    assert not caplog.records
