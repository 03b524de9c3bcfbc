"""Where the tracking state of streams is kept between two runs."""

from __future__ import annotations

from pathlib import Path

from sinks.filename import file_name


def snapshot_file(folder: Path, stream: str) -> Path:
    """The file of one stream in a folder of snapshots."""
    return folder / f"{file_name(stream)}.safetensors"
