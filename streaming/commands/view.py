"""The live page of one run of a command, for whoever sits at this machine: to look at, and not to change anything."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Self

from maskcast.notices import Notice, SourceStatus, StreamBegan, TalliesChanged
from maskcast.result import Result
from sinks.video.style import OUTLINED, Styles
from streaming.page.board import Board, ShownStream
from streaming.page.events import Events
from streaming.page.history import History
from streaming.page.history_sink import HistorySink
from streaming.page.live import Live
from streaming.page.reading import Reading
from streaming.page.recording_files import RecordingFiles
from streaming.page.recordings import Recordings
from streaming.page.server import WebServer
from streaming.page.stream_state import StreamState
from streaming.page.view_sink import ViewSink
from streaming.pipeline.job import Job
from streaming.settings.web import HttpSettings

# This machine alone, at a free port.
LISTEN = "127.0.0.1:0"
# Streams that have ended and are still shown, each with its last picture: a folder may have thousands.
MOST_ENDED = 8


class View:
    """Serves the page while it is entered, and shows the jobs that it was given."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Prepare; `say` is told where the page is."""
        self._say = say
        self._board, self._ended = Board(), deque[ShownStream]()
        self._history = History(None, self._board.tell_event)
        recordings, reading = Recordings(dict), Reading()
        parts = [
            Live(self._board),
            Events(self._history, recordings, reading),
            RecordingFiles(recordings, reading),
        ]
        self._server = WebServer(HttpSettings(listen=LISTEN, read_only=True), parts)

    async def __aenter__(self) -> Self:
        """Serve, say where, and open a browser if there is a display.

        Raises:
            UsageError: no port can be had.
        """
        self._server.start()
        self._say(f"live page: {self._server.url}")
        if has_display():
            threading.Thread(target=_browse, args=(self._server.url,), name="open a browser", daemon=True).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        await self._history.close()

    def showing(self, job: Job, name: str, styles: Styles = OUTLINED) -> Job:
        """The same job, of the stream of that name, shown on the page from its begin on."""
        state = StreamState(job.controls, max_rate=job.max_rate)
        stream = ShownStream(name, state.describe, styles)

        def notify(notice: Notice) -> None:
            if isinstance(notice, StreamBegan):
                self._board.add(stream)
                state.notify(SourceStatus(online=True))
            state.notify(notice)
            job.notify(notice)

        def show(result: Result) -> None:
            if result.tally:
                state.notify(TalliesChanged(result.tally))
            self._board.put(stream, result)

        def end(reason: str | None) -> None:
            state.notify(SourceStatus(False, reason or "end of stream"))
            self._ended.append(stream)
            if len(self._ended) > MOST_ENDED:
                self._board.remove(self._ended.popleft())

        return replace(
            job,
            open_sinks=lambda info: [
                *job.open_sinks(info),
                _RunSink(show, end),
                HistorySink(self._history, name, styles),
            ],
            notify=notify,
        )


class _RunSink(ViewSink):
    """Tells when a stream that has no other attempt is over."""

    def __init__(self, show: Callable[[Result], None], end: Callable[[str | None], None]) -> None:
        super().__init__(show)
        self._end = end

    async def finish(self, reason: str | None) -> None:
        self._end(reason)


def has_display() -> bool:
    """Whether a browser has somewhere to open; without, one of text would take the terminal."""
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _browse(url: str) -> None:
    with suppress(Exception):  # there is the line with the address
        webbrowser.open(url)
