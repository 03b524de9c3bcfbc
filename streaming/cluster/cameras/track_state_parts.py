"""The track state of a stream on its worker: brought there and fetched from there in parts, for any size.

On disk there is only what is being written or about to be read; what was saved is kept open without a name. So a killed
worker leaves nothing, and a state that is being fetched is not mixed with the next one.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from streaming.cluster.cameras.messages import PART_BYTES


class TrackStateParts:
    """Of one attempt.

    Attributes:
        file: where the model reads it at the start, and writes it.
    """

    def __init__(self, folder: Path, attempt: int) -> None:
        """Prepare, in a folder on this node."""
        self.file = folder / f"{attempt}.safetensors"
        self._number = 0
        self._saved: int | None = None  # descriptor of the newest one

    async def give(self, offset: int, data: bytes) -> None:
        """Take a part of the state to go on with.

        Raises:
            OSError: the disk refuses.
        """
        await asyncio.to_thread(self._write, offset, data)

    def _write(self, offset: int, data: bytes) -> None:
        descriptor = os.open(self.file, os.O_CREAT | os.O_WRONLY | (os.O_TRUNC if offset == 0 else 0), 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            file.seek(offset)
            file.write(data)

    def saved(self) -> tuple[int, int]:
        """Keep the state that was just written, in place of the one before: its number and bytes.

        Raises:
            OSError: it is not there.
        """
        descriptor = os.open(self.file, os.O_RDONLY)
        self.file.unlink()
        self._close()
        self._saved, self._number = descriptor, self._number + 1
        return self._number, os.fstat(descriptor).st_size

    async def read(self, number: int, offset: int) -> bytes | None:
        """A part of the state of that number, at most `PART_BYTES`; None if it is not the newest.

        Raises:
            OSError: the disk refuses.
        """
        if number != self._number or self._saved is None:
            return None
        # A descriptor of its own, which the next saving does not close under it.
        return await asyncio.to_thread(_read, os.dup(self._saved), offset)

    def close(self) -> None:
        """Let go of it."""
        self._close()
        self._number = 0
        with suppress(OSError):
            self.file.unlink()

    def _close(self) -> None:
        if self._saved is not None:
            os.close(self._saved)
            self._saved = None


def _read(descriptor: int, offset: int) -> bytes:
    try:
        return os.pread(descriptor, PART_BYTES, offset)
    finally:
        os.close(descriptor)
