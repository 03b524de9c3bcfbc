"""Decode the video of anything that FFmpeg opens: the common part of files, network streams and cameras."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from errno import EIO
from fractions import Fraction
from typing import Any, cast

import av
from av.format import Flags
from av.stream import Disposition

from maskcast.errors import SourceError
from maskcast.frame import Frame
from maskcast.picture import Look
from maskcast.stream_info import StreamInfo
from sources.audio import Audio
from sources.clock import MediaClock
from sources.continuity import Continuity
from sources.extent import AV_TIME_BASE, Extent
from sources.failure import NO_STREAM, explain, nothing_came
from sources.location import HTTP_SCHEMES, scheme_of
from sources.opening import Opening, open_container
from sources.picture import DecodedPicture
from sources.picture_file import size_in_header
from sources.pixels import oversize, oversize_unseen
from sources.upright import Upright
from sources.video_decoder import VideoDecoder

DEFAULT_FRAME_RATE = Fraction(25)
# Rates above this are FFmpeg's guesses from the clock's resolution.
HIGHEST_FRAME_RATE = 1000
# FFmpeg's flags of formats in which pictures may follow one another without a time: elementary streams, images, parts
# of a multipart message.
UNTIMED: int = cast("Any", Flags.no_timestamps | Flags.generic_index).value
# Of input without time stamps of its own, which are made to the millisecond from when its pictures come.
REAL_TIME_BASE = Fraction(1, 1000)
# A live stream may send data for so long without a picture: cameras space their key frames up to 20 s apart.
PICTURELESS_SECONDS = 30.0
# A live stream that leaps further ahead than this has set its clock.
LONGEST_LIVE_GAP_SECONDS = 60.0
# Brands of files that hold pictures rather than sequences (ISO/IEC 23008-12), which FFmpeg gives tile by tile.
PHOTOGRAPHS = frozenset({"heic", "heix", "heim", "heis", "mif1", "avif"})
# So many damaged packets in a row that the demuxer itself reports are the end.
DAMAGED_IN_A_ROW = 100


class ContainerSource:
    """Frames of the best video stream of a container; see `sources.source.Source`."""

    def __init__(self, opening: Opening, stream: str, *, live: bool | None) -> None:
        """Open.

        Args:
            opening: what and how.
            stream: id of the stream.
            live: whether frames may be dropped; None for "if its length is unknown".

        Raises:
            SourceError: it cannot be opened or holds no video that can be decoded.
        """
        self._opening = opening
        self._stopped = False
        self._at_work = threading.Lock()
        self._failure: Exception | None = None
        self._broken = 0
        self._incomplete = 0  # pictures in which the decoder has filled gaps
        self._oversize: SourceError | None = None  # of the first picture that was too large
        self._container: Any = open_container(opening)
        try:
            self._video: Any = self._best_stream()
            self._extent = Extent(self._container, self._video)
            self._live = self._extent.length is None if live is None else live
            self._decoder: Any = VideoDecoder(self._video, opening, live=self._live)
            self._timeless = self._is_timeless()
            self._continuity = None if self._unending() else Continuity(self._container.format)
            rate = None if self._timeless else self._video.average_rate or self._video.guessed_rate
            self._rate: Fraction | None = rate if rate and rate <= HIGHEST_FRAME_RATE else None
            self._time_base: Fraction = REAL_TIME_BASE if self._timeless else self._video.time_base
            start = Fraction(self._container.start_time or 0, AV_TIME_BASE)
            self._audio = Audio(() if self._live else self._container.streams.audio, start, opening.shown)
            self._frames = self._produce(stream)
            # The first frame tells the size after rotation, and whether anything decodes at all.
            first = next(self._frames)
            self.info = self._describe(first)
            self._first: Frame | None = first
        except BaseException:
            self._release()
            raise

    def _best_stream(self) -> Any:
        shown, streams = self._opening.shown, self._container.streams
        video = streams.best("video")
        if video is None or video.disposition & Disposition.attached_pic:
            kinds = sorted({stream.type for stream in streams if stream is not video})
            if not kinds:
                nothing = NO_STREAM if self._container.format.name == "hls" else "holds nothing"
                raise SourceError(nothing, where=shown)
            raise SourceError(f"holds no video, only {', '.join(kinds)}", where=shown, advice="give a video file")
        tiled = sum(stream.type == "video" for stream in streams) > 1
        if tiled and self._container.metadata.get("major_brand") in PHOTOGRAPHS:
            advice = "give it as a file whose name ends in .heic or .avif"
            raise SourceError("a photograph in tiles", where=shown, advice=advice)
        if self._container.format.name == "tty":  # FFmpeg would film the text as a terminal shows it
            raise SourceError("is a text file", where=shown, advice="give a video file")
        if video.codec_context is None:
            raise SourceError("no decoder for the codec of its video", where=shown, advice="convert it to H.264 first")
        coded: Any = video.codec_context
        if too_large := oversize(coded.width, coded.height, self._opening.max_pixels):
            raise too_large.at(shown)
        return video

    def _is_timeless(self) -> bool:
        """Whether pictures come as they are made and have no time stamps, such as JPEGs over HTTP.

        Where FFmpeg found no start, the stamps that its packets have later are made up, of a rate that is made up.
        """
        given = self._video.start_time is not None or not self._container.format.flags & UNTIMED
        return not given and (self._arriving() or (self._opening.piped and self._live))

    def _describe(self, first: Frame) -> StreamInfo:
        length = self._extent.length
        estimate = round(length * self._rate) if length and self._rate else None
        return StreamInfo(
            stream=first.stream,
            width=first.picture.width,
            height=first.picture.height,
            time_base=self._time_base,
            frame_rate=self._rate,
            frame_count=self._extent.frames or estimate,
            duration=length,
            live=self._live,
            end=None if self._live else self._extent.end,
            look=self._look(first),
            audio=self._audio.tracks,
        )

    def _look(self, first: Frame) -> Look:
        coded, aspect = self._decoder.context, self._video.sample_aspect_ratio
        width, height = first.picture.width, first.picture.height
        turned = (coded.width, coded.height) == (height, width) and width != height
        shape = (1 / aspect if turned else aspect) if aspect else None
        return Look(int(coded.colorspace), int(coded.color_primaries), int(coded.color_trc), shape)

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self._advance()) is not None:
            yield frame

    def _advance(self) -> Frame | None:
        """The next frame; None at the end, when everything has been released."""
        try:
            with self._at_work:
                frame, self._first = self._first, None
                try:
                    if frame is None and not self._stopped:
                        frame = next(self._frames, None)
                except BaseException:
                    self._release()
                    raise
                if frame is None or self._stopped:
                    self._release()
                    return None
                return frame
        finally:
            if self._stopped:  # `close` may have come just before the lock was free
                self.close()

    def _produce(self, stream: str) -> Generator[Frame, None, None]:
        started = datetime.now(UTC)
        step = float(1 / (self._rate or DEFAULT_FRAME_RATE))
        tick = min(float(self._time_base), step)
        start: int | None = self._container.start_time
        if self._container.format.name == "avi":  # has decoding times only; what is made from them starts late
            start = None
        if self._live or start is None:
            clock = MediaClock(None, step, tick, LONGEST_LIVE_GAP_SECONDS if self._live else None)
        else:
            clock = MediaClock(start / AV_TIME_BASE, step, tick)
        index, pts = 0, 0.0
        before: float | None = None
        held: Frame | None = None  # of a recording, until it is known whether another one follows
        for decoded in self._decode():
            raw: float | None = None
            if decoded.pts is not None and decoded.time_base is not None and not self._timeless:
                raw = float(decoded.pts * decoded.time_base)
            now = time.monotonic()
            held_against_time = self._timeless or self._unending()
            pts = clock.stamp(raw, now - before if before is not None and held_against_time else None)
            before = now
            captured = datetime.now(UTC) if self._live else started + timedelta(seconds=pts)
            frame = Frame(stream, index, pts, captured, DecodedPicture(decoded), now)
            index += 1
            if self._live:
                yield frame
                continue
            if held is not None:
                yield replace(held, audio=self._audio.take())
            held = frame
        if self._stopped:
            return
        failure = self._failure_at_end(index)
        if held is not None:
            yield replace(held, audio=self._audio.take(), last=failure is None)
        if failure is not None:
            raise failure

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Every frame that decodes; a broken packet costs itself alone."""
        upright = Upright()
        patience = max(PICTURELESS_SECONDS, sum(self._opening.timeout or ()))
        seen, last_picture = False, time.monotonic()
        for packet in self._packets():
            for frame in self._attempt(packet, count=seen):
                # Where a recording begins in the middle of a group of pictures, its first ones are never complete.
                seen = seen or not frame.is_corrupt
                self._incomplete += seen and frame.is_corrupt
                yield from upright.apply(frame)
                last_picture = time.monotonic()
            if self._oversize and self._unending():
                self._failure = self._oversize
                return
            if self._live and time.monotonic() - last_picture > patience:
                self._failure = SourceError(f"data comes in, but no picture could be decoded for {patience:.0f} s")
                return
        if not self._live:  # after an error nobody has asked the decoder yet for what it still holds
            for frame in self._attempt(None, count=seen):
                yield from upright.apply(frame)
        yield from upright.apply(None)

    def _packets(self) -> Iterator[Any]:
        """The video's packets until the end, a failure or `close`."""
        # Offline the other streams are read too: where they end tells a file that was cut off.
        streams = (self._video,) if self._live else ()
        damaged = 0
        heard = time.monotonic()
        while not self._stopped:
            try:
                for packet in self._container.demux(*streams):
                    damaged = 0
                    if self._continuity is not None:
                        self._continuity.correct(packet)
                    self._extent.note(packet)
                    if packet.stream is self._video:
                        yield packet
                    else:
                        self._audio.add(packet)
                    if self._stopped:
                        return
                    heard = time.monotonic()
            except av.BlockingIOError:  # nothing yet, says a device that does not wait
                if self._opening.timeout is not None and time.monotonic() - heard > self._opening.timeout[1]:
                    self._failure = TimeoutError()
                    return
                time.sleep(0.01)
            except av.InvalidDataError as error:
                self._broken += 1
                damaged += 1
                if damaged == DAMAGED_IN_A_ROW:
                    self._failure = error
                    return
            except (av.FFmpegError, OSError) as error:
                if not self._is_end(error):
                    self._failure = error
                return
            else:
                return

    def _is_end(self, error: Exception) -> bool:
        """Whether it is what FFmpeg makes of the end of an HTTP answer that does not tell its length."""
        container = self._container
        unknown = scheme_of(self._opening.url) in HTTP_SCHEMES and container.format.name != "hls" and container.size < 0
        return unknown and getattr(error, "errno", None) == EIO

    def _attempt(self, packet: Any, *, count: bool) -> Sequence[av.VideoFrame]:
        """What a packet, or None for the end, decodes to.

        A failure counts unless it comes before the first picture, where recordings may be cut.
        """
        try:
            return cast("Sequence[av.VideoFrame]", self._decoder.decode(packet))
        except av.EOFError:
            return ()
        except (av.FFmpegError, OSError) as error:
            self._oversize = self._oversize or self._refused_for_size(error, packet)
            self._broken += count
            return ()

    def _refused_for_size(self, error: Exception, packet: Any) -> SourceError | None:
        """What to say if the decoder refused a picture for its size.

        Some decoders keep the size that they refuse; others forget it and say EINVAL, or ERANGE (dav1d).
        """
        context, most = self._decoder.context, self._opening.max_pixels
        if packet is not None and not context.width and (size := size_in_header(bytes(packet))):
            return oversize(*size, most)
        forgotten = isinstance(error, av.ArgumentError) and not context.width
        if forgotten or isinstance(error, av.error.OverflowError):
            return oversize_unseen(most)
        return oversize(context.width, context.height, most)

    def _failure_at_end(self, decoded: int) -> SourceError | None:
        """What to say if the stream ended before its time."""
        shown, expected = self._opening.shown, self._extent.frames
        failure = explain(self._failure) if self._failure else None
        if decoded == 0:
            once = self._opening.piped or scheme_of(self._opening.url) in HTTP_SCHEMES
            if once and self._extent.is_empty() and self._container.format.name.startswith("mov"):
                failure = nothing_came()  # its index was found behind what it lists
            unclear = SourceError("no frame of its video could be decoded")
            return (self._oversize or failure or unclear).at(shown)
        if self._unending():
            what, advice = (failure.what, failure.advice) if failure else ("the other side ended it", None)
            return SourceError(f"the stream ended after {decoded} frames: {what}", where=shown, advice=advice)
        frames = f"{decoded} of {expected} frames decoded" if decoded < expected else f"{decoded} frames decoded"
        if self._oversize is not None:
            return self._oversize.advising(frames).at(shown)
        if failure is not None or (not self._live and self._extent.is_cut()):
            return SourceError(f"truncated: {frames}", where=shown)
        damage = [f"{self._broken} packets could not be decoded"] if self._broken else []
        damage += [f"{self._incomplete} frames are incomplete"] if self._incomplete else []
        return SourceError(f"damaged: {', '.join(damage)}; {frames}", where=shown) if damage else None

    def _unending(self) -> bool:
        """Whether it comes from a camera or its like, rather than from a recording that plays as one."""
        return self._live and self._arriving()

    def _arriving(self) -> bool:
        """Whether data comes as it is made, as far as its kind tells."""
        opening = self._opening
        return opening.endless or (opening.timeout is not None and self._extent.length is None)

    def close(self) -> None:
        self._stopped = True
        # What another thread is reading from must not be freed under it: it will see the flag and release it itself.
        if self._at_work.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._at_work.release()

    def _release(self) -> None:
        """Free decoder and connection; the frames that were handed out stay valid."""
        self._first = None
        with suppress(AttributeError):  # opening failed half-way
            self._frames.close()
        self._video = self._decoder = None
        self._container.close()
