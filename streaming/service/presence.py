"""What subscribers see of a stream of `maskcast run`, and what it does at their request."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from contextlib import suppress

from maskcast.errors import UsageError
from maskcast.notices import FramePublished, Notice, RequestsAnswered
from maskcast.prompts import MOST_PROMPTS
from maskcast.stream_status import StreamStatus
from sinks.messages.control import ControlMessage
from sinks.mqtt.control import ControlDesk
from sinks.mqtt.home_assistant import discovery, discovery_topic
from sinks.mqtt.publisher import Publisher
from sinks.video.still import StillSink
from streaming.pipeline.controls import Controls
from streaming.service.outputs import StreamOutputs
from streaming.service.shared import Shared
from streaming.settings.tables import MqttSettings, StreamSettings

logger = logging.getLogger(__name__)


class Presence:
    """Announces one stream, its status and its device in Home Assistant, and obeys its control topic.

    Without a broker it knows the status, and nobody is told.

    Attributes:
        publisher: of the stream, between `start` and `leave`, if there is a broker.
        online: whether frames come.
        reason: why not.
    """

    def __init__(
        self,
        name: str,
        settings: StreamSettings,
        shared: Shared,
        controls: Controls,
        outputs: StreamOutputs,
        stop: asyncio.Event,
    ) -> None:
        """Prepare; nothing is announced before `start`, which may come again after `leave`.

        Args:
            name: id of the stream.
            settings: of the stream.
            shared: see there.
            controls: what requests change.
            outputs: which take the stills that are asked for.
            stop: set when the stream is to end.
        """
        self.online = False
        self.reason: str | None = "starting"
        self._name, self._shared, self._controls, self._outputs, self._stop = name, shared, controls, outputs, stop
        self._loop = asyncio.get_running_loop()
        self._was_online = False
        self._allowed = settings.control
        self._live = not settings.ends() or settings.live is True
        self.publisher: Publisher | None = None

    def _make_publisher(self, mqtt: MqttSettings) -> Publisher:
        return Publisher(
            mqtt.address(),
            self._name,
            journal=self._shared.journal,
            prompts=self._controls.prompts,
            live=self._live,
            max_payload=int(mqtt.max_payload),
            control=self._make_desk() if self._allowed else None,
            notify=self._notify,
        )

    def _make_desk(self) -> ControlDesk:
        return ControlDesk(self._name, self, self._notify, allowed=self._allowed)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Those in force."""
        return self._controls.prompts

    async def start(self) -> None:
        """Begin to connect and to announce."""
        if mqtt := self._shared.settings.mqtt:
            self._shared.retained.note(self._name)
            self.publisher = self._make_publisher(mqtt)
            self._tell()
            await self.publisher.start(required=False)
            await self._announce()

    async def leave(self, *, removed: bool) -> None:
        """Say goodbye, and why if the stream is `removed`; what is retained then is for `Removal`."""
        publisher, self.publisher = self.publisher, None
        if publisher:
            await publisher.close("removed" if removed else self.reason or "stopped")

    async def change(self, online: bool, reason: str | None) -> None:
        """Note and tell that frames come, or why not."""
        if online and not self.online and self._was_online:
            self._shared.metrics.reconnected(self._name)
        self._was_online = self._was_online or online
        if (online, reason) != (self.online, self.reason):
            say = logger.info if online or self._stop.is_set() else logger.warning
            say("%s: %s", self._name, "online" if online else f"offline: {reason}", extra={"stream": self._name})
        self.online, self.reason = online, reason
        self._shared.metrics.stream_up(self._name, online)
        self._tell()

    def change_from_thread(self, online: bool, reason: str | None, ended: threading.Event) -> None:
        """`change`, from any thread; does not wait.

        Args:
            online: see `change`.
            reason: see `change`.
            ended: set in the event loop when the attempt that says so is over: what arrives later is not told.
        """

        async def change() -> None:
            if not ended.is_set():
                await self.change(online, reason)

        with suppress(RuntimeError):  # the loop is closed: the process is ending
            asyncio.run_coroutine_threadsafe(change(), self._loop)

    def _tell(self) -> None:
        if self.publisher:
            self.publisher.set_status(
                StreamStatus(self.online, self.reason, self._controls.prompts, self._controls.paused)
            )

    def _discovery_topic(self) -> str | None:
        """Where the stream is described to Home Assistant, if it is."""
        mqtt = self._shared.settings.mqtt
        if not (mqtt and mqtt.home_assistant):
            return None
        return discovery_topic(mqtt.address().prefix, self._name, mqtt.discovery_prefix)

    async def _announce(self) -> None:
        """Describe the stream to Home Assistant."""
        mqtt, topic = self._shared.settings.mqtt, self._discovery_topic()
        if self.publisher and mqtt and topic:
            prompts = self._controls.prompts
            gone = self._shared.retained.replace(self._name, prompts)
            message = json.dumps(discovery(mqtt.address().prefix, self._name, prompts, gone)).encode()
            await self.publisher.publish_raw(topic, message)

    async def obey(self, message: ControlMessage) -> None:
        """Do what a control message says.

        Raises:
            MaskcastError: it cannot be done; nothing has changed.
        """
        before = self._controls.prompts
        match message.action:
            case "pause" | "resume":
                self._controls.pause(message.action == "pause")
            case "snapshot":
                await self._still()
            case "set" | "add" | "remove":
                given = tuple(message.prompts or ())
                wanted = {
                    "set": given,
                    "add": (*before, *given),
                    "remove": tuple(prompt for prompt in before if prompt not in given),
                }[message.action]
                checked = await self._shared.worker.check_prompts(wanted)
                if len(checked) > MOST_PROMPTS:
                    raise UsageError(f"{len(checked)} prompts are too many: a stream looks for {MOST_PROMPTS} at most")
                self._controls.set_prompts(checked)
                self._shared.metrics.prompts(self._name, checked)
                self._tell()
                await self._announce()
                return
        self._tell()

    async def _still(self) -> None:
        """Have a still published: of the next frame, or of the last one while none is looked at.

        Raises:
            MaskcastError: there is none.
        """
        still = self._outputs.find(StillSink)
        if still is None or not self.online:
            raise UsageError(f"no picture: the stream is offline ({self.reason})")
        if not self._controls.paused:
            still.ask()
        elif not await still.repeat():
            raise UsageError("no picture: the stream was paused before its first frame")

    def _notify(self, notice: Notice) -> None:
        metrics = self._shared.metrics
        match notice:
            case FramePublished(frame, seconds):
                metrics.observe("publish", seconds)
                metrics.observe("total", time.monotonic() - frame.decoded_at)
            case RequestsAnswered(accepted, count):
                metrics.control(self._name, "accepted" if accepted else "rejected", count)
