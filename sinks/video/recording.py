"""Record a live stream's annotated video for months: in segments, always or around events, on a disk that fills."""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from maskcast.errors import SinkError, reason_of
from maskcast.frame import Frame
from maskcast.result import Event, Result
from maskcast.stream_info import StreamInfo
from sinks.filename import file_name
from sinks.partial import partial_path
from sinks.sink import BlockingSink
from sinks.video.codec import AV_ERRORS, EncoderSettings, choose_encoder, fall_back
from sinks.video.container import CONTAINERS
from sinks.video.encoder import Encoded, VideoEncoder
from sinks.video.folder_lock import FolderLock
from sinks.video.packet_ring import PacketRing
from sinks.video.recording_settings import RecordingSettings
from sinks.video.render import even_size, render
from sinks.video.retention import SUFFIX, free_bytes, make_room, prune, recording_path
from sinks.video.segment import Segment, recover, settle
from sinks.video.style import OUTLINED, Styles

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30.0  # after a failure of the disk or the encoder
GAP_SECONDS = 5.0  # without a frame, after which a file is closed and a new one begins
KEY_SECONDS = 2.0  # between key frames, at most: what a recording around an event may begin earlier than asked for
RING_BYTES = 64_000_000  # of packets that wait for an event


class RecordingSink(BlockingSink):
    """Writes ``<folder>/<stream>/<UTC time of the first frame>.mp4``, one file after the other; see `file_name`.

    A full or broken disk, or an encoder that fails, stops the recording, never the stream: it is logged once, and
    tried again every `RETRY_SECONDS`. A new file begins after `GAP_SECONDS` without a frame, and when the size or the
    colour encoding of the pictures changes. What a killed process left unfinished is made whole at the start.

    Attributes:
        segments: files finished.
        recording: whether a file is being written.
        failures: how often recording failed, attempts to go on included.
        bytes_written: encoded bytes handed to the disk.
    """

    def __init__(self, settings: RecordingSettings, stream: str, styles: Styles = OUTLINED) -> None:
        """Prepare; nothing is touched before `start`. `styles` says how objects are shown.

        Raises:
            UsageError: the stream's id cannot be the name of a folder.
        """
        self.folder = settings.folder / file_name(stream)
        super().__init__(str(self.folder))
        self.settings = settings
        self._styles = styles
        self.segments = 0
        self.failures = 0
        self.bytes_written = 0
        self._encoder_settings = EncoderSettings(settings.codec, settings.quality)
        self._info: StreamInfo | None = None
        self._encoder_name = ""
        self._encoder: VideoEncoder | None = None
        self._segment: Segment | None = None
        self._ring = PacketRing(settings.before, RING_BYTES)
        self._noted: deque[float] = deque(maxlen=1000)  # times of events, from the event loop to the thread
        self._since = self._until = -math.inf  # what is to be recorded, in seconds; in the past: nothing
        self._key_seconds = settings.segment_seconds / math.ceil(settings.segment_seconds / KEY_SECONDS)
        self._step = 0.0  # seconds between the last two frames
        self._last_pts: float | None = None
        self._fed_at = math.inf  # `time.monotonic` of the last frame, while an encoder is open
        self._prepared = False
        self._folder_lock: FolderLock | None = None
        self._failing = False
        self._retry_at = -math.inf
        self._watch: asyncio.Task[None] | None = None

    @property
    def recording(self) -> bool:
        """Whether a file is being written."""
        return self._segment is not None

    async def start(self, info: StreamInfo) -> None:
        """Choose an encoder and make whole what a killed process left.

        Raises:
            UsageError: there is no such codec.
            SinkError: this FFmpeg lacks the encoder.
        """
        await super().start(info)
        self._watch = asyncio.create_task(self._watch_silence(), name=f"silence of {self.name}")

    async def note(self, result: Result) -> None:
        self._trigger(result.events, result.frame.pts)

    async def finish(self, reason: str | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        await super().finish(reason)

    def start_blocking(self, info: StreamInfo) -> None:
        self._info = info
        size = even_size(info.width, info.height)
        self._encoder_name = choose_encoder(self._encoder_settings, SUFFIX, *size)
        with self._surviving():
            self._prepare()

    def write_blocking(self, result: Result) -> None:
        self._trigger(result.events, result.frame.pts)  # again, if it was noted: that changes nothing
        if self._must_wait() and (self.settings.when == "always" or self._encoder is None):
            return
        with self._surviving():
            self._write_frame(result)

    def finish_blocking(self, reason: str | None) -> None:  # noqa: ARG002 - a recording is whole whenever it ends
        with self._surviving():
            self._end_of_run()
        self._close_encoder()
        self._leave_folder()

    def _trigger(self, events: tuple[Event, ...], pts: float) -> None:
        if self.settings.when == "events" and any(event.appears for event in events):
            self._noted.append(pts)

    async def _watch_silence(self) -> None:
        """Finish the file of a camera that is silent: it may stay so for hours."""
        while True:
            await asyncio.sleep(GAP_SECONDS / 5)
            if time.monotonic() - self._fed_at > self._gap():
                await self._run(self._end_in_silence)

    def _end_in_silence(self) -> None:
        if time.monotonic() - self._fed_at > self._gap():  # still, now that it is this thread's turn
            with self._surviving():
                self._end_of_run()

    def _gap(self) -> float:
        """Seconds without a frame that end a file; a slow stream is not a silent one."""
        return max(GAP_SECONDS, 4 * self._step)

    def _write_frame(self, result: Result) -> None:
        frame, picture = result.frame, result.frame.picture
        if self._last_pts is not None:
            step = frame.pts - self._last_pts
            if abs(step) > self._gap():
                self._end_of_run()
            self._step = max(0.0, step)
        self._last_pts = frame.pts
        if self._encoder is not None and not self._encoder.fits((picture.width, picture.height), picture.colour):
            self._end_of_run()
        self._fed_at = time.monotonic()
        self._take(self._encode(result))

    def _encode(self, result: Result) -> list[Encoded]:
        """Encode; a hardware encoder that fails gives way to software until the next run of frames."""
        size = result.frame.picture.width, result.frame.picture.height
        picture = render(result, *size, self._styles)
        try:
            if self._encoder is None:
                self._encoder = self._open_encoder(self._encoder_name, result.frame)
            return self._encoder.encode(picture, result.frame)
        except AV_ERRORS as error:
            self._close_encoder()
            software = fall_back(self._encoder_name, "failed", error, self.name)
            self._encoder = self._open_encoder(software, result.frame)
            return self._encoder.encode(picture, result.frame)

    def _open_encoder(self, name: str, first: Frame) -> VideoEncoder:
        assert self._info is not None, "start comes first"
        size, colour = (first.picture.width, first.picture.height), first.picture.colour
        return VideoEncoder(
            name, self._encoder_settings, CONTAINERS[SUFFIX], self._info, size, colour, self._key_seconds
        )

    def _close_encoder(self) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.close()

    def _end_of_run(self) -> None:
        """Frames stop, or others follow: write what the encoder holds and finish the file."""
        self._fed_at = math.inf
        encoder = self._encoder
        try:
            if encoder is not None:
                self._take(encoder.drain())
        finally:
            self._close_encoder()
        self._finish_segment()

    def _take(self, packets: list[Encoded]) -> None:
        if self.settings.when == "always":
            for packet in packets:
                self._write(packet)
            return
        while self._noted:
            pts = self._noted.popleft()
            if self._segment is None and pts - self.settings.before > self._until:
                self._since = pts - self.settings.before
            self._until = max(self._until, pts + self.settings.after)
        for packet in packets:
            self._ring.append(packet)
            self._write_wanted()
        if not packets:  # the last frames are in the ring already, and an event was noted since
            self._write_wanted()

    def _write_wanted(self) -> None:
        """Write what the events ask for, out of the ring."""
        newest = self._ring.newest
        if newest is None or self._must_wait():
            return
        if newest <= self._until:
            for packet in self._ring.unwritten(self._since, follows=self._segment is not None):
                self._write(packet)
                if self._segment is None:  # it failed: what is not in a file stays in the ring
                    return
        elif newest > self._until + self.settings.before:  # until then an event may ask for what follows this file
            self._finish_segment()

    def _write(self, packet: Encoded) -> None:
        """Write a packet to the file that is open or, if it is a key frame, to a new one."""
        if self._must_wait():
            return
        with self._surviving():
            limits = self.settings.segment_seconds, self.settings.segment_bytes
            if self._segment is not None and self._segment.is_over(packet, *limits):
                self._finish_segment()
            if packet.key:
                self._begin_group(packet)
            if self._segment is not None:
                self._segment.write(packet)
                self.bytes_written += packet.packet.size

    def _begin_group(self, key: Encoded) -> None:
        """Before a key frame: is there room for what follows, and a file to write it to?"""
        self._prepare()
        needed = self.settings.min_free_bytes
        retained = self.settings.keep_files is not None or self.settings.keep_bytes is not None
        free = free_bytes(self.folder)
        if free < needed and not (retained and make_room(self.folder, needed)):
            megabytes = f"{free / 1e6:.0f} MB are free, {needed / 1e6:.0f} MB are to be left"
            raise OSError(errno.ENOSPC, f"the disk is full ({megabytes})")
        if self._segment is None:
            self._segment = Segment(recording_path(self.folder, key.captured_at), key)
        else:
            self._works_again()  # a whole group of pictures went through

    def _prepare(self) -> None:
        if not self._prepared:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._leave_folder()
            self._folder_lock = FolderLock(self.folder)
            recover(self.folder)
            self._prepared = True

    def _leave_folder(self) -> None:
        held, self._folder_lock = self._folder_lock, None
        if held is not None:
            held.release()

    def _finish_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        with self._surviving():
            path = self._close_segment(segment)
            self._works_again()
            prune(self.folder, self.settings.keep_files, self.settings.keep_bytes, path)

    def _close_segment(self, segment: Segment) -> Path:
        try:
            path = segment.close()
        except Exception:
            segment.abandon()
            with suppress(OSError, SinkError):  # else it is a job for `_prepare`, later
                settle(partial_path(segment.path))
            raise
        self.segments += 1
        return path

    def _must_wait(self) -> bool:
        return time.monotonic() < self._retry_at

    def _works_again(self) -> None:
        if self._failing and time.monotonic() >= self._retry_at + RETRY_SECONDS:  # not for the last bytes of a disk
            self._failing = False
            logger.warning("%s: recording again", self.name)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        """Whatever fails in here stops the recording for a while, and nothing else."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - months unattended: the next try may work
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.failures += 1
        self._retry_at = time.monotonic() + RETRY_SECONDS
        self._prepared = False  # the folder may be gone, and hold what could not be settled
        if not self._failing:
            self._failing = True
            known = isinstance(error, (*AV_ERRORS, SinkError))
            logger.error(
                "%s: recording has stopped: %s; tracking goes on, and every %g s recording is tried again",
                self.name,
                reason_of(error),
                RETRY_SECONDS,
                exc_info=None if known else error,
            )
        if self.settings.when == "always":
            self._close_encoder()  # around events it goes on: the ring wants to be full when the disk is back
        segment, self._segment = self._segment, None
        if segment is not None:
            with suppress(Exception):  # this failure has been reported
                self._close_segment(segment)
