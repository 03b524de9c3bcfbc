"""A text file that always ends with a whole line, also when the process is killed or the disk is full."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from sinks.partial import check_target, partial_path, publish, set_aside, write_error

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
        self._descriptor: int | None = None
        self._buffer = bytearray()
        self._written = 0
        self._flushed_at = 0.0

    def open(self) -> None:
        """Create the partial file.

        Raises:
            SinkError: the file cannot be created.
        """
        check_target(self.path)
        try:
            set_aside(partial_path(self.path))
            self._descriptor = os.open(partial_path(self.path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        except OSError as error:
            raise write_error(self.path, error) from error
        self._flushed_at = time.monotonic()

    def append(self, line: bytes) -> None:
        """Add a line, given without its end.

        Raises:
            SinkError: the disk is full or the file cannot be written; whole lines up to there are kept.
        """
        self._buffer += line
        self._buffer += b"\n"
        self.lines += 1
        if len(self._buffer) >= BUFFER_BYTES:
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
        finally:
            self.abandon()
        if self.lines or complete:
            publish(self.path)
        else:
            partial_path(self.path).unlink(missing_ok=True)

    def abandon(self) -> None:
        """Close the partial file and leave it where it is."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
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
            whole = self._buffer.rfind(b"\n", 0, done) + 1
            with suppress(OSError):
                os.ftruncate(descriptor, self._written + whole)
            self.abandon()
            raise write_error(self.path, error) from error
        self._written += done
        self._buffer.clear()
        self._flushed_at = time.monotonic()
