"""Annotated stills as JPEG: when an object appears, and when somebody asks for one."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from maskcast.errors import PictureGoneError
from maskcast.picture import Planes
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink
from sinks.video.jpeg import jpeg
from sinks.video.render import draw_result
from sinks.video.style import OUTLINED, Styles

logger = logging.getLogger(__name__)

# What a dashboard shows, and a broker carries without effort.
MAX_WIDTH_PIXELS, JPEG_QUALITY = 1280, 80
MIN_WIDTH_PIXELS = 64
# Between two stills for events: a crowd that comes in is one picture, not fifty.
PAUSE_SECONDS = 2.0


def annotated_jpeg(
    result: Result, room: int | None = None, styles: Styles = OUTLINED, most_width: int = MAX_WIDTH_PIXELS
) -> bytes:
    """The frame with its tracks drawn on it, as JPEG.

    Args:
        result: of the frame.
        room: bytes that it may have; None for any number. It is made smaller until it fits, down to `MIN_WIDTH_PIXELS`.
        styles: how objects are shown.
        most_width: of the picture, in pixels.

    Raises:
        SinkError: it cannot be encoded.
        ValueError: what is to be hidden cannot be, see `sinks.video.hiding.hide`.
    """
    picture = result.frame.picture
    planes = Planes(*(plane.copy() for plane in picture.yuv420p()))
    draw_result(planes, picture.colour, result, styles)
    width = min(picture.width, most_width)
    data = jpeg(planes, picture.colour, width, JPEG_QUALITY)
    while room is not None and len(data) > room and width > MIN_WIDTH_PIXELS:
        # The bytes go with the pixels, but faster, because what is small has no grain: not too far at a time.
        width = max(MIN_WIDTH_PIXELS, int(width * max(0.7, 0.95 * math.sqrt(room / len(data)))))
        data = jpeg(planes, picture.colour, width, JPEG_QUALITY)
    return data


class StillSink(Sink):
    """Hands annotated stills to `publish`: soon after a track starts or is recovered, and after `ask`."""

    def __init__(
        self,
        publish: Callable[[bytes], Awaitable[None]],
        *,
        on_events: bool,
        room: Callable[[], int | None] = lambda: None,
        styles: Styles = OUTLINED,
    ) -> None:
        """Prepare.

        Args:
            publish: takes a JPEG.
            on_events: otherwise only `ask` leads to a still.
            room: bytes that a still may have now; None for any number.
            styles: how objects are shown.
        """
        super().__init__("still")
        self._publish, self._on_events, self._room, self._styles = publish, on_events, room, styles
        self._asked = self._wanted = False
        self._last = -PAUSE_SECONDS
        self._newest: Result | None = None

    def ask(self) -> None:
        """Wish for a still of the next result."""
        self._asked = True

    async def repeat(self) -> bool:
        """Publish a still of the newest result, where no next one is to come soon; whether there was one.

        Raises:
            SinkError: it cannot be encoded.
            PictureGoneError: it was elsewhere, and is gone.
        """
        if self._newest is None:
            return False
        await self._take(self._newest)
        return True

    async def start(self, info: StreamInfo) -> None:
        """Nothing to open."""

    async def note(self, result: Result) -> None:
        if self._on_events and any(event.appears for event in result.events):
            self._wanted = True

    async def write(self, result: Result) -> None:
        self._newest = result
        due = self._wanted and time.monotonic() - self._last >= PAUSE_SECONDS
        if not (self._asked or due):
            return
        asked = self._asked
        try:
            await self._take(result)
        except PictureGoneError as error:
            logger.warning("no still: %s", error)
            self._asked, self._wanted = asked, True  # of a later frame there is a picture again

    async def _take(self, result: Result) -> None:
        self._asked = self._wanted = False
        self._last = time.monotonic()
        await self._publish(await asyncio.to_thread(annotated_jpeg, result, self._room(), self._styles))

    async def finish(self, reason: str | None) -> None:  # noqa: ARG002 - there is nothing to close
        self._newest = None
