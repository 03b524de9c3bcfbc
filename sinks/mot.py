"""MOTChallenge text: one row a box, ``frame,id,left,top,width,height,score,class,visibility``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sinks.lines import LineFile
from sinks.sink import BlockingSink
from streaming.types import Result, StreamInfo, TrackState


class MotSink(BlockingSink):
    """Boxes of confirmed tracks, frames counted from 1, pixels from 0.

    ``class`` is the number of the prompt, from 1, in the order given; ``visibility`` is -1, which means unknown.

    Raises:
        SinkError: the file cannot be created or written.
    """

    def __init__(self, path: Path, prompts: Sequence[str] = ()) -> None:
        """Write to `path`; `prompts` fixes the numbers of the classes, others follow as they come."""
        super().__init__(str(path))
        self._file = LineFile(path)
        self._classes = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts), 1)}

    def start_blocking(self, info: StreamInfo) -> None:
        del info
        self._file.open()

    def write_blocking(self, result: Result) -> None:
        for track in result.tracks:
            if track.state is not TrackState.CONFIRMED:
                continue
            number = self._classes.setdefault(track.prompt, len(self._classes) + 1)
            box = ",".join(f"{value:g}" for value in track.mask.bbox)
            row = f"{result.frame.index + 1},{track.id},{box},{track.score:.4f},{number},-1"
            self._file.append(row.encode())
        self._file.flush_if_due()

    def finish_blocking(self, reason: str | None) -> None:
        self._file.finish(complete=reason is None)
