"""A stream whose supervisor has a bug, without a source and a model."""

import asyncio
from types import SimpleNamespace

import pytest

from maskcast.backoff import Backoff
from maskcast.errors import WorkerLeftError
from sinks.mqtt.journal import Journal
from streaming.service import supervisor as supervisors
from streaming.service.metrics import Metrics
from streaming.service.supervisor import Supervisor
from streaming.settings.tables import Settings
from tests.patience import patient


def supervisor(tmp_path):
    """Of the stream `door`, without a broker."""
    door = {"source": "rtsp://127.0.0.1/x", "prompts": ["cat"]}
    settings = Settings.model_validate({"streams": {"door": door}}, context={"folder": tmp_path})
    resources = SimpleNamespace(
        settings=settings,
        metrics=Metrics(),
        journal=Journal(None),
        tracking=SimpleNamespace(track_states=True, forget=lambda _: None, worker_of=lambda _: None),
        one_by_one=None,
        board=None,
        history=None,
    )
    return Supervisor("door", settings.streams["door"], resources)


async def test_a_stream_whose_worker_is_gone_goes_on_at_once_but_not_again_and_again(tmp_path, monkeypatch):
    """It may be what its workers die of."""
    pauses = []
    one = supervisor(tmp_path)

    class Waits(Backoff):
        def wait(self):
            pauses.append(super().wait())
            if len(pauses) == 3:
                one.stop()
            return 0.0

    attempts = []

    async def attempt():
        attempts.append(len(pauses))
        return WorkerLeftError("its worker is gone")

    monkeypatch.setattr(supervisors, "Backoff", Waits)
    monkeypatch.setattr(one.stream, "attempt", attempt)
    async with asyncio.timeout(patient(10)):
        await one.run()
    assert attempts[:3] == [0, 0, 1]
    assert pauses[0] < pauses[1]


class PanicException(BaseException):
    """As PyO3 raises it where Rust code panics."""


@pytest.mark.parametrize("bug", [ZeroDivisionError, PanicException, SystemExit])
async def test_a_stream_that_fails_unexpectedly_comes_back(tmp_path, monkeypatch, caplog, bug):
    """A bug outside of the pipeline: it is told of, and the stream begins again until it is stopped."""
    monkeypatch.setattr(supervisors, "FIRST_PAUSE_SECONDS", 0.01)
    one, begun, told = supervisor(tmp_path), [], []

    async def start(*_arguments, **_options):
        told.append(one.stream.state()["reason"])
        begun.append(None)
        if len(begun) == 3:
            one.stop()
        raise bug

    monkeypatch.setattr(one.stream._presence, "start", start)
    async with asyncio.timeout(patient(60)):
        await one.run()
    assert told == ["starting", *[f"failed unexpectedly, see the log: {bug.__name__}"] * 2]
    assert sum("failed unexpectedly, begun again" in record.message for record in caplog.records) == 3
    assert one.stream.state()["online"] is False
    await one.stream._resources.journal.close()
