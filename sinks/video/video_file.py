"""One video file that is being written: the packets of an encoder, and the medium's audio in step with them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from maskcast.audio import AudioPacket, AudioTrack
from sinks.video.audio import AudioTracks
from sinks.video.codec import AV_ERRORS
from sinks.video.container import Container
from sinks.video.encoder import Encoded


class VideoFile:
    """Is playable up to its last fragment at any time, and is done with `close` or `abandon`."""

    def __init__(
        self,
        target: Path | int,
        container: Container,
        video: VideoStream,
        *,
        endless: bool,
        audio: Sequence[AudioTrack] = (),
    ) -> None:
        """Open it and write its head.

        Args:
            target: a path, or the descriptor of what cannot be sought in.
            container: of the file.
            video: see `Encoded.format`; all packets have this one.
            endless: whether it goes on as long as a live stream does.
            audio: the medium's tracks.

        Raises:
            AV_ERRORS: it cannot be opened; see `sinks.video.codec`.
        """
        assert video.time_base is not None
        self._time_base = video.time_base
        # `file:` keeps FFmpeg from taking a colon in a file's name for a protocol.
        place = f"file:{target}" if isinstance(target, Path) else f"pipe:{target}"
        options = container.options(self._time_base, endless=endless)
        self._output = av.open(place, "w", format=container.muxer, container_options=options)
        try:
            self._video = self._output.add_stream_from_template(video)
            self._video.time_base = self._time_base
            self._audio = AudioTracks(audio, self._output, container)
            self._output.start_encoding()
        except BaseException:
            self.abandon()
            raise

    def take_audio(self, packets: Sequence[AudioPacket]) -> None:
        """Take what came with a frame; it is written when the video has got that far."""
        self._audio.take(packets)

    def write(self, packet: Encoded, start: int = 0) -> None:
        """Add a packet of the video, and the audio that belongs before it.

        Args:
            packet: the next one.
            start: the file's beginning, in ticks of the packet's time base.

        Raises:
            AV_ERRORS: the disk refuses.
        """
        muxed = packet.packet
        muxed.stream, muxed.time_base, muxed.is_keyframe = self._video, self._time_base, packet.key
        muxed.pts, muxed.dts, muxed.duration = packet.pts - start, packet.dts - start, packet.duration
        self._audio.mux_until(muxed.dts * self._time_base)
        self._output.mux(muxed)

    def close(self, seconds: Fraction | None = None) -> None:
        """Finish the file: with the audio that starts before `seconds`, or all that is left.

        Raises:
            AV_ERRORS: the disk refuses.
        """
        self._audio.finish(seconds)
        self._output.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        with suppress(*AV_ERRORS):  # what led here is known
            self._output.close()
