"""A text file that always ends with a whole line, also when the process is killed or the disk is full."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from sinks.partial import PartialFile
from sinks.target import Target, open_target
from sinks.through import Through

BUFFER_BYTES = 64 * 1024
FLUSH_SECONDS = 1.0  # how much a killed process may lose


class LineFile:
    """Lines that are gathered and written together, into the partial file until `finish`.

    Python's own buffering is not used because it splits lines where its buffer ends.
    """

    def __init__(self, path: Path) -> None:
        """Remember `path`; nothing is opened."""
        self.path = path
        self.lines = 0
        self._target: Target | None = None
        self._buffer = bytearray()
        self._written_bytes = 0
        self._flushed_at = 0.0

    def open(self) -> None:
        """Open it.

        Raises:
            SinkError: see `open_target`.
        """
        self._target = open_target(self.path)
        self._flushed_at = time.monotonic()

    def append(self, line: bytes) -> None:
        """Add a line, given without its end.

        Raises:
            SinkError: the disk is full or the file cannot be written; whole lines up to there are kept.
        """
        self._buffer += line
        self._buffer += b"\n"
        self.lines += 1
        if len(self._buffer) >= BUFFER_BYTES or isinstance(self._target, Through):  # its reader waits for each line
            self._flush()

    def flush_if_due(self) -> None:
        """Write what has waited for a second; to be called for each result, for some bring no line.

        Raises:
            SinkError: as for `append`.
        """
        if time.monotonic() - self._flushed_at >= FLUSH_SECONDS:
            self._flush()

    def finish(self, *, complete: bool) -> None:
        """Write what is left and rename into place; an interrupted file without a line is removed instead.

        Raises:
            SinkError: the rest cannot be written, or the file not renamed.
        """
        target = self._target
        if target is None:
            return
        try:
            self._flush()
        except BaseException:
            self._leave()
            raise
        self._target = None
        if self.lines or complete:
            target.publish()
        else:
            target.discard()

    def _leave(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.leave()

    def _flush(self) -> None:
        target = self._target
        if target is None:  # failed before
            return
        done = 0
        try:
            while done < len(self._buffer):
                done += os.write(target.descriptor, memoryview(self._buffer)[done:])
        except OSError as error:
            if isinstance(target, PartialFile):
                whole = self._buffer.rfind(b"\n", 0, done) + 1
                with suppress(OSError):
                    os.ftruncate(target.descriptor, self._written_bytes + whole)
            self._leave()
            raise target.error(error) from error
        self._written_bytes += done
        self._buffer.clear()
        self._flushed_at = time.monotonic()
