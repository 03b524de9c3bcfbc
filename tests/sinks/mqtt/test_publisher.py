"""A stream on a real Mosquitto for months: outages, floods, certificates, both versions, and a bound on everything."""

from __future__ import annotations

import asyncio
import itertools
import logging
import resource
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from maskcast.backoff import Backoff
from maskcast.errors import SinkError, UsageError
from maskcast.notices import FramePublished, Notice
from maskcast.places import Line, Places, Tally
from maskcast.result import Result
from maskcast.stream_status import StreamStatus
from sinks.mqtt import connection, connector, events_topic, publisher
from sinks.mqtt.broker import parse_address
from sinks.mqtt.journal import Journal
from sinks.mqtt.payload import SMALLEST_PAYLOAD_BYTES
from sinks.mqtt.process_status import ProcessStatus
from sinks.mqtt.publisher import Publisher, PublisherSink
from tests import processes
from tests.broker import Broker, running
from tests.grain import noise
from tests.paths import ROOT
from tests.patience import eventually_async as until
from tests.patience import patient
from tests.ports import free_port
from tests.publishing import at, publishing, result
from tests.sinks_media import frame, grey, info
from tests.subscriber import subscriber


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_SECONDS", 0.2)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_all_topics_in_both_versions(broker: Broker, protocol: Literal["5", "3.1.1"]) -> None:
    sent: list[Notice] = []
    async with subscriber(broker.port) as found:
        address = at(broker, protocol=protocol)
        async with publishing(address, prompts=("person", "dog"), notify=sent.append) as one:
            await until(lambda: one.connected)
            sink = PublisherSink(one)
            await sink.start(info())
            await sink.note(result(0, event=True))
            await sink.write(result(0, event=True))
            await sink.finish(None)
            await one.publish_still(b"a picture")
            one.publish_raw("site/any/raw", b"something")
            one.set_status(StreamStatus(False, "rtsp://me:secret@camera is silent", ("dog",), paused=True))
            await until(lambda: len(found.messages) >= 7 and found.of("door/tracks") and found.of("door/events"))
            await until(lambda: len(found.of("door/status")) >= 2 and found.of("any/raw"))
        await until(lambda: found.last("door/status").get("reason") == "stopped")
        status = found.of("door/status")
        assert [(one["status"], one["prompts"], one["paused"]) for one in status] == [
            ("online", ["person", "dog"], False),
            ("offline", ["dog"], True),
            ("offline", ["dog"], False),
        ]
        assert "secret" not in status[1]["reason"]
        assert "silent" in status[1]["reason"]
        # Two of the three tracks are confirmed: a person and a car.
        assert [one["counts"] for one in found.of("door/counts")][:2] == [
            {"person": 0, "dog": 0},
            {"person": 1, "dog": 0, "red car": 1},
        ]
        assert found.of("door/image") == [b"a picture"]
        assert found.of("any/raw") == [b"something"]
        tracked = next(message for topic, _, message in found.messages if topic.endswith("tracks"))
        expiry = getattr(tracked.properties, "MessageExpiryInterval", None)
        assert (expiry is not None) == (protocol == "5")
        published = [notice for notice in sent if isinstance(notice, FramePublished)]
        assert [(one.frame.index, 0 <= one.seconds < 5) for one in published] == [(0, True)]
        assert (one.dropped_frames, one.reconnects) == (0, 0)


async def test_counts_are_told_when_they_change(broker: Broker) -> None:
    async with subscriber(broker.port) as found, publishing(at(broker), prompts=("person", "red car")) as one:
        await until(lambda: one.connected and len(found.of("door/counts")) == 1)
        for index in range(10):
            await one.write(result(index, count=3 if index < 5 else 2))
            await asyncio.sleep(0.05)
        await until(lambda: len(found.of("door/counts")) == 3)
        assert [message["counts"] for message in found.of("door/counts")] == [
            {"person": 0, "red car": 0},
            {"person": 1, "red car": 1},
            {"person": 1, "red car": 0},
        ]


async def test_counts_are_nothing_when_nothing_can_be_seen(broker: Broker) -> None:
    async with subscriber(broker.port) as found, publishing(at(broker), prompts=["person"]) as one:
        await one.write(result(0))
        await until(lambda: found.last("door/counts").get("counts", {}).get("person", 0) > 0)
        one.nothing_visible()
        await until(lambda: found.last("door/counts").get("counts") == {"person": 0})


def tally(since: int, inside: int, crossed: int) -> Tally:
    return Tally(
        datetime(2026, 1, 1, 0, since, tzinfo=UTC),
        {"gate": {"person": inside}},
        {"gate": {"person": inside}},
        {"step": {"in": {"person": crossed}, "out": {"person": 0}}},
    )


async def test_totals_and_zones_are_told_when_they_change(broker: Broker) -> None:
    async with (
        subscriber(broker.port) as found,
        publishing(at(broker), prompts=["person"], tally=tally(0, 1, 7)) as one,
    ):
        await until(lambda: one.connected and found.of("door/totals"))
        assert found.of("door/totals")[0]["lines"]["step"]["in"] == {"person": 7}, "from before the restart"
        assert found.of("door/counts")[0]["zones"] == {"gate": {"person": 0}}, "nobody is seen yet"
        for counted in (tally(0, 1, 7), tally(0, 1, 8), tally(0, 1, 8), tally(1, 1, 0), tally(0, 1, 9)):
            await one.write(replace(result(0), tally=counted))
            await asyncio.sleep(0.05)
        await until(lambda: len(found.of("door/totals")) == 3)
        assert [message["lines"]["step"]["in"]["person"] for message in found.of("door/totals")] == [7, 8, 0]
        assert found.of("door/counts")[-1]["zones"] == {"gate": {"person": 1}}
        one.nothing_visible()
        await until(lambda: found.last("door/counts").get("zones") == {"gate": {"person": 0}})
        assert found.of("door/tracks")[-1]["schema"] == "maskcast.frame/3"


async def test_places_that_change_are_told_at_once_and_late_frames_of_others_are_not(broker: Broker) -> None:
    here, there = (replace(tally(0, 1, n), places=Places((), (Line("step", ((0, 0), (n, 1))),))) for n in (7, 0))
    async with (
        subscriber(broker.port) as found,
        publishing(at(broker), prompts=["person"], tally=here) as one,
    ):
        await until(lambda: one.connected and found.of("door/totals"))
        await one.write(replace(result(0), tally=here))
        await until(lambda: found.last("door/counts").get("counts", {}).get("person", 0) > 0)
        seen = found.of("door/counts")[-1]["counts"]
        one.tell_places(there)
        await one.write(replace(result(1), tally=replace(here, crossed={"step": {"in": {"person": 9}}})))
        await until(lambda: found.last("door/tracks").get("frame") == 1)
        assert [message["lines"]["step"]["in"]["person"] for message in found.of("door/totals")] == [7, 0]
        one.tell_places(None)
        await one.write(replace(result(2), tally=there))
        await one.write(result(3))
        await until(lambda: found.last("door/tracks").get("frame") == 3)
        last = found.of("door/counts")[-1]
        assert (last["schema"], last["counts"]) == ("maskcast.counts/1", seen)
        assert [body for topic, body, _ in found.messages if topic == "site/door/totals"][-1] == b""
        one.tell_places(here)
        await until(lambda: found.last("door/counts").get("zones") == {"gate": {"person": 1}})


async def test_events_of_an_outage_arrive_afterwards_in_order(broker: Broker, tmp_path: Path) -> None:
    """At least once on the wire, exactly once by their ids."""
    journal = Journal(tmp_path / "journal.sqlite")
    total = 0
    memory = []

    async def produce(one: Publisher, seconds: float) -> None:
        nonlocal total
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            started = time.monotonic()
            await one.note(result(total, event=True, count=0))
            await one.write(result(total, count=0))
            assert time.monotonic() - started < patient(1)  # frames go on, broker or no broker
            total += 1
            await asyncio.sleep(0.002)

    async with subscriber(broker.port) as found, publishing(at(broker), journal) as one:
        await until(lambda: one.connected)
        for _ in range(2):
            await produce(one, 0.4)
            broker.stop()
            await produce(one, 0.6)
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            assert not one.connected
            # The broker keeps nothing over its restart: who listens before we connect gets everything.
            one._connection._connector.address = at(broker, port=free_port())
            broker.start()
            await until(lambda: found.connected)
            one._connection._connector.address = at(broker)
            await until(lambda: one.connected)
        await produce(one, 0.2)
        await until(lambda: journal.depth("door") == 0)
        last = total - 1
        await until(lambda: found.last("door/events").get("frame") == last)
        assert one.reconnects == 2
        ids = [message["id"] for message in found.of("door/events")]
        kept = {message["id"]: message["frame"] for message in found.of("door/events")}
        # A subscriber that was cut off with the broker may have missed what was on its way to it at that moment.
        missing = set(range(total)) - set(kept.values())
        assert len(missing) <= 3 * events_topic.WINDOW_EVENTS
        assert list(kept.values()) == sorted(kept.values())
        assert len(ids) - len(kept) <= 3 * events_topic.WINDOW_EVENTS
        assert [int(one.split("-")[1]) for one in kept] == [1 + index for index in kept.values()]
        statuses = found.of("door/status")
        assert {status["status"] for status in statuses} == {"online"}
    assert memory[-1] - memory[0] < 20_000  # KiB
    await journal.close()


async def test_a_long_outage_is_worked_off_quickly_and_what_was_shed_is_announced(
    broker: Broker, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite", limit=1000)
    for index in range(300):
        await journal.append("door", replace(result(index, count=0), events=result(0, event=True).events * 4))
    async with subscriber(broker.port) as found, publishing(at(broker), journal) as one:
        await until(lambda: one.connected and journal.depth("door") == 0, 10)  # idle machines need one second
        await until(lambda: len(found.of("door/events")) == 1001)
        shed, *events = found.of("door/events")
        assert (shed["schema"], shed["count"]) == ("maskcast.shed/1", 200)
        assert [int(message["id"].split("-")[1]) for message in events] == list(range(201, 1201))
    await journal.close()


CHILD = """
import asyncio, sys
from pathlib import Path
from sinks.mqtt.broker import parse_address
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher
from tests.patience import eventually_async as until
from tests.publishing import result
async def main():
    journal = Journal(Path(sys.argv[2]))
    publisher = Publisher(parse_address(sys.argv[1]), "door", journal=journal)
    await publisher.start(required=True)
    for index in range(100_000):
        await publisher.note(result(index, event=True, count=0))
        print(index, flush=True)
asyncio.run(main())
"""


async def test_events_that_the_broker_refuses_wait_until_it_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With QoS 1 and MQTT 5 a broker acknowledges also what it refuses: that must not count as delivered."""
    monkeypatch.setattr(events_topic, "REFUSED_SECONDS", 0.2)
    allowed = tmp_path / "allowed"
    allowed.write_text("topic read site/#\ntopic write site/door/tracks\n", encoding="utf-8")
    with running(tmp_path / "broker", lines=[f"acl_file {allowed}"]) as broker:
        journal = Journal(None)
        async with subscriber(broker.port) as found, publishing(at(broker), journal) as one:
            for index in range(3):
                await one.note(result(index, event=True))
            await until(lambda: "broker refuses events" in caplog.text)
            await asyncio.sleep(1)
            assert journal.depth("door") == 3
            assert one.connected, "what it does take goes on"
            refusals = [line for line in caplog.messages if "refuses" in line]
            assert len(refusals) == len(set(refusals)), "each is told of once"
            assert any("site/door/status" in line and "Not authorized" in line for line in refusals)
            allowed.write_text("topic readwrite site/#\n", encoding="utf-8")
            broker.reload()
            await until(lambda: journal.depth("door") == 0)
            await until(lambda: len(found.of("door/events")) >= 3)
            numbers = [int(event["id"].split("-")[1]) for event in found.of("door/events")]
            assert list(dict.fromkeys(numbers)) == [1, 2, 3]
        await journal.close()


async def test_events_of_a_killed_process_are_sent_by_the_next_one(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    async with subscriber(broker.port) as found:
        command = [sys.executable, "-c", CHILD, f"mqtt://127.0.0.1:{broker.port}/site", str(file)]
        with processes.running(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            await until(lambda: len(found.of("door/events")) > 50)
            child.kill()
            said = 1 + int(child.stdout.readlines()[-1])
        await until(lambda: found.last("door/status").get("reason") == "connection lost")
        journal = Journal(file)
        await journal.open()
        async with publishing(at(broker), journal):
            await until(lambda: journal.depth("door") == 0)
        await journal.close()
        await until(lambda: len({message["id"] for message in found.of("door/events")}) >= said)
        kept = list(dict.fromkeys(message["id"] for message in found.of("door/events")))
        assert said <= len(kept) <= said + 1
        assert [int(one.split("-")[1]) for one in kept] == list(range(1, len(kept) + 1))


async def test_what_is_retained_is_there_again_after_the_broker_lost_it(broker: Broker) -> None:
    async with publishing(at(broker), prompts=("person",)) as one:
        await one.publish_still(b"old picture")
        one.publish_raw("site/a/raw", b"described")
        one.publish_raw("site/b/raw", b"withdrawn")
        await until(lambda: one.connected)
        one.publish_raw("site/b/raw", b"")
        await one._connection.settled()
        broker.stop()
        await until(lambda: not one.connected)
        await one.publish_still(b"new picture")
        one.set_status(replace(one.status, paused=True))
        broker.start()
        await until(lambda: one.connected)
        async with subscriber(broker.port) as late:
            await until(lambda: len(late.messages) == 4)
            await asyncio.sleep(0.1)
            assert sorted(topic for topic, _, _ in late.messages) == [
                "site/a/raw",
                "site/door/counts",
                "site/door/image",
                "site/door/status",
            ]
            assert late.of("door/image") == [b"new picture"]
            assert late.of("door/status")[0]["paused"]


async def test_without_a_broker_a_stream_starts_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.3)
    monkeypatch.setattr(Backoff, "wait", lambda _: 600.0)  # until somebody listens
    with running(tmp_path / "broker") as broker:
        broker.stop()
        started = time.monotonic()
        async with publishing(at(broker)) as one:
            assert time.monotonic() - started < patient(1)
            await one.note(result(0, event=True))
            await one.write(result(0))
            assert one.dropped_frames == 1
            broker.start()
            async with subscriber(broker.port) as found:
                one._connection.hurry()
                await until(lambda: found.of("door/events") and found.of("door/status"))
            broker.stop()
        with pytest.raises(SinkError, match="cannot connect"):
            await Publisher(at(broker), "door", journal=Journal(None)).start(required=True)


async def test_the_process_has_a_status_of_its_own(broker: Broker) -> None:
    async with subscriber(broker.port) as found:
        process = ProcessStatus(at(broker))
        await process.start()
        await process.set_streams(["door", "yard"])
        await until(lambda: found.of("status"))
        assert (found.of("status")[-1]["status"], found.of("status")[-1]["streams"]) == ("online", ["door", "yard"])
        await until(lambda: process.was_connected)
        await process._connection.abort()  # as if it had died
        await until(lambda: found.last("status").get("reason") == "connection lost")
        process = ProcessStatus(at(broker))
        await process.start()
        await process.close()
        await until(lambda: found.last("status").get("reason") == "stopped")


async def test_a_broker_that_refuses_version_5_gets_the_older_one(
    broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    versions: list[int] = []
    ended: list[int] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """An old broker: it knows 3.1.1 only."""
        first = await reader.read(1000)
        versions.append(first[first.index(b"MQTT") + 4])
        if versions[-1] == 5:
            writer.write(bytes([0x20, 2, 0, 1]))  # CONNACK: unacceptable protocol version
        else:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", broker.port)
            onward_writer.write(first)
            await asyncio.gather(copy(reader, onward_writer), copy(onward_reader, writer))
        writer.close()
        ended.append(len(versions))

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(1 << 16):
                target.write(data)
        target.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server, subscriber(broker.port) as found:
        address = at(broker, port=server.sockets[0].getsockname()[1])
        async with publishing(address) as one:
            await until(lambda: one.connected and found.of("door/status"))
            one._connection._client._client.socket().shutdown(2)
            await until(lambda: one.reconnects == 1 and one.connected)
            await one.write(result(1))
            await until(lambda: found.of("door/tracks"))
        await until(lambda: len(ended) == 3)
        assert versions == [5, 4, 4]
    assert "does not speak MQTT 5" in caplog.text


async def test_a_frame_that_cannot_be_published_is_not_the_end_of_publishing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "PUMP_SECONDS", 0.01)
    async with subscriber(broker.port) as found, publishing(at(broker)) as one:
        encode = one._tracks._bound.encode

        def fail(this: Result, *others: Any) -> Any:
            if this.frame.index == 0:
                raise ZeroDivisionError
            return encode(this, *others)

        monkeypatch.setattr(one._tracks._bound, "encode", fail)
        await until(lambda: one.connected)
        await one.write(result(0))
        for index in itertools.count(1):
            await one.write(result(index))
            await asyncio.sleep(0.02)
            if found.of("door/tracks"):
                break
    assert all(message["frame"] > 0 for message in found.of("door/tracks"))


async def test_published_frames_keep_the_bound(broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    big = Result(frame(0, grey(720, 1280)), noise((720, 1280), 4, grain=2))
    with pytest.raises(UsageError):
        Publisher(at(broker), "door", journal=Journal(None), max_payload=10)
    async with (
        subscriber(broker.port) as found,
        publishing(at(broker), max_payload=SMALLEST_PAYLOAD_BYTES, live=False) as one,
    ):
        await until(lambda: one.connected)
        for _ in range(3):
            await one.write(big)
        await until(lambda: len(found.of("door/tracks")) == 3)
        sizes = [len(message.payload) for topic, _, message in found.messages if topic.endswith("tracks")]
        assert max(sizes) <= SMALLEST_PAYLOAD_BYTES
        assert len({message["downscale"] for message in found.of("door/tracks")} - {1}) == 1


async def test_a_hundred_streams_without_a_broker_leave_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each attempt to connect that hangs holds a thread of the pool that others need too."""
    monkeypatch.setattr(connector, "TIMEOUT_SECONDS", patient(60))
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.05)
    logging.getLogger("sinks.mqtt.connection").setLevel(logging.ERROR)
    silent = socket.create_server(("127.0.0.1", 0))
    address = parse_address(f"mqtt://127.0.0.1:{silent.getsockname()[1]}/site")
    journal = Journal(None)
    many = [Publisher(address, f"camera {number}", journal=journal) for number in range(100)]
    for one in many:
        await one.start(required=False)
    async with asyncio.timeout(patient(20)):
        for _ in range(20):
            await asyncio.to_thread(int)
            await asyncio.sleep(0.02)
    await asyncio.gather(*(one.close("stopped") for one in many))
    await journal.close()
    silent.close()
    logging.getLogger("sinks.mqtt.connection").setLevel(logging.NOTSET)


async def test_what_breaks_in_the_moment_of_its_cancellation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task group does so when one of its tasks fails just then."""
    monkeypatch.setattr(publisher, "PUMP_SECONDS", 0.0)
    journal, begun = Journal(None), asyncio.Event()
    one = Publisher(parse_address("mqtt://127.0.0.1:1/site"), "door", journal=journal)

    async def break_at_the_end() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("a bug") from None

    pumping = asyncio.create_task(one._keep_up(break_at_the_end), name="pump")
    await begun.wait()
    pumping.cancel()
    await asyncio.wait([pumping], timeout=patient(30))
    assert pumping.done()
    await journal.close()
