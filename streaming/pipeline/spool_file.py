"""The file of a spool: lines that are added at its end, of which a mark says how many count.

Whoever adds to it may be killed at any moment. So it says nothing about itself: the mark, which holds its length and a
checksum, is written elsewhere, whole or not at all, after the lines are safe on the disk. What lies beyond a mark is
thrown away, and what does not fit it is as good as nothing.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskcast.errors import SinkError, reason_of
from maskcast.files import make_folder, make_private
from maskcast.lock import open_locked

# Lines are gathered until they are so many bytes; and so many are read at a time for the checksum.
BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a spool.

    Attributes:
        results: lines before it.
        length: bytes before it.
        checksum: CRC-32 of these.
    """

    results: int = 0
    length: int = 0
    checksum: int = 0

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Mark:
        """What `dataclasses.asdict` has made of one.

        Raises:
            ValueError, KeyError: it is something else.
        """
        mark = cls(found["results"], found["length"], found["checksum"])
        if not all(type(number) is int and number >= 0 for number in (mark.results, mark.length, mark.checksum)):
            raise ValueError("a mark that is none")
        return mark


class SpoolFile:
    """An open spool, which nobody else writes meanwhile; used by one thread at a time.

    Attributes:
        end: behind all lines that were read and added.
    """

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            SinkError: it cannot be opened, or another process writes it.
        """
        self.end = Mark()
        try:
            make_folder(path.parent)
            make_private(path)
            descriptor = open_locked(path, os.O_RDWR)
        except OSError as error:
            raise SinkError(f"cannot be opened: {reason_of(error)}", where=f"spool {path}") from error
        if descriptor is None:
            raise SinkError("another run is writing it", where=f"spool {path}")
        self._file = os.fdopen(descriptor, "r+b", buffering=BUFFER_BYTES)

    def cut(self, mark: Mark) -> bool:
        """Throw away what lies behind a mark, all if it does not fit, and begin to read; whether it fits.

        Raises:
            OSError: the disk fails.
        """
        fits = self._checksum(mark.length) == mark.checksum
        self._file.truncate(mark.length if fits else 0)
        self._file.seek(0)
        self.end = Mark()
        return fits

    def _checksum(self, length: int) -> int | None:
        """CRC-32 of the first bytes; None if there are not so many."""
        self._file.seek(0)
        found = 0
        while length:
            part = self._file.read(min(length, BUFFER_BYTES))
            if not part:
                return None
            length -= len(part)
            found = zlib.crc32(part, found)
        return found

    def read(self) -> bytes:
        """The next line; empty behind the last.

        Raises:
            OSError: the disk fails.
        """
        line = self._file.readline()
        self._count(line)
        return line

    def add(self, line: bytes) -> None:
        """Add a line, once all are read. It may stay in this process until `sync`.

        Raises:
            OSError: the disk fails.
        """
        self._file.seek(0, os.SEEK_CUR)  # between reading and writing, as C's streams want it
        self._file.write(line)
        self._count(line)

    def sync(self) -> Mark:
        """Bring all lines to the disk, safe against a power cut; where they end.

        Raises:
            OSError: the disk fails.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        return self.end

    def close(self) -> None:
        """Let go of it. What was added since `sync` may be lost."""
        with suppress(OSError):  # what does not reach the disk is beyond the mark
            self._file.close()

    def _count(self, line: bytes) -> None:
        end = self.end
        self.end = Mark(end.results + bool(line), end.length + len(line), zlib.crc32(line, end.checksum))
