"""Requests on the topic `control`, and the replies to them."""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Awaitable, Callable

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from maskcast.notices import Notice, Notify, RequestsAnswered, ignore
from sinks.messages.control import ControlMessage
from sinks.mqtt import connection, control_topic
from sinks.mqtt.control import BURST, RATE_PER_SECOND, ControlDesk
from tests import processes
from tests.broker import Broker
from tests.patience import eventually_async as until
from tests.patience import patient
from tests.publishing import at, publishing, result
from tests.subscriber import subscriber


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_SECONDS", 0.2)


async def ask(
    client: aiomqtt.Client, payload: bytes, correlation: bytes | None = None, *, retain: bool = False
) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ResponseTopic = "site/elsewhere"
    if correlation is not None:
        properties.CorrelationData = correlation
    await client.publish("site/door/control", payload, qos=1, retain=retain, properties=properties)


class Obedient:
    """A stream that does what a test says, which returns the prompts that are in force then."""

    def __init__(self, do: Callable[[ControlMessage], Awaitable[tuple[str, ...]]]) -> None:
        self.prompts: tuple[str, ...] = ("person",)
        self._do = do

    async def obey(self, request: ControlMessage) -> None:
        self.prompts = await self._do(request)


def desk(obey: Callable[[ControlMessage], Awaitable[tuple[str, ...]]], notify: Notify = ignore) -> ControlDesk:
    return ControlDesk("door", Obedient(obey), notify)


async def test_requests_are_answered_where_we_say(broker: Broker) -> None:
    seen = []

    async def obey(message: ControlMessage) -> tuple[str, ...]:
        seen.append(message.action)
        return ("dog",)

    async def older(client: aiomqtt.Client) -> None:
        await client.publish("site/door/control", b'{"action": "pause"}', retain=True)

    v5 = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=v5) as client, subscriber(broker.port) as found:
        await older(client)
        async with publishing(at(broker), control=desk(obey)) as one:
            await until(lambda: one.connected and "site/door/control" in one._connection._topics)
            await asyncio.sleep(0.2)
            await ask(client, b'{"action": "set", "prompts": ["dog"], "id": "x"}', b"\x00\xff")
            await ask(client, b"\xff\xfe not JSON")
            await until(lambda: len(found.of("door/control/reply")) == 2)
            first, second = found.of("door/control/reply")
            assert (first["status"], first["id"], first["prompts"]) == ("accepted", "x", ["dog"])
            assert (second["status"], second["id"]) == ("rejected", None)
            replies = [message for topic, _, message in found.messages if topic.endswith("reply")]
            assert [getattr(one.properties, "CorrelationData", None) for one in replies] == [b"\x00\xff", None]
            assert not found.of("elsewhere")
            # What the broker had kept is a command of long ago.
            assert seen == ["set"]
            one._connection._client._client.socket().shutdown(2)
            await until(lambda: one.reconnects == 1 and one.connected)
            await ask(client, b'{"action": "resume"}')
            await until(lambda: len(found.of("door/control/reply")) == 3)
            assert seen == ["set", "resume"]


async def test_a_request_that_fails_is_answered_and_the_next_one_too(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(message: ControlMessage) -> tuple[str, ...]:
        raise RuntimeError(message.action)

    async with aiomqtt.Client("127.0.0.1", broker.port) as client, subscriber(broker.port) as found:
        async with publishing(at(broker, protocol="3.1.1"), control=desk(fail)) as one:
            await until(lambda: one.connected and "site/door/control" in one._connection._topics)
            for _ in range(2):
                await client.publish("site/door/control", b'{"action": "pause"}', qos=1)
            await until(lambda: len(found.of("door/control/reply")) == 2)
        assert {message["status"] for message in found.of("door/control/reply")} == {"rejected"}
    assert caplog.text.count("RuntimeError: pause") == 2


async def test_what_needs_no_model_is_done_before_changes_of_prompts_that_keep_their_order(broker: Broker) -> None:
    go, made = asyncio.Event(), []

    async def obey(message: ControlMessage) -> tuple[str, ...]:
        if message.prompts:
            await go.wait()  # the model is busy
            made.append(message.prompts)
        return message.prompts

    changes = [f'{{"action": "set", "prompts": ["cat {n}"], "id": "{n}"}}' for n in range(3)]
    async with (
        aiomqtt.Client("127.0.0.1", broker.port) as client,
        subscriber(broker.port) as found,
        publishing(at(broker), control=desk(obey)) as one,
    ):
        await until(lambda: one.connected and "site/door/control" in one._connection._topics)
        for request in (*changes, '{"action": "pause", "id": "pause"}'):
            await client.publish("site/door/control", request, qos=1)
        await until(lambda: found.of("door/control/reply"))
        assert [message["id"] for message in found.of("door/control/reply")] == ["pause"]
        go.set()
        await until(lambda: len(found.of("door/control/reply")) == 4)
    assert [message["id"] for message in found.of("door/control/reply")] == ["pause", "0", "1", "2"]
    assert made == [("cat 0",), ("cat 1",), ("cat 2",)]


async def test_of_changes_only_so_many_wait_for_the_model(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_topic, "MOST_WAITING_REQUESTS", 2)
    go = asyncio.Event()

    async def obey(message: ControlMessage) -> tuple[str, ...]:
        await go.wait()
        return message.prompts

    async with (
        aiomqtt.Client("127.0.0.1", broker.port) as client,
        subscriber(broker.port) as found,
        publishing(at(broker), control=desk(obey)) as one,
    ):
        await until(lambda: one.connected and "site/door/control" in one._connection._topics)
        for number in range(4):
            await client.publish(
                "site/door/control", f'{{"action": "set", "prompts": ["cat"], "id": "{number}"}}', qos=1
            )
        await until(lambda: found.of("door/control/reply"))
        [rejected] = found.of("door/control/reply")
        assert (rejected["id"], rejected["status"]) == ("3", "rejected")
        assert rejected["reason"] == "2 changes wait already"
        go.set()
        await until(lambda: len(found.of("door/control/reply")) == 4)
    assert [message["id"] for message in found.of("door/control/reply")] == ["3", "0", "1", "2"]


async def test_a_flood_of_requests_does_not_slow_frames(broker: Broker) -> None:
    calls = rejected = 0

    async def obey(message: ControlMessage) -> tuple[str, ...]:
        nonlocal calls
        calls += 1
        return ("person",)

    def answered(notice: Notice) -> None:
        nonlocal rejected
        assert isinstance(notice, RequestsAnswered)
        rejected += 0 if notice.accepted else notice.count

    flood = f"""
import paho.mqtt.client as paho
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client.connect("127.0.0.1", {broker.port})
client.loop_start()
for _ in range(20_000):
    info = client.publish("site/door/control", b'{{"action": "pause"}}' + b" " * 100)
info.wait_for_publish({patient(30)})
client.disconnect()
client.loop_stop()
"""
    async with subscriber(broker.port, "door/control/reply") as found:
        found_replies = functools.partial(found.of, "door/control/reply")
        async with publishing(at(broker), control=desk(obey, answered)) as one:
            await until(lambda: one.connected and "site/door/control" in one._connection._topics)
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(*processes.LEASH, sys.executable, "-c", flood)
            slowest, index = 0.0, 0
            while process.returncode is None or not found_replies():
                started = time.monotonic()
                await one.write(result(index))
                await asyncio.sleep(0)
                slowest = max(slowest, time.monotonic() - started)
                index += 1
                await asyncio.sleep(0.02)
            assert await process.wait() == 0
            assert slowest < patient(0.3)
            assert one.dropped_frames < index / 4
            await until(lambda: rejected == sum(one["count"] for one in found_replies() if one["status"] == "rejected"))
            seconds = time.monotonic() - began
            assert calls <= BURST + RATE_PER_SECOND * seconds
            floods = [reply for reply in found_replies() if reply["count"] > 1]
            assert {(reply["status"], reply["reason"]) for reply in floods} == {
                ("rejected", "more than 10 requests a second")
            }
            assert len(floods) <= seconds + 1
            assert one.reconnects == 0
            # It goes on listening.
            async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
                while found_replies()[-1]["id"] != "after":
                    await ask(client, b'{"action": "resume", "id": "after"}')
                    await asyncio.sleep(1 / RATE_PER_SECOND)
