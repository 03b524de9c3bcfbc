"""Files into MQTT: every frame counts, so the stream waits for the broker, and stops when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maskcast.errors import SinkError
from sinks.mqtt import connection, publisher
from sinks.mqtt import sink as mqtt
from sinks.mqtt.sink import MqttSink
from sinks.sink import Sink
from streaming.pipeline import outlet
from streaming.pipeline.stream import Report, run_stream
from streaming.pipeline.worker import Worker
from tests.broker import Broker, running
from tests.patience import eventually_async as until
from tests.patience import patient
from tests.pipelines import Frames, Model, Record, job
from tests.publishing import at, publishing, result
from tests.strict_broker import strict
from tests.subscriber import Subscriber, subscriber
from tests.tcp_proxy import Proxy, proxy


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(publisher, "LOOK_SECONDS", 0.05)


@pytest.fixture
def line(broker: Broker) -> Iterator[Proxy]:
    """To a broker that goes on while the line is dead."""
    with proxy(broker.port) as one:
        yield one


async def track(
    port: int, frames: int, meanwhile: Callable[[asyncio.Event], Any], *others: Sink, live: bool = False
) -> Report:
    """Run a stream into MQTT; `meanwhile` is given the event that stops it."""
    worker, stop = Worker(Model), asyncio.Event()
    await worker.start()
    source = Frames(frames, interval=0.005, stream="door", live=live)
    sink = MqttSink(f"mqtt://127.0.0.1:{port}/site")
    try:
        async with asyncio.timeout(patient(60)):
            running = asyncio.create_task(run_stream(job(source, sink, *others), worker, stop))
            await meanwhile(stop)
            return await running
    finally:
        worker.close()


def indices(found: Subscriber) -> list[int]:
    """The frames that arrived, each once, in their order."""
    return list(dict.fromkeys(message["frame"] for message in found.of("door/tracks")))


async def test_no_frame_is_lost_while_the_broker_is_away(
    broker: Broker, line: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    async with subscriber(broker.port) as found:

        async def cut(_: asyncio.Event) -> None:
            for reached in (10, 30):
                await until(lambda: len(found.of("door/tracks")) >= reached)
                line.refuse()
                waits = caplog.text.count("door: waiting for the broker, for 600 s at most")
                await until(lambda: caplog.text.count("door: waiting for the broker") > waits)
                await asyncio.sleep(0.3)
                line.accept()

        report = await track(line.port, 60, cut)
        await until(lambda: found.last("door/status").get("reason") == "end of stream")
        assert indices(found) == list(range(60))
        assert (report.frames, report.dropped, report.errors) == (60, 0, [])


async def test_the_last_frame_is_waited_for_too(broker: Broker, line: Proxy) -> None:
    async with subscriber(broker.port) as found:

        async def cut(_: asyncio.Event) -> None:
            await until(lambda: found.of("door/status"))
            line.refuse()
            await asyncio.sleep(1)
            line.accept()

        report = await track(line.port, 1, cut)
        await until(lambda: found.of("door/tracks"))
        assert report.errors == []


async def test_a_stream_that_waits_stops_when_it_is_told_to(
    broker: Broker, line: Proxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.2)
    monkeypatch.setattr(outlet, "HURRY_SECONDS", 0.1)
    async with subscriber(broker.port) as found:

        async def cut(stop: asyncio.Event) -> None:
            await until(lambda: len(found.of("door/tracks")) >= 5)
            line.refuse()
            await until(lambda: "waiting for the broker" in caplog.text)
            await asyncio.sleep(0.2)
            stop.set()

        report = await track(line.port, 1000, cut)
        assert report.interrupted
        assert report.dropped_by_sinks > 0
        assert [type(error) for error in report.errors] == [SinkError]
        assert "could not be reached at the end" in str(report.errors[0])


async def test_a_broker_that_does_not_come_back_costs_only_its_own_sink(
    broker: Broker, line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.2)
    other = Record()
    async with subscriber(broker.port) as found:

        async def cut(_: asyncio.Event) -> None:
            await until(lambda: len(found.of("door/tracks")) >= 5)
            line.refuse()

        report = await track(line.port, 100, cut, other)
        assert other.indices == list(range(100))
        assert [str(error).rpartition(": ")[0].partition(": ")[2] for error in report.errors] == [
            "the broker has been away for 0 s"
        ]


async def test_frames_of_files_need_an_answer_and_those_of_cameras_none() -> None:
    for live, qos in ((False, 1), (True, 0)):
        async with strict(delay=0.01) as broker:

            async def wait(_: asyncio.Event) -> None:
                return None

            await track(broker.port, 10, wait, live=live)
            found = [message.qos for message in broker.taken if message.topic == "site/door/tracks"]
            assert set(found) == {qos}
            assert len(found) == 10 or live


async def test_a_frame_whose_answer_is_lost_with_the_line_is_sent_again_on_the_next_one() -> None:
    """Not before there is one: to try all the time would leave the loop none to connect."""
    async with strict() as broker, publishing(at(broker), live=False) as one:
        await until(lambda: one.connected)
        broker.delay = 3600.0
        await one.write(result(0, count=0))
        await until(lambda: broker.of("site/door/tracks"))
        broker.delay = 0.0
        broker.writers[-1].close()
        async with asyncio.timeout(patient(30)):
            await one.ready()
        assert one.reconnects == 1
        assert len(broker.of("site/door/tracks")) == 2
        assert one.dropped_frames == 0


async def test_frames_of_a_file_that_the_broker_refuses_are_an_error_at_the_end(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text("topic write site/door/status\ntopic write site/door/counts\n", encoding="utf-8")
    with running(tmp_path / "broker", lines=[f"acl_file {allowed}"]) as broker:

        async def wait(_: asyncio.Event) -> None:
            return None

        report = await track(broker.port, 3, wait)
        [error] = report.errors
        assert str(error).endswith(": the broker refuses frames; 3 frames and 0 events are not delivered")
        assert error.exit_code == 4


async def test_a_bug_does_not_leave_a_stream_waiting_for_ever(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    async with publishing(at(broker), live=False) as one:
        monkeypatch.setattr(one._tracks._bound, "encode", fail)
        await one.write(result(0))
        with pytest.raises(RuntimeError, match="a bug"):
            async with asyncio.timeout(patient(30)):
                await one.ready()
        one._tracks._frames.clear()
