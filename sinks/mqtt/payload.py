"""A frame's message within a bound of bytes: coarser masks before fewer objects."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from maskcast.errors import UsageError
from maskcast.result import Result
from sinks.messages.frame import frame_message

DEFAULT_PAYLOAD_BYTES = 256 << 10
SMALLEST_PAYLOAD_BYTES = 64 << 10  # room for some two hundred objects without their shapes
LARGEST_PAYLOAD_BYTES = 256_000_000  # MQTT itself ends at 268,435,455 bytes a packet; version 5, section 1.5.5
COARSEST_DOWNSCALE = 32
# Halving the resolution halves the outlines, which are what run lengths cost. Below this part of the limit the finer
# masks probably fit; above it, trying would mean to encode twice for nothing.
ROOM_SHARE = 0.4
TRY_AGAIN_FRAMES = 50  # after finer masks did not fit in spite of that


class FramePayload(NamedTuple):
    """A message for the topic ``tracks``.

    Attributes:
        payload: the message.
        downscale: of its masks, see `sinks.messages.frame.frame_message`; a power of two.
        limit: bytes that it may have.
        dropped_tracks: number of tracks that did not fit, the smallest ones.
    """

    payload: bytes
    downscale: int
    limit: int
    dropped_tracks: int


class PayloadBound:
    """Encodes the frames of one stream in at most so many bytes each.

    The masks' resolution is halved until the message fits: a pixel of the smaller mask is set where any pixel that it
    stands for is, so that no object vanishes. The resolution is kept for the next frame, so that a steady scene is
    encoded once a frame, and rises again when there is room. Where even 1/32 is too large, the smallest tracks are
    dropped.
    """

    def __init__(self, limit: int) -> None:
        """Keep to `limit` bytes.

        Raises:
            UsageError: `limit` is below 65,536.
        """
        if limit < SMALLEST_PAYLOAD_BYTES:
            advice = f"allow {SMALLEST_PAYLOAD_BYTES} or more"
            raise UsageError(f"a message of at most {limit} bytes is too small", advice=advice)
        self._limit = limit
        self._downscale = 1
        self._wait = 0  # frames before finer masks are tried again

    def encode(self, result: Result, room: int | None = None) -> FramePayload:
        """The message for `result`.

        Args:
            result: of a frame.
            room: bytes that the broker takes, if they are fewer. What even then does not fit is the empty frame.
        """
        downscale, limit = self._downscale, self._limit if room is None else min(self._limit, room)
        payload = frame_message(result, downscale).json_bytes()
        self._wait = max(0, self._wait - 1)
        while downscale > 1 and len(payload) < ROOM_SHARE * limit and not self._wait:
            finer = frame_message(result, downscale // 2).json_bytes()
            if len(finer) > limit:
                self._wait = TRY_AGAIN_FRAMES
            else:
                payload, downscale = finer, downscale // 2
        while len(payload) > limit and downscale < COARSEST_DOWNSCALE:
            downscale *= 2
            payload = frame_message(result, downscale).json_bytes()
        self._downscale = downscale
        tracks = sorted(result.tracks, key=lambda track: track.mask.area, reverse=True)
        while len(payload) > limit and tracks:
            # In proportion, and at least one fewer, so that it ends.
            tracks = tracks[: min(len(tracks) - 1, len(tracks) * limit // len(payload))]
            kept = tuple(sorted(tracks, key=lambda track: track.id))
            payload = frame_message(replace(result, tracks=kept), downscale).json_bytes()
        return FramePayload(payload, downscale, limit, len(result.tracks) - len(tracks))
