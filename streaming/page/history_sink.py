"""What the page's history is told of a stream: its events, and pictures of their moments."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

from maskcast.errors import reason_of
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink
from sinks.video.still import annotated_jpeg
from sinks.video.style import OUTLINED, Styles
from streaming.page.history import History
from streaming.page.kept_event import KeptEvent

logger = logging.getLogger(__name__)

WIDTH_PIXELS = 480  # of a picture in a list, and of one that fills a phone
PAUSE_SECONDS = 0.25  # between two pictures of a stream: a crowd that comes in is one, or a few
MOMENT_SECONDS = 1.0  # of the medium, after which a frame shows the moment of an event no more
MOST_WAITING = 200  # events that wait for a picture


class HistorySink(Sink):
    """Keeps the events of one stream, and the picture of the first frame after each that is not dropped.

    Pictures are annotated as stills are: what a style hides is hidden. One that cannot be made is left out.
    """

    optional = True

    def __init__(self, history: History, stream: str, styles: Styles = OUTLINED) -> None:
        """Tell `history`, which is not closed here, of `stream`; `styles` is how objects are shown."""
        super().__init__(f"history {stream}")
        self._history, self._styles = history, styles
        self._waiting: deque[tuple[float, KeptEvent]] = deque(maxlen=MOST_WAITING)  # with the times of their frames
        self._last = -PAUSE_SECONDS
        self._failing = False

    async def start(self, info: StreamInfo) -> None:
        """Nothing to open."""

    async def note(self, result: Result) -> None:
        pts = result.frame.pts
        self._waiting.extend((pts, event) for event in self._history.take(result))

    async def write(self, result: Result) -> None:
        pts = result.frame.pts
        while self._waiting and self._waiting[0][0] < pts - MOMENT_SECONDS:
            self._waiting.popleft()
        shown = [event for moment, event in self._waiting if moment <= pts]
        if not shown or time.monotonic() - self._last < PAUSE_SECONDS:
            return
        self._last = time.monotonic()
        self._waiting = deque((one for one in self._waiting if one[0] > pts), MOST_WAITING)
        try:
            jpeg = await asyncio.to_thread(annotated_jpeg, result, None, self._styles, WIDTH_PIXELS)
        except Exception as error:  # noqa: BLE001 - whatever it is, the events are kept, and nothing is shown unhidden
            if not self._failing:
                self._failing = True
                logger.warning("%s: an event has no picture: %s", self.name, reason_of(error))
            return
        self._failing = False
        self._history.illustrate(shown, jpeg, self._styles)

    async def finish(self, reason: str | None) -> None:
        """Nothing to close."""
