"""Which files a run of `maskcast track` has written, for the person who started it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from sinks.partial import partial_path
from sinks.through import destination
from streaming.commands.outputs import OutputFile, holds_something
from streaming.pipeline.report import Report

# Which file it is and when it was last written to; None: nothing is there.
Stamp: TypeAlias = tuple[int, int] | None


class WrittenFiles:
    """Tells what became of the files that outputs name, from how they were before."""

    def __init__(self, files: Sequence[OutputFile]) -> None:
        """Look at `files` as they are."""
        self._before = {file: (_stamp(file.path), _stamp(_part(file.path))) for file in files}

    def lines(self, reports: Sequence[Report]) -> list[str]:
        """A line for each file that was written since, and for each whose sink has failed.

        Args:
            reports: what became of the streams.
        """
        of_stream = {report.stream: report for report in reports}
        lines = []
        for file, (before, part_before) in self._before.items():
            report, part = of_stream.get(file.stream), _part(file.path)
            if report is None:
                continue
            frames = _frames(report.sink_frames.get(file.sink, 0))
            if file.sink in report.failed_sinks:
                kept = holds_something(part) and _stamp(part) != part_before
                there = f" ({_size(part)} in {part.name}, {frames})" if kept else ""
                lines.append(f"incomplete {file.path}{there}")
            elif _stamp(file.path) not in {None, before}:
                lines.append(f"wrote {file.path} ({_size(file.path)}, {frames})")
        return lines


def _part(path: Path) -> Path:
    return partial_path(destination(path))


def _stamp(path: Path) -> Stamp:
    try:
        state = path.stat()
    except OSError:
        return None
    return (state.st_ino, state.st_mtime_ns) if path.is_file() else None


def _size(path: Path) -> str:
    size = float(path.stat().st_size)
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"


def _frames(number: int) -> str:
    return f"{number} frame{'' if number == 1 else 's'}"
