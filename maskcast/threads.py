"""Blocking calls on threads that cannot keep the process alive.

The event loop's own executor, and those of `concurrent.futures`, are joined at exit: one camera or one disk that never
answers would hang Ctrl-C. What may hang belongs here; what only computes may go to `asyncio.to_thread`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from maskcast.errors import unforeseen

T = TypeVar("T")


def into_loop(call: Callable[[T], None], over: threading.Event) -> Callable[[T], None]:
    """What brings a value from any thread to `call` in the running event loop, until `over` is set there."""
    loop = asyncio.get_running_loop()

    def pass_on(value: T) -> None:
        if not over.is_set():
            call(value)

    def from_thread(value: T) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(pass_on, value)

    return from_thread


def in_daemon_thread(
    function: Callable[[], T], name: str, unwanted: Callable[[T], None] | None = None
) -> asyncio.Future[T]:
    """Run `function` on a daemon thread and return the future of its result, for the running event loop.

    Args:
        function: what to run. Whatever it raises comes out of the future, see `as_exception`.
        name: of the thread.
        unwanted: called with a result that comes when nobody waits for it, on a thread.
    """
    call, result = _settling(function)
    awaited = _awaitable(result, unwanted)
    threading.Thread(target=call, name=name, daemon=True).start()
    return awaited


class SerialThread:
    """Runs calls one after the other on a daemon thread of its own, which begins with the first and ends at `close`."""

    def __init__(self, name: str) -> None:
        """Prepare; `name` is the thread's."""
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """As `submit`, for the running event loop."""
        return _awaitable(self.submit(function))

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """The future of the result of `function`, which is run also when nobody waits for it.

        From any thread, one at a time. Whatever `function` raises comes out of the future, see `as_exception`.
        """
        call, result = _settling(function)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._calls.put(call)
        return result

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
    substitute = RuntimeError(unforeseen(error))
    substitute.__cause__ = error
    return substitute


def _settling(function: Callable[[], T]) -> tuple[Callable[[], None], Future[T]]:
    """A call for any thread that never raises, and the future of its result, which cannot be cancelled."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def call() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the future
            future.set_exception(as_exception(error))
        else:
            future.set_result(result)

    return call, future


def _awaitable(source: Future[T], unwanted: Callable[[T], None] | None = None) -> asyncio.Future[T]:
    """The same for the running event loop. Unlike `asyncio.wrap_future` it may outlive that loop in silence."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle() -> None:
        error = source.exception()
        if future.done():
            if error is None and unwanted is not None:
                threading.Thread(target=unwanted, args=(source.result(),), name="unwanted", daemon=True).start()
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(source.result())

    def settle_soon(_: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(settle)

    source.add_done_callback(settle_soon)
    return future
