"""What a stream does at the request of subscribers, without a source and a model."""

import asyncio
import math
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from maskcast.errors import UsageError
from maskcast.notices import PauseChanged, PromptsChanged, SourceStatus
from maskcast.places import NOWHERE
from maskcast.prompts import Prompt, clean_prompts
from maskcast.result import Result
from sinks.messages.control import ControlMessage, ControlMessage2, ControlMessage3
from sinks.video.still import StillSink
from sources.picture import ArrayPicture
from streaming.pipeline.controls import Controls
from streaming.service import remote_control
from streaming.service.presence import Presence
from streaming.service.remote_control import RemoteControl
from streaming.zones import shapes
from tests.frames import frame


def result(index):
    return Result(replace(frame(index), picture=ArrayPicture(np.zeros((48, 64, 3), np.uint8))))


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(remote_control, "PLACES_SECONDS", 0.0)


class Stream:
    """The stream `door`, online and without a broker; `stills` are those that were published."""

    def __init__(self):
        self.stills, self.told = [], []
        self.still = StillSink(self._publish, on_events=False)
        self.controls = Controls(["cat"])
        self.presence = Presence("door", SimpleNamespace(), self.controls)
        self.presence.source = SourceStatus(online=True)
        outputs = SimpleNamespace(find=lambda kind: self.still if kind is StillSink else None)
        self.counting, self.slow = [], asyncio.Event()
        self.slow.set()
        self.remote = RemoteControl(self.controls, self.presence, outputs, self, self.told.append, self)

    def ask_places(self, places):
        self.controls.places = places
        self.counting.append(places)

    def ask_reset(self):
        self.counting.append("reset")

    async def check_prompts(self, prompts):
        await self.slow.wait()
        if not prompts:
            raise UsageError("no prompt")
        return clean_prompts(prompts)

    async def _publish(self, jpeg):
        self.stills.append(jpeg)

    async def ask(self, action, *prompts):
        given = {"prompts": prompts} if prompts else {}
        await self.remote.obey(ControlMessage(action=action, **given))


async def test_a_still_is_of_the_next_frame_and_while_paused_of_the_last_one():
    stream = Stream()
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


async def test_a_still_that_there_is_not_is_refused():
    stream = Stream()
    await stream.ask("pause")
    with pytest.raises(UsageError, match="paused before its first frame"):
        await stream.ask("snapshot")
    await stream.still.write(result(0))
    stream.presence.source = SourceStatus(False, "connection lost")
    with pytest.raises(UsageError, match="the stream is offline"):
        await stream.ask("snapshot")


async def test_prompts_change_as_asked_and_whoever_listens_is_told():
    stream = Stream()
    await stream.ask("add", "dog", "bird")
    await stream.ask("remove", "cat")
    assert stream.remote.prompts == stream.presence.status.prompts == ("dog", "bird")
    await stream.ask("pause")
    assert stream.presence.status.paused
    with pytest.raises(UsageError, match="no prompt"):
        await stream.ask("remove", "dog", "bird")
    assert stream.controls.names == ("dog", "bird"), "nothing has changed"
    changes = [("cat", "dog", "bird"), ("dog", "bird")]
    assert stream.told == [*map(PromptsChanged, changes), PauseChanged(paused=True)]


async def test_a_prompt_that_is_added_takes_the_place_of_that_of_its_name_and_goes_by_it():
    stream = Stream()
    table = {"text": "tabby", "name": "cat", "min_area": 0.1}
    request = {"schema": "maskcast.control/2", "action": "add", "prompts": ["dog", table]}
    await stream.remote.obey(ControlMessage2.model_validate(request))
    assert stream.controls.prompts == (Prompt("tabby", "cat", min_area=0.1), Prompt("dog"))
    await stream.ask("remove", "cat")
    assert stream.controls.names == ("dog",)


def request_places(**given):
    return ControlMessage3.model_validate({"schema": "maskcast.control/3", "action": "places", **given})


SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]


async def test_places_are_checked_and_wanted():
    stream = Stream()
    await stream.remote.obey(request_places(zones={"gate": {"points": SQUARE, "prompts": ["cat"]}}))
    assert stream.counting == [stream.controls.places]
    assert [zone.name for zone in stream.controls.places.zones] == ["gate"]
    await stream.remote.obey(ControlMessage2.model_validate({"schema": "maskcast.control/2", "action": "reset"}))
    assert stream.counting[1:] == ["reset"]
    await stream.remote.obey(request_places(zones={}))
    assert stream.counting[2:] == [NOWHERE]
    with pytest.raises(UsageError, match="no totals"):
        await stream.remote.obey(ControlMessage2.model_validate({"schema": "maskcast.control/2", "action": "reset"}))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"zones": {"gate": {"points": SQUARE[:2]}}}, "zones.gate.points: has 2 points: a zone needs 3 or more"),
        ({"zones": {"gate": {"points": [*SQUARE[:2], [0, 1], [1, 1]]}}}, "zones.gate.points: the outline crosses"),
        ({"zones": {"gate": {"points": SQUARE, "prompts": ["dog"]}}}, "zones.gate.prompts: no prompt is named 'dog'"),
        ({"zones": {"a": {"points": SQUARE}}, "lines": {"a": {"points": SQUARE}}}, "lines.a: there is another"),
    ],
)
async def test_places_that_cannot_be_meant_change_nothing(given, said):
    stream = Stream()
    with pytest.raises(UsageError) as caught:
        await stream.remote.obey(request_places(**given))
    assert str(caught.value).startswith(said)
    assert (stream.counting, stream.controls.places) == ([], NOWHERE)


async def test_changes_are_made_one_after_the_other_wherever_they_come_from():
    stream = Stream()
    stream.slow.clear()
    coming = [asyncio.create_task(stream.ask("add", prompt)) for prompt in ("dog", "bird")]
    zones = {"gate": {"points": SQUARE, "prompts": ["bird"]}}
    coming.append(asyncio.create_task(stream.remote.obey(request_places(zones=zones))))
    await asyncio.sleep(0)
    await stream.ask("pause")
    assert stream.controls.names == ("cat",)
    stream.slow.set()
    await asyncio.gather(*coming)
    assert stream.controls.names == ("cat", "dog", "bird")
    assert stream.controls.places.zones[0].prompts == ("bird",)


async def test_a_flood_of_large_zones_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(remote_control, "PLACES_SECONDS", 0.2)
    stream = Stream()
    ways = [2 * math.pi * corner / 100 for corner in range(100)]
    star = [[0.5 + (0.49 - 0.48 * (n % 2)) * f(way) for f in (math.cos, math.sin)] for n, way in enumerate(ways)]
    began = time.monotonic()
    asked = [request_places(zones={f"star {n}": {"points": star}}) for n in range(3)]
    coming = asyncio.gather(*map(stream.remote.obey, asked))
    await stream.ask("pause")
    assert stream.controls.paused, "before those"
    await coming
    assert time.monotonic() - began > 0.4
    assert len(stream.counting) == 3
    assert shapes._polygon.cache_info().hits >= 2
