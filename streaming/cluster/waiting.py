"""A bound for calls into Ray that have none of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from maskcast.errors import MaskcastError

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T], doing: str) -> T:
    """The result of `call`, which runs on a thread of its own that is left alone if it takes too long.

    Args:
        seconds: how long it may take.
        call: what to run. What it raises is raised here.
        doing: what it does, for the error and the thread's name, such as "ask Ray for its nodes".

    Raises:
        MaskcastError: it took longer.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - Ray exits where others raise; it is raised below
            errors.append(error)

    thread = threading.Thread(target=run, name=doing, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise MaskcastError(f"Ray does not answer: to {doing} took longer than {seconds:g} s")
    if errors:
        raise errors[0]
    return results[0]
