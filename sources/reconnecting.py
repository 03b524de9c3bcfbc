"""A live source that never gives up: what breaks is opened again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from maskcast.backoff import Backoff
from maskcast.errors import SourceError, UsageError
from maskcast.frame import Frame
from maskcast.notices import Notify, SourceStatus
from maskcast.stream_info import StreamInfo
from sources.detached import DetachedSource
from sources.failure import AccessDeniedError
from sources.source import Source

# Cameras lock an account for minutes after some wrong passwords, which more attempts would only prolong.
DENIED_SECONDS = 60.0
# A connection that lasts longer than this was a good one.
GOOD_SECONDS = 10.0
# Bounds of waits: a camera is back within 5 s of its server, and an attempt every 2 s on average costs next to nothing.
FIRST_SECONDS, LONGEST_SECONDS = 0.5, 4.0


class ReconnectingSource:
    """Frames of a live source without end, whatever becomes of its connection; see `sources.source.Source`.

    The end of the stream, silence and every error but `UsageError` count as a loss, after which it connects again, with
    back-off and jitter (see `maskcast.backoff`; after refused credentials a minute later). `Frame.index` counts on and
    `Frame.pts` goes on by the real time of the gap, so that a stream that was away for 2 s goes on 2 s later. `info`
    stays that of the first connection: frames may have another size after a loss.

    Attributes:
        info: of the first connection.
    """

    def __init__(
        self,
        open_source: Callable[[], Source],
        stream: str,
        notify: Notify,
        *,
        stop: threading.Event | None = None,
        backoff: Backoff | None = None,
        denied: float = DENIED_SECONDS,
    ) -> None:
        """Connect; blocks until the first frame has come, however long that takes.

        Args:
            open_source: connects; blocking, with time-outs for the connection and for silence of its own.
            stream: id of the stream.
            notify: is told the `SourceStatus` from a thread of its own: when the connection comes up, and when it is
                lost or cannot be made, once for each reason in a row. Never called after `close`, except for a call
                that was under way.
            stop: an event of this source alone: setting it is the same as `close`, but possible while the constructor
                still waits; `close` sets it. None for one that nobody else sees.
            backoff: waits between attempts; None for the default ones.
            denied: seconds to wait after refused credentials.

        Raises:
            UsageError: `open_source` says that it can never be right.
            SourceError: `stop` was set before the first frame came.
        """
        closed = stop if stop is not None else threading.Event()
        backoff = backoff or Backoff(FIRST_SECONDS, LONGEST_SECONDS, good=GOOD_SECONDS)
        self._connections = _Connections(open_source, stream, notify, closed, backoff, denied)
        self._detached = DetachedSource(self._connections.begin, stream, closed)
        self.info: StreamInfo = self._detached.info

    @property
    def reconnects(self) -> int:
        """How often the connection came up again after a loss."""
        return self._connections.reconnects

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._detached)

    def close(self) -> None:
        """Return at once; the thread ends with its present wait: at most the time-outs of `open_source` later."""
        self._detached.close()


class _Connections:
    """One connection after the other, read as one source by one thread."""

    def __init__(
        self,
        open_source: Callable[[], Source],
        stream: str,
        notify: Notify,
        closed: threading.Event,
        backoff: Backoff,
        denied: float,
    ) -> None:
        self.reconnects = 0
        self.info: StreamInfo
        self._open_source, self._stream = open_source, stream
        self._notify, self._closed = notify, closed
        self._backoff, self._denied = backoff, denied
        self._told: SourceStatus | None = None
        self._connection: Source | None = None
        self._index = 0
        self._last: Frame | None = None
        self._lead = 0.0  # seconds by which the first frame of the last connection came later than those that followed

    def begin(self) -> Source:
        """Make the first connection, after which `info` is known; ends without one when closed."""
        self._connection = self._connect()
        if self._connection is None:
            raise SourceError("closed before it was reached", where=self._stream)
        self.info = self._connection.info
        return self

    def __iter__(self) -> Iterator[Frame]:
        while self._connection is not None:
            began = time.monotonic()
            try:
                yield from self._frames(self._connection)
                failure: Exception = SourceError("the other side ended the stream", where=self._stream)
            except UsageError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a decoder raises, the next connection is a new chance
                failure = error
            finally:
                self._connection.close()
            self._backoff.lasted(time.monotonic() - began)
            self._wait_after(failure)
            self._connection = self._connect()
            if self._connection is not None:
                self.reconnects += 1

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> Source | None:
        """A connection that has come up; None when closed."""
        while not self._closed.is_set():
            try:
                connection = self._open_source()
            except UsageError:
                raise
            except Exception as error:  # noqa: BLE001 - as in `__iter__`
                self._wait_after(error)
                continue
            if self._closed.is_set():
                connection.close()
                break
            self._tell(SourceStatus(online=True))
            return connection
        return None

    def _wait_after(self, failure: Exception) -> None:
        self._tell(SourceStatus(False, str(SourceError.wrap(failure))))
        self._closed.wait(self._denied if isinstance(failure, AccessDeniedError) else self._backoff.wait())

    def _tell(self, status: SourceStatus) -> None:
        if self._told != status and not self._closed.is_set():
            self._told = status
            self._notify(status)

    def _frames(self, connection: Source) -> Iterator[Frame]:
        """A connection's frames, numbered and timed as the continuation of what came before."""
        tick = float(self.info.time_base)
        first: Frame | None = None
        shift = lead = 0.0
        for frame in connection:
            if first is None:
                first = frame
                if self._last is not None:
                    # The first frame has waited for its connection to be understood, and is taken to be as late as the
                    # one before was: otherwise every loss would put the clock that much further ahead.
                    away = frame.decoded_at - self._last.decoded_at - self._lead
                    shift = self._last.pts + max(away, tick) - frame.pts
            elif (passed := frame.decoded_at - first.decoded_at) < GOOD_SECONDS:
                lead = max(lead, frame.pts - first.pts - passed)
            pts = frame.pts + shift
            if self._last is not None:
                pts = max(pts, self._last.pts + tick)
            self._last, self._lead = replace(frame, index=self._index, pts=pts), lead
            self._index += 1
            yield self._last
