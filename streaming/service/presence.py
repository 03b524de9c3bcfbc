"""What subscribers are told of a stream of `maskcast run`: its status, and its device in Home Assistant."""

from __future__ import annotations

import json

from maskcast.notices import Notice, Notify, PauseChanged, PlacesChanged, PromptsChanged, SourceStatus, TotalsReset
from maskcast.places import Tally
from maskcast.stream_status import StreamStatus
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.home_assistant import discovery, discovery_topic, place_components
from sinks.mqtt.publisher import Publisher
from streaming.pipeline.controls import Controls
from streaming.service.resources import Resources


class Presence:
    """Announces one stream. Without a broker it knows the status, and nobody is told.

    Attributes:
        source: whether frames come, and why not.
        publisher: of the stream, between `start` and `leave`, if there is a broker.
    """

    def __init__(self, name: str, resources: Resources, controls: Controls) -> None:
        """Prepare; nothing is announced before `start`, which may come again after `leave`.

        Args:
            name: id of the stream.
            resources: see there.
            controls: what is wanted of the stream.
        """
        self.source = SourceStatus(False, "starting")
        self.publisher: Publisher | None = None
        self._name, self._resources, self._controls = name, resources, controls

    @property
    def status(self) -> StreamStatus:
        """How the stream is."""
        return StreamStatus(self.source.online, self.source.reason, self._controls.names, self._controls.paused)

    async def start(
        self, control: ControlDesk | None, notify: Notify, *, live: bool, tally: Tally | None = None
    ) -> None:
        """Begin to connect and to announce; see `Publisher` for the arguments."""
        if mqtt := self._resources.settings.mqtt:
            self._resources.retained.note(self._name)
            self.publisher = Publisher(
                mqtt.address(),
                self._name,
                journal=self._resources.journal,
                live=live,
                max_payload=int(mqtt.max_payload),
                tally=tally,
                control=control,
                notify=notify,
            )
            self._tell()
            await self.publisher.start(required=False)
            self._describe()

    async def leave(self, *, removed: bool) -> None:
        """Say goodbye, and why if the stream is `removed`; what is retained then is for `Removal`."""
        publisher, self.publisher = self.publisher, None
        if publisher:
            await publisher.close("removed" if removed else self.source.reason or "stopped")

    def notify(self, notice: Notice) -> None:
        """Tell subscribers what is news to them."""
        match notice:
            case SourceStatus():
                self.source = notice
                self._tell()
            case PauseChanged():
                self._tell()
            case TotalsReset(tally):
                if self.publisher:
                    self.publisher.tell_totals(tally)
            case PromptsChanged():
                self._tell()
                self._describe()
            case PlacesChanged(tally):
                if self.publisher:
                    self.publisher.tell_places(tally)
                self._describe()

    def nothing_visible(self) -> None:
        """Say that no object is seen, since no frame has come for so long that all tracks are lost."""
        if self.publisher:
            self.publisher.nothing_visible()

    def _tell(self) -> None:
        if self.publisher:
            self.publisher.set_status(self.status)

    def _describe(self) -> None:
        """Describe the stream to Home Assistant, if it is there."""
        mqtt = self._resources.settings.mqtt
        if self.publisher and mqtt and mqtt.home_assistant:
            prefix, prompts, places = mqtt.address().prefix, self._controls.names, self._controls.places
            components = place_components(prefix, self._name, prompts, places)
            gone, gone_places = self._resources.retained.replace(self._name, prompts, components)
            message = json.dumps(discovery(prefix, self._name, prompts, gone, places, gone_places)).encode()
            self.publisher.publish_raw(discovery_topic(prefix, self._name, mqtt.discovery_prefix), message)
