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


@pytest.fixture
def _breaks_when_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise aiomqtt.MqttError("broken") from None

    monkeypatch.setattr(Connection, "_listen", listen)


@pytest.mark.usefixtures("_breaks_when_cancelled")
async def test_one_that_breaks_in_the_moment_in_which_it_is_closed_is_closed() -> None:
    async with strict() as broker, publishing(at(broker)) as one:
        await until(lambda: one.connected)
        async with asyncio.timeout(patient(30)):
            await one.close("stopped")
        assert not one.connected


@pytest.mark.usefixtures("_breaks_when_cancelled")
async def test_one_that_breaks_in_the_moment_in_which_it_is_cancelled_ends() -> None:
    """As at the end of the event loop, which waits for it."""
    async with strict() as broker, publishing(at(broker)) as one:
        await until(lambda: one.connected)
        staying = one._connection._task
        assert staying is not None
        staying.cancel()
        done, _ = await asyncio.wait([staying], timeout=patient(30))
        assert done
