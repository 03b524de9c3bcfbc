"""What a stream does at the request of subscribers, without a source and a model."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from maskcast.errors import UsageError
from maskcast.result import Result
from sinks.messages.control import ControlMessage
from sinks.video.still import StillSink
from sources.picture import ArrayPicture
from streaming.service.metrics import Metrics
from streaming.service.supervisor import Supervisor
from streaming.settings.tables import Settings
from tests.frames import frame


def result(index):
    return Result(replace(frame(index), picture=ArrayPicture(np.zeros((48, 64, 3), np.uint8))))


class Stream:
    """The stream `door`, online and without a broker; `stills` are those that were published."""

    def __init__(self, tmp_path, mqtt=None, **options):
        door = {"source": "rtsp://127.0.0.1/x", "prompts": ["cat"], **options}
        self.settings = Settings.model_validate({"mqtt": mqtt, "streams": {"door": door}}, context={"folder": tmp_path})
        shared = SimpleNamespace(settings=self.settings, metrics=Metrics(), track_states=True, journal=None)
        supervisor = Supervisor("door", self.settings.streams["door"], shared)
        self.presence, self.stills = supervisor._presence, []
        self.presence.online, self.presence.reason = True, None
        self.still = StillSink(self._publish, on_events=False)
        supervisor._outputs._sinks = [self.still]

    async def _publish(self, jpeg):
        self.stills.append(jpeg)

    async def ask(self, action):
        return await self.presence.obey(ControlMessage(action=action))


async def test_a_still_is_of_the_next_frame_and_while_paused_of_the_last_one(tmp_path):
    stream = Stream(tmp_path)
    await stream.still.write(result(0))
    await stream.ask("snapshot")
    assert not stream.stills
    await stream.still.write(result(1))
    assert len(stream.stills) == 1
    await stream.ask("pause")
    await stream.ask("snapshot")
    assert len(stream.stills) == 2, "at once: no frame comes any more"
    await stream.ask("resume")
    await stream.still.write(result(2))
    assert len(stream.stills) == 2, "the wish was fulfilled"


async def test_a_still_that_there_is_not_is_refused(tmp_path):
    stream = Stream(tmp_path)
    await stream.ask("pause")
    with pytest.raises(UsageError, match="paused before its first frame"):
        await stream.ask("snapshot")
    await stream.still.write(result(0))
    stream.presence.online, stream.presence.reason = False, "connection lost"
    with pytest.raises(UsageError, match="the stream is offline"):
        await stream.ask("snapshot")


@pytest.mark.parametrize(("control", "actions"), [([], None), (["pause"], ("pause",))])
async def test_the_control_topic_takes_what_the_settings_allow(tmp_path, control, actions):
    stream = Stream(tmp_path, mqtt={"url": "mqtt://127.0.0.1:1/site"}, control=control)
    publisher = stream.presence._make_publisher(stream.settings.mqtt)
    if actions is None:
        assert publisher._control is None, "not even a subscription"
    else:
        assert publisher._control._desk._allowed == actions
