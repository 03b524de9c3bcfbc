"""A source on a thread of its own, so that `close` and Ctrl-C need not wait for a camera that does not answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from maskcast.errors import SourceError
from maskcast.frame import Frame
from maskcast.stream_info import StreamInfo
from sources.source import Source

# How long a waiting side takes to notice that the source was closed.
NOTICE_SECONDS = 0.25


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
        self._open_source = open_source
        self._closed = closed if closed is not None else threading.Event()
        self._ready: queue.Queue[StreamInfo | Frame | BaseException | None] = queue.Queue(1)
        threading.Thread(target=self._read, name=name, daemon=True).start()
        try:
            info = self._take()
        except BaseException:  # Ctrl-C among them
            self.close()
            raise
        if not isinstance(info, StreamInfo):
            raise SourceError(f"{name}: closed before it was open")
        self.info = info

    def __iter__(self) -> Iterator[Frame]:
        while isinstance(frame := self._take(), Frame):
            yield frame

    def close(self) -> None:
        self._closed.set()

    def _take(self) -> StreamInfo | Frame | None:
        """What the thread hands over next; None at the end and when closed."""
        while not self._closed.is_set():
            with suppress(queue.Empty):
                item = self._ready.get(timeout=NOTICE_SECONDS)
                if isinstance(item, BaseException):
                    self._closed.set()
                    raise item
                if item is None:
                    self._closed.set()
                return item
        return None

    def _read(self) -> None:
        try:
            source = self._open_source()
            try:
                self._hand_over(source.info)
                for frame in source:
                    self._hand_over(frame)
                    if self._closed.is_set():
                        return
            finally:
                source.close()
            self._hand_over(None)
        except BaseException as error:  # noqa: BLE001 - raised where the source is read
            self._hand_over(error)

    def _hand_over(self, item: StreamInfo | Frame | BaseException | None) -> None:
        while not self._closed.is_set():
            with suppress(queue.Full):
                self._ready.put(item, timeout=NOTICE_SECONDS)
                return
