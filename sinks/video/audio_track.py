"""One audio stream on its way into an annotated video: copied where the container has its codec, else encoded anew."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any, Protocol, TypeAlias, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.codec import Codec
from av.container import OutputContainer
from av.packet import Packet

from maskcast.audio import AudioPacket, AudioTrack
from maskcast.errors import reason_of
from maskcast.redaction import redact
from sinks.video.codec import AV_ERRORS
from sinks.video.container import Container

logger = logging.getLogger(__name__)

MuxedPacket: TypeAlias = "Packet[Any]"

# What is mixed down to where the encoder does not have the stream's own layout; more than 8 channels few players play.
LAYOUTS = ("7.1", "5.1", "5.0", "quad", "stereo", "mono")
MOST_CHANNELS = 8

# How much video may wait in memory, in MP4, for the first packet of an audio. Then it gets one of silence, made with
# the encoder that stands here, or that is called like the codec.
LATE_SECONDS = 10
SILENT = {"mp3": "libmp3lame", "opus": "libopus"}

# What is encoded where the medium does not say it in its head; the packets tell, and are brought to it.
UNKNOWN_RATE_HZ, UNKNOWN_LAYOUT = 48_000, "stereo"

# Of a channel: enough for AAC and Opus to sound like the original. AAC holds at most 6144 bits a channel
# in a frame of 1024 samples (ISO/IEC 14496-3, 4.5.3.1).
BITS_A_SECOND = 64_000
AAC_BITS_A_SAMPLE = 6144 // 1024

# A frame's time that is off by less is rounded (Matroska and FLV count milliseconds); by more, it is a gap.
ROUNDING_SECONDS = Fraction(1, 50)

# QuickTime has other codes than ISO 639-2 for these (FFmpeg's libavformat/isom.c, mov_mdhd_language_map), and FFmpeg
# leaves out a language that it does not find there.
QUICKTIME_LANGUAGES = {
    "deu": "ger",
    "swe": "sve",
    "nld": "dut",
    "zho": "chi",
    "ell": "gre",
    "isl": "ice",
    "sqi": "alb",
    "mkd": "mac",
    "fre": "fra",
    "cze": "ces",
    "rum": "ron",
    "slo": "slk",
}


class TrackWriter(Protocol):
    """Makes the packets of one stream of the output from those of one stream of the medium."""

    name: str  # which audio it is, in words for people
    target: AudioStream

    def take(self, packet: AudioPacket) -> Iterator[MuxedPacket]:
        """What a packet of the medium, on the pipeline's clock, makes ready for the output.

        Raises:
            AV_ERRORS: this audio cannot go on.
        """

    def silence(self) -> Iterator[MuxedPacket]:
        """A packet without sound at the beginning: the file waits for the first. None where it cannot be made."""

    def drain(self) -> Iterator[MuxedPacket]:
        """What is still inside.

        Raises:
            AV_ERRORS: it cannot be had.
        """


def add_track(track: AudioTrack, output: OutputContainer, container: Container) -> TrackWriter | None:
    """Add a stream for `track` to `output`, whose header is not written yet.

    Whatever may fail is tried in an empty file in memory before: a header that cannot be written would cost the video.

    Returns:
        None where the audio is left out, which is said in the log.
    """
    name = _described(track)
    source = track.template
    if source is None:
        logger.warning("%s is left out of the video: FFmpeg cannot read its codec", name)
        return None
    copied = source.codec_context.codec.canonical_name in (container.audio_codecs or output.supported_codecs)
    writer: TrackWriter
    try:
        if copied and _can_be_copied(source, container):
            writer = _Copied(name, source, output, container)
        else:
            writer = _Encoded(name, source, output, container)
    except AV_ERRORS as error:
        logger.warning("%s is left out of the video: %s", name, redact(str(error)))
        return None
    _label(writer.target, source, container)
    return writer


def _label(target: AudioStream, source: AudioStream, container: Container) -> None:
    """Keep what people choose an audio by: language, title, and whether it is the default, forced or a comment."""
    language = source.metadata.get("language")
    if language:
        quicktime = container.muxer == "mov"
        target.metadata["language"] = QUICKTIME_LANGUAGES.get(language, language) if quicktime else language
    title = source.metadata.get("title") or source.metadata.get("name")  # MP4's word for it
    if title:
        target.metadata["title"] = title
        if container.is_mp4:
            target.metadata["handler_name"] = title  # where most players look
    target.disposition = source.disposition


def _described(track: AudioTrack) -> str:
    """Which audio it is, in words for people."""
    if track.template is None:
        return f"audio stream {track.index}"
    language = f", language {track.template.language}" if track.template.language else ""
    return f"audio stream {track.index} ({track.template.codec_context.codec.canonical_name}{language})"


def _can_be_copied(source: AudioStream, container: Container) -> bool:
    trial = av.open(io.BytesIO(), "w", format=container.muxer)
    try:
        trial.add_stream_from_template(source)
        trial.start_encoding()
    except AV_ERRORS as error:
        logger.debug("%s cannot be copied: %s", source.codec_context.name, reason_of(error))
        return False
    finally:
        with suppress(*AV_ERRORS):
            trial.close()
    return True


class _Copied:
    """The packets as they are."""

    def __init__(self, name: str, source: AudioStream, output: OutputContainer, container: Container) -> None:
        self.name = name
        # AAC from MPEG-TS repeats its parameters before each packet; other containers want them once, in front.
        adts = source.codec_context.name == "aac" and not source.codec_context.extradata
        self._filter = BitStreamFilterContext("aac_adtstoasc", source) if adts else None
        self._damage = _Damage(self.name)
        self.target: AudioStream = output.add_stream_from_template(source)
        # QuickTime plays PCM without a pause: where there is a gap, there must be zeros.
        pcm = re.match(r"pcm_s(\d+)", source.codec_context.name) if container.muxer == "mov" else None
        self._sample_bytes = int(pcm[1]) // 8 * source.codec_context.channels if pcm else 0
        self._end: Fraction | None = None  # of the last packet, in seconds

    def take(self, packet: AudioPacket) -> Iterator[MuxedPacket]:
        ready = [packet.coded()]
        if self._filter is not None:
            coded, ready = ready[0], []
            with self._damage.survived():
                ready = self._filter.filter(coded)
        for each in ready:
            yield from self._ready(each)

    def _ready(self, packet: MuxedPacket) -> Iterator[MuxedPacket]:
        if self._sample_bytes and packet.pts is not None and packet.time_base:
            start = packet.pts * packet.time_base
            yield from self._zeros(start)
            self._end = self._end_of(start, packet.size)
        packet.stream = self.target
        yield packet

    def _zeros(self, until: Fraction) -> Iterator[MuxedPacket]:
        """Packets of a second at most, from the end of the last one to `until`."""
        rate = self.target.codec_context.sample_rate
        while self._end is not None and until - self._end > ROUNDING_SECONDS:
            samples = min(rate, round((until - self._end) * rate))
            zeros: MuxedPacket = Packet(bytes(samples * self._sample_bytes))
            zeros.pts = zeros.dts = round(self._end * rate)
            zeros.duration, zeros.time_base, zeros.stream = samples, Fraction(1, rate), self.target
            yield zeros
            self._end = self._end_of(self._end, zeros.size)

    def _end_of(self, start: Fraction, size: int) -> Fraction:
        return start + Fraction(size // self._sample_bytes, self.target.codec_context.sample_rate)

    def silence(self) -> Iterator[MuxedPacket]:
        try:
            packets = _silence(self.target.codec_context)
        except AV_ERRORS as error:
            logger.debug("%s: no packet of silence: %s", self.name, reason_of(error))
            return
        for packet in packets:
            yield from self._ready(packet)

    def drain(self) -> Iterator[MuxedPacket]:
        self._damage.report()
        return iter(())


class _Encoded:
    """Decoded, brought to a rate, layout and sample format that the encoder has, and encoded."""

    def __init__(self, name: str, source: AudioStream, output: OutputContainer, container: Container) -> None:
        self.name = name
        encoder = Codec(container.audio_encoder, "w")
        rate, layout = _rate(encoder, source.codec_context.sample_rate or UNKNOWN_RATE_HZ), _layout(encoder, source)
        self.target = cast("AudioStream", output.add_stream(encoder.name, rate=rate, layout=layout))
        channels = self.target.codec_context.channels
        self.target.bit_rate = min(BITS_A_SECOND, AAC_BITS_A_SAMPLE * rate) * channels
        self._resampler: AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        self._end: Fraction | None = None  # where the last frame ends, in seconds
        self._damage = _Damage(self.name)
        logger.info("%s is encoded as %s, %d Hz, %s", self.name, encoder.name, rate, layout)

    def take(self, packet: AudioPacket) -> Iterator[MuxedPacket]:
        ready: list[AudioFrame] = []
        with self._damage.survived():
            for frame in packet.decoded():
                ready += self._converted(frame)
        for frame in ready:
            yield from self.target.encode(frame)

    def silence(self) -> Iterator[MuxedPacket]:
        to = self.target.codec_context
        for _ in range(2):  # the encoder gives out the first when it has seen the next
            for frame in self._converted(_silent_frame(to.layout.name, to.sample_rate)):
                yield from self.target.encode(frame)

    def drain(self) -> Iterator[MuxedPacket]:
        self._damage.report()
        for frame in self._rest():
            yield from self.target.encode(frame)
        yield from self.target.encode(None)

    def _converted(self, frame: AudioFrame) -> list[AudioFrame]:
        """New frames as the encoder wants them, after what was left of frames of another form."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        rest: list[AudioFrame] = []
        if self._resampler is None or form != self._form:  # broadcasts change between stereo and surround
            rest = self._rest()
            to = self.target.codec_context
            # With a size, for without one PyAV hands on frames that need no conversion, and others read them too.
            self._resampler = AudioResampler(to.format, to.layout, to.sample_rate, to.frame_size or 1024)
            self._form = form
        return rest + self._placed(self._resampler.resample(frame))

    def _placed(self, frames: list[AudioFrame]) -> list[AudioFrame]:
        """Count times in samples, and close the cracks that rounded ones leave between frames."""
        for frame in frames:
            rate = frame.sample_rate
            at = self._end
            if frame.pts is not None and frame.time_base:
                said = frame.pts * frame.time_base
                at = said if at is None or abs(said - at) > ROUNDING_SECONDS else at
            frame.pts, frame.time_base = round((at or 0) * rate), Fraction(1, rate)
            self._end = Fraction(frame.pts + frame.samples, rate)
        return frames

    def _rest(self) -> list[AudioFrame]:
        """What the resampler still holds."""
        resampler, self._resampler = self._resampler, None
        return self._placed(resampler.resample(None)) if resampler is not None else []


class _Damage:
    """Counts the packets that are damaged: each is a click, not the end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._packets = self._damaged = 0

    @contextmanager
    def survived(self) -> Iterator[None]:
        self._packets += 1
        try:
            yield
        except AV_ERRORS as error:
            self._damaged += 1
            logger.debug("%s: a packet is left out: %s", self._name, reason_of(error))

    def report(self) -> None:
        if self._damaged:
            logger.warning("%s: %d of %d packets are damaged: left out", self._name, self._damaged, self._packets)


def _rate(encoder: Codec, wanted: int) -> int:
    """The lowest rate of the encoder that loses nothing of the `wanted` one, else its highest."""
    rates = encoder.audio_rates or [wanted]
    return min((rate for rate in rates if rate >= wanted), default=max(rates))


def _layout(encoder: Codec, source: AudioStream) -> str:
    """The channels of the source if the encoder has them, else the most of `LAYOUTS` that it can be mixed down to.

    Raises:
        ValueError: there is none.
    """
    own = source.codec_context.layout
    if not own.nb_channels:
        return UNKNOWN_LAYOUT
    for candidate in (_named(own), *LAYOUTS):
        channels = av.AudioLayout(candidate).nb_channels
        if channels <= min(own.nb_channels, MOST_CHANNELS) and _works(encoder, own.name, candidate):
            return candidate
    raise ValueError(f"its {own.nb_channels} channels ({own.name}) cannot be mixed down")


def _named(layout: av.AudioLayout) -> str:
    """The layout's name; where it only says how many channels there are, that of the usual ones."""
    if layout.name == f"{layout.nb_channels} channels":
        with suppress(ValueError):
            return av.AudioLayout(f"{layout.nb_channels}c").name
    return layout.name


def _works(encoder: Codec, source: str, target: str) -> bool:
    """Whether the encoder has a layout, and what is in another one can be brought to it."""
    context = cast("AudioCodecContext", AudioCodecContext.create(encoder.name, "w"))
    formats = encoder.audio_formats or [av.AudioFormat("s16")]
    context.format, context.layout, context.sample_rate = (
        formats[0],
        av.AudioLayout(target),
        _rate(encoder, UNKNOWN_RATE_HZ),
    )
    try:
        context.open()
        silence = _silent_frame(source, context.sample_rate)
        return bool(AudioResampler(formats[0], target, context.sample_rate).resample(silence))
    except AV_ERRORS:
        return False


def _silence(codec: AudioCodecContext) -> list[MuxedPacket]:
    """One packet without sound, at 0, of a codec that is copied.

    Raises:
        AV_ERRORS: there is no encoder for it.
    """
    name = codec.codec.canonical_name
    encoder = cast("AudioCodecContext", AudioCodecContext.create(SILENT.get(name, name), "w"))
    formats = [form.name for form in encoder.codec.audio_formats or []]
    form = codec.format.name if codec.format.name in formats else formats[0]  # FLAC's frames must agree in it
    encoder.sample_rate, encoder.layout, encoder.format = codec.sample_rate, _named(codec.layout), form
    silence = _silent_frame(_named(codec.layout), codec.sample_rate)
    packets = [*encoder.encode(silence), *encoder.encode(None)][:1]
    for packet in packets:
        packet.pts = packet.dts = 0
    return packets


def _silent_frame(layout: str, rate: int) -> AudioFrame:
    """At time 0. Its channels lie in one plane: PyAV reads beyond the last one of eight or more."""
    frame = AudioFrame(format="s16", layout=layout, samples=1024)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    frame.planes[0].update(bytes(frame.planes[0].buffer_size))
    return frame
