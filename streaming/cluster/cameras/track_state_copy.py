"""Track states between the head, which keeps them, and the worker of an attempt, which reads and writes them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from maskcast.errors import MaskcastError, SinkError, WorkerLeftError, reason_of
from maskcast.files import write_whole
from maskcast.threads import in_daemon_thread
from streaming.cluster.cameras.messages import PART_BYTES, Saved

# For one part; see `WorkerLink.call` for what the worker takes.
DISK_SECONDS, PART_SECONDS = 30.0, 20.0

# Who keeps a file: a worker that is left because it is slow may still be asked when the next one has saved.
_keeping: WeakValueDictionary[Path, threading.Lock] = WeakValueDictionary()


class TrackStateCopy:
    """Of one attempt. For one event loop."""

    def __init__(
        self,
        call: Callable[..., Awaitable[Any]],
        attempt: int,
        file: Path,
        problem: Callable[[MaskcastError], None],
    ) -> None:
        """Prepare.

        Args:
            call: calls the worker, see `WorkerLink.call`.
            attempt: its number.
            file: where the head keeps the state.
            problem: is told why one cannot be kept, once for each reason: the stream goes on.
        """
        self._call, self._attempt, self._file, self._problem = call, attempt, file, problem
        self._told: set[str] = set()
        self._turn = _keeping.setdefault(file, threading.Lock())
        self._over = False
        self._newest: Saved | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def give(self) -> bool:
        """Bring the state to the worker; whether there is one.

        Raises:
            WorkerLeftError: the worker is gone.
            MaskcastError: the state cannot be read, or not be written there.
        """
        offset = 0
        while (data := await self._read(offset)) or (data is not None and offset == 0):
            error = await self._call("give_state", self._attempt, offset, data, seconds=PART_SECONDS)
            if error is not None:
                raise error
            offset += len(data)
            if len(data) < PART_BYTES:
                return True
        return data is not None

    async def _read(self, offset: int) -> bytes | None:
        """A part of the file; None if there is none."""
        where = f"track state {self._file}"
        reading = in_daemon_thread(lambda: _part(self._file, offset), "read track state")
        await asyncio.wait([reading], timeout=DISK_SECONDS)
        if not reading.done():
            raise SinkError(f"the disk has not given it in {DISK_SECONDS:.0f} s", where=where)
        try:
            return reading.result()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SinkError(f"cannot be read: {reason_of(error)}", where=where) from error

    def saved(self, saved: Saved) -> None:
        """The worker has written one: fetch it, unless it writes the next one before."""
        self._newest = saved
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(), name=f"fetch track state {self._file.stem}")

    async def settle(self, seconds: float) -> None:
        """Wait until the newest is kept, at most so long; then it is not kept any more."""
        if self._fetching:
            await asyncio.wait([self._fetching], timeout=seconds)
        self._over = True

    async def _fetch(self) -> None:
        loop = asyncio.get_running_loop()
        while (saved := self._newest) is not None:
            self._newest = None
            try:
                await in_daemon_thread(lambda saved=saved: self._keep(saved, loop), "keep track state")  # type: ignore[misc]
            except (_NewerError, WorkerLeftError):
                pass
            except Exception as error:  # noqa: BLE001 - whatever it is, the stream goes on
                known = error if isinstance(error, MaskcastError) else SinkError(f"cannot be kept: {reason_of(error)}")
                if known.what not in self._told:
                    self._told.add(known.what)
                    self._problem(known.at(f"track state {self._file}"))
        self._fetching = None

    def _keep(self, saved: Saved, loop: asyncio.AbstractEventLoop) -> None:
        """On a thread: replace the file by what the worker has saved, whole or not at all."""

        def ask(offset: int) -> Any:
            answer = self._call("read_state", self._attempt, saved.number, offset, seconds=PART_SECONDS)
            return asyncio.run_coroutine_threadsafe(_awaited(answer), loop).result(2 * PART_SECONDS)

        def write(path: Path) -> None:
            with path.open("wb") as file:
                while file.tell() < saved.size:
                    data = ask(file.tell())
                    if self._over:
                        raise _NewerError
                    if isinstance(data, MaskcastError):
                        raise data
                    if not data:
                        raise _NewerError
                    file.write(data)

        with self._turn:
            if not self._over:
                write_whole(self._file, write)


class _NewerError(Exception):
    """A newer state has taken its place on the worker, or another worker that of this one."""


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def _part(file: Path, offset: int) -> bytes:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.pread(descriptor, PART_BYTES, offset)
    finally:
        os.close(descriptor)
