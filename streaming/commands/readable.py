"""What is seen, in words: for a person at a terminal who has named no output."""

from __future__ import annotations

import time
from collections import defaultdict

from maskcast.errors import ReaderLeftError
from maskcast.printable import printable
from maskcast.result import Result, TrackState
from maskcast.stream_info import StreamInfo
from sinks.sink import BlockingSink

INTERVAL_SECONDS = 1.0


class ReadableSink(BlockingSink):
    """A line a second on the standard output: the time, and how many of each prompt are there, with their ids.

    Raises:
        ReaderLeftError: the terminal is gone.
    """

    def __init__(self) -> None:
        super().__init__("terminal")
        self._live = False
        self._due = 0.0  # `time.monotonic`
        self._unsaid: Result | None = None

    def start_blocking(self, info: StreamInfo) -> None:
        self._live = info.live

    def write_blocking(self, result: Result) -> None:
        self._unsaid = result
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + INTERVAL_SECONDS
            self._say()

    def finish_blocking(self, reason: str | None) -> None:
        del reason
        self._say()

    def _say(self) -> None:
        if self._unsaid is None:
            return
        line, self._unsaid = described(self._unsaid, live=self._live), None
        try:
            print(line, flush=True)  # noqa: T201 - in one piece also above the progress bar, which takes Python's stdout
        except OSError as error:
            raise ReaderLeftError("the terminal is gone", where=self.name) from error


def described(result: Result, *, live: bool) -> str:
    """One line of what is in a frame: `door 0:12.4 2 person (3, 7), 1 car (4)`.

    Args:
        result: of the frame; tentative tracks do not count.
        live: whether the time is that of the clock on the wall, not that of the medium.
    """
    seen: dict[str, list[int]] = defaultdict(list)
    for track in result.tracks:
        if track.state is TrackState.CONFIRMED:
            seen[track.prompt].append(track.id)
    frame = result.frame
    minutes, seconds = divmod(frame.pts, 60)
    moment = f"{frame.captured_at.astimezone():%H:%M:%S}" if live else f"{int(minutes)}:{seconds:04.1f}"
    parts = [f"{len(ids)} {prompt} ({', '.join(map(str, ids))})" for prompt, ids in seen.items()]
    return printable(f"{frame.stream} {moment} {', '.join(parts) or 'nothing'}")
