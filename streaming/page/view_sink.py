"""A sink that shows results on the page."""

from __future__ import annotations

from collections.abc import Callable

from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.sink import Sink


class ViewSink(Sink):
    """Hands each result to the page, where the newest wins. What is shown outlives an attempt at the stream."""

    optional = True

    def __init__(self, show: Callable[[Result], None]) -> None:
        """Prepare; `show` takes a result in place of the one before, see `streaming.page.board.Board.put`."""
        super().__init__("page")
        self._show = show

    async def start(self, info: StreamInfo) -> None:
        """Nothing to open."""

    async def write(self, result: Result) -> None:
        self._show(result)

    async def finish(self, reason: str | None) -> None:
        """Nothing to close: the newest result stays."""
