"""Deinterlacing and rotation, only where a picture asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import av
import av.filter
import numpy as np

# What brings a picture upright, by the signs of the four coefficients (a, b, c, d) of its display matrix, which puts
# the pixel (x, y) at (a x + c y, b x + d y). `vflip` comes before `hflip`: last, it would hand out negative strides.
_FILTERS: dict[tuple[int, ...], list[tuple[str, str]]] = {
    (1, 0, 0, -1): [("vflip", "")],
    (-1, 0, 0, 1): [("hflip", "")],
    (-1, 0, 0, -1): [("vflip", ""), ("hflip", "")],
    (0, 1, -1, 0): [("transpose", "clock")],
    (0, -1, 1, 0): [("transpose", "cclock")],
    (0, 1, 1, 0): [("transpose", "cclock_flip")],
    (0, -1, -1, 0): [("transpose", "clock_flip")],
}
# The matrices of PyAV's angles, in degrees counter-clockwise.
_QUARTER_TURNS: dict[int, tuple[int, ...]] = {
    90: (0, -1, 1, 0),
    -90: (0, 1, -1, 0),
    180: (-1, 0, 0, -1),
    -180: (-1, 0, 0, -1),
}


class Upright:
    """Passes frames on as they are, or through FFmpeg's `bwdif` and `transpose`.

    `bwdif` (motion-adaptive deinterlacing) keeps one frame a frame and holds one frame back.
    """

    def __init__(self) -> None:
        """No filter is built before a frame needs one."""
        self._graph: av.filter.Graph | None = None
        self._key: tuple[object, ...] = ()
        self._deinterlace = False
        self._angle: float | None = None
        self._rotation: list[tuple[str, str]] = []

    def apply(self, frame: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
        """The frames that are ready once `frame` is known; None flushes."""
        if frame is None:
            yield from self._flush()
            return
        if frame.key_frame or frame.rotation != self._angle:
            # PyAV's side data and its frame refer to each other, so that the picture would stay in memory until the
            # garbage collector comes. What is turned is turned for at least a group of pictures.
            self._angle, self._rotation = frame.rotation, _rotation(frame)
        rotation = self._rotation
        self._deinterlace = self._deinterlace or bool(frame.interlaced_frame)
        if not rotation and not self._deinterlace:
            yield from self._flush()
            yield frame
            return
        key = (frame.width, frame.height, frame.format.name, frame.time_base, rotation, self._deinterlace)
        if key != self._key:
            yield from self._flush()
            self._graph, self._key = self._build(frame, rotation), key
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._pull()

    def _build(self, frame: av.VideoFrame, rotation: list[tuple[str, str]]) -> av.filter.Graph:
        graph = av.filter.Graph()
        node = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
        filters = [("bwdif", "mode=send_frame:deint=interlaced")] if self._deinterlace else []
        for name, arguments in [*filters, *rotation, ("buffersink", "")]:
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


def _rotation(frame: av.VideoFrame) -> list[tuple[str, str]]:
    """The filters that undo the frame's rotation and mirroring; none for angles that are no quarter turns."""
    try:
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # beside it is a kind that PyAV has no name for, such as EXIF; the angle it knows all the same
        return _FILTERS.get(_QUARTER_TURNS.get(round(frame.rotation), ()), [])
    if matrix is None:
        return []
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5] / 65536
    return _FILTERS.get(tuple(round(value) for value in (a, b, c, d)), [])
