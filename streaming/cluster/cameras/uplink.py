"""What a worker has to say to the head, in order and bounded: the state of the protocol, without Ray and clocks.

See `streaming.cluster.cameras.messages` for what is said.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from maskcast.notices import FramesDropped
from streaming.cluster.cameras.messages import MOST_RESULTS, Ended, Held, Message, Notified, Tracked

# Of what a batch takes along; with one message it may be more. Ray copies an answer twice, and others wait behind it.
BATCH_BYTES = 8 << 20


@dataclass(eq=False)
class _Place:
    """Of a message, among those of its stream; None while its pictures are being encoded."""

    message: Message | None = None


class StreamUplink:
    """What goes up of one attempt.

    Attributes:
        attempt: which one.
        full: whether so much is on its way that the stream is to wait, until half of it has been delivered.
    """

    def __init__(self, attempt: int, ready: Callable[[], None]) -> None:
        """Begin; `ready` is called when there is something new."""
        self.attempt = attempt
        self.full = False
        self._ready = ready
        self._waiting: deque[_Place] = deque()
        self._put = self._delivered = 0  # those that count
        self._told: Callable[[Message], None] = lambda _: None

    def when_told(self, told: Callable[[Message], None]) -> None:
        """Call `told` with each message as it leaves for the head."""
        self._told = told

    def put(self, message: Message) -> None:
        """Let a message go up, behind those before it."""
        if self._joins(message):
            return
        self.place(message)

    def place(self, message: Message | None = None, *, counts: bool = False) -> Callable[[Message], None]:
        """Keep a place for a message whose pictures are still to be encoded.

        Args:
            message: itself, where it is ready already.
            counts: whether it holds results, where it is not.

        Returns:
            What takes the message.
        """
        place = _Place(message)
        self._waiting.append(place)
        if counts or isinstance(message, Tracked | Held):
            self._put += 1
            self._weigh()
        if message is not None:
            self._ready()

        def fill(message: Message) -> None:
            place.message = message
            self._ready()

        return fill

    def _joins(self, message: Message) -> bool:
        """Frames that were dropped are summed up while nobody has taken the last count: a silent head costs nothing."""
        last = self._waiting[-1].message if self._waiting else None
        if not (isinstance(message, Notified) and isinstance(message.notice, FramesDropped)):
            return False
        if not (isinstance(last, Notified) and isinstance(last.notice, FramesDropped)):
            return False
        if last.notice.where != message.notice.where:
            return False
        count = last.notice.count + message.notice.count
        self._waiting[-1].message = Notified(self.attempt, FramesDropped(message.notice.where, count))
        return True

    def delivered(self, count: int) -> None:
        """The head is done with the first `count` messages that hold results."""
        self._delivered = max(self._delivered, min(count, self._put))
        self._weigh()

    def _weigh(self) -> None:
        on_their_way = self._put - self._delivered
        if on_their_way >= MOST_RESULTS:
            self.full = True
        elif on_their_way <= MOST_RESULTS // 2:
            self.full = False

    @property
    def ready(self) -> bool:
        """Whether `take` would give anything."""
        return bool(self._waiting) and self._waiting[0].message is not None

    def take(self, most_bytes: int) -> list[Message]:
        """The messages that come next, as far as they are ready: at least one of them, `most_bytes` by about."""
        taken: list[Message] = []
        size = 0
        while self._waiting and (message := self._waiting[0].message) is not None and size < most_bytes:
            self._waiting.popleft()
            taken.append(message)
            size += _bytes_of(message)
            self._told(message)
        return taken


@dataclass(frozen=True)
class Outgoing:
    """A batch, without what is told anew each time that it is sent."""

    number: int
    messages: list[Message]


NOTHING = Outgoing(0, [])


class Uplink:
    """What goes up of all streams of a worker, in batches that are sent until they are received. For one event loop."""

    def __init__(self) -> None:
        """Begin without streams."""
        self._streams: dict[int, StreamUplink] = {}
        self._number = 0
        self._last: Outgoing | None = None  # not known to be received
        self._news = asyncio.Event()

    def open(self, attempt: int) -> StreamUplink:
        """Begin a stream; it closes by its message `Ended`, once that is received."""
        stream = self._streams[attempt] = StreamUplink(attempt, self._news.set)
        return stream

    def delivered(self, attempt: int, count: int) -> None:
        """See `StreamUplink.delivered`; of an attempt that is over it means nothing."""
        if stream := self._streams.get(attempt):
            stream.delivered(count)

    def batch(self, received: int) -> Outgoing:
        """What to answer to a poll.

        Args:
            received: number of the last batch that the head has received; 0 for none.
        """
        if self._last:
            if received != self._last.number:
                return self._last
            self._forget(self._last)
            self._last = None
        messages: list[Message] = []
        size = 0
        # Who was served comes last next time: a batch may be full before all were.
        for attempt, stream in list(self._streams.items()):
            if size >= BATCH_BYTES:
                break
            if taken := stream.take(BATCH_BYTES - size):
                messages += taken
                size += sum(map(_bytes_of, taken))
                self._streams[attempt] = self._streams.pop(attempt)
        if not messages:
            self._news.clear()
            return NOTHING
        self._number += 1
        self._last = Outgoing(self._number, messages)
        return self._last

    def _forget(self, outgoing: Outgoing) -> None:
        for message in outgoing.messages:
            if isinstance(message, Ended):
                self._streams.pop(message.attempt, None)

    async def news(self, received: int) -> None:
        """Wait until there is something to answer to a poll."""
        while not (self._last and received != self._last.number):
            if any(stream.ready for stream in self._streams.values()):
                return
            self._news.clear()
            await self._news.wait()


def _bytes_of(message: Message) -> int:
    """Of its masks and pictures; all else is small."""
    if not isinstance(message, Tracked | Held):
        return 0
    masks = sum(len(track.bits) for result in message.results for track in result.tracks)
    return masks + sum(len(result.frame.jpeg or b"") for result in message.results)
