"""The MQTT client on its own: what the library under it says, and what it collects of what arrives."""

from __future__ import annotations

import asyncio
import socket
import struct
import tracemalloc

import aiomqtt
import pytest

from sinks.mqtt.client import LARGEST_INCOMING_BYTES, READ_BYTES, Client, ClosedError, TimedOutError
from tests.patience import patient, slowness


async def test_an_answer_that_comes_after_its_time_out_is_no_error_in_the_log(caplog):
    client = Client("127.0.0.1", 9, protocol="5")
    client._client.on_unsubscribe(client._client, None, 143, [], None)
    assert not caplog.records


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_huge_message_is_read_to_its_end_and_not_collected(protocol, caplog):
    """The broker should not send it with MQTT 5; an older one cannot know better."""
    size = 50 << 20

    async def serve(reader, writer):
        await reader.read(1000)
        properties = b"\0" if protocol == "5" else b""
        writer.write(bytes([0x20, 2 + len(properties), 0, 0]) + properties)
        for length, topic in ((size, b"big"), (7, b"big")):
            body = len(properties) + 5 + length
            groups = [body >> shift & 127 for shift in (0, 7, 14, 21)]
            writer.write(bytes([0x30, *(group | 128 for group in groups[:3]), groups[3], 0, 3]) + topic + properties)
            for begin in range(0, length, READ_BYTES):
                writer.write(b"x" * min(READ_BYTES, length - begin))
                await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = Client("127.0.0.1", port, protocol=protocol, timeout=patient(10))
        tracemalloc.start()
        try:
            async with client, asyncio.timeout(patient(60)):
                lengths = [len(message.payload) async for message in _first(client, 2)]
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert LARGEST_INCOMING_BYTES / 2 < lengths[0] <= LARGEST_INCOMING_BYTES + READ_BYTES
    assert lengths[1] == 7
    assert most < 20 * LARGEST_INCOMING_BYTES
    assert [line for line in caplog.messages if f"{size + 5 + (protocol == '5')} bytes" in line]


@pytest.mark.parametrize("flood", [True, False])
async def test_an_answer_may_come_late_behind_a_flood_of_messages(flood):
    timeout = 0.2 * slowness()
    done, closed = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        await reader.read(1000)
        writer.write(b"\x20\x02\0\0")
        publish = await reader.readexactly(11)
        if flood:
            for _ in range(30):  # three time-outs
                writer.write(b"\x30\x04\0\x01tx")
                await asyncio.sleep(timeout / 10)
            writer.write(b"\x40\x02" + publish[7:9])
        await done.wait()
        writer.close()
        closed.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Client("127.0.0.1", port, protocol="3.1.1", timeout=timeout) as client:
            sending = client.publish("abc", b"x" * 2, qos=1)
            if flood:
                await sending
            else:
                with pytest.raises(TimedOutError):
                    await sending
            done.set()
        await closed.wait()


async def test_what_the_system_takes_is_written_at_once(broker):
    async with Client("127.0.0.1", broker.port, protocol="5") as client:
        await client.subscribe("a")
        with pytest.raises(StopIteration):  # it waits for nothing
            client.publish("a", b"x").send(None)
        async with asyncio.timeout(patient(30)):
            assert [message.payload async for message in _first(client, 1)] == [b"x"]
        assert not client._client.want_write()


async def test_what_the_system_does_not_take_is_written_when_it_does():
    wanted, closed, size = asyncio.Event(), asyncio.Event(), 20 << 20

    async def serve(reader, writer):
        await reader.read(1000)
        writer.write(b"\x20\x02\0\0")
        await wanted.wait()
        received = await reader.readexactly(1 + 4 + 3 + size)
        assert received[8:] == b"x" * size
        assert (await reader.readexactly(1 + 1 + 3 + 1)).endswith(b"y")
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Client("127.0.0.1", port, protocol="3.1.1", timeout=patient(60)) as client:
            first = asyncio.create_task(client.publish("a", b"x" * size))
            second = asyncio.create_task(client.publish("a", b"y"))
            await asyncio.wait([first, second], timeout=0.05)
            assert not first.done()
            assert not second.done()
            wanted.set()
            async with asyncio.timeout(patient(30)):
                await asyncio.gather(first, second)
                await closed.wait()


async def test_a_connection_that_breaks_over_a_message_is_lost_and_no_more():
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))

    def answer(server):
        connection, _ = server.accept()
        connection.recv(1000)
        connection.send(b"\x20\x02\0\0")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return connection

    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = asyncio.create_task(asyncio.to_thread(answer, server))
        client = Client("127.0.0.1", server.getsockname()[1], protocol="3.1.1", timeout=patient(60))
        await client.__aenter__()
        (await answering).close()  # at once, without a farewell
        with pytest.raises(ClosedError, match="lost"):
            await client.publish("a", b"x")
    assert client.lost
    await asyncio.sleep(0.01)
    assert not said


async def _first(client, count):
    async for message in client.messages:
        yield message
        count -= 1
        if not count:
            return


async def test_a_broker_that_hangs_up_is_noticed_at_once():
    async def hang_up(reader, writer):
        await reader.read(1000)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = Client("127.0.0.1", port, protocol="3.1.1", timeout=patient(600))
        with pytest.raises(ClosedError, match="without an answer"):
            async with asyncio.timeout(patient(30)):
                await client.__aenter__()
        client._client._sock_close()


async def test_whoever_waits_for_an_answer_learns_that_none_will_come():
    async def serve(reader, writer):
        await reader.read(1000)
        writer.write(bytes([0x20, 2, 0, 0]))
        await reader.read(1000)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = Client("127.0.0.1", port, protocol="3.1.1", timeout=patient(600))
        await client.__aenter__()
        with pytest.raises(ClosedError, match="lost"):
            async with asyncio.timeout(patient(30)):
                await client.publish("site/a", b"x", qos=1)
        assert client.lost
        with pytest.raises(aiomqtt.MqttError):
            await client.publish("site/a", b"x", qos=1)
