"""What streams that are gone have left is taken back from a real broker, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from sinks.messages.status import process_message, status_message
from sinks.mqtt.broker import parse_address
from sinks.mqtt.journal import Journal
from sinks.mqtt.process_status import ProcessStatus
from streaming.service import removal as module
from streaming.service.removal import Removal
from streaming.service.retained import Retained
from tests import broker as brokers
from tests.journals import result
from tests.patience import eventually
from tests.subscriber import Subscriber


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[brokers.Broker]:
    with brokers.running(tmp_path / "broker", lines=brokers.keeping(tmp_path)) as running:
        yield running


def retain(broker: brokers.Broker, messages: dict[str, bytes]) -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    for topic, payload in messages.items():
        client.publish(topic, payload, 1, retain=True).wait_for_publish(30)
    client.disconnect()
    client.loop_stop()


def status(stream: str) -> bytes:
    return status_message(stream, "offline", "stopped").json_bytes()


async def seen(subscriber: Subscriber, topics: set[str], what: str) -> None:
    await asyncio.to_thread(eventually, lambda: subscriber.retained() == topics, 60, what)


@asynccontextmanager
async def process(broker: brokers.Broker, folder: Path, prefix: str = "site") -> Any:
    """What removes, its journal, and what it remembers; the broker knows of `door`."""
    address = parse_address(f"mqtt://127.0.0.1:{broker.port}/{prefix}")
    journal, connection = Journal(folder / "journal.sqlite"), ProcessStatus(address)
    retained = Retained(folder / "retained.json", address)
    await journal.open()
    await connection.start()
    yield Removal(connection, journal, retained, folder / "tracks"), journal, retained
    await connection.close()
    await retained.close()
    await journal.close()


async def test_events_are_delivered_before_all_is_removed(
    tmp_path: Path, broker: brokers.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WILL_SECONDS", 0.0)
    retain(broker, {"site/door/status": status("door"), "site/door/image": b"jpeg", "site/yard/status": status("yard")})
    listener = await asyncio.to_thread(Subscriber, broker.port)
    async with process(broker, tmp_path) as (removal, journal, retained):
        for name in ("door", "yard"):
            retained.note(name)
        for index in range(40):
            await journal.append("door", result(index))
        assert removal.left_behind({"yard"}) == {"door"}
        await removal.run("door", asyncio.Event())
        await seen(listener, {"site/yard/status"}, "what is retained of door is gone")
        assert [event["frame"] for event in listener.of("door", "events")] == list(range(40))
        last = max(number for number, one in enumerate(listener.messages) if one[0] == "site/door/events")
        assert all(number > last for number, one in enumerate(listener.messages) if one[1] == b""), "events first"
        assert (removal.left_behind({"yard"}), retained.streams(), journal.streams()) == (set(), {"yard"}, set())
    listener.close()


async def test_without_the_broker_it_waits_and_a_stream_that_comes_back_keeps_what_it_has(
    tmp_path: Path, broker: brokers.Broker
) -> None:
    retain(broker, {"site/door/status": status("door"), "site/gate/status": status("gate")})
    await asyncio.to_thread(eventually, (tmp_path / "mosquitto.db").exists, 30, "kept by the broker")
    broker.stop()
    async with process(broker, tmp_path) as (removal, journal, retained):
        for name in ("door", "gate"):
            retained.note(name)
            await journal.append(name, result(1))
        recalled, never = asyncio.Event(), asyncio.Event()
        door = asyncio.create_task(removal.run("door", recalled))
        gate = asyncio.create_task(removal.run("gate", never))
        recalled.set()
        await door
        assert journal.depth("door") == 1
        await asyncio.to_thread(broker.start)
        listener = await asyncio.to_thread(Subscriber, broker.port)
        await asyncio.to_thread(
            eventually, lambda: listener.retained() - {"site/status"} == {"site/door/status"}, 60, "gate is gone"
        )
        await asyncio.to_thread(eventually, lambda: retained.streams() == {"door"}, 60, "and forgotten")
        never.set()
        await gate
        assert journal.streams() == {"door"}
    listener.close()
    left = json.loads((tmp_path / "retained.json").read_text(encoding="utf-8"))["left"]
    assert [one["stream"] for one in left] == ["door"], "remembered for the next process"


async def test_only_what_is_ours_goes_under_another_prefix(tmp_path: Path, broker: brokers.Broker) -> None:
    """The file says that something was left there; who wrote the file, nobody knows."""
    ours = {"old/door/status": status("door"), "old/door/counts": b"{}", "old/door/image": b"jpeg"}
    process_status = {"old/status": process_message("offline", "stopped", ["door"]).json_bytes()}
    foreign = {"zigbee2mqtt/bridge/status": b'{"state": "online"}', "zigbee2mqtt/status": b"online"}
    foreign["other/door/status"] = status("another's door")
    retain(broker, ours | process_status | foreign)
    entries = [("old", "door"), ("zigbee2mqtt", "bridge"), ("other", "door"), ("nothing", "there")]
    left = [{"broker": f"127.0.0.1:{broker.port}", "prefix": prefix, "stream": name} for prefix, name in entries]
    (tmp_path / "retained.json").write_text(json.dumps({"left": left}), encoding="utf-8")
    listeners = [
        await asyncio.to_thread(Subscriber, broker.port, prefix, f"listener {prefix}")
        for prefix in ("old", "zigbee2mqtt", "other")
    ]
    async with process(broker, tmp_path, "new") as (removal, _, retained):
        await removal.clean_up({"door"}, asyncio.Event())
        assert not retained.elsewhere()
    for listener, kept in zip(listeners, (set(), set(list(foreign)[:2]), set(list(foreign)[2:])), strict=True):
        await seen(listener, kept, "ours are gone, others' stay")
        listener.close()


async def test_names_in_a_journal_that_can_be_no_topics_are_only_forgotten(
    tmp_path: Path, broker: brokers.Broker
) -> None:
    async with process(broker, tmp_path) as (removal, journal, _):
        await journal.append("../#", result(1))
        await removal.run("../#", asyncio.Event())
        assert not journal.streams()
