"""What waits for an event is bounded in time and in bytes, and begins with a key frame."""

from __future__ import annotations

from av.packet import Packet

from sinks.video.encoder import Encoded
from sinks.video.packet_ring import PacketRing
from tests.sinks_media import START


def encoded(index: int, size: int = 1000, *, key: bool = False) -> Encoded:
    return Encoded(Packet(bytes(size)), index, index, 1, key, index / 10, START, None)  # type: ignore[arg-type]


def test_the_ring_is_bounded_in_time_and_in_bytes() -> None:
    ring = PacketRing(5, 10**9)
    for index in range(10_000):
        ring.append(encoded(index, key=index % 20 == 0))
    kept = list(ring.unwritten(0, follows=False))
    assert kept[0].key
    assert 5 <= kept[-1].time - kept[0].time <= 5 + 2 * 2
    assert ring.bytes == 1000 * len(kept)
    assert list(ring.unwritten(0, follows=True)) == []
    small = PacketRing(5, 30_000)
    for index in range(1000):
        small.append(encoded(index, key=index % 20 == 0))
        assert small.bytes <= 30_000
    assert next(small.unwritten(0, follows=False)).key
    for index in range(1000, 2000):  # an encoder that has forgotten its key frames
        small.append(encoded(index))
        assert small.bytes <= 30_000
    assert list(small.unwritten(0, follows=False)) == []
