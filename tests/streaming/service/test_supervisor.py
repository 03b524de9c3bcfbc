"""What a stream's supervisor counts and remembers, without a source and a model."""

import asyncio
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from maskcast.mask import Mask
from maskcast.result import KnownTracks, Result, Track, TrackState
from streaming.pipeline.stream import Report
from streaming.pipeline.worker import TrackedFrame
from streaming.service import supervisor as supervisors
from streaming.service.metrics import Metrics
from streaming.service.supervisor import Supervisor
from streaming.settings.tables import Settings
from tests.frames import frame
from tests.patience import eventually_async, patient


def supervisor(tmp_path, **others):
    """Of the stream `door`, without a broker."""
    settings = Settings.model_validate(
        {"streams": {"door": {"source": "rtsp://127.0.0.1/x", "prompts": ["cat"]}}}, context={"folder": tmp_path}
    )
    shared = SimpleNamespace(settings=settings, metrics=Metrics(), track_states=True, **others)
    return Supervisor("door", settings.streams["door"], shared)


def turn(*ids):
    mask = Mask.from_array(np.ones((2, 2), np.bool_), (96, 160), 1, 1)
    tracks = tuple(Track(number, "cat", TrackState.CONFIRMED, 0.9, mask) for number in ids)
    return TrackedFrame(frame(0), [Result(frame(0), tracks)], 0.0, 0.0)


async def test_frames_that_pass_while_it_is_paused_are_no_overload(tmp_path):
    one = supervisor(tmp_path)
    one.measure()
    one.controls.pause(True)
    one._report.dropped_before_model += 1000
    assert one.measure() == (0.0, 0.0)
    one.controls.pause(False)
    assert one.measure() == (0.0, 0.0), "nor are they afterwards"
    one._report.dropped_before_model += 10
    wanted, got = one.measure()
    assert wanted > 0
    assert got == 0


async def test_ids_go_on_after_a_failure_also_where_nobody_was_told_of_them(tmp_path):
    one = supervisor(tmp_path)
    assert await one._known() is None
    one._turn(turn(3, 9))
    one._turn(turn(4))
    assert await one._known() == KnownTracks({}, highest=9)
    track_state = one._track_state_file()
    track_state.parent.mkdir(parents=True)
    track_state.touch()
    assert await one._known() is None, "the track state knows better: these tracks have not ended"


async def test_a_late_online_of_an_attempt_that_has_ended_does_not_overwrite_offline(tmp_path, monkeypatch):
    one = supervisor(tmp_path, worker=None)
    said = []

    def open_reconnecting(_source, changed, **_options):
        said.append(changed)

    async def run_stream(job, _worker, _stop):
        job.open_source()
        await asyncio.to_thread(said[-1], True, None)
        await eventually_async(lambda: one.state()["online"])
        late = threading.Thread(target=said[-1], args=(True, None))
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

    async def start():
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
