"""How far all videos are: one bar with the workers under it, or a line a minute where nobody looks at a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from maskcast.printable import printable
from streaming.cluster.videos.plan import Beat, Doing, Outcome, Video, View

LINE_SECONDS = 60.0
# Frames a second are those of so long.
RATE_SECONDS = 10.0
# Time left is reckoned from so long: a few videos' worth, or it would jump with each.
ESTIMATE_SECONDS = 300.0
# More lines than these are no more than a number.
MOST_WORKERS = 16


class FleetProgress:
    """See above. Videos count by their sizes, which are known before they are opened."""

    def __init__(self, videos: Sequence[Video], before: int, say: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            videos: those that are to be tracked.
            before: how many more were done before this command.
            say: is told a line a minute where the standard error output is no terminal.
        """
        known = [video.identity.size for video in videos if video.identity.size]
        usual = max(sum(known) // len(known), 1) if known else 1
        self._sizes = {video.stream: video.identity.size or usual for video in videos}
        self._all, self._before, self._say = len(videos), before, say
        self._done = self._errors = 0
        self._done_size = 0.0
        self._frames: dict[str, int] = {}  # by worker; of one that died, the last that it said
        self._samples: deque[tuple[float, int]] = deque()
        self._began = self._told = time.monotonic()
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]:.1f} frames/s"),
            TimeRemainingColumn(),
            console=console,
            speed_estimate_period=ESTIMATE_SECONDS,
        )
        self._task = self._bar.add_task(self._counted(), total=max(sum(self._sizes.values()), 1), rate=0.0)
        self._live = Live(self._bar, console=console, refresh_per_second=2) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update(self._bar, refresh=True)
            self._live.stop()

    def ended(self, outcome: Outcome) -> None:
        """A video came to its end."""
        if not outcome.interrupted:
            self._done += 1
            self._errors += outcome.error is not None
        self._done_size += self._sizes.pop(outcome.stream, 0)

    def seen(self, view: View) -> None:
        """All stands like this now."""
        now = time.monotonic()
        for beat in view.beats:
            self._frames[beat.worker] = max(beat.frames, self._frames.get(beat.worker, 0))
        self._samples.append((now, sum(self._frames.values())))
        while len(self._samples) > 1 and now - self._samples[0][0] > RATE_SECONDS:
            self._samples.popleft()
        under_way = {doing.stream: _share(doing) for beat in view.beats for doing in beat.doing}
        size = self._done_size + sum(share * self._sizes.get(stream, 0) for stream, share in under_way.items())
        self._bar.update(self._task, completed=size, description=self._counted(), rate=self._rate())
        if self._live:
            self._live.update(Group(self._bar, Text("\n".join(workers(view.beats)))))
        elif now - self._told >= LINE_SECONDS:
            self._told = now
            left = self._bar.tasks[0].time_remaining
            time_left = "" if left is None else f", {_duration(left)} left"
            self._say(f"{self._counted()}, {self._rate():.1f} frames/s, {len(view.beats)} workers{time_left}")

    def _counted(self) -> str:
        errors = f", {self._errors} failed" if self._errors else ""
        return f"{self._before + self._done} of {self._before + self._all} videos{errors}"

    def _rate(self) -> float:
        if len(self._samples) < 2:
            return 0.0
        (began, before), (now, after) = self._samples[0], self._samples[-1]
        return (after - before) / max(now - began, 1e-3)


def workers(beats: Sequence[Beat]) -> list[str]:
    """What each worker does, in a line."""
    lines = []
    for beat in sorted(beats, key=lambda one: one.worker)[:MOST_WORKERS]:
        videos = ", ".join(_video(doing) for doing in beat.doing)
        does = "loads the model" if beat.phase == "loading" else videos or "waits"
        lines.append(printable(f"  {beat.worker}: {does}"))
    if len(beats) > MOST_WORKERS:
        lines.append(f"  and {len(beats) - MOST_WORKERS} more workers")
    return lines


def _video(doing: Doing) -> str:
    if not doing.total:
        return f"{doing.stream} {doing.frames} frames"
    return f"{doing.stream} {_share(doing):.0%}"


def _share(doing: Doing) -> float:
    return min(doing.frames / doing.total, 1.0) if doing.total else 0.0


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
