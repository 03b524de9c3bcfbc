"""What subscribers are told of a stream, by what happens to it."""

from datetime import UTC, datetime
from types import SimpleNamespace

from maskcast.notices import PauseChanged, PlacesChanged, PromptsChanged, RequestsAnswered, SourceStatus
from maskcast.places import NOWHERE, Places, Tally, Zone
from maskcast.stream_status import StreamStatus
from sinks.mqtt import publisher
from sinks.mqtt.journal import Journal
from streaming.pipeline.controls import Controls
from streaming.service.presence import Presence
from streaming.settings.broker import MqttSettings


class Noted:
    """What was left at the broker."""

    def __init__(self):
        self.streams, self.described, self.components = [], [], []

    def note(self, stream):
        self.streams.append(stream)

    def replace(self, _stream, prompts, places):
        self.described.append(prompts)
        self.components.append(places)
        return [], list(places)


async def test_home_assistant_and_subscribers_hear_of_places(monkeypatch):
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.05)  # there is no broker
    told = []
    monkeypatch.setattr(publisher.Publisher, "tell_places", lambda _, tally: told.append(tally))
    mqtt = MqttSettings(url="mqtt://127.0.0.1:1/site", home_assistant=True)
    retained, controls, journal = Noted(), Controls(["cat"]), Journal(None)
    resources = SimpleNamespace(settings=SimpleNamespace(mqtt=mqtt), retained=retained, journal=journal)
    presence = Presence("door", resources, controls)
    presence.notify(PlacesChanged(None))  # as long as nobody is connected
    await presence.start(None, lambda _: None, live=True)
    controls.places = Places((Zone("gate", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))),))
    tally = Tally(datetime(2026, 1, 1, tzinfo=UTC), places=controls.places)
    presence.notify(PlacesChanged(tally))
    controls.places = NOWHERE
    presence.notify(PlacesChanged(None))
    assert told == [tally, None]
    assert [len(components) for components in retained.components] == [0, 2, 0]
    await presence.leave(removed=True)
    await journal.close()


async def test_a_status_is_one_value_and_prompts_come_from_their_owner(monkeypatch):
    monkeypatch.setattr(publisher, "FLUSH_SECONDS", 0.05)  # there is no broker
    mqtt = MqttSettings(url="mqtt://127.0.0.1:1/site", home_assistant=True)
    retained, controls, journal = Noted(), Controls(["cat"]), Journal(None)
    resources = SimpleNamespace(settings=SimpleNamespace(mqtt=mqtt), retained=retained, journal=journal)
    presence = Presence("door", resources, controls)
    await presence.start(None, lambda _: None, live=True)
    assert presence.publisher.status == StreamStatus(False, "starting", ("cat",))
    presence.notify(SourceStatus(online=True))
    controls.set_prompts(["dog"])
    presence.notify(PromptsChanged(("dog",)))
    controls.pause(True)
    presence.notify(PauseChanged(paused=True))
    presence.notify(RequestsAnswered(accepted=True))
    assert presence.publisher.status == presence.status == StreamStatus(True, None, ("dog",), paused=True)
    assert retained.streams == ["door"]
    assert retained.described == [("cat",), ("dog",)], "Home Assistant hears of prompts alone"
    await presence.leave(removed=True)
    assert presence.publisher is None
    await journal.close()


def test_without_a_broker_the_status_is_known_and_nobody_is_told():
    presence = Presence("door", SimpleNamespace(settings=SimpleNamespace(mqtt=None)), Controls(["cat"]))
    presence.notify(SourceStatus(False, "no route to host"))
    presence.nothing_visible()
    assert presence.status == StreamStatus(False, "no route to host", ("cat",))
