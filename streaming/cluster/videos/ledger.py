"""Which videos are done: one small file a video, written whole by the worker that did it.

A ledger outlives the command, the workers and the machine that it was written from: the same command again does only
what is missing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from maskcast.errors import UsageError, reason_of
from maskcast.files import make_folder, write_whole
from maskcast.lock import open_locked
from sinks.filename import file_name
from sources.location import free_id
from streaming.pipeline.spool import Spool
from streaming.track_states import track_state_file

VERSION = "maskcast.done/1"
# `replaced`: what stands where the outputs belong may be replaced. An earlier command had left it, and --force was
# given; or a worker died while it gave its outputs their names.
Status: TypeAlias = Literal["done", "replaced"]


@dataclass(frozen=True, slots=True)
class Identity:
    """Which input it is: another file of the same name is another input.

    Attributes:
        path: absolute, or a URL.
        size: in bytes; None where nobody knows.
        modified: when it was written last, as its file system says it; None where nobody knows.
    """

    path: str
    size: int | None
    modified: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """What became of a video.

    Attributes:
        input: which it was.
        asked: the fingerprint of what was asked, see `streaming.commands.tracking_plan.TrackingPlan.asked`.
        status: see `Status`.
        frames: that were tracked.
        tracks: that were confirmed.
        seconds: from the first frame to the end.
        outputs: the files that it wrote.
        counted: by line and zone, as `Counted` has it; None where nothing is counted.
    """

    input: Identity
    asked: str
    status: Status = "done"
    frames: int = 0
    tracks: int = 0
    seconds: float = 0.0
    outputs: Sequence[str] = field(default_factory=tuple)
    counted: dict[str, Any] | None = None

    def fits(self, wanted: Identity, asked: str) -> bool:
        """Whether this input was done as it is asked now."""
        return self.status == "done" and (self.input, self.asked) == (wanted, asked)


class Ledger:
    """The records of a state folder, which all nodes see."""

    def __init__(self, folder: Path) -> None:
        """Of this state folder; nothing is read or made yet."""
        self._folder = folder

    def file(self, stream: str) -> Path:
        """Where the record of a stream is."""
        return self._folder / "done" / f"{file_name(stream)}.json"

    def read(self, stream: str) -> Record | None:
        """The record of a stream; None if there is none, or it cannot be read: the video is done again then."""
        try:
            said = json.loads(self.file(stream).read_bytes())
            if said.pop("schema") != VERSION:
                return None
            return Record(**{**said, "input": Identity(**said["input"]), "outputs": tuple(said["outputs"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, stream: str, record: Record) -> None:
        """Write a record, whole or not at all.

        Raises:
            OSError: the disk refuses.
        """
        said = json.dumps({"schema": VERSION, **asdict(record)}, ensure_ascii=False, indent=1).encode()
        write_whole(self.file(stream), lambda path: path.write_bytes(said))

    def remove(self, stream: str) -> None:
        """Forget a stream.

        Raises:
            OSError: the disk refuses.
        """
        self.file(stream).unlink(missing_ok=True)

    def spool(self, stream: str, wanted: Identity, asked: str, seconds: float) -> Spool:
        """What this input is taken up from in its middle, if it was tracked as it is asked now."""
        return Spool(
            track_state_file(self._folder / "tracks", stream),
            self._folder / "spool" / f"{file_name(stream)}.spool",
            json.dumps({"input": asdict(wanted), "asked": asked}),
            seconds,
        )

    def names(self, wanted: Iterable[tuple[str, str]]) -> list[str]:
        """The stream of each input, the same in every run, however many others there are.

        Args:
            wanted: the path of each input as in `Identity`, and the name that it would have if it were alone.

        Returns:
            Their names; where two would have one the later is numbered: door, door-2.

        Raises:
            OSError: the disk refuses.
        """
        inputs = list(wanted)
        file = self._folder / "names.json"
        try:
            known = json.loads(file.read_bytes())["streams"]
        except (OSError, ValueError, TypeError, KeyError):
            known = {}
        of_path = {path: stream for stream, path in known.items()}
        for path, name in inputs:
            if path in of_path:
                continue
            of_path[path] = free_id(name, known)
            known[of_path[path]] = path
        said = json.dumps({"schema": "maskcast.names/1", "streams": known}, ensure_ascii=False, indent=1).encode()
        write_whole(file, lambda path: path.write_bytes(said))
        return [of_path[path] for path, _ in inputs]


class Held:
    """A state folder that one command at a time works with, until it is closed."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and take it.

        Raises:
            UsageError: it cannot be made or written, or another command has it.
        """
        try:
            make_folder(folder)
            descriptor = open_locked(folder / "lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise UsageError(f"cannot keep what is done: {reason_of(error)}", where=folder) from error
        if descriptor is None:
            advice = "wait for it, or give another folder with --state"
            raise UsageError("another command is at work with it", where=folder, advice=advice)
        self._descriptor = descriptor

    def close(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)
