"""Results that were written as JSON Lines, read back frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from maskcast.errors import SourceError, UsageError, reason_of
from sinks.messages.frame import AnyFrameMessage
from sinks.messages.stored_frame import read_frame

# A frame of 4K with a hundred masks takes some 2 MB.
LONGEST_LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredResults:
    """What the lines of one stream hold, but for their masks.

    Attributes:
        path: of the file.
        stream: id of the stream.
        width, height: of the first frame in pixels.
        frames: number of lines.
        last: index of the last frame.
        prompts: names of the prompts whose tracks there are, as they come.
        last_seen: by id of a track, index of the last frame that it is in.
    """

    path: Path
    stream: str
    width: int
    height: int
    frames: int
    last: int
    prompts: tuple[str, ...]
    last_seen: Mapping[int, int]

    def messages(self) -> Iterator[AnyFrameMessage]:
        """The frames in their order, one in memory at a time.

        Raises:
            SourceError: the file is not as it was.
        """
        return (message for _, message in _lines(self.path) if message.stream == self.stream)


def look_through(path: Path, stream: str | None = None) -> StoredResults:
    """Read all of a file once, so that whatever is wrong with it is known before anything is made of it.

    Args:
        path: a file with one message of `maskcast.frame` a line, such as `maskcast track` writes.
        stream: which of several streams; None for the only one.

    Raises:
        UsageError: there are several streams, or not this one.
        SourceError: it cannot be read, a line is no such message, or frames are not in order.
    """
    chosen: AnyFrameMessage | None = None
    frames, last, others = 0, -1, dict[str, None]()
    prompts, last_seen = dict[str, None](), dict[int, int]()
    for number, message in _lines(path):
        if stream not in {None, message.stream} or (chosen is not None and message.stream != chosen.stream):
            others[message.stream] = None
            continue
        chosen = chosen or message
        if message.frame <= last:
            what = f"frame {message.frame} comes after frame {last}"
            raise SourceError(what, where=f"{path}, line {number}", advice="it holds more than one run")
        frames, last = frames + 1, message.frame
        prompts.update((track.prompt, None) for track in message.tracks)
        last_seen.update((track.id, last) for track in message.tracks)
    if chosen is None and others:
        raise UsageError(f"no stream {stream}", where=path, advice=f"there is {', '.join(others)}")
    if chosen is None:
        raise SourceError("no results in it", where=path)
    if others and stream is None:
        several = ", ".join([chosen.stream, *others])
        raise UsageError(f"holds several streams: {several}", where=path, advice="choose one with --stream")
    size = (chosen.width, chosen.height)
    return StoredResults(path, chosen.stream, *size, frames, last, tuple(prompts), last_seen)


def _lines(path: Path) -> Iterator[tuple[int, AnyFrameMessage]]:
    """All messages of a file, with the numbers of their lines."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE_BYTES):
                number += 1
                if line.strip():
                    try:
                        yield number, read_frame(line)
                    except ValueError as error:
                        raise SourceError(str(error), where=f"{path}, line {number}") from None
    except OSError as error:
        raise SourceError(f"cannot be read: {reason_of(error)}", where=path) from error
