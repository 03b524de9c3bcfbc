"""Decode a stream's packets: on the graphics card that was asked for as long as that works, then on the processor.

FFmpeg falls back by itself where a card does not know a stream, but not where a card that decodes fails: its driver is
gone, its memory is full. Then every packet is refused from there on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import av
from av.codec.context import CodecContext

from sources.opening import Opening

logger = logging.getLogger(__name__)

# Of coded pictures that a card may yet fail to give: 20 s between key frames at 25 Mbit/s.
MOST_HELD_BYTES = 64 * 2**20


class VideoDecoder:
    """What decodes one video stream.

    Attributes:
        context: PyAV's codec context in use, which knows the size and the colours of the pictures.
    """

    def __init__(self, stream: Any, opening: Opening, *, live: bool) -> None:
        """Take over the stream's own context, before it has decoded anything.

        Args:
            stream: PyAV's.
            opening: how it was opened; with its `decoder` and its `max_pixels`.
            live: frames are wanted at once, rather than many in a short time.
        """
        self.context: Any = stream.codec_context
        self.context.options = {"max_pixels": str(opening.max_pixels)}
        # Frame threads hold frames back: fast for files, late for cameras, and no use to a card.
        self.context.thread_type = "SLICE" if live or self.context.is_hwaccel else "AUTO"
        self._opening = opening
        self._held = _Held()
        self._last: int | None = None  # time stamp of the last frame that was given

    def decode(self, packet: Any) -> Sequence[av.VideoFrame]:
        """What a packet, or None for the end, decodes to.

        Raises:
            av.FFmpegError, OSError: it cannot be decoded, by the processor either.
        """
        accelerated = self.context.is_hwaccel
        if accelerated:
            self._held.add(packet)
        try:
            frames: Sequence[av.VideoFrame] = self.context.decode(packet)
        except av.EOFError:
            raise
        except (av.FFmpegError, OSError) as error:
            if not accelerated:
                raise
            return self._on_processor(error)
        if accelerated and frames:
            self._last = frames[-1].pts
            self._held.given(self._last)
        return frames

    def _on_processor(self, error: Exception) -> Sequence[av.VideoFrame]:
        """What the card has not given of what it was handed; the error if the packet is at fault, not the card.

        FFmpeg's decoders have one error for both, so the processor's is asked.
        """
        card = self.context
        context: Any = CodecContext.create(card.codec.name, "r")
        context.extradata, context.reorder_depth = card.extradata, card.reorder_depth
        context.width, context.height = card.width, card.height
        context.options = {"max_pixels": str(self._opening.max_pixels)}
        missing: list[av.VideoFrame] = []
        failure: Exception | None = None
        for packet in self._held.packets:
            try:
                missing += context.decode(packet)
                failure = None
            except (av.FFmpegError, OSError) as refused:
                failure = refused
        if failure is not None:
            raise error
        shown, reason = self._opening.shown, getattr(error, "strerror", None) or str(error)
        logger.warning("%s: decoder %s failed (%s): the processor decodes", shown, self._opening.decoder, reason)
        self.context = context
        self._held = _Held()
        return [frame for frame in missing if self._last is None or frame.pts is None or frame.pts > self._last]


class _Held:
    """The packets from which all that has not been given can be decoded anew.

    Attributes:
        packets: in the order of decoding; the first is a key frame, if one has come.
    """

    def __init__(self) -> None:
        self.packets: list[Any] = []
        self._bytes = 0

    def add(self, packet: Any) -> None:
        """Hold one more; None, or an empty one, is the end."""
        size = packet.size if packet is not None else 0
        self._bytes += size
        # Without a time stamp nothing tells what of it is given.
        if size and (packet.pts is None or self._bytes > MOST_HELD_BYTES):
            self.packets, self._bytes = [], size
        self.packets.append(packet)

    def given(self, pts: int | None) -> None:
        """Let go of what comes before the key frame of a frame that was given: frames come in order of their time."""
        if pts is None:
            return
        keys = [i for i, packet in enumerate(self.packets) if packet and packet.is_keyframe and packet.pts is not None]
        begins = max((i for i in keys if self.packets[i].pts <= pts), default=0)
        self._bytes -= sum(packet.size for packet in self.packets[:begins])
        del self.packets[:begins]
