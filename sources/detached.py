"""A source on a thread of its own, so that `close` and Ctrl-C need not wait for a camera that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from maskcast.errors import SourceError
from maskcast.frame import Frame
from maskcast.read_ahead import read_ahead
from maskcast.stream_info import StreamInfo
from sources.source import Source


class DetachedSource:
    """Opens and reads another source on a daemon thread; see `sources.source.Source`.

    FFmpeg cannot be woken from a wait for the network before its time-out. Here only the thread waits for that: it
    then closes the connection and ends, long after everyone else went on.
    """

    def __init__(self, open_source: Callable[[], Source], name: str, closed: threading.Event | None = None) -> None:
        """Open.

        Args:
            open_source: opens the source to read from.
            name: of the thread.
            closed: set by `close`; whoever sets it earlier ends the opening too. None for one of its own.

        Raises:
            SourceError: as `open_source` does, or `closed` was set before it was open.
        """
        self._closed = closed if closed is not None else threading.Event()
        self._items = read_ahead(_read(open_source), name, over=self._closed)
        info = next(self._items, None)
        if not isinstance(info, StreamInfo):
            raise SourceError("closed before it was open", where=name)
        self.info = info

    def __iter__(self) -> Iterator[Frame]:
        return (item for item in self._items if isinstance(item, Frame))

    def close(self) -> None:
        self._closed.set()


def _read(open_source: Callable[[], Source]) -> Generator[StreamInfo | Frame, None, None]:
    with closing(open_source()) as source:
        yield source.info
        yield from source
