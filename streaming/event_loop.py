"""The event loop of a command, and the signals that reach it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from streaming.process import INTERRUPTED, remembered_hangup

T = TypeVar("T")


class _Executor(ThreadPoolExecutor):
    """The event loop's, for name look-ups and the like: the end does not wait for a server or a disk that hangs."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """End without waiting; see `streaming.process.leave`."""
        super().shutdown(wait=False, cancel_futures=True)


def run_until_stopped(main: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Run `main` in a new event loop; SIGINT and SIGTERM set its stop event, a second one ends the process at once.

    Returns:
        What `main` returns.
    """

    async def run() -> T:
        stop = asyncio.Event()

        def interrupt() -> None:
            if stop.is_set():
                os._exit(INTERRUPTED)
            stop.set()

        loop = asyncio.get_running_loop()
        loop.set_default_executor(_Executor(thread_name_prefix="asyncio"))
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupt)
        return await main(stop)

    return asyncio.run(run())


@contextmanager
def hangup_obeyed(request: Callable[[], None]) -> Iterator[None]:
    """Call `request` in the running event loop for each SIGHUP, and for those that came before; ignore later ones."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, request)
    if remembered_hangup():
        request()
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
