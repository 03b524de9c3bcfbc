"""What a broker of MQTT 5 tells of its limits is kept to: size, number, keep alive; or it is said to be unusable."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from maskcast.backoff import Backoff
from maskcast.errors import SinkError
from maskcast.stream_status import StreamStatus
from sinks.mqtt import connection
from sinks.mqtt.broker import parse_address
from sinks.mqtt.journal import Journal
from sinks.mqtt.limits import Limits, packet_size
from sinks.mqtt.process_status import ProcessStatus
from sinks.mqtt.publisher import Publisher
from sinks.video.still import StillSink
from tests.broker import running
from tests.grain import grainy
from tests.patience import eventually_async as until
from tests.patience import patient
from tests.publishing import at, publishing, result
from tests.strict_broker import strict
from tests.subscriber import subscriber


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(connection, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(connection, "LONGEST_PAUSE_SECONDS", 0.2)
    logging.getLogger("sinks").setLevel(logging.DEBUG)
    yield
    logging.getLogger("sinks").setLevel(logging.NOTSET)


def test_what_connack_tells() -> None:
    told = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    assert Limits.told(told) == Limits.told(None) == Limits()
    told.MaximumPacketSize, told.ReceiveMaximum, told.MaximumQoS = 20_000, 10, 1
    told.RetainAvailable, told.ServerKeepAlive = 0, 30
    assert Limits.told(told) == Limits(20_000, 10, 1, 0, 30)


@pytest.mark.parametrize("payload", [0, 100, 121, 122, 16_000, 16_400, 2_200_000])
@pytest.mark.parametrize("qos", [0, 1])
def test_the_size_of_a_packet_is_that_which_is_written(payload: int, qos: int) -> None:
    import paho.mqtt.client as paho

    written: list[bytes] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client._sock = object()
    client._packet_queue = lambda _command, packet, *_: written.append(packet)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = 10
    client._send_publish(7, "site/tür".encode(), b"x" * payload, qos, properties=properties)
    client._sock = None
    assert packet_size("site/tür", payload, qos, properties.pack()) == len(written[0])
    room = Limits(packet=len(written[0])).room("site/tür")
    assert room is not None
    assert payload - 5 <= room <= payload or payload < 5


@pytest.mark.parametrize("limit", [20_000, 65_536, 131_072])
async def test_pictures_and_masks_get_smaller_until_a_real_broker_takes_them(tmp_path: Path, limit: int) -> None:
    with running(tmp_path / "broker", lines=[f"max_packet_size {limit}"]) as broker:
        async with subscriber(broker.port) as found, publishing(at(broker), live=False) as one:
            await until(lambda: one.connected)
            still = StillSink(one.publish_still, on_events=False, room=one.still_room)
            for index in range(3):
                still.ask()
                await still.write(grainy(index))
                await one.write(grainy(index))
            await until(lambda: len(found.of("door/tracks")) == 3 and found.of("door/image"))
            assert one.reconnects == 0
            for topic, _, message in found.messages:
                assert packet_size(topic, len(message.payload), 1, b"\0") <= limit
            sizes = [len(message.payload) for topic, _, message in found.messages if topic.endswith("tracks")]
            image = found.of("door/image")[-1]
            assert limit / 3 < len(image)
            assert cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) is not None
            assert max(sizes) > limit / 20
            assert all(len(message["tracks"]) == 4 for message in found.of("door/tracks"))


async def test_what_cannot_be_made_smaller_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with strict(packet=400) as broker:
        journal = Journal(None)
        long = "a very long phrase " * 20
        async with publishing(at(broker), journal, prompts=["cat"]) as one:
            await until(lambda: one.connected)
            for index in range(5):
                one.publish_raw("homeassistant/device/door/config", b"x" * (1000 + index))
                one.set_status(StreamStatus(prompts=(long,)))
                await one.note(result(index, event=True))
                await one.write(result(index))
                await asyncio.sleep(0.05)
            one.set_status(StreamStatus(prompts=("dog",)))
            await until(lambda: any(b"dog" in status for status in broker.of("site/door/status")))
            await until(lambda: journal.depth("door") == 0)
            assert one.reconnects == 0
        assert broker.breaches == []
        assert len(broker.of("site/door/events")) == 5
        refused = [line for line in caplog.messages if "refuses" in line]
        assert sorted(line.split()[4] for line in refused) == [
            "homeassistant/device/door/config",
            "site/door/counts",
            "site/door/status",
        ], refused
        assert all("400 at most" in line for line in refused)
        await journal.close()


async def test_an_event_that_is_too_large_does_not_hold_up_the_others() -> None:
    async with strict(packet=420) as broker:
        journal = Journal(None)
        events = [result(index, event=True) for index in range(5)]
        large = replace(events[2].events[0], prompt="long " * 50)
        events[2] = replace(events[2], events=(large,))
        for one in events:
            await journal.append("door", one)
        async with publishing(at(broker), journal):
            await until(lambda: journal.depth("door") == 0)
        assert len(broker.of("site/door/events")) == 4
        assert broker.breaches == []
        await journal.close()


@pytest.mark.parametrize("most", [1, 10])
async def test_no_more_messages_wait_for_their_answer_than_the_broker_takes(most: int) -> None:
    async with strict(receive_maximum=most, delay=0.01) as broker:
        journal = Journal(None)
        for index in range(40):
            await journal.append("door", result(index, event=True))
        async with publishing(at(broker), journal, prompts=["person"]) as one:
            for index in range(20):
                one.set_status(StreamStatus(prompts=(f"person {index}",)))
                await asyncio.sleep(0.01)
            await until(lambda: journal.depth("door") == 0)
            assert one.reconnects == 0
        assert broker.breaches == []
        assert min(most, 2) <= broker.most <= most
        frames = [int(event.split(b'"frame":')[1].split(b",")[0]) for event in broker.of("site/door/events")]
        assert frames == list(range(40))
        await journal.close()


@pytest.mark.long
async def test_the_brokers_keep_alive_is_kept_to() -> None:
    """It disconnects those from whom it does not hear for one and a half of it; without a ping, that would be us."""
    seconds = math.ceil(patient(1))
    async with strict(keepalive=seconds) as broker:
        process = ProcessStatus(at(broker))
        await process.start()
        await process.reached()
        await asyncio.sleep(3.5 * seconds)
        assert broker.breaches == []
        assert len(broker.clients) == 1
        await process.close()


@pytest.mark.parametrize(
    ("limits", "said"), [({"retain_available": 0}, "retained messages"), ({"maximum_qos": 0}, "no QoS 1")]
)
async def test_a_broker_that_lacks_what_is_needed_is_said_to_be_unusable(limits: dict[str, int], said: str) -> None:
    async with strict(**limits) as broker:
        with pytest.raises(SinkError, match=said) as caught:
            await Publisher(at(broker), "door", journal=Journal(None)).start(required=True)
        assert "\n" not in str(caught.value)
        assert broker.taken == []


@pytest.mark.parametrize(
    ("line", "protocol", "said"),
    [
        ("retain_available false", "5", "retained messages"),
        ("max_qos 0", "5", "no QoS 1"),
        ("retain_available false", "3.1.1", "takes retained wills"),
        ("max_qos 0", "3.1.1", "wills of QoS 1"),
    ],
)
async def test_so_is_a_real_one(tmp_path: Path, line: str, protocol: str, said: str) -> None:
    with running(tmp_path / "broker", lines=[line]) as broker:
        address = replace(parse_address(f"mqtt://127.0.0.1:{broker.port}/site"), protocol=protocol)
        with pytest.raises(SinkError, match=said) as caught:
            await Publisher(address, "door", journal=Journal(None)).start(required=True)
        with pytest.raises(SinkError) as tried:
            await Publisher(address, "door", journal=Journal(None)).trial()
        assert str(tried.value) in str(caught.value), "a check says the same"


async def test_a_picture_taken_without_a_connection_fits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with strict(packet=20_000) as broker, publishing(at(broker)) as one:
        await until(lambda: one.connected)
        monkeypatch.setattr(Backoff, "wait", lambda _: 600.0)  # until the picture is taken
        for writer in broker.writers:
            writer.close()
        await until(lambda: not one.connected)
        still = StillSink(one.publish_still, on_events=False, room=one.still_room)
        still.ask()
        await still.write(grainy(0))
        assert not one.connected
        one._connection.hurry()
        await until(lambda: broker.of("site/door/image"))
        assert broker.breaches == []
