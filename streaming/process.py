"""The process as a whole: a signal that comes early, its processors and memory, and its end.

Imports nothing that takes time: until `remember_hangup` was called, SIGHUP ends the process. See also
`streaming.event_loop`.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

# Exit code of a process that was interrupted: 128 + SIGINT.
INTERRUPTED = 130

# Of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST_MMAP_THRESHOLD_BYTES = 32 << 20
_TRIM_THRESHOLD_BYTES = 512 << 20

# SIGHUP, if it came before anybody could obey it. No lock: a handler may interrupt itself.
_remembered: set[int] = set()


def remember_hangup() -> None:
    """Keep a SIGHUP, which asks `maskcast run` to read its settings again, in mind until somebody obeys it.

    To be called on the main thread.
    """
    signal.signal(signal.SIGHUP, lambda number, _frame: _remembered.add(number))


def remembered_hangup() -> bool:
    """Whether a SIGHUP came that nobody has obeyed yet; it is forgotten then."""
    came = signal.SIGHUP in _remembered
    _remembered.clear()
    return came


def leave(code: int) -> NoReturn:
    """End the process with this exit code, whatever threads are still at work.

    The model, the decoders and the sinks work on threads, inside native code or at a disk that cannot be interrupted.
    All that they were to deliver has been delivered or given up by now. The interpreter must not take itself apart
    under one of them: now and then that is a segmentation fault in place of the exit code.
    """
    logging.shutdown()  # what it counts in place of repeating it
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # nobody reads it, or it is closed
            stream.flush()
    if threading.active_count() > 1:
        os._exit(code)
    gc.freeze()  # or all modules are searched for garbage once more, which takes longer than tracking a few frames
    sys.exit(code)


# Processors and memory.


def wait_politely() -> None:
    """Let OpenMP threads sleep while they wait for each other. To be called before torch is imported.

    By default they spin. Beside a video encoder, or any other busy process, the spinning thread then holds the
    processor that the awaited one needs. OpenMP reads the variable when torch is loaded; a user's own setting is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share_processors() -> None:
    """Let OpenMP give each of the model's two stages half of the processors, and on two of them one thread.

    To be called before torch is imported. The stages work beside each other. With two threads each on two processors
    the small model's frames take no less time, and its stages get in each other's way. A user's own setting is kept.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(processors // 2, 1)))


def keep_memory() -> None:
    """Let glibc keep freed tensors for the next ones instead of asking the kernel for fresh pages each time.

    On a CPU a forward pass allocates and frees some megabytes a layer; by default each such block is mapped anew and
    zeroed by the kernel, which costs a small model much of its time. Elsewhere than on glibc this does nothing.

    All threads share one heap. By default glibc has up to eight for each processor, and each of them keeps the most
    that it ever held: with decoders that come and go with their connections, the memory of a long run would grow while
    what is in use does not.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)
        library.mallopt(_M_ARENA_MAX, 1)


def return_memory() -> None:
    """Give the kernel back what is free between the blocks in use; takes some milliseconds.

    A process that runs for months would otherwise keep the highest point of each of its threads' heaps. Elsewhere than
    on glibc this does nothing.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


class _Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33 and later."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def heap_in_use() -> int | None:
    """Bytes that the C heap has handed out, without the free blocks that it keeps for the next ones.

    The resident size of a process that keeps its memory says little about a leak; this does. None elsewhere than on
    glibc 2.33 and later.
    """
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallinfo2"):
        return None
    library.mallinfo2.restype = _Mallinfo2
    heap = library.mallinfo2()
    return int(heap.uordblks + heap.hblkhd)
