"""Blocking calls on threads that cannot keep the process alive.

The event loop's own executor, and those of `concurrent.futures`, are joined at exit: one camera or one disk that never
answers would hang Ctrl-C.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


def in_daemon_thread(
    function: Callable[[], T], name: str, unwanted: Callable[[T], None] | None = None
) -> asyncio.Future[T]:
    """Run `function` on a daemon thread and return the future of its result, for the running event loop.

    Args:
        function: what to run. Whatever it raises comes out of the future, see `as_exception`.
        name: of the thread.
        unwanted: called with a result that comes when nobody waits for it any more, on a thread.
    """
    call, future = _settling(function, unwanted)
    threading.Thread(target=call, name=name, daemon=True).start()
    return future


class SerialThread:
    """Runs calls one after the other on a daemon thread of its own, which begins with the first and ends at `close`."""

    def __init__(self, name: str) -> None:
        """Prepare; `name` is the thread's."""
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """The future of the result of `function`, which is run also when nobody waits for it any more."""
        call, future = _settling(function, None)
        self.put(call)
        return future

    def put(self, call: Callable[[], None]) -> None:
        """Have `call`, which never raises, made. From any thread, one at a time."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(call)

    def close(self) -> None:
        """Let the thread end after the calls that it was given; does not wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def as_exception(error: BaseException) -> Exception:
    """`error`, or what stands for it where it would end more than the call that raised it.

    `SystemExit` and `KeyboardInterrupt` would end the event loop, a panic of a Rust library is no `Exception` either,
    and no future takes `StopIteration`.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    substitute = RuntimeError(f"{type(error).__name__}: {error}".rstrip(": "))
    substitute.__cause__ = error
    return substitute


def _settling(
    function: Callable[[], T], unwanted: Callable[[T], None] | None
) -> tuple[Callable[[], None], asyncio.Future[T]]:
    """A call for any thread that never raises, and the future of its result for the running event loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def succeed(result: T) -> None:
        if not future.done():
            future.set_result(result)
        elif unwanted is not None:
            threading.Thread(target=unwanted, args=(result,), name="unwanted", daemon=True).start()

    def fail(error: Exception) -> None:
        if not future.done():
            future.set_exception(error)

    def call() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - handed to whoever awaits the future
            failure = as_exception(error)
            with suppress(RuntimeError):  # the loop is closed: the process is ending
                loop.call_soon_threadsafe(fail, failure)
        else:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(succeed, result)

    return call, future
