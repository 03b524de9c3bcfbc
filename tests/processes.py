"""Processes of the tests: none outlives the test that started it, whatever becomes of that test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_SETPRIV = shutil.which("setpriv")
# Before a command (util-linux): the kernel kills it when whoever started it dies, as a crashing xdist worker does.
LEASH = (_SETPRIV, "--pdeathsig", "KILL", "--") if _SETPRIV else ()


def start(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[Any]:
    """Start a command as the leader of a process group of its own; `options` are those of `subprocess.Popen`."""
    return subprocess.Popen([*LEASH, *map(str, command)], start_new_session=True, **options)


def end(process: subprocess.Popen[Any]) -> None:
    """Kill a process and its whole group, if it runs, and close its pipes."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


@contextmanager
def running(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process that is ended at the end: unlike `Popen`'s own context, which waits for what a failed test left."""
    process = start(command, **options)
    try:
        yield process
    finally:
        end(process)


def children() -> set[int]:
    """Ids of the processes that this one started and has not waited for; empty where the kernel does not tell."""
    found: set[int] = set()
    for listed in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # a thread that ended meanwhile
            found.update(map(int, listed.read_text(encoding="ascii").split()))
    return found
