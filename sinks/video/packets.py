"""Encode a live stream once, into packets that are kept for a while and written to one file or several."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import cast

import av
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from maskcast.frame import Frame
from maskcast.picture import Colour
from maskcast.stream_info import StreamInfo
from sinks.video.codec import AV_ERRORS, EncoderSettings, encoder_options
from sinks.video.render import even_size, set_up

# A camera needs about one core at most, many cameras share the machine, and each thread holds pictures back.
ENCODER_THREADS = 2
STUCK_FRAMES = 1000  # an encoder that holds so many and gives none back has failed; those in use hold 0 to about 70


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded picture.

    Attributes:
        data: the packet's bytes.
        pts, dts, duration: ticks of the stream's time base.
        key: whether decoding can begin here.
        time: `Frame.pts` in seconds.
        captured_at: of the frame.
        format: a stream with the codec's parameters, a template for a file's own; a new encoder has a new one.
    """

    data: bytes
    pts: int
    dts: int
    duration: int
    key: bool
    time: float
    captured_at: datetime
    format: VideoStream


class LiveEncoder:
    """Encodes pictures as they come, with a key frame every so many seconds, whatever the frame rate.

    No picture refers to a later one and x264 and x265 hold hardly one back: memory stays small with many cameras, and a
    killed process loses little more than the file's last fragment.
    """

    def __init__(
        self, name: str, settings: EncoderSettings, info: StreamInfo, first: Frame, key_seconds: float
    ) -> None:
        """Open FFmpeg's encoder `name` for pictures like that of `first`.

        Raises:
            AV_ERRORS: it cannot be opened; see `sinks.video.codec`.
        """
        picture = first.picture
        self.width, self.height, self.colour = picture.width, picture.height, picture.colour
        self.last: float | None = None  # time of the last frame, seconds
        self._time_base, self._key_seconds = info.time_base, key_seconds
        self._last_key: float | None = None
        self._last_pts: int | None = None
        self._step = max(1, round(1 / (info.frame_rate or 25) / info.time_base))  # ticks between the last two frames
        self._inside: deque[tuple[int, float, datetime]] = deque()  # pts, time, captured_at: what the encoder holds
        # PyAV ties an encoder to a container; nothing is written to this one but its header.
        self._holder = av.open(io.BytesIO(), "w", format="mp4")
        options = _options(name, settings)
        self._stream = cast("VideoStream", self._holder.add_stream(name, rate=info.frame_rate or 25, options=options))
        size = even_size(self.width, self.height)
        set_up(self._stream, name, size, info.time_base, self.colour)
        self._stream.codec_context.max_b_frames = 0
        self._stream.codec_context.thread_count = ENCODER_THREADS
        self._holder.start_encoding()
        # The parameters alone, so that packets that are kept do not keep a whole encoder.
        template = av.open(io.BytesIO(), "w", format="mp4")
        self._format = template.add_stream_from_template(self._stream)
        template.close()  # lets go of the stream, or both would wait for the garbage collector

    def fits(self, width: int, height: int, colour: Colour) -> bool:
        """Whether a picture can be encoded as it is."""
        return (width, height, colour) == (self.width, self.height, self.colour)

    def encode(self, picture: av.VideoFrame, frame: Frame) -> list[Encoded]:
        """Encode `picture`, made from `frame`; return the packets that are ready.

        Raises:
            AV_ERRORS: the encoder failed and cannot be used any more.
        """
        pts = round(Fraction(frame.pts) / self._time_base)
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)  # encoders refuse a time twice
            self._step = pts - self._last_pts
        self._last_pts, self.last = pts, frame.pts
        picture.pts, picture.time_base = pts, self._time_base
        # The thousandth is for rounding: 25 frames/s must not need a 51st frame for two seconds.
        if self._last_key is None or frame.pts - self._last_key >= self._key_seconds - 1e-3:
            picture.pict_type = PictureType.I
            self._last_key = frame.pts
        self._inside.append((pts, frame.pts, frame.captured_at))
        if len(self._inside) > STUCK_FRAMES:
            raise RuntimeError(f"it took {STUCK_FRAMES} frames and gave nothing back")
        return [self._packet(packet) for packet in self._stream.encode(picture)]

    def drain(self) -> list[Encoded]:
        """The packets that the encoder still held; it cannot be used any more.

        Raises:
            AV_ERRORS: the encoder failed.
        """
        return [self._packet(packet) for packet in self._stream.encode(None)]

    def close(self) -> None:
        """Free the encoder, with what is in it."""
        with suppress(*AV_ERRORS):  # what led here is known
            self._holder.close()

    def _packet(self, packet: Packet[VideoStream]) -> Encoded:
        """The packet's bytes, and the times of the frame in it. Packets come in the order of their frames."""
        assert packet.pts is not None
        while len(self._inside) > 1 and self._inside[1][0] <= packet.pts:
            self._inside.popleft()  # before it: frames that the encoder has left out
        pts, time, captured_at = self._inside.popleft()
        duration = self._inside[0][0] - pts if self._inside else self._step
        dts = packet.pts if packet.dts is None else packet.dts
        return Encoded(bytes(packet), packet.pts, dts, duration, packet.is_keyframe, time, captured_at, self._format)


class PacketRing:
    """The newest packets of a stream, from a key frame on: enough to go back some seconds, within a bound of bytes."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        """Keep at least `seconds`, unless they take more than `max_bytes`."""
        self._seconds, self._max_bytes = seconds, max_bytes
        self._packets: deque[tuple[int, Encoded]] = deque()  # numbered, so that each is written to a file once
        self._count = 0
        self._written = 0  # number of the newest packet that is in a file
        self.bytes = 0
        self.newest: float | None = None  # time of the newest packet, seconds

    def append(self, packet: Encoded) -> None:
        """Take the newest packet; let go of what is older than needed."""
        self._count += 1
        self.newest = packet.time
        if not packet.key and not self._packets:
            return  # nothing to decode it from
        self._packets.append((self._count, packet))
        self.bytes += len(packet.data)
        while self._packets and (self.bytes > self._max_bytes or (packet.key and self._second_key_is_enough(packet))):
            self._drop_first_group()

    def unwritten(self, since: float, *, follows: bool) -> Iterator[Encoded]:
        """The packets that are in no file yet, marked as written one by one as they are taken.

        Args:
            since: a time in seconds from which on they are wanted.
            follows: whether they continue a file that is open. Else the first is a key frame, even if it is too early
                or, with what follows it, in the file before.
        """
        packets = list(self._packets)
        first = next((place for place, (number, _) in enumerate(packets) if number > self._written), len(packets))
        if not follows and first < len(packets):
            keys = [place for place, (_, packet) in enumerate(packets) if packet.key]
            ends = [place - 1 for place in (*keys[1:], len(packets))]  # of the groups of pictures
            groups = zip(keys, ends, strict=True)
            first = next((key for key, end in groups if end >= first and packets[end][1].time >= since), len(packets))
        for number, packet in packets[first:]:
            yield packet
            self._written = number

    def _second_key_is_enough(self, newest: Encoded) -> bool:
        second = next((packet for _, packet in list(self._packets)[1:] if packet.key), newest)
        return second is not newest and second.time <= newest.time - self._seconds

    def _drop_first_group(self) -> None:
        while self._packets:
            self.bytes -= len(self._packets.popleft()[1].data)
            if self._packets and self._packets[0][1].key:
                return


def _options(name: str, settings: EncoderSettings) -> dict[str, str]:
    options = encoder_options(name, settings, live=True)
    if name in {"libx264", "libx265"}:
        options = {"tune": "zerolatency", **options}
    if name in {"libx264", "libx265"} or name.endswith("_nvenc"):
        options["forced-idr"] = "1"  # a key frame that is asked for is one to begin a file with
    return options
