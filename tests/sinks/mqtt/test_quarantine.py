"""Topics over which a broker breaks the connection are set aside, and the rest flows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import cv2
import numpy as np
import pytest

from sinks.mqtt import connection
from sinks.mqtt.client import ClosedError
from sinks.mqtt.journal import Journal
from sinks.mqtt.publisher import Publisher
from sinks.mqtt.quarantine import (
    BREAKS,
    LONGEST_PAUSE_SECONDS,
    PAUSE_SECONDS,
    RECENT_SECONDS,
    Quarantine,
    SetAsideError,
)
from sinks.video.still import StillSink
from tests.broker import running
from tests.grain import grainy
from tests.patience import eventually_async as until
from tests.patience import patient
from tests.publishing import at, publishing, result
from tests.strict_broker import StrictBroker, strict
from tests.subscriber import subscriber


class Line:
    """A client of which only the end is known."""

    lost = False


class Bench:
    """A quarantine with a clock, and a broker that dies of some payloads."""

    def __init__(self) -> None:
        self.now = 0.0
        self.quarantine = Quarantine(lambda: self.now)
        self.connections = 1
        self.deadly = 100
        self.passed: list[tuple[str, int]] = []
        self._line = Line()

    async def send(self, topic: str, size: int, *, answered: bool = False) -> None:
        """Of QoS 0 unless `answered`; without a proof the broker's end is noticed too late."""

        async def prove() -> None:
            if self._line.lost:
                raise ClosedError("gone")

        async with self.quarantine.passage(self._line, topic, size, None if answered else prove):  # type: ignore[arg-type]
            self._line.lost = self._line.lost or (topic == "big" and size >= self.deadly)
            if answered and self._line.lost:
                raise ClosedError("gone")
        self.passed.append((topic, size))

    def connect(self) -> None:
        self.quarantine.ended(by_broker=self._line.lost)
        self._line = Line()
        self.connections += 1

    async def round(self, size: int) -> None:
        """What is sent on one connection, until it is lost."""
        for topic, one in (("status", 10), ("big", size), ("frames", 50)):
            try:
                await self.send(topic, one)
            except (SetAsideError, aiomqtt.MqttError):
                continue
        if self._line.lost:
            self.connect()


async def test_the_topic_that_breaks_the_connection_is_found_and_no_other() -> None:
    bench = Bench()
    for _ in range(10):
        await bench.round(size=200)
    before = bench.connections
    assert before == 1 + BREAKS, "then it is set aside"
    assert bench.passed[-2:] == [("status", 10), ("frames", 50)]
    assert bench.quarantine.room("big") == 100
    assert bench.quarantine.room("frames") is None
    await bench.round(size=99)
    assert ("big", 99) in bench.passed, "a smaller one is tried"
    with pytest.raises(SetAsideError):
        await bench.send("big", 200)
    bench.deadly = 60
    for _ in range(3):
        await bench.round(size=80)
    assert bench.quarantine.room("big") == 40, "what had passed before does not count any more"


async def test_what_was_set_aside_is_tried_again_later_and_each_time_later_still() -> None:
    bench = Bench()
    pause = PAUSE_SECONDS
    for _ in range(12):
        for _ in range(6):
            await bench.round(size=200)
        assert bench.quarantine.due() == pause
        with pytest.raises(SetAsideError):
            await bench.send("big", 200)
        count = bench.connections
        bench.now += pause
        assert bench.quarantine.room("big") is None
        await bench.round(size=200)
        assert bench.connections == count + 1
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
    bench.deadly = 1000
    bench.now += pause
    await bench.round(size=200)
    assert bench.passed[-2] == ("big", 200)
    assert bench.quarantine.due() is None


async def test_a_line_that_breaks_again_and_again_is_held_against_no_topic() -> None:
    bench = Bench()
    for _ in range(20):
        await bench.round(size=50)
        bench._line.lost = True
        bench.connect()
    await bench.round(size=50)
    assert len(bench.passed) == 63
    assert bench.quarantine.due() is None


async def test_a_message_of_long_ago_is_not_suspected() -> None:
    bench = Bench()
    await bench.send("big", 50)
    bench.now += RECENT_SECONDS
    await bench.send("frames", 50)
    bench._line.lost = True
    bench.connect()
    assert set(bench.quarantine._suspects) == {"frames"}
    await bench.send("status", 10, answered=True)
    await bench.send("frames", 10, answered=True)
    assert not bench.quarantine._suspects


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_SECONDS", 0.1)


@pytest.mark.parametrize("limit", [20_000, 131_072])
async def test_with_an_older_real_broker_a_large_picture_costs_some_connections_and_the_next_fits(
    tmp_path: Path, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "broker", lines=[f"max_packet_size {limit}"]) as broker:
        journal = Journal(None)
        async with (
            subscriber(broker.port) as found,
            publishing(at(broker, protocol="3.1.1"), journal, prompts=["person"]) as one,
        ):
            await until(lambda: one.connected)
            still = StillSink(one.publish_still, on_events=False, room=one.still_room)
            still.ask()
            await still.write(grainy(0))
            await until(lambda: one._connection.refuses("site/door/image") and one.connected)
            count = one.reconnects
            await one.note(result(1, event=True))
            await until(lambda: journal.depth("door") == 0)
            tries = 0
            while not found.of("door/image"):
                tries += 1
                before = one.still_room()
                assert before is not None
                still.ask()
                await still.write(grainy(tries))
                await until(
                    lambda before=before: found.of("door/image") or (one.still_room() != before and one.connected)
                )
            assert cv2.imdecode(np.frombuffer(found.of("door/image")[0], np.uint8), cv2.IMREAD_COLOR) is not None
            assert count <= BREAKS
            assert tries <= 6
            await one.write(result(2))
            await until(lambda: found.of("door/tracks"))
            assert found.of("door/status")[-1]["status"] == "online"
        await journal.close()
    assert len([line for line in caplog.messages if "refuses site/door/image" in line]) == 1


async def test_so_do_masks_and_no_frame_of_a_file_is_lost(tmp_path: Path) -> None:
    with running(tmp_path / "broker", lines=["max_packet_size 20000"]) as broker:
        async with (
            subscriber(broker.port) as found,
            publishing(at(broker, protocol="3.1.1"), live=False) as one,
        ):
            for index in range(3):
                await one.write(grainy(index))
            async with asyncio.timeout(patient(60)):
                await one.ready()
            await until(lambda: len(found.of("door/tracks")) == 3)
            assert one.dropped_frames == 0
            assert min(message["downscale"] for message in found.of("door/tracks")) > 1


@asynccontextmanager
async def deadly(topic: str) -> AsyncIterator[tuple[StrictBroker, Publisher]]:
    async with strict(deadly={topic}) as broker, publishing(at(broker), prompts=["person"]) as one:
        yield broker, one


@pytest.mark.parametrize("leaf", ["counts", "tracks", "image", "events", "status"])
async def test_a_topic_that_is_forbidden_on_pain_of_disconnection_is_set_aside(leaf: str) -> None:
    """As AWS IoT does it, and EMQX where it is told to."""
    async with deadly(f"site/door/{leaf}") as (broker, one):
        index = 0
        while len(broker.breaches) < BREAKS or not one.connected:
            index += 1
            await one.write(result(index))
            await one.publish_still(b"picture")
            if index == 1:
                await one.note(result(index, event=True))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert len(broker.breaches) == BREAKS
        others = {"counts", "tracks", "image", "events"} - {leaf}
        await one.write(result(index + 1))
        await until(lambda: all(broker.of(f"site/door/{other}") for other in others))
        assert not broker.of(f"site/door/{leaf}")


async def test_so_is_a_subscription(caplog: pytest.LogCaptureFixture) -> None:
    async with deadly("read site/door/status") as (broker, one):
        await until(lambda: one.connected)
        await one.write(result(0))
        await until(lambda: broker.of("site/door/tracks"))
        assert broker.breaches == ["read site/door/status"] * BREAKS
        assert one.connected
    assert len([line for line in caplog.messages if "to let us read site/door/status" in line]) == 1


async def test_a_subscription_that_is_merely_refused_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with strict(unreadable={"site/door/status"}) as broker, publishing(at(broker)) as one:
        for number in range(3):
            await until(lambda number=number: one.connected and one.reconnects == number)
            broker.writers[-1].close()
        await until(lambda: one.connected and one.reconnects == 3)
    assert len([line for line in caplog.messages if "to let us read site/door/status" in line]) == 1
