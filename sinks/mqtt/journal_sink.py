"""What the journal is told of a stream where there is no broker."""

from __future__ import annotations

from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from sinks.mqtt.journal import Journal
from sinks.sink import Sink


class JournalSink(Sink):
    """Has the journal remember tracks, and what counting must know after a restart; nothing waits for delivery."""

    def __init__(self, journal: Journal, stream: str) -> None:
        """Tell `journal`, which is neither opened nor closed here, of `stream`."""
        super().__init__(f"journal {stream}")
        self._journal, self._stream = journal, stream

    async def start(self, info: StreamInfo) -> None:
        """Nothing to open."""

    async def note(self, result: Result) -> None:
        await self._journal.append(self._stream, result, deliver=False)

    async def write(self, result: Result) -> None:
        """Frames are not kept."""

    async def finish(self, reason: str | None) -> None:
        """Nothing to close."""
