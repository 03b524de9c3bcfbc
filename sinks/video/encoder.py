"""Annotated pictures in, packets out: the one encoder under videos and recordings."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, cast

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from maskcast.frame import Frame
from maskcast.picture import MATRIX_CODES, UNSPECIFIED, Colour, Look
from maskcast.stream_info import StreamInfo
from sinks.video.codec import AV_ERRORS, EncoderSettings, encoder_options, pixel_format
from sinks.video.container import Container
from sinks.video.render import colour_codes, even_size

USUAL_FRAME_RATE = 25  # a second, of a medium that does not say
# Of a recording: a camera needs about one core at most, many cameras share the machine, and each thread holds pictures
# back.
RECORDING_THREADS = 2
STUCK_FRAMES = 1000  # an encoder that holds so many has failed; none looks ahead as far


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded picture.

    Attributes:
        packet: its bytes and flags; its own times do not count.
        pts, dts, duration: ticks of the stream's time base.
        key: whether decoding can begin here.
        time: `Frame.pts` in seconds.
        captured_at: of the frame.
        format: a stream with the codec's parameters, a template for a file's own; a new encoder has a new one.
    """

    packet: Packet[Any]
    pts: int
    dts: int
    duration: int
    key: bool
    time: float
    captured_at: datetime
    format: VideoStream


@dataclass(slots=True)
class _Inside:
    """A frame that the encoder holds; `duration` in ticks, None for the newest."""

    time: float
    captured_at: datetime
    duration: int | None = None


class VideoEncoder:
    """Encodes pictures of one size and colour encoding, each at the time of its frame, whatever the frame rate.

    For a recording (`key_seconds` is given) no picture refers to a later one, and x264 and x265 hold hardly one back:
    memory stays small with many cameras, and a killed process loses little more than the file's last fragment.

    Attributes:
        format: see `Encoded`.
        last_pts: of the newest picture, in ticks of `StreamInfo.time_base`.
    """

    def __init__(
        self,
        name: str,
        settings: EncoderSettings,
        container: Container,
        info: StreamInfo,
        size: tuple[int, int],
        colour: Colour,
        key_seconds: float | None = None,
    ) -> None:
        """Open FFmpeg's encoder `name`.

        Args:
            name: of the encoder, see `choose_encoder`.
            settings: what the user has chosen.
            container: what the packets are for.
            info: of the stream.
            size: width and height of the pictures, before they are made even.
            colour: their encoding.
            key_seconds: between the key frames of a recording, at most; None leaves them to the encoder.

        Raises:
            AV_ERRORS: it cannot be opened; see `sinks.video.codec`.
        """
        self.last_pts: int | None = None
        self._size, self._colour = size, colour
        self._time_base, self._key_seconds = info.time_base, key_seconds
        self._last_key: float | None = None
        rate = info.frame_rate or USUAL_FRAME_RATE
        self._step = max(1, round(1 / rate / info.time_base))  # ticks from the last picture but one to the last
        self._inside: dict[int, _Inside] = {}  # by pts, increasing
        recording = key_seconds is not None
        options = encoder_options(name, settings, live=info.live or recording, recording=recording)
        # PyAV ties an encoder to a container; nothing is written to this one but its header.
        self._holder = av.open(io.BytesIO(), "w", format=container.muxer)
        self._stream = cast("VideoStream", self._holder.add_stream(name, rate=rate, options=options))
        context = self._stream.codec_context
        context.width, context.height = even_size(*size)
        context.pix_fmt = pixel_format(name)
        context.time_base = self._stream.time_base = info.time_base
        # PyAV's default cuts each frame into slices, one a thread: slower, and a worse picture for the bytes.
        context.thread_type = "AUTO"
        if recording:
            context.max_b_frames = 0
            context.thread_count = RECORDING_THREADS
        _tell_colour(context, colour, info.look)
        self._holder.start_encoding()
        # The parameters alone, so that packets that are kept do not keep a whole encoder.
        template = av.open(io.BytesIO(), "w", format=container.muxer)
        self.format = template.add_stream_from_template(self._stream)
        self.format.time_base = info.time_base  # the holder may count in its own
        template.close()  # lets go of the stream, or both would wait for the garbage collector

    def fits(self, size: tuple[int, int], colour: Colour) -> bool:
        """Whether a picture can be encoded as it is."""
        return (size, colour) == (self._size, self._colour)

    def encode(self, picture: av.VideoFrame, frame: Frame) -> list[Encoded]:
        """Encode `picture`, made from `frame`; return the packets that are ready.

        Raises:
            AV_ERRORS: the encoder failed and cannot be used again.
        """
        pts = round(Fraction(frame.pts) / self._time_base)
        if self.last_pts is not None:
            pts = max(pts, self.last_pts + 1)  # encoders refuse a time twice
            self._step = pts - self.last_pts
            if self.last_pts in self._inside:
                self._inside[self.last_pts].duration = self._step
        self.last_pts = pts
        picture.pts, picture.time_base = pts, self._time_base
        # The thousandth is for rounding: 25 frames/s must not need a 51st frame for two seconds.
        if self._key_seconds and (self._last_key is None or frame.pts - self._last_key >= self._key_seconds - 1e-3):
            picture.pict_type = PictureType.I
            self._last_key = frame.pts
        self._inside[pts] = _Inside(frame.pts, frame.captured_at)
        if len(self._inside) > STUCK_FRAMES:
            raise RuntimeError(f"it took {STUCK_FRAMES} frames and gave nothing back")
        return [self._encoded(packet) for packet in self._stream.encode(picture)]

    @property
    def usual_duration(self) -> Fraction:
        """Seconds from the last picture but one to the last."""
        return self._step * self._time_base

    def drain(self, last_duration: Fraction | None = None) -> list[Encoded]:
        """The packets that the encoder still held; it cannot be used again.

        Args:
            last_duration: seconds for which the last picture is shown; None for `usual_duration`.

        Raises:
            AV_ERRORS: the encoder failed.
        """
        if last_duration is not None:
            self._step = max(1, round(last_duration / self._time_base))
        packets = self._stream.encode(None)
        # The hybrid MP4 takes as the end of the video what its last packet says, though with B-frames another one is
        # shown last.
        last = packets[-1].pts if packets else None
        if last is not None and self.last_pts is not None:
            self._inside[self._nearest(last)].duration = self.last_pts + self._step - last
        return [self._encoded(packet) for packet in packets]

    def close(self) -> None:
        """Free the encoder, with what is in it."""
        with suppress(*AV_ERRORS):  # what led here is known
            self._holder.close()

    def _encoded(self, packet: Packet[Any]) -> Encoded:
        """A packet with the times of the frame in it."""
        assert packet.pts is not None
        dts = packet.pts if packet.dts is None else packet.dts
        frame = self._inside.pop(self._nearest(packet.pts))
        while self._inside and (oldest := next(iter(self._inside))) < dts:
            del self._inside[oldest]  # the encoder has dropped it: what follows is later
        duration = self._step if frame.duration is None else frame.duration
        # What is kept for a recording takes its own bytes: the encoder's buffer may be far larger.
        kept = packet if self._key_seconds is None else Packet(bytes(packet))
        return Encoded(kept, packet.pts, dts, duration, packet.is_keyframe, frame.time, frame.captured_at, self.format)

    def _nearest(self, pts: int) -> int:
        """The time of the frame in a packet with this one: Quick Sync counts in 1/90000 s, and may round."""
        return pts if pts in self._inside else min(self._inside, key=lambda one: abs(one - pts))


def _tell_colour(context: VideoCodecContext, colour: Colour, look: Look) -> None:
    """Have the samples shown as the medium wants it: matrix, range, primaries, transfer curve, shape of the pixels."""
    context.colorspace, context.color_range = colour_codes(colour)
    if look.matrix in MATRIX_CODES[colour.matrix]:  # of those that mean the same, the medium's own
        context.colorspace = look.matrix
    if look.primaries not in {0, UNSPECIFIED}:
        context.color_primaries = look.primaries
    if look.transfer not in {0, UNSPECIFIED}:
        context.color_trc = look.transfer
    if look.pixel_aspect:
        context.sample_aspect_ratio = look.pixel_aspect
