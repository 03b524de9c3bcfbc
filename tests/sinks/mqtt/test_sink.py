"""The MQTT sink against a real Mosquitto, read by a subscriber that knows nothing but the schemas."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskcast.errors import SinkError
from maskcast.result import Result
from sinks import open_sink
from sinks.messages import rle
from sinks.mqtt import connection, connector, publisher
from sinks.mqtt import sink as mqtt
from sinks.mqtt.sink import MqttSink
from sinks.sink import Sink
from tests import processes
from tests.broker import Broker, running
from tests.paths import ROOT
from tests.patience import eventually_async, patient
from tests.ports import free_port
from tests.publishing import result
from tests.sinks_media import info, tracks
from tests.subscriber import subscriber


async def put(sink: Sink, one: Result) -> None:
    """Hand over a result as the pipeline does."""
    if one.events:
        await sink.note(one)
    await sink.write(one)


async def test_a_subscriber_gets_every_frame_event_and_status(broker: Broker) -> None:
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
    async with subscriber(broker.port, prefix="site/test") as found:
        await sink.start(info())
        for index in range(60):
            await put(sink, result(index, event=index % 10 == 0))
        await sink.finish(None)
        await eventually_async(lambda: len(found.of("status")) == 2)
        assert [message["frame"] for message in found.of("tracks")] == list(range(60))
        events = found.of("events")
        assert [message["frame"] for message in events] == [0, 10, 20, 30, 40, 50]
        assert len({message["id"] for message in events}) == 6
        online, offline = found.of("status")
        assert (online["status"], online["reason"]) == ("online", None)
        assert (offline["status"], offline["reason"]) == ("offline", "end of stream")
    async with subscriber(broker.port, prefix="site/test") as late:
        await eventually_async(lambda: len(late.messages) == 2)
        assert [(topic, message.retain) for topic, _, message in late.messages] == [
            ("site/test/status", True),
            ("site/test/counts", True),
        ]
        assert late.of("status")[0]["status"] == "offline"


async def test_events_that_the_broker_refuses_are_an_error_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", patient(60))
    allowed = tmp_path / "allowed"
    allowed.write_text("topic write site/test/tracks\n", encoding="utf-8")
    with running(tmp_path / "broker", lines=[f"acl_file {allowed}"]) as broker:
        sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
        await sink.start(info())
        await put(sink, result(0, event=True))
        began = time.monotonic()
        with pytest.raises(SinkError, match="refuses events; 1 events are not delivered"):
            await sink.finish(None)
        assert time.monotonic() - began < publisher.FLUSH_SECONDS / 2, "it is known that waiting does not help"


async def test_reason_is_published_without_credentials(broker: Broker) -> None:
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
    async with subscriber(broker.port, prefix="site/test") as found:
        await sink.start(info())
        await sink.finish("rtsp://admin:hunter2@camera/1 does not answer")
        await eventually_async(lambda: len(found.of("status")) == 2)
        reason = found.of("status")[1]["reason"]
        assert "does not answer" in reason
        assert "hunter2" not in reason


async def test_last_will_when_the_process_dies(broker: Broker) -> None:
    code = f"""
import asyncio
from sinks import open_sink
from tests.sinks_media import info
async def main():
    await open_sink("mqtt://127.0.0.1:{broker.port}/site").start(info())
    await asyncio.sleep(60)
asyncio.run(main())
"""
    async with subscriber(broker.port, prefix="site/test") as found:
        with processes.running([sys.executable, "-c", code], cwd=ROOT):
            await eventually_async(lambda: bool(found.of("status")))
        await eventually_async(lambda: len(found.of("status")) == 2)
        assert (found.of("status")[1]["status"], found.of("status")[1]["reason"]) == ("offline", "connection lost")


async def test_broker_restarts(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
    assert isinstance(sink, MqttSink)
    await sink.start(replace(info(), live=True))
    await put(sink, result(0, event=True))
    await asyncio.sleep(0.2)
    broker.stop()
    await eventually_async(lambda: not sink._require().connected)
    for index in range(1, 21):
        started = time.monotonic()
        await put(sink, result(index, event=True))
        assert time.monotonic() - started < patient(0.5)  # frames go on, broker or no broker
    assert sink.dropped_frames == 20
    broker.start()
    async with subscriber(broker.port, prefix="site/test") as found:
        # The broker keeps nothing over its restart, so whoever listens again in time gets all events, in order.
        await eventually_async(lambda: bool(found.of("status")))
        # The status is the first to be sent; frames follow once the broker has acknowledged it.
        await eventually_async(lambda: sink._require().connected)
        await put(sink, result(21, event=True))
        await sink.finish(None)
        await eventually_async(lambda: bool(found.of("status")) and found.of("status")[-1]["status"] == "offline")
        assert found.of("status")[0]["status"] == "online"
        assert found.of("tracks")[-1]["frame"] == 21
        received = [message["frame"] for message in found.of("events")]
        assert received == sorted(received)
        assert received[-1] == 21
    assert sink.dropped_events == 0


async def test_events_wait_in_a_bounded_queue(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt, "MOST_EVENTS", 5)
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.5)
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
    assert isinstance(sink, MqttSink)
    await sink.start(replace(info(), live=True))
    broker.stop()
    await eventually_async(lambda: not sink._require().connected)
    for index in range(8):
        await put(sink, result(index, event=True))
    assert sink.dropped_events == 3
    with pytest.raises(SinkError, match="5 events are not delivered") as caught:
        await sink.finish(None)
    assert "\n" not in str(caught.value)


async def test_a_stalled_broker_does_not_stall_a_live_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """It accepts the connection and then reads nothing: the newest frames win."""
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.3)
    stalled = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes([0x20, 3, 0, 0, 0]))  # CONNACK of MQTT 5
        for _ in range(2):  # status and counts
            header = await reader.readexactly(2)
            publish = await reader.readexactly(header[1] if header[1] < 128 else await _length(reader, header[1]))
            topic = publish[1] + 256 * publish[0]
            writer.write(bytes([0x40, 2]) + publish[2 + topic : 4 + topic])  # PUBACK
        header = await reader.readexactly(2)
        subscribe = await reader.readexactly(header[1])
        writer.write(bytes([0x90, 4]) + subscribe[:2] + bytes([0, 0]))  # SUBACK
        await stalled.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    port = server.sockets[0].getsockname()[1]
    sink = open_sink(f"mqtt://127.0.0.1:{port}/site")
    assert isinstance(sink, MqttSink)
    await sink.start(replace(info(), live=True))
    slowest = 0.0
    for index in range(100):
        started = time.monotonic()
        await sink.write(replace(result(index), tracks=tracks((180, 320), index, 150)))
        slowest = max(slowest, time.monotonic() - started)
        await asyncio.sleep(0)
    assert slowest < patient(0.5)
    assert sink.dropped_frames > 0
    with pytest.raises(SinkError):
        await sink.finish(None)
    stalled.set()
    server.close()


async def test_of_a_live_stream_only_the_newest_frame_waits(broker: Broker) -> None:
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
    assert isinstance(sink, MqttSink)
    async with subscriber(broker.port, prefix="site/test") as found:
        await sink.start(replace(info(), live=True))
        for index in range(20):  # without a pause in which one could be sent
            await put(sink, result(index))
        await sink.finish(None)
        await eventually_async(lambda: len(found.of("status")) == 2)
        assert [message["frame"] for message in found.of("tracks")] == [19]
    assert sink.dropped_frames == 19


async def test_a_frame_that_waited_for_room_is_not_sent_after_a_disconnection(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
    assert isinstance(sink, MqttSink)
    await sink.start(replace(info(), live=True))
    broker.stop()
    await eventually_async(lambda: not sink._require().connected)
    sink._require()._tracks._frames.append((result(98), 0, 0))  # as if found room for while the connection broke
    broker.start()
    async with subscriber(broker.port, prefix="site/test") as found:
        await eventually_async(lambda: bool(found.of("status")) and sink._require().connected)
        await put(sink, result(99))
        await sink.finish(None)
        await eventually_async(lambda: found.last("status").get("status") == "offline")
        assert [message["frame"] for message in found.of("tracks")] == [99]
    assert sink.dropped_frames == 1


async def _length(reader: asyncio.StreamReader, low: int) -> int:
    return (low & 0x7F) + 128 * (await reader.readexactly(1))[0]


async def test_password(tmp_path: Path) -> None:
    with running(tmp_path / "broker", user="cam", password="p@ss/wörd:%") as one:
        address = f"127.0.0.1:{one.port}/site"
        sink = open_sink(f"mqtt://cam:p%40ss%2Fw%C3%B6rd%3A%25@{address}")
        assert sink.name == f"mqtt://127.0.0.1:{one.port}"
        await sink.start(info())
        await sink.finish(None)
        for url in (f"mqtt://cam:s3cret@{address}", f"mqtt://{address}"):
            refused = open_sink(url)
            with pytest.raises(SinkError, match=r"(?i)not authori[sz]ed") as caught:
                await refused.start(info())
            await refused.finish(str(caught.value))
            assert "s3cret" not in str(caught.value)
            assert "\n" not in str(caught.value)


async def test_broker_down_at_the_start() -> None:
    sink = open_sink(f"mqtt://user:s3cret@127.0.0.1:{free_port()}/site")
    with pytest.raises(SinkError, match="cannot connect to the broker") as caught:
        await sink.start(info())
    await sink.finish(str(caught.value))
    assert "s3cret" not in str(caught.value)


async def test_a_host_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = open_sink(f"mqtt://127.0.0.1:{silent.getsockname()[1]}/site")
        started = time.monotonic()
        with pytest.raises(SinkError, match="cannot connect"):
            await sink.start(info())
        assert time.monotonic() - started < patient(5)
        await sink.finish("no broker")


def documented(number: int) -> str:
    """A piece of Python from docs/mqtt.md."""
    text = (ROOT / "docs" / "mqtt.md").read_text(encoding="utf-8")
    return text.split("```python\n")[number + 1].split("```")[0]


def test_documented_decoder_equals_the_mask() -> None:
    names: dict[str, Any] = {}
    exec(documented(1), names)
    for track in tracks((180, 320), 3):
        rows = names["decode"]({"size": [180, 320], "counts": rle.encode(track.mask)})
        assert (np.array(rows, np.bool_) == track.mask.full()).all()


async def test_documented_subscriber_works(broker: Broker) -> None:
    code = documented(0).replace('Client("broker")', f'Client("127.0.0.1", {broker.port})')
    code = code.replace("pixels.sum())", "pixels.sum(), flush=True)")
    with processes.running([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        sink = open_sink(f"mqtt://127.0.0.1:{broker.port}/site")
        await sink.start(info())
        reading = asyncio.create_task(asyncio.to_thread(process.stdout.readline))
        one = result(0)
        async with asyncio.timeout(patient(30)):
            while not reading.done():
                await sink.write(one)
                await asyncio.sleep(0.1)
        assert reading.result().decode().split() == f"test 0 1 person 0.5 {one.tracks[0].mask.area}".split()
    await sink.finish(None)
