"""Annotated video: the source's frames at the source's times, tracks drawn on them, the source's audio beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskcast.errors import SinkError
from maskcast.frame import Frame
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.sink import BlockingSink
from sinks.target import Target, open_target
from sinks.through import refuse_without_seeking
from sinks.video.codec import AV_ERRORS, EncoderSettings, choose_encoder, fall_back
from sinks.video.container import CONTAINERS
from sinks.video.encoder import VideoEncoder
from sinks.video.render import even_size, render
from sinks.video.style import OUTLINED, Styles
from sinks.video.video_file import VideoFile


class AnnotatedVideoSink(BlockingSink):
    """Draws each result on its frame and encodes it; ``name.partial.mp4`` until the stream has ended.

    Frames whose size differs from the first one's are scaled into it, with black bars.
    """

    def __init__(
        self,
        path: Path,
        settings: EncoderSettings | None = None,
        suffix: str | None = None,
        styles: Styles = OUTLINED,
    ) -> None:
        """Write to `path`, in the container that `suffix`, by default its own, means in `CONTAINERS`.

        Args:
            path: of the file.
            settings: of the encoder.
            suffix: see above.
            styles: how objects are shown.

        Raises:
            UsageError: MP4 is to go where it cannot be written.
        """
        self._suffix = suffix or path.suffix.lower()
        self._container = CONTAINERS[self._suffix]
        if self._container.is_mp4:
            refuse_without_seeking(path, self._suffix, "use .mkv or .webm")
        super().__init__(str(path))
        self.path = path
        self.settings = settings or EncoderSettings()
        self._styles = styles
        self._info: StreamInfo | None = None
        self._encoder_name = ""
        self._open: tuple[VideoEncoder, VideoFile] | None = None
        self._target: Target | None = None
        self._ended = False  # whether the medium's last frame has come
        self._failed = False

    def start_blocking(self, info: StreamInfo) -> None:
        size = even_size(info.width, info.height)
        self._encoder_name = choose_encoder(self.settings, self._suffix, *size)
        self._target = open_target(self.path)
        self._info = info

    def write_blocking(self, result: Result) -> None:
        if self._failed:
            return
        with self._abandoned_on_error():
            if self._open is None:
                self._open = self._opened(result.frame)
            encoder, file = self._open
            info = self._require_info()
            file.take_audio(result.frame.audio)
            self._ended = result.frame.last
            picture = render(result, info.width, info.height, self._styles)
            for packet in encoder.encode(picture, result.frame):
                file.write(packet)

    def finish_blocking(self, reason: str | None) -> None:
        if self._target is not None and not self._failed:
            if self._open is None:  # not one frame
                self._target.discard()
            else:
                with self._abandoned_on_error():
                    self._finish_file(*self._open, early=reason is not None)
                self._target.publish()
        self._abandon()

    @contextmanager
    def _abandoned_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._abandon()
            if isinstance(error, AV_ERRORS):
                raise self._error(error) from error
            raise

    def _error(self, error: Exception) -> SinkError:
        if isinstance(error, OSError) and self._target is not None:
            return self._target.error(error)
        what = f"cannot encode with {self._encoder_name}: {error}"
        return SinkError(what, where=self.path, advice="try another codec")

    def _opened(self, first: Frame) -> tuple[VideoEncoder, VideoFile]:
        """Encoder and file, now that the first frame has told its colour encoding."""
        info = self._require_info()
        assert self._target is not None, "start comes first"
        encoder = self._open_encoder(first)
        try:
            file = VideoFile(self._target.place, self._container, encoder.format, endless=info.live, audio=info.audio)
        except BaseException:
            encoder.close()
            raise
        return encoder, file

    def _open_encoder(self, first: Frame) -> VideoEncoder:
        """Open it; a hardware encoder that has no room for one more session now gives way to software."""
        info = self._require_info()
        what = self.settings, self._container, info, (info.width, info.height), first.picture.colour
        try:
            return VideoEncoder(self._encoder_name, *what)
        except AV_ERRORS as error:
            self._encoder_name = fall_back(self._encoder_name, "cannot be opened", error, str(self.path))
            return VideoEncoder(self._encoder_name, *what)

    def _finish_file(self, encoder: VideoEncoder, file: VideoFile, *, early: bool) -> None:
        """Write what the encoder holds, and the audio: all of it if the video was, else as far as the video goes."""
        info = self._require_info()
        assert encoder.last_pts is not None
        last = encoder.last_pts * info.time_base
        whole = not early and self._ended
        duration = 1 / info.frame_rate if info.frame_rate else encoder.usual_duration
        if whole and info.end is not None and info.end > last:
            duration = info.end - last  # only the medium knows how long its last frame lasts
        for packet in encoder.drain(duration):
            file.write(packet)
        file.close(None if whole else last + duration)

    def _abandon(self) -> None:
        """Close everything that is open and leave the partial file as it is."""
        self._failed = True
        if self._open is not None:
            encoder, file = self._open
            self._open = None
            file.abandon()
            encoder.close()
        if self._target is not None:
            self._target.leave()

    def _require_info(self) -> StreamInfo:
        assert self._info is not None, "start comes first"
        return self._info
