"""What stands in a model's place where its results are stored already: see `streaming.pipeline.worker.Worker`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from maskcast.audio import AudioPacket
from maskcast.errors import SourceError, UsageError
from maskcast.frame import Frame
from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.datasets.stored_results import StoredResults
from sinks.messages.frame import AnyFrameMessage
from sinks.messages.stored_frame import tracks_of
from streaming.replay.life_events import LifeEvents

# Containers round times: Matroska to milliseconds.
ROUNDING_SECONDS = 2e-3


@dataclass(frozen=True, slots=True, eq=False)
class StoredStream:
    """What an engine keeps of a stream; here of the only one, and only what it was asked for."""

    prompts: tuple[object, ...]


class StoredModel:
    """Gives the result of each frame as it was stored; the part of `trackers.engine.Engine` that a stream needs.

    A frame without a stored result has none here, and so reaches no sink: nothing is shown of which nobody knows what
    is in it.

    Attributes:
        found: how many stored results have met their frame.
        left_out: how many frames have no result.
    """

    def __init__(self, stored: StoredResults, info: StreamInfo, lost_after: float) -> None:
        """Prepare.

        Args:
            stored: the results.
            info: of the medium that they are of.
            lost_after: see `LifeEvents`.

        Raises:
            UsageError: the medium has another size.
        """
        self.found = self.left_out = 0
        self._path = stored.path
        self._check_size(info.width, info.height, stored.width, stored.height)
        self._tolerance = max(ROUNDING_SECONDS, float(1 / info.frame_rate) / 2 if info.frame_rate else 0.0)
        self._messages = stored.messages()
        self._next = next(self._messages, None)
        self._events = LifeEvents(stored.last_seen, lost_after)
        self._audio: list[AudioPacket] = []  # of frames without a result

    def open_stream(self, prompts: Sequence[object]) -> StoredStream:
        """Begin."""
        return StoredStream(tuple(prompts))

    def see(self, _: Sequence[StoredStream], frames: Sequence[Frame]) -> list[tuple[Frame, AnyFrameMessage | None]]:
        """Find the stored result of a frame.

        Raises:
            UsageError: the results are of another medium.
        """
        return [(frame, self._message_of(frame)) for frame in frames]

    def follow(self, seen: Sequence[tuple[Frame, AnyFrameMessage | None]]) -> list[list[Result]]:
        """Make results of what was found.

        Raises:
            SourceError: a mask is damaged.
        """
        return [self._results(frame, message) for frame, message in seen]

    def step(self, streams: Sequence[StoredStream], frames: Sequence[Frame]) -> list[list[Result]]:
        """Both stages."""
        return self.follow(self.see(streams, frames))

    def close_stream(self, _: StoredStream) -> list[Result]:
        """Nothing is held back."""
        return []

    def _message_of(self, frame: Frame) -> AnyFrameMessage | None:
        while self._next is not None and self._next.frame < frame.index:  # a picture that could not be read
            self._next = next(self._messages, None)
        message = self._next
        if message is None or message.frame != frame.index:
            self.left_out += 1
            return None
        self._next = next(self._messages, None)
        self._check_size(frame.picture.width, frame.picture.height, message.width, message.height, frame.index)
        if abs(frame.pts - message.pts) > self._tolerance:
            what = f"frame {frame.index} is at {message.pts:.3f} s, in the video at {frame.pts:.3f} s"
            raise self._other_medium(what)
        name = getattr(message, "file_name", None)
        if name is not None and name != frame.file_name:
            what = f"frame {frame.index} is {name}, and in the source {frame.file_name or 'no file of its own'}"
            raise self._other_medium(what)
        self.found += 1
        return message

    def _results(self, frame: Frame, message: AnyFrameMessage | None) -> list[Result]:
        self._audio += frame.audio
        if message is None:
            return []
        try:
            tracks = tracks_of(message)
        except ValueError as error:
            raise SourceError(f"frame {frame.index}: {error}", where=self._path) from None
        audio, self._audio = tuple(self._audio), []
        shown = replace(frame, captured_at=datetime.fromisoformat(message.time), audio=audio)
        return [Result(shown, tracks, self._events.at(frame.index, frame.pts, tracks))]

    def _check_size(self, width: int, height: int, told_width: int, told_height: int, index: int = 0) -> None:
        if (width, height) != (told_width, told_height):
            what = f"frame {index} has {told_width} x {told_height} pixels, and in the video {width} x {height}"
            raise self._other_medium(what)

    def _other_medium(self, what: str) -> UsageError:
        return UsageError(what, where=self._path, advice="give the video or the pictures that they are of")
