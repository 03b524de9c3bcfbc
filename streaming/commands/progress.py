"""What a person at a terminal sees while it runs. Everything goes to stderr: stdout may be a sink."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from maskcast.errors import MaskcastError, ReaderLeftError
from maskcast.notices import Notice, Problem, StreamBegan, TrackedFrame


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

    def notify(self, notice: Notice) -> None:
        """Show that a stream has begun, and each of its results."""
        match notice:
            case StreamBegan(info):
                known = [number for number in (info.frame_count, self._max_frames) if number is not None]
                total = None if info.live and self._max_frames is None else min(known, default=None)
                self._tasks[info.stream] = self._progress.add_task(info.stream, total=total, rate=0.0)
            case TrackedFrame(frame, results):
                task = self._progress.tasks[self._tasks[frame.stream]]
                done = task.completed + len(results)
                self._progress.update(task.id, completed=done, rate=done / task.elapsed if task.elapsed else 0.0)


def tell(display: ProgressDisplay, problem: Callable[[MaskcastError], None], notice: Notice) -> None:
    """Call `problem` with what went wrong, and show all else; that a reader of the output has left is no problem."""
    if isinstance(notice, Problem):
        if not isinstance(notice.error, ReaderLeftError):
            problem(notice.error)
    else:
        display.notify(notice)
