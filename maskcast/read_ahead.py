"""Reading ahead: a thread of its own goes through what can be iterated, some items before whoever wants them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from maskcast.threads import as_exception

T = TypeVar("T")

# How long a waiting side takes to notice that it is over.
NOTICE_SECONDS = 0.25


@dataclass(frozen=True)
class _End:
    """Follows the last item; `error` is what ended the iteration early."""

    error: Exception | None = None


def read_ahead(
    items: Iterable[T], name: str, *, ahead: int = 1, newest: bool = False, over: threading.Event | None = None
) -> Generator[T, None, None]:
    """The items in their order, from a daemon thread that has begun when this returns.

    Args:
        items: what the thread iterates; a generator is closed there at the end.
        name: of the thread.
        ahead: how many items may wait. Then the thread waits too.
        newest: let the oldest item that waits make room instead; the end and an error have their turn all the same.
        over: set at the end, and by whoever wants it: both sides then end soon. A thread that is at work on an item
            ends after it, and nobody waits for that. None for one that nobody else sees.

    Raises:
        Exception: whatever ended the iteration, after the items before it; see `maskcast.threads.as_exception`.
    """
    ended = over or threading.Event()
    ready: queue.Queue[T | _End] = queue.Queue(ahead)

    def hand_over(item: T | _End, *, newest: bool = False) -> None:
        while not ended.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0 if newest else NOTICE_SECONDS)
                return
            if newest:
                with suppress(queue.Empty):
                    ready.get_nowait()

    def read() -> None:
        try:
            iterator = iter(items)
            try:
                for item in iterator:
                    hand_over(item, newest=newest)
                    if ended.is_set():
                        break
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
        except BaseException as error:  # noqa: BLE001 - raised where the items are wanted
            hand_over(_End(as_exception(error)))
        else:
            hand_over(_End())

    threading.Thread(target=read, name=name, daemon=True).start()
    return _taken(ready, ended)


def _taken(ready: queue.Queue[T | _End], ended: threading.Event) -> Generator[T, None, None]:
    try:
        while not ended.is_set():
            try:
                item = ready.get(timeout=NOTICE_SECONDS)
            except queue.Empty:
                continue
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return
    finally:
        ended.set()
