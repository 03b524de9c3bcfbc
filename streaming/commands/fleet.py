"""Who tracks the videos of a folder: what `--workers`, `--ray` and `--report` say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskcast.errors import UsageError


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who tracks.

    Attributes:
        workers: how many; None for as many as there are GPUs, or what the processors allow.
        address: of a Ray that runs; None to start one on this machine.
        report: file for a table of what became of each video; None for none.
    """

    workers: int | None
    address: str | None = None
    report: Path | None = None


def fleet_of(
    workers: str | None, address: str | None, report: Path | None, *, stream: str | None, live: bool | None, view: bool
) -> Fleet | None:
    """What the options say; None if one process alone is to track.

    Raises:
        UsageError: options that cannot be together, or no number.
    """
    if workers is None:
        for option, given in {"--ray": address, "--report": report}.items():
            if given is not None:
                raise UsageError(f"{option} is for many workers", advice="say with --workers how many")
        return None
    for option, one in {"--stream": stream, "--live": live, "--view": view}.items():
        if one:
            raise UsageError(f"{option} is for what one process tracks", advice="leave it or --workers out")
    if workers == "auto":
        return Fleet(None, address, report)
    if not (workers.isascii() and workers.isdecimal() and int(workers)):
        raise UsageError(f"--workers {workers}: no number of workers", advice="say 1, 2, … or auto")
    return Fleet(int(workers), address, report)
