"""Deinterlacing and rotation, only where a picture asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import av
import av.filter

# By degrees clockwise, as FFmpeg's own player applies the display matrix.
_ROTATION = {90: [("transpose", "clock")], 180: [("hflip", ""), ("vflip", "")], 270: [("transpose", "cclock")]}


class Upright:
    """Passes frames on as they are, or through FFmpeg's `bwdif` and `transpose`.

    `bwdif` (motion-adaptive deinterlacing) keeps one frame a frame and holds one frame back.
    """

    def __init__(self) -> None:
        """No filter is built before a frame needs one."""
        self._graph: av.filter.Graph | None = None
        self._key: tuple[object, ...] = ()
        self._deinterlace = False

    def apply(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """The frames that are ready once `frame` is known; None flushes."""
        if frame is None:
            yield from self._flush()
            return
        clockwise = -round(frame.rotation / 90) * 90 % 360
        self._deinterlace = self._deinterlace or bool(frame.interlaced_frame)
        if not clockwise and not self._deinterlace:
            yield frame
            return
        key = (frame.width, frame.height, frame.format.name, clockwise, self._deinterlace)
        if key != self._key:
            yield from self._flush()
            self._graph, self._key = self._build(frame, clockwise), key
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._pull()

    def _build(self, frame: av.VideoFrame, clockwise: int) -> av.filter.Graph:
        graph = av.filter.Graph()
        node = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        filters = [("bwdif", "mode=send_frame:deint=interlaced")] if self._deinterlace else []
        for name, arguments in [*filters, *_ROTATION.get(clockwise, []), ("buffersink", "")]:
            following = graph.add(name, arguments) if arguments else graph.add(name)
            node.link_to(following)
            node = following
        graph.configure()
        return graph

    def _pull(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        with suppress(av.BlockingIOError, av.EOFError):
            while True:
                frame = self._graph.pull()
                assert isinstance(frame, av.VideoFrame)
                yield frame

    def _flush(self) -> Iterator[av.VideoFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull()
        self._graph, self._key = None, ()
