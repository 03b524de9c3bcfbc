"""One connection to a broker, and its end."""

from __future__ import annotations

import asyncio

import aiomqtt
import pytest

from sinks.mqtt.connection import Connection
from tests.patience import eventually_async as until
from tests.patience import patient
from tests.publishing import at, publishing
from tests.strict_broker import strict


async def test_one_that_breaks_in_the_moment_in_which_it_is_closed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def break_when_cancelled(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise aiomqtt.MqttError("broken") from None

    monkeypatch.setattr(Connection, "_listen", break_when_cancelled)
    async with strict() as broker, publishing(at(broker)) as one:
        await until(lambda: one.connected)
        async with asyncio.timeout(patient(30)):
            await one.close("stopped")
        assert not one.connected
