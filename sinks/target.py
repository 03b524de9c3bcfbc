"""Where an output goes: into a file that takes its name when it is whole, or through to the pipe that has the name."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from sinks.partial import PartialFile
from sinks.through import Through, kind_of_target

Target: TypeAlias = PartialFile | Through


def open_target(path: Path) -> Target:
    """Open an output for writing; `publish`, `discard` or `leave` closes it.

    Raises:
        SinkError: it cannot be created or opened, or another run is writing it.
    """
    return Through(path) if kind_of_target(path) else PartialFile(path)
