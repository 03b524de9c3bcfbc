"""A text file that always ends with a whole line, also when the process is killed or the disk is full."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from sinks.partial import PartialFile, write_error
from sinks.through import kind_of_target, open_through, through_error

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
        self._partial: PartialFile | None = None  # none of what is written through
        self._descriptor: int | None = None
        self._buffer = bytearray()
        self._written = 0
        self._flushed_at = 0.0

    def open(self) -> None:
        """Create the partial file, or open what is written through.

        Raises:
            SinkError: it cannot be created or opened, or another run is writing it.
        """
        if kind_of_target(self.path):
            self._descriptor = open_through(self.path)
        else:
            self._partial = PartialFile(self.path)
            self._descriptor = self._partial.descriptor
        self._flushed_at = time.monotonic()

    def append(self, line: bytes) -> None:
        """Add a line, given without its end.

        Raises:
            SinkError: the disk is full or the file cannot be written; whole lines up to there are kept.
        """
        self._buffer += line
        self._buffer += b"\n"
        self.lines += 1
        if len(self._buffer) >= BUFFER_BYTES or self._partial is None:  # who reads a pipe waits for each line
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
        if self._descriptor is None:
            return
        try:
            self._flush()
        except BaseException:
            self.abandon()
            raise
        if self._partial is None:
            self.abandon()
            return
        self._descriptor = None
        if self.lines or complete:
            self._partial.publish()
        else:
            self._partial.discard()

    def abandon(self) -> None:
        """Close the file and leave it where it is."""
        descriptor, self._descriptor = self._descriptor, None
        if self._partial is not None:
            self._partial.leave()
        elif descriptor is not None:
            os.close(descriptor)

    def _flush(self) -> None:
        descriptor = self._descriptor
        if descriptor is None:  # failed before
            return
        done = 0
        try:
            while done < len(self._buffer):
                done += os.write(descriptor, memoryview(self._buffer)[done:])
        except OSError as error:
            if self._partial is None:
                self.abandon()
                raise through_error(self.path, error) from error
            whole = self._buffer.rfind(b"\n", 0, done) + 1
            with suppress(OSError):
                os.ftruncate(descriptor, self._written + whole)
            self.abandon()
            raise write_error(self._partial.path, error) from error
        self._written += done
        self._buffer.clear()
        self._flushed_at = time.monotonic()
