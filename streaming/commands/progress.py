"""What a person at a terminal sees while it runs. Everything goes to stderr: stdout may be a sink."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from maskcast.stream_info import StreamInfo
from streaming.pipeline.stream import Report


class ProgressDisplay:
    """A bar a stream with frames, frames a second and time left; silent where stderr is not a terminal."""

    def __init__(self, max_frames: int | None = None) -> None:
        """`max_frames` bounds what is to be done, if given."""
        self._max_frames = max_frames
        console = Console(stderr=True)
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.1f} frames/s"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, info: StreamInfo, report: Report) -> None:
        """Show a stream's state after a frame."""
        if info.stream not in self._tasks:
            known = [number for number in (info.frame_count, self._max_frames) if number is not None]
            total = None if info.live and self._max_frames is None else min(known, default=None)
            self._tasks[info.stream] = self._progress.add_task(info.stream, total=total, rate=0.0)
        rate = report.frames / report.seconds if report.seconds else 0.0
        self._progress.update(self._tasks[info.stream], completed=report.frames, rate=rate)
