"""How the process shares its processors. To be imported before torch."""

from __future__ import annotations

import ctypes
import os
import sys

# Of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGEST_MMAP_THRESHOLD = 32 << 20
_TRIM_THRESHOLD = 512 << 20


class _Mallinfo2(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33 and later."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")),
        *((name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")),
    ]


def wait_politely() -> None:
    """Let OpenMP threads sleep while they wait for each other.

    By default they spin. Beside a video encoder, or any other busy process, the spinning thread then holds the
    processor that the awaited one needs: a decoder pass of a small model took 1.37 s so, and 0.10 s after this, on two
    shared cores. OpenMP reads the variable when torch is loaded; a user's own setting is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_memory() -> None:
    """Let glibc keep freed tensors for the next ones instead of asking the kernel for fresh pages each time.

    On a CPU a forward pass allocates and frees some megabytes a layer; by default each such block is mapped anew and
    zeroed by the kernel, a quarter of the time of a small model. Elsewhere than on glibc this does nothing.

    All threads share one heap. By default glibc has up to eight for each processor, and each of them keeps the most
    that it ever held: decoders that come and go with their connections then raised a long run's memory for as long as
    it was watched, while the memory in use was the same all the time.
    """
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        library.mallopt(_M_ARENA_MAX, 1)


def return_memory() -> None:
    """Give the kernel back what is free between the blocks in use; takes some milliseconds.

    A process that runs for months would otherwise keep the highest point of each of its threads' heaps. Elsewhere than
    on glibc this does nothing.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


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
