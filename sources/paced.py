"""A recording played at its own speed, as if it were a camera."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from maskcast.frame import Frame
from maskcast.stream_info import StreamInfo
from sources.source import Source


class PacedSource:
    """Hands frames over no earlier than their time; see `sources.source.Source`."""

    def __init__(self, source: Source) -> None:
        """Wrap a source that is not a live one by nature."""
        self._source = source
        self._closed = threading.Event()

    @property
    def info(self) -> StreamInfo:
        return self._source.info

    def __iter__(self) -> Iterator[Frame]:
        started = time.monotonic()
        for frame in self._source:
            if self._closed.wait(max(0.0, started + frame.pts - time.monotonic())):
                return
            yield replace(frame, captured_at=datetime.now(UTC))

    def close(self) -> None:
        self._closed.set()
        self._source.close()
