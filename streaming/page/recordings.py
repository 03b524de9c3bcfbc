"""What has been recorded: the files of each stream by day, and in which of them a moment is."""

from __future__ import annotations

import os
import stat
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av

from maskcast.files import PARTIAL
from sinks.messages.message import utc_time
from sinks.partial import partial_path
from sinks.video.codec import AV_ERRORS
from sinks.video.retention import start_of

# How far a moment may be from what a recording holds by its length: a frame's time is that of its decoding, which
# comes in bursts.
JITTER_SECONDS = 1.0
# Recordings before a moment that may contain it: one, and others where the clock was set back.
CANDIDATES = 4
# A folder's time tells of each change but of those within one tick of the file system's clock.
TICK_SECONDS = 2.0
# For the lengths of the files of one list, each of which is opened; they are remembered, so that the next one has more.
LENGTHS_SECONDS = 2.0
MOST_REMEMBERED = 100_000  # names of files, about 30 MB
MOST_LENGTHS = 20_000


class Recorded(NamedTuple):
    """A file by its name.

    Attributes:
        start: when its first frame was captured, UTC.
        number: among those that begin in the same millisecond.
        name: of the file, as it is when it is finished.
        writing: whether it is being written.
    """

    start: datetime
    number: int
    name: str
    writing: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A recording in a list.

    Attributes:
        stream: that was recorded.
        name: of the file.
        start: of its first frame, as messages have times.
        seconds: how long it is; None where that cannot be read, or has not been on a slow disk.
        bytes: of the file.
        writing: whether it is being written.
    """

    stream: str
    name: str
    start: str
    seconds: float | None
    bytes: int
    writing: bool


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Where a moment is recorded.

    Attributes:
        stream: that was recorded.
        name: of the file.
        second: of the file, in which the moment is.
    """

    stream: str
    name: str
    second: float


class Recordings:
    """Reads the recordings' folders. Belongs to one thread, and waits for the disk."""

    def __init__(self, folders: Callable[[], Mapping[str, Path]]) -> None:
        """Prepare; `folders` says for each stream that is recorded now where that is."""
        self._folders = folders
        self._remembered: dict[Path, tuple[int, list[Recorded]]] = {}

    def days(self, stream: str | None = None) -> list[date]:
        """The local days of this machine on which a recording of the stream, or of any, begins; newest first."""
        return sorted({day_of(one.start) for _, _, one in self._all(stream)}, reverse=True)

    def page(
        self, stream: str | None = None, day: date | None = None, before: datetime | None = None, *, limit: int
    ) -> tuple[list[Listed], bool]:
        """Recordings, newest first; those that are deleted meanwhile are left out.

        Args:
            stream: whose; None for all.
            day: on which they begin, see `days`; None for all.
            before: only those that begin before.
            limit: at most about so many; those that begin in one moment stay together.

        Returns:
            The recordings, and whether there are more.
        """
        wanted = [
            (one.start, name, one.number, folder, one)
            for name, folder, one in self._all(stream)
            if (day is None or day_of(one.start) == day) and (before is None or one.start < before)
        ]
        wanted.sort(key=lambda entry: entry[:3], reverse=True)
        end = min(limit, len(wanted))
        while 0 < end < len(wanted) and wanted[end][0] == wanted[end - 1][0]:
            end += 1
        until = time.monotonic() + LENGTHS_SECONDS
        listed = [
            _listed(name, folder, one, lengths=time.monotonic() < until) for _, name, _, folder, one in wanted[:end]
        ]
        return [one for one in listed if one is not None], len(wanted) > end

    def path(self, stream: str, name: str) -> Path | None:
        """The file of a recording; None unless it is one of ours in that stream's folder."""
        folder = self._folders().get(stream)
        if folder is None or start_of(name) is None or PARTIAL in name:
            return None
        whole = folder / name
        return next((path for path in (whole, partial_path(whole)) if _state(path) is not None), None)

    def containing(self, stream: str, moment: datetime) -> Excerpt | None:
        """Where a moment of a stream is recorded; None if it is not.

        By the clock alone: the times in the names of the files, and their lengths. Where the clock was set while it
        was recorded, a moment is not found, or is found where the clock showed the same time before.
        """
        folder = self._folders().get(stream)
        if folder is None:
            return None
        names = self._names(folder)
        end = bisect_right(names, moment, key=lambda one: one.start)
        for one in reversed(names[max(0, end - CANDIDATES) : end]):
            second = (moment - one.start).total_seconds()
            listed = _listed(stream, folder, one)
            if listed and listed.seconds is not None and second <= listed.seconds + JITTER_SECONDS:
                return Excerpt(stream, one.name, round(min(second, listed.seconds), 3))
        return None

    def _all(self, stream: str | None) -> Iterable[tuple[str, Path, Recorded]]:
        for name, folder in self._folders().items():
            if stream in {None, name}:
                for one in self._names(folder):
                    yield name, folder, one

    def _names(self, folder: Path) -> list[Recorded]:
        """All that are in a folder, in the order of their times; read anew when it has changed."""
        try:
            changed = folder.stat().st_mtime_ns
            if (remembered := self._remembered.get(folder)) and remembered[0] == changed:
                return remembered[1]
            found = _names_in(folder)
        except OSError:  # there is none yet, or it is on a disk that is gone
            return []
        self._remembered.pop(folder, None)
        if time.time() - changed / 1e9 > TICK_SECONDS:
            if len(found) + sum(len(names) for _, names in self._remembered.values()) > MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[folder] = (changed, found)
        return found


def day_of(moment: datetime) -> date:
    """The day of this machine's local time."""
    return moment.astimezone().date()


def _names_in(folder: Path) -> list[Recorded]:
    found: dict[str, Recorded] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            start = start_of(entry.name)
            if start is None or not entry.is_file(follow_symlinks=False):
                continue
            name = entry.name.replace(f"{PARTIAL}.", ".")
            number = name.partition("Z")[2].removesuffix(".mp4").rpartition("-")[2]
            one = Recorded(start, int(number or 0), name, PARTIAL in entry.name)
            if name not in found or found[name].writing:  # a finished one goes first
                found[name] = one
    return sorted(found.values())


def _listed(stream: str, folder: Path, one: Recorded, *, lengths: bool = True) -> Listed | None:
    path = folder / one.name
    if one.writing:
        path = partial_path(path)
    state = _state(path)
    if state is None:
        return None
    seconds = _seconds(str(path), state.st_size, state.st_mtime_ns) if lengths else None
    return Listed(stream, one.name, utc_time(one.start), seconds, state.st_size, one.writing)


def _state(path: Path) -> os.stat_result | None:
    """Of a regular file; what a link leads to is none of ours."""
    try:
        state = path.lstat()
    except OSError:
        return None
    return state if stat.S_ISREG(state.st_mode) else None


@lru_cache(MOST_LENGTHS)
def _seconds(path: str, size: int, changed: int) -> float | None:  # noqa: ARG001 - what else says that it is the same
    """How long a video is, out of its index; None where that cannot be read."""
    try:
        with av.open(f"file:{path}") as container:
            return None if container.duration is None else container.duration / av.time_base
    except (OSError, *AV_ERRORS):
        return None
