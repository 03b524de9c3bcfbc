"""Packets of a live stream that are kept for a while, so that a recording can begin before its event."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sinks.video.encoder import Encoded


class PacketRing:
    """The newest packets of a stream, from a key frame on: enough to go back some seconds, within a bound of bytes."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        """Keep at least `seconds`, unless they take more than `max_bytes`."""
        self._seconds, self._max_bytes = seconds, max_bytes
        self._packets: deque[tuple[int, Encoded]] = deque()  # numbered, so that each is written to a file once
        self._count = 0
        self._written = 0  # number of the newest packet that is in a file
        self.bytes = 0
        self.newest: float | None = None  # time of the newest packet, seconds

    def append(self, packet: Encoded) -> None:
        """Take the newest packet; let go of what is older than needed."""
        self._count += 1
        self.newest = packet.time
        if not packet.key and not self._packets:
            return  # nothing to decode it from
        self._packets.append((self._count, packet))
        self.bytes += packet.packet.size
        while self._packets and (self.bytes > self._max_bytes or (packet.key and self._second_key_is_enough(packet))):
            self._drop_first_group()

    def unwritten(self, since: float, *, follows: bool) -> Iterator[Encoded]:
        """The packets that are in no file yet, marked as written one by one as they are taken.

        Args:
            since: a time in seconds from which on they are wanted.
            follows: whether they continue a file that is open. Else the first is a key frame, even if it is too early
                or, with what follows it, in the file before.
        """
        packets = list(self._packets)
        first = next((place for place, (number, _) in enumerate(packets) if number > self._written), len(packets))
        if not follows and first < len(packets):
            keys = [place for place, (_, packet) in enumerate(packets) if packet.key]
            ends = [place - 1 for place in (*keys[1:], len(packets))]  # of the groups of pictures
            groups = zip(keys, ends, strict=True)
            first = next((key for key, end in groups if end >= first and packets[end][1].time >= since), len(packets))
        for number, packet in packets[first:]:
            yield packet
            self._written = number

    def _second_key_is_enough(self, newest: Encoded) -> bool:
        second = next((packet for _, packet in list(self._packets)[1:] if packet.key), newest)
        return second is not newest and second.time <= newest.time - self._seconds

    def _drop_first_group(self) -> None:
        while self._packets:
            self.bytes -= self._packets.popleft()[1].packet.size
            if self._packets and self._packets[0][1].key:
                return
