"""What is sent of a stream's newest result: the message that MQTT gets and a JPEG, made once for all who look."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass, field

from maskcast.picture import Planes
from maskcast.result import Result
from sinks.mqtt.payload import PayloadBound
from sinks.video.hiding import hide
from sinks.video.jpeg import jpeg
from sinks.video.style import Styles

logger = logging.getLogger(__name__)

# Of a picture, in pixels: few, so that those who look share them. Nobody needs more than a large screen has.
WIDTHS = (320, 480, 640, 960, 1280, 1920)
JPEG_QUALITY = 75  # the default of libjpeg
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest result of a stream.

    Attributes:
        number: which one it is of all that were shown, from 1.
        result: itself.
    """

    number: int
    result: Result


@dataclass(slots=True)
class _Made:
    """What has been made of a result.

    Attributes:
        number: of the result.
        message: with its length before it.
        planes: the picture, without what is to be hidden.
        by_width: messages with pictures, by the width that they were asked for.
    """

    number: int
    message: bytes
    planes: Planes
    by_width: dict[int, bytes] = field(default_factory=dict)


def shared_width(width: float) -> int:
    """The width of the picture for somebody who has so many pixels for it."""
    return next((wide for wide in WIDTHS if wide >= width), WIDTHS[-1])


class Pictures:
    """Binary messages of one stream. `make` and what it calls run on one thread.

    A message is four bytes, big-endian, that say how long the JSON is which follows; then the JPEG. So a picture and
    its masks cannot drift apart.
    """

    def __init__(self, stream: str, styles: Styles, max_payload: int) -> None:
        """Begin without one.

        Args:
            stream: id of it.
            styles: how objects are shown: those that hide are obeyed, outlines are for the browser to draw.
            max_payload: most bytes of the JSON, see `PayloadBound`.
        """
        self._stream, self._styles = stream, styles
        self._bound = PayloadBound(max_payload)
        self._made: _Made | None = None
        self._failing = False

    def ready(self, newest: Newest, width: int) -> bytes | None:
        """The message of `newest` at one of `WIDTHS`, if it has been made. From any thread."""
        made = self._made
        return made.by_width.get(width) if made and made.number == newest.number else None

    def make(self, newest: Newest, width: int) -> bytes | None:
        """The message of `newest` at one of `WIDTHS`.

        Returns:
            None if it cannot be made: a picture in which something cannot be hidden is shown to nobody.
        """
        try:
            made = self._made
            if made is None or made.number != newest.number:
                made = self._made = self._begin(newest)
            if (message := made.by_width.get(width)) is None:
                picture = jpeg(made.planes, newest.result.frame.picture.colour, width, JPEG_QUALITY)
                message = made.by_width[width] = made.message + picture
        except Exception:
            if not self._failing:
                logger.exception("%s: no picture for the page", self._stream, extra={"stream": self._stream})
            self._failing = True
            return None
        self._failing = False
        return message

    def forget(self) -> None:
        """Nobody looks: let go of what was made. From any thread."""
        self._made = None

    def _begin(self, newest: Newest) -> _Made:
        result = newest.result
        picture = result.frame.picture
        planes = picture.yuv420p()
        if self._styles.hide:
            planes = Planes(*(plane.copy() for plane in planes))
            hide(planes, picture.colour, result.tracks, result.lost, self._styles)
        payload = self._bound.encode(result).payload
        return _Made(newest.number, _LENGTH.pack(len(payload)) + payload, planes)
