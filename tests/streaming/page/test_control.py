"""Requests that are made on the page: the same as over MQTT, and as harmless."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from maskcast.errors import UsageError
from sinks.messages.control import AnyControlMessage
from sinks.mqtt import control as desks
from sinks.mqtt.control import BURST, MAX_REQUEST_BYTES, ControlDesk
from streaming.page import control
from streaming.page.connections import POLL_SECONDS
from streaming.page.control import Control
from streaming.page.server import WebServer
from streaming.settings.web import HttpSettings
from tests.patience import eventually_async
from tests.schemas import SCHEMAS
from tests.streaming.page.serving import ask, serving

PAUSE = b'{"action": "pause", "id": "me"}'


class Stream:
    """What carries requests out; `open` while it does not take its time."""

    def __init__(self) -> None:
        self.prompts = ("person",)
        self.handled: list[AnyControlMessage] = []
        self.open = asyncio.Event()
        self.open.set()

    async def obey(self, request: AnyControlMessage) -> None:
        await self.open.wait()
        if request.action == "reset":
            raise UsageError("no totals: the stream has no zone and no line")
        self.handled.append(request)


@contextmanager
def page(streams: dict[str, ControlDesk], *, read_only: bool = False) -> Iterator[WebServer]:
    with serving(Control(streams.get, read_only=read_only)) as server:
        yield server


async def post(server: WebServer, path: str, body: bytes = PAUSE) -> tuple[int, object]:
    """The status, and the reply that follows its schema, or a line of text."""
    status, headers, said = await asyncio.to_thread(ask, server, path, "POST", body=body)
    if headers["Content-Type"].startswith("application/json"):
        found = json.loads(said)
        SCHEMAS[found["schema"]].validate(found)
        return status, found
    return status, said.decode()


async def test_a_request_is_answered_as_over_mqtt() -> None:
    stream = Stream()
    with page({"door": ControlDesk("door", stream)}) as server:
        status, reply = await post(server, "/control/door")
        assert (status, reply["status"], reply["id"]) == (200, "accepted", "me")
        assert [request.action for request in stream.handled] == ["pause"]
        reset = {"schema": "maskcast.control/3", "action": "reset"}
        status, reply = await post(server, "/control/door", json.dumps(reset).encode())
        assert (status, reply["schema"], reply["reason"][:9]) == (400, "maskcast.reply/3", "no totals")
        for body in (b"", b"\xff", b"[" * 9, b"{}", b" " * (MAX_REQUEST_BYTES + 1)):
            status, reply = await post(server, "/control/door", body)
            assert (status, reply["status"], reply["action"]) == (400, "rejected", None)
        assert (await post(server, "/control/door", b" " * (1 << 20)))[0] == 413
        for other in ("/control/yard", "/control/%2e%2e%2fdoor", "/control/<script>".replace("<", "%3c"), "/control/"):
            assert (await post(server, other))[0] == 404
        assert (await asyncio.to_thread(ask, server, "/control/door"))[0] == 405
        assert len(stream.handled) == 1


async def test_nothing_is_taken_where_it_is_read_only() -> None:
    stream = Stream()
    with page({"door": ControlDesk("door", stream)}, read_only=True) as server:
        assert await post(server, "/control/door") == (403, "read only\n")
    assert stream.handled == []


async def test_those_above_the_rate_are_told_so_and_each_stream_has_a_rate_of_its_own() -> None:
    stream, told = Stream(), []
    streams = {name: ControlDesk(name, stream, told.append, lambda: 0.0) for name in ("door", "yard")}
    with page(streams) as server:
        found = [await post(server, "/control/door") for _ in range(int(BURST) + 2)]
        assert [status for status, _ in found] == [200] * int(BURST) + [429] * 2
        assert (await post(server, "/control/yard"))[0] == 200
    assert [answered.accepted for answered in told].count(False) == 2


async def test_an_answer_may_take_longer_than_a_connection_without_a_question() -> None:
    stream = Stream()
    stream.open.clear()
    part = Control({"door": ControlDesk("door", stream)}.get, read_only=False)
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), [part], connection_seconds=0.2)
    server.start()
    try:
        waiting = asyncio.create_task(post(server, "/control/door"))
        await asyncio.sleep(0.2 + 3 * POLL_SECONDS)
        stream.open.set()
        assert (await waiting)[0] == 200
    finally:
        server.close()


async def test_few_wait_and_none_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "MOST_WAITING_REQUESTS", 2)
    stream = Stream()
    stream.open.clear()
    streams = {"door": ControlDesk("door", stream), "yard": ControlDesk("yard", stream)}
    with page(streams) as server:
        waiting = [asyncio.create_task(post(server, "/control/door")) for _ in range(2)]
        await eventually_async(lambda: streams["door"]._waiting == 2)
        assert (await post(server, "/control/door"))[0] == 429
        monkeypatch.setattr(control, "ANSWER_SECONDS", 0.05)
        assert (await post(server, "/control/yard"))[0] == 504
        del streams["door"]
        stream.open.set()
        assert [status for status, _ in await asyncio.gather(*waiting)] == [404, 404], "it went meanwhile"
