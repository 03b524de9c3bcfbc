"""The types that cross the borders between sources, trackers and sinks. They import nothing of ours.

Coordinates are pixels of the frame as displayed (rotation applied), origin at the top left corner, x to the
right, y down; boxes follow COCO: ``(x, y, width, height)``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.packet import Packet

Image: TypeAlias = NDArray[np.uint8]

# Of a live stream or a settings file: each costs a share of the decoder's pass, and all streams share the model.
MOST_PROMPTS = 32


class Colour(NamedTuple):
    """How the YUV samples of a picture encode colour."""

    matrix: Literal["bt601", "bt709", "bt2020"] = "bt709"
    full_range: bool = False


class Planes(NamedTuple):
    """An 8-bit 4:2:0 picture: luma ``(H, W)`` and two chroma planes ``(⌈H/2⌉, ⌈W/2⌉)``, uint8, read-only."""

    y: Image
    u: Image
    v: Image


class Picture(Protocol):
    """One decoded picture, offered in the two forms that its readers need; each is converted when first asked for.

    The model wants RGB; the video encoder and the overlay want planar YUV, so that a picture that is decoded,
    drawn on and encoded again never goes through RGB.
    """

    @property
    def width(self) -> int:
        """Width in pixels."""

    @property
    def height(self) -> int:
        """Height in pixels."""

    @property
    def colour(self) -> Colour:
        """The colour encoding of `yuv420p`."""

    def rgb(self) -> Image:
        """The picture as ``(H, W, 3)`` uint8 RGB, C-contiguous, read-only."""

    def yuv420p(self) -> Planes:
        """The picture as 8-bit 4:2:0 planes."""


class Look(NamedTuple):
    """How a medium wants its samples shown, beyond `Colour`.

    Attributes:
        matrix, primaries, transfer: code points of ITU-T H.273; 2 where the medium says nothing.
        pixel_aspect: width of a pixel by its height, rotation applied; None where the medium says nothing.
    """

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    pixel_aspect: Fraction | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AudioTrack:
    """One audio stream of a medium.

    Attributes:
        index: of the stream in the medium.
        template: a stream with its codec's parameters, language, title and disposition, as a muxer takes it; None if
            FFmpeg does not know the codec.
    """

    index: int
    template: AudioStream | None


class AudioPacket(Protocol):
    """Coded audio on its way from a medium into the videos that are made of it, which all share it."""

    @property
    def track(self) -> int:
        """Position of its track in `StreamInfo.audio`."""

    @property
    def start(self) -> Fraction:
        """When its decoding begins, in seconds on the clock of `Frame.pts`; increasing within a track."""

    def coded(self) -> Packet[Any]:
        """A new packet with its bytes, its times on the clock of `Frame.pts`."""

    def decoded(self) -> list[AudioFrame]:
        """Its samples, times on the clock of `Frame.pts`, not to be changed. Decoded once, when first asked for.

        Raises:
            av.FFmpegError: it is damaged.
        """


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source knows about itself once it is open.

    Attributes:
        stream: id of the stream; non-empty, without ``/``, ``+``, ``#`` or control characters.
        width, height: size of the first frame, rotation applied.
        time_base: the finest step of `Frame.pts`, in seconds.
        frame_rate: average frames a second, if known.
        frame_count: number of frames, if known; may be an estimate.
        duration: seconds, if known.
        live: True for a stream that cannot wait (the newest frame wins).
        end: when the last frame stops being shown, in seconds on the clock of `Frame.pts`, if the container tells.
        look: how the samples are to be shown.
        audio: the audio streams, whose packets come with the frames; none for live streams and images.
    """

    stream: str
    width: int
    height: int
    time_base: Fraction
    frame_rate: Fraction | None = None
    frame_count: int | None = None
    duration: float | None = None
    live: bool = False
    end: Fraction | None = None
    look: Look = field(default_factory=Look)
    audio: tuple[AudioTrack, ...] = ()


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    Attributes:
        stream: id of the stream.
        index: 0-based count of decoded frames; dropped frames leave gaps.
        pts: presentation time in seconds on the media clock, 0 at the start of the medium; strictly increasing.
        captured_at: when the frame was decoded (live) or is shown relative to the start of the run (offline), UTC.
        picture: the pixels.
        decoded_at: `time.monotonic` when the frame came out of the decoder, for latencies.
        audio: what the medium holds of its audio tracks between the frame before and this one, in the medium's order;
            with the last frame all that is left.
        file_name: name of the file that the frame is, relative to the folder that was given, with `/`; None for frames
            of videos and for the pictures of a file that holds several.
        last: whether a recording ends with this frame, and regularly; False also where nobody can know.
    """

    stream: str
    index: int
    pts: float
    captured_at: datetime
    picture: Picture
    decoded_at: float = field(default_factory=time.monotonic, compare=False)
    audio: tuple[AudioPacket, ...] = field(default=(), compare=False, repr=False)
    last: bool = False
    file_name: str | None = None


class Box(NamedTuple):
    """COCO box in pixels: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mask:
    """A binary mask of a whole frame, stored as the crop outside which it is empty.

    Attributes:
        size: ``(height, width)`` of the frame in pixels.
        x, y: position of the crop's top left pixel in the frame.
        crop: ``(h, w)`` bool; tight: each border row and column holds a set pixel, except for an empty mask,
            whose crop is ``(0, 0)``.
    """

    size: tuple[int, int]
    x: int
    y: int
    crop: NDArray[np.bool_]

    @classmethod
    def from_array(cls, array: NDArray[np.bool_], size: tuple[int, int], x: int = 0, y: int = 0) -> Mask:
        """Build a mask from a bool array ``(h, w)`` whose top left pixel lies at ``(x, y)`` of a frame of `size`."""
        rows = np.flatnonzero(array.any(axis=1))
        if rows.size == 0:
            return cls(size, 0, 0, np.zeros((0, 0), np.bool_))
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(array[top:bottom].any(axis=0))
        left, right = int(columns[0]), int(columns[-1]) + 1
        return cls(size, x + left, y + top, np.ascontiguousarray(array[top:bottom, left:right]))

    @cached_property
    def area(self) -> int:
        """Number of set pixels."""
        return int(np.count_nonzero(self.crop))

    @property
    def bbox(self) -> Box:
        """Tight box around the set pixels; all zero for an empty mask."""
        height, width = self.crop.shape
        return Box(float(self.x), float(self.y), float(width), float(height))

    def full(self) -> NDArray[np.bool_]:
        """The mask as ``(H, W)`` bool at the frame's size."""
        array = np.zeros(self.size, np.bool_)
        height, width = self.crop.shape
        array[self.y : self.y + height, self.x : self.x + width] = self.crop
        return array


class TrackState(StrEnum):
    """Where a track stands in its life."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    LOST = "lost"
    ENDED = "ended"


class EventKind(StrEnum):
    """A change in a track's life, as published."""

    STARTED = "started"
    LOST = "lost"
    RECOVERED = "recovered"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Track:
    """One object in one frame.

    Attributes:
        id: positive, never reused within a stream.
        prompt: the phrase that the object matches.
        state: tentative or confirmed; other states have no mask in this frame and are not listed.
        score: confidence in [0, 1] of the detection that last supported the track.
        mask: at the frame's size.
    """

    id: int
    prompt: str
    state: TrackState
    score: float
    mask: Mask


@dataclass(frozen=True, slots=True)
class Event:
    """A confirmed track started, was lost, was recovered or ended at a frame.

    Attributes:
        kind: what happened.
        track_id, prompt: of which track.
        score: the track's last score.
        bbox: where it was last seen.
    """

    kind: EventKind
    track_id: int
    prompt: str
    score: float
    bbox: Box


@dataclass(frozen=True, slots=True)
class KnownTracks:
    """What subscribers know of a stream's tracks, whatever the process that told them has forgotten since.

    Attributes:
        alive: the last event of each track that has started and not ended, by id.
        highest: the highest id that they ever heard of; 0 for none.
    """

    alive: Mapping[int, Event] = field(default_factory=dict)
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What a tracker says of one frame: visible tracks in order of id, and the events that this frame caused."""

    frame: Frame
    tracks: tuple[Track, ...] = ()
    events: tuple[Event, ...] = field(default=())
