"""What a broker of MQTT 5 takes from us, as it says in its answer to CONNECT (section 3.2.2.3)."""

from __future__ import annotations

from dataclasses import dataclass

from paho.mqtt.properties import Properties

# Of a PUBLISH packet beside topic and payload, at most: 5 for its header, 2 for the topic's length, 2 for the message's
# id, 6 for the properties with an expiry. Sections 2.1.4 and 3.3.
OVERHEAD_BYTES = 15
_NAMES = {
    "packet": "MaximumPacketSize",
    "unanswered": "ReceiveMaximum",
    "qos": "MaximumQoS",
    "retain": "RetainAvailable",
    "keepalive": "ServerKeepAlive",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one connection; what a broker does not tell, and one of MQTT 3.1.1 tells nothing, has none.

    Attributes:
        packet: bytes of the largest packet; None without a limit.
        unanswered: messages of QoS 1 that may wait for their acknowledgement at a time (Receive Maximum).
        qos: the highest quality of service.
        retain: 0 if it keeps no retained messages, else 1.
        keepalive: seconds after which it takes a silent client for dead, where it does not take our word; else None.
    """

    packet: int | None = None
    unanswered: int = 65_535
    qos: int = 2
    retain: int = 1
    keepalive: int | None = None

    @classmethod
    def told(cls, properties: Properties | None) -> Limits:
        """Those that the properties of a CONNACK tell."""
        told = {ours: getattr(properties, theirs, None) for ours, theirs in _NAMES.items()}
        return cls(**{ours: value for ours, value in told.items() if value is not None})

    def room(self, topic: str) -> int | None:
        """Bytes of payload that surely fit into a message on `topic`, perhaps 0; None without a limit."""
        return None if self.packet is None else max(0, self.packet - OVERHEAD_BYTES - len(topic.encode()))


def packet_size(topic: str, payload: int, qos: int, properties: bytes) -> int:
    """Bytes of a whole PUBLISH packet (section 3.3).

    Args:
        topic: where it is published.
        payload: its bytes.
        qos: 0 or 1.
        properties: as they are written; nothing at all in MQTT 3.1.1.
    """
    remaining = 2 + len(topic.encode()) + (2 if qos else 0) + len(properties) + payload
    # The remaining length is written in groups of seven bits, section 1.5.5.
    return 1 + max(1, -(-remaining.bit_length() // 7)) + remaining
