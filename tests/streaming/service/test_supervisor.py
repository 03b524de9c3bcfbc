"""What a stream's supervisor counts and remembers, without a source and a model."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from maskcast.notices import SourceStatus
from streaming.pipeline.report import Report
from streaming.service import supervisor as supervisors
from streaming.service.metrics import Metrics
from streaming.service.supervisor import Supervisor
from streaming.settings.tables import Settings
from tests.patience import eventually_async, patient


def supervisor(tmp_path, **others):
    """Of the stream `door`, without a broker."""
    door = {"source": "rtsp://127.0.0.1/x", "prompts": ["cat"], **others}
    settings = Settings.model_validate({"streams": {"door": door}}, context={"folder": tmp_path})
    shared = SimpleNamespace(settings=settings, metrics=Metrics(), track_states=True, worker=None, journal=None)
    return Supervisor("door", settings.streams["door"], shared)


@pytest.mark.parametrize(("control", "actions"), [([], None), (["pause"], ("pause",))])
async def test_the_control_topic_takes_what_the_settings_allow(tmp_path, control, actions):
    desk = supervisor(tmp_path, control=control)._control()
    if actions is None:
        assert desk is None, "not even a subscription"
    else:
        assert desk._allowed == actions


async def test_a_late_online_of_an_attempt_that_has_ended_does_not_overwrite_offline(tmp_path, monkeypatch):
    one = supervisor(tmp_path)
    said = []

    def open_reconnecting(_source, notify, **_options):
        said.append(notify)

    async def run_stream(job, _worker, _stop):
        job.open_source()
        await asyncio.to_thread(said[-1], SourceStatus(online=True))
        await eventually_async(lambda: one.state()["online"])
        late = threading.Thread(target=said[-1], args=(SourceStatus(online=True),))
        late.start()
        late.join()  # said, and not heard yet
        return Report("door")

    monkeypatch.setattr(supervisors, "open_reconnecting", open_reconnecting)
    monkeypatch.setattr(supervisors, "run_stream", run_stream)
    await one._run_once()
    await asyncio.sleep(0.01)
    assert one.state() == {"online": False, "reason": "end of stream", "paused": False}


class PanicException(BaseException):
    """As PyO3 raises it where Rust code panics."""


@pytest.mark.parametrize("bug", [ZeroDivisionError, PanicException, SystemExit])
async def test_a_stream_that_fails_unexpectedly_comes_back(tmp_path, monkeypatch, caplog, bug):
    """A bug outside of the pipeline: it is told of, and the stream begins again until it is stopped."""
    monkeypatch.setattr(supervisors, "FIRST_PAUSE", 0.01)
    one, begun, told = supervisor(tmp_path), [], []

    async def start(*_arguments, **_options):
        told.append(one.state()["reason"])
        begun.append(None)
        if len(begun) == 3:
            one.stop()
        raise bug

    monkeypatch.setattr(one._presence, "start", start)
    async with asyncio.timeout(patient(60)):
        await one.run()
    assert told == ["starting", *[f"failed unexpectedly, see the log: {bug.__name__}"] * 2]
    assert sum("failed unexpectedly, begun again" in record.message for record in caplog.records) == 3
    assert one.state()["online"] is False
