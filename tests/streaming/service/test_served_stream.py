"""What a stream is told and tells, without a source and a model."""

import asyncio
import json
import threading
from types import SimpleNamespace

import aiomqtt
import pytest

from maskcast.notices import SourceStatus
from maskcast.result import Result
from sinks.mqtt.journal import Journal
from streaming.page.board import Board
from streaming.pipeline.report import Report
from streaming.service import served_stream
from streaming.service.metrics import Metrics
from streaming.service.served_stream import ServedStream
from streaming.settings.tables import Settings
from tests.frames import frame
from tests.patience import eventually_async
from tests.subscriber import subscriber


def door(tmp_path, **others):
    """The stream `door`, without a broker."""
    table = {"source": "rtsp://127.0.0.1/x", "prompts": ["cat"], **others}
    settings = Settings.model_validate({"streams": {"door": table}}, context={"folder": tmp_path})
    resources = SimpleNamespace(
        settings=settings,
        metrics=Metrics(),
        tracking=SimpleNamespace(track_states=True, forget=lambda _: None, worker_of=lambda _: None),
        journal=None,
        board=None,
        history=None,
    )
    return ServedStream("door", settings.streams["door"], resources, asyncio.Event())


@pytest.mark.parametrize(("control", "actions"), [([], None), (["pause"], ("pause",))])
async def test_the_control_topic_takes_what_the_settings_allow(tmp_path, control, actions):
    desk = door(tmp_path, control=control)._control()
    if actions is None:
        assert desk is None, "not even a subscription"
    else:
        assert desk._allowed == actions


async def test_the_page_may_ask_for_all_while_the_stream_is_served(tmp_path):
    one = door(tmp_path, control=["pause"])
    one._resources.journal = one._counting._journal = Journal(None)
    assert one.desk is None
    await one.begin()
    reply = json.loads(await one.desk.answer(b'{"schema": "maskcast.control/3", "action": "places", "zones": {}}'))
    assert reply["status"] == "accepted"
    await one.end(removed=False)
    assert one.desk is None
    await one._resources.journal.close()


async def test_a_late_online_of_an_attempt_that_has_ended_does_not_overwrite_offline(tmp_path, monkeypatch):
    one = door(tmp_path)
    said = []

    def open_reconnecting(_source, notify, _settings, **_options):
        said.append(notify)

    async def run(_name, _settings, job, _stop):
        job.open_source()
        await asyncio.to_thread(said[-1], SourceStatus(online=True))
        await eventually_async(lambda: one.state()["online"])
        late = threading.Thread(target=said[-1], args=(SourceStatus(online=True),))
        late.start()
        late.join()  # said, and not heard yet
        return Report("door")

    monkeypatch.setattr(served_stream, "open_reconnecting", open_reconnecting)
    one._resources.tracking.run = run
    await one.attempt()
    await asyncio.sleep(0.01)
    assert one.state() == {"online": False, "reason": "end of stream", "paused": False}


@pytest.mark.parametrize("stopped", [False, True])
async def test_the_page_keeps_the_last_picture_of_a_stream_unless_it_begins_anew(tmp_path, stopped):
    """It may have been begun anew for a style that hides what the picture shows."""
    one = door(tmp_path)
    board, one._resources.journal = Board(), Journal(None)
    one._resources.board, one._counting._journal = board, one._resources.journal
    await one.begin()
    board.put(board.get("door"), Result(frame()))
    if stopped:
        one._stop.set()
    await one.end(removed=False)
    assert (board.get("door").newest is None) == stopped
    await one.end(removed=True)
    assert board.get("door") is None
    await one._resources.journal.close()


@pytest.mark.parametrize(("style", "left"), [("outline", b"a picture"), ({"cat": "blur"}, None)])
async def test_a_still_from_before_a_style_that_hides_is_not_left_at_the_broker(tmp_path, broker, style, left):
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish("site/door/image", b"a picture", 1, retain=True)
    table = {"source": "rtsp://127.0.0.1/x", "prompts": ["cat"], "style": style}
    mqtt = {"url": f"mqtt://127.0.0.1:{broker.port}/site"}
    settings = Settings.model_validate({"mqtt": mqtt, "streams": {"door": table}}, context={"folder": tmp_path})
    journal = Journal(None)
    retained = SimpleNamespace(note=lambda _: None, replace=lambda *_: ([], []))
    resources = SimpleNamespace(
        settings=settings,
        metrics=Metrics(),
        tracking=SimpleNamespace(track_states=False, forget=lambda _: None, worker_of=lambda _: None),
        journal=journal,
        retained=retained,
        board=None,
        history=None,
    )
    stream = ServedStream("door", settings.streams["door"], resources, asyncio.Event())
    await stream.begin()
    await stream.end(removed=False)
    await journal.close()
    async with subscriber(broker.port) as late:
        await eventually_async(lambda: len(late.messages) == (3 if left else 2))
        await asyncio.sleep(0.1)
        kept = {topic: body for topic, body, _ in late.messages}
        assert set(kept) - {"site/door/image"} == {"site/door/status", "site/door/counts"}
        assert kept.get("site/door/image") == left
