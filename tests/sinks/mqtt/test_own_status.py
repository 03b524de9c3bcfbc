"""On a status topic stands what is true, whoever else publishes there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiomqtt
import pytest

from maskcast.stream_status import StreamStatus
from sinks.messages.status import status_message
from sinks.mqtt import connection, own_status
from sinks.mqtt.broker import BrokerAddress
from sinks.mqtt.connector import client_id
from sinks.mqtt.process_status import ProcessStatus
from sinks.mqtt.sink import MqttSink
from tests.broker import Broker
from tests.patience import eventually_async as until
from tests.patience import patient
from tests.publishing import at, publishing
from tests.sinks_media import info
from tests.strict_broker import strict
from tests.subscriber import subscriber


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_SECONDS", 0.1)


async def retained(broker: Broker, topic: str) -> str:
    """What the broker keeps on a topic."""
    async with aiomqtt.Client("127.0.0.1", broker.port) as client, asyncio.timeout(patient(20)):
        await client.subscribe(topic)
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            return str(json.loads(message.payload)["status"])
    raise AssertionError


async def _until_after(client: aiomqtt.Client, payload: bytes) -> AsyncIterator[aiomqtt.Message]:
    """What arrives, to the first message after one with `payload`."""
    seen = False
    async for message in client.messages:
        yield message
        if seen:
            return
        seen = message.payload == payload


@asynccontextmanager
async def ghost(broker: Broker, topic: str, will: bytes) -> AsyncIterator[None]:
    """A connection whose last will the broker publishes at the end."""
    async with aiomqtt.Client("127.0.0.1", broker.port, will=aiomqtt.Will(topic, will, 1, True)) as client:
        yield
        client._client._sock_close()


WRONG = {
    "a last will": status_message("door", "offline", "connection lost").json_bytes(),
    "nothing": b"",
    "no JSON": b"\xff{",
    "deep JSON": b"[" * 100_000,
    "another schema": b'{"status": "online"}',
}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_true_is_said_again(broker: Broker, protocol: str, wrong: bytes) -> None:
    async with publishing(at(broker, protocol=protocol), prompts=["cat"]) as one:
        await until(lambda: one.connected)
        async with aiomqtt.Client("127.0.0.1", broker.port) as client, asyncio.timeout(patient(20)):
            await client.subscribe("site/door/status")
            await client.publish("site/door/status", wrong, qos=1, retain=True)
            payloads = [bytes(message.payload) async for message in _until_after(client, wrong)]
        assert json.loads(payloads[-1])["status"] == "online"
        assert await retained(broker, "site/door/status") == "online"
    assert await retained(broker, "site/door/status") == "offline"


async def test_also_after_a_will_of_an_earlier_connection_and_by_the_process_and_by_track(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    process, sink = ProcessStatus(at(broker)), MqttSink(at(broker))
    await process.start()
    await process.reached()
    await sink.start(info())
    for one in (process._connection, sink._require()._connection):
        topic, will = one.status.topic, one.status._wills[-1]
        async with subscriber(broker.port, topic.removeprefix("site/")) as found:
            async with ghost(broker, topic, will):
                pass
            await until(lambda found=found: "offline" in [body["status"] for _, body, _ in found.messages])
            await until(lambda found=found: found.messages[-1][1]["status"] == "online")
        assert await retained(broker, topic) == "online"
    assert "somebody else" not in caplog.text, "it was our own will"
    await sink.finish(None)
    await process.close()
    assert await retained(broker, "site/status") == "offline"


async def test_an_old_will_does_not_hide_why_a_stream_is_offline(broker: Broker) -> None:
    async with publishing(at(broker)) as one, subscriber(broker.port, "door/status") as found:
        await until(lambda: one.connected)
        one.set_status(StreamStatus(False, "no camera", one.status.prompts))
        async with ghost(broker, "site/door/status", one._connection.status._wills[-1]):
            pass
        await until(lambda: "connection lost" in [body["reason"] for _, body, _ in found.messages])
        await until(lambda: found.messages[-1][1]["reason"] == "no camera")


async def test_a_second_process_under_the_same_prefix_that_ends_leaves_the_first_online(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(at(broker)) as one, subscriber(broker.port, "door/status") as found:
        await until(lambda: [body["status"] for _, body, _ in found.messages] == ["online"])
        async with publishing(at(broker, client_id="second"), prompts=["cat"]) as two:
            await until(lambda: two.connected)
            await asyncio.sleep(0.5)
            assert len(found.messages) <= 4, "two that say the same have nothing to fight about"
        await until(lambda: [body["status"] for _, body, _ in found.messages][-2:] == ["offline", "online"])
        assert one.reconnects == 0
    assert caplog.text.count("somebody else publishes there") == 1, "by the one that was there first"


async def test_two_that_contradict_each_other_do_not_fight(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_status, "PAUSE_SECONDS", 0.05)
    async with publishing(at(broker)) as one, publishing(at(broker, client_id="second"), prompts=["cat"]) as two:
        await until(lambda: one.connected and two.connected)
        async with subscriber(broker.port, "door/status") as found:
            two.set_status(StreamStatus(False, "no camera", two.status.prompts))
            await until(lambda: len(found.messages) >= 4)
            await asyncio.sleep(1.5)
            # 0.05 + 0.1 + … + 0.8 s, and each of the two.
            assert len(found.messages) <= 20


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_our_own_words_that_come_back_are_not_taken_for_others(
    broker: Broker, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with publishing(at(broker, protocol=protocol)) as one, subscriber(broker.port, "door/status") as found:
        await until(lambda: one.connected and found.messages)
        for number in range(20):
            before = len(found.messages)
            one.set_status(StreamStatus(number % 2 == 0, "flapping"))
            await until(lambda before=before: len(found.messages) > before)
        one.set_status(StreamStatus(True))
        await until(lambda: found.last("door/status").get("reason", "") is None)
        await asyncio.sleep(0.3)
        assert 3 <= len(found.messages) <= 23, "what changes faster than it is sent is sent once"
    assert "somebody else" not in caplog.text


async def test_the_client_id_is_the_same_after_each_reconnect_and_for_the_next_publisher() -> None:
    async with strict() as broker:
        for _ in range(2):
            async with publishing(at(broker)) as one:
                await until(lambda: one.connected)
                broker.writers[-1].close()
                await until(lambda: one.reconnects == 1 and one.connected)
        assert len(broker.clients) == 4
        assert len(set(broker.clients)) == 1
        named = at(broker, client_id="cam")
        process = ProcessStatus(named)
        await process.start()
        await process.reached()
        async with publishing(named) as one:
            await until(lambda: one.connected)
        await process.close()
        assert broker.clients[4:] == ["cam", "cam-door"]


def test_client_ids_differ_where_two_connections_may_stand_at_a_time() -> None:
    address = BrokerAddress("host", 1883, "site", tls=False)
    others = [replace(address, prefix="b"), replace(address, port=1884), replace(address, host="other")]
    ids = [client_id(one, stream) for one in (address, *others) for stream in (None, "door", "yard")]
    assert len(set(ids)) == len(ids)
    assert max(map(len, ids)) <= 23


async def test_a_client_id_that_another_process_uses_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async with strict() as broker, publishing(at(broker, client_id="cam")) as one:
        await until(lambda: one.connected)
        broker.writers[-1].write(bytes([0xE0, 2, 0x8E, 0]))  # DISCONNECT: session taken over
        await until(lambda: one.reconnects == 1 and one.connected)
    assert "Session taken over; another client has the client id cam-door: give each process" in caplog.text


async def test_a_last_will_that_would_be_too_long_leaves_out_what_was_served() -> None:
    async with strict() as broker:
        process = ProcessStatus(at(broker))
        await process.set_streams([f"{number:03}{'ö' * 120}" for number in range(300)])
        await process.start()
        await process.reached()
        await process.close()
        assert json.loads(broker.of("site/status")[0])["streams"]
        assert json.loads(process._connection.status._wills[-1])["streams"] == []
