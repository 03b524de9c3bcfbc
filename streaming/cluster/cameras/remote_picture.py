"""A picture that stays on its worker until somebody looks at it, and the JPEG as which it travels then.

The JPEG holds the picture's own 4:2:0 samples, as they are: no colour is converted on the way, and what is hidden or
drawn at the head is what it would be on the worker. Only for the sake of that it is not to be shown as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from maskcast.errors import MaskcastError, PictureGoneError, unforeseen
from maskcast.picture import MATRIX_CODES, Colour, Image, Picture, Planes
from sources.picture import DecodedPicture
from streaming.cluster.cameras.messages import PackedFrame

# FFmpeg's quantiser scale: 48 dB of luma on a street's video, in as many bytes as libjpeg's quality 92.
QUANTISER = "2"
_CODEC = "mjpeg"


def encoded(picture: Picture) -> bytes:
    """The picture as it travels; takes 2.5 ms at 960 x 540. From any thread.

    Raises:
        av.FFmpegError: it cannot be encoded, as with a side of more than 65,535 pixels.
    """
    height, width = picture.height, picture.width
    frame = _framed(picture.yuv420p(), width, height, "yuvj420p")
    codec = cast("VideoCodecContext", av.CodecContext.create(_CODEC, "w"))
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "yuvj420p", Fraction(1, 25)
    codec.thread_count = 1
    codec.options = {"qmin": QUANTISER, "qmax": QUANTISER}
    frame.color_range = ColorRange.JPEG  # the only one that the codec takes; the samples stay as they are
    packets = [*codec.encode(frame), *codec.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def decoded(data: bytes, colour: Colour) -> DecodedPicture:
    """The picture that was `encoded`, whose samples are to be read as `colour`.

    Raises:
        av.FFmpegError: it is none.
    """
    codec = cast("VideoCodecContext", av.CodecContext.create(_CODEC, "r"))
    codec.thread_count = 1
    (frame,) = [*codec.decode(av.Packet(data)), *codec.decode(None)]
    planes = Planes(*(_rows(plane)[:, : plane.width] for plane in frame.planes))
    own = _framed(planes, frame.width, frame.height, "yuv420p")
    own.colorspace = MATRIX_CODES[colour.matrix][0]
    own.color_range = ColorRange.JPEG if colour.full_range else ColorRange.MPEG
    return DecodedPicture(own)


def _framed(planes: Planes, width: int, height: int, form: str) -> VideoFrame:
    frame = VideoFrame(width, height, form)
    for to, samples in zip(frame.planes, planes, strict=True):
        _rows(to)[:, : samples.shape[1]] = samples
    return frame


def _rows(plane: Any) -> Image:
    rows = np.frombuffer(cast("Any", memoryview(plane)), np.uint8)
    return rows.reshape(-1, plane.line_size)[: plane.height]


class RemotePicture:
    """See `maskcast.picture.Picture`. What asks for its samples waits for the worker, on a thread."""

    def __init__(self, packed: PackedFrame, fetch: Callable[[], bytes | None]) -> None:
        """Stand for the picture of a frame.

        Args:
            packed: the frame; its JPEG is taken if it came along.
            fetch: asks the worker for it, once, and not for long; None if it is gone. Called on the thread of whoever
                asks.
        """
        self.height, self.width = packed.size
        self.colour = packed.colour
        self._name = f"{packed.stream} frame {packed.index}"
        self._jpeg, self._fetch = packed.jpeg, fetch
        self._fetching = threading.Lock()
        self._picture: DecodedPicture | None = None
        self._failure: str | None = None

    def rgb(self) -> Image:
        """See `Picture`.

        Raises:
            PictureGoneError: its worker does not have it any more, or does not answer.
        """
        return self._fetched().rgb()

    def yuv420p(self) -> Planes:
        """See `Picture`.

        Raises:
            PictureGoneError: its worker does not have it any more, or does not answer.
        """
        return self._fetched().yuv420p()

    def _fetched(self) -> DecodedPicture:
        with self._fetching:
            if self._failure:  # nobody waits for it twice
                raise PictureGoneError(self._failure, where=self._name)
            if self._picture is None:
                try:
                    self._picture = self._decoded()
                except Exception as error:
                    self._failure = error.what if isinstance(error, MaskcastError) else unforeseen(error)
                    raise PictureGoneError(self._failure, where=self._name) from error
            return self._picture

    def _decoded(self) -> DecodedPicture:
        jpeg = self._jpeg if self._jpeg is not None else self._fetch()
        if jpeg is None:
            raise PictureGoneError("its worker has no picture of it any more", where=self._name)
        self._jpeg = None
        return decoded(jpeg, self.colour)
