"""What one viewer is sent, and when: the rules of ``/live`` without a socket.

A viewer has credit: of each stream at most two pictures are on their way, and one is off it when the viewer says that
it has drawn it. So whoever is slow, or stopped, gets the newest picture when it asks for one, and no queue grows in the
buffers between.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming.page.board import State
from streaming.page.pictures import shared_width

MOST_MESSAGE_BYTES = 8 << 10
MOST_STREAMS = 64  # that one viewer watches at once
LONGEST_NAME_CHARACTERS, LARGEST_NUMBER = 200, 1e6
DEFAULT_RATE, LOWEST_RATE, HIGHEST_RATE = 10.0, 0.1, 30.0  # pictures of a stream a second
PICTURES_UNDER_WAY = 2
MOST_EVENTS = 100  # that wait for a slow viewer; the page can ask for older ones
STATE_SECONDS = 0.5  # at least, between two messages of state
# At most: the page sees no pings, and takes a line for dead that is silent for twice as long.
QUIET_SECONDS = 10.0


class ProtocolError(Exception):
    """A viewer sent what it may not; the text says what, for whoever wrote it."""


@dataclass(slots=True)
class _Watched:
    """A stream that is watched.

    Attributes:
        width: of its pictures, one of `streaming.page.pictures.WIDTHS`.
        seen: number of the result that was sent last, or could not be.
        due: when the next may be sent.
    """

    width: int
    seen: int = 0
    due: float = -math.inf


@dataclass
class Viewer:
    """What one viewer watches, has on its way, and is still to be told. Times are those of one monotonic clock.

    Attributes:
        watched: the streams, by id.
        oriented: whether it has been told how the streams are.
    """

    watched: dict[str, _Watched] = field(default_factory=dict)
    oriented: bool = False
    _interval: float = 1 / DEFAULT_RATE
    _under_way: Counter[str] = field(default_factory=Counter)
    _states: dict[str, State | None] | None = None
    _states_due: float = -math.inf
    _events: list[State] = field(default_factory=list)

    def take(self, text: str) -> bool:
        """Obey a message of the viewer; whether it watches other streams now.

        Raises:
            ProtocolError: it is none.
        """
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise ProtocolError("not JSON") from None
        match message:
            case {"type": "drawn", "stream": str(name), **rest} if not rest:
                self._drawn(name)
                return False
            case {"type": "watch", "streams": dict(streams), **rest} if not rest.keys() - {"rate"}:
                self._watch(streams, rest.get("rate", DEFAULT_RATE))
                return True
            case _:
                raise ProtocolError('neither {"type": "watch", "streams", "rate"} nor {"type": "drawn", "stream"}')

    def _drawn(self, name: str) -> None:
        if not self._under_way[name]:
            raise ProtocolError("drew what was not sent")
        self._under_way[name] -= 1
        if not self._under_way[name]:
            del self._under_way[name]

    def _watch(self, streams: Mapping[str, Any], rate: Any) -> None:
        if len(streams) > MOST_STREAMS:
            raise ProtocolError(f"watches more than {MOST_STREAMS} streams")
        if any(len(name) > LONGEST_NAME_CHARACTERS for name in streams):
            raise ProtocolError("a stream's name is too long")
        if not all(_is_positive(width) for width in streams.values()) or not _is_positive(rate):
            raise ProtocolError("a width or the rate is no positive number")
        self._interval = 1 / min(max(rate, LOWEST_RATE), HIGHEST_RATE)
        # Of what was watched before, too, the newest picture is sent at once: it is for a new view.
        self.watched = {name: _Watched(shared_width(width)) for name, width in streams.items()}

    def ready(self, numbers: Callable[[str], int], now: float) -> list[tuple[str, int]]:
        """Streams of which a picture is to be sent, with its width, the one that has waited longest first.

        Args:
            numbers: of each stream the number of its newest result; 0 for none.
            now: the time.
        """
        ready = [
            (stream.due, name, stream.width)
            for name, stream in self.watched.items()
            if stream.due <= now and self._may_have(name, stream, numbers)
        ]
        return [(name, width) for _, name, width in sorted(ready)]

    def wait(self, numbers: Callable[[str], int], now: float) -> float | None:
        """Seconds until there is something to send without news; None for never, before it knows of any stream."""
        times = [stream.due for name, stream in self.watched.items() if self._may_have(name, stream, numbers)]
        if self._states is not None:
            times.append(self._states_due)
        elif self.oriented:
            times.append(self._states_due + QUIET_SECONDS)
        if self._events:
            times.append(now)
        return max(0.0, min(times) - now) if times else None

    def _may_have(self, name: str, stream: _Watched, numbers: Callable[[str], int]) -> bool:
        return self._under_way[name] < PICTURES_UNDER_WAY and numbers(name) > stream.seen

    def sent(self, name: str, number: int, now: float, *, picture: bool = True) -> None:
        """The result of this number was sent; or, without `picture`, none can be made of it."""
        if picture:
            self._under_way[name] += 1
        if stream := self.watched.get(name):
            stream.seen = number
            stream.due = max(stream.due + self._interval, now)

    def tell_states(self, changed: Mapping[str, State | None]) -> None:
        """Have it told how streams are that changed, at first that there is none; None for one that is gone."""
        if changed or not self.oriented:
            self.oriented = True
            self._states = {**(self._states or {}), **changed}

    def tell_event(self, item: State) -> None:
        """Have it told what happened."""
        self._events.append(item)
        del self._events[:-MOST_EVENTS]

    def texts(self, time: str, now: float) -> list[str]:
        """Messages that are to be sent now. `time` is that of the clock, as it is published."""
        texts = []
        quiet = self.oriented and now >= self._states_due + QUIET_SECONDS
        if quiet or (self._states is not None and now >= self._states_due):
            texts.append(json.dumps({"type": "state", "time": time, "streams": self._states or {}}, allow_nan=False))
            self._states, self._states_due = None, now + STATE_SECONDS
        texts += [json.dumps({"type": "event", **item}, allow_nan=False) for item in self._events]
        self._events = []
        return texts


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LARGEST_NUMBER
