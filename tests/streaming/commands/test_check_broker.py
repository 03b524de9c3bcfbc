"""`maskcast check` gets in at a broker where `maskcast run` does, and nowhere else; and leaves no trace."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from maskcast.errors import SinkError
from sinks.mqtt.process_status import ProcessStatus
from streaming.commands.probes import Finding, Verdict, probe_broker
from streaming.settings.broker import MqttSettings
from tests.broker import Broker, running
from tests.patience import eventually_async as until
from tests.publishing import Listening, at, publishing
from tests.strict_broker import strict
from tests.subscriber import subscriber

STREAMS = {"door": ["person"], "yard": ["dog"]}


async def probe(broker: Listening, **settings: Any) -> list[Finding]:
    mqtt = MqttSettings(url=f"mqtt://127.0.0.1:{broker.port}/site", **settings)
    return await asyncio.to_thread(probe_broker, mqtt, STREAMS)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("line", ["retain_available false", "max_qos 0"])
async def test_what_run_cannot_use_is_not_ok(tmp_path: Path, line: str, protocol: str) -> None:
    with running(tmp_path / "broker", lines=[line]) as broker:
        [finding] = await probe(broker, protocol=protocol)
        assert (finding.verdict, finding.exit_code) == (Verdict.FAIL, SinkError.exit_code)
        assert ("retain" if "retain" in line or protocol == "3.1.1" else "QoS 1") in finding.detail


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_last_wills_that_are_forbidden(protocol: str) -> None:
    async with strict(unwilled={"site/status"}) as broker:
        [finding] = await probe(broker, protocol=protocol)
        assert finding.verdict is Verdict.FAIL
        assert "lets this user publish on site/status" in finding.detail
    async with strict(unwilled={"site/yard/status"}) as broker:
        [finding] = await probe(broker, protocol=protocol)
        assert finding.verdict is Verdict.FAIL
        assert ": yard: " in finding.detail
        assert "lets this user publish on site/yard/status" in finding.detail
        assert broker.taken == []


async def test_topics_that_may_not_be_read_are_a_warning_and_limits_are_told() -> None:
    async with strict(unreadable={"site/door/control"}, packet=20_000) as broker:
        fine, warning = await probe(broker)
        assert fine.verdict is Verdict.OK
        assert "packets of at most 20000 bytes" in fine.detail
        assert warning.verdict is Verdict.WARN
        assert warning.detail.endswith(": the broker refuses to let us read site/door/control")
        assert len(broker.clients) == 3
        assert broker.taken == []


async def test_a_process_that_runs_is_not_disturbed(broker: Broker) -> None:
    address = at(broker, client_id="cam")
    process = ProcessStatus(address)
    await process.start()
    await process.reached()
    async with publishing(address) as one, subscriber(broker.port) as found:
        await until(lambda: one.connected and len(found.messages) == 3)
        for client_id in ("cam", None):
            [finding] = await probe(broker, client_id=client_id)
            assert finding.verdict is Verdict.OK, finding
        await asyncio.sleep(0.2)
        assert len(found.messages) == 3
        assert one.reconnects == process._connection.reconnects == 0
    await process.close()


async def test_a_prescribed_client_id_is_what_the_ids_of_a_check_begin_with() -> None:
    async with strict() as broker:
        await probe(broker, client_id="cam")
        process, *streams = broker.clients
        assert process.startswith("cam-check-")
        assert sorted(streams) == [f"{process}-door", f"{process}-yard"]


async def test_nothing_is_published(broker: Broker) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe("#")
        await probe(broker)
        await client.publish("last", b"")
        async for message in client.messages:
            assert str(message.topic) == "last"
            break
