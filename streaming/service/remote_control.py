"""What a stream of `maskcast run` does at the request of subscribers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from maskcast.errors import UsageError
from maskcast.notices import Notify, PauseChanged, PromptsChanged
from maskcast.places import Places
from maskcast.prompts import Prompt, check_number, names
from sinks.messages.control import AnyControlMessage, ControlMessage3
from sinks.video.still import StillSink
from streaming.pipeline.controls import Controls
from streaming.service.counting import Counting
from streaming.service.outputs import StreamOutputs
from streaming.service.presence import Presence
from streaming.service.tracking import Tracking
from streaming.zones.checks import check_places
from streaming.zones.shapes import Shape

# Between two changes of places: of 64 places and 32 prompts Home Assistant is told a megabyte.
PLACES_SECONDS = 1.0


class RemoteControl:
    """Carries out the requests for one stream; see `sinks.mqtt.control.Controlled`."""

    def __init__(
        self,
        controls: Controls,
        presence: Presence,
        outputs: StreamOutputs,
        tracking: Tracking,
        notify: Notify,
        counting: Counting,
    ) -> None:
        """Prepare.

        Args:
            controls: what requests change.
            presence: knows whether frames come.
            outputs: take the stills that are asked for.
            tracking: knows which prompts the model can read.
            notify: is told what has changed.
            counting: has the totals, and follows when places change.
        """
        self._controls, self._presence, self._outputs = controls, presence, outputs
        self._tracking, self._notify, self._counting = tracking, notify, counting
        self._placed_at = float("-inf")
        self._change = asyncio.Lock()  # one builds on the other, wherever they come from

    @property
    def prompts(self) -> tuple[str, ...]:
        """Those in force."""
        return self._controls.names

    async def obey(self, request: AnyControlMessage) -> None:
        """Carry a request out.

        Raises:
            MaskcastError: it cannot be done; nothing has changed.
        """
        match request.action:
            case "pause" | "resume":
                self._controls.pause(request.action == "pause")
                self._notify(PauseChanged(self._controls.paused))
            case "reset":
                if not self._controls.places:
                    raise UsageError("no totals: the stream has no zone and no line")
                self._counting.ask_reset()
            case "snapshot":
                await self._publish_still()
            case "set" | "add" | "remove":
                async with self._change:
                    await self._set_prompts(request)
            case "places":
                async with self._change:
                    await self._set_places(request)

    async def _set_prompts(self, request: AnyControlMessage) -> None:
        checked = await self._tracking.check_prompts(self._wanted(request))
        try:
            check_number(checked)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._controls.set_prompts(checked)
        self._notify(PromptsChanged(names(checked)))

    async def _set_places(self, request: AnyControlMessage) -> None:
        assert isinstance(request, ControlMessage3)
        places = request.places()
        await asyncio.sleep(self._placed_at + PLACES_SECONDS - time.monotonic())
        try:
            await asyncio.to_thread(_look_through, places, self._controls.names)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._placed_at = time.monotonic()
        self._counting.ask_places(places)

    def _wanted(self, request: AnyControlMessage) -> tuple[Prompt, ...]:
        """The prompts that a request asks for; one that is added takes the place of that of its name."""
        before, given = self._controls.prompts, request.wanted()
        if request.action == "set":
            return given
        if request.action == "add":
            wanted = {prompt.name: prompt for prompt in (*before, *given)}
            return tuple(wanted.values())
        return tuple(prompt for prompt in before if prompt.name not in names(given))

    async def _publish_still(self) -> None:
        """Have a still published: of the next frame, or of the last one while none is looked at.

        Raises:
            MaskcastError: there is none.
        """
        still, source = self._outputs.find(StillSink), self._presence.source
        if not source.online:
            raise UsageError(f"no picture: the stream is offline ({source.reason})")
        if still is None:
            raise UsageError("no picture: there is no broker to publish it at")
        if not self._controls.paused:
            still.ask()
        elif not await still.repeat():
            raise UsageError("no picture: the stream was paused before its first frame")


def _look_through(places: Places, names: Collection[str]) -> None:
    """Check places, and do on a thread, and once, what is slow about many corners.

    Raises:
        ValueError: see `check_places`.
    """
    check_places(places, names)
    for zone in places.zones:
        Shape(zone)
