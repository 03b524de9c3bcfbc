"""What every sink offers to the pipeline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar, ParamSpec, TypeVar

from maskcast.result import Result
from maskcast.stream_info import StreamInfo
from maskcast.threads import SerialThread

P = ParamSpec("P")
T = TypeVar("T")


class Sink(ABC):
    """Results of one stream, out. The pipeline awaits one call at a time: `start`, (`ready`, `write`)…, `finish`.

    Each may raise `SinkError`, after which only `finish` follows. A call that does not end in time is left behind, and
    the sink with it, but `start` and `write` of a live stream only at its end; see
    `streaming.pipeline.outlet` for the times.

    Attributes:
        optional: whether a stream whose other sinks have all failed ends although this one works.
    """

    optional: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        """Remember `name`: the target as shown to people, credentials removed."""
        self.name = name

    @abstractmethod
    async def start(self, info: StreamInfo) -> None:
        """Open the target."""

    async def note(self, result: Result) -> None:  # noqa: B027 - most sinks need no events
        """Take the events of a result, and its `place_state`, before it is queued for `write`.

        For `write` alone it may be dropped. Called at any time between `start` and `finish`, also while `write` is at
        work. Must be quick: all sinks wait.
        """

    async def ready(self) -> None:  # noqa: B027 - most sinks always are
        """Wait until `write` can take a result, and what it took before is delivered.

        Called before `finish` and, unless the stream is live, before each `write`; cancelled when the stream is to
        stop. Unlike the others it may take as long as it has to, such as for a broker that is away; `SinkError` says
        that there is no hope left.
        """

    @abstractmethod
    async def write(self, result: Result) -> None:
        """Take one frame's result."""

    @abstractmethod
    async def finish(self, reason: str | None) -> None:
        """Close the target properly. `reason` is None at a regular end, else why the stream stopped early."""


class BlockingSink(Sink):
    """A sink whose work blocks (files, encoders): it runs on a thread of its own, one call at a time."""

    def __init__(self, name: str) -> None:
        """Prepare the thread; it starts with the first call."""
        super().__init__(name)
        self._thread = SerialThread(f"sink {name}")

    @abstractmethod
    def start_blocking(self, info: StreamInfo) -> None:
        """See `Sink.start`."""

    @abstractmethod
    def write_blocking(self, result: Result) -> None:
        """See `Sink.write`."""

    @abstractmethod
    def finish_blocking(self, reason: str | None) -> None:
        """See `Sink.finish`."""

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._thread.run(partial(function, *args, **kwargs))

    async def start(self, info: StreamInfo) -> None:
        await self._run(self.start_blocking, info)

    async def write(self, result: Result) -> None:
        await self._run(self.write_blocking, result)

    async def finish(self, reason: str | None) -> None:
        try:
            await self._run(self.finish_blocking, reason)
        finally:
            self._thread.close()
