"""SIGHUP, which asks `maskcast run` to read its settings again: from the first moment on it never ends the process.

Imports nothing that takes time: until `remember` was called, SIGHUP does what it does by default.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_came = threading.Event()


def remember() -> None:
    """Keep a SIGHUP in mind until somebody obeys it. To be called on the main thread."""
    signal.signal(signal.SIGHUP, lambda _number, _frame: _came.set())


@contextmanager
def obeyed(request: Callable[[], None]) -> Iterator[None]:
    """Call `request` in the running event loop for each SIGHUP, and for those that came before; ignore later ones."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, request)
    if _came.is_set():
        _came.clear()
        request()
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
