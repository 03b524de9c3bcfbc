"""What the page knows: the streams, the newest result of each, and what happens. Two event loops meet here."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from maskcast.result import Result
from sinks.mqtt.payload import DEFAULT_PAYLOAD_BYTES
from sinks.video.style import OUTLINED, Styles
from streaming.page.pictures import Newest, Pictures

# Of a stream, or of all; JSON.
State: TypeAlias = Mapping[str, Any]
# What the pipeline's event loop may take to say how its streams are; it has hung if it takes longer.
DESCRIBE_SECONDS = 5.0


class ShownStream:
    """A stream of the page, over all attempts at it.

    Attributes:
        name: id of the stream.
        describe: says how it is; called in the pipeline's event loop.
        styles: how its objects are shown.
        newest: its newest result; None before the first.
        pictures: what is sent of it.
    """

    def __init__(
        self,
        name: str,
        describe: Callable[[], State],
        styles: Styles = OUTLINED,
        max_payload: int = DEFAULT_PAYLOAD_BYTES,
    ) -> None:
        """Begin without a result; for the arguments see the attributes, and `Pictures`."""
        self.name, self.describe, self.styles = name, describe, styles
        self.newest: Newest | None = None
        self.pictures = Pictures(name, styles, max_payload)
        self.told = False  # that there is something new, and nobody has looked since

    def clear(self) -> None:
        """Let go of the newest result: nobody sees it any more."""
        self.newest = None
        self.pictures.forget()


class Listener:
    """One who looks. All is called in the web server's event loop, and must be quick."""

    def result(self, stream: str) -> None:
        """There is a newer result of a stream that somebody watches."""

    def event(self, item: State) -> None:
        """Something has happened."""


class Board:
    """What the page shows.

    Results and events come from the pipeline, in its event loop; those who look are in the web server's, between
    `attach` and `detach`. While nobody looks at a stream its results are kept, one at a time, and nothing else is done.
    """

    def __init__(self) -> None:
        """Begin without streams."""
        self._streams: dict[str, ShownStream] = {}
        self._numbers = itertools.count(1)  # over all streams, so that they go up also where one takes another's name
        self._watched: Counter[str] = Counter()
        self._listeners: list[Listener] = []
        self._pipeline: asyncio.AbstractEventLoop | None = None
        self._web: asyncio.AbstractEventLoop | None = None

    # The pipeline's side.

    def add(self, stream: ShownStream) -> None:
        """Show a stream, in place of one of its name."""
        self._pipeline = asyncio.get_running_loop()
        self._streams[stream.name] = stream

    def remove(self, stream: ShownStream) -> None:
        """Show it no more."""
        if self._streams.get(stream.name) is stream:
            del self._streams[stream.name]

    def obey(self, name: str, styles: Styles) -> None:
        """Where `styles` hide anything, show the stream of that name no more if it is shown in others.

        What is shown of it would stay until it begins anew, and one whose disk or broker hangs takes its time to end.
        """
        stream = self._streams.get(name)
        if stream and styles.hide and stream.styles != styles:
            self.remove(stream)

    def put(self, stream: ShownStream, result: Result) -> None:
        """Show a result in place of the one before."""
        stream.newest = Newest(next(self._numbers), result)
        if self._watched.get(stream.name) and not stream.told:
            stream.told = True
            self._call(self._tell, stream)

    def tell_event(self, item: State) -> None:
        """Tell those who look what has happened: an item of ``/events``. From any thread."""
        if self._listeners:
            self._call(self._tell_event, item)

    def _call(self, call: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            if (web := self._web) is not None:
                web.call_soon_threadsafe(call, *arguments)

    # The web server's side.

    def attach(self) -> None:
        """Let those who look be in the running event loop."""
        self._web = asyncio.get_running_loop()

    def detach(self) -> None:
        """Call nobody in that loop any more."""
        self._web = None

    @property
    def names(self) -> list[str]:
        """Ids of the streams."""
        return list(self._streams)

    def get(self, name: str) -> ShownStream | None:
        """The stream of that name."""
        return self._streams.get(name)

    def listen(self, listener: Listener) -> None:
        """Tell one who looks what happens, until `leave`."""
        self._listeners.append(listener)

    def leave(self, listener: Listener) -> None:
        """Tell it nothing more."""
        self._listeners.remove(listener)

    def watch(self, before: Iterable[str], streams: Iterable[str]) -> None:
        """Somebody watches these streams, and those `before` no longer. They need not exist."""
        self._watched.update(list(streams))
        self._watched.subtract(list(before))
        for name in [name for name, count in self._watched.items() if count <= 0]:
            del self._watched[name]
            if stream := self._streams.get(name):
                stream.told = False
                stream.pictures.forget()

    async def states(self) -> dict[str, State] | None:
        """How each stream is; None if the pipeline's event loop does not answer."""
        pipeline = self._pipeline
        if pipeline is None:
            return {}
        with suppress(RuntimeError, TimeoutError):  # it is closed, or hangs
            coming = _described(list(self._streams.values()))
            try:
                answer = asyncio.run_coroutine_threadsafe(coming, pipeline)
            except RuntimeError:
                coming.close()
                raise
            async with asyncio.timeout(DESCRIBE_SECONDS):
                return await asyncio.wrap_future(answer)
        return None

    def _tell(self, stream: ShownStream) -> None:
        stream.told = False
        for listener in self._listeners:
            listener.result(stream.name)

    def _tell_event(self, item: State) -> None:
        for listener in self._listeners:
            listener.event(item)


async def _described(streams: Iterable[ShownStream]) -> dict[str, State]:
    return {stream.name: stream.describe() for stream in streams}
